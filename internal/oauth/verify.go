package oauth

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/page"
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
	q, refusal := readQuestion(r.Header)
	var v *site.Visit
	var asked *http.Request
	if refusal == nil {
		v, asked, refusal = s.askedFor(r, q)
	}
	if refusal != nil { // never bounded by address: it is the asking proxy's, who asks for all
		s.noteVerify(r, q, site.Verdict{Outcome: site.Forbid, Reason: refusal.reason()}, refusal.Status)
		refusal.write(r.w)
		return nil
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
	if verdict.Allowed() {
		introduce(h, &v.Host.Proxy, verdict.Principal)
		r.w.WriteHeader(http.StatusOK)
		return nil
	}
	s.noteVerify(r, q, verdict, s.answerRefused(r, v, verdict))
	return nil
}

// answerRefused writes a refusal of the gate and gives its status.
func (s *Server) answerRefused(r *request, v *site.Visit, verdict site.Verdict) int {
	e := &Error{Code: verdict.Error, Description: verdict.Description, Status: http.StatusUnauthorized}
	switch verdict.Outcome {
	case site.SignIn:
		s.sendToSignIn(r, v, v.Origin+verdict.Location)
		return http.StatusUnauthorized
	case site.Forbid:
		e.Status = http.StatusForbidden
	case site.Wait:
		e.Status, e.RetryAfter = http.StatusTooManyRequests, site.RetryAfter*time.Second
	}
	if e.Code == "" {
		e.Code, e.Description = "unauthorized", "sign in or send an access token for this host"
	}
	e.write(r.w)
	return e.Status
}

// noteVerify writes a refusal into the log, under the host that was asked for.
func (s *Server) noteVerify(r *request, q question, verdict site.Verdict, status int) {
	if s.opt.Recorder == nil {
		return
	}
	path, query, _ := strings.Cut(q.uri, "?")
	e := &journal.Entry{Time: s.now(), Kind: journal.OAuth, Action: "verify", RequestID: r.visit.RequestID, ClientIP: r.from().String(),
		Proxy: q.name, Method: q.method, Path: path, Query: query, Status: status, AuthResult: "denied", AuthReason: verdict.Reason}
	if p := verdict.Principal; p != nil {
		e.User, e.ClientID, e.Scopes = p.User, p.ClientID, p.Scopes
	}
	s.opt.Recorder.Write(e)
}

func errNoEndpoint() *Error {
	return &Error{Code: "not_found", Description: "There is nothing at this address", Status: http.StatusNotFound}
}

// askedFor is the request that a trusted peer asks about, as if it had come here.
func (s *Server) askedFor(r *request, q question) (*site.Visit, *http.Request, *Error) {
	world := s.opt.World()
	host := world.Find(q.name)
	if host == nil || host.Role != site.Ordinary || !host.Proxy.Enabled || !host.Protected() {
		return nil, nil, notServed("host_not_protected")
	}
	if !q.secure && !site.UnderLocalhost(q.name) {
		return nil, nil, &Error{Code: "https_required", Description: "This host works over https only", Status: http.StatusForbidden}
	}
	asked := r.Clone(r.Context())
	asked.Method, asked.URL, asked.Host = q.method, q.url, q.name
	v := &site.Visit{RequestID: r.visit.RequestID, Host: host, Name: q.name, Path: q.path, Secure: q.secure,
		Origin: world.Origins.Of(q.name, q.secure), SignIn: world.Origins.SignIn(q.secure || !site.UnderLocalhost(world.Origins.BaseDomain)),
		Client: r.visit.Client, Peer: r.visit.Peer, Trusted: true}
	var gone bool
	if v.Route, gone = host.Match(asked.Method, v.Path); gone {
		return nil, nil, notServed("route_disabled")
	}
	if isPublic(host, v.Route, v.Path) {
		// Its target would answer in our place, for anybody.
		return nil, nil, &Error{Code: errorDenied, Description: "This path is Gatehouse's own: send such requests to Gatehouse, not to the host's target",
			Status: http.StatusForbidden, Reason: "gatehouse_path"}
	}
	return v, asked, nil
}

func notServed(reason string) *Error {
	return &Error{Code: errorDenied, Description: "Gatehouse protects no such host or path", Status: http.StatusForbidden, Reason: reason}
}

// sendToSignIn tells a browser where to sign in. nginx can pass on only 401 and
// 403, so this is a 401 with the address in Location, for its configuration to
// use, and in Refresh, which browsers follow by themselves.
func (s *Server) sendToSignIn(r *request, at *site.Visit, location string) {
	h := r.w.Header()
	h.Set("Location", location)
	h.Set("Refresh", "0; url="+location)
	s.show(r, page.Notice{Title: "Sign in", Text: "This host asks who you are. If nothing happens by itself, go on to the page that does.",
		Link: &page.Link{Address: location, Text: "Sign in"}, Host: at.Name}, http.StatusUnauthorized)
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
