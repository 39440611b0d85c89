package acme

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	wire "github.com/mholt/acmez/v3/acme"

	"gatehouse/internal/fault"
)

func TestRefusalsSayWhatAndWhyAndWhatHelps(t *testing.T) {
	for _, c := range []struct {
		p     wire.Problem
		words string
	}{
		{wire.Problem{Type: wire.ProblemTypeNamespace + "rateLimited", Detail: "too many"}, "the certificate authority refused: too many (rateLimited)"},
		{wire.Problem{Type: wire.ProblemTypeNamespace + "caa", Detail: "CAA says no.", Resource: wire.Authorization{Identifier: wire.Identifier{Value: "a.example.com"}}},
			"the certificate authority refused a.example.com: CAA says no (caa): the domain's CAA records do not name this authority"},
		{wire.Problem{Type: wire.ProblemTypeNamespace + "compound", Detail: "several", Subproblems: []wire.Subproblem{
			{Problem: wire.Problem{Type: wire.ProblemTypeNamespace + "rejectedIdentifier", Detail: "no such"}, Identifier: wire.Identifier{Value: "b.example.com"}}}},
			"the certificate authority refused b.example.com: no such (rejectedIdentifier): this authority does not certify that name"},
		{wire.Problem{Type: wire.ProblemTypeNamespace + "dns", Detail: "x\x1b[31m\ny"}, "refused: x [31m y (dns)"},
	} {
		err := refusalOf(fmt.Errorf("attempt 1: https://ca: %w", c.p))
		if r, ok := errors.AsType[*Refusal](err); !ok || !strings.Contains(r.Error(), c.words) {
			t.Errorf("%v", err)
		}
	}
	if err := refusalOf(errors.New("connection reset")); !fault.Is(err, fault.Unavailable) || strings.Contains(err.(*fault.Error).Message(), "reset") { //nolint:errorlint // outermost
		t.Errorf("%v", err)
	}
	if err := refusalOf(context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if long := oneLine(strings.Repeat("é", 1000)); len(long) > 510 {
		t.Errorf("%d bytes", len(long))
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "60": time.Minute, "-1": 0, "x": 0, "99999999999999999999": 0, "0": 0,
		now.Add(time.Hour).Format(http.TimeFormat): time.Hour, now.Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, not %v", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"60", "-5", "Fri, 31 Dec 9999 23:59:59 GMT", "1e9", ""} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if got := retryAfter(s, now); got < 0 {
			t.Errorf("%q: %v", s, got)
		}
	})
}
