package control

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// plan is what an import will write, made and checked before it writes.
type plan struct {
	control *Control
	in      ImportConfig
	out     Imported
	writes  []store.Write
	broken  fault.Rules
	hosts   map[string]bool   // hostnames in the document, for what refers to them
	takes   map[string]string // and of whom they take the issuer
}

func (p *plan) make(ctx context.Context) error {
	p.hosts, p.takes = map[string]bool{}, map[string]string{}
	for _, fields := range p.in.Proxies {
		name := normal(textField(fields, "proxy_hostname"))
		p.hosts[name], p.takes[name] = true, textField(fields, "auth_proxy")
	}
	for i, fields := range p.in.Proxies {
		if err := p.proxy(ctx, "proxies["+strconv.Itoa(i)+"]", fields); err != nil {
			return err
		}
	}
	for i, fields := range p.in.Routes {
		if err := p.route(ctx, "routes["+strconv.Itoa(i)+"]", fields); err != nil {
			return err
		}
	}
	return p.broken.Err()
}

func (p *plan) proxy(ctx context.Context, at string, fields site.Patch) error {
	c := p.control
	name := normal(textField(fields, "proxy_hostname"))
	if c.role(name) == site.Ordinary && textField(fields, "target_url") == site.InternalAPI {
		p.out.Skipped = append(p.out.Skipped, c.proxies.Key(name)) // another installation's sign-in host
		return nil
	}
	before, err := c.proxies.Get(ctx, name)
	exists := err == nil
	if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Invalid) {
		return err
	}
	own := c.role(name) != site.Ordinary
	if !p.wanted(at, c.proxies.Key(name), exists, own) {
		return nil
	}
	after, err := site.ApplyPatch(site.Default(name), settable(fields))
	if err == nil {
		after.CreatedBy, after.CreatedAt, after.UpdatedAt = who(ctx), c.stamp(), c.stamp()
		if exists {
			after.CreatedBy, after.CreatedAt = before.Value.CreatedBy, before.Value.CreatedAt
			after.GitHubClientID, after.GitHubClientSecret = before.Value.GitHubClientID, before.Value.GitHubClientSecret
		}
		after, err = p.checkedProxy(ctx, after, before.Value)
	}
	if p.breaks(at, err) {
		return nil
	}
	if err != nil {
		return err
	}
	return write(p, c.proxies, name, after, before.Version)
}

// checkedProxy is Control.checked with the document's own hosts known.
func (p *plan) checkedProxy(ctx context.Context, after, before site.Proxy) (site.Proxy, error) {
	if name := normal(after.AuthProxy); p.hosts[name] {
		if other := p.takes[name]; other != "" {
			return after, fault.BadField("auth_proxy", "names a host that takes the issuer of %s: name that one", other)
		}
		before.AuthProxy = name
	}
	return p.control.checked(ctx, after, before)
}

func (p *plan) route(ctx context.Context, at string, fields site.Patch) error {
	c := p.control
	id := textField(fields, "route_id")
	before, err := c.routes.Get(ctx, id)
	exists := err == nil
	if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Invalid) {
		return err
	}
	if !p.wanted(at, c.routes.Key(id), exists, false) {
		return nil
	}
	initial := site.DefaultRoute()
	initial.ID = id
	after, err := site.ApplyRoutePatch(initial, settable(fields))
	if err == nil {
		after.CreatedAt, after.UpdatedAt = c.stamp(), c.stamp()
		if exists {
			after.CreatedAt = before.Value.CreatedAt
		}
		known := before.Value
		known.ProxyHostnames = append(slices.Collect(maps.Keys(p.hosts)), known.ProxyHostnames...)
		after, err = c.checkedRoute(ctx, after, known)
	}
	if p.breaks(at, err) {
		return nil
	}
	if err != nil {
		return err
	}
	return write(p, c.routes, id, after, before.Version)
}

// wanted decides what becomes of one object and writes that into the answer.
// Gatehouse's own hosts are always there; a document that holds them is no
// conflict, they are left as they are unless it is to replace.
func (p *plan) wanted(at, key string, exists, own bool) bool {
	switch {
	case !exists:
		p.out.Created = append(p.out.Created, key)
	case p.in.Replace:
		p.out.Replaced = append(p.out.Replaced, key)
	case p.in.SkipExisting || own:
		p.out.Skipped = append(p.out.Skipped, key)
		return false
	default:
		p.broken.Add(at, "%s exists already: say skip_existing or replace", key)
		return false
	}
	return true
}

// breaks takes the broken rules of one object over, under its place in the document.
func (p *plan) breaks(at string, err error) bool {
	if !fault.Is(err, fault.Invalid) {
		return false
	}
	for _, f := range fault.ProblemOf(err).Errors {
		p.broken.Add(at+"."+f.Path, "%s", f.Rule)
	}
	return true
}

func write[T any](p *plan, table store.Table[T], name string, v T, version int64) error {
	w, err := table.Write(name, v, version, 0)
	if err == nil {
		p.writes = append(p.writes, w)
	}
	return err
}

// settable are fields without those that Gatehouse sets.
func settable(fields site.Patch) site.Patch {
	out := site.Patch{}
	for name, value := range fields {
		if !slices.Contains(readOnly, name) {
			out[name] = value
		}
	}
	return out
}

func textField(fields site.Patch, name string) string {
	var s string
	if json.Unmarshal(fields[name], &s) != nil {
		return ""
	}
	return s
}
