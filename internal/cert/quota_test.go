package cert

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/cert/acme"
	"gatehouse/internal/fault"
)

func TestWhatAnAuthorityAllowsIsCountedAndNotOverdrawn(t *testing.T) {
	limits := Limits{Orders: Limit{20, 3 * time.Hour}, Registered: Limit{4, 7 * aDay}, Same: Limit{2, 7 * aDay}, Failures: Limit{3, time.Hour}}
	const dir = "https://ca.example/dir"
	q := NewQuota(realStore(t), func(d string) Limits {
		if d == dir {
			return limits
		}
		return Limits{}
	})
	now := time.Now()
	check := func(words string, renews bool, domains ...string) {
		t.Helper()
		err := q.Check(t.Context(), dir, domains, renews)
		if words == "" {
			if err != nil {
				t.Errorf("%v: %v", domains, err)
			}
			return
		}
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Kind != fault.TooMany || f.RetryAfter <= 0 || !strings.Contains(f.Message(), words) {
			t.Errorf("%v: want %q, got %v", domains, words, err)
		}
	}
	for i := range 2 {
		check("", false, "a.example.co.uk", "b.example.co.uk")
		q.Count(t.Context(), dir, []string{"b.example.co.uk", "a.example.co.uk"}, nil, now.Add(time.Duration(i)))
	}
	check("2 certificates for exactly these names in 7 days", false, "a.example.co.uk", "b.example.co.uk")
	check("", true, "a.example.co.uk", "b.example.co.uk") // what it renews does not count
	check("", false, "c.example.co.uk")
	for i := range 2 {
		q.Count(t.Context(), dir, []string{fmt.Sprintf("c%d.example.co.uk", i)}, nil, now.Add(time.Duration(10+i)))
	}
	check("4 certificates below example.co.uk in 7 days", false, "d.example.co.uk")
	check("", false, "d.example.org")
	for i := range 3 {
		q.Count(t.Context(), dir, []string{"bad.example.org"}, &acme.Refusal{Type: "dns", Domain: "bad.example.org"}, now.Add(time.Duration(20+i)))
	}
	check("3 failed validations of bad.example.org in an hour", false, "bad.example.org", "fine.example.org")
	check("", false, "fine.example.org")
	for i := range 20 {
		q.Count(t.Context(), dir, []string{"x.example.net"}, errors.New("no"), now.Add(time.Duration(30+i)))
	}
	check("20 orders in 3 hours", true, "y.example.net")
	if err := q.Check(t.Context(), "https://other.example/dir", []string{"bad.example.org"}, false); err != nil {
		t.Errorf("another authority: %v", err)
	}
	if l := LimitsOf("https://acme-v02.api.letsencrypt.org/directory"); l != LetsEncrypt() {
		t.Error("Let's Encrypt is not known")
	}
	if l := LimitsOf("https://acme-staging-v02.api.letsencrypt.org/directory"); l != (Limits{}) {
		t.Error("its staging is counted like production")
	}
}
