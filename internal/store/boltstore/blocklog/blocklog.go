// Package blocklog keeps logs of blocks in append-only segment files: the log
// half of the embedded store.
//
// A log is a folder; a segment is a file of frames (frame.go) that covers about
// an hour. The newest is written; when it is full its index is put at its end
// (index.go) and it never changes again. Dropping old blocks is unlinking files.
// A crash can only tear the last frame of the newest segment, and opening cuts
// that off; a damaged frame elsewhere is passed over and counted.
package blocklog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/disk"
)

const (
	// flushDelay is how long an Append without sync may be unsafe.
	flushDelay = 500 * time.Millisecond

	// maxLogs bounds the folders; the product has two.
	maxLogs = 64
)

// Logs is the logs under one folder. It is safe for concurrent use.
type Logs struct {
	dir   string
	dirty chan struct{} // has room for one: something waits for the flush
	stop  chan struct{}
	ended chan struct{}
	close func() error

	mu     sync.Mutex // guards logs and closed
	logs   map[string]*journal
	closed bool
}

var _ store.Log = (*Logs)(nil)

// Open opens the logs in dir, which it makes if need be. The caller sees to it
// that no other process has them.
func Open(dir string) (*Logs, error) {
	if err := errors.Join(os.MkdirAll(dir, 0o700), disk.SyncFolder(filepath.Dir(dir))); err != nil {
		return nil, disk.Fault(err)
	}
	l := &Logs{
		dir: dir, logs: make(map[string]*journal),
		dirty: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, disk.Fault(err)
	}
	for _, file := range files {
		if file.IsDir() && store.CheckLog(file.Name()) == nil {
			if _, err := l.log(file.Name()); err != nil {
				return nil, errors.Join(err, l.closeAll())
			}
		}
	}
	l.close = sync.OnceValue(l.shut)
	go l.flushLoop()
	return l, nil
}

// Close makes everything that was appended safe and ends Follow's channels.
func (l *Logs) Close() error { return l.close() }

func (l *Logs) shut() error {
	close(l.stop)
	<-l.ended
	return l.closeAll()
}

func (l *Logs) closeAll() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	var errs []error
	for _, j := range l.logs {
		errs = append(errs, j.close())
	}
	return errors.Join(errs...)
}

// Append adds a block.
func (l *Logs) Append(ctx context.Context, b store.Block, sync bool) (id string, err error) {
	if err := errors.Join(store.CheckBlock(b), ctx.Err()); err != nil {
		return "", err
	}
	j, err := l.log(b.Log)
	if err != nil {
		return "", err
	}
	id, s, end, err := j.append(b)
	if err != nil {
		return "", err
	}
	if sync {
		if err := j.sync(s, end); err != nil {
			return "", err
		}
		return id, nil
	}
	select {
	case l.dirty <- struct{}{}:
	default: // the flush knows
	}
	return id, nil
}

// Range calls fn for the blocks of log in [from, to].
func (l *Logs) Range(ctx context.Context, log string, from, to time.Time, reverse bool, fn func(store.Block) bool) error {
	j, err := l.checked(ctx, log)
	if err != nil {
		return err
	}
	return j.rangeOver(ctx, bound(from, 0), bound(to, 1<<63-1), reverse, fn)
}

// Drop removes blocks that end before the given time.
func (l *Logs) Drop(ctx context.Context, log string, before time.Time) error {
	j, err := l.checked(ctx, log)
	if err != nil {
		return err
	}
	return j.drop(bound(before, 0))
}

// Info is what the log holds.
func (l *Logs) Info(ctx context.Context, log string) (store.LogInfo, error) {
	j, err := l.checked(ctx, log)
	if err != nil {
		return store.LogInfo{}, err
	}
	return j.info()
}

// Bytes is the size of all logs.
func (l *Logs) Bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sum int64
	for _, j := range l.logs {
		if info, err := j.info(); err == nil { // closed: nothing to count
			sum += info.Bytes
		}
	}
	return sum
}

func (l *Logs) checked(ctx context.Context, log string) (*journal, error) {
	if err := errors.Join(store.CheckLog(log), ctx.Err()); err != nil {
		return nil, err
	}
	return l.log(log)
}

// log is the log called name, made if it is new.
func (l *Logs) log(name string) (*journal, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed()
	}
	if j := l.logs[name]; j != nil {
		return j, nil
	}
	if len(l.logs) >= maxLogs {
		return nil, fault.BadField("log", "%q would be one more than the %d logs that there may be", name, maxLogs)
	}
	j, err := openJournal(name, filepath.Join(l.dir, name))
	if err != nil {
		return nil, disk.Fault(err)
	}
	l.logs[name] = j
	return j, nil
}

// flushLoop makes appended blocks safe a little later, many at a time.
func (l *Logs) flushLoop() {
	defer close(l.ended)
	for {
		select {
		case <-l.stop:
			return
		case <-l.dirty:
		}
		select {
		case <-l.stop:
			return // closeAll flushes
		case <-time.After(flushDelay):
		}
		for _, j := range l.all() {
			j.flush()
		}
	}
}

func (l *Logs) all() []*journal {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*journal, 0, len(l.logs))
	for _, j := range l.logs {
		all = append(all, j)
	}
	return all
}

func errClosed() error { return fault.New(fault.Unavailable, "the store is closed") }
