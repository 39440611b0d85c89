package control

import (
	"context"
	"strings"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/ports"
	"gatehouse/internal/site"
)

// ProxyView is a host as callers see it: its name and status, and for
// administrators its settings too.
type ProxyView struct {
	Hostname         string `json:"proxy_hostname" jsonschema:"the hostname that is served"`
	Origin           string `json:"origin" jsonschema:"where clients reach it"`
	Enabled          bool   `json:"enabled" jsonschema:"false answers 503 and asks no backend"`
	AuthEnabled      bool   `json:"auth_enabled" jsonschema:"asks for a sign-in or a token"`
	BuiltIn          bool   `json:"built_in" jsonschema:"one of Gatehouse's own two hosts; can't be deleted"`
	GitHubConfigured bool   `json:"github_configured" jsonschema:"has a GitHub App of its own"`
	Version          int64  `json:"version" jsonschema:"for If-Match"`

	*ProxySettings
}

// ProxySettings are all settings of a host but its GitHub secret.
type ProxySettings site.Proxy

// Tag is the version for the ETag header.
func (v ProxyView) Tag() int64 { return v.Version }

// view is a host as an answer shows it; full with all its settings.
func (c *Control) view(p site.Proxy, version int64, full bool) ProxyView {
	v := ProxyView{
		Hostname: p.Hostname, Origin: c.deps.Origins.Of(p.Hostname, p.EnableHTTPS), Enabled: p.Enabled, AuthEnabled: p.AuthEnabled,
		BuiltIn: c.role(p.Hostname) != site.Ordinary, GitHubConfigured: p.GitHubClientSecret != "", Version: version,
	}
	if full {
		p.GitHubClientSecret = ""
		for _, list := range []*[]string{&p.AuthExcludedPaths, &p.EnabledRoutes, &p.DisabledRoutes, &p.AuthAllowedOrigins, &p.MCPAllowedOrigins, &p.UpgradeProtocols} {
			*list = none(*list) // empty and null mean the same there
		}
		if p.Targets == nil {
			p.Targets = []site.WeightedTarget{}
		}
		v.ProxySettings = (*ProxySettings)(&p)
	}
	return v
}

// auditView is a host as the audit log keeps it: values of headers that carry
// credentials are masked, the secret is only named.
func auditView(p site.Proxy) site.Proxy {
	p = p.Clone()
	p.Version = 0
	if p.GitHubClientSecret != "" {
		p.GitHubClientSecret = "(sealed)"
	}
	for _, set := range []map[string]string{p.CustomHeaders, p.CustomResponseHeaders} {
		for name, value := range set {
			set[name] = journal.MaskHeader(name, value)
		}
	}
	return p
}

// ProxyStatus is how a host stands now.
type ProxyStatus struct {
	Hostname string   `json:"proxy_hostname"`
	Status   string   `json:"status" jsonschema:"serving, disabled, or failed: its stored settings can't be served"`
	Enabled  bool     `json:"enabled"`
	Version  int64    `json:"version"`
	Serves   int64    `json:"serves_version" jsonschema:"the version that this node serves; 0: none"`
	Origins  []string `json:"origins" jsonschema:"where clients reach it"`
	Issuer   string   `json:"issuer,omitempty" jsonschema:"its authorization server, where it is protected"`
	Resource string   `json:"resource,omitempty" jsonschema:"what tokens for it are for"`
	Routes   int      `json:"routes" jsonschema:"routes that apply to it, its own and built-in ones"`
	Target   string   `json:"target,omitempty" jsonschema:"where its requests go; for administrators"`

	Targets  []TargetHealth `json:"targets,omitempty" jsonschema:"its targets as this node sees them, where there are several or they are checked; for administrators"`
	Sessions *int           `json:"sessions,omitempty" jsonschema:"living browser sessions on it; for administrators"`

	Certificate *Certificate `json:"certificate,omitempty" jsonschema:"what this node shows for it"`
	Ports       ports.Pair   `json:"ports" jsonschema:"the ports of its own that it has on every node"`
	Listeners   []Listener   `json:"listeners" jsonschema:"where this node takes connections for it"`
}

// TargetHealth is how one of a host's targets stands on this node.
type TargetHealth struct {
	URL     string    `json:"url"`
	Healthy bool      `json:"healthy" jsonschema:"requests go there"`
	Busy    int64     `json:"busy" jsonschema:"requests under way"`
	Passed  time.Time `json:"passed_over_until,omitzero" jsonschema:"not chosen until then, because connections failed"`
}

