package blocklog

import (
	"context"
	"slices"

	"gatehouse/internal/store"
)

// A follower may be so far behind before it loses blocks.
const (
	followBlocks = 256
	followBytes  = 16 << 20
)

// Follow delivers the blocks that are appended from now on.
func (l *Logs) Follow(ctx context.Context, log string) <-chan store.Block {
	j, err := l.checked(ctx, log)
	if err != nil {
		none := make(chan store.Block)
		close(none)
		return none
	}
	return j.followers.Subscribe(ctx, keepNewest)
}

// keepNewest bounds a follower's queue by letting the oldest go.
func keepNewest(queue []store.Block, b store.Block) []store.Block {
	queue = append(queue, b)
	bytes := 0
	for i, old := range slices.Backward(queue) {
		bytes += len(old.Data)
		if n := len(queue) - i; n > 1 && (n > followBlocks || bytes > followBytes) {
			return append([]store.Block(nil), queue[i+1:]...)
		}
	}
	return queue
}
