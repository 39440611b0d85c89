package main

import (
	"context"
	"encoding/json"

	"gatehouse/internal/control"
	"gatehouse/internal/fault"
	"gatehouse/internal/local"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// ensureProtected makes sure that the host of `protect` is there with sign-in on.
// It runs the operations that everybody runs, as the machine's administrator.
func (n *node) ensureProtected(ctx context.Context, in *protectArgs) error {
	if in == nil {
		return nil
	}
	ctx = principal.With(control.WithDoor(ctx, principal.Local), &principal.Principal{
		Subject: principal.Local, User: principal.Local, Scopes: []string{principal.ScopeAdmin}, AuthType: principal.Local,
	})
	if in.Program != nil {
		if err := local.In(n.cfg.DataDir).Put(*in.Program); err != nil {
			return err
		}
	}
	fields := in.fields()
	fields["proxy_hostname"] = in.Host
	err := n.operate(ctx, "create_proxy", fields)
	if !fault.Is(err, fault.Exists) {
		return err
	}
	delete(fields, "proxy_hostname")
	fields["hostname"] = in.Host
	return n.operate(ctx, "update_proxy", fields)
}

// check refuses what the operation would refuse, before anything is made or bound.
func (p *protectArgs) check(baseDomain string) error {
	if p == nil {
		return nil
	}
	name, err := site.NormalizeHostname(p.Host)
	if err != nil {
		return fault.BadField("HOST", "%s", err)
	}
	if (site.Origins{BaseDomain: baseDomain}).Role(name) != site.Ordinary {
		return fault.BadField("HOST", "%s is Gatehouse's own: name the host that is to be protected", name)
	}
	patch := site.Patch{}
	for field, value := range p.fields() {
		if err := patch.Set(field, value); err != nil {
			return err
		}
	}
	proxy, err := site.ApplyPatch(site.Default(name), patch)
	if err != nil {
		return err
	}
	return proxy.Normalize().Validate(site.Ordinary)
}

// operate runs an operation by name.
func (n *node) operate(ctx context.Context, name string, fields map[string]any) error {
	raw, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	_, err = n.control.Operation(name).Call(ctx, raw)
	return err
}

// fields are the proxy's settings that the arguments name; what they leave out
// stays as it is on a host that exists.
func (p *protectArgs) fields() map[string]any {
	fields := map[string]any{
		"target_url": p.Target, "enabled": true, "auth_enabled": true, "auth_type": site.AuthOAuth,
		"auth_mode": p.Mode, "resource_endpoint": p.ResourceEndpoint, "mcp_enabled": p.MCP,
	}
	if len(p.Allow) > 0 {
		fields["auth_required_users"], fields["oauth_user_users"] = p.Allow, p.Allow
		if p.MCP {
			fields["oauth_mcp_users"] = p.Allow
		}
	}
	if len(p.Exclude) > 0 {
		fields["auth_excluded_paths"] = p.Exclude
	}
	return fields
}
