package edge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/bits"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"gatehouse/internal/mcpgate"
	"gatehouse/internal/site"
)

// picker chooses among the targets of a proxy: those that are there, by turns, by
// how busy they are, or always the same for the same client.
type picker struct {
	targets  []*target
	weights  []int
	total    uint64        // of the weights
	turn     atomic.Uint64 // how often somebody was picked
	least    bool          // the least busy one, by its weight
	sticky   bool          // one client, one target
	sessions bool          // one MCP session, one target
	nobody   *target       // stands for all when none is there
}

// choice is what a pick goes by.
type choice struct {
	now    int64  // unix nanoseconds
	place  uint32 // the target that was chosen before; 0: none
	client uint64 // of the client, for sticky ones
	not    *target
}

// newPicker is the picker for a proxy's own targets: one of target_url, or those
// of targets.
func (e *Edge) newPicker(in *instance, p *site.Proxy) *picker {
	k := &picker{least: p.LBPolicy == site.LeastConn, sticky: p.LBPolicy == site.Sticky}
	k.sessions = k.sticky || p.ResourceStateful
	for _, t := range p.Targets {
		k.add(e.newTarget(in, t.URL), max(t.Weight, 1))
	}
	if len(k.targets) == 0 {
		k.add(e.newTarget(in, p.TargetURL), 1)
	}
	if len(k.targets) > 1 || p.HealthPath != "" {
		for _, t := range k.targets {
			t.health = e.healthOf(p.Hostname, t.value)
		}
		k.nobody = &target{value: k.targets[0].value, missing: noneHealthy}
	}
	return k
}

const noneHealthy = "no target of this host is healthy"

func (k *picker) add(t *target, weight int) {
	k.targets, k.weights = append(k.targets, t), append(k.weights, weight)
	k.total += uint64(weight) //nolint:gosec // 1 to 1000
}

// goldenStep is the golden section of 2^64: steps of it, taken round, are spread
// evenly over the whole range, so that heavy targets don't get their turns in a row.
const goldenStep = 0x9E3779B97F4A7C15

// pick is where the next request goes. Targets that broke off lately are passed
// over while there are others; those that health checks find down get nothing.
func (k *picker) pick(c choice) *target {
	if k.nobody == nil {
		return k.targets[0]
	}
	if t := k.among(c, func(t *target) bool { return t != c.not && t.missing == "" && t.health.there(c.now) }); t != nil {
		return t
	}
	if t := k.among(c, func(t *target) bool { return t != c.not && t.missing == "" && !t.health.down.Load() }); t != nil {
		return t
	}
	return k.nobody
}

// among is the choice among the targets that may be chosen; nil: there is none.
func (k *picker) among(c choice, may func(*target) bool) *target {
	if k.sessions && c.place != 0 {
		for _, t := range k.targets {
			if t.place == c.place && may(t) {
				return t
			}
		}
	}
	switch {
	case k.sticky:
		return k.always(c.client, may)
	case k.least:
		return k.idlest(k.turn.Add(1), may)
	}
	return k.next(k.turn.Add(1), may)
}

// next goes round by weight.
func (k *picker) next(turn uint64, may func(*target) bool) *target {
	at, _ := bits.Mul64(turn*goldenStep, k.total)
	first := 0
	for i := range k.targets {
		weight := uint64(k.weights[i]) //nolint:gosec // 1 to 1000
		if at < weight {
			first = i
			break
		}
		at -= weight
	}
	for i := range k.targets {
		if t := k.targets[(first+i)%len(k.targets)]; may(t) {
			return t
		}
	}
	return nil
}

// idlest has the fewest requests under way for its weight. Where several have,
// turns go round.
func (k *picker) idlest(turn uint64, may func(*target) bool) *target {
	n := len(k.targets)
	first := int(turn % uint64(n)) //nolint:gosec // less than n
	best := -1
	for i := range n {
		j := (first + i) % n
		if may(k.targets[j]) && (best < 0 || k.load(j)*int64(k.weights[best]) < k.load(best)*int64(k.weights[j])) {
			best = j
		}
	}
	if best < 0 {
		return nil
	}
	return k.targets[best]
}

func (k *picker) load(i int) int64 { return k.targets[i].load().Load() }

