//go:build race

package journal

// slowdown is what the race detector, and other tests beside it, may cost.
const slowdown = 20
