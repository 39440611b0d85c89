package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/api/client"
	"gatehouse/internal/api/listenfile"
	"gatehouse/internal/api/localauth"
	"gatehouse/internal/roster"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
	"gatehouse/internal/store/redisstore"
	"gatehouse/test/redistest"
)

// BenchmarkChange is what a change costs where there are many hosts: three real
// nodes over one Redis, and one with its embedded store. It reports how long the
// operation takes, how long after its answer all nodes serve the host, the CPU
// time of each node for a change, and how long a node takes to start.
//
//	go test ./bench -run '^$' -bench Change -benchtime 100x
func BenchmarkChange(b *testing.B) {
	program := build(b)
	for _, hosts := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("embedded/hosts=%d", hosts), func(b *testing.B) { changes(b, program, hosts, 0) })
		b.Run(fmt.Sprintf("redis/hosts=%d", hosts), func(b *testing.B) { changes(b, program, hosts, 3) })
	}
}

// BenchmarkBusy is requests to one host, 200 a second, while others change 200
// times a second.
//
//	go test ./bench -run '^$' -bench Busy -benchtime 2000x
func BenchmarkBusy(b *testing.B) {
	program := build(b)
	for _, hosts := range []int{1000, 10_000} {
		for _, rate := range []int{0, 200} {
			b.Run(fmt.Sprintf("hosts=%d/changes=%d", hosts, rate), func(b *testing.B) { busy(b, program, hosts, rate) })
		}
	}
}

func busy(b *testing.B, program string, hosts, rate int) {
	nodes, backend := cluster(b, program, hosts, 0)
	p := nodes[0]
	stop := make(chan struct{})
	var made atomic.Int64
	var all sync.WaitGroup
	for worker := range min(rate, 8) {
		all.Go(func() {
			tick := time.NewTicker(time.Duration(8) * time.Second / time.Duration(rate))
			defer tick.Stop()
			for i := worker; ; i += 8 {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				path := fmt.Sprintf("/proxies/h%05d.localhost", 1+i%(hosts-1))
				body := map[string]any{"target_url": backend, "custom_headers": map[string]string{"X-Round": strconv.Itoa(i)}}
				if err := p.api.Do(b.Context(), client.Request{Method: http.MethodPut, Path: path, Body: body}, nil); err != nil {
					b.Error(err)
					return
				}
				made.Add(1)
			}
		})
	}
	before, began := p.used(b), time.Now()
	took := make([]time.Duration, b.N)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	b.ResetTimer()
	for i := range b.N {
		<-tick.C
		asked := time.Now()
		p.until(b, "h00000.localhost")
		took[i] = time.Since(asked)
	}
	b.StopTimer()
	close(stop)
	all.Wait()
	lasted := time.Since(began)
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e6, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100])/1e6, "ms-p99")
	b.ReportMetric(float64(made.Load())/lasted.Seconds(), "changes/s")
	b.ReportMetric(100*float64(p.used(b)-before)/float64(lasted), "cpu%")
	b.ReportMetric(0, "ns/op")
}

func build(b *testing.B) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "gatehouse")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, "gatehouse/cmd/gatehouse").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return program
}

// cluster runs n nodes over one Redis that holds hosts; 0: one with an embedded store.
func cluster(b *testing.B, program string, hosts, n int) (nodes []*process, target string) {
	b.Helper()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	b.Cleanup(backend.Close)
	var env []string
	data := b.TempDir()
	if n == 0 {
		s, err := boltstore.Open(data, boltstore.Options{})
		fill(b, s, err, hosts, backend.URL)
		n = 1
	} else {
		redis := redistest.Start(b, redistest.Options{})
		s, err := redisstore.Open(b.Context(), redisstore.Options{Addrs: []string{redis.Addr()}})
		fill(b, s, err, hosts, backend.URL)
		env = []string{"REDIS_URL=" + redis.URL(), "SECRET_KEY=c2VjcmV0IGtleSBvZiBhIHRlc3QsIG5vIG9uZSBlbHM="}
	}
	for range n {
		nodes = append(nodes, launch(b, program, data, env))
		data = b.TempDir()
	}
	time.Sleep(2 * time.Second) // what follows a start has ended
	return nodes, backend.URL
}

