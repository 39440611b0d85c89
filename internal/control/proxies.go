package control

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
	"gatehouse/internal/principal"
	"gatehouse/internal/roster"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// ProxyName is the argument of what concerns one host.
type ProxyName struct {
	Hostname string `json:"hostname" required:"true" jsonschema:"the host"`
}

// CreateProxy is the argument of create_proxy.
type CreateProxy struct {
	Hostname string     `json:"proxy_hostname" required:"true" jsonschema:"the hostname to serve; a wildcard only as leftmost label"`
	Fields   site.Patch `json:",embed" of:"proxy"`
}

// UpdateProxy is the argument of update_proxy.
type UpdateProxy struct {
	Hostname string     `json:"hostname" required:"true" jsonschema:"the host"`
	IfMatch  string     `json:"if_match,omitempty" jsonschema:"the version that must be the present one"`
	Fields   site.Patch `json:",embed" of:"proxy"`
}

// DeleteProxy is the argument of delete_proxy.
type DeleteProxy struct {
	Hostname    string `json:"hostname" required:"true" jsonschema:"the host"`
	IfMatch     string `json:"if_match,omitempty" jsonschema:"the version that must be the present one"`
	Certificate bool   `json:"delete_certificate,omitempty" jsonschema:"remove the certificate too that the host was served with, if no other host is"`
}

// ListProxies answers the hosts in name order.
func (c *Control) ListProxies(ctx context.Context, in Paging) (Page[ProxyView], error) {
	size, err := in.size()
	if err != nil {
		return Page[ProxyView]{}, err
	}
	after, err := in.after()
	if err != nil {
		return Page[ProxyView]{}, err
	}
	rows, err := c.proxies.Page(ctx, after, size)
	if err != nil {
		return Page[ProxyView]{}, err
	}
	page := Page[ProxyView]{Items: make([]ProxyView, len(rows))}
	full := c.admin(ctx)
	for i, row := range rows {
		page.Items[i] = c.view(row.Value, row.Version, full)
	}
	if len(rows) == size {
		page.Cursor = cursorOf(rows[size-1].Name)
	}
	return page, nil
}

// GetProxy answers one host.
func (c *Control) GetProxy(ctx context.Context, in ProxyName) (ProxyView, error) {
	row, err := c.proxy(ctx, in.Hostname)
	if err != nil {
		return ProxyView{}, err
	}
	return c.view(row.Value, row.Version, c.admin(ctx)), nil
}

// CreateProxy stores a new host and returns when this node serves it.
func (c *Control) CreateProxy(ctx context.Context, in CreateProxy) (ProxyView, error) {
	name := normal(in.Hostname)
	if c.role(name) != site.Ordinary {
		return ProxyView{}, fault.New(fault.Exists, "the proxy %q exists already: it is one of Gatehouse's own", name)
	}
	p, err := site.ApplyPatch(site.Default(name), in.Fields)
	if err != nil {
		return ProxyView{}, err
	}
	now := c.stamp()
	p.CreatedBy, p.CreatedAt, p.UpdatedAt = who(ctx), now, now
	if p, err = c.checked(ctx, p, site.Proxy{}); err != nil {
		return ProxyView{}, err
	}
	version, err := c.proxies.Create(ctx, p.Hostname, p, 0)
	if err != nil {
		return ProxyView{}, err
	}
	noted(ctx, c.proxies.Key(p.Hostname), nil, auditView(p))
	c.deps.Worlds.Await(ctx, c.proxies.Key(p.Hostname), version)
	c.awaitPorts(ctx, p.Hostname)
	return c.view(p, version, true), nil
}

// UpdateProxy changes a host and returns when this node serves it so.
func (c *Control) UpdateProxy(ctx context.Context, in UpdateProxy) (ProxyView, error) {
	return c.changeProxy(ctx, in.Hostname, in.IfMatch, func(p site.Proxy) (site.Proxy, error) {
		return site.ApplyPatch(p, in.Fields)
	})
}

// DeleteProxy removes a host and returns when this node no longer serves it.
func (c *Control) DeleteProxy(ctx context.Context, in DeleteProxy) (Done, error) {
	name := normal(in.Hostname)
	if c.role(name) != site.Ordinary {
		return Done{}, fault.New(fault.Denied, "%s is Gatehouse's own host and can't be deleted; it can be disabled", name)
	}
	row, err := c.proxy(ctx, name)
	if err != nil {
		return Done{}, err
	}
	if err := remove(ctx, c.deps.Store, c.proxies.Key(name), row.Version, in.IfMatch); err != nil {
		return Done{}, err
	}
	noted(ctx, c.proxies.Key(name), auditView(row.Value), nil)
	c.deps.Worlds.Await(ctx, c.proxies.Key(name), 0)
	c.awaitPorts(ctx, name)
	// Whoever serves this name next must not inherit its visitors' rights.
	if err := c.deps.OAuth.Revoke(ctx, oauth.RevokeProxy, name); err != nil || !in.Certificate {
		return Done{true}, err
	}
	return Done{true}, c.dropCertificate(ctx, row.Value)
}

// dropCertificate removes the certificate of a host that is gone, unless another
// host is served with it.
func (c *Control) dropCertificate(ctx context.Context, p site.Proxy) error {
	name, _ := c.deps.Manager.For(cert.Wanted{Name: p.Hostname, Object: p.CertName})
	if name == "" || len(c.hostsWith(name)) > 0 {
		return nil
	}
	if err := c.deps.Manager.Delete(ctx, name); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return nil
}

