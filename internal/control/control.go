// Package control is what Gatehouse can be asked to do: every operation once,
// whichever door it comes through. The HTTP API, the MCP server, the console and
// the command line all hand an argument struct to an Operation and get its
// answer; routing, decoding, schemas, the scope check and the audit entry come
// from the one list below.
//
// What a proxy or a route may hold is package site's to say, what stands in the
// store package store's, who is who package oauth's. Streams (events, following
// the log, a compliance test) are no operations: they are handlers of package api.
package control

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/roster"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

const (
	get  = http.MethodGet
	post = http.MethodPost
	put  = http.MethodPut
	del  = http.MethodDelete
)

// list is the table of contents of the product.
func (c *Control) list() []*Operation {
	return []*Operation{
		op("health_check", get, "/health", Public, "Whether this node serves; details for those who may read.", c.Health),
		op("get_info", get, "/system/info", User, "What this installation is and where its store stands.", c.Info),
		op("get_version", get, "/system/version", User, "The version of Gatehouse that runs.", c.Version),
		op("get_stats", get, "/system/stats", User, "Counts of what there is, and the process's memory.", c.Stats),
		op("list_nodes", get, "/system/nodes", User, "The nodes that share this store.", c.Nodes),
		op("get_store_info", get, "/store/info", Admin, "Where the state is and how much of it there is.", c.StoreInfo),
		op("list_store_keys", get, "/store/keys", Admin, "The keys of the store.", c.ListStoreKeys),
		op("get_store_key", get, "/store/keys/{key}", Admin, "One key of the store, secrets masked.", c.GetStoreKey),
		op("accept_store", post, "/store/accept", Admin, "Take what is in Redis now, when it has come back empty or with other data.", c.AcceptStore),
		op("push_store", post, "/store/push", Admin, "Write what this node has into a Redis that has come back empty.", c.PushStore),
		op("export_config", get, "/config/export", Admin, "All proxies and routes as one document, without secrets.", c.ExportConfig),
		op("import_config", post, "/config/import", Admin, "Make proxies and routes from an exported document.", c.ImportConfig),

		op("list_proxies", get, "/proxies/", User, "The hosts that are served.", c.ListProxies),
		op("create_proxy", post, "/proxies/", Admin, "Start serving a host.", c.CreateProxy),
		op("get_proxy", get, "/proxies/{hostname}", User, "One host with its settings.", c.GetProxy),
		op("update_proxy", put, "/proxies/{hostname}", Admin, "Change settings of a host; what is not named stays, null is the default.", c.UpdateProxy),
		op("delete_proxy", del, "/proxies/{hostname}", Admin, "Stop serving a host.", c.DeleteProxy),
		op("explain_proxy", post, "/proxies/{hostname}/explain", Admin, "Which route and which access decision a request would meet, step by step; nothing is sent.", c.ExplainProxy),
		op("get_proxy_status", get, "/proxies/{hostname}/status", User, "Whether and how a host is served now.", c.ProxyStatus),

		op("get_proxy_auth", get, "/proxies/{hostname}/auth", Admin, "A host's access settings.", c.GetAuth),
		op("set_proxy_auth", post, "/proxies/{hostname}/auth", Admin, "Set access settings of a host; switches sign-in on unless auth_enabled says otherwise.", c.SetAuth),
		op("clear_proxy_auth", del, "/proxies/{hostname}/auth", Admin, "Put a host's access settings back to their defaults: no sign-in.", c.ClearAuth),
		op("get_proxy_resource", get, "/proxies/{hostname}/resource", Admin, "A host's protected-resource settings.", c.GetResource),
		op("set_proxy_resource", post, "/proxies/{hostname}/resource", Admin, "Set protected-resource settings of a host.", c.SetResource),
		op("clear_proxy_resource", del, "/proxies/{hostname}/resource", Admin, "Put a host's protected-resource settings back to their defaults.", c.ClearResource),
		op("get_proxy_oauth_server", get, "/proxies/{hostname}/oauth-server", Admin, "What a host's authorization-server metadata narrows or adds.", c.GetOAuthServer),
		op("set_proxy_oauth_server", post, "/proxies/{hostname}/oauth-server", Admin, "Set what a host's authorization-server metadata narrows or adds.", c.SetOAuthServer),
		op("clear_proxy_oauth_server", del, "/proxies/{hostname}/oauth-server", Admin, "Put a host's authorization-server metadata back to its default.", c.ClearOAuthServer),
		op("get_proxy_github", get, "/proxies/{hostname}/github-oauth", Admin, "A host's own GitHub App, without its secret.", c.GetGitHub),
		op("set_proxy_github", post, "/proxies/{hostname}/github-oauth", Admin, "Give a host its own GitHub App.", c.SetGitHub),
		op("clear_proxy_github", del, "/proxies/{hostname}/github-oauth", Admin, "Let a host use the installation's GitHub App again.", c.ClearGitHub),
		op("list_github_proxies", get, "/proxies/github-oauth/configured", Admin, "The hosts with a GitHub App of their own.", c.GitHubConfigured),
		op("list_oauth_server_proxies", get, "/proxies/oauth-servers/configured", Admin, "The hosts whose authorization-server metadata was changed.", c.OAuthServersConfigured),

		op("list_proxy_routes", get, "/proxies/{hostname}/routes", User, "The routes of a host, in the order in which they are tried.", c.ListProxyRoutes),
		op("set_proxy_routes", put, "/proxies/{hostname}/routes", Admin, "Choose which routes apply to a host.", c.SetProxyRoutes),
		op("enable_proxy_route", post, "/proxies/{hostname}/routes/{route_id}/enable", Admin, "Let a route apply to a host.", c.EnableProxyRoute),
		op("disable_proxy_route", post, "/proxies/{hostname}/routes/{route_id}/disable", Admin, "Keep a route from a host.", c.DisableProxyRoute),

		op("list_routes", get, "/routes/", User, "All routes, the built-in ones too.", c.ListRoutes),
		op("create_route", post, "/routes/", Admin, "Send a path of some hosts somewhere else.", c.CreateRoute),
		op("get_route", get, "/routes/{id}", User, "One route.", c.GetRoute),
		op("update_route", put, "/routes/{id}", Admin, "Change a route; what is not named stays, null is the default.", c.UpdateRoute),
		op("delete_route", del, "/routes/{id}", Admin, "Remove a route.", c.DeleteRoute),

		op("list_mcp_servers", get, "/mcp-servers/", User, "The hosts with an MCP endpoint, and how often tools were called there.", c.ListMCPServers),
		op("list_mcp_tools", get, "/mcp-servers/{hostname}/tools", User, "The tools that were asked for at an MCP endpoint.", c.ListMCPTools),
		op("get_mcp_calls", get, "/mcp-servers/{hostname}/calls", User, "What was called at an MCP endpoint, by whom, and how it ended.", c.GetMCPCalls),

		op("list_certificates", get, "/certificates/", User, "The certificates that are kept.", c.ListCertificates),
		op("create_certificate", post, "/certificates/", Admin, "Obtain a certificate from an authority, and renew it in time.", c.CreateCertificate),
		op("create_multi_domain_certificate", post, "/certificates/multi-domain", Admin, "The same, by its older name.", c.CreateCertificate),
		op("upload_certificate", post, "/certificates/upload", Admin, "Keep a certificate of one's own, with its key.", c.UploadCertificate),
		op("get_certificate", get, "/certificates/{name}", User, "One certificate.", c.GetCertificate),
		op("delete_certificate", del, "/certificates/{name}", Admin, "Remove a certificate; with force also one that hosts are served with.", c.DeleteCertificate),
		op("get_certificate_status", get, "/certificates/{name}/status", User, "How the order for a certificate stands; with wait, as soon as something happens.", c.CertificateStatus),
		op("renew_certificate", post, "/certificates/{name}/renew", Admin, "Renew a certificate that is due, or with force any.", c.RenewCertificate),
		op("convert_certificate", post, "/certificates/{name}/convert-to-production", Admin, "Ask the production authority for a certificate that is one for trials.", c.ConvertCertificate),
		op("export_certificate", post, "/certificates/{name}/export", Admin, "A certificate with its private key; needs a fresh sign-in.", c.ExportCertificate).answersSecret(),

		op("list_ports", get, "/ports/", User, "The ports that hosts and services have of their own.", c.ListPorts),

		op("get_token_info", get, "/tokens/info", User, "Who the caller is.", c.TokenInfo),
		op("list_tokens", get, "/tokens/", User, "The caller's own grants; for administrators all.", c.ListTokens),
		op("revoke_token", del, "/tokens/{id}", Admin, "End a grant, an access token, or all that a client, a person, a session or a host has, at once.", c.RevokeToken),

		op("list_resources", get, "/resources/", User, "The protected resources: what tokens can be for.", c.ListResources),
		op("create_resource", post, "/resources/", Admin, "Make a host that is served a protected resource; switches sign-in on unless auth_enabled says otherwise.", c.CreateResource),
		op("get_resource", get, "/resources/{uri}", User, "One protected resource.", c.ShowResource),
		op("update_resource", put, "/resources/{uri}", Admin, "Change settings of a resource; what is not named stays, null is the default.", c.UpdateResource),
		op("delete_resource", del, "/resources/{uri}", Admin, "Put a host's resource settings back to their defaults; its sign-in stays.", c.DeleteResource),
		op("validate_resource_token", post, "/resources/{uri}/validate-token", Admin, "What the gate makes of an access token at a resource, step by step.", c.ValidateToken),
		op("auto_register_resources", post, "/resources/auto-register", Admin, "Give a resource endpoint to the hosts with sign-in that have none.", c.AutoRegister),

		op("list_clients", get, "/oauth/clients", Admin, "The registered OAuth clients.", c.ListClients),
		op("create_client", post, "/oauth/clients", Admin, "Make a confidential client, which may act for itself; its secret is shown this once.", c.CreateClient).answersSecret(),
		op("get_client", get, "/oauth/clients/{id}", Admin, "One OAuth client.", c.GetClient),
		op("list_client_tokens", get, "/oauth/clients/{id}/tokens", Admin, "What was granted to a client.", c.ClientTokens),
		op("delete_client", del, "/oauth/clients/{id}", Admin, "Remove a client and end all that it was granted.", c.DeleteClient),
		op("list_sessions", get, "/oauth/sessions", User, "The caller's own browser sessions; for administrators all.", c.ListSessions),
		op("end_session", del, "/oauth/sessions/{id}", Admin, "End a browser's session.", c.EndSession),
		op("list_grants", get, "/oauth/tokens", Admin, "What was granted to whom.", c.ListTokens),
		op("get_grant", get, "/oauth/tokens/{id}", Admin, "One grant.", c.GetToken),
		op("list_protected_proxies", get, "/oauth/proxies", User, "The hosts that the authorization server speaks for.", c.ListProtectedHosts),
		op("list_proxy_sessions", get, "/oauth/proxies/{host}/sessions", Admin, "The browser sessions on a host.", c.HostSessions),
		op("get_oauth_status", get, "/oauth/status", Admin, "Counts of clients, grants, sessions and accounts, and the signing keys.", c.OAuthStatus),
		op("get_oauth_metrics", get, "/oauth/metrics", Admin, "Counts of tokens, refusals by reason, sign-ins and other steps over a window.", c.OAuthMetrics),
		op("get_oauth_health", get, "/oauth/health", User, "Whether tokens can be made and checked.", c.OAuthHealth),
		op("generate_oauth_key", post, "/oauth/key/generate", Admin, "Make a new signing key.", c.GenerateKey),
		op("list_users", get, "/oauth/users/", Admin, "The local accounts.", c.ListUsers),
		op("create_user", post, "/oauth/users/", Admin, "Make a local account.", c.CreateUser),
		op("update_user", put, "/oauth/users/{name}", Admin, "Change a local account's password, scopes or e-mail address.", c.UpdateUser),
		op("delete_user", del, "/oauth/users/{name}", Admin, "Remove a local account and end all its sessions and grants.", c.DeleteUser),
		op("list_consents", get, "/oauth/consents", User, "The caller's own remembered approvals; for administrators all.", c.ListConsents),
		op("delete_consent", del, "/oauth/consents", Admin, "Make a client ask a person again.", c.ForgetConsent),
		op("list_github_logins", get, "/oauth/github-logins/", Admin, "The listed GitHub logins and names at the OpenID provider, each bound to the account that signed in under it first.", c.ListLogins),
		op("release_github_login", del, "/oauth/github-logins/{login}", Admin, "Let another account have a listed GitHub login or name at the OpenID provider.", c.ReleaseLogin),
		op("get_oauth_events_by_ip", get, "/oauth/events/ip/{ip}", User, "Entries of the authorization server about an address.", c.OAuthLogs),
		op("get_oauth_events_by_user", get, "/oauth/events/user/{user}", User, "Entries of the authorization server about a person.", c.OAuthLogs),
		op("get_oauth_events_by_proxy", get, "/oauth/events/proxy/{proxy}", User, "Entries of the authorization server about a host.", c.OAuthLogs),

		op("get_logs", get, "/logs/search", User, "The newest entries that match; for callers without admin their own.", c.GetLogs),
		op("get_logs_by_ip", get, "/logs/ip/{ip}", User, "Entries of a client's address.", c.GetLogs),
		op("get_logs_by_host", get, "/logs/host/{proxy}", User, "Entries of a host.", c.GetLogs),
		op("get_logs_by_proxy", get, "/logs/proxy/{proxy}", User, "Entries of a host, by its older name.", c.GetLogs),
		op("get_logs_by_client", get, "/logs/client/{client}", User, "Entries of an OAuth client.", c.GetLogs),
		op("get_logs_by_user", get, "/logs/user/{user}", User, "Entries of a person.", c.GetLogs),
		op("get_logs_by_session", get, "/logs/session/{session}", User, "Entries of a browser's session.", c.GetLogs),
		op("get_logs_by_method", get, "/logs/method/{method}", User, "Entries with a method.", c.GetLogs),
		op("get_logs_by_status", get, "/logs/status/{status}", User, "Entries with a status, such as 404 or 4xx.", c.GetLogs),
		op("get_logs_by_path", get, "/logs/path", User, "Entries of a path.", c.LogsByPath),
		op("get_slow_logs", get, "/logs/slow", User, "Entries of what took long.", c.SlowLogs),
		op("get_log_stats", get, "/logs/stats", User, "Counts, rates, percentiles and top lists of what matches.", c.LogStats),
		op("get_error_logs", get, "/logs/errors", User, "Entries of what failed.", c.ErrorLogs),
		op("get_event_logs", get, "/logs/events", User, "What the process itself had to tell.", c.EventLogs),
		op("get_oauth_logs", get, "/logs/oauth", User, "Entries of the authorization server.", c.OAuthLogs),
		op("get_oauth_logs_by_ip", get, "/logs/oauth/{ip}", User, "Entries of the authorization server about an address.", c.OAuthLogs),
		op("get_oauth_logs_by_user", get, "/logs/oauth/user/{user}", User, "Entries of the authorization server about a person.", c.OAuthLogs),
		op("test_logs", post, "/logs/test", Admin, "Write one entry, to see whether entries arrive.", c.TestLogs),
		op("clear_logs", del, "/logs", Admin, "Forget all entries but those of changes.", c.ClearLogs),
		op("get_log_level", get, "/logs/level", Admin, "From which level on the process log writes.", c.GetLogLevel),
		op("set_log_level", post, "/logs/level", Admin, "Change the level of the process log on this node.", c.SetLogLevel),
		op("reset_log_level", del, "/logs/level", Admin, "Put the level of the process log back.", c.ResetLogLevel),
	}
}

