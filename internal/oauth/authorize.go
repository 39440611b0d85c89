package oauth

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/page"
	"gatehouse/internal/site"
)

// authorize is the authorization endpoint (OAuth 2.1, section 4.1; RFC 7636,
// 8707, 9207). It checks everything, parks the request under a one-time handle
// and sends the browser to the consent page. It never signs anybody in, and
// never redirects to an address that the client did not register.
func (s *Server) authorize(ctx context.Context, r *request) error {
	f, err := r.authorizeForm()
	p, c, refusal := s.authorizeClient(ctx, r, f)
	if refusal == nil && err != nil && slices.ContainsFunc([]string{"client_id", "redirect_uri"}, func(n string) bool { return len(f[n]) > 1 }) {
		refusal = asError(err)
	}
	if refusal != nil {
		s.noteFlow(ctx, step{action: "authorize", client: f.get("client_id"), failed: refusal})
		if r.asksForJSON() {
			r.tellProgram(refusal)
			return nil
		}
		s.stopped(r, refusal)
		return nil
	}
	if err == nil && (!c.may(grantCode) || !slices.Contains(grantTypes(r.place.host), grantCode)) {
		err = newError("unauthorized_client", "this client is not registered for authorization_code")
	}
	if err == nil {
		err = s.authorizeParameters(r.place, f, &p)
	}
	if err == nil {
		return s.toConsent(ctx, r, p)
	}
	refusal = asError(err)
	s.noteFlow(ctx, step{action: "authorize", pending: &p, failed: refusal})
	redirect(r.w, p.answer(refusal.values()))
	return nil
}

