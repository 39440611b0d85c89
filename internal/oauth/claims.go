package oauth

import (
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// claims are what an access token says.
type claims struct {
	Issuer   string           `json:"iss"`
	Subject  string           `json:"sub"`
	Audience jwt.ClaimStrings `json:"aud"`
	ClientID string           `json:"client_id"`
	Party    string           `json:"azp,omitempty"`
	Expires  *int64           `json:"exp"` // seconds since 1970; a number, nothing that looks like one
	Issued   *int64           `json:"iat"`
	Earliest *int64           `json:"nbf,omitempty"`
	ID       string           `json:"jti"`
	Scope    string           `json:"scope"`
	AuthTime *int64           `json:"auth_time,omitempty"`
	User     string           `json:"username,omitempty"`
	Email    string           `json:"email,omitempty"`
	Name     string           `json:"name,omitempty"`
	Groups   []string         `json:"groups,omitempty"`
	GrantID  string           `json:"grant_id,omitempty"`
	From     []string         `json:"exchanged_from,omitempty"` // jti of the tokens that this one was exchanged for
}

func (c *claims) scopes() []string { return strings.Fields(c.Scope) }

// The claims as golang-jwt asks for them.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.Expires), nil }

func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) { return date(c.Issued), nil }

func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return date(c.Earliest), nil }

func (c *claims) GetIssuer() (string, error) { return c.Issuer, nil }

func (c *claims) GetSubject() (string, error) { return c.Subject, nil }

func (c *claims) GetAudience() (jwt.ClaimStrings, error) { return c.Audience, nil }

func date(seconds *int64) *jwt.NumericDate {
	if seconds == nil {
		return nil
	}
	return jwt.NewNumericDate(time.Unix(*seconds, 0))
}

// check is the part of the rules that a token alone decides.
func (c *claims) check(now time.Time) *badToken {
	switch {
	case c.Expires == nil, c.Issued == nil, c.Subject == "", c.ClientID == "", c.ID == "", c.Issuer == "", len(c.Audience) == 0:
		return badClaims
	case now.Unix() >= *c.Expires:
		return badExpired
	case *c.Issued > now.Add(skew).Unix(), c.Earliest != nil && *c.Earliest > now.Add(skew).Unix():
		return badEarly
	}
	return nil
}
