package oauth

import (
	"context"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/principal"
)

// What a revocation can end: the kinds of Revoke.
const (
	RevokeToken   = "token"   // one access token, by jti
	RevokeGrant   = "grant"   // a grant with all its tokens
	RevokeClient  = "client"  // all grants and tokens of a client so far
	RevokeUser    = "user"    // all grants, tokens and sessions of a person so far, by subject
	RevokeSession = "session" // a session and its children
	RevokeProxy   = "proxy"   // all grants, tokens and sessions for a host so far, by hostname
)

// revokeKey marks a signing key that was dropped before its time, by kid: streams
// that its tokens opened end. Keys that were retired in their time cut nothing.
const revokeKey = "key"

// lasts is how long a revocation of a kind must be remembered.
func (s *Server) lasts(kind string) time.Duration {
	switch kind {
	case RevokeToken:
		return s.opt.AccessTokenLifetime + time.Minute
	case RevokeGrant, RevokeClient:
		return s.opt.AccessTokenLifetime + s.opt.SessionTimeout + time.Hour
	}
	return max(sessionLife, s.opt.AccessTokenLifetime) + time.Hour
}

// Revoke ends something at once, on every node within two seconds: access
// tokens and sessions by the list that each node keeps in memory, refresh tokens
// by deleting their grants. kind is one of the constants above.
func (s *Server) Revoke(ctx context.Context, kind, id string) error {
	if id == "" {
		return fault.BadField("id", "must not be empty")
	}
	var err error
	switch kind {
	case RevokeToken:
		return s.mark(ctx, kind, id)
	case RevokeGrant:
		return s.endGrant(ctx, id)
	case RevokeSession:
		return s.EndSession(ctx, id)
	case RevokeClient:
		err = s.endAll(ctx, kind, id, func(g *Grant) bool { return g.ClientID == id }, nil)
	case RevokeUser:
		err = s.endAll(ctx, kind, id, func(g *Grant) bool { return g.Person.Subject == id }, func(e *Session) bool { return e.Person.Subject == id })
	case RevokeProxy:
		err = s.endAll(ctx, kind, id, func(g *Grant) bool { return servedBy(hostOf(g.Resource), id) }, func(e *Session) bool { return servedBy(e.Host, id) })
	default:
		err = fault.BadField("kind", "must be token, grant, client, user, session or proxy")
	}
	return err
}

// mark puts an entry on the list, here at once and for other nodes in the store.
func (s *Server) mark(ctx context.Context, kind, id string) error {
	now, err := s.kv.Now(ctx)
	if err != nil {
		return err
	}
	r := revocation{Kind: kind, ID: id, At: now}
	if _, err := s.revokes.Put(ctx, revocationName(kind, id), r, s.lasts(kind)); err != nil {
		return err
	}
	s.noteRevoked(r, now.Add(s.lasts(kind)))
	return nil
}

func (s *Server) noteRevoked(r revocation, until time.Time) {
	s.revoked.add(r, until)
	s.change.Add(1)
}

// revocationName escapes an id, which may be a name from outside, for a key.
func revocationName(kind, id string) string { return kind + ":" + keyPart(id) }