// asksForJSON reports whether a program asks before it opens a browser: some look
// whether their registration still stands.
func (r *request) asksForJSON() bool {
	accept := r.Header.Get("Accept")
	return strings.HasPrefix(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// tellProgram is the error page for programs: where to register anew is in it.
func (r *request) tellProgram(refusal *Error) {
	if refusal.reason() == "client_unknown" {
		refusal.Description = "This client is not registered here: register again"
	}
	answer := map[string]string{"error": refusal.Code, "error_description": refusal.Description}
	if !slices.Contains(r.place.host.Proxy.DisabledRoutes, site.RouteRegister) {
		answer["registration_endpoint"] = r.place.issuer + pathRegister
	}
	writeJSON(r.w, refusal.Status, answer)
}

func (r *request) authorizeForm() (form, error) {
	if r.Method == http.MethodPost {
		return r.readForm()
	}
	if len(r.URL.RawQuery) > maxBody {
		return nil, invalidRequest("The request is too long")
	}
	return parseForm(r.URL.RawQuery)
}

// authorizeClient finds who asks and where the answer may go. What fails here is
// told to the person, never sent on.
func (s *Server) authorizeClient(ctx context.Context, r *request, f form) (Pending, Client, *Error) {
	id := f.get("client_id")
	if id == "" {
		return Pending{}, Client{}, invalidRequest("The request does not say which program it comes from (client_id)")
	}
	c, err := s.client(ctx, r.place.issuer, id)
	if fault.Is(err, fault.NotFound) {
		return Pending{}, c, newError("invalid_client", "The program that asked is not registered here. Let it connect anew: it then registers by itself").because("client_unknown")
	}
	if err != nil {
		refusal := asError(err)
		if refusal.Status == http.StatusUnauthorized { // which is for programs: this answer is read by a person
			refusal.Status = http.StatusBadRequest
		}
		return Pending{}, c, refusal
	}
	uri := f.get("redirect_uri")
	if uri == "" && len(c.RedirectURIs) == 1 {
		uri = c.RedirectURIs[0]
	}
	if !redirectMatches(c.RedirectURIs, uri) {
		return Pending{}, c, invalidRequest("The program asked to be answered at an address that it has not registered (redirect_uri)").because("redirect_mismatch")
	}
	p := Pending{Issuer: r.place.issuer, Host: r.place.name, ClientID: c.ID, ClientName: c.Name, Known: c.Known, RedirectURI: uri,
		Address: r.from().String(), UserAgent: clip(r.UserAgent(), 200)}
	p.Program = s.programs.name(&c, uri)
	if c.Known == knownURL {
		p.Registered = c.fingerprint()
	}
	if f.has("state") {
		p.State = &f["state"][0]
	}
	return p, c, nil
}

// authorizeParameters checks the rest and completes p.
func (s *Server) authorizeParameters(at place, f form, p *Pending) error {
	switch {
	case f.get("request") != "":
		return newError("request_not_supported", "request is not supported: send plain parameters")
	case f.get("request_uri") != "":
		return newError("request_uri_not_supported", "request_uri is not supported: send plain parameters")
	case f.get("response_type") == "":
		return invalidRequest("response_type is missing")
	case f.get("response_type") != "code":
		return newError("unsupported_response_type", "response_type must be code")
	case f.get("response_mode") != "" && f.get("response_mode") != "query":
		return invalidRequest("response_mode must be query")
	case f.get("code_challenge") == "":
		return invalidRequest("code_challenge is missing: PKCE with S256 is required").because("pkce_missing")
	case f.get("code_challenge_method") != "S256":
		return invalidRequest("code_challenge_method must be S256").because("pkce_method")
	case !isChallenge(f.get("code_challenge")):
		return invalidRequest("code_challenge must be the base64url SHA-256 of the verifier, 43 characters").because("pkce_malformed")
	case f.get("prompt") == "none":
		return newError("interaction_required", "a person has to look at this request")
	}
	p.Challenge = f.get("code_challenge")
	target, scopes, err := s.wanted(at, f)
	p.Resource, p.Scopes = target.resource, scopes
	return err
}

// wanted is the resource and the scopes that a request asks for, as far as this
// issuer knows them. Unknown scopes are left out; none asked for means those of
// the resource's challenge, never admin.
func (s *Server) wanted(at place, f form) (audience, []string, error) {
	target, err := s.target(at, f)
	if err != nil {
		return target, nil, err
	}
	asked := f.scopes()
	if asked == nil {
		return target, resourceScopes(target.host), nil
	}
	known := intersect(asked, target.host.Proxy.ResourceScopes)
	if len(known) == 0 {
		return target, nil, newError("invalid_scope", "this resource knows none of the scopes asked for; it knows "+strings.Join(resourceScopes(target.host), " "))
	}
	return target, known, nil
}

// target is the resource that a request names, or the issuer's own.
func (s *Server) target(at place, f form) (audience, error) {
	uri, err := f.resource()
	if err != nil {
		return audience{}, err
	}
	if uri == "" {
		target, ok := s.ownAudience(at)
		if !ok {
			return target, errTarget("resource is missing: this issuer serves several")
		}
		return target, nil
	}
	target, ok := s.audienceOf(at.issuer, uri)
	if !ok {
		return target, errTarget("this issuer grants nothing for that resource")
	}
	return target, nil
}

// toConsent parks the request and sends the browser to the page that asks the
// person.
func (s *Server) toConsent(ctx context.Context, r *request, p Pending) error {
	now, err := s.kv.Now(ctx)
	if err != nil {
		return err
	}
	p.CreatedAt = now
	handle, err := s.park(ctx, p, r.from())
	if err != nil {
		return err
	}
	s.noteFlow(ctx, step{action: "authorize", pending: &p})
	redirect(r.w, r.place.signIn+"/consent?request="+url.QueryEscape(handle))
	return nil
}

// isChallenge reports whether s can be an S256 challenge: 32 bytes in base64url.
func isChallenge(s string) bool {
	return len(s) == 43 && !slices.ContainsFunc([]byte(s), func(c byte) bool { return !isURLSafe(c) })
}

// redirect answers 303 to an address that was checked. Location takes it as it
// is: http.Redirect would resolve it against the request.
func redirect(w http.ResponseWriter, location string) {
	h := w.Header()
	h.Set("Location", location)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// stopped is what a person sees when the answer can't go to the program.
func (s *Server) stopped(r *request, e *Error) {
	s.show(r, page.Notice{Title: "This sign-in can't go on", Text: page.Sentence(e.Description) + " Nothing was shared; you can close this page.",
		Code: e.Code, Host: r.place.name}, e.Status)
}

// show answers with a page.
func (s *Server) show(r *request, n page.Notice, status int) {
	n.RequestID = r.visit.RequestID
	if err := n.Write(r.w, r.Request, status); err != nil {
		s.log.ErrorContext(r.Context(), "a page could not be made", "error", err)
		http.Error(r.w, n.Text, status)
	}
}

// clip cuts text from outside to n bytes of printable ASCII.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
}
