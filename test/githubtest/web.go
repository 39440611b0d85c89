package githubtest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const docs = "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-authorization-request-errors/"

var page = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><title>Authorize (stand-in for GitHub)</title>
<h1>Authorize {{.App.ClientID}}</h1><p>Scopes: {{.Query.scope}}</p>
<form method="post" action="/login/oauth/authorize">
{{range $name, $values := .Query}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">{{end}}{{end}}
{{range .Accounts}}<button name="as" value="{{.Login}}">Continue as {{.Login}}</button> {{end}}
<button name="as" value="">Cancel</button></form>`))

// authorize is GET /login/oauth/authorize.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.mu.Lock()
	s.asked = append(s.asked, q)
	app, known := s.apps[q.Get("client_id")]
	as, accounts := s.as, append([]Account{}, s.accounts...)
	s.mu.Unlock()
	switch {
	case !known:
		http.NotFound(w, r)
	case as != "":
		s.decide(w, r, app, q, strings.TrimPrefix(as, Deny))
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, map[string]any{"App": app, "Query": q, "Accounts": accounts})
	}
}

// press is the button on the page.
func (s *Server) press(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	s.mu.Lock()
	app, known := s.apps[r.PostForm.Get("client_id")]
	s.mu.Unlock()
	if !known {
		http.NotFound(w, r)
		return
	}
	s.decide(w, r, app, r.PostForm, r.PostForm.Get("as"))
}

// decide brings the browser back to the app: with a code, or with an error.
func (s *Server) decide(w http.ResponseWriter, r *http.Request, app App, q url.Values, login string) {
	redirect := q.Get("redirect_uri")
	if redirect == "" {
		redirect = app.Callback
	}
	if !under(app.Callback, redirect) {
		back(w, r, app.Callback, q, url.Values{"error": {"redirect_uri_mismatch"}, "error_uri": {docs + "#redirect-uri-mismatch"},
			"error_description": {"The redirect_uri MUST match the registered callback URL for this application."}})
		return
	}
	if q.Get("code_challenge") != "" && q.Get("code_challenge_method") != "S256" {
		http.Error(w, "code_challenge_method must be S256", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	account, ok := s.account(login)
	if !ok {
		back(w, r, redirect, q, url.Values{"error": {"access_denied"}, "error_uri": {docs + "#access-denied"},
			"error_description": {"The user has denied your application access."}})
		return
	}
	code := secret("")[:20]
	s.codes[code] = grant{app: app, id: account.ID, scopes: strings.FieldsFunc(q.Get("scope"), func(r rune) bool { return r == ' ' || r == ',' }),
		redirect: redirect, challenge: q.Get("code_challenge"), made: time.Now()}
	back(w, r, redirect, q, url.Values{"code": {code}})
}

func back(w http.ResponseWriter, r *http.Request, redirect string, q, answer url.Values) {
	if state := q.Get("state"); state != "" {
		answer.Set("state", state)
	}
	sep := "?"
	if strings.Contains(redirect, "?") {
		sep = "&"
	}
	http.Redirect(w, r, redirect+sep+answer.Encode(), http.StatusFound)
}

// under reports whether redirect is on the callback's host and port, at or below its path.
func under(callback, redirect string) bool {
	c, err1 := url.Parse(callback)
	r, err2 := url.Parse(redirect)
	return err1 == nil && err2 == nil && c.Scheme == r.Scheme && c.Host == r.Host &&
		(r.Path == c.Path || strings.HasPrefix(r.Path, strings.TrimSuffix(c.Path, "/")+"/"))
}

// token is POST /login/oauth/access_token. Errors have status 200.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	s.mu.Lock()
	defer s.mu.Unlock()
	f := r.PostForm
	app, known := s.apps[f.Get("client_id")]
	if !known || subtle.ConstantTimeCompare([]byte(app.ClientSecret), []byte(f.Get("client_secret"))) != 1 {
		answer(w, r, url.Values{"error": {"incorrect_client_credentials"}, "error_uri": {docs + "#incorrect-client-credentials"},
			"error_description": {"The client_id and/or client_secret passed are incorrect."}})
		return
	}
	g, ok := s.codes[f.Get("code")]
	delete(s.codes, f.Get("code"))
	if !ok || g.app.ClientID != app.ClientID || time.Since(g.made) > codeLifetime || !verified(g.challenge, f.Get("code_verifier")) {
		answer(w, r, url.Values{"error": {"bad_verification_code"}, "error_uri": {docs + "#bad-verification-code"},
			"error_description": {"The code passed is incorrect or expired."}})
		return
	}
	if given := f.Get("redirect_uri"); given != "" && given != g.redirect {
		answer(w, r, url.Values{"error": {"redirect_uri_mismatch"}, "error_uri": {docs + "#redirect-uri-mismatch"},
			"error_description": {"The redirect_uri MUST match the registered callback URL for this application."}})
		return
	}
	token := secret("gho_")
	s.tokens[token] = g
	answer(w, r, url.Values{"access_token": {token}, "scope": {strings.Join(g.scopes, ",")}, "token_type": {"bearer"}})
}

func verified(challenge, verifier string) bool {
	if challenge == "" {
		return true
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]) == challenge
}

// answer is a form unless the client accepts JSON, as GitHub does it.
func answer(w http.ResponseWriter, r *http.Request, v url.Values) {
	if !strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		_, _ = w.Write([]byte(v.Encode()))
		return
	}
	flat := map[string]string{}
	for name := range v {
		flat[name] = v.Get(name)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(flat)
}
