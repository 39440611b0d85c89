package fetch

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/test/dnstest"
)

// site is a document server on loopback that counts who came.
type site struct {
	*httptest.Server
	asked atomic.Int64
}

func serve(t *testing.T, secure bool, h http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	counting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.asked.Add(1); h(w, r) })
	if s.Server = httptest.NewUnstartedServer(counting); secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func sendJSON(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=3600")
	_, _ = w.Write([]byte(`{"ok":true}`))
}

func (s *site) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

func (s *site) port() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		panic(err)
	}
	return u.Port()
}

func TestADocumentIsFetchedOverHTTPS(t *testing.T) {
	s := serve(t, true, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "application/json" || r.Header.Get("Cookie") != "" || r.Header.Get("User-Agent") != "Gatehouse" {
			t.Errorf("%v", r.Header)
		}
		sendJSON(w, r)
	})
	doc, err := New(Options{AllowLoopback: true, Roots: s.roots()}).Get(t.Context(), s.URL+"/client.json")
	if err != nil || string(doc.Body) != `{"ok":true}` || doc.Life != time.Hour {
		t.Errorf("%s %v %v", doc.Body, doc.Life, err)
	}
	if _, err := New(Options{AllowLoopback: true}).Get(t.Context(), s.URL); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
}

// What a stranger might write to make us ask ourselves or the network around us.
func TestAddressesOfOurOwnNetworkAreNotAsked(t *testing.T) {
	s := serve(t, true, sendJSON)
	dns := dnstest.Start(t)
	f := New(Options{Resolver: dns.Address, Roots: s.roots(), Unbounded: true})
	for _, host := range []string{"127.0.0.1", "localhost", "app.localhost", "[::1]", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]",
		"[2002:7f00:1::]", "[::127.0.0.1]", "10.0.0.1", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "[fe80::1]", "[fc00::1]", "2130706433", "0x7f000001", "127.1", "0177.0.0.1"} {
		_, err := f.Get(t.Context(), "https://"+host+":"+s.port()+"/client.json")
		if !fault.Is(err, fault.Denied) && !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, address := range []string{"http://93.184.216.34/x", "ftp://example.com/x", "file:///etc/passwd", "https://user@example.com/x", "https:///x", "https:x", "gopher://127.0.0.1/", "://"} {
		if _, err := f.Get(t.Context(), address); !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if n := s.asked.Load(); n != 0 {
		t.Errorf("loopback was asked %d times", n)
	}
}

func TestNamesThatLeadIntoOurNetworkAreNotAsked(t *testing.T) {
	s := serve(t, true, sendJSON)
	dns := dnstest.Start(t)
	f := New(Options{Resolver: dns.Address, Roots: s.roots(), Unbounded: true})
	f.limit = 200 * time.Millisecond // for the public addresses, where nobody answers
	for name, answers := range map[string][]string{
		"loopback":             {"127.0.0.1"},
		"loopback, IPv6":       {"::1"},
		"IPv4 in IPv6":         {"::ffff:127.0.0.1"},
		"NAT64":                {"64:ff9b::7f00:1"},
		"a public one as well": {"2606:4700::1111 127.0.0.1"}, // which can't be reached from here
		"answers that change":  {"2606:4700::1111", "127.0.0.1"},
		"and change back":      {"127.0.0.1", "2606:4700::1111"},
		"private":              {"192.168.1.1"},
		"metadata service":     {"169.254.169.254"},
	} {
		dns.Set("client.example.com", answers...)
		for range 3 {
			if _, err := f.Get(t.Context(), "https://client.example.com:"+s.port()+"/x"); err == nil {
				t.Errorf("%s: fetched", name)
			}
		}
	}
	f.limit = Timeout
	dns.Set("client.example.com", "127.0.0.1")
	_, err := f.Get(t.Context(), "https://client.example.com:"+s.port()+"/x")
	if !fault.Is(err, fault.Denied) || !errors.Is(err, errNotGlobal) {
		t.Errorf("loopback by name: %v", err)
	}
	_, gone := f.Get(t.Context(), "https://nobody.example/x")
	a, _ := errors.AsType[*fault.Error](err)
	b, _ := errors.AsType[*fault.Error](gone)
	if a == nil || b == nil || a.Public != b.Public {
		t.Errorf("a stranger learns which names resolve: %v, %v", err, gone)
	}
	if n := s.asked.Load(); n != 0 {
		t.Errorf("loopback was asked %d times", n)
	}
}

func TestTheConfiguredResolverIsAsked(t *testing.T) {
	s := serve(t, true, sendJSON)
	dns := dnstest.Start(t)
	dns.Set("example.com", "127.0.0.1") // the name in httptest's certificate
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:9")
	doc, err := New(Options{Resolver: dns.Address, AllowLoopback: true, Roots: s.roots()}).Get(t.Context(), "https://example.com:"+s.port()+"/x")
	if err != nil || len(doc.Body) == 0 {
		t.Error(err)
	}
}

func TestWhatIsNoDocumentIsRefused(t *testing.T) {
	elsewhere := serve(t, false, sendJSON)
	s := serve(t, false, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/page":
			h.Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`{}`))
		case "/untold":
			h["Content-Type"] = nil
			_, _ = w.Write([]byte(`{}`))
		case "/gzip":
			h.Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte(`{}`))
		case "/large":
			_, _ = w.Write(bytes.Repeat([]byte(" "), MaxSize+1))
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 1000)); err != nil {
					return
				}
			}
		case "/head":
			h.Set("X", strings.Repeat("x", 2*maxHead))
		case "/fits":
			h.Set("Content-Type", "application/jwk-set+json; charset=utf-8")
			_, _ = w.Write(bytes.Repeat([]byte(" "), MaxSize))
		}
	})
	f := New(Options{AllowLoopback: true})
	for path, want := range map[string]string{"/redirect": "302", "/gone": "410", "/empty": "204", "/page": "application/json", "/untold": "application/json",
		"/gzip": "encoding", "/large": "64 KiB", "/endless": "64 KiB"} {
		if _, err := f.Get(t.Context(), s.URL+path); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := f.Get(t.Context(), s.URL+"/head"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a large head: %v", err)
	}
	if doc, err := f.Get(t.Context(), s.URL+"/fits"); err != nil || len(doc.Body) != MaxSize || doc.Life != MinLife {
		t.Errorf("64 KiB: %d %v %v", len(doc.Body), doc.Life, err)
	}
	if elsewhere.asked.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestASlowAnswerIsGivenUp(t *testing.T) {
	s := serve(t, false, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/body" {
			_, _ = w.Write([]byte("{"))
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	})
	f := New(Options{AllowLoopback: true})
	f.limit = 50 * time.Millisecond
	for _, path := range []string{"/head", "/body"} {
		if _, err := f.Get(t.Context(), s.URL+path); !fault.Is(err, fault.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// waiting counts the goroutines that are in a shared fetch.
func waiting() int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "singleflight.(*Group).Do(")
}

func TestManyWhoWantTheSameShareOneFetch(t *testing.T) {
	const many = 10
	release := make(chan struct{})
	s := serve(t, false, func(w http.ResponseWriter, r *http.Request) { <-release; sendJSON(w, r) })
	f := New(Options{AllowLoopback: true})
	gone, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			ctx := t.Context()
			if i == 0 {
				ctx = gone
			}
			if _, err := f.Get(ctx, s.URL); err != nil {
				t.Error(err)
			}
		})
	}
	for waiting() < many {
		runtime.Gosched()
	}
	leave()
	close(release)
	all.Wait()
	if n := s.asked.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestFetchesAreBoundedPerHostAndInAll(t *testing.T) {
	now := time.Now()
	b := newBounds(true, func() time.Time { return now })
	admitted := func(host string) bool {
		end, err := b.begin(host)
		if err != nil {
			if !fault.Is(err, fault.TooMany) {
				t.Fatal(err)
			}
			return false
		}
		end()
		return true
	}
	for i := range perHost {
		if !admitted("a.example") {
			t.Fatalf("fetch %d", i)
		}
	}
	if admitted("A.example") {
		t.Error("one more from the same host, in another spelling")
	}
	n := perHost
	for i := 0; admitted(fmt.Sprintf("%d.example", i)); i++ {
		n++
	}
	if n != inAll {
		t.Errorf("%d in all", n)
	}
	now = now.Add(time.Minute)
	if !admitted("a.example") {
		t.Error("a minute later")
	}
	var ends []func()
	for range maxOfHost {
		end, err := b.begin("slow.example")
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	if admitted("slow.example") || !admitted("other.example") {
		t.Error("a slow host is asked by too many at once, or holds others up")
	}
	for _, end := range ends {
		end()
	}
	if !admitted("slow.example") || b.total != 0 || len(b.running) != 0 {
		t.Error("ended fetches count on")
	}
	for i := range 3 * maxHosts {
		b.of(fmt.Sprintf("h%d.example", i), now)
	}
	if len(b.hosts) > maxHosts {
		t.Errorf("%d hosts are remembered", len(b.hosts))
	}
}

func TestLifeIsWhatHeadersSayWithinBounds(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for head, want := range map[string]time.Duration{
		"": MinLife, "Cache-Control: max-age=3600": time.Hour, "Cache-Control: public, MAX-AGE=\"7200\"": 2 * time.Hour, "Cache-Control: max-age=1": MinLife,
		"Cache-Control: max-age=31536000": MaxLife, "Cache-Control: max-age=99999999999999999999": MinLife, "Cache-Control: max-age=-1": MinLife,
		"Cache-Control: no-store, max-age=3600": MinLife, "Cache-Control: max-age=3600, no-cache": MinLife, "Cache-Control: private, max-age=3600": MinLife,
		"Cache-Control: s-maxage=7200, max-age=60": 2 * time.Hour, "Cache-Control: max-age=60, s-maxage=7200": 2 * time.Hour, "Cache-Control: max-age=3600|Age: 1800": 30 * time.Minute,
		"Expires: Fri, 02 Jan 2026 05:04:05 GMT": 2 * time.Hour, "Expires: Fri, 02 Jan 2026 05:04:05 GMT|Date: Fri, 02 Jan 2026 04:04:05 GMT": time.Hour, "Expires: 0": MinLife,
		"Cache-Control: max-age=600|Expires: Fri, 02 Jan 2026 05:04:05 GMT": 10 * time.Minute, "Cache-Control: max-age=600|Age: x": 10 * time.Minute,
	} {
		h := http.Header{}
		for line := range strings.SplitSeq(head, "|") {
			name, value, _ := strings.Cut(line, ": ")
			h.Add(name, value)
		}
		if got := life(h, now); got != want {
			t.Errorf("%s: %v, want %v", head, got, want)
		}
	}
}
