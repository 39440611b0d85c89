package mcptest

import (
	"time"
)

// Status is how a check ended.
type Status string

// What a check can end with. What breaks a MUST has failed, what breaks a SHOULD is
// a warning; what could not be tried was skipped.
const (
	Passed  Status = "pass"
	Failed  Status = "fail"
	Warned  Status = "warn"
	Skipped Status = "skip"
)

// Level is how strongly a requirement is meant (RFC 2119).
type Level string

// The levels.
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
)

// Result is how one check ended.
type Result struct {
	Check       string    `json:"check"`       // stable name: "session.id-entropy"
	Category    string    `json:"category"`    // one of Categories
	Requirement string    `json:"requirement"` // what is demanded, in a sentence
	Level       Level     `json:"level"`
	Status      Status    `json:"status"`
	Reference   Reference `json:"reference"`        // where it is demanded
	Detail      string    `json:"detail,omitempty"` // what was seen, or why nothing was tried
	Duration    float64   `json:"duration_ms"`
}

// Report is what a run found.
type Report struct {
	URL      string    `json:"url"`
	Category string    `json:"category"`
	Protocol string    `json:"protocol,omitempty"` // the version that was spoken; empty: it came to none
	Server   string    `json:"server,omitempty"`   // its name and version, as it says
	SignIn   bool      `json:"sign_in_needed"`     // nobody was let in without a (better) token
	Started  time.Time `json:"started"`
	Duration float64   `json:"duration_ms"`
	Results  []Result  `json:"results"`
	Totals   Totals    `json:"totals"`
}

// Totals count results.
type Totals struct {
	Checks  int     `json:"checks"`
	Passed  int     `json:"passed"`
	Failed  int     `json:"failed"`
	Warned  int     `json:"warned"`
	Skipped int     `json:"skipped"`
	Rate    float64 `json:"rate"` // passed in a hundred of those that were tried
}

// OK reports whether no MUST was broken.
func (r *Report) OK() bool { return r.Totals.Failed == 0 }

func (r *Report) add(res Result) {
	r.Results = append(r.Results, res)
	t := &r.Totals
	t.Checks++
	switch res.Status {
	case Passed:
		t.Passed++
	case Failed:
		t.Failed++
	case Warned:
		t.Warned++
	case Skipped:
		t.Skipped++
	}
	if tried := t.Checks - t.Skipped; tried > 0 {
		t.Rate = float64(t.Passed) * 100 / float64(tried)
	}
}

func (r *Report) finish(started time.Time) { r.Duration = millis(time.Since(started)) }

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
