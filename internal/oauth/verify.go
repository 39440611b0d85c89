package oauth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// forwardAuth answers other reverse proxies that ask before they let a request
// in: nginx auth_request, Traefik and Caddy forward_auth. Only trusted peers may
// ask; for everybody else there is nothing here. The proxy that X-Forwarded-Host
// names decides, by the same function as on the data path.
func (s *Server) forwardAuth(_ context.Context, r *request) error {
	if !r.visit.Trusted {
		return errNoEndpoint()
	}
	v, asked, err := s.askedFor(r)
	if err != nil {
		return err
	}
	verdict := s.Admit(v, asked)
	h := r.w.Header()
	h.Set("Cache-Control", "no-store")
	if verdict.SetCookie != "" {
		h.Set("Set-Cookie", verdict.SetCookie)
	}
	if verdict.Header != "" {
		h.Set("WWW-Authenticate", verdict.Header)
	}
	switch verdict.Outcome {
	case site.Allow:
		introduce(h, &v.Host.Proxy, verdict.Principal)
		r.w.WriteHeader(http.StatusOK)
	case site.SignIn:
		sendToSignIn(r.w, v.Origin+verdict.Location)
	case site.Forbid:
		(&Error{Code: verdict.Error, Description: verdict.Description, Status: http.StatusForbidden}).write(r.w)
	default:
		unauthorized(verdict).write(r.w)
	}
	return nil
}

func errNoEndpoint() *Error {
	return &Error{Code: "not_found", Description: "There is nothing at this address", Status: http.StatusNotFound}
}

func unauthorized(verdict site.Verdict) *Error {
	e := &Error{Code: verdict.Error, Description: verdict.Description, Status: http.StatusUnauthorized}
	if e.Code == "" {
		e.Code, e.Description = "unauthorized", "sign in or send an access token for this host"
	}
	return e
}

// askedFor is the request that a trusted peer asks about, as if it had come here.
func (s *Server) askedFor(r *request) (*site.Visit, *http.Request, error) {
	name, err := site.NormalizeHostname(withoutPort(r.Header.Get("X-Forwarded-Host")))
	if err != nil {
		return nil, nil, notServed("unknown_host")
	}
	world := s.opt.World()
	host := world.Find(name)
	if host == nil || host.Role != site.Ordinary || !host.Proxy.Enabled || !host.Protected() {
		return nil, nil, notServed("host_not_protected")
	}
	secure := !strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "http")
	if !secure && !site.UnderLocalhost(name) {
		return nil, nil, &Error{Code: "https_required", Description: "This host works over https only", Status: http.StatusForbidden}
	}
	uri, ok := askedURI(r.Header)
	if !ok {
		return nil, nil, notServed("unreadable_uri")
	}
	asked := r.Clone(r.Context())
	asked.Method, asked.URL, asked.Host = first(r.Header, http.MethodGet, "X-Forwarded-Method", "X-Original-Method"), uri, name
	v := &site.Visit{RequestID: r.visit.RequestID, Host: host, Name: name, Path: site.ParsePath(uri.EscapedPath()), Secure: secure,
		Origin: world.Origins.Of(name, secure), SignIn: world.Origins.SignIn(secure), Client: r.visit.Client, Peer: r.visit.Peer, Trusted: true}
	var gone bool
	if v.Route, gone = host.Match(asked.Method, v.Path); gone {
		return nil, nil, notServed("route_disabled")
	}
	return v, asked, nil
}

func notServed(reason string) *Error {
	return &Error{Code: errorDenied, Description: "Gatehouse protects no such host or path", Status: http.StatusForbidden, Reason: reason}
}

// askedURI is the path and query that were asked for, as they came.
func askedURI(h http.Header) (*url.URL, bool) {
	raw := first(h, "", "X-Forwarded-Uri", "X-Original-Uri")
	if raw == "" {
		full, err := url.Parse(h.Get("X-Original-Url"))
		if err != nil || full.Host == "" {
			return nil, false
		}
		raw = full.RequestURI()
	}
	if !strings.HasPrefix(raw, "/") {
		return nil, false
	}
	path, query, _ := strings.Cut(raw, "?")
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return nil, false
	}
	return &url.URL{Path: decoded, RawPath: path, RawQuery: query}, true
}

func first(h http.Header, otherwise string, names ...string) string {
	for _, name := range names {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return otherwise
}

func withoutPort(host string) string {
	name, _, _ := strings.Cut(host, ":")
	return strings.TrimSuffix(name, ".")
}

// sendToSignIn tells a browser where to sign in. nginx can pass on only 401 and
// 403, so this is a 401 with the address in Location, for its configuration to
// use, and in Refresh, which browsers follow by themselves.
func sendToSignIn(w http.ResponseWriter, location string) {
	h := w.Header()
	h.Set("Location", location)
	h.Set("Refresh", "0; url="+location)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusUnauthorized)
	_ = signInPage.Execute(w, location) // the peer is gone: nobody is left to tell
}

// introduce sets the identity headers that the asking proxy copies to its target.
func introduce(h http.Header, p *site.Proxy, who *principal.Principal) {
	if who == nil || !p.AuthPassHeaders {
		return
	}
	prefix := p.AuthHeaderPrefix
	if prefix == "" {
		prefix = site.DefaultHeaderPrefix
	}
	for name, value := range map[string]string{"User": who.User, "Email": who.Email, "Scopes": strings.Join(who.Scopes, " "),
		"Client-Id": who.ClientID, "Subject": who.Subject} {
		if value != "" {
			h.Set(prefix+name, visible(value))
		}
	}
}

// visible percent-encodes what is not visible ASCII, and the percent sign.
func visible(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; (c > ' ' && c <= '~' && c != '%') || c == ' ' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}
