package oauth

import (
	"context"
	"slices"
	"time"

	"gatehouse/internal/fault"
)

// Grant types, as clients name them.
const (
	grantCode     = "authorization_code"
	grantRefresh  = "refresh_token"
	grantDevice   = "urn:ietf:params:oauth:grant-type:device_code"
	grantClient   = "client_credentials" // for clients that an administrator made
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// Ways of a client to prove itself at the token endpoint.
const (
	authNone  = "none"
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
	authKey   = "private_key_jwt"
)

// How we know a client: values of Client.Known.
const (
	knownRegistered = "registered"
	knownBuiltIn    = "builtin"
	knownURL        = "url"
)

// DeviceFlowClient is the client that every issuer knows without registration:
// public, for the device flow alone. The command line signs in with it.
const DeviceFlowClient = "device_flow_client"

func deviceFlowClient(issuer string) Client {
	return Client{ID: DeviceFlowClient, Issuer: issuer, Name: "Gatehouse command line", GrantTypes: []string{grantDevice, grantRefresh},
		AuthMethod: authNone, ApplicationType: "native", Known: knownBuiltIn}
}

// client is the client that issuer knows under id; NotFound at any other issuer.
// A client known by its URL may have to be fetched: callers hold no lock.
func (s *Server) client(ctx context.Context, issuer, id string) (Client, error) {
	if id == DeviceFlowClient {
		return deviceFlowClient(issuer), nil
	}
	if isClientURL(id) {
		return s.clientByURL(ctx, issuer, id)
	}
	if !clientID(id) {
		return Client{}, errNoClient
	}
	row, err := s.clients.Get(ctx, id)
	if fault.Is(err, fault.NotFound) || (err == nil && row.Value.Issuer != issuer) {
		return Client{}, errNoClient
	}
	return row.Value, err
}

var errNoClient = fault.New(fault.NotFound, "there is no such client here")

// clientID reports whether id can be one that we gave out; nothing else is
// looked up.
func clientID(id string) bool {
	return len(id) == len(newIDSample) && !slices.ContainsFunc([]byte(id), func(c byte) bool { return !isURLSafe(c) })
}

const newIDSample = "0123456789012345678901" // as long as newID's

func isURLSafe(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// may reports whether the client registered a grant type.
func (c *Client) may(grantType string) bool { return slices.Contains(c.GrantTypes, grantType) }

// usedEvery is how often the use of a client is written down at most.
const usedEvery = 24 * time.Hour

// clientLife is how long a client lives without use; 0: until it is removed.
func (s *Server) clientLife(c *Client) time.Duration {
	if c.Admin {
		return 0
	}
	return s.opt.ClientLifetime
}

// noteUse lets a client that is in use live on.
func (s *Server) noteUse(ctx context.Context, c *Client, now time.Time) {
	if c.Known == knownURL {
		s.useKept(ctx, c, now)
		return
	}
	if c.Known != knownRegistered || now.Sub(c.LastUsed) < usedEvery {
		return
	}
	row, err := s.clients.Get(ctx, c.ID)
	if err == nil {
		row.Value.LastUsed = now
		_, err = s.clients.Update(ctx, c.ID, row.Value, row.Version, s.clientLife(&row.Value))
	}
	if err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
		s.log.WarnContext(ctx, "a client's use was not written down", "client", c.ID, "error", err)
	}
	s.flight.clients.remove(s.clients.Key(c.ID))
}
