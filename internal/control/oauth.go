package control

import (
	"context"
	"slices"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
)

// ClientView is a registered OAuth client, without its secrets.
type ClientView struct {
	ID              string     `json:"client_id"`
	Name            string     `json:"client_name,omitempty"`
	Issuer          string     `json:"issuer" jsonschema:"the issuer that took the registration, where alone it counts"`
	RedirectURIs    []string   `json:"redirect_uris"`
	GrantTypes      []string   `json:"grant_types"`
	AuthMethod      string     `json:"token_endpoint_auth_method"`
	ApplicationType string     `json:"application_type,omitempty"`
	URI             string     `json:"client_uri,omitempty"`
	Scope           string     `json:"scope,omitempty"`
	Known           string     `json:"known" jsonschema:"how it is known: registered, builtin or url"`
	ByAdmin         bool       `json:"made_by_admin" jsonschema:"an administrator made it: it may act for itself, with scope, and does not expire"`
	CreatedAt       time.Time  `json:"created_at"`
	CreatedFrom     string     `json:"created_from,omitempty" jsonschema:"address that registered it"`
	LastUsed        *time.Time `json:"last_used,omitempty"`
}

func clientView(c oauth.Client) ClientView {
	return ClientView{ID: c.ID, Name: c.Name, Issuer: c.Issuer, RedirectURIs: none(c.RedirectURIs), GrantTypes: none(c.GrantTypes), AuthMethod: c.AuthMethod,
		ApplicationType: c.ApplicationType, URI: c.URI, Scope: c.Scope, Known: c.Known, ByAdmin: c.Admin, CreatedAt: c.CreatedAt, CreatedFrom: c.CreatedFrom, LastUsed: moment(c.LastUsed)}
}

// ClientName is the argument of what concerns one client.
type ClientName struct {
	ID string `json:"id" required:"true" jsonschema:"the client_id"`
}

// ClientTokens is the argument of list_client_tokens.
type ClientTokens struct {
	ID string `json:"id" required:"true" jsonschema:"the client_id"`
	Paging
}

// ListClients answers the registered clients.
func (c *Control) ListClients(ctx context.Context, in Paging) (Page[ClientView], error) {
	clients, err := c.deps.OAuth.Clients(ctx)
	if err != nil {
		return Page[ClientView]{}, err
	}
	return viewsOf(in, clients, all, clientView, func(v ClientView) string { return v.ID })
}

// GetClient answers one registered client.
func (c *Control) GetClient(ctx context.Context, in ClientName) (ClientView, error) {
	client, err := c.deps.OAuth.Client(ctx, in.ID)
	if err != nil {
		return ClientView{}, err
	}
	return clientView(client), nil
}

// ClientTokens answers the grants of one client.
func (c *Control) ClientTokens(ctx context.Context, in ClientTokens) (Page[GrantView], error) {
	return c.grants(ctx, in.Paging, "", func(g oauth.Grant) bool { return g.ClientID == in.ID })
}

// DeleteClient removes a client and ends all that it was granted.
func (c *Control) DeleteClient(ctx context.Context, in ClientName) (Done, error) {
	client, err := c.deps.OAuth.Client(ctx, in.ID)
	if err != nil {
		return Done{}, err
	}
	noted(ctx, "oauth:client:"+in.ID, clientView(client), nil)
	return Done{true}, c.deps.OAuth.DeleteClient(ctx, in.ID)
}

