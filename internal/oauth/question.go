package oauth

import (
	"net/http"
	"net/url"
	"strings"

	"gatehouse/internal/site"
)

// question is what another proxy asks about at /verify, as its headers say it.
type question struct {
	name   string // normalized hostname
	method string
	uri    string // path and query as they came
	secure bool

	url  *url.URL
	path site.Path
}

// readQuestion reads X-Forwarded-Host, -Proto, -Method and -Uri or what else
// proxies call them. It trusts that the proxy set those, but not that it took
// away what its client sent under the other names: two names or two lines that
// say different things are no question, and nothing that decides has a default
// which its client could choose. What could be read is answered with a refusal
// too, for the log.
func readQuestion(h http.Header) (question, *Error) {
	var q question
	host, ok := said(h, "X-Forwarded-Host")
	name, err := site.NormalizeHostname(withoutPort(host))
	if !ok || err != nil {
		return q, unreadable("unknown_host", "X-Forwarded-Host must name the host that was asked for, once")
	}
	q.name = name
	if q.method, ok = said(h, "X-Forwarded-Method", "X-Original-Method"); !ok || !isMethod(q.method) {
		q.method = ""
		return q, unreadable("unreadable_method", "X-Forwarded-Method must be the method that was asked for, and X-Original-Method, if it is sent, the same")
	}
	proto, ok := said(h, "X-Forwarded-Proto")
	switch strings.ToLower(proto) {
	case "", "https", "wss": // Traefik's word for a WebSocket
		q.secure = true
	case "http", "ws":
	default:
		ok = false
	}
	if !ok {
		return q, unreadable("unreadable_proto", "X-Forwarded-Proto must be https or http, once")
	}
	if !q.readURI(h) {
		return q, unreadable("unreadable_uri", "X-Forwarded-Uri must be the path and query that were asked for, as they came; X-Original-Uri and X-Original-Url, if they are sent, the same")
	}
	return q, nil
}

func unreadable(reason, description string) *Error {
	return &Error{Code: errorDenied, Description: description, Status: http.StatusForbidden, Reason: reason}
}

// said is the one value that the headers of these names give; empty when there
// are none. ok is false where they differ, or one is there twice.
func said(h http.Header, names ...string) (value string, ok bool) {
	for _, name := range names {
		lines := h[name]
		switch {
		case len(lines) == 0 || (len(lines) == 1 && lines[0] == ""):
		case len(lines) > 1, value != "" && lines[0] != value:
			return "", false
		default:
			value = lines[0]
		}
	}
	return value, true
}

// isMethod reports whether s can be a method. Those with a meaning here are in
// upper case; others are only not GET, HEAD or OPTIONS.
func isMethod(s string) bool {
	return s != "" && len(s) <= 32 && !strings.ContainsFunc(s, func(c rune) bool { return (c < 'A' || c > 'Z') && c != '-' })
}

// readURI reads the path and query that were asked for.
func (q *question) readURI(h http.Header) bool {
	raw, ok := said(h, "X-Forwarded-Uri", "X-Original-Uri")
	whole, ok2 := said(h, "X-Original-Url")
	if !ok || !ok2 {
		return false
	}
	if whole != "" {
		rest := pathOf(whole)
		if raw != "" && raw != rest {
			return false
		}
		raw = rest
	}
	if len(raw) == 0 || len(raw) > maxBody || raw[0] != '/' || strings.ContainsFunc(raw, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return false
	}
	path, query, _ := strings.Cut(raw, "?")
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return false
	}
	q.uri, q.path = raw, site.ParsePath(path)
	q.url = &url.URL{Path: decoded, RawPath: path, RawQuery: query}
	return true
}

// pathOf is the path and query of an absolute address, byte for byte.
func pathOf(address string) string {
	_, rest, ok := strings.Cut(address, "://")
	if !ok {
		return ""
	}
	if i := strings.IndexAny(rest, "/?#"); i > 0 && rest[i] == '/' {
		return rest[i:]
	}
	return ""
}

func withoutPort(host string) string {
	name, _, _ := strings.Cut(host, ":")
	return strings.TrimSuffix(name, ".")
}