// Sealer keeps secrets unreadable at rest. What was sealed for one place opens
// for that place only.
type Sealer interface {
	Seal(place string, plain []byte) []byte
	Open(place string, sealed []byte) ([]byte, error)
}

// Worlds is the present world, as package roster keeps it.
type Worlds interface {
	World() *site.World
	// Await returns when the world has the key at this version (0: without it)
	// or a later one, or after a second.
	Await(ctx context.Context, key string, version int64)
}

// Certificates finds what a name is served with; package cert has them.
type Certificates interface {
	Find(name string) *cert.Served
	Digest() [32]byte // of which certificate each name has
}

// Names knows what the machine's administrator and the services define for
// targets to name.
type Names interface {
	Known(t site.Target) bool
}

// Deps is what a Control needs. All but what says otherwise is required.
type Deps struct {
	Store   store.Store
	Sealer  Sealer
	Worlds  Worlds
	Origins site.Origins
	Journal Journal
	Levels  *journal.Levels // of the process log
	OAuth   *oauth.Server
	Hasher  Hasher
	Logins  Logins
	Names   Names        // nil: there are no services, unix or stdio targets
	Log     *slog.Logger // nil: discards

	Certificates Certificates // nil: none are shown
	Manager      CertificateManager

	Ports     Ports // nil: hosts have no ports of their own
	Listening Listening

	// Targets tells how a host's targets stand on this node; nil: nobody knows.
	Targets func(hostname string) []TargetHealth

	// Loops answers whether a target leads back to a listener of ours; nil: never.
	Loops func(ctx context.Context, t site.Target) bool

	// Self reaches this node's own public HTTPS listener, whatever the address of a
	// request says: the name in it chooses the host. nil: no host can be tested.
	Self http.RoundTripper

	Backend string           // of the store: "embedded" or "redis"
	Shared  bool             // other nodes may have the same store
	Node    string           // this node's name
	Tag     string           // what stands for this process in ids of sessions
	Upkeep  func() bool      // whether this node does the clean-up work of all; nil: it does
	Address string           // where other nodes reach this one; empty: nowhere
	Release string           // version of Gatehouse
	Now     func() time.Time // nil: time.Now
}

