package oauth

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"gatehouse/internal/site"
)

// What this server offers, before a proxy narrows it.
func allGrantTypes() []string  { return []string{grantCode, grantRefresh, grantDevice, grantExchange} }
func allAuthMethods() []string { return []string{authNone, authBasic, authPost, authKey} }

// grantTypes are those that a host offers to programs that register; authMethods the ways of clients to
// prove themselves there.
func grantTypes(host *site.Host) []string {
	return narrow(allGrantTypes(), host.Proxy.OAuthServerGrantTypes)
}

// offeredGrants are all grant types of a host, with the one that programs can't
// register for: acting without a person is for clients that an administrator made,
// and prove themselves.
func offeredGrants(host *site.Host) []string {
	types := grantTypes(host)
	if offers(host.Proxy.OAuthServerGrantTypes, grantClient) && len(without(authMethods(host), []string{authNone})) > 0 {
		types = append(slices.Clip(types), grantClient)
	}
	return types
}

func authMethods(host *site.Host) []string {
	return narrow(allAuthMethods(), host.Proxy.OAuthServerTokenAuthMethods)
}

// serverScopes are the scopes that the metadata tells of. A proxy may replace
// them for clients that want to read others; what is granted stays what it is.
func serverScopes(host *site.Host) []string {
	p := &host.Proxy
	if p.OAuthServerOverrideDefaults && len(p.OAuthServerScopes) > 0 {
		return p.OAuthServerScopes
	}
	return narrow(resourceScopes(host), p.OAuthServerScopes)
}

func narrow(all, only []string) []string {
	if len(only) == 0 {
		return all
	}
	return intersect(all, only)
}

// serverMetadata is the authorization server's metadata (RFC 8414), under its
// own name and under OpenID's.
func (s *Server) serverMetadata(_ context.Context, r *request) error {
	openID := r.visit.Path.Under(wellKnownOpenID)
	rest := strings.TrimPrefix(strings.TrimPrefix(r.visit.Path.Clean, wellKnownOpenID), wellKnownServer)
	at, ok := s.issuerPlace(r.place)
	if !ok || !endpointPath(r.place.asked, rest) {
		return errNoMetadata()
	}
	doc := s.serverDocument(at)
	if openID {
		doc["subject_types_supported"] = []string{"public"}
		doc["id_token_signing_alg_values_supported"] = []string{"RS256"}
	}
	sendPublic(r.w, "public, max-age=300", doc)
	return nil
}

// endpointPath reports whether a path behind a well-known name is one that
// stands there: none, or the resource endpoint of the host.
func endpointPath(host *site.Host, rest string) bool {
	return rest == "" || rest == "/" || (host.Proxy.ResourceEndpoint != "/" && host.Proxy.ResourceEndpoint != "" && rest == host.Proxy.ResourceEndpoint)
}

func errNoMetadata() *Error {
	return &Error{Code: "not_found", Description: "There is no metadata at this address", Status: http.StatusNotFound}
}

func (s *Server) serverDocument(at place) map[string]any {
	p := &at.host.Proxy
	doc := map[string]any{
		"issuer":                                         at.issuer,
		"scopes_supported":                               serverScopes(at.host),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          offeredGrants(at.host),
		"token_endpoint_auth_methods_supported":          authMethods(at.host),
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
		"resource_indicators_supported":                  true,
	}
	confidential := without(authMethods(at.host), []string{authNone})
	byKey := slices.Contains(confidential, authKey)
	if byKey {
		doc["token_endpoint_auth_signing_alg_values_supported"] = clientAlgs()
	}
	if s.opt.Documents != nil && (byKey || slices.Contains(authMethods(at.host), authNone)) {
		doc["client_id_metadata_document_supported"] = true
	}
	for id, e := range map[string]struct{ name, path, methods string }{
		site.RouteAuthorize:  {"authorization_endpoint", pathAuthorize, ""},
		site.RouteToken:      {"token_endpoint", pathToken, ""},
		site.RouteRegister:   {"registration_endpoint", pathRegister, ""},
		site.RouteJWKS:       {"jwks_uri", pathJWKS, ""},
		site.RouteDeviceCode: {"device_authorization_endpoint", pathDeviceCode, ""},
		site.RouteRevoke:     {"revocation_endpoint", pathRevoke, "revocation_endpoint_auth_methods_supported"},
		site.RouteIntrospect: {"introspection_endpoint", pathIntrospect, "introspection_endpoint_auth_methods_supported"},
	} {
		if slices.Contains(p.DisabledRoutes, id) || !useful(at.host, id) {
			continue
		}
		doc[e.name] = at.issuer + e.path
		switch {
		case e.methods == "":
		case id == site.RouteIntrospect:
			doc[e.methods] = confidential
		default:
			doc[e.methods] = authMethods(at.host)
		}
		if _, told := doc[e.methods]; told && byKey {
			doc[strings.Replace(e.methods, "methods", "signing_alg_values", 1)] = clientAlgs()
		}
	}
	addOwn(doc, p.OAuthServerCustomMetadata, p.OAuthServerOverrideDefaults)
	return doc
}

// useful reports whether anybody could use an endpoint of host, by what its proxy
// leaves of grant types and authentication methods.
func useful(host *site.Host, id string) bool {
	switch id {
	case site.RouteAuthorize:
		return slices.Contains(grantTypes(host), grantCode)
	case site.RouteDeviceCode:
		return slices.Contains(grantTypes(host), grantDevice)
	case site.RouteIntrospect:
		return len(without(authMethods(host), []string{authNone})) > 0
	}
	return true
}

// addOwn adds a proxy's own fields. They replace ours only where the proxy says
// so, and never those that everything rests on.
func addOwn(doc, own map[string]any, replace bool) {
	for name, value := range own {
		if _, ours := doc[name]; (!ours || replace) && !site.FixedServerMetadata(name) {
			doc[name] = value
		}
	}
}

// resourceMetadata is the metadata of the host as a protected resource (RFC
// 9728), at the root and at the path of its endpoint.
func (s *Server) resourceMetadata(_ context.Context, r *request) error {
	rest := strings.TrimPrefix(r.visit.Path.Clean, wellKnownResource)
	host := r.place.asked
	if !endpointPath(host, rest) || !hasEndpoints(host) {
		return errNoMetadata()
	}
	p := &host.Proxy
	doc := map[string]any{
		"resource":                 site.ResourceOf(r.place.origin, p.ResourceEndpoint),
		"authorization_servers":    []string{s.issuerFor(host, r.place.origin)},
		"scopes_supported":         resourceScopes(host),
		"bearer_methods_supported": []string{"header"},
		"resource_name":            r.place.name,
	}
	if p.ResourceDocumentationSuffix != "" {
		doc["resource_documentation"] = r.place.origin + p.ResourceDocumentationSuffix
	}
	for name, value := range p.ResourceCustomMetadata {
		if name != "resource" && name != "authorization_servers" {
			doc[name] = value
		}
	}
	sendPublic(r.w, "public, max-age=300", doc)
	return nil
}

// jwks are the public keys (RFC 7517).
func (s *Server) jwks(_ context.Context, r *request) error {
	sendPublic(r.w, "public, max-age=3600", map[string]any{"keys": s.keys.Load().jwks()})
	return nil
}

func sendPublic(w http.ResponseWriter, cache string, doc any) {
	w.Header().Set("Cache-Control", cache)
	writeJSON(w, http.StatusOK, doc)
}
