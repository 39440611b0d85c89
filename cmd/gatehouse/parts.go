package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/control"
	"gatehouse/internal/demo"
	"gatehouse/internal/edge"
	"gatehouse/internal/fetch"
	"gatehouse/internal/journal"
	"gatehouse/internal/local"
	"gatehouse/internal/mcpgate"
	"gatehouse/internal/mcpserver"
	"gatehouse/internal/oauth"
	"gatehouse/internal/signin"
	"gatehouse/internal/site"
)

// openJournal makes the journal, which masks by the same rules as the process log;
// warnings of the one are entries of the other.
func (n *node) openJournal() (err error) {
	n.journal, err = journal.New(n.store, journal.Options{
		Retention: n.cfg.Log.Retention, MaxEntries: n.cfg.Log.MaxEntries, Logger: n.log, Upkeep: n.upkeep.Mine,
	})
	if err != nil {
		return err
	}
	n.levels.Record(n.journal)
	slog.SetDefault(n.component("http")) // net/http says some things to the standard logger alone
	for _, w := range n.cfg.Warnings() {
		n.log.Warn(w.Text, "component", "config", "variable", w.Name)
	}
	return nil
}

func (n *node) oauthOptions() oauth.Options {
	o := n.cfg.OAuth
	return oauth.Options{
		KV: n.store, Sealer: n.sealer, World: n.roster.World, Recorder: n.journal, Logger: n.component("oauth"),
		Lists:               oauth.Lists{Admin: o.AdminUsers, User: o.UserUsers, MCP: o.MCPUsers},
		Localhost:           oauth.Lists{Admin: o.LocalhostAdminUsers, User: o.LocalhostUserUsers, MCP: o.LocalhostMCPUsers},
		AccessTokenLifetime: o.AccessTokenLifetime, RefreshTokenLifetime: o.RefreshTokenLifetime,
		SessionTimeout: o.SessionTimeout, ClientLifetime: o.ClientLifetime,
		Documents: fetch.New(fetch.Options{Resolver: n.cfg.DNS.Resolver, AllowLoopback: o.CIMDAllowLoopback,
			Unbounded: !n.cfg.Limits.RateLimits, UserAgent: "Gatehouse/" + release().Version}),
		ClientDomains: o.AllowedClientDomains, ClientLoopback: o.CIMDAllowLoopback,
		FixedIssuer: o.Issuer, RateLimits: n.cfg.Limits.RateLimits, ImportKey: o.SigningKey(),
		Upkeep: n.upkeep.Mine,
		// Asked while serving only, when the operations and the pages are there.
		ClockOff: func() error { return n.control.ClockOff() },
		Recheck: func(ctx context.Context, p oauth.Person, host *site.Host) (oauth.Person, error) {
			return n.pages.Recheck(ctx, p, host)
		},
	}
}

func (n *node) signinOptions() signin.Options {
	o, g, id := n.cfg.OAuth, n.cfg.GitHub, n.cfg.OIDC
	return signin.Options{
		OAuth: n.oauth, KV: n.store, Sealer: n.sealer, World: n.roster.World, Recorder: n.journal, Logger: n.component("signin"),
		GitHub: signin.GitHubApp{ClientID: g.ClientID, ClientSecret: g.ClientSecret.Reveal(), URL: g.URL, APIURL: g.APIURL},
		OIDC:   signin.OIDCApp{Issuer: id.Issuer, ClientID: id.ClientID, ClientSecret: id.ClientSecret.Reveal(), Name: id.Name},
		Lists: slices.Concat(o.AdminUsers, o.UserUsers, o.MCPUsers,
			o.LocalhostAdminUsers, o.LocalhostUserUsers, o.LocalhostMCPUsers),
		RateLimits: n.cfg.Limits.RateLimits,
		// Asked while serving only, when the operations are there.
		ProxySecret: func(p *site.Proxy) (string, error) { return n.control.GitHubSecret(p) },
	}
}

func (n *node) controlDeps() control.Deps {
	name, err := os.Hostname()
	if err != nil {
		name = "node" // a machine without a name still serves
	}
	return control.Deps{
		Store: n.store, Sealer: n.sealer, Worlds: n.roster, Origins: n.origins, Journal: n.journal, Log: n.component("control"),
		Levels: n.levels, OAuth: n.oauth, Hasher: n.pages.Hasher(), Logins: n.pages,
		Certificates: n.certs.keeper, Manager: n.certs.manager,
		Loops: n.loops, Self: n.listeners.self(), Names: names{local.In(n.cfg.DataDir)}, Targets: n.targets,
		Ports: n.ports, Listening: n.listening(),
		Backend: n.backend(), Shared: n.cfg.Redis.Enabled(),
		Node: name, Upkeep: n.upkeep.Mine, Tag: n.peers.Tag(), Address: n.announced(),
		Release: release().Version,
	}
}

