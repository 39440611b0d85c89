package site

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"gatehouse/internal/fault"
)

// framing are the headers that say where a message ends and what becomes of the
// connection: the edge's alone, on both sides. Host is with them.
var framing = []string{
	"Host", "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Connection", "Keep-Alive", "Proxy-Connection",
	"Proxy-Authenticate", "Proxy-Authorization", "Upgrade", "Expect", "Http2-Settings",
}

// identity are headers by which targets learn who is asking.
var (
	identity         = []string{"Remote-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Original-Url", "X-Rewrite-Url", "Proxy"}
	identityPrefixes = []string{DefaultHeaderPrefix, "X-Internal-", "X-Remote-"}
)

var (
	headerPrefix = regexp.MustCompile(`^X-([A-Za-z0-9]+-)+$`)
	placeholder  = regexp.MustCompile(`\$\{[^}]*\}?`)
	placeholders = []string{"${user}", "${email}", "${request_id}"}
)

func (p *Proxy) checkHeaders(broken *fault.Rules) {
	headers(broken, "custom_headers", p.CustomHeaders, p.requestHeaderRule)
	headers(broken, "custom_response_headers", p.CustomResponseHeaders, p.responseHeaderRule)
	switch {
	case len(p.AuthHeaderPrefix) > 64 || !headerPrefix.MatchString(p.AuthHeaderPrefix):
		broken.Add("auth_header_prefix", "begins with X- and ends with -, such as X-Auth-")
	case IsUnder(p.AuthHeaderPrefix, "X-Forwarded-") || strings.EqualFold(p.AuthHeaderPrefix, "X-Forwarded-"):
		broken.Add("auth_header_prefix", "must not be X-Forwarded-, which says how a request came")
	}
	if strings.EqualFold(p.AuthCookieName, StickyCookieName) {
		broken.Add("auth_cookie_name", "can't be %s, which keeps browsers at their target", StickyCookieName)
	}
	if !cookieName(p.AuthCookieName) {
		broken.Add("auth_cookie_name", "begins with %s and goes on, if at all, with letters, digits, - and _", DefaultCookieName)
	}
}

func headers(broken *fault.Rules, path string, set map[string]string, rule func(name, value string) string) {
	if len(set) > maxHeaders {
		broken.Add(path, "are at most %d", maxHeaders)
		return
	}
	seen := map[string]bool{}
	for _, name := range sortedKeys(set) {
		where, key := path+"."+name, http.CanonicalHeaderKey(name)
		if seen[key] {
			broken.Add(where, "stands there twice in different spellings")
		}
		seen[key] = true
		if why := headerRule(name, set[name]); why != "" {
			broken.Add(where, "%s", why)
		} else if why := rule(name, set[name]); why != "" {
			broken.Add(where, "%s", why)
		}
	}
}

// headerRule is what any custom header must keep.
func headerRule(name, value string) string {
	switch {
	case !token(name) || len(name) > 128:
		return "is no header name"
	case slices.Contains(framing, http.CanonicalHeaderKey(name)):
		return "frames the message or names the connection and is Gatehouse's to set"
	case len(value) > maxHeader || !httpguts.ValidHeaderFieldValue(value):
		return "has a value with control characters or of over 8192 bytes"
	}
	for _, found := range placeholder.FindAllString(value, -1) {
		if !slices.Contains(placeholders, found) {
			return "may hold only ${user}, ${email} and ${request_id} of what stands in ${}"
		}
	}
	return ""
}

func (p *Proxy) requestHeaderRule(name, _ string) string {
	if Identity(name, p.AuthHeaderPrefix) {
		return "says who is asking and is Gatehouse's to set"
	}
	return ""
}

func (p *Proxy) responseHeaderRule(name, value string) string {
	if strings.EqualFold(name, "Set-Cookie") && strings.HasPrefix(strings.TrimSpace(value), DefaultCookieName) {
		return "must not set a cookie of Gatehouse's"
	}
	if strings.EqualFold(name, "WWW-Authenticate") || strings.EqualFold(name, "Content-Type") {
		return "must not be changed: clients could not read Gatehouse's own refusals on this host"
	}
	return ""
}

// Identity reports whether a request header says who is asking, or is read so by
// some target: what is dropped from clients always and can't be set by hand.
// prefix is the proxy's auth_header_prefix. Case does not count, and _ is as
// good as -, because targets that speak CGI can't tell them apart.
func Identity(name, prefix string) bool {
	name = strings.ReplaceAll(name, "_", "-")
	for _, known := range identity {
		if strings.EqualFold(name, known) {
			return true
		}
	}
	for _, known := range identityPrefixes {
		if IsUnder(name, known) {
			return true
		}
	}
	return prefix != "" && IsUnder(name, prefix)
}

// IsUnder reports whether a header name begins with prefix and goes on, in any case.
func IsUnder(name, prefix string) bool {
	return len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

func cookieName(name string) bool {
	rest, ok := strings.CutPrefix(name, DefaultCookieName)
	return ok && len(name) <= 64 && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

func token(s string) bool { return httpguts.ValidHeaderFieldName(s) }
