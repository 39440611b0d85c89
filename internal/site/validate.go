package site

import (
	"crypto/x509"
	"encoding/pem"
	"math"
	"net/netip"
	"strings"

	"gatehouse/internal/fault"
)

// Bounds of what a proxy or route may hold.
const (
	maxList     = 256       // members of a list
	maxText     = 1024      // bytes of a name, a path, a description
	maxHeaders  = 64        // custom headers of one kind
	maxHeader   = 8 << 10   // bytes of a header's value
	maxMetadata = 16 << 10  // bytes of custom metadata as JSON
	maxCA       = 256 << 10 // bytes of target_ca
	maxSeconds  = 24 * 3600 // of a timeout
)

// Validate is nil when p, normalized, can be served by a host of this role, else
// Invalid with every rule that it breaks.
func (p Proxy) Validate(role Role) error {
	var broken fault.Rules
	p.checkHostname(&broken)
	p.checkTargets(&broken, role)
	p.checkTransport(&broken)
	p.checkHeaders(&broken)
	p.checkAccess(&broken)
	p.checkMCP(&broken)
	p.checkRouting(&broken, role)
	p.checkResource(&broken)
	p.checkOAuthServer(&broken)
	p.checkRole(&broken, role)
	return broken.Err()
}

func (p *Proxy) checkHostname(broken *fault.Rules) {
	normal, err := NormalizeHostname(p.Hostname)
	switch {
	case err != nil:
		broken.Add("proxy_hostname", "%s", err)
	case normal != p.Hostname:
		broken.Add("proxy_hostname", "must be written %q", normal)
	}
}

func (p *Proxy) checkTargets(broken *fault.Rules, role Role) {
	switch {
	case p.TargetURL == "" && len(p.Targets) == 0:
		broken.Add("target_url", "is required: %s", errTarget)
	case p.TargetURL != "" && len(p.Targets) > 0:
		broken.Add("targets", "and target_url exclude each other")
	case p.TargetURL != "":
		p.checkTarget(broken, "target_url", p.TargetURL, role)
	}
	if len(p.Targets) > maxList {
		broken.Add("targets", "are at most %d", maxList)
		return
	}
	seen := map[string]bool{}
	for i, t := range p.Targets {
		p.checkTarget(broken, at("targets", i)+".url", t.URL, role)
		if seen[t.URL] {
			broken.Add(at("targets", i)+".url", "stands in the list already: give it more weight instead")
		}
		seen[t.URL] = true
		if !reachedByHTTP(t.URL) {
			broken.Add(at("targets", i)+".url", "is a URL or unix:NAME: programs and built-in services stand alone, as target_url")
		}
		if t.Weight < 1 || t.Weight > 1000 {
			broken.Add(at("targets", i)+".weight", "is between 1 and 1000")
		}
	}
}

// reachedByHTTP reports whether a target is another server, to which there can be
// several connections and others beside it. One that can't be read is refused already.
func reachedByHTTP(s string) bool {
	t, err := ParseTarget(s)
	return err != nil || t.Kind != TargetInternal && t.Kind != TargetStdio
}

func (p *Proxy) checkTarget(broken *fault.Rules, path, s string, role Role) {
	t, err := ParseTarget(s)
	if err != nil {
		broken.Add(path, "%s", err)
		return
	}
	if t.Kind == TargetInternal && !insideAllowed(t, role) {
		broken.Add(path, "%s", errTargetInside)
	}
	if host, _ := t.Address(); !p.AllowLinkLocal && linkLocal(host) {
		broken.Add(path, "must not be a link-local address (allow_link_local admits it)")
	}
}

// insideAllowed reports whether a proxy of this role may name the built-in
// service: the API and the console stand on Gatehouse's own two hosts alone.
func insideAllowed(t Target, role Role) bool {
	switch t.String() {
	case InternalDemo, InternalMCP:
		return true
	case InternalAPI, InternalWeb:
		return role != Ordinary
	}
	return false
}

func linkLocal(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLinkLocalUnicast()
}

