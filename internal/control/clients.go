package control

import (
	"context"
	"encoding/json"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
)

// CreateClient is the argument of create_client.
type CreateClient struct {
	Name         string   `json:"client_name" required:"true" jsonschema:"name that people see"`
	Hostname     string   `json:"proxy_hostname,omitempty" jsonschema:"a protected host: the client is for its issuer"`
	Issuer       string   `json:"issuer,omitempty" jsonschema:"instead of proxy_hostname, the issuer itself"`
	Scopes       []string `json:"scopes,omitempty" jsonschema:"what the client may have for itself, as far as the lists of a resource name client:ID"`
	GrantTypes   []string `json:"grant_types,omitempty" jsonschema:"client_credentials when not given; also urn:ietf:params:oauth:grant-type:token-exchange, authorization_code, refresh_token"`
	RedirectURIs []string `json:"redirect_uris,omitempty" jsonschema:"for authorization_code"`
	AuthMethod   string   `json:"token_endpoint_auth_method,omitempty" jsonschema:"client_secret_basic (the default), client_secret_post or private_key_jwt"`

	JWKS    map[string]any `json:"jwks,omitempty" jsonschema:"with private_key_jwt: the client's public keys (RFC 7517)"`
	JWKSURI string         `json:"jwks_uri,omitempty" jsonschema:"instead of jwks: where they stand"`
}

// NewClientView is a client that was just made, with its secret.
type NewClientView struct {
	ClientView

	Secret string `json:"client_secret,omitempty" jsonschema:"shown this once; none with private_key_jwt"`
	User   string `json:"user" jsonschema:"the name that lists hold for the client when it acts for itself"`
}

// CreateClient makes a confidential client. Its secret is in the answer and
// nowhere else.
func (c *Control) CreateClient(ctx context.Context, in CreateClient) (NewClientView, error) {
	host := in.Hostname
	if host != "" {
		host = normal(host)
	}
	var keys []byte
	if len(in.JWKS) > 0 {
		var err error
		if keys, err = json.Marshal(in.JWKS); err != nil {
			return NewClientView{}, fault.BadField("jwks", "is a set of keys")
		}
	}
	client, secret, err := c.deps.OAuth.CreateClient(ctx, oauth.NewClient{Name: in.Name, Host: host, Issuer: in.Issuer, Scopes: in.Scopes,
		GrantTypes: in.GrantTypes, RedirectURIs: in.RedirectURIs, AuthMethod: in.AuthMethod, JWKS: keys, JWKSURI: in.JWKSURI})
	if err != nil {
		return NewClientView{}, err
	}
	noted(ctx, "oauth:client:"+client.ID, nil, clientView(client))
	return NewClientView{ClientView: clientView(client), Secret: secret, User: "client:" + client.ID}, nil
}
