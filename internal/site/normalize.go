package site

import (
	"net/http"
	"slices"
	"strings"
)

// Normalize is p with what has one meaning in several spellings in its one
// stored spelling: names in lower case, header names canonical, lists without
// repetitions. What can't be read stays as it is, for Validate to name.
func (p Proxy) Normalize() Proxy {
	p = p.Clone()
	p.Hostname = nameOr(p.Hostname)
	p.TargetURL = targetOr(p.TargetURL)
	for i := range p.Targets {
		p.Targets[i].URL = targetOr(p.Targets[i].URL)
	}
	if p.AuthProxy != "" {
		p.AuthProxy = nameOr(p.AuthProxy)
	}
	p.CustomHeaders = canonical(p.CustomHeaders)
	p.CustomResponseHeaders = canonical(p.CustomResponseHeaders)
	for _, list := range []*[]string{
		&p.AuthRequiredUsers, &p.AuthRequiredEmails, &p.AuthRequiredGroups, &p.AuthAllowedScopes,
		&p.AuthExcludedPaths, &p.OAuthAdminUsers, &p.OAuthUserUsers, &p.OAuthMCPUsers,
		&p.EnabledRoutes, &p.DisabledRoutes, &p.ResourceScopes, &p.UpgradeProtocols,
	} {
		*list = distinct(*list)
	}
	p.AuthAllowedOrigins = lower(distinct(p.AuthAllowedOrigins))
	p.MCPAllowedOrigins = lower(distinct(p.MCPAllowedOrigins))
	return p
}

// Normalize is r with methods in upper and hostnames in lower case, the target
// as it is stored, and an id made from the path where none was given.
func (r Route) Normalize() Route {
	r = r.Clone()
	r.Target = targetOr(r.Target)
	for i, m := range r.Methods {
		r.Methods[i] = strings.ToUpper(m)
	}
	r.Methods = distinct(r.Methods)
	for i, name := range r.ProxyHostnames {
		r.ProxyHostnames[i] = nameOr(name)
	}
	r.ProxyHostnames = distinct(r.ProxyHostnames)
	if r.Auth != nil && r.Auth.AuthType == "" {
		r.Auth.AuthType = AuthOAuth
	}
	if r.ID == "" {
		r.ID = idFromPath(r.PathPattern)
	}
	return r
}

// idFromPath makes a route's id from its path: "/api/v1" gives "api-v1".
func idFromPath(pattern string) string {
	id := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_':
			return c
		case c >= 'A' && c <= 'Z':
			return c + ('a' - 'A')
		}
		return ' '
	}, pattern)
	id = strings.Join(strings.Fields(id), "-")
	id = strings.Trim(id[:min(len(id), 63)], "-_")
	switch {
	case id == "":
		return "root"
	case IsBuiltIn(id):
		return id + "-route"
	}
	return id
}

func nameOr(name string) string {
	if normal, err := NormalizeHostname(name); err == nil {
		return normal
	}
	return name
}

func targetOr(s string) string {
	if t, err := ParseTarget(s); err == nil {
		return t.String()
	}
	return s
}

// canonical leaves two spellings of one name alone: Validate refuses them.
func canonical(headers map[string]string) map[string]string {
	if headers == nil {
		return nil
	}
	out := make(map[string]string, len(headers))
	for name, value := range headers {
		key := http.CanonicalHeaderKey(name)
		if _, twice := out[key]; twice {
			return headers
		}
		out[key] = value
	}
	return out
}

// distinct drops repetitions and keeps nil apart from empty.
func distinct(list []string) []string {
	if list == nil {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func lower(list []string) []string {
	for i, s := range list {
		list[i] = strings.ToLower(s)
	}
	return list
}
