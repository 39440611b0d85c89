package oauth

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// Browser sessions. The cookie carries the session itself, sealed for one host
// under one name, so that it is checked without storage; the stored record is
// for the list and for ending it.
const (
	sessionIdle   = 12 * time.Hour
	sessionLife   = 7 * 24 * time.Hour
	sessionRenew  = 5 * time.Minute // a cookie older than this is renewed when it is used
	cookieVersion = 1
	maxCookie     = 3800 // bytes of a cookie's value; browsers take about 4096 with name and attributes
	cookieTries   = 4    // cookies of our name that are looked at
)

// OpenSession begins a session of person on v's host and answers its cookie.
// parentID is the session on the sign-in host that it hangs on; empty there.
// Of the person's groups only those that a policy names are kept.
func (s *Server) OpenSession(ctx context.Context, v *site.Visit, person Person, parentID string) (*http.Cookie, error) {
	now, err := s.kv.Now(ctx)
	if err != nil {
		return nil, err
	}
	now = now.Truncate(time.Millisecond) // as exact as the cookie tells it
	if err := s.knowUser(ctx, person.User); err != nil {
		return nil, err
	}
	if parentID != "" {
		if _, err := s.sessions.Get(ctx, parentID); fault.Is(err, fault.NotFound) || s.revoked.any(RevokeSession, parentID) {
			return nil, fault.New(fault.Unauthenticated, "your sign-in has ended in the meantime: sign in again")
		} else if err != nil {
			return nil, err
		}
	}
	person.Groups = s.namedGroups(person.Groups)
	e := &Session{ID: newID(), Host: v.Name, Origin: v.Origin, Parent: parentID, Person: person, CreatedAt: now, LastSeen: now, Address: v.Client.String()}
	cookie, err := s.sessionCookie(v, e)
	if err != nil {
		return nil, err
	}
	if _, err := s.sessions.Create(ctx, e.ID, *e, sessionLife); err != nil {
		return nil, err
	}
	s.seat(ctx, e)
	return cookie, nil
}

// namedGroups are the groups that the policy of any host names.
func (s *Server) namedGroups(groups []string) []string {
	if len(groups) == 0 {
		return nil
	}
	policy := map[string]bool{}
	for _, host := range s.opt.World().Hosts() {
		for _, g := range policyGroups(host) {
			policy[strings.ToLower(g)] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return !policy[strings.ToLower(g)] })
}

// policyGroups are the groups that the policy of a host or its routes names.
func policyGroups(host *site.Host) []string {
	groups := slices.Clone(host.Proxy.AuthRequiredGroups)
	for _, r := range host.Routes() {
		if r.Auth != nil {
			groups = append(groups, r.Auth.AllowedOrgs...)
		}
	}
	return groups
}

// SessionOf is the browser session that r's cookie proves on v's host. It asks
// memory only; ok is false for no cookie, an unknown, expired or ended one. The
// session is shared: it must not be changed.
func (s *Server) SessionOf(v *site.Visit, r *http.Request) (session *Session, ok bool) {
	e := s.sessionEntry(v, r)
	if e == nil {
		return nil, false
	}
	return e.session, true
}

func (s *Server) sessionEntry(v *site.Visit, r *http.Request) *entry {
	if v.Direct {
		return nil
	}
	name, now := cookieName(v.Host, v.Origin), s.now()
	for i, c := range r.CookiesNamed(name) {
		if i == cookieTries {
			break
		}
		if e := s.openCookie(name, v.Origin, c.Value, now); e != nil && !s.revokedSession(e.session) {
			return e
		}
	}
	return nil
}

// until is when a session ends by itself.
func (e *Session) until() time.Time {
	idle, life := e.LastSeen.Add(sessionIdle), e.CreatedAt.Add(sessionLife)
	if idle.Before(life) {
		return idle
	}
	return life
}

// renewal is the Set-Cookie value that carries a session's use forward, at most
// every few minutes; empty when it is not due.
func (s *Server) renewal(v *site.Visit, e *Session, now time.Time) string {
	if now.Sub(e.LastSeen) < sessionRenew {
		return ""
	}
	next := *e
	next.LastSeen = now
	cookie, err := s.sessionCookie(v, &next)
	if err != nil {
		return ""
	}
	select {
	case s.touches <- touch{id: e.ID, at: now}:
	default: // the list shows it a little older; nothing depends on it
	}
	return cookie.String()
}

// touch is a session that was seen, to be written down outside the request.
type touch struct {
	id string
	at time.Time
}

func (s *Server) writeTouches(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-s.touches:
			s.writeTouch(ctx, t)
		}
	}
}

func (s *Server) writeTouch(ctx context.Context, t touch) {
	row, err := s.sessions.Get(ctx, t.id)
	if err != nil || !row.Value.LastSeen.Before(t.at) {
		return
	}
	row.Value.LastSeen = t.at
	left := row.Value.CreatedAt.Add(sessionLife).Sub(t.at)
	if left <= 0 {
		return
	}
	s.flight.sessions.touch(t.id, left)
	// A session that ended meanwhile stays ended: the version has changed.
	_, err = s.sessions.Update(ctx, t.id, row.Value, row.Version, left)
	if err != nil && !fault.Is(err, fault.Conflict) {
		s.log.DebugContext(ctx, "a session's last use was not written down", "error", err)
	}
}

// EndSession ends a session and, when it is one on the sign-in host, all that
// hang on it: on every node within two seconds.
func (s *Server) EndSession(ctx context.Context, id string) error {
	if err := s.endSession(ctx, id); err != nil {
		return err
	}
	rows, err := s.sessions.All(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Value.Parent == id {
			if err := s.endSession(ctx, row.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) endSession(ctx context.Context, id string) error {
	if err := s.mark(ctx, RevokeSession, id); err != nil {
		return err
	}
	s.flight.sessions.remove(id)
	if err := s.sessions.Delete(ctx, id); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return nil
}
