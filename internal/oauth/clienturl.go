package oauth

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/fetch"
	"gatehouse/internal/site"
)

// maxClientURL is how long a client's URL may be, in bytes.
const maxClientURL = 512

// isClientURL reports whether a client_id is, or would be, an address.
func isClientURL(id string) bool {
	return strings.HasPrefix(id, "https://") || strings.HasPrefix(id, "http://")
}

// checkClientURL says which rule for the URL of a client metadata document raw
// breaks (OAuth Client ID Metadata Document, section 3); empty: none. Only one
// spelling of each URL passes, for clients are told apart by the text. Loopback
// and, there, http pass where loopback says so.
func checkClientURL(raw string, loopback bool) string {
	switch {
	case len(raw) > maxClientURL:
		return "must have at most 512 bytes"
	case !plainASCII(raw):
		return "must be plain ASCII without spaces, quotes and backslashes"
	case strings.Contains(raw, "#"):
		return "must not have a fragment"
	case strings.Contains(raw, "?"):
		return "must not have a query"
	}
	scheme, rest, _ := strings.Cut(raw, "://")
	authority, _, _ := strings.Cut(rest, "/")
	if strings.Contains(authority, "@") {
		return "must not have a user"
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host != authority || u.Hostname() == "" {
		return "must be a URL with a host"
	}
	if scheme != "https" && (scheme != "http" || !loopback || !fetch.IsLoopback(u.Hostname())) {
		return "must be https"
	}
	if wrong := checkClientHost(u, loopback); wrong != "" {
		return wrong
	}
	path := rest[len(authority):]
	switch {
	case path == "" || path == "/":
		return "must have a path"
	case !site.ParsePath(path).Plain:
		return "must not have dot or empty path segments, nor characters that hide them"
	}
	return ""
}

func checkClientHost(u *url.URL, loopback bool) string {
	name, port := u.Hostname(), u.Port()
	if n, err := strconv.Atoi(port); port != "" && (err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port) || strings.HasSuffix(u.Host, ":") {
		return "must have a port from 1 to 65535, or none"
	}
	if (u.Scheme == "https" && port == "443") || (u.Scheme == "http" && port == "80") {
		return "must leave out the port that its scheme has anyway"
	}
	if a, err := netip.ParseAddr(name); err == nil {
		if a.String() != name || a.Is4In6() || !(fetch.IsGlobal(a) || (loopback && a.IsLoopback())) {
			return "must name a public host"
		}
		return ""
	}
	if fetch.IsLoopback(name) {
		if !loopback || name != strings.ToLower(name) {
			return "must name a public host"
		}
		return ""
	}
	if normal, err := site.NormalizeHostname(name); err != nil || normal != name || strings.Contains(name, "*") || !strings.Contains(name, ".") {
		return "must name a public host, in lower case"
	}
	return ""
}

// plainASCII reports whether s holds only what every reader of URLs takes alike.
func plainASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\\\"<>^`{|}", r) })
}

// checkKeysURL says which rule for a jwks_uri raw breaks; empty: none. It is
// fetched under the same guard as the document that names it.
func checkKeysURL(raw string, loopback bool) string {
	u, err := url.Parse(raw)
	switch {
	case len(raw) > maxRedirectSize || !plainASCII(raw) || err != nil || u.Hostname() == "" || u.Opaque != "":
		return "must be a URL of at most 2048 bytes of plain ASCII"
	case u.User != nil || strings.Contains(u.Host, "@"):
		return "must not have a user"
	case strings.Contains(raw, "#"):
		return "must not have a fragment"
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback || !fetch.IsLoopback(u.Hostname())):
		return "must be https"
	}
	return ""
}

// clientDomain reports whether OAUTH_ALLOWED_CLIENT_DOMAINS admits the host of a
// client's URL, which was checked.
func (s *Server) clientDomain(id string) bool {
	u, err := url.Parse(id)
	return err == nil && (len(s.opt.ClientDomains) == 0 || slices.Contains(s.opt.ClientDomains, u.Hostname()))
}
