package control

import (
	"context"
	"net/url"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// AutoRegister is the argument of auto_register_resources.
type AutoRegister struct {
	Hostnames []string `json:"proxy_hostnames,omitempty" jsonschema:"only these hosts; all when not given"`
	DryRun    bool     `json:"dry_run,omitempty" jsonschema:"tell what would be done, and do nothing"`
}

// AutoRegistered is what auto_register_resources did.
type AutoRegistered struct {
	DryRun     bool             `json:"dry_run"`
	Registered []RegisteredHost `json:"registered"`
	Skipped    []SkippedHost    `json:"skipped" jsonschema:"hosts that look like resources, or were named, and were left alone"`
}

// RegisteredHost is a host that got a resource endpoint.
type RegisteredHost struct {
	Hostname string `json:"proxy_hostname"`
	Resource string `json:"resource"`
	Why      string `json:"why"`
}

// SkippedHost is a host that got none.
type SkippedHost struct {
	Hostname string `json:"proxy_hostname"`
	Why      string `json:"why"`
}

// AutoRegister gives a resource endpoint to the hosts that ask for a sign-in and
// have none: /mcp where the target is or looks like an MCP server, else the whole
// host. It never switches a sign-in on: a host that lets everybody in is left
// alone, whatever it looks like.
func (c *Control) AutoRegister(ctx context.Context, in AutoRegister) (AutoRegistered, error) {
	out := AutoRegistered{DryRun: in.DryRun, Registered: []RegisteredHost{}, Skipped: []SkippedHost{}}
	named := map[string]bool{}
	for _, name := range in.Hostnames {
		if name = normal(name); c.world().Host(name) == nil {
			return out, fault.BadField("proxy_hostnames", "names %s, which is not served here", name)
		}
		named[name] = true
	}
	for _, host := range c.world().Hosts() {
		if len(named) > 0 && !named[host.Proxy.Hostname] {
			continue
		}
		if err := c.autoRegister(ctx, host, named[host.Proxy.Hostname], &out); err != nil {
			return out, err
		}
	}
	noted(ctx, "resources", nil, out)
	return out, nil
}

func (c *Control) autoRegister(ctx context.Context, host *site.Host, named bool, out *AutoRegistered) error {
	p := &host.Proxy
	endpoint, why := likelyEndpoint(p)
	if reason := notRegistered(host); reason != "" {
		if named || (endpoint != "/" && p.ResourceEndpoint == "") {
			out.Skipped = append(out.Skipped, SkippedHost{p.Hostname, reason})
		}
		return nil
	}
	done := RegisteredHost{p.Hostname, site.ResourceOf(c.deps.Origins.Of(p.Hostname, true), endpoint), why}
	if out.DryRun {
		out.Registered = append(out.Registered, done)
		return nil
	}
	mine := true
	_, err := c.changeProxy(ctx, p.Hostname, "", func(now site.Proxy) (site.Proxy, error) {
		if mine = now.AuthEnabled && now.ResourceEndpoint == ""; mine { // not so if somebody was faster
			now.ResourceEndpoint = endpoint
		}
		return now, nil
	})
	if err == nil && mine {
		out.Registered = append(out.Registered, done)
	}
	return err
}

// notRegistered says why a host is left alone; empty: it is not.
func notRegistered(host *site.Host) string {
	p := &host.Proxy
	switch {
	case host.Role != site.Ordinary:
		return "it is Gatehouse's own host"
	case p.ResourceEndpoint != "":
		return "it is a resource already"
	case p.TLSMode == site.TLSPassthrough:
		return "its TLS goes through to the target: nobody here can read a token"
	case !p.AuthEnabled:
		return "it lets everybody in: switch its sign-in on first"
	}
	return ""
}

// likelyEndpoint is the resource endpoint that fits a host, and what speaks for it.
// A target with a path of its own is that path for clients who ask for /.
func likelyEndpoint(p *site.Proxy) (endpoint, why string) {
	label, _, _ := strings.Cut(p.Hostname, ".")
	switch {
	case p.MCPEnabled:
		why = "mcp_enabled is on"
	case label == "mcp" || strings.HasPrefix(label, "mcp-") || strings.HasSuffix(label, "-mcp"):
		why = "its name says mcp"
	default:
		return "/", "it asks for a sign-in"
	}
	if u, err := url.Parse(p.TargetURL); err == nil && strings.Trim(u.Path, "/") != "" {
		return "/", why + ", and its target has a path of its own"
	}
	return "/mcp", why
}
