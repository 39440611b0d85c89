package control

import (
	"context"
	"time"

	"gatehouse/internal/journal"
)

// OAuthMetricsWindow is the argument of get_oauth_metrics.
type OAuthMetricsWindow struct {
	Hours float64 `json:"hours,omitempty" jsonschema:"the last so many hours; 24 when not given"`
	Proxy string  `json:"proxy,omitempty" jsonschema:"of this host alone"`
}

// OAuthMetrics are counts of what the authorization server did, from the log, and
// of what there is now.
type OAuthMetrics struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`

	TokensIssued   map[string]int64 `json:"tokens_issued" jsonschema:"answers of the token endpoint, by grant type"`
	TokensRefused  map[string]int64 `json:"tokens_refused" jsonschema:"refusals of the token endpoint, by reason"`
	DevicePolls    int64            `json:"device_polls" jsonschema:"devices that asked before their person had answered"`
	SignIns        int64            `json:"sign_ins" jsonschema:"people who proved who they are"`
	SignInsRefused map[string]int64 `json:"sign_ins_refused" jsonschema:"by reason"`

	Steps map[string]StepCounts `json:"steps" jsonschema:"every other step of a sign-in, by name: register, authorize, consent, device_code, revoke, introspect …"`

	Active ActiveCounts `json:"active" jsonschema:"what there is now, of all hosts"`
}

// StepCounts are how one kind of step ended.
type StepCounts struct {
	Done    int64            `json:"done"`
	Refused map[string]int64 `json:"refused" jsonschema:"by reason"`
}

// ActiveCounts are counts of what is alive.
type ActiveCounts struct {
	Clients  int `json:"clients"`
	Grants   int `json:"grants"`
	Sessions int `json:"sessions"`
}

// The steps that have members of their own; package oauth and package signin
// write them.
const (
	stepToken  = "token"
	stepSignIn = "signin"
)

// OAuthMetrics answers counts of what the authorization server did.
func (c *Control) OAuthMetrics(ctx context.Context, in OAuthMetricsWindow) (OAuthMetrics, error) {
	got, err := c.deps.Journal.Outcomes(ctx, journal.Query{Kind: journal.OAuth, Hours: in.Hours, Proxy: in.Proxy}, stepToken)
	if err != nil {
		return OAuthMetrics{}, err
	}
	out := OAuthMetrics{Since: got.Since, Until: got.Until, TokensIssued: map[string]int64{}, TokensRefused: map[string]int64{},
		SignInsRefused: map[string]int64{}, Steps: map[string]StepCounts{}}
	for one, n := range got.Counts {
		out.count(one, n)
	}
	status, err := c.OAuthStatus(ctx, Nothing{})
	out.Active = ActiveCounts{Clients: status.Clients, Grants: status.Grants, Sessions: status.Sessions}
	return out, err
}

func (m *OAuthMetrics) count(one journal.Outcome, n int64) {
	refused := one.Result == "denied"
	switch {
	case one.Action == stepToken && one.Result == "waiting":
		m.DevicePolls += n
	case one.Action == stepToken && refused:
		m.TokensRefused[one.Reason] += n
	case one.Action == stepToken:
		m.TokensIssued[one.How] += n
	case one.Action == stepSignIn && refused:
		m.SignInsRefused[one.Reason] += n
	case one.Action == stepSignIn:
		m.SignIns += n
	default:
		step := m.Steps[one.Action]
		if step.Refused == nil {
			step.Refused = map[string]int64{}
		}
		if refused {
			step.Refused[one.Reason] += n
		} else {
			step.Done += n
		}
		m.Steps[one.Action] = step
	}
}
