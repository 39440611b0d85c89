package mcptest

import (
	"math"
	"time"
)

// Latencies in steps of one in a hundred, from a microsecond to some minutes.
const (
	latencyStep  = 1.01
	latencySteps = 2100
)

// latencies count how long answers took. The zero value is empty.
type latencies struct {
	counts [latencySteps]int64
	total  int64
	sum    time.Duration
	most   time.Duration
}

func (l *latencies) add(d time.Duration) {
	us := max(float64(d.Microseconds()), 1)
	l.counts[min(int(math.Log(us)/math.Log(latencyStep)), latencySteps-1)]++
	l.total++
	l.sum += d
	l.most = max(l.most, d)
}

func (l *latencies) merge(other *latencies) {
	for i, n := range other.counts {
		l.counts[i] += n
	}
	l.total += other.total
	l.sum += other.sum
	l.most = max(l.most, other.most)
}

// percentile is the time within which so many in a hundred were answered, in
// milliseconds.
func (l *latencies) percentile(p float64) float64 {
	if l.total == 0 {
		return 0
	}
	rank := int64(math.Ceil(float64(l.total) * p / 100))
	seen := int64(0)
	for i, n := range l.counts {
		if seen += n; seen >= rank {
			return min(math.Round(math.Pow(latencyStep, float64(i+1)))/1000, millis(l.most))
		}
	}
	return millis(l.most)
}

// Latency is how long answers took, in milliseconds.
type Latency struct {
	Mean float64 `json:"mean_ms"`
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P95  float64 `json:"p95_ms"`
	P99  float64 `json:"p99_ms"`
	Most float64 `json:"max_ms"`
}

func (l *latencies) summary() Latency {
	s := Latency{P50: l.percentile(50), P90: l.percentile(90), P95: l.percentile(95), P99: l.percentile(99), Most: millis(l.most)}
	if l.total > 0 {
		s.Mean = millis(l.sum / time.Duration(l.total))
	}
	return s
}
