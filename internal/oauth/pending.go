package oauth

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// codeLife is how long an authorization code can be used; codeMemory how long
// it is remembered to notice a second use.
const (
	codeLife   = 60 * time.Second
	codeMemory = time.Hour
)

// park stores a checked authorization request under a fresh one-time handle.
func (s *Server) park(ctx context.Context, p Pending, from netip.Addr) (handle string, err error) {
	handle = newSecret()
	name := hashed(handle)
	if p.State != nil {
		p.SealedState = s.opt.Sealer.Seal(s.pendings.Key(name), []byte(*p.State))
	}
	s.fly(ctx, s.flight.pendings, from, s.pendings.Key(name), s.opt.SessionTimeout)
	_, err = s.pendings.Create(ctx, name, p, s.opt.SessionTimeout)
	return handle, err
}

// Pending is the authorization request that waits under handle. It stays there:
// Approve and Refuse take it. NotFound: it was used, or has expired.
func (s *Server) Pending(ctx context.Context, handle string) (Pending, error) {
	row, err := s.pendings.Get(ctx, hashed(handle))
	if fault.Is(err, fault.NotFound) || (err == nil && !s.answersHere(ctx, row.Value.Host)) {
		return Pending{}, errPendingGone
	}
	return row.Value, err
}

// answersHere reports whether a person may answer for requests that were made at
// host on the pages where ctx's visit stands. Pages that stand on a host itself
// share an origin with that host's backend: they answer for it alone, so that no
// backend's script can consent to another host.
func (s *Server) answersHere(ctx context.Context, host string) bool {
	v := site.VisitFrom(ctx)
	if v == nil {
		return false
	}
	o := s.opt.World().Origins
	if o.OwnPages(host) || o.OwnPages(v.Name) {
		return v.Name == host
	}
	return v.Direct || v.Name == o.SignInName()
}

var errPendingGone = fault.New(fault.NotFound, "this request was answered already or has expired: go back to the program and start again")

func (s *Server) takePending(ctx context.Context, handle string) (Pending, error) {
	if _, err := s.Pending(ctx, handle); err != nil {
		return Pending{}, err
	}
	name := hashed(handle)
	row, err := s.pendings.Take(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return Pending{}, errPendingGone
	}
	if err != nil {
		return Pending{}, err
	}
	s.flight.pendings.remove(s.pendings.Key(name))
	return row.Value, s.openState(name, &row.Value)
}

// openState makes the client's state readable again, to be returned.
func (s *Server) openState(name string, p *Pending) error {
	if p.SealedState == nil {
		return nil
	}
	state, err := s.opt.Sealer.Open(s.pendings.Key(name), p.SealedState)
	p.State, p.SealedState = new(string(state)), nil
	return err
}

// Approve answers a pending request with a code for person and scopes, which
// are cut to what was asked and to what the lists give now. It takes the handle:
// of several calls one succeeds. The answer is where to send the browser, with
// the code or, where the person may not have what was asked, with an error.
func (s *Server) Approve(ctx context.Context, handle string, person Person, scopes []string) (redirectURL string, err error) {
	p, err := s.takePending(ctx, handle)
	if err != nil {
		return "", err
	}
	if err := s.knowUser(ctx, person.User); err != nil {
		return "", err
	}
	granted, refusal := s.grantable(p, person, scopes)
	if refusal != nil {
		s.noteFlow(ctx, step{action: "consent", pending: &p, user: person.User, failed: refusal})
		return p.answer(refusal.values()), nil
	}
	secret, err := s.issueCode(ctx, p, person, granted)
	if err != nil {
		return "", err
	}
	s.noteFlow(ctx, step{action: "consent", pending: &p, user: person.User})
	return p.answer(url.Values{"code": {secret}}), nil
}

// grantable cuts the scopes that a person approved to those that may be given.
func (s *Server) grantable(p Pending, person Person, scopes []string) ([]string, *Error) {
	target, ok := s.audienceOf(p.Issuer, p.Resource)
	if !ok {
		return nil, errTarget("the resource is no longer served here")
	}
	if ok, reason := s.Permitted(target.host, person); !ok {
		return nil, denied("the account is not allowed to use this resource", reason)
	}
	wanted := intersect(p.Scopes, scopes)
	granted := s.GrantedScopes(target.host, person, wanted)
	if len(granted) == 0 {
		return nil, newError("invalid_scope", "none of the requested scopes can be granted to this account").because("scope_not_given")
	}
	return granted, nil
}

func (s *Server) issueCode(ctx context.Context, p Pending, person Person, scopes []string) (string, error) {
	now, err := s.kv.Now(ctx)
	if err != nil {
		return "", err
	}
	secret := newSecret()
	c := code{Issuer: p.Issuer, ClientID: p.ClientID, ClientName: p.ClientName, RedirectURI: p.RedirectURI, Challenge: p.Challenge,
		Resource: p.Resource, Scopes: scopes, Person: person, CreatedAt: now, Expires: now.Add(codeLife), GrantID: newID()}
	_, err = s.codes.Create(ctx, hashed(secret), c, codeMemory)
	return secret, err
}

// Refuse answers a pending request with an error such as access_denied. It
// takes the handle.
func (s *Server) Refuse(ctx context.Context, handle, errorCode, description string) (redirectURL string, err error) {
	p, err := s.takePending(ctx, handle)
	if err != nil {
		return "", err
	}
	refusal := newError(errorCode, description)
	s.noteFlow(ctx, step{action: "consent", pending: &p, failed: refusal})
	return p.answer(refusal.values()), nil
}

// answer is the redirect that carries values to the client, with iss and, as it
// came, state.
func (p *Pending) answer(values url.Values) string {
	values.Set("iss", p.Issuer)
	if p.State != nil {
		values.Set("state", *p.State)
	}
	separator := "?"
	if strings.Contains(p.RedirectURI, "?") {
		separator = "&"
		if strings.HasSuffix(p.RedirectURI, "?") || strings.HasSuffix(p.RedirectURI, "&") {
			separator = ""
		}
	}
	return p.RedirectURI + separator + values.Encode()
}

// intersect is what stands in both, in the order of asked.
func intersect(asked, approved []string) []string {
	return slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return !slices.Contains(approved, s) })
}

// withoutAdmin is a list of scopes without admin.
func withoutAdmin(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == principal.ScopeAdmin })
}

// without is what stands in scopes and not in others.
func without(scopes, others []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return slices.Contains(others, s) })
}
