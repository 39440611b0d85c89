package edge

import (
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// Every error that the edge itself answers is written in this file: problem
// documents (RFC 9457), a small page for people, and the refusals of RFC 6750.

// problem answers with a problem document or, for browsers, a page.
func (x *exchange) problem(status int, code, detail string) {
	if x.w.status != 0 {
		return // too late: the answer has begun
	}
	x.fail(code, detail)
	p := fault.NewProblem(status, code, detail)
	p.RequestID = x.visit.RequestID
	h := x.w.Header()
	h["Cache-Control"] = []string{"no-store"}
	if x.forPeople() {
		x.page(p)
		return
	}
	p.WriteTo(x.w)
}

// forPeople reports whether a person looks at the answer.
func (x *exchange) forPeople() bool {
	if !readOnly(x.r.Method) {
		return false
	}
	for _, accept := range x.r.Header["Accept"] {
		if strings.Contains(accept, "text/html") {
			return true
		}
	}
	return false
}

var page = template.Must(template.New("error").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Status}} {{.Title}}</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem;color-scheme:light dark}h1{font-size:1.4rem}small{opacity:.7}</style>
</head><body><h1>{{.Status}} {{.Title}}</h1><p>{{.Detail}}</p>{{with .Switch}}<p>You are signed in as <b>{{$.User}}</b>. <a href="{{.}}">Use another account</a></p>{{end}}<p><small>Request {{.RequestID}}</small></p></body></html>
`))

// refused is what the page shows: the problem and, for a person whom the host's
// lists refuse, who they are signed in as and where to become somebody else.
type refused struct {
	fault.Problem
	User, Switch string
}

func (x *exchange) page(p fault.Problem) {
	var b strings.Builder
	shown := refused{Problem: p}
	if d := &x.visit.Verdict; d.ByCookie && d.Outcome == site.Forbid && d.Principal != nil && d.Error == "access_denied" {
		shown.User, shown.Switch = d.Principal.User, site.PagesPrefix+"start?switch=1&return="+url.QueryEscape(x.r.URL.RequestURI())
	}
	if err := page.Execute(&b, shown); err != nil {
		p.WriteTo(x.w)
		return
	}
	h := x.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	x.write(p.Status, b.String())
}

func (x *exchange) write(status int, body string) {
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	_, _ = x.w.Write([]byte(body)) // the client is gone: nobody is left to tell
}

// deny answers for the gate.
func (x *exchange) deny() {
	d := &x.visit.Verdict
	h := x.w.Header()
	h["Cache-Control"] = []string{"no-store"}
	if d.Header != "" {
		h["Www-Authenticate"] = []string{d.Header}
	}
	switch {
	case d.Outcome == site.SignIn:
		h["Location"] = []string{d.Location}
		x.write(http.StatusSeeOther, "")
	case d.Outcome == site.Forbid && x.forPeople():
		p := fault.NewProblem(http.StatusForbidden, d.Error, d.Description)
		p.RequestID = x.visit.RequestID
		x.page(p)
	case d.Outcome == site.Forbid:
		x.refuse(http.StatusForbidden)
	case d.Outcome == site.Wait:
		h["Retry-After"] = []string{strconv.Itoa(site.RetryAfter)}
		x.refuse(http.StatusTooManyRequests)
	default:
		x.refuse(http.StatusUnauthorized)
	}
}

// refuse writes error and description the way OAuth clients read them.
func (x *exchange) refuse(status int) {
	d := &x.visit.Verdict
	body := struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		RequestID   string `json:"request_id"`
	}{d.Error, d.Description, x.visit.RequestID}
	if body.Error == "" {
		body.Error, body.Description = "unauthorized", "sign in or send an access token for this host"
	}
	b, err := json.Marshal(body)
	if err != nil { // three strings: can't happen
		b = []byte(`{"error":"server_error"}`)
	}
	x.w.Header().Set("Content-Type", "application/json")
	x.write(status, string(b))
}
