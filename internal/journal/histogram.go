package journal

import "math/bits"

// histogram counts durations in classes of 1/32 of a power of two, so that a
// percentile is at most 1.6 % off, and histograms can be added.
type histogram struct {
	counts [histogramClasses]int64
	total  int64
	max    int64 // microseconds
}

const (
	histogramSteps   = 32 // classes of a power of two
	histogramBits    = 5
	histogramClasses = (64 - histogramBits) * histogramSteps
)

func (h *histogram) add(micros int64) {
	micros = max(micros, 0)
	h.counts[histogramClass(micros)]++
	h.total++
	h.max = max(h.max, micros)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
	h.max = max(h.max, o.max)
}

// percentile is the duration in milliseconds that p percent do not exceed.
func (h *histogram) percentile(p float64) float64 {
	if h.total == 0 {
		return 0
	}
	left := int64(float64(h.total)*p/100 + 0.5)
	for class, n := range h.counts {
		if left -= n; left <= 0 && n > 0 {
			return millis(min(classMiddle(class), h.max))
		}
	}
	return millis(h.max)
}

func histogramClass(micros int64) int {
	if micros < histogramSteps {
		return int(micros)
	}
	shift := bits.Len64(uint64(micros)) - histogramBits - 1
	return (shift+1)*histogramSteps + int(micros>>shift) - histogramSteps
}

func classMiddle(class int) int64 {
	if class < histogramSteps {
		return int64(class)
	}
	shift := class/histogramSteps - 1
	low := int64(class%histogramSteps+histogramSteps) << shift
	return low + int64(1)<<shift/2
}