// changes measures over n nodes; 0: one with an embedded store.
func changes(b *testing.B, program string, hosts, n int) {
	nodes, backend := cluster(b, program, hosts, n)
	before := make([]time.Duration, len(nodes))
	var slowest time.Duration
	for i, p := range nodes {
		before[i], slowest = p.used(b), max(slowest, p.start)
	}
	var answered, served time.Duration
	b.ResetTimer()
	for i := range b.N {
		host := fmt.Sprintf("new%d.localhost", i)
		began := time.Now()
		err := nodes[0].api.Do(b.Context(), client.Request{Method: http.MethodPost, Path: "/proxies/", Body: map[string]any{"proxy_hostname": host, "target_url": backend}}, nil)
		if err != nil {
			b.Fatal(err)
		}
		answer := time.Now()
		answered += answer.Sub(began)
		for _, p := range nodes {
			p.until(b, host)
		}
		served += time.Since(answer)
	}
	b.StopTimer()
	var cpu time.Duration
	for i, p := range nodes {
		cpu += p.used(b) - before[i]
	}
	each := float64(b.N) * float64(time.Millisecond)
	b.ReportMetric(float64(answered)/each, "ms-answer")
	b.ReportMetric(float64(served)/each, "ms-all-serve")
	b.ReportMetric(float64(cpu)/each/float64(len(nodes)), "cpu-ms/node")
	b.ReportMetric(slowest.Seconds(), "s-start")
	b.ReportMetric(0, "ns/op")
}

// fill puts hosts into a store and closes it.
func fill(b *testing.B, s store.Store, err error, hosts int, target string) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	table := store.NewTable[site.Proxy](s, roster.ProxyPrefix, "proxy")
	var writes []store.Write
	for i := range hosts {
		p := site.Default(fmt.Sprintf("h%05d.localhost", i))
		p.TargetURL = target
		w, err := table.Write(p.Hostname, p, 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		if writes = append(writes, w); len(writes) == store.MaxCommit || i == hosts-1 {
			if _, err := s.Commit(b.Context(), writes...); err != nil {
				b.Fatal(err)
			}
			writes = nil
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// process is one node that runs.
type process struct {
	cmd   *exec.Cmd
	api   *client.Client
	http  *http.Client
	plain string        // address of its HTTP port
	start time.Duration // until it served
}

type signer struct{ key localauth.Key }

func (s signer) Authorize(_ context.Context, r *http.Request, body []byte) error {
	s.key.Sign(r, body, time.Now())
	return nil
}

func launch(b *testing.B, program, data string, env []string) *process {
	b.Helper()
	p := &process{cmd: exec.CommandContext(context.WithoutCancel(b.Context()), program, "serve"), http: &http.Client{}}
	p.cmd.Env = append([]string{"HOME=" + data, "DATA_DIR=" + data, "SERVER_HOST=127.0.0.1", "HTTP_PORT=0", "HTTPS_PORT=0", "API_LISTEN=127.0.0.1:0"}, env...)
	log, err := os.Create(filepath.Join(b.TempDir(), "stderr"))
	if err != nil {
		b.Fatal(err)
	}
	p.cmd.Stderr = log
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		_ = p.cmd.Wait() // how it ends is not measured
		p.http.CloseIdleConnections()
		log.Close()
	})
	file := listenfile.Path(data)
	for {
		var at struct {
			PID          int
			HTTP, Socket string
		}
		text, err := os.ReadFile(file)
		if err == nil && json.Unmarshal(text, &at) == nil && at.PID == p.cmd.Process.Pid {
			u, err := url.Parse(at.HTTP)
			if err != nil {
				b.Fatal(err)
			}
			p.plain = net.JoinHostPort("127.0.0.1", u.Port())
			key, err := localauth.Load(data)
			if err != nil {
				b.Fatal(err)
			}
			if p.api, err = client.New(client.Options{URL: "http://localhost", Transport: client.SocketTransport(at.Socket), Auth: signer{key}}); err != nil {
				b.Fatal(err)
			}
			break
		}
		if time.Since(began) > time.Minute {
			said, _ := os.ReadFile(log.Name())
			b.Fatalf("it does not start:\n%s", said)
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.until(b, "h00000.localhost")
	p.start = time.Since(began)
	return p
}

// until asks for a host until it is served.
func (p *process) until(b *testing.B, host string) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+p.plain+"/", http.NoBody)
		if err != nil {
			b.Fatal(err)
		}
		req.Host = host
		res, err := p.http.Do(req)
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s is not served", host)
		}
	}
}

// used is the CPU time that the process has used.
func (p *process) used(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	ticks := 0
	for _, f := range fields[11:13] { // utime and stime, in ticks of 10 ms
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
