package site

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"

	"gatehouse/internal/fault"
)

func (p *Proxy) checkAccess(broken *fault.Rules) {
	oneOf(broken, "auth_type", p.AuthType, AuthOAuth, AuthNone)
	oneOf(broken, "auth_mode", p.AuthMode, ModeForward, ModeRedirect, ModePassthrough)
	p.checkAuthProxy(broken)
	people(broken, "auth_required_users", p.AuthRequiredUsers, true)
	people(broken, "oauth_admin_users", p.OAuthAdminUsers, false)
	people(broken, "oauth_user_users", p.OAuthUserUsers, true)
	people(broken, "oauth_mcp_users", p.OAuthMCPUsers, true)
	list(broken, "auth_required_emails", p.AuthRequiredEmails, emailRule)
	list(broken, "auth_required_groups", p.AuthRequiredGroups, nameRule)
	list(broken, "auth_allowed_scopes", p.AuthAllowedScopes, scopeRule)
	list(broken, "auth_allowed_origins", p.AuthAllowedOrigins, originRule)
	list(broken, "mcp_allowed_origins", p.MCPAllowedOrigins, originRule)
	list(broken, "auth_excluded_paths", p.AuthExcludedPaths, prefixRule)
	if len(p.AuthRealm) > 128 || strings.ContainsFunc(p.AuthRealm, unquotable) {
		broken.Add("auth_realm", "is at most 128 visible ASCII characters without quotes and backslashes")
	}
}

func (p *Proxy) checkAuthProxy(broken *fault.Rules) {
	if p.AuthProxy == "" {
		return
	}
	normal, err := NormalizeHostname(p.AuthProxy)
	switch {
	case err != nil:
		broken.Add("auth_proxy", "%s", err)
	case normal != p.AuthProxy:
		broken.Add("auth_proxy", "must be written %q", normal)
	case strings.HasPrefix(normal, Wildcard):
		broken.Add("auth_proxy", "is one host, not a wildcard")
	case normal == p.Hostname:
		broken.Add("auth_proxy", "must name another host")
	}
}

// people checks a list of persons. "*" is anyone signed in, and stands alone;
// the list of administrators does not take it.
func people(broken *fault.Rules, path string, names []string, anyone bool) {
	star := slices.Contains(names, "*")
	switch {
	case star && !anyone:
		broken.Add(path, "names administrators one by one; * is not allowed")
	case star && len(names) > 1:
		broken.Add(path, "holds either * (anyone signed in) or names, not both")
	case !star:
		list(broken, path, names, nameRule)
	}
}

func nameRule(s string) string {
	if s == "" || strings.ContainsFunc(s, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) || c == ',' || c == '*' }) {
		return "is a name without spaces, commas and wildcards"
	}
	return ""
}

func emailRule(s string) string {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || domain == "" || strings.Contains(domain, "@") || strings.ContainsFunc(s, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }) {
		return "is an e-mail address, or a glob of one such as *@example.com"
	}
	if _, err := path.Match(s, ""); err != nil {
		return "is no valid glob"
	}
	return ""
}

// scopeRule is RFC 6749's scope-token.
func scopeRule(s string) string {
	if s == "" || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
		return "is a scope: visible ASCII without spaces, quotes and backslashes"
	}
	return ""
}

func originRule(s string) string {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || s != u.Scheme+"://"+u.Host || strings.Contains(s, "*") {
		return "is an origin: http or https, host and, if unusual, port, and nothing behind it"
	}
	return ""
}

// prefixRule is what a path prefix must keep: it is compared with decoded paths,
// so that it can only mean what it shows. An ending of "/*" is one of "/".
func prefixRule(s string) string {
	core := s
	if strings.HasSuffix(s, "/*") {
		core = strings.TrimSuffix(s, "*")
	}
	switch {
	case !strings.HasPrefix(s, "/"):
		return "begins with /"
	case strings.ContainsAny(core, "*?#%") || strings.ContainsFunc(core, unicode.IsSpace):
		return "is a path as it reads decoded, without spaces and query; * may only stand at the end, as /*"
	case !ParsePath(core).Plain:
		return "must not have a dot or empty segment, a semicolon, backslash or control character"
	}
	return ""
}

func unquotable(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }
