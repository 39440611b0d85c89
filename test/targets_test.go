package test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestATargetDiesUnderLoad: no request is lost, its status tells, and it is used
// again within ten seconds of its return.
func TestATargetDiesUnderLoad(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve")
	var servers []*http.Server
	var asked [3]atomic.Int64
	serve := func(i int, at string) string {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked[i].Add(1)
			_, _ = io.WriteString(w, fmt.Sprint("target ", i))
		})}
		servers = append(servers, server)
		go func() { _ = server.Serve(l) }()
		t.Cleanup(func() { _ = server.Close() })
		return l.Addr().String()
	}
	var addresses, list []string
	for i := range 3 {
		addresses = append(addresses, serve(i, "127.0.0.1:0"))
		list = append(list, `{"url":"http://`+addresses[i]+`","weight":1}`)
	}
	s.local("proxy", "create", "app.localhost", "http://"+addresses[0])
	s.local("proxy", "update", "app.localhost", "--default", "target_url", "--set", "targets=["+strings.Join(list, ",")+"]", "--set", "health_path=/")
	stop := make(chan struct{})
	var load sync.WaitGroup
	var failed, done atomic.Int64
	web := s.trusting()
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := send(t.Context(), web, "GET", s.url("app.localhost", "/"), "")
				if err != nil || got.StatusCode != 200 {
					failed.Add(1)
					t.Errorf("%v %d %s", err, got.StatusCode, got.Body)
				}
				done.Add(1)
			}
		})
	}
	wait := func(what string, ok func() bool) {
		t.Helper()
		s.await(30*time.Second, what, ok)
	}
	wait("turns", func() bool { return asked[0].Load() > 5 && asked[1].Load() > 5 && asked[2].Load() > 5 })
	_ = servers[1].Close()
	before := done.Load()
	wait("load without it", func() bool { return done.Load() > before+50 })
	status := func() string { return s.local("proxy", "status", "app.localhost", "--format", "json") }
	wait("status that tells", func() bool { return strings.Contains(status(), `"url":"http://`+addresses[1]+`","healthy":false`) })
	asked[1].Store(0)
	serve(1, addresses[1])
	back := time.Now()
	wait("return", func() bool { return asked[1].Load() > 3 })
	if took := time.Since(back); took > 10*time.Second {
		t.Errorf("it is used again after %s", took)
	}
	close(stop)
	load.Wait()
	if failed.Load() > 0 || done.Load() < 100 {
		t.Errorf("%d of %d requests failed", failed.Load(), done.Load())
	}
}
