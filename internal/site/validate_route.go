package site

import (
	"regexp"
	"slices"
	"strings"

	"gatehouse/internal/fault"
)

var routeID = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// Validate is nil when r, normalized, can be stored, else Invalid with every
// rule that it breaks.
func (r Route) Validate() error {
	var broken fault.Rules
	r.checkID(&broken)
	r.checkPath(&broken)
	r.checkTarget(&broken)
	r.checkScope(&broken)
	r.checkAuth(&broken)
	if r.Priority < 0 || r.Priority > 999 {
		broken.Add("priority", "is between 0 and 999")
	}
	if len(r.Description) > maxText {
		broken.Add("description", "is at most %d bytes long", maxText)
	}
	list(&broken, "methods", r.Methods, func(m string) string {
		if !token(m) || m == "CONNECT" {
			return "is a method such as GET; CONNECT is never served"
		}
		return ""
	})
	return broken.Err()
}

func (r *Route) checkID(broken *fault.Rules) {
	if why := idRule(r.ID); why != "" {
		broken.Add("route_id", "%s", why)
	} else if IsBuiltIn(r.ID) {
		broken.Add("route_id", "%q is the id of a built-in route", r.ID)
	}
}

// IsBuiltIn reports whether id is that of a built-in route.
func IsBuiltIn(id string) bool {
	return slices.ContainsFunc(BuiltInRoutes(), func(r Route) bool { return r.ID == id })
}

func (r *Route) checkPath(broken *fault.Rules) {
	oneOf(broken, "match", r.Match, MatchPrefix, MatchExact, MatchRegex)
	switch {
	case r.PathPattern == "":
		broken.Add("path_pattern", "is required")
	case r.Match == MatchRegex:
		if _, err := compilePattern(r.PathPattern); err != nil {
			broken.Add("path_pattern", "%s", err)
		}
		if r.StripPrefix {
			broken.Add("strip_prefix", "needs match prefix")
		}
	default:
		r.checkPlainPattern(broken)
	}
	if r.RewritePath != "" && plainPath(broken, "rewrite_path", r.RewritePath) && r.StripPrefix {
		broken.Add("rewrite_path", "and strip_prefix exclude each other")
	}
}

func (r *Route) checkPlainPattern(broken *fault.Rules) {
	if !plainPath(broken, "path_pattern", r.PathPattern) {
		return
	}
	if strings.HasPrefix(r.PathPattern+"/", PagesPrefix) {
		broken.Add("path_pattern", "must not lie below %s, which is Gatehouse's", PagesPrefix)
	}
	if r.StripPrefix && r.Match == MatchExact {
		broken.Add("strip_prefix", "needs match prefix")
	}
}

func (r *Route) checkTarget(broken *fault.Rules) {
	if r.Target == "" {
		broken.Add("target_value", "is required: %s", errTarget)
		return
	}
	t, err := ParseTarget(r.Target)
	switch {
	case err != nil:
		broken.Add("target_value", "%s", err)
	case t.Kind == TargetInternal && !insideAllowed(t, Ordinary):
		broken.Add("target_value", "%s", errTargetInside)
	}
}

func (r *Route) checkScope(broken *fault.Rules) {
	oneOf(broken, "scope", r.Scope, ScopeGlobal, ScopeProxy)
	switch {
	case r.Scope == ScopeProxy && len(r.ProxyHostnames) == 0:
		broken.Add("proxy_hostnames", "are required with scope proxy")
	case r.Scope == ScopeGlobal && len(r.ProxyHostnames) > 0:
		broken.Add("proxy_hostnames", "must be empty with scope global")
	}
	list(broken, "proxy_hostnames", r.ProxyHostnames, func(name string) string {
		normal, err := NormalizeHostname(name)
		switch {
		case err != nil:
			return err.Error()
		case normal != name:
			return "must be written " + normal
		}
		return ""
	})
}

func (r *Route) checkAuth(broken *fault.Rules) {
	if r.Auth == nil {
		if r.OverrideAuth {
			broken.Add("override_proxy_auth", "needs an auth_config")
		}
		return
	}
	oneOf(broken, "auth_config.auth_type", r.Auth.AuthType, AuthOAuth, AuthNone)
	list(broken, "auth_config.required_scopes", r.Auth.RequiredScopes, scopeRule)
	people(broken, "auth_config.allowed_users", r.Auth.AllowedUsers, true)
	list(broken, "auth_config.allowed_emails", r.Auth.AllowedEmails, emailRule)
	list(broken, "auth_config.allowed_orgs", r.Auth.AllowedOrgs, nameRule)
	if r.Auth.AuthType == AuthNone {
		r.checkOpen(broken)
	}
}

// checkOpen holds the rules for auth_type none: it opens the path, which only a
// route of named proxies may do and only when it says so.
func (r *Route) checkOpen(broken *fault.Rules) {
	switch {
	case r.Scope == ScopeGlobal:
		broken.Add("auth_config.auth_type", "must not be none on a global route, which may only tighten access")
	case !r.OverrideAuth:
		broken.Add("override_proxy_auth", "must be true with auth_type none, which does nothing else")
	}
	if len(r.Auth.RequiredScopes)+len(r.Auth.AllowedUsers)+len(r.Auth.AllowedEmails)+len(r.Auth.AllowedOrgs) > 0 {
		broken.Add("auth_config", "names people or scopes although auth_type is none")
	}
}

func idRule(id string) string {
	if !routeID.MatchString(id) {
		return "is 1 to 63 characters of a-z, 0-9, _ and -, beginning with a letter or digit"
	}
	return ""
}
