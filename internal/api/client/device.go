package client

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"gatehouse/internal/fault"
)

// DeviceClient is the public client that is built into every Gatehouse for
// command lines.
const DeviceClient = "device_flow_client"

// Prompt is what a person needs to approve a sign-in elsewhere.
type Prompt struct {
	URL     string    // where the code is typed in
	Full    string    // the same with the code in it; empty when not offered
	Code    string    // as shown on both sides
	Expires time.Time // the zero time: not said
}

// SignIn is one run of the device flow (RFC 8628).
type SignIn struct {
	Transport http.RoundTripper
	Server    Metadata
	Resource  string   // empty: the issuer's own
	Scopes    []string // empty: what the resource asks for
	Show      func(Prompt)
}

// Run asks for a code, shows it and waits until it is approved, refused, or too old.
func (s SignIn) Run(ctx context.Context) (Pair, error) {
	if s.Server.Device == "" {
		return Pair{}, fault.New(fault.Invalid, "%s offers no device flow: enable its routes device-code and device", s.Server.Issuer)
	}
	ctx = withHTTP(ctx, s.Transport)
	cfg := s.Server.config(DeviceClient, s.Scopes)
	var extra []oauth2.AuthCodeOption
	if s.Resource != "" {
		extra = append(extra, oauth2.SetAuthURLParam("resource", s.Resource))
	}
	d, err := cfg.DeviceAuth(ctx, extra...)
	if err != nil {
		return Pair{}, oauthFault(ctx, err)
	}
	s.Show(Prompt{URL: d.VerificationURI, Full: d.VerificationURIComplete, Code: d.UserCode, Expires: d.Expiry})
	t, err := cfg.DeviceAccessToken(ctx, d)
	if errors.Is(err, context.DeadlineExceeded) && !d.Expiry.IsZero() && !time.Now().Before(d.Expiry) {
		return Pair{}, tooLate(err)
	}
	if err != nil {
		return Pair{}, oauthFault(ctx, err)
	}
	return s.Server.pair(DeviceClient, t), nil
}

// Renew trades p's refresh token for a new pair.
func (m Metadata) Renew(ctx context.Context, t http.RoundTripper, p Pair) (Pair, error) {
	old := &oauth2.Token{RefreshToken: p.Refresh, Expiry: time.Unix(1, 0)}
	fresh, err := m.config(p.ClientID, nil).TokenSource(withHTTP(ctx, t), old).Token()
	if err != nil {
		return Pair{}, oauthFault(ctx, err)
	}
	n := m.pair(p.ClientID, fresh)
	if n.Scope == "" {
		n.Scope = p.Scope // unchanged (RFC 6749, section 5.1)
	}
	return n, nil
}

// Revoke ends p at the server (RFC 7009): the whole grant, where there is a
// refresh token.
func (m Metadata) Revoke(ctx context.Context, t http.RoundTripper, p Pair) error {
	if m.Revocation == "" {
		return fault.New(fault.Invalid, "%s offers no revocation: the tokens end by themselves", m.Issuer)
	}
	token := p.Refresh
	if token == "" {
		token = p.Access
	}
	return postForm(ctx, t, m.Revocation, map[string]string{"token": token, "client_id": p.ClientID})
}

func (m Metadata) config(client string, scopes []string) *oauth2.Config {
	return &oauth2.Config{ClientID: client, Scopes: scopes, Endpoint: oauth2.Endpoint{
		DeviceAuthURL: m.Device, TokenURL: m.Token, AuthStyle: oauth2.AuthStyleInParams,
	}}
}

func (m Metadata) pair(client string, t *oauth2.Token) Pair {
	scope, _ := t.Extra("scope").(string)
	return Pair{Access: t.AccessToken, Refresh: t.RefreshToken, Expires: t.Expiry.UTC(), Scope: scope, Issuer: m.Issuer, ClientID: client}
}

func withHTTP(ctx context.Context, t http.RoundTripper) context.Context {
	h := newHTTP(t)
	h.Timeout = 30 * time.Second
	return context.WithValue(ctx, oauth2.HTTPClient, h)
}

// oauthFault says what an OAuth error code means to the person at the terminal.
func oauthFault(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	r, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return fault.Wrap(fault.Unavailable, err, "the authorization server can't be reached: %v", cause(err))
	}
	why := strings.TrimSuffix(r.ErrorDescription, ".")
	if why == "" {
		why = r.ErrorCode
	}
	switch r.ErrorCode {
	case "access_denied":
		return fault.Wrap(fault.Denied, err, "the sign-in was refused in the browser")
	case "expired_token":
		return tooLate(err)
	case "invalid_grant":
		return fault.Wrap(fault.Unauthenticated, err, "the sign-in has ended (%s): sign in again with `gatehouse oauth login`", why)
	case "invalid_scope", "unauthorized_client":
		return fault.Wrap(fault.Denied, err, "the authorization server refuses: %s", why)
	case "":
		return fault.Wrap(fault.Unavailable, err, "the authorization server answered %s", r.Response.Status)
	}
	return fault.Wrap(fault.Invalid, err, "the authorization server refuses: %s", why)
}

func tooLate(err error) error {
	return fault.Wrap(fault.Unauthenticated, err, "the code was not confirmed in time: run the command again")
}