// Control runs operations. Make it with New.
type Control struct {
	deps       Deps
	proxies    store.Table[site.Proxy]
	routes     store.Table[site.Route]
	nodes      store.Table[nodeRecord]
	id         string       // of this process among the nodes
	doors      doors        // of the other nodes
	skew       atomic.Int64 // how far our clock is off the store's, when that is too far; else 0
	journal    journal.Recorder
	log        *slog.Logger
	now        func() time.Time
	started    time.Time
	level      slog.Level // of the process log, as configured
	operations []*Operation
	tests      tests
}

// New makes a Control. It starts nothing and reads nothing.
func New(d Deps) *Control {
	c := &Control{deps: d, journal: d.Journal, log: d.Log, now: d.Now}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	c.proxies = store.NewTable[site.Proxy](d.Store, roster.ProxyPrefix, "proxy")
	c.routes = store.NewTable[site.Route](d.Store, roster.RoutePrefix, "route")
	c.nodes, c.id = nodeTable(d.Store), newNodeID(d.Node)
	c.started = c.now()
	if d.Levels != nil {
		c.level = d.Levels.Level("")
	}
	c.operations = c.list()
	for _, o := range c.operations {
		o.owner = c
	}
	return c
}

// Operations are all operations, in the order of the table of contents. The
// slice is the caller's to read only.
func (c *Control) Operations() []*Operation { return c.operations }

// Operation is the operation of that name; nil when there is none.
func (c *Control) Operation(name string) *Operation {
	for _, o := range c.operations {
		if o.Name == name {
			return o
		}
	}
	return nil
}

func (c *Control) world() *site.World { return c.deps.Worlds.World() }