// loops reports whether a target's address is one of our own listeners, public or
// of an instance.
func (n *node) loops(ctx context.Context, t site.Target) bool {
	host, port := t.Address()
	own := slices.ContainsFunc([]net.Listener{n.listeners.plain, n.listeners.secure}, func(l net.Listener) bool { return strconv.Itoa(portOf(l)) == port })
	if number, err := strconv.Atoi(port); err == nil && n.edge.ListensOn(number) {
		own = true
	}
	if !own {
		return false
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return site.UnderLocalhost(host) // else nothing is known: the edge asks again at each dial
	}
	return slices.ContainsFunc(addresses, ourAddress)
}

// ourAddress reports whether an address is one of this machine's.
func ourAddress(ip netip.Addr) bool {
	if ip.Unmap().IsLoopback() || ip.IsUnspecified() {
		return true
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(interfaces, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == ip.Unmap()
	})
}

func (n *node) mcpOptions() mcpserver.Options {
	return mcpserver.Options{
		Control: n.control, Scopes: n.oauth.Scopes, Grantable: n.oauth.Grantable,
		Command:  (&inside{api: n.doors.api, operations: n.control.Operations()}).run,
		Handover: n.peers, Release: release().Version, Logger: n.component("mcp"),
	}
}

func (n *node) edgeOptions() edge.Options {
	listen, limits := n.cfg.Listen, n.cfg.Limits
	return edge.Options{
		Gate: n.oauth, Certificates: n.certs.keeper, Recorder: n.journal, Logger: n.component("edge"),
		Locals: map[string]http.Handler{
			site.InternalAPI: n.doors.api, site.InternalOAuth: n.oauth, site.InternalPages: n.pages, site.InternalDemo: demo.New(),
			site.InternalACME: n.certs.answers, site.InternalMCP: n.mcp,
		},
		MCP: mcpgate.New(mcpgate.Options{
			Recorder: n.journal, Grantable: n.oauth.Grantable, SessionKey: n.sealer.Derive("sessions of MCP backends"),
		}),
		Stdio: n.stdio.Handler, Lookup: n.lookup, Secret: n.sealer.Derive("names of targets"),
		TokenInClear:   n.oauth.SeenInClear,
		Vouched:        n.certs.keeper.Vouched,
		TrustedProxies: listen.TrustedProxies, LocalhostPeers: listen.LocalhostPeers,
		OwnListeners:   n.listeners.addresses(),
		InstanceListen: listen.InstanceHost,
		ConnectTimeout: n.cfg.Proxy.ConnectTimeout, ResponseTimeout: n.cfg.Proxy.RequestTimeout,
		MaxConnections: limits.MaxConnections, MaxConnectionsPerIP: limits.MaxConnectionsPerIP, MaxRequestsPerIP: limits.MaxRequestsPerIP,
	}
}

// targets tells how a host's targets stand.
func (n *node) targets(hostname string) []control.TargetHealth {
	var all []control.TargetHealth
	for _, t := range n.edge.TargetStates(hostname, time.Now()) { // asked while serving only, when the edge is there
		all = append(all, control.TargetHealth{URL: t.URL, Healthy: t.Healthy, Busy: t.Busy, Passed: t.Passed})
	}
	return all
}

// lookup is where unix:NAME is to be dialed, as this machine's administrator says.
func (n *node) lookup(target string) (network, address string, ok bool) {
	kind, name, _ := strings.Cut(target, ":")
	if kind != site.TargetUnix {
		return "", "", false
	}
	def, err := local.In(n.cfg.DataDir).Get(local.Unix, name)
	if err != nil {
		n.component("edge").Error("a target can't be used", "target", target, "error", err)
		return "", "", false
	}
	return "unix", def.Path, true
}

// names are the targets that this machine's administrator has defined.
type names struct{ dir local.Dir }

// Known reports whether t can be used on this machine.
func (n names) Known(t site.Target) bool {
	if t.Kind != site.TargetUnix && t.Kind != site.TargetStdio {
		return false
	}
	_, err := n.dir.Get(t.Kind, t.Name)
	return err == nil
}