// Certificate is what a handshake for a host shows.
type Certificate struct {
	Status      string    `json:"status" jsonschema:"active; or how the order for its own stands: pending, issuing, renewing, failed"`
	Name        string    `json:"cert_name,omitempty" jsonschema:"the certificate that is kept for it"`
	Message     string    `json:"message,omitempty" jsonschema:"why it has no certificate of an authority; for administrators"`
	Kind        string    `json:"kind" jsonschema:"acme: of an authority; upload: brought by people; local_ca: of the local CA; self_signed: nobody's word for it"`
	Names       []string  `json:"names"`
	Issuer      string    `json:"issuer"`
	Expires     time.Time `json:"expires_at"`
	Fingerprint string    `json:"fingerprint_sha256"`
}

// ProxyStatus answers how a host stands on this node.
func (c *Control) ProxyStatus(ctx context.Context, in ProxyName) (ProxyStatus, error) {
	row, err := c.proxy(ctx, in.Hostname)
	if err != nil {
		return ProxyStatus{}, err
	}
	p := row.Value
	s := ProxyStatus{Hostname: p.Hostname, Enabled: p.Enabled, Version: row.Version, Status: "failed", Origins: c.origins(p)}
	if host := c.world().Host(p.Hostname); host != nil {
		s.Status, s.Serves, s.Routes = "serving", host.Proxy.Version, len(host.Routes())
		c.describe(&s, host)
	}
	s.Listeners, s.Ports = c.listeners(p)
	if !p.Enabled {
		s.Status = "disabled"
	}
	if p.EnableHTTPS && p.TLSMode == site.TLSTerminate {
		s.Certificate = c.certificate(p)
		if err := c.kept(ctx, p, s.Certificate); err != nil {
			return s, err
		}
	}
	if !c.admin(ctx) {
		return s, nil
	}
	s.Target = p.TargetURL
	if c.deps.Targets != nil {
		s.Targets = c.deps.Targets(p.Hostname)
	}
	n, err := counting(func() ([]oauth.Session, error) { return c.sessionsOn(ctx, p.Hostname) })()
	s.Sessions = &n
	return s, err
}

func (c *Control) certificate(p site.Proxy) *Certificate {
	if c.deps.Certificates == nil {
		return nil
	}
	served := c.deps.Certificates.Find(p.Hostname)
	if served == nil {
		return nil
	}
	leaf := served.Leaf()
	return &Certificate{Status: cert.Active, Name: served.Object, Kind: served.Kind, Names: none(leaf.DNSNames), Issuer: leaf.Issuer.String(), Expires: leaf.NotAfter.UTC(), Fingerprint: served.Fingerprint()}
}

// kept adds what is kept or under way for a host that shows a certificate of
// nobody.
func (c *Control) kept(ctx context.Context, p site.Proxy, shown *Certificate) error {
	if shown == nil || shown.Kind != cert.KindSelfSigned {
		return nil
	}
	name, why := c.deps.Manager.For(cert.Wanted{Name: p.Hostname, Object: p.CertName})
	shown.Name, shown.Status = name, cert.Pending
	switch {
	case why != "":
		if shown.Status = cert.Failed; c.admin(ctx) {
			shown.Message = why
		}
		return nil
	case name == "": // one is made in a moment
		return nil
	}
	o, err := c.deps.Manager.Object(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	shown.Status = o.Status
	if c.admin(ctx) {
		shown.Message = o.Message
	}
	return nil
}

// describe adds what clients of a protected host see. A wildcard has an issuer
// and a resource for each of its names.
func (c *Control) describe(s *ProxyStatus, host *site.Host) {
	if !host.Protected() || strings.HasPrefix(s.Hostname, site.Wildcard) || len(s.Origins) == 0 {
		return
	}
	s.Issuer = c.deps.OAuth.IssuerOf(host, s.Origins[0])
	s.Resource = site.ResourceOf(s.Origins[0], host.Proxy.ResourceEndpoint)
}

// origins are where clients reach a host, the one to prefer first.
func (c *Control) origins(p site.Proxy) []string {
	origins := []string{}
	if p.EnableHTTPS {
		origins = append(origins, c.deps.Origins.Of(p.Hostname, true))
	}
	if p.EnableHTTP {
		origins = append(origins, c.deps.Origins.Of(p.Hostname, false))
	}
	return origins
}