// changeProxy applies change to a host: once over the version that ifMatch
// names, or, without one, again and again until no other writer was in between.
func (c *Control) changeProxy(ctx context.Context, hostname, ifMatch string, change func(site.Proxy) (site.Proxy, error)) (ProxyView, error) {
	name := normal(hostname)
	var view ProxyView
	err := retry(ctx, ifMatch, func() error {
		row, err := c.proxy(ctx, name)
		if err != nil {
			return err
		}
		if err := matches(ifMatch, row.Version); err != nil {
			return err
		}
		before := row.Value
		before.Version = row.Version
		after, err := change(before)
		if err != nil {
			return err
		}
		after.UpdatedAt = c.stamp()
		if after, err = c.checked(ctx, after, before); err != nil {
			return err
		}
		version, err := c.proxies.Update(ctx, name, after, row.Version, 0)
		if err != nil {
			return err
		}
		noted(ctx, c.proxies.Key(name), auditView(before), auditView(after))
		c.deps.Worlds.Await(ctx, c.proxies.Key(name), version)
		view = c.view(after, version, true)
		return nil
	})
	return view, err
}

// checked is a host ready to be stored: normalized, found valid, with its
// GitHub secret sealed where it is not the one of before.
func (c *Control) checked(ctx context.Context, p, before site.Proxy) (site.Proxy, error) {
	p = p.Normalize()
	p.Version = 0
	if err := p.Validate(c.role(p.Hostname)); err != nil {
		return p, err
	}
	if err := c.checkReferences(ctx, p, before); err != nil {
		return p, err
	}
	if p.GitHubClientSecret != "" && p.GitHubClientSecret != before.GitHubClientSecret {
		p.GitHubClientSecret = c.seal(p.GitHubSecretPlace(), p.GitHubClientSecret)
	}
	return p, nil
}

// checkReferences checks what a host names outside itself.
func (c *Control) checkReferences(ctx context.Context, p, before site.Proxy) error {
	var broken fault.Rules
	if p.TargetURL != before.TargetURL {
		c.checkTarget(ctx, &broken, "target_url", p.TargetURL, c.role(p.Hostname))
	}
	if !slices.Equal(p.Targets, before.Targets) {
		for i, t := range p.Targets {
			c.checkTarget(ctx, &broken, fmt.Sprintf("targets[%d].url", i), t.URL, c.role(p.Hostname))
		}
	}
	if p.AuthProxy != "" && p.AuthProxy != before.AuthProxy {
		if err := c.checkAuthProxy(ctx, &broken, p); err != nil {
			return err
		}
	}
	if p.CertName != "" && p.CertName != before.CertName {
		if err := c.checkCertificate(ctx, &broken, p); err != nil {
			return err
		}
	}
	return broken.Err()
}

// checkAuthProxy checks that the host whose issuer p takes has one: what it issues
// must not depend on a third.
func (c *Control) checkAuthProxy(ctx context.Context, broken *fault.Rules, p site.Proxy) error {
	const path = "auth_proxy"
	row, err := c.proxies.Get(ctx, p.AuthProxy)
	if fault.Is(err, fault.NotFound) {
		broken.Add(path, "names a host that is not served here")
		return nil
	}
	if err != nil {
		return err
	}
	host := c.world().Host(p.AuthProxy)
	switch {
	case row.Value.AuthProxy != "":
		broken.Add(path, "names a host that takes the issuer of %s: name that one", row.Value.AuthProxy)
	case !row.Value.Enabled:
		broken.Add(path, "names a host that is switched off")
	case host == nil || (host.Role == site.Ordinary && !host.Protected()):
		broken.Add(path, "names a host without an authorization server: switch its sign-in on, or take %s", c.deps.Origins.SignInName())
	}
	all, err := c.proxies.All(ctx)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.Value.AuthProxy == p.Hostname {
			broken.Add(path, "can't be set while %s takes this host's issuer", other.Name)
			break
		}
	}
	return nil
}

// checkTarget checks that what a target names exists, and that it does not lead
// back here. The localhost proxy's target is our own direct listener by design.
func (c *Control) checkTarget(ctx context.Context, broken *fault.Rules, path, target string, role site.Role) {
	t, err := site.ParseTarget(target)
	if err != nil || t.Kind == site.TargetInternal || (role == site.LocalhostRole && target == site.APIDirectTarget) {
		return
	}
	switch {
	case t.Dialed():
		if c.deps.Loops != nil && c.deps.Loops(ctx, t) {
			broken.Add(path, "leads back to Gatehouse itself")
		}
	case c.deps.Names == nil || !c.deps.Names.Known(t):
		broken.Add(path, "names a %s %q that is not defined on this machine", t.Kind, t.Name)
	}
}

// proxy reads a host, or, when none has that name, says so.
func (c *Control) proxy(ctx context.Context, hostname string) (store.Row[site.Proxy], error) {
	return c.proxies.Get(ctx, normal(hostname))
}

func (c *Control) role(name string) site.Role { return c.deps.Origins.Role(name) }

// stamp is now as records hold it.
func (c *Control) stamp() time.Time { return c.now().UTC().Truncate(time.Millisecond) }

// who is the caller's name for created_by.
func who(ctx context.Context) string {
	p := principal.From(ctx)
	switch {
	case p == nil:
		return "gatehouse"
	case p.User != "":
		return p.User
	}
	return p.Subject
}

// normal is the stored form of a hostname; one that has none stays, for the rule
// or the lookup to refuse.
func normal(hostname string) string {
	if name, err := site.NormalizeHostname(hostname); err == nil {
		return name
	}
	return hostname
}

var _ Worlds = (*roster.Roster)(nil)
