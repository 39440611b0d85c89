package fetch

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// How long a document may be kept: what its headers say, between these two.
const (
	MinLife = 5 * time.Minute
	MaxLife = 24 * time.Hour
)

// life is how long an answer stays fresh (RFC 9111, section 4.2.1, for a cache
// that many share), clamped.
func life(h http.Header, now time.Time) time.Duration {
	fresh, said := lifeByCacheControl(h.Values("Cache-Control"))
	if expires, err := http.ParseTime(h.Get("Expires")); !said && err == nil {
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			now = date
		}
		fresh = expires.Sub(now)
	}
	if age, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
		fresh -= time.Duration(age) * time.Second
	}
	return min(max(fresh, MinLife), MaxLife)
}

// lifeByCacheControl is what Cache-Control says; s-maxage before max-age, and
// no-store, no-cache and private before both.
func lifeByCacheControl(values []string) (fresh time.Duration, said bool) {
	shared := false
	for directive := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name = strings.ToLower(name); name {
		case "no-store", "no-cache", "private":
			return 0, true
		case "max-age", "s-maxage":
			n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil || (shared && name == "max-age") {
				continue
			}
			fresh, said, shared = time.Duration(n)*time.Second, true, shared || name == "s-maxage"
		}
	}
	return fresh, said
}