func (p *Proxy) checkTransport(broken *fault.Rules) {
	oneOf(broken, "lb_policy", p.LBPolicy, RoundRobin, LeastConn, Sticky)
	oneOf(broken, "tls_mode", p.TLSMode, TLSTerminate, TLSPassthrough)
	oneOf(broken, "send_proxy_protocol", p.SendProxyProtocol, "off", "v1", "v2")
	seconds(broken, "connect_timeout", p.ConnectTimeout)
	seconds(broken, "request_timeout", p.RequestTimeout)
	if p.MaxBodyBytes < 0 {
		broken.Add("max_body_bytes", "is 0 (unlimited) or more")
	}
	if p.HealthPath != "" {
		plainPath(broken, "health_path", p.HealthPath)
		if p.TargetURL != "" && !reachedByHTTP(p.TargetURL) {
			broken.Add("health_path", "needs a target that is another server")
		}
	}
	if p.TargetCA != "" && !certificates(p.TargetCA) {
		broken.Add("target_ca", "is one or more certificates in PEM, at most %d bytes", maxCA)
	}
	if p.RedirectHTTPS && !p.EnableHTTPS {
		broken.Add("redirect_https", "needs enable_https")
	}
	list(broken, "upgrade_protocols", p.UpgradeProtocols, upgradeRule)
	if p.TLSMode == TLSPassthrough {
		p.checkPassthrough(broken)
	}
}

// checkPassthrough refuses what can't hold where the TLS bytes go to the target
// unread: nobody could be asked to sign in there.
func (p *Proxy) checkPassthrough(broken *fault.Rules) {
	const rule = "can't be kept with tls_mode passthrough, where Gatehouse does not see requests"
	if !p.EnableHTTPS {
		broken.Add("tls_mode", "passthrough needs enable_https")
	}
	if p.AuthEnabled {
		broken.Add("auth_enabled", rule)
	}
	if p.ResourceEndpoint != "" {
		broken.Add("resource_endpoint", rule)
	}
	if p.MCPEnabled {
		broken.Add("mcp_enabled", rule)
	}
	if len(p.MCPTools) > 0 {
		broken.Add("mcp_tools", rule)
	}
	if p.HealthPath != "" {
		broken.Add("health_path", rule)
	}
	passable(broken, "target_url", p.TargetURL)
	for i, t := range p.Targets {
		passable(broken, at("targets", i)+".url", t.URL)
	}
}

// passable refuses targets that can't take a connection as it is.
func passable(broken *fault.Rules, path, s string) {
	if t, err := ParseTarget(s); err == nil && (t.Kind == TargetInternal || t.Kind == TargetStdio) {
		broken.Add(path, "must be reachable by TCP with tls_mode passthrough")
	} else if err == nil && t.URL != nil && t.URL.Path != "" && t.URL.Path != "/" {
		broken.Add(path, "has no path with tls_mode passthrough")
	}
}

func upgradeRule(s string) string {
	switch {
	case !token(s):
		return "is a protocol name"
	case strings.EqualFold(s, "websocket"):
		return "needs no websocket, which always passes"
	case strings.EqualFold(s, "h2c"), strings.HasPrefix(strings.ToUpper(s), "TLS"), strings.HasPrefix(strings.ToUpper(s), "HTTP"):
		return "must not be a version of HTTP or TLS: requests inside it would pass unread"
	}
	return ""
}

func certificates(text string) bool {
	if len(text) > maxCA {
		return false
	}
	rest, n := []byte(text), 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return n > 0 && strings.TrimSpace(string(rest)) == ""
		}
		if _, err := x509.ParseCertificate(block.Bytes); block.Type != "CERTIFICATE" || err != nil {
			return false
		}
		n++
	}
}

func seconds(broken *fault.Rules, path string, s float64) {
	if math.IsNaN(s) || s < 0 || s > maxSeconds {
		broken.Add(path, "is a number of seconds from 0 (the default) to %d", maxSeconds)
	}
}
