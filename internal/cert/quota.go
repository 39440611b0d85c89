package cert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"gatehouse/internal/cert/acme"
	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// Limits are what an authority allows one account, each in a window of time.
type Limits struct {
	Orders     Limit // orders of an account
	Registered Limit // certificates of one registered domain
	Same       Limit // certificates for exactly the same names
	Failures   Limit // failed validations of one name
}

// Limit is so many in so long; 0 of them: no limit.
type Limit struct {
	Most int
	In   time.Duration
}

// LetsEncrypt is what Let's Encrypt allows (https://letsencrypt.org/docs/rate-limits/,
// read in November 2026). A certificate that replaces another one by ARI counts
// towards none but Orders.
func LetsEncrypt() Limits {
	week := 7 * 24 * time.Hour
	return Limits{Orders: Limit{300, 3 * time.Hour}, Registered: Limit{50, week}, Same: Limit{5, week}, Failures: Limit{5, time.Hour}}
}

// LimitsOf is what is known of the authority at a directory; nothing of most.
func LimitsOf(directory string) Limits {
	if u, err := url.Parse(directory); err == nil && strings.EqualFold(u.Hostname(), "acme-v02.api.letsencrypt.org") {
		return LetsEncrypt()
	}
	return Limits{}
}

// prefixCount is where orders are counted, for all nodes: a key for each, which
// goes when it counts no more.
const prefixCount = "acme:count:"

// Quota counts what authorities allow, and says no before they do: their own no
// costs more.
type Quota struct {
	kv     store.KV
	limits func(directory string) Limits
}

// NewQuota counts in kv; limits tells what an authority allows.
func NewQuota(kv store.KV, limits func(directory string) Limits) *Quota {
	return &Quota{kv, limits}
}

// tally is one thing that is counted.
type tally struct {
	name  string // of the counter, below the directory's
	limit Limit
	words string // for messages: "certificates for example.com"
}

// Check is an error when the authority would refuse an order because there were
// too many. renews says that it replaces a certificate of the same authority.
func (q *Quota) Check(ctx context.Context, directory string, domains []string, renews bool) error {
	limits := q.limits(directory)
	tallies := append(limits.issuances(domains, renews), limits.failures(domains)...)
	for _, t := range tallies {
		if t.limit.Most == 0 {
			continue
		}
		free, err := q.free(ctx, directory, t)
		if err != nil {
			return err
		}
		if wait := time.Until(free); wait > 0 {
			return &fault.Error{Kind: fault.TooMany, RetryAfter: wait,
				Public: "the authority allows " + strconv.Itoa(t.limit.Most) + " " + t.words + " in " + words(t.limit.In) + ", which is used up until " + free.UTC().Format(time.RFC3339)}
		}
	}
	return nil
}

// issuances is what a new certificate counts towards.
func (l Limits) issuances(domains []string, renews bool) []tally {
	all := []tally{{"orders", l.Orders, "orders"}}
	if renews {
		return all
	}
	sorted := slices.Sorted(slices.Values(domains))
	all = append(all, tally{"same:" + digest(strings.Join(sorted, ",")), l.Same, "certificates for exactly these names"})
	seen := map[string]bool{}
	for _, d := range domains {
		if r := registered(d); !seen[r] {
			seen[r] = true
			all = append(all, tally{"registered:" + digest(r), l.Registered, "certificates below " + r})
		}
	}
	return all
}

func (l Limits) failures(domains []string) []tally {
	all := make([]tally, len(domains))
	for i, d := range domains {
		all[i] = tally{"failed:" + digest(d), l.Failures, "failed validations of " + d}
	}
	return all
}

// registered is the domain that somebody registered: below a public suffix.
func registered(d string) string {
	d = strings.TrimPrefix(d, "*.")
	if r, err := publicsuffix.EffectiveTLDPlusOne(d); err == nil {
		return r
	}
	return d
}

// free is when one more of t is allowed; past: now.
func (q *Quota) free(ctx context.Context, directory string, t tally) (time.Time, error) {
	items, err := q.kv.List(ctx, q.key(directory, t), "", store.MaxPage)
	if err != nil || len(items) < t.limit.Most {
		return time.Time{}, err
	}
	return items[len(items)-t.limit.Most].Expires, nil // names end with the time: the list is in its order
}

func (q *Quota) key(directory string, t tally) string {
	ca := directory
	if u, err := url.Parse(directory); err == nil && u.Host != "" {
		ca = u.Host + u.Path
	}
	return prefixCount + url.PathEscape(ca) + ":" + t.name + ":"
}

// Count notes an order that was placed at a time and what became of it. What can't
// be written down is not counted: the authority counts too.
func (q *Quota) Count(ctx context.Context, directory string, domains []string, outcome error, now time.Time) {
	limits := q.limits(directory)
	tallies := limits.issuances(domains, outcome != nil) // a failed order counts as an order alone
	if r, ok := errors.AsType[*acme.Refusal](outcome); ok && r.Domain != "" {
		tallies = append(tallies, limits.failures([]string{r.Domain})...)
	}
	var writes []store.Write
	for _, t := range tallies {
		if t.limit.Most > 0 {
			writes = append(writes, store.Write{Key: q.key(directory, t) + stamp(now), Value: []byte("1"), If: store.AnyVersion, TTL: t.limit.In})
		}
	}
	if len(writes) > 0 {
		_, _ = q.kv.Commit(ctx, writes...)
	}
}

// stamp orders names by time, to the nanosecond.
func stamp(t time.Time) string {
	s := strconv.FormatInt(t.UnixNano(), 10)
	return strings.Repeat("0", max(20-len(s), 0)) + s
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:12])
}

func words(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0 && d > 24*time.Hour:
		return strconv.Itoa(int(d/(24*time.Hour))) + " days"
	case d == time.Hour:
		return "an hour"
	}
	return strconv.Itoa(int(d/time.Hour)) + " hours"
}
