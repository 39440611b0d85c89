package boltstore_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

// record is about the size of a proxy's.
var record = make([]byte, 600)

func withProxies(b *testing.B, n int) *boltstore.Store {
	b.Helper()
	s := openIn(b, b.TempDir())
	for i := 0; i < n; i += 250 {
		var writes []store.Write
		for j := i; j < min(i+250, n); j++ {
			writes = append(writes, store.Write{Key: fmt.Sprintf("proxy:%06d", j), Value: record, If: store.AnyVersion})
		}
		if _, err := s.Commit(b.Context(), writes...); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 100} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := withProxies(b, 2000)
			var next atomic.Int64
			var group sync.WaitGroup
			b.ResetTimer()
			for range writers {
				group.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						_, err := s.Commit(b.Context(), store.Write{Key: fmt.Sprintf("proxy:%06d", n%2000), Value: record, If: store.AnyVersion})
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
		})
	}
}

func BenchmarkGet(b *testing.B) {
	s := withProxies(b, 2000)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := s.Get(b.Context(), "proxy:000777"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList2000(b *testing.B) {
	s := withProxies(b, 2000)
	b.ReportAllocs()
	for b.Loop() {
		seen, after := 0, ""
		for {
			items, err := s.List(b.Context(), "proxy:", after, store.MaxPage)
			if err != nil {
				b.Fatal(err)
			}
			if seen += len(items); len(items) < store.MaxPage {
				break
			}
			after = items[len(items)-1].Key
		}
		if seen != 2000 {
			b.Fatalf("got %d items", seen)
		}
	}
}

func BenchmarkDescribe(b *testing.B) {
	s := withProxies(b, 20_000)
	for b.Loop() {
		if _, err := s.Describe(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLogAppend(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
		sync bool
	}{{"16KiB", 16 << 10, false}, {"1KiB-sync", 1 << 10, true}} {
		b.Run(c.name, func(b *testing.B) {
			s := openIn(b, b.TempDir())
			data := make([]byte, c.size)
			b.SetBytes(int64(c.size))
			for b.Loop() {
				now := time.Now()
				if _, err := s.Append(b.Context(), store.Block{Log: "request", First: now, Last: now, Data: data}, c.sync); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLogRange reads a day of 2,000 blocks, newest first.
func BenchmarkLogRange(b *testing.B) {
	s := openIn(b, b.TempDir())
	start := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for i := range 2000 {
		at := start.Add(time.Duration(i) * 43 * time.Second)
		if _, err := s.Append(b.Context(), store.Block{Log: "request", First: at, Last: at, Data: make([]byte, 25<<10)}, false); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name     string
		from, to time.Time
		want     int
	}{{"day", time.Time{}, time.Time{}, 2000}, {"minute", start.Add(12 * time.Hour), start.Add(12*time.Hour + time.Minute), 1}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				n := 0
				if err := s.Range(b.Context(), "request", c.from, c.to, true, func(store.Block) bool { n++; return true }); err != nil || n < c.want {
					b.Fatalf("%d blocks, %v", n, err)
				}
			}
		})
	}
}
