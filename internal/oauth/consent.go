package oauth

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/principal"
)

const (
	consentLife  = 365 * 24 * time.Hour
	maxApprovals = 20 // per person and client; the oldest goes
)

// Remembered reports whether person has approved what p asks for before, and
// need not be asked again. Requests that another program on the person's machine
// could make as well are never remembered: loopback and private-scheme
// redirects, devices; nor is anything with admin.
func (s *Server) Remembered(ctx context.Context, person Person, p Pending) bool {
	if !rememberable(p) {
		return false
	}
	row, err := s.consents.Get(ctx, consentName(person.Subject, p.ClientID))
	if err != nil {
		return false
	}
	now, err := s.fingerprint(ctx, p)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(row.Value.Approvals, func(a Approval) bool { return a.covers(p, now) })
}

func rememberable(p Pending) bool {
	return p.Device == "" && strings.HasPrefix(p.RedirectURI, "https://") && !slices.Contains(p.Scopes, principal.ScopeAdmin)
}

func (a *Approval) covers(p Pending, registration string) bool {
	return a.Issuer == p.Issuer && a.Resource == p.Resource && a.RedirectURI == p.RedirectURI && a.Registration == registration &&
		len(intersect(p.Scopes, a.Scopes)) == len(p.Scopes)
}

// fingerprint is a digest of what the person was shown of the client. Of one that
// is known by its URL it was made with the request: its document may have changed
// since, and is not fetched again for that.
func (s *Server) fingerprint(ctx context.Context, p Pending) (string, error) {
	if p.Known == knownURL {
		if p.Registered == "" {
			return "", errNoClient
		}
		return p.Registered, nil
	}
	c, err := s.client(ctx, p.Issuer, p.ClientID)
	if err != nil {
		return "", err
	}
	return c.fingerprint(), nil
}

func (c *Client) fingerprint() string {
	text, _ := json.Marshal([]any{c.Name, c.URI, c.RedirectURIs, c.AuthMethod, c.Known, c.CreatedAt}) // text and a time: never fails
	return hashed(string(text))
}

// Remember notes that person approved scopes for p. Where Remembered would not
// look, it does nothing.
func (s *Server) Remember(ctx context.Context, person Person, p Pending, scopes []string) error {
	if !rememberable(p) {
		return nil
	}
	registration, err := s.fingerprint(ctx, p)
	if err != nil {
		return err
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return err
	}
	a := Approval{Issuer: p.Issuer, Resource: p.Resource, RedirectURI: p.RedirectURI, Scopes: intersect(p.Scopes, scopes), Registration: registration, At: now}
	name := consentName(person.Subject, p.ClientID)
	for range retries {
		row, err := s.consents.Get(ctx, name)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		c := row.Value
		c.Subject, c.User, c.ClientID, c.ClientName = person.Subject, person.User, p.ClientID, p.ClientName
		c.add(a)
		_, err = s.consents.Update(ctx, name, c, row.Version, consentLife)
		if !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return errBusy
}

// add puts an approval in place of an older one for the same, whose scopes stay
// approved unless the registration has changed since.
func (c *Consent) add(a Approval) {
	c.Approvals = slices.DeleteFunc(slices.Clone(c.Approvals), func(old Approval) bool {
		same := old.Issuer == a.Issuer && old.Resource == a.Resource && old.RedirectURI == a.RedirectURI
		if same && old.Registration == a.Registration {
			a.Scopes = append(without(old.Scopes, a.Scopes), a.Scopes...)
		}
		return same
	})
	c.Approvals = append(c.Approvals, a)
	if len(c.Approvals) > maxApprovals {
		c.Approvals = c.Approvals[len(c.Approvals)-maxApprovals:]
	}
}

func consentName(subject, clientID string) string {
	return url.PathEscape(subject) + ":" + keyPart(clientID)
}

// keyPart is an id from outside as a part of a key: escaped, and hashed where it
// would make the key too long.
func keyPart(id string) string {
	if escaped := url.PathEscape(id); len(escaped) <= 200 {
		return escaped
	}
	return "sha256:" + hashed(id)
}

// Consents are the remembered approvals of a person, by subject; of everybody
// when it is empty.
func (s *Server) Consents(ctx context.Context, subject string) ([]Consent, error) {
	all, err := values(s.consents.All(ctx))
	if err != nil || subject == "" {
		return all, err
	}
	return slices.DeleteFunc(all, func(c Consent) bool { return c.Subject != subject }), nil
}

// ForgetConsent makes a client ask a person again. What was granted stays.
func (s *Server) ForgetConsent(ctx context.Context, subject, clientID string) error {
	return s.consents.Delete(ctx, consentName(subject, clientID))
}
