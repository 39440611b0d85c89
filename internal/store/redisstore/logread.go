package redisstore

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/store"
	"gatehouse/internal/store/feed"
)

// Blocks are fetched so many, or so many bytes, at a time.
const (
	fetchBlocks = 100
	fetchBytes  = 4 << 20
)

// entry is what is known of a block without its data.
type entry struct {
	id          string // sequence in 16 digits
	first, last int64  // nanoseconds
	size        int
}

// Range calls fn for the blocks of log that overlap [from, to].
func (s *Store) Range(ctx context.Context, log string, from, to time.Time, reverse bool, fn func(store.Block) bool) error {
	if err := store.CheckLog(log); err != nil {
		return err
	}
	hours, err := s.hours(ctx, log)
	if err != nil {
		return err
	}
	if reverse {
		slices.Reverse(hours)
	}
	first, last := bound(from, math.MinInt64), bound(to, math.MaxInt64)
	for _, h := range hours {
		if h.first > last || h.last < first {
			continue
		}
		more, err := s.walk(ctx, log, h, first, last, reverse, fn)
		if err != nil || !more {
			return err
		}
	}
	return ctx.Err()
}

// walk calls fn for the blocks of one stream that overlap [first, last].
func (s *Store) walk(ctx context.Context, log string, h hourNotes, first, last int64, reverse bool, fn func(store.Block) bool) (more bool, err error) {
	entries, err := s.entries(ctx, log, h, first, last)
	if err != nil {
		return false, err
	}
	if reverse {
		slices.Reverse(entries)
	}
	for len(entries) > 0 {
		n := fitting(entries)
		blocks, err := s.fetch(ctx, log, h.hour, entries[:n])
		if err != nil {
			return false, err
		}
		for _, b := range blocks {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			if !fn(b) {
				return false, nil
			}
		}
		entries = entries[n:]
	}
	return true, nil
}

// fitting is how many of entries are fetched together, one at least.
func fitting(entries []entry) int {
	bytes := 0
	for i, e := range entries {
		bytes += e.size
		if i > 0 && (i == fetchBlocks || bytes > fetchBytes) {
			return i
		}
	}
	return len(entries)
}

// entries are the blocks of one stream that overlap [first, last], as appended.
func (s *Store) entries(ctx context.Context, log string, h hourNotes, first, last int64) ([]entry, error) {
	by := redis.ZRangeArgs{Key: s.times(log, h.hour), ByScore: true, Start: "-inf", Stop: "+inf"}
	if first > h.first {
		by.Start = strconv.FormatInt(first/1e6, 10)
	}
	if last < h.last {
		by.Stop = strconv.FormatInt(last/1e6+h.span+1, 10) // a block ends so long after it began
	}
	var members []string
	err := s.reading(ctx, func(ctx context.Context) (err error) {
		members, err = s.client.ZRangeArgs(ctx, by).Result()
		return err
	})
	if err != nil {
		return nil, err
	}
	entries := make([]entry, 0, len(members))
	for _, member := range members {
		if words := strings.Fields(member); len(words) == 5 {
			e := entry{id: words[0], first: number(words[1]), last: number(words[2]), size: int(number(words[3]))}
			if e.first <= last && e.last >= first {
				entries = append(entries, e)
			}
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.id, b.id) })
	return entries, nil
}

// fetch reads the blocks of entries, in their order. What was dropped meanwhile
// is left out, and what is damaged, which is counted.
func (s *Store) fetch(ctx context.Context, log string, hour int64, entries []entry) ([]store.Block, error) {
	var answers []*redis.XMessageSliceCmd
	err := s.reading(ctx, func(ctx context.Context) error {
		answers = make([]*redis.XMessageSliceCmd, len(entries))
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, e := range entries {
				answers[i] = p.XRange(ctx, s.stream(log, hour), e.id+"-0", e.id+"-0")
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	blocks := make([]store.Block, 0, len(entries))
	for i, answer := range answers {
		for _, m := range answer.Val() {
			b, good := decode(log, entries[i].id, m.Values)
			if !good {
				s.logs.noteDamage(log, entries[i].id)
				continue
			}
			blocks = append(blocks, b)
		}
	}
	return blocks, nil
}

// decode is the block in one entry of a stream; not good when its checksum fails.
func decode(log, id string, values map[string]any) (store.Block, bool) {
	first, last := number(word(values, "first")), number(word(values, "last"))
	b := store.Block{Log: log, ID: id, First: time.Unix(0, first).UTC(), Last: time.Unix(0, last).UTC(), Data: []byte(word(values, "data"))}
	return b, strconv.FormatUint(uint64(checksum(b)), 10) == word(values, "crc")
}

// A follower may be so far behind before it loses blocks.
const (
	followBlocks = 256
	followBytes  = 16 << 20
)

// followers are those who follow a log.
type followers struct {
	mu     sync.Mutex // guards hubs and closed
	hubs   map[string]*feed.Hub[store.Block]
	closed bool
}

// hub is the one of a log; nil when the store is closed, or nobody follows it and
// it is not to be made.
func (f *followers) hub(log string, start bool) *feed.Hub[store.Block] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	if f.hubs[log] == nil && start {
		if f.hubs == nil {
			f.hubs = make(map[string]*feed.Hub[store.Block])
		}
		f.hubs[log] = new(feed.Hub[store.Block])
	}
	return f.hubs[log]
}

func (f *followers) close() {
	f.mu.Lock()
	f.closed = true
	hubs := f.hubs
	f.mu.Unlock()
	for _, hub := range hubs {
		hub.Close()
	}
}

// Follow delivers the blocks that are appended from now on.
func (s *Store) Follow(ctx context.Context, log string) <-chan store.Block {
	var hub *feed.Hub[store.Block]
	if store.CheckLog(log) == nil {
		hub = s.blocks.hub(log, true)
	}
	if hub == nil {
		none := make(chan store.Block)
		close(none)
		return none
	}
	before := s.logs.lastID(log)
	return hub.Subscribe(ctx, func(queue []store.Block, b store.Block) []store.Block {
		if b.ID <= before {
			return queue
		}
		return keepNewest(queue, b)
	})
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

// appended hands a block that some node has appended to those who follow here.
func (s *Store) appended(ctx context.Context, values map[string]any) error {
	log := word(values, "log")
	hub := s.blocks.hub(log, false)
	if hub == nil || hub.Idle() {
		return nil
	}
	blocks, err := s.fetch(ctx, log, number(word(values, "hour")), []entry{{id: word(values, "seq")}})
	for _, b := range blocks {
		hub.Publish(b)
	}
	return err
}
