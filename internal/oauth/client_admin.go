package oauth

import (
	"context"
	"slices"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// NewClient is what an administrator says of a confidential client: one that can
// keep a secret, and may act for itself with the scopes that it is given.
type NewClient struct {
	Name         string
	Host         string   // a protected host, whose issuer the client is for; or
	Issuer       string   // that issuer itself
	Scopes       []string // that it may have for itself, as far as lists name client:ID
	GrantTypes   []string // none: client_credentials
	RedirectURIs []string // for authorization_code
	AuthMethod   string   // how it proves itself; empty: client_secret_basic
	JWKS         []byte   // with private_key_jwt: its public keys (RFC 7517), or
	JWKSURI      string   // where they stand
}

// CreateClient makes a confidential client and its secret, which nobody can read
// again; there is none for a client that proves itself by a key. Such a client
// lives until it is removed. Invalid: which rules are broken.
func (s *Server) CreateClient(ctx context.Context, n NewClient) (c Client, secret string, err error) {
	if c, err = s.checkClient(n); err != nil {
		return c, "", err
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return c, "", err
	}
	c.ID, c.Known, c.Admin, c.CreatedAt = newID(), knownRegistered, true, now
	if c.AuthMethod != authKey {
		secret = newSecret()
		c.SecretHash = hashed(secret)
	}
	if _, err = s.clients.Create(ctx, c.ID, c, s.clientLife(&c)); err != nil {
		return c, "", err
	}
	return c.public(), secret, nil
}

// checkClient reports which rules a new client breaks, and makes its record.
func (s *Server) checkClient(n NewClient) (Client, error) {
	var broken fault.Rules
	c := Client{Name: clipName(n.Name), AuthMethod: n.AuthMethod, GrantTypes: n.GrantTypes, Scope: strings.Join(n.Scopes, " ")}
	if c.Name == "" || c.Name != n.Name {
		broken.Add("name", "is 1 to 100 visible characters")
	}
	issuer, host := s.clientIssuer(n, &broken)
	if c.Issuer = issuer; host == nil {
		return c, broken.Err()
	}
	if c.AuthMethod == "" {
		c.AuthMethod = authBasic
	}
	if offered := without(authMethods(host), []string{authNone}); !slices.Contains(offered, c.AuthMethod) {
		broken.Add("token_endpoint_auth_method", "is one of %s", strings.Join(offered, ", "))
	}
	c.checkKeys(n, s.opt.ClientLoopback, &broken)
	c.checkGrants(n.RedirectURIs, host, &broken)
	s.checkClientScopes(n.Scopes, c.may(grantClient), &broken)
	return c, broken.Err()
}

// clientIssuer is the issuer that a new client is for, and the host that it is.
func (s *Server) clientIssuer(n NewClient, broken *fault.Rules) (string, *site.Host) {
	world, name, issuer, field := s.opt.World(), n.Host, n.Issuer, "proxy_hostname"
	switch {
	case (name == "") == (issuer == ""):
		broken.Add(field, "or issuer must be given, one of the two: registrations count at one issuer")
		return "", nil
	case issuer != "":
		name, field = hostOf(issuer), "issuer"
	}
	host := world.Find(strings.ToLower(name))
	if host == nil || !hasEndpoints(host) {
		broken.Add(field, "names no host that is served here with sign-in or a resource endpoint")
		return "", nil
	}
	if issuer == "" {
		issuer = s.issuerFor(host, world.Origins.Of(strings.ToLower(name), true))
	}
	at := world.Find(hostOf(issuer))
	switch {
	case issuer == s.opt.FixedIssuer && at == nil:
		return issuer, host
	case at == nil || !s.issues(at, issuer):
		broken.Add(field, "names no issuer: %s is none", issuer)
		return "", nil
	}
	return issuer, at
}

// issues reports whether the endpoints of host speak for issuer.
func (s *Server) issues(host *site.Host, issuer string) bool {
	if s.opt.FixedIssuer != "" {
		return issuer == s.opt.FixedIssuer
	}
	return hasEndpoints(host) && s.ownIssuer(issuer)
}

// checkKeys checks the keys of a client that proves itself by them.
func (c *Client) checkKeys(n NewClient, loopback bool, broken *fault.Rules) {
	wanted, given := c.AuthMethod == authKey, len(n.JWKS) > 0
	switch {
	case wanted && given == (n.JWKSURI != ""), !wanted && (given || n.JWKSURI != ""):
		broken.Add("jwks", "or jwks_uri goes with private_key_jwt: one of the two, and neither with other methods")
	case given:
		if _, wrong := readKeys(n.JWKS); wrong != "" {
			broken.Add("jwks", "%s", wrong)
		}
	case wanted:
		if wrong := checkKeysURL(n.JWKSURI, loopback); wrong != "" {
			broken.Add("jwks_uri", "%s", wrong)
		}
	}
	c.JWKS, c.JWKSURI = n.JWKS, n.JWKSURI
}

// checkGrants checks what a client may begin with, and where codes may go.
func (c *Client) checkGrants(redirects []string, host *site.Host, broken *fault.Rules) {
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{grantClient}
	}
	offered := offeredGrants(host)
	if unknown := without(c.GrantTypes, offered); len(unknown) > 0 {
		broken.Add("grant_types", "may hold %s", strings.Join(offered, ", "))
	} else if !c.may(grantClient) && !c.may(grantCode) && !c.may(grantDevice) {
		broken.Add("grant_types", "needs one that a client can begin with")
	}
	if c.may(grantCode) {
		c.ResponseTypes = []string{"code"}
	}
	if c.may(grantCode) != (len(redirects) > 0) || len(redirects) > maxRedirects {
		broken.Add("redirect_uris", "go with authorization_code: 1 to %d of them, else none", maxRedirects)
	}
	for _, uri := range redirects {
		if wrong := checkRedirect(uri); wrong != "" {
			broken.Add("redirect_uris", "%s", wrong)
		}
		c.RedirectURIs = withScope(c.RedirectURIs, uri)
	}
}

// checkClientScopes checks the scopes that a client may have for itself: some
// resource must know each.
func (s *Server) checkClientScopes(scopes []string, needed bool, broken *fault.Rules) {
	switch {
	case needed && len(scopes) == 0:
		broken.Add("scopes", "must name what the client may have for itself, because it has client_credentials")
	case !needed && len(scopes) > 0:
		broken.Add("scopes", "are what a client has for itself: only with client_credentials")
	}
	known := slices.Clone(ownScopes)
	for _, host := range s.opt.World().Hosts() {
		known = append(known, host.Proxy.ResourceScopes...)
	}
	for _, scope := range without(scopes, known) {
		broken.Add("scopes", "%q is a scope of no resource here", scope)
	}
}
