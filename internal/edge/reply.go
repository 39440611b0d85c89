package edge

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/page"
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

// page shows a problem to a person; one whom the host's lists refuse sees who they
// are signed in as and where to become somebody else.
func (x *exchange) page(p fault.Problem) {
	n := page.Notice{Title: headline(p), Text: page.Sentence(p.Detail), Code: strconv.Itoa(p.Status) + " " + p.Title, Host: x.visit.Name, RequestID: p.RequestID}
	if d := &x.visit.Verdict; d.ByCookie && d.Outcome == site.Forbid && d.Principal != nil && d.Error == "access_denied" {
		n.User = d.Principal.User
		n.Link = &page.Link{Address: site.PagesPrefix + "start?switch=1&return=" + url.QueryEscape(x.r.URL.RequestURI()), Text: "Use another account"}
	}
	if err := n.Write(x.w, x.r, p.Status); err != nil {
		p.WriteTo(x.w)
	}
}

// headline is what happened, in the words of people who visit.
func headline(p fault.Problem) string {
	switch p.Status {
	case http.StatusForbidden:
		return "You have no access here"
	case http.StatusNotFound:
		return "There is nothing here"
	case http.StatusTooManyRequests:
		return "One moment, please"
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "This page can't be shown now"
	}
	return p.Title
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
