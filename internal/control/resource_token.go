package control

import (
	"context"
	"net/http"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
)

// ValidateToken is the argument of validate_resource_token.
type ValidateToken struct {
	URI   string `json:"uri" required:"true" jsonschema:"the resource, percent-encoded in a path"`
	Token string `json:"token" required:"true" jsonschema:"an access token; it is not kept and not logged"`
}

// TokenCheck is what the gate makes of a token at a resource.
type TokenCheck struct {
	Resource    string       `json:"resource"`
	Active      bool         `json:"active" jsonschema:"the token is let in at the resource now"`
	Status      int          `json:"status" jsonschema:"what a request with it would be answered: 200 is the target's"`
	Reason      string       `json:"reason" jsonschema:"as the log says it"`
	Description string       `json:"description,omitempty" jsonschema:"as the client is told"`
	Subject     string       `json:"subject,omitempty"`
	User        string       `json:"user,omitempty"`
	ClientID    string       `json:"client_id,omitempty"`
	Scopes      []string     `json:"scopes" jsonschema:"what is left of the token's after the lists were asked"`
	TokenID     string       `json:"token_id,omitempty"`
	GrantID     string       `json:"grant_id,omitempty"`
	Expires     *time.Time   `json:"expires_at,omitempty"`
	Steps       []oauth.Step `json:"steps"`
}

// ValidateToken answers what the gate makes of a token at a resource: by the code
// that decides on requests.
func (c *Control) ValidateToken(_ context.Context, in ValidateToken) (TokenCheck, error) {
	at, err := c.resource(in.URI)
	if err != nil {
		return TokenCheck{}, err
	}
	if in.Token == "" || len(in.Token) > 16<<10 || strings.ContainsFunc(in.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return TokenCheck{}, fault.BadField("token", "is an access token: visible ASCII without spaces, at most 16 KiB")
	}
	asked := ExplainProxy{Hostname: at.host.Proxy.Hostname, Name: at.name, Path: at.endpoint, Plain: strings.HasPrefix(at.origin, "http:")}
	if at.host.Proxy.MCPEnabled {
		asked.Method = http.MethodPost
	}
	v, r, err := c.imagine(asked)
	if err != nil {
		return TokenCheck{}, err
	}
	v.Route, _ = v.Host.Match(r.Method, v.Path)
	r.Header.Set("Authorization", "Bearer "+in.Token)
	verdict, steps := c.deps.OAuth.ExplainToken(v, r)
	out := TokenCheck{Resource: site.ResourceOf(at.origin, at.host.Proxy.ResourceEndpoint), Status: statusOf(verdict), Reason: verdict.Reason,
		Description: verdict.Description, Scopes: []string{}, Steps: append([]oauth.Step{}, steps...)}
	if p := verdict.Principal; p != nil {
		out.Active = verdict.Allowed()
		out.Subject, out.User, out.ClientID, out.Scopes, out.TokenID, out.GrantID, out.Expires = p.Subject, p.User, p.ClientID, none(p.Scopes), p.TokenID, p.GrantID, moment(p.Expires)
	}
	return out, nil
}
