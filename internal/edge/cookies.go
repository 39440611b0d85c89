package edge

import (
	"net/http"
	"strings"

	"gatehouse/internal/site"
)

// plainCookieName is the session cookie's name over plain HTTP on loopback,
// where browsers refuse the __Host- prefix.
const plainCookieName = "gatehouse"

// ownCookie reports whether a cookie is ours on a host: never a target's business.
func ownCookie(name, configured string) bool {
	if configured != "" && (strings.EqualFold(name, configured) || strings.EqualFold(name, strings.TrimPrefix(configured, "__Host-"))) {
		return true
	}
	rest, ok := cutFold(name, site.DefaultCookieName)
	if !ok {
		rest, ok = cutFold(name, plainCookieName)
	}
	return ok && (rest == "" || rest[0] == '-' || rest[0] == '_')
}

func cutFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// cookieName is the name in a pair. Browsers take "=a=b" for a cookie without a
// name, and send it back as one called a.
func cookieName(pair string) string {
	name, _, _ := strings.Cut(strings.TrimLeft(pair, " \t="), "=")
	return strings.Trim(name, " \t")
}

// hasOwnCookie reports whether one of the Cookie headers holds a cookie of ours.
func hasOwnCookie(lines []string, configured string) bool {
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			if ownCookie(cookieName(pair), configured) {
				return true
			}
		}
	}
	return false
}

// dropOwnCookies removes our cookies from a request; others stay as they are.
func dropOwnCookies(h http.Header, configured string) {
	lines := h["Cookie"]
	if !hasOwnCookie(lines, configured) {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		var pairs []string
		for pair := range strings.SplitSeq(line, ";") {
			if !ownCookie(cookieName(pair), configured) {
				pairs = append(pairs, strings.Trim(pair, " \t"))
			}
		}
		if len(pairs) > 0 {
			kept = append(kept, strings.Join(pairs, "; "))
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

// dropOwnSetCookies keeps a target from setting our cookies.
func dropOwnSetCookies(h http.Header, configured string) {
	lines := h["Set-Cookie"]
	kept := lines[:0]
	for _, line := range lines {
		pair, _, _ := strings.Cut(line, ";")
		if !ownCookie(cookieName(pair), configured) {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Set-Cookie")
		return
	}
	h["Set-Cookie"] = kept
}
