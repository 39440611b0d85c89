package redisstore_test

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/internal/store"
	"gatehouse/internal/store/redisstore"
	"gatehouse/internal/store/storetest"
	"gatehouse/test/redistest"
)

// prefixes keeps the stores of one server apart.
var prefixes atomic.Int64

// options are for a store of its own on server.
func options(server *redistest.Server) redisstore.Options {
	o := redisstore.Options{Addrs: []string{server.Addr()}, Password: server.Password, Prefix: fmt.Sprintf("t%d:", prefixes.Add(1))}
	if server.CA != nil {
		o.TLS = server.TLSConfig()
	}
	return o
}

// opened is a store with what opened it.
type opened struct {
	*redisstore.Store
	options redisstore.Options
}

func open(t testing.TB, o redisstore.Options) *opened {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(&lines{t: t}, nil))
	}
	s, err := redisstore.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &opened{s, o}
}

// lines writes a log into the test's output while the test runs.
type lines struct {
	mu sync.Mutex
	t  testing.TB
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t.Context().Err() == nil {
		l.t.Logf("%s", p)
	}
	return len(p), nil
}

func contract(t *testing.T, fresh func() redisstore.Options) {
	storetest.Run(t,
		func(t *testing.T) store.Store { return open(t, fresh()) },
		func(t *testing.T, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, s.(*opened).options)
		})
}

func TestContract(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	contract(t, func() redisstore.Options { return options(server) })
}

func TestContractWithPasswordAndTLS(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Password: "0123456789abcdef0123456789abcdef", TLS: true})
	contract(t, func() redisstore.Options { return options(server) })
}
