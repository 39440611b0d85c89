package redisstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/store"
	"gatehouse/internal/store/redisstore"
	"gatehouse/test/redistest"
)

func BenchmarkStore(b *testing.B) {
	s := open(b, redisstore.Options{Addrs: []string{redistest.Start(b, redistest.Options{}).Addr()}})
	value := strings.Repeat("x", 600)
	for i := range 2000 {
		commit(b, s, put(fmt.Sprintf("k:%04d", i), value))
	}
	b.Run("Commit", func(b *testing.B) {
		for b.Loop() {
			commit(b, s, put("k:0001", value))
		}
	})
	b.Run("CommitBy100", func(b *testing.B) {
		b.SetParallelism(50)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if _, err := s.Commit(b.Context(), put("k:0002", value)); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("Get", func(b *testing.B) {
		for b.Loop() {
			must2(s.Get(b.Context(), "k:0003"))(b)
		}
	})
	b.Run("List2000", func(b *testing.B) {
		for b.Loop() {
			after := ""
			for range 2 {
				items, err := s.List(b.Context(), "k:", after, 0)
				must(b, err)
				after = items[len(items)-1].Key
			}
		}
	})
	b.Run("Append16K", func(b *testing.B) {
		now := time.Now()
		block := store.Block{Log: "request", First: now, Last: now, Data: []byte(strings.Repeat("0123456789abcdef", 1024))}
		for b.Loop() {
			must2(s.Append(b.Context(), block, false))(b)
		}
	})
}
