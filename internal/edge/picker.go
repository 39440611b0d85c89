package edge

import (
	"math/bits"
	"sync/atomic"

	"gatehouse/internal/site"
)

// picker chooses among the targets of a proxy. (Health, ejection, stickiness and
// retries hang on here, once they are there.)
type picker struct {
	targets []*target
	weights []int
	total   uint64        // of the weights
	turn    atomic.Uint64 // how often somebody was picked
	least   bool          // the least busy one, by its weight
}

// newPicker is the picker for a proxy's own targets: one of target_url, or those
// of targets.
func (e *Edge) newPicker(in *instance, p *site.Proxy) *picker {
	k := &picker{least: p.LBPolicy == site.LeastConn}
	for _, t := range p.Targets {
		k.add(e.newTarget(in, t.URL), max(t.Weight, 1))
	}
	if len(k.targets) == 0 {
		k.add(e.newTarget(in, p.TargetURL), 1)
	}
	return k
}

func (k *picker) add(t *target, weight int) {
	k.targets, k.weights = append(k.targets, t), append(k.weights, weight)
	k.total += uint64(weight) //nolint:gosec // 1 to 1000
}

// goldenStep is the golden section of 2^64: steps of it, taken round, are spread
// evenly over the whole range, so that heavy targets don't get their turns in a row.
const goldenStep = 0x9E3779B97F4A7C15

// pick is where the next request goes.
func (k *picker) pick() *target {
	if len(k.targets) == 1 {
		return k.targets[0]
	}
	turn := k.turn.Add(1)
	if k.least {
		return k.idlest(turn)
	}
	at, _ := bits.Mul64(turn*goldenStep, k.total)
	for i, t := range k.targets {
		weight := uint64(k.weights[i]) //nolint:gosec // 1 to 1000
		if at < weight {
			return t
		}
		at -= weight
	}
	return k.targets[0] // at is below the sum of the weights: can't be
}

// idlest has the fewest requests under way for its weight. Where several have,
// turns go round.
func (k *picker) idlest(turn uint64) *target {
	n := len(k.targets)
	first := int(turn % uint64(n)) //nolint:gosec // less than n
	best := first
	for i := 1; i < n; i++ {
		j := (first + i) % n
		if k.load(j)*int64(k.weights[best]) < k.load(best)*int64(k.weights[j]) {
			best = j
		}
	}
	return k.targets[best]
}

func (k *picker) load(i int) int64 { return k.targets[i].busy.Load() }
