package site

import (
	"slices"

	"gatehouse/internal/fault"
)

func (p *Proxy) checkRouting(broken *fault.Rules, role Role) {
	oneOf(broken, "route_mode", p.RouteMode, RoutesAll, RoutesSelective, RoutesNone)
	list(broken, "enabled_routes", p.EnabledRoutes, idRule)
	list(broken, "disabled_routes", p.DisabledRoutes, idRule)
	for i, id := range p.DisabledRoutes {
		if !CanDisable(id, role) {
			broken.Add(at("disabled_routes", i), "%q can't be disabled", id)
		}
	}
}

// CanDisable reports whether a host of this role can do without the route.
// Certificates need ACME's, signing in needs the pages, and the sign-in host all
// that sign-in on any host runs through.
func CanDisable(id string, role Role) bool {
	switch id {
	case RouteACME, RouteGatehouse:
		return false
	case RouteAuthorize, RouteCallback, RouteDevice:
		return role != SignInHost
	}
	return !slices.Contains(pages, id)
}

// checkRole holds the rules of Gatehouse's own two hosts.
func (p *Proxy) checkRole(broken *fault.Rules, role Role) {
	if role == Ordinary {
		return
	}
	for _, f := range []struct {
		path string
		list []string
	}{
		{"oauth_admin_users", p.OAuthAdminUsers}, {"oauth_user_users", p.OAuthUserUsers}, {"oauth_mcp_users", p.OAuthMCPUsers},
	} {
		if f.list != nil {
			broken.Add(f.path, "has no say here: rights over Gatehouse come from the OAUTH_*_USERS variables and local accounts")
		}
	}
	if p.AuthProxy != "" {
		broken.Add("auth_proxy", "can't be set: this host is its own issuer")
	}
	if p.ResourceEndpoint == "" {
		broken.Add("resource_endpoint", "can't be empty here: tokens for the API name it")
	}
	if p.TLSMode == TLSPassthrough {
		broken.Add("tls_mode", "must be terminate here")
	}
	if len(p.Targets) > 0 {
		broken.Add("targets", "can't be set here: the API is one")
	}
	if role == SignInHost && p.TargetURL != InternalAPI {
		broken.Add("target_url", "must stay %s on the sign-in host", InternalAPI)
	}
	if role == SignInHost && len(p.CustomResponseHeaders) > 0 {
		broken.Add("custom_response_headers", "can't be set on the sign-in host")
	}
}
