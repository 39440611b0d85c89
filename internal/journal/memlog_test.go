package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/store"
)

// memLog is a store.Log in memory, with switches for what can go wrong. Drop
// keeps everything, as a backend may for an hour.
type memLog struct {
	mu       sync.Mutex
	blocks   []store.Block
	synced   int // blocks appended with sync
	dropped  time.Time
	away     bool
	follower []chan store.Block
}

func (m *memLog) Append(_ context.Context, b store.Block, sync bool) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return "", errors.New("the store is away")
	}
	if err := store.CheckBlock(b); err != nil {
		return "", err
	}
	b.ID = fmt.Sprintf("%s-%06d", b.Log, len(m.blocks))
	b.Data = slices.Clone(b.Data)
	m.blocks = append(m.blocks, b)
	if sync {
		m.synced++
	}
	for _, ch := range m.follower {
		ch <- b
	}
	return b.ID, nil
}

func (m *memLog) Range(_ context.Context, log string, from, to time.Time, reverse bool, fn func(store.Block) bool) error {
	m.mu.Lock()
	blocks := slices.Clone(m.blocks)
	away := m.away
	m.mu.Unlock()
	if away {
		return errors.New("the store is away")
	}
	if reverse {
		slices.Reverse(blocks)
	}
	for _, b := range blocks {
		if b.Log != log || b.Last.Before(from) || !to.IsZero() && b.First.After(to) {
			continue
		}
		if !fn(b) {
			return nil
		}
	}
	return nil
}

func (m *memLog) Follow(ctx context.Context, log string) <-chan store.Block {
	in, out := make(chan store.Block, 1024), make(chan store.Block)
	m.mu.Lock()
	m.follower = append(m.follower, in)
	m.mu.Unlock()
	go func() {
		defer close(out)
		for {
			select {
			case <-ctx.Done():
				return
			case b := <-in:
				if b.Log == log {
					select {
					case out <- b:
					case <-ctx.Done():
						return
					}
				}
			}
		}
	}()
	return out
}

func (m *memLog) Drop(_ context.Context, _ string, before time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropped = before
	return nil
}

func (m *memLog) Info(context.Context, string) (store.LogInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return store.LogInfo{Blocks: int64(len(m.blocks))}, nil
}

func (m *memLog) setAway(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}

func (m *memLog) count(log string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.blocks {
		if b.Log == log {
			n++
		}
	}
	return n
}