// endAll ends everything of a client, a person or a host: what exists by name,
// so that it is exact to the moment, and what may still be on its way by the mark.
func (s *Server) endAll(ctx context.Context, kind, id string, grant func(*Grant) bool, session func(*Session) bool) error {
	if err := s.mark(ctx, kind, id); err != nil {
		return err
	}
	grants, err := s.grants.All(ctx)
	if err != nil {
		return err
	}
	for _, row := range grants {
		if grant(&row.Value) {
			if err := s.endGrant(ctx, row.Name); err != nil {
				return err
			}
		}
	}
	if session == nil {
		return nil
	}
	sessions, err := s.sessions.All(ctx)
	if err != nil {
		return err
	}
	for _, row := range sessions {
		if session(&row.Value) {
			if err := s.EndSession(ctx, row.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// endGrant ends a grant: its refresh tokens by deleting it, its access tokens
// by the list.
func (s *Server) endGrant(ctx context.Context, id string) error {
	if err := s.mark(ctx, RevokeGrant, id); err != nil {
		return err
	}
	s.flight.grants.remove(id)
	if err := s.grants.Delete(ctx, id); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return nil
}

// stillApproved ends a grant that was stored while what it came from was revoked.
// Whoever revoked it could not see it, and what they wrote down may not have
// arrived on this node: so the store is asked, after the grant is there. A
// revocation is written before it looks for grants; one of the two finds the other.
// A person's sign-in must be younger than the last revocation of the person: a
// session that has just ended may still have approved here.
func (s *Server) stillApproved(ctx context.Context, g *Grant, approved time.Time) error {
	host := hostOf(g.Resource)
	_, parent, _ := strings.Cut(host, ".")
	for _, m := range []revocation{{RevokeClient, g.ClientID, approved}, {RevokeUser, g.Person.Subject, g.Person.AuthTime},
		{RevokeProxy, host, approved}, {RevokeProxy, "*." + parent, approved}} {
		row, err := s.revokes.Get(ctx, revocationName(m.Kind, m.ID))
		switch {
		case fault.Is(err, fault.NotFound), err == nil && m.At.After(row.Value.At):
			continue
		case err != nil:
			return err
		}
		if err := s.endGrant(ctx, g.ID); err != nil {
			return err
		}
		return invalidGrant("revoked", "the sign-in behind this request has ended")
	}
	return nil
}

// revokedToken reports whether a verified token stopped counting since.
func (s *Server) revokedToken(v *verified) bool {
	c := v.claims
	if s.keys.Load().byID[v.kid] == nil {
		return true
	}
	// Marks are exact to the nanosecond, iat to the second: what was made in the
	// second of a mark is caught by its grant, which was ended by name.
	last := v.issued.Add(time.Second - time.Nanosecond)
	return s.revoked.any(RevokeToken, c.ID) || s.revoked.any(RevokeGrant, c.GrantID) || s.revoked.anyOf(RevokeToken, c.From) ||
		s.revoked.since(RevokeClient, c.ClientID, last) || s.revoked.since(RevokeUser, c.Subject, last) ||
		s.revoked.host(hostOf(c.Audience[0]), last) || !s.users.counts(c.User, last)
}

// revokedSession reports whether a session stopped counting since.
func (s *Server) revokedSession(e *Session) bool {
	return s.revoked.any(RevokeSession, e.ID) || s.revoked.any(RevokeSession, e.Parent) ||
		s.revoked.since(RevokeUser, e.Person.Subject, e.CreatedAt) || s.revoked.host(e.Host, e.CreatedAt) ||
		!s.users.counts(e.Person.User, e.CreatedAt)
}

// revokedPrincipal asks the same of a request that was let in earlier.
func (s *Server) revokedPrincipal(p *principal.Principal) bool {
	made := p.IssuedAt
	if p.AuthType == principal.Bearer {
		made = made.Add(time.Second - time.Nanosecond)
	}
	return s.revoked.any(RevokeToken, p.TokenID) || s.revoked.any(RevokeGrant, p.GrantID) || s.revoked.anyOf(RevokeToken, p.FromTokens) ||
		s.revoked.any(revokeKey, p.KeyID) ||
		s.revoked.any(RevokeSession, p.SessionID) || s.revoked.any(RevokeSession, p.ParentID) ||
		s.revoked.since(RevokeClient, p.ClientID, made) || s.revoked.since(RevokeUser, p.Subject, made) ||
		s.revoked.host(hostOf(p.Resource), made) || !s.users.counts(p.User, made)
}

// loadRevocations reads the whole list.
func (s *Server) loadRevocations(ctx context.Context) error {
	rows, err := s.revokes.All(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		s.noteRevoked(row.Value, row.Expires)
	}
	return nil
}

func (s *Server) readRevocation(ctx context.Context, name string) error {
	row, err := s.revokes.Get(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return nil // expired: it leaves the memory by its own age
	}
	if err != nil {
		return err
	}
	s.noteRevoked(row.Value, row.Expires)
	return nil
}
