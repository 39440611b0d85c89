package redisstore

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/store"
)

// A log is a stream for each hour of its blocks' time, log:{log}:{yyyymmddhh}.
// Beside each stands :times, a sorted set with what is known of each block: its
// sequence, first and last moment, size and checksum, by the millisecond of the
// last. kv:log:{log} holds what each stream has. A sequence is never below the
// server's clock in microseconds, so that none comes twice.

// logState is what this process remembers of the logs.
type logState struct {
	mu      sync.Mutex                     // guards all
	hours   map[string]int64               // the hour of the newest stream, as last heard
	last    map[string]string              // id of the last block that was appended here
	doubt   map[string]uint32              // checksum of a block that may have been appended, or not
	damaged map[string]map[string]struct{} // ids of blocks that failed their checksum
}

// maxDamaged bounds what is remembered of damage.
const maxDamaged = 10_000

// Append adds a block. One whose answer was lost is looked for when it is
// appended again, so that it does not stand there twice.
func (s *Store) Append(ctx context.Context, b store.Block, _ bool) (id string, err error) {
	if err := store.CheckBlock(b); err != nil {
		return "", err
	}
	if err := s.ready(ctx); err != nil {
		return "", err
	}
	sum := checksum(b)
	hour := hourOf(b.Last)
	target := max(hour, s.logs.hour(b.Log))
	doubt := s.logs.doubts(b.Log, sum)
	for range 5 {
		answer, err := s.run(ctx, scriptAppend,
			[]string{s.key(keyID), s.notes(b.Log), s.stream(b.Log, target), s.times(b.Log, target), s.key(keyAppended)},
			b.Log, hour, target, nanos(b.First), nanos(b.Last), b.Last.UnixMilli(), b.Last.Sub(b.First).Milliseconds()+1, sum, b.Data,
			s.opts.LogLife[b.Log].Milliseconds(), doubt)
		if err != nil {
			s.logs.failed(b.Log, sum)
			return "", err
		}
		all, _ := answer.([]any)
		if text(all, 0) == "ok" {
			s.logs.appended(b.Log, target, text(all, 1))
			return text(all, 1), nil
		}
		target = number(text(all, 1))
	}
	return "", away(errors.New("the hour of the log keeps changing"))
}

func (l *logState) hour(log string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hours[log]
}

func (l *logState) doubts(log string, sum uint32) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, any := l.doubt[log]; any && last == sum {
		return 1
	}
	return 0
}

func (l *logState) failed(log string, sum uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.doubt == nil {
		l.doubt = make(map[string]uint32)
	}
	l.doubt[log] = sum
}

func (l *logState) appended(log string, hour int64, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hours == nil {
		l.hours, l.last = make(map[string]int64), make(map[string]string)
	}
	l.hours[log] = hour
	l.last[log] = max(l.last[log], id)
	delete(l.doubt, log)
}

// lastID is the last block that was appended here.
func (l *logState) lastID(log string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last[log]
}

func (l *logState) noteDamage(log, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.damaged == nil {
		l.damaged = make(map[string]map[string]struct{})
	}
	if l.damaged[log] == nil {
		l.damaged[log] = make(map[string]struct{})
	}
	if len(l.damaged[log]) < maxDamaged {
		l.damaged[log][id] = struct{}{}
	}
}

func (l *logState) damage(log string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.damaged[log]))
}

// notes, stream and times are the Redis keys of a log.
func (s *Store) notes(log string) string { return s.key(keyNotes + log) }

func (s *Store) stream(log string, hour int64) string {
	return s.key(keyStream + log + ":" + time.Unix(hour*3600, 0).UTC().Format("2006010215"))
}

func (s *Store) times(log string, hour int64) string { return s.stream(log, hour) + ":times" }

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// nanos is a time in 19 digits, which order as times do.
func nanos(t time.Time) string { return fmt.Sprintf("%019d", t.UnixNano()) }

// checksum is over everything that a block holds.
func checksum(b store.Block) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Checksum([]byte(b.Log+nanos(b.First)+nanos(b.Last)), table)
	return crc32.Update(sum, table, b.Data)
}

// hourNotes is what the notes of a log say of one stream.
type hourNotes struct {
	hour          int64
	blocks, bytes int64
	first, last   int64 // nanoseconds
	span          int64 // length of the longest block, ms
}

// hours are the streams of a log, in order.
func (s *Store) hours(ctx context.Context, log string) ([]hourNotes, error) {
	var fields map[string]string
	err := s.reading(ctx, func(ctx context.Context) (err error) {
		fields, err = s.client.HGetAll(ctx, s.notes(log)).Result()
		return err
	})
	if err != nil {
		return nil, err
	}
	var all []hourNotes
	for field, value := range fields {
		hour, is := strings.CutPrefix(field, "h")
		n, err := strconv.ParseInt(hour, 10, 64)
		words := strings.Fields(value)
		if !is || err != nil || len(words) != 5 {
			continue
		}
		all = append(all, hourNotes{hour: n, blocks: number(words[0]), bytes: number(words[1]),
			first: number(words[2]), last: number(words[3]), span: number(words[4])})
	}
	slices.SortFunc(all, func(a, b hourNotes) int { return int(a.hour - b.hour) })
	return all, nil
}

// Drop removes the streams that end before the given time.
func (s *Store) Drop(ctx context.Context, log string, before time.Time) error {
	if err := store.CheckLog(log); err != nil {
		return err
	}
	hours, err := s.hours(ctx, log)
	if err != nil {
		return err
	}
	for _, h := range hours {
		if h.last >= bound(before, math.MinInt64) {
			continue
		}
		keys := []string{s.key(keyID), s.notes(log), s.stream(log, h.hour), s.times(log, h.hour)}
		if _, err := s.run(ctx, scriptDrop, keys, "h"+strconv.FormatInt(h.hour, 10), nanos(before)); err != nil {
			return err
		}
	}
	return nil
}

// Info is what the log holds.
func (s *Store) Info(ctx context.Context, log string) (store.LogInfo, error) {
	if err := store.CheckLog(log); err != nil {
		return store.LogInfo{}, err
	}
	hours, err := s.hours(ctx, log)
	if err != nil {
		return store.LogInfo{}, err
	}
	info := store.LogInfo{Damaged: s.logs.damage(log)}
	oldest := int64(math.MaxInt64)
	for _, h := range hours {
		info.Blocks += h.blocks
		info.Bytes += h.bytes
		oldest = min(oldest, h.first)
	}
	if info.Blocks > 0 {
		info.Oldest = time.Unix(0, oldest).UTC()
	}
	return info, nil
}

// bound is t in nanoseconds, otherwise for the zero time. Beyond what can be
// counted so it is the nearest that can.
func bound(t time.Time, otherwise int64) int64 {
	switch {
	case t.IsZero():
		return otherwise
	case t.Year() < 1700:
		return math.MinInt64
	case t.Year() > 2250:
		return math.MaxInt64
	}
	return t.UnixNano()
}