// always is the same target for the same client on every node, as long as that is
// there: the highest of a score of client and target, by weight (rendezvous
// hashing). When a target comes or goes, only its own clients move.
func (k *picker) always(client uint64, may func(*target) bool) (best *target) {
	highest := math.Inf(-1)
	for i, t := range k.targets {
		if !may(t) {
			continue
		}
		mixed := mix(client ^ uint64(t.place)*goldenStep)
		score := float64(k.weights[i]) / -math.Log((float64(mixed>>11)+0.5)/(1<<53))
		if score > highest {
			best, highest = t, score
		}
	}
	return best
}

// mix spreads the bits of a number (the finalizer of SplitMix64).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// placeOf names a target in cookies and marks: it says which of a host's targets
// one is, and nothing of its address. It is never 0.
// Without the secret nobody can try guesses at the address.
func (e *Edge) placeOf(hostname, value string) uint32 {
	h := hmac.New(sha256.New, e.Secret)
	_, _ = h.Write([]byte(hostname + "\x00" + value)) // a hash takes everything
	return binary.BigEndian.Uint32(h.Sum(nil)) | 1
}

// choice is what this request's pick goes by.
func (x *exchange) choice() choice {
	k := x.inst.own
	c := choice{now: x.start.UnixNano()}
	if !k.sessions || k.nobody == nil {
		return c
	}
	if c.place = mcpgate.Place(x.r.Header); c.place == 0 && k.sticky {
		c.place = placeCookie(x.r)
	}
	if k.sticky {
		c.client = clientHash(addressKey(x.visit.Client))
	}
	return c
}

// clientHash is the same on all nodes.
func clientHash(a netip.Addr) uint64 {
	b := a.As16()
	h := fnv.New64a()
	_, _ = h.Write(b[:]) // a hash takes everything
	return h.Sum64()
}

// stickyCookie keeps a browser at its target. It names one of the host's targets
// and can name nothing else.
const stickyCookie = site.StickyCookieName

func placeCookie(r *http.Request) uint32 {
	c, err := r.Cookie(stickyCookie)
	if err != nil || len(c.Value) != 8 {
		return 0
	}
	n, err := strconv.ParseUint(c.Value, 16, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// keepPlace has a browser come back to the target that answered. Over plain HTTP
// browsers take no such cookie; the client's address decides there.
func (x *exchange) keepPlace() {
	if !x.visit.Secure || x.visit.Route != nil || x.visit.MCP() || !x.inst.own.sticky || x.to.place == 0 || placeCookie(x.r) == x.to.place {
		return
	}
	h := x.w.Header()
	keepPrivate(h)
	h["Set-Cookie"] = append(h["Set-Cookie"], (&http.Cookie{
		Name: stickyCookie, Value: strconv.FormatUint(uint64(x.to.place)|1<<32, 16)[1:], Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}).String())
}

// health is what is known of a target's being there. It outlives changes of its
// host's settings.
type health struct {
	down  atomic.Bool  // the last checks failed
	fails atomic.Int32 // connections that failed in a row
	until atomic.Int64 // unix nanoseconds: passed over until then

	busy atomic.Int64 // requests under way, those that settings before these began included

	asked  atomic.Bool  // a check is under way
	next   atomic.Int64 // unix nanoseconds: when to check
	missed atomic.Int32 // checks in a row that failed
}

// there reports whether a target may be chosen. One that nobody watches always may.
func (h *health) there(now int64) bool {
	return h == nil || (!h.down.Load() && h.until.Load() <= now)
}

// A target to which connections fail is passed over for a time, longer at each
// failure in a row; ten seconds after it has come back it is used again at the latest.
const (
	firstEjection = time.Second
	lastEjection  = 10 * time.Second
)

// broke notes that a connection could not be made.
func (h *health) broke(now time.Time) {
	if h == nil {
		return
	}
	n := h.fails.Add(1)
	h.until.Store(now.Add(min(firstEjection<<min(n-1, 8), lastEjection)).UnixNano())
}

// worked notes that the target has answered.
func (h *health) worked() {
	if h != nil && h.fails.Load() != 0 {
		h.fails.Store(0)
		h.until.Store(0)
	}
}