// SessionView is a browser's session on one host.
type SessionView struct {
	ID        string    `json:"id"`
	Host      string    `json:"host"`
	Origin    string    `json:"origin"`
	Parent    string    `json:"parent,omitempty" jsonschema:"the session on the sign-in host that it ends with"`
	User      string    `json:"user"`
	Subject   string    `json:"subject"`
	Provider  string    `json:"provider"`
	CreatedAt time.Time `json:"created_at"`
	LastSeen  time.Time `json:"last_seen"`
	Address   string    `json:"address,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
}

func sessionView(s oauth.Session) SessionView {
	return SessionView{ID: s.ID, Host: s.Host, Origin: s.Origin, Parent: s.Parent, User: s.Person.User, Subject: s.Person.Subject, Provider: s.Person.Provider,
		CreatedAt: s.CreatedAt, LastSeen: s.LastSeen, Address: s.Address, UserAgent: s.UserAgent}
}

// SessionName is the argument of what concerns one session.
type SessionName struct {
	ID string `json:"id" required:"true" jsonschema:"the session"`
}

// HostSessions is the argument of list_proxy_sessions.
type HostSessions struct {
	Host string `json:"host" required:"true" jsonschema:"the host"`
	Paging
}

// ListSessions answers the caller's own browser sessions; for administrators all.
func (c *Control) ListSessions(ctx context.Context, in Paging) (Page[SessionView], error) {
	subject, err := c.ownSubject(ctx)
	if err != nil {
		return Page[SessionView]{}, err
	}
	return c.sessions(ctx, in, subject, func(oauth.Session) bool { return true })
}

// HostSessions answers the browser sessions on one host.
func (c *Control) HostSessions(ctx context.Context, in HostSessions) (Page[SessionView], error) {
	name := normal(in.Host)
	if _, err := c.proxies.Get(ctx, name); err != nil {
		return Page[SessionView]{}, err
	}
	serves := c.world().Host(name)
	return c.sessions(ctx, in.Paging, "", func(s oauth.Session) bool { return c.world().Find(s.Host) == serves })
}

// sessionsOn are the sessions on a host, of a wildcard those on all its names.
func (c *Control) sessionsOn(ctx context.Context, hostname string) ([]oauth.Session, error) {
	all, err := c.deps.OAuth.Sessions(ctx, "")
	serves := c.world().Host(hostname)
	return slices.DeleteFunc(all, func(s oauth.Session) bool { return c.world().Find(s.Host) != serves }), err
}

func (c *Control) sessions(ctx context.Context, in Paging, subject string, with func(oauth.Session) bool) (Page[SessionView], error) {
	sessions, err := c.deps.OAuth.Sessions(ctx, subject)
	if err != nil {
		return Page[SessionView]{}, err
	}
	return viewsOf(in, sessions, with, sessionView, func(v SessionView) string { return v.ID })
}

// EndSession ends a browser's session, and with one on the sign-in host all that
// hang on it.
func (c *Control) EndSession(ctx context.Context, in SessionName) (Done, error) {
	all, err := c.deps.OAuth.Sessions(ctx, "")
	if err != nil {
		return Done{}, err
	}
	i := slices.IndexFunc(all, func(s oauth.Session) bool { return s.ID == in.ID })
	if i < 0 {
		return Done{}, fault.New(fault.NotFound, "there is no session %q", in.ID)
	}
	noted(ctx, "oauth:session:"+in.ID, sessionView(all[i]), nil)
	return Done{true}, c.deps.OAuth.EndSession(ctx, in.ID)
}

// ProtectedHost is a host that the authorization server speaks for.
type ProtectedHost struct {
	Hostname    string `json:"proxy_hostname"`
	AuthEnabled bool   `json:"auth_enabled"`
	AuthMode    string `json:"auth_mode,omitempty" jsonschema:"for administrators"`
	Issuer      string `json:"issuer,omitempty" jsonschema:"empty for wildcards, whose names have one each"`
	Resource    string `json:"resource,omitempty"`
}

// ListProtectedHosts answers the hosts that the authorization server speaks for.
func (c *Control) ListProtectedHosts(ctx context.Context, in Paging) (Page[ProtectedHost], error) {
	hosts, full := []ProtectedHost{}, c.admin(ctx)
	for _, host := range c.world().Hosts() {
		if host.Protected() || host.Role != site.Ordinary {
			status := ProxyStatus{Hostname: host.Proxy.Hostname, Origins: c.origins(host.Proxy)}
			c.describe(&status, host)
			view := ProtectedHost{Hostname: host.Proxy.Hostname, AuthEnabled: host.Proxy.AuthEnabled, Issuer: status.Issuer, Resource: status.Resource}
			if full {
				view.AuthMode = host.Proxy.AuthMode
			}
			hosts = append(hosts, view)
		}
	}
	return pageOf(in, hosts, func(h ProtectedHost) string { return h.Hostname })
}

// OAuthStatus is how the authorization server stands.
type OAuthStatus struct {
	Clients  int         `json:"clients"`
	Grants   int         `json:"grants"`
	Sessions int         `json:"sessions"`
	Users    int         `json:"users" jsonschema:"local accounts"`
	Keys     []oauth.Key `json:"keys" jsonschema:"signing keys, oldest first"`
}

// OAuthStatus answers how the authorization server stands.
func (c *Control) OAuthStatus(ctx context.Context, _ Nothing) (OAuthStatus, error) {
	out := OAuthStatus{Keys: c.deps.OAuth.Keys()}
	for _, count := range []struct {
		into *int
		of   func() (int, error)
	}{
		{&out.Clients, counting(func() ([]oauth.Client, error) { return c.deps.OAuth.Clients(ctx) })},
		{&out.Grants, counting(func() ([]oauth.Grant, error) { return c.deps.OAuth.Grants(ctx, "") })},
		{&out.Sessions, counting(func() ([]oauth.Session, error) { return c.deps.OAuth.Sessions(ctx, "") })},
		{&out.Users, counting(func() ([]oauth.User, error) { return c.deps.OAuth.Users(ctx) })},
	} {
		n, err := count.of()
		if err != nil {
			return out, err
		}
		*count.into = n
	}
	return out, nil
}

func counting[T any](list func() ([]T, error)) func() (int, error) {
	return func() (int, error) {
		all, err := list()
		return len(all), err
	}
}

// OAuthHealth is whether tokens can be made and checked.
type OAuthHealth struct {
	Status string `json:"status" jsonschema:"healthy, or degraded"`
	Key    string `json:"kid" jsonschema:"the key that signs now"`
	Store  string `json:"store" jsonschema:"ok, or what is wrong with it"`
}

// OAuthHealth answers whether tokens can be made and checked.
func (c *Control) OAuthHealth(ctx context.Context, _ Nothing) (OAuthHealth, error) {
	out := OAuthHealth{Status: "healthy", Store: c.storeState(ctx)}
	for _, key := range c.deps.OAuth.Keys() {
		if key.Signs {
			out.Key = key.ID
		}
	}
	if out.Store != "ok" || out.Key == "" {
		out.Status = "degraded"
	}
	return out, nil
}

// GenerateKey is the argument of generate_oauth_key.
type GenerateKey struct {
	Now    bool `json:"now,omitempty" jsonschema:"sign with it at once, not in an hour when all who cache keys have it"`
	Revoke bool `json:"revoke,omitempty" jsonschema:"drop the old keys, and all tokens with them"`
}

// GenerateKey makes a new signing key.
func (c *Control) GenerateKey(ctx context.Context, in GenerateKey) (oauth.Key, error) {
	key, err := c.deps.OAuth.GenerateKey(ctx, in.Now, in.Revoke)
	noted(ctx, "oauth:keys", nil, key)
	return key, err
}
