package oauth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
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

// sealedSession is what a cookie holds, in short names because it travels with
// every request.
type sealedSession struct {
	ID       string   `json:"i"`
	Parent   string   `json:"p,omitempty"`
	Subject  string   `json:"s"`
	User     string   `json:"u"`
	Email    string   `json:"e,omitempty"`
	Name     string   `json:"n,omitempty"`
	Groups   []string `json:"g,omitempty"`
	Provider string   `json:"v,omitempty"`
	Via      string   `json:"x,omitempty"`
	Auth     int64    `json:"a"` // milliseconds since 1970, as all times here
	Checked  int64    `json:"k,omitempty"`
	Created  int64    `json:"c"`
	Seen     int64    `json:"l"`
}

// CookieName is the session cookie's name on v's host: over plain HTTP, where
// browsers refuse the __Host- prefix, it goes without.
func CookieName(v *site.Visit) string { return cookieName(v.Host, v.Origin) }

func cookieName(host *site.Host, origin string) string {
	name := host.Proxy.AuthCookieName
	if name == "" {
		name = site.DefaultCookieName
	}
	if strings.HasPrefix(origin, "http:") {
		name = strings.TrimPrefix(name, "__Host-")
	}
	return name
}

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

// SessionPerson is the person of a session with what its cookie does not carry:
// the provider's token, sealed. NotFound when the session has ended.
func (s *Server) SessionPerson(ctx context.Context, id string) (Person, error) {
	row, err := s.sessions.Get(ctx, id)
	return row.Value.Person, err
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
	name, now := CookieName(v), s.now()
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

// openCookie unseals a cookie, or finds it among those that were.
func (s *Server) openCookie(name, origin, value string, now time.Time) *entry {
	if len(value) > maxCookie {
		return nil
	}
	sum := fingerprint(name, value)
	if e := s.verified.get(sum, now); e != nil && e.session != nil && e.session.Origin == origin {
		return e
	}
	sealed, ok := s.unsealCookie(name, origin, value)
	if !ok {
		return nil
	}
	session := sealed.session(origin)
	until := session.until()
	if !now.Before(until) {
		return nil
	}
	return s.verified.put(sum, &entry{session: session, until: until})
}

// until is when a session ends by itself.
func (e *Session) until() time.Time {
	idle, life := e.LastSeen.Add(sessionIdle), e.CreatedAt.Add(sessionLife)
	if idle.Before(life) {
		return idle
	}
	return life
}

func (s *Server) unsealCookie(name, origin, value string) (sealed sealedSession, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(value)
	aead := s.keys.Load().cookie
	if err != nil || len(raw) < 1+aead.NonceSize() || raw[0] != cookieVersion {
		return sealed, false
	}
	nonce, body := raw[1:1+aead.NonceSize()], raw[1+aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, body, cookieBinding(name, origin))
	if err != nil || json.Unmarshal(plain, &sealed) != nil {
		return sealed, false
	}
	return sealed, sealed.ID != "" && sealed.Subject != ""
}

// cookieBinding ties a sealed cookie to one host and one name.
func cookieBinding(name, origin string) []byte { return []byte("session\x00" + name + "\x00" + origin) }

// sessionCookie seals e for v's host.
func (s *Server) sessionCookie(v *site.Visit, e *Session) (*http.Cookie, error) {
	plain, err := json.Marshal(seal(e))
	if err != nil {
		return nil, err
	}
	name := CookieName(v)
	aead := s.keys.Load().cookie
	raw := make([]byte, 1+aead.NonceSize(), 1+aead.NonceSize()+len(plain)+aead.Overhead())
	raw[0] = cookieVersion
	_, _ = rand.Read(raw[1:])
	raw = aead.Seal(raw, raw[1:], plain, cookieBinding(name, v.Origin))
	value := base64.RawURLEncoding.EncodeToString(raw)
	if len(value) > maxCookie {
		return nil, fault.New(fault.Denied, "this account is in more of the groups that policies name than a session can hold")
	}
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(sessionIdle / time.Second),
		HttpOnly: true, Secure: strings.HasPrefix(v.Origin, "https:"), SameSite: http.SameSiteLaxMode,
	}, nil
}

// CloseCookie is the cookie that removes a session's from the browser.
func CloseCookie(v *site.Visit) *http.Cookie {
	return &http.Cookie{Name: CookieName(v), Path: "/", MaxAge: -1, HttpOnly: true, Secure: strings.HasPrefix(v.Origin, "https:"), SameSite: http.SameSiteLaxMode}
}

func seal(e *Session) sealedSession {
	p := &e.Person
	return sealedSession{ID: e.ID, Parent: e.Parent, Subject: p.Subject, User: p.User, Email: p.Email, Name: p.Name, Groups: p.Groups,
		Provider: p.Provider, Via: p.Via, Auth: millis(p.AuthTime), Checked: millis(p.Checked), Created: millis(e.CreatedAt), Seen: millis(e.LastSeen)}
}

func (c *sealedSession) session(origin string) *Session {
	return &Session{ID: c.ID, Host: hostOf(origin), Origin: origin, Parent: c.Parent, CreatedAt: fromMillis(c.Created), LastSeen: fromMillis(c.Seen),
		Person: Person{Subject: c.Subject, User: c.User, Email: c.Email, Name: c.Name, Groups: c.Groups, Provider: c.Provider, Via: c.Via,
			AuthTime: fromMillis(c.Auth), Checked: fromMillis(c.Checked)}}
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
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
