package control

import (
	"context"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
)

// ConsentView is what one person approved for one client, so that they are not
// asked again.
type ConsentView struct {
	Subject    string         `json:"subject"`
	User       string         `json:"user"`
	ClientID   string         `json:"client_id"`
	ClientName string         `json:"client_name"`
	Approvals  []ApprovalView `json:"approvals"`
}

// ApprovalView is one combination that was approved.
type ApprovalView struct {
	Issuer      string    `json:"issuer"`
	Resource    string    `json:"resource"`
	RedirectURI string    `json:"redirect_uri"`
	Scopes      []string  `json:"scopes"`
	At          time.Time `json:"at"`
}

// ForgetConsent is the argument of delete_consent.
type ForgetConsent struct {
	Subject  string `json:"subject" required:"true" jsonschema:"the person"`
	ClientID string `json:"client_id" required:"true" jsonschema:"the client"`
}

func consentView(c oauth.Consent) ConsentView {
	v := ConsentView{Subject: c.Subject, User: c.User, ClientID: c.ClientID, ClientName: c.ClientName, Approvals: []ApprovalView{}}
	for _, a := range c.Approvals {
		v.Approvals = append(v.Approvals, ApprovalView{Issuer: a.Issuer, Resource: a.Resource, RedirectURI: a.RedirectURI, Scopes: none(a.Scopes), At: a.At})
	}
	return v
}

// ListConsents answers the caller's own remembered approvals; for administrators
// all.
func (c *Control) ListConsents(ctx context.Context, in Paging) (Page[ConsentView], error) {
	subject, err := c.ownSubject(ctx)
	if err != nil {
		return Page[ConsentView]{}, err
	}
	all, err := c.deps.OAuth.Consents(ctx, subject)
	if err != nil {
		return Page[ConsentView]{}, err
	}
	views := make([]ConsentView, len(all))
	for i, consent := range all {
		views[i] = consentView(consent)
	}
	name := func(v ConsentView) string { return v.Subject + "\x00" + v.ClientID }
	slices.SortFunc(views, func(a, b ConsentView) int { return strings.Compare(name(a), name(b)) })
	return pageOf(in, views, name)
}

// ForgetConsent makes a client ask a person again.
func (c *Control) ForgetConsent(ctx context.Context, in ForgetConsent) (Done, error) {
	var missing fault.Rules
	for name, value := range map[string]string{"subject": in.Subject, "client_id": in.ClientID} {
		if value == "" {
			missing.Add(name, "is required")
		}
	}
	if err := missing.Err(); err != nil {
		return Done{}, err
	}
	noted(ctx, "oauth:consent:"+in.Subject+":"+in.ClientID, nil, nil)
	return Done{true}, c.deps.OAuth.ForgetConsent(ctx, in.Subject, in.ClientID)
}
