package oauth

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// The session cookie: a session sealed for one host under one name.

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

// cookieName is the session cookie's name on a host: over plain HTTP, where
// browsers refuse the __Host- prefix, it goes without.
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
	name := cookieName(v.Host, v.Origin)
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
	return &http.Cookie{Name: cookieName(v.Host, v.Origin), Path: "/", MaxAge: -1, HttpOnly: true, Secure: strings.HasPrefix(v.Origin, "https:"), SameSite: http.SameSiteLaxMode}
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
