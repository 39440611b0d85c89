package oauth

import (
	"slices"
	"strings"

	"gatehouse/internal/site"
)

// challenge is the WWW-Authenticate value for this request (RFC 6750, RFC
// 9728). code and description are empty where no credential was presented; need
// are the scopes to name, nil: what a client should ask for here.
func (j *judge) challenge(code, description string, need []string) string {
	if need == nil {
		need = j.set.wanted(j.v.Host)
	}
	return Challenge(j.v, need, code, description)
}

// wanted are the scopes that a client is told to ask for: what the resource
// knows without admin, and what this path needs.
func (set *settings) wanted(host *site.Host) []string {
	scopes := resourceScopes(host)
	for _, s := range set.allOf {
		scopes = withScope(scopes, s)
	}
	if len(set.anyOf) > 0 && !slices.ContainsFunc(set.anyOf, func(s string) bool { return slices.Contains(scopes, s) }) {
		scopes = withScope(scopes, set.anyOf[0])
	}
	return scopes
}

// Challenge is a WWW-Authenticate value for v's host: where its metadata is,
// which scopes to ask for and, when a credential was presented, what was wrong
// with it.
func Challenge(v *site.Visit, scopes []string, code, description string) string {
	var b strings.Builder
	b.WriteString("Bearer ")
	if realm := v.Host.Proxy.AuthRealm; realm != "" {
		b.WriteString(`realm="` + quoted(realm) + `", `)
	}
	b.WriteString(`resource_metadata="` + metadataURL(v) + `", scope="` + quoted(strings.Join(scopes, " ")) + `"`)
	if code != "" {
		b.WriteString(`, error="` + quoted(code) + `", error_description="` + quoted(description) + `"`)
	}
	return b.String()
}

// metadataURL is where the metadata of v's resource stands.
func metadataURL(v *site.Visit) string {
	return site.ResourceOf(v.Origin+wellKnownResource, v.Host.Proxy.ResourceEndpoint)
}

// quoted makes s fit into a quoted string of a header.
func quoted(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s)
}
