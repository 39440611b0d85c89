package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"gatehouse/internal/fault"
)

// Metadata is what an authorization server says of itself (RFC 8414).
type Metadata struct {
	Issuer       string `json:"issuer"`
	Token        string `json:"token_endpoint"`
	Device       string `json:"device_authorization_endpoint"`
	Revocation   string `json:"revocation_endpoint"`
	Registration string `json:"registration_endpoint"`
}

// Discover reads the metadata of the authorization server at origin, or of the
// one that the resource there names. Issuer and endpoints must be of one origin;
// only this machine's own API may speak for a sign-in host of another name.
func Discover(ctx context.Context, t http.RoundTripper, origin string) (Metadata, error) {
	m, err := discover(ctx, t, origin)
	if err == nil || m.Issuer == "" || m.Issuer == origin {
		return m, err
	}
	// One central issuer for all hosts? Then it says so itself, where it stands.
	if prm, prmErr := readResource(ctx, t, origin, ""); prmErr == nil && len(prm.Servers) == 1 && prm.Servers[0] == m.Issuer {
		return discover(ctx, t, m.Issuer)
	}
	return m, err
}

// OwnResource is what the resource at origin itself is called; empty where it
// does not say.
func OwnResource(ctx context.Context, t http.RoundTripper, origin string) string {
	prm, err := readResource(ctx, t, origin, "")
	if err != nil {
		return "" // the authorization server takes its own
	}
	return prm.Resource
}

func discover(ctx context.Context, t http.RoundTripper, origin string) (Metadata, error) {
	var m Metadata
	c, err := New(Options{URL: origin, Transport: t})
	if err != nil {
		return m, err
	}
	if err := c.Do(ctx, Request{Method: http.MethodGet, Path: "/.well-known/oauth-authorization-server"}, &m); err != nil {
		return m, err
	}
	if m.Issuer != c.Base() && !Loopback(c.base.Hostname()) {
		return m, fault.New(fault.Invalid, "%s says it is %s: sign in there, with --url %s", c.Base(), m.Issuer, m.Issuer)
	}
	for _, endpoint := range []string{m.Token, m.Device, m.Revocation, m.Registration} {
		if err := m.owns(endpoint); err != nil {
			return m, err
		}
	}
	return m, nil
}

// owns checks that an endpoint is the issuer's, and fit for secrets.
func (m Metadata) owns(endpoint string) error {
	if endpoint == "" {
		return nil // not offered
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme+"://"+u.Host != m.Issuer {
		return fault.New(fault.Invalid, "the authorization server %s names an endpoint elsewhere (%s): it can't be trusted with credentials", m.Issuer, endpoint)
	}
	if u.Scheme != "https" && !Loopback(u.Hostname()) {
		return fault.New(fault.Invalid, "the authorization server %s works over plain http: credentials are not sent there", m.Issuer)
	}
	return nil
}

// resourceMetadata is the part of RFC 9728 that leads to an issuer.
type resourceMetadata struct {
	Resource string   `json:"resource"`
	Servers  []string `json:"authorization_servers"`
}

// DiscoverResource finds the authorization server that gives tokens for a
// resource, and the resource's name as that server knows it.
func DiscoverResource(ctx context.Context, t http.RoundTripper, resource string) (Metadata, string, error) {
	u, err := url.Parse(resource)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return Metadata{}, "", fault.BadField("--resource", "must be the URL of a protected host, like https://app.example.com/mcp")
	}
	prm, err := readResource(ctx, t, u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/"))
	if errors.Is(err, syscall.ECONNREFUSED) {
		return Metadata{}, "", fault.Wrap(fault.Unavailable, err, "nothing listens at %s: check host and port of --resource", u.Scheme+"://"+u.Host)
	}
	if err != nil {
		return Metadata{}, "", err
	}
	if strings.TrimSuffix(prm.Resource, "/") != strings.TrimSuffix(resource, "/") {
		return Metadata{}, "", fault.New(fault.Invalid, "the resource there is called %s: use that with --resource", prm.Resource)
	}
	if len(prm.Servers) == 0 {
		return Metadata{}, "", fault.New(fault.Invalid, "%s names no authorization server", prm.Resource)
	}
	m, err := Discover(ctx, t, prm.Servers[0])
	return m, prm.Resource, err
}

// readResource reads the metadata of the resource at a path of origin.
func readResource(ctx context.Context, t http.RoundTripper, origin, path string) (prm resourceMetadata, err error) {
	c, err := New(Options{URL: origin, Transport: t})
	if err != nil {
		return prm, err
	}
	err = c.Do(ctx, Request{Method: http.MethodGet, Path: "/.well-known/oauth-protected-resource" + path}, &prm)
	return prm, err
}
