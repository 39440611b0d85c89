package edge

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/journal"
)

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n"

// hostile are messages that two programs could read differently, or that are
// just wrong. None may reach a target.
var hostile = map[string]string{
	"length and transfer-encoding":    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"transfer-encoding and length":    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
	"different lengths":               "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
	"length list":                     "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4, 4\r\n\r\nabcd",
	"length with sign":                "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: +4\r\n\r\nabcd",
	"length negative":                 "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: -1\r\n\r\n",
	"length in hex":                   "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0x4\r\n\r\nabcd",
	"length empty":                    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length:\r\n\r\n",
	"length overflows":                "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 18446744073709551616\r\n\r\n",
	"length with inner space":         "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1 0\r\n\r\n",
	"unknown coding":                  "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"coding behind chunked":           "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
	"xchunked":                        "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	"identity":                        "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: identity\r\n\r\n",
	"chunked twice":                   "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunked quoted":                  "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
	"vertical tab before chunked":     "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
	"space before colon":              "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	"tab before colon":                "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length\t: 4\r\n\r\nabcd",
	"chunked in HTTP/1.0":             "POST / HTTP/1.0\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"folded header":                   "GET / HTTP/1.1\r\nHost: app.test\r\nX-A: b\r\n c\r\n\r\n",
	"folded transfer-encoding":        "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
	"first header begins with space":  "GET / HTTP/1.1\r\n Host: app.test\r\n\r\n",
	"LF after request line":           "GET / HTTP/1.1\nHost: app.test\r\n\r\n",
	"LF after header":                 "GET / HTTP/1.1\r\nHost: app.test\nX-A: b\r\n\r\n",
	"LF ends the head":                "GET / HTTP/1.1\r\nHost: app.test\r\n\n",
	"LF only":                         "GET / HTTP/1.1\nHost: app.test\n\n",
	"CR in value":                     "GET / HTTP/1.1\r\nHost: app.test\r\nX-A: b\rX-B: c\r\n\r\n",
	"CR in request line":              "GET /\r HTTP/1.1\r\nHost: app.test\r\n\r\n",
	"CR CR LF":                        "GET / HTTP/1.1\r\nHost: app.test\r\r\n\r\n",
	"NUL in value":                    "GET / HTTP/1.1\r\nHost: app.test\r\nX-A: b\x00c\r\n\r\n",
	"NUL in name":                     "GET / HTTP/1.1\r\nHost: app.test\r\nX\x00A: b\r\n\r\n",
	"NUL in target":                   "GET /\x00 HTTP/1.1\r\nHost: app.test\r\n\r\n",
	"DEL in value":                    "GET / HTTP/1.1\r\nHost: app.test\r\nX-A: b\x7f\r\n\r\n",
	"empty name":                      "GET / HTTP/1.1\r\nHost: app.test\r\n: b\r\n\r\n",
	"no colon":                        "GET / HTTP/1.1\r\nHost: app.test\r\nX-A\r\n\r\n",
	"space in name":                   "GET / HTTP/1.1\r\nHost: app.test\r\nX A: b\r\n\r\n",
	"bracket in name":                 "GET / HTTP/1.1\r\nHost: app.test\r\n[X]: b\r\n\r\n",
	"non-ASCII name":                  "GET / HTTP/1.1\r\nHost: app.test\r\nX-\xc3\xa9: b\r\n\r\n",
	"no host":                         "GET / HTTP/1.1\r\nX-A: b\r\n\r\n",
	"two hosts":                       "GET / HTTP/1.1\r\nHost: app.test\r\nHost: other.test\r\n\r\n",
	"two equal hosts":                 "GET / HTTP/1.1\r\nHost: app.test\r\nHost: app.test\r\n\r\n",
	"host with path":                  "GET / HTTP/1.1\r\nHost: app.test/x\r\n\r\n",
	"host with user":                  "GET / HTTP/1.1\r\nHost: a@app.test\r\n\r\n",
	"host with space":                 "GET / HTTP/1.1\r\nHost: app.test other\r\n\r\n",
	"host list":                       "GET / HTTP/1.1\r\nHost: app.test, other.test\r\n\r\n",
	"absolute target of another host": "GET http://other.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n",
	"absolute target with user":       "GET http://a@app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n",
	"strange scheme":                  "GET ftp://app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n",
	"target without slash":            "GET x HTTP/1.1\r\nHost: app.test\r\n\r\n",
	"star with GET":                   "GET * HTTP/1.1\r\nHost: app.test\r\n\r\n",
	"fragment":                        "GET /#x HTTP/1.1\r\nHost: app.test\r\n\r\n",
	"two spaces":                      "GET  / HTTP/1.1\r\nHost: app.test\r\n\r\n",
	"space in target":                 "GET /a b HTTP/1.1\r\nHost: app.test\r\n\r\n",
	"tab for space":                   "GET\t/\tHTTP/1.1\r\nHost: app.test\r\n\r\n",
	"trailing space":                  "GET / HTTP/1.1 \r\nHost: app.test\r\n\r\n",
	"version 1.2":                     "GET / HTTP/1.2\r\nHost: app.test\r\n\r\n",
	"version 0.9":                     "GET /\r\n\r\n",
	"version 2.0":                     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"version lower case":              "GET / http/1.1\r\nHost: app.test\r\n\r\n",
	"method with bracket":             "G[T / HTTP/1.1\r\nHost: app.test\r\n\r\n",
	"method of ours":                  "!400 / HTTP/1.1\r\nHost: app.test\r\n\r\n",
	"empty line first":                "\r\nGET / HTTP/1.1\r\nHost: app.test\r\n\r\n",
	"TLS on the plain port":           "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	"PROXY v1 of an untrusted peer":   "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\nHost: app.test\r\n\r\n",
	"PROXY v2 of an untrusted peer":   "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x00\x01\x00\x02GET / HTTP/1.1\r\nHost: app.test\r\n\r\n",
}

// hostileBodies are chunked bodies that are wrong: their request is cut off.
var hostileBodies = map[string]string{
	"LF behind size":          "5\nhello\r\n0\r\n\r\n",
	"LF behind chunk":         "5\r\nhello\n0\r\n\r\n",
	"size with 0x":            "0x5\r\nhello\r\n0\r\n\r\n",
	"size with sign":          "+5\r\nhello\r\n0\r\n\r\n",
	"negative size":           "-5\r\nhello\r\n0\r\n\r\n",
	"size with space":         " 5\r\nhello\r\n0\r\n\r\n",
	"space behind size":       "5 \r\nhello\r\n0\r\n\r\n",
	"empty size":              "\r\nhello\r\n0\r\n\r\n",
	"size too large":          "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
	"size of 16 digits":       "0000000000000005\r\nhello\r\n0\r\n\r\n",
	"not hex":                 "5g\r\nhello\r\n0\r\n\r\n",
	"chunk longer than said":  "3\r\nhello\r\n0\r\n\r\n",
	"chunk shorter than said": "7\r\nhello\r\n0\r\n\r\n",
	"CR in extension":         "5;a=\rb\r\nhello\r\n0\r\n\r\n",
	"NUL in extension":        "5;a=\x00b\r\nhello\r\n0\r\n\r\n",
	"long extension":          "5;" + strings.Repeat("a", 2000) + "\r\nhello\r\n0\r\n\r\n",
	"LF in trailer":           "5\r\nhello\r\n0\r\nX-A: b\n\r\n",
	"folded trailer":          "5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n",
	"length as trailer":       "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
	"encoding as trailer":     "5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
	"host as trailer":         "5\r\nhello\r\n0\r\nHost: other.test\r\n\r\n",
	"bad trailer name":        "5\r\nhello\r\n0\r\nX A: b\r\n\r\n",
}

func TestStrictRefusesHostileHeads(t *testing.T) {
	b := backend(t, func(http.ResponseWriter, *http.Request) { t.Error("the target was asked") })
	r := newRig(t, Options{}, to("app.test", b.URL))
	for name, raw := range hostile {
		got := r.send(raw + smuggled)
		if !strings.HasPrefix(got, "HTTP/1.1 400 ") || answers(got) != 1 {
			t.Errorf("%s: %.100q", name, got)
		}
	}
	got := r.send(hostile["length and transfer-encoding"])
	if !strings.Contains(got, "application/problem+json") || !strings.Contains(got, "both Content-Length and Transfer-Encoding") || !strings.Contains(got, "request_id") {
		t.Errorf("the refusal does not say why: %q", got)
	}
}

func TestStrictRefusesHostileBodies(t *testing.T) {
	b := backend(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/smuggled" {
			t.Error("the smuggled request came through")
		}
		if _, err := io.ReadAll(r.Body); err == nil {
			t.Error("the target got a whole body")
		}
	})
	r := newRig(t, Options{}, to("app.test", b.URL))
	for name, body := range hostileBodies {
		got := r.send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n" + body + smuggled)
		if !strings.HasPrefix(got, "HTTP/1.1 400 ") || answers(got) != 1 {
			t.Errorf("%s: %.100q", name, got)
		}
	}
}

// answers counts responses in what came back.
func answers(got string) int {
	return strings.Count(got, "\r\nCache-Control:") + strings.Count(got, "HTTP/1.1 200")
}

func TestStrictAnswersPipelinedRequestsInOrder(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.URL.Path+string(body))
	})
	r := newRig(t, Options{}, to("app.test", b.URL))
	pipeline := "GET /1 HTTP/1.1\r\nHost: app.test\r\n\r\n" +
		"POST /2 HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc" +
		"POST /3 HTTP/1.1\r\nHost: APP.test:80\r\nTransfer-Encoding: chunked\r\n\r\n2;x=\"y\"\r\nde\r\n1\r\nf\r\n0\r\nX-T: 1\r\n\r\n" +
		"GET http://app.test/4 HTTP/1.1\r\nHost: app.test\r\n\r\n" +
		"GET /5 HTTP/1.1\r\nHost : app.test\r\n\r\n" + smuggled
	for _, pieces := range []int{1, 7, len(pipeline)} {
		c := r.dial(r.plain)
		go func() {
			for rest := pipeline; rest != ""; {
				n := (len(pipeline) + pieces - 1) / pieces
				n = min(n, len(rest))
				if _, err := io.WriteString(c, rest[:n]); err != nil {
					return // the refusal has closed it
				}
				rest = rest[n:]
			}
		}()
		in := bufio.NewReader(c)
		for _, want := range []string{"/1", "/2abc", "/3def", "/4"} {
			if resp, body := readResponse(t, in); resp.StatusCode != 200 || body != want {
				t.Errorf("in %d pieces: %d %q, want %q", pieces, resp.StatusCode, body, want)
			}
		}
		resp, _ := readResponse(t, in)
		if resp.StatusCode != 400 || !resp.Close {
			t.Errorf("in %d pieces: the fifth got %d", pieces, resp.StatusCode)
		}
		if rest, err := io.ReadAll(in); len(rest) > 0 {
			t.Errorf("in %d pieces: %q %v behind the refusal", pieces, rest, err)
		}
		_ = c.Close()
	}
}

func TestStrictRefusesLargeHeads(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, hello).URL))
	fits := "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nX-Big: " + strings.Repeat("x", 60<<10) + "\r\n\r\n"
	if got := r.send(fits); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("60 KiB: %.100q", got)
	}
	if got := r.send("GET / HTTP/1.1\r\nHost: app.test\r\nX-Big: " + strings.Repeat("x", 65<<10)); !strings.HasPrefix(got, "HTTP/1.1 431 ") {
		t.Errorf("65 KiB: %.100q", got)
	}
	c := r.dialTLS("app.test", "h2")
	defer c.Close()
	var many [][2]string
	for range 20 {
		many = append(many, [2]string{"x-big", strings.Repeat("x", 5<<10)})
	}
	if status := h2Get(t, c, "app.test", many...); status != "431" && status != "" {
		t.Errorf("HTTP/2: %s, want 431 or an end of the connection", status)
	}
}

// The clock of this test is not real: the pipe takes part in it.
func TestStrictGivesHeadsFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		c := newStrictConn(server, &connInfo{}, 5*time.Second)
		defer c.Close()
		start := time.Now()
		go func() { _, _ = io.WriteString(client, "GET / HTTP/1.1\r\nHo") }()
		buf := make([]byte, 4096)
		n, err := c.Read(buf)
		if err != nil || !strings.HasPrefix(string(buf[:n]), "!408 / ") {
			t.Fatalf("%q %v", buf[:n], err)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("after %v", d)
		}
		if _, err := c.Read(buf); !errors.Is(err, io.EOF) {
			t.Errorf("behind the refusal: %v", err)
		}
	})
}

func TestStrictWaitsForTheNextHeadAsLongAsTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		c := newStrictConn(server, &connInfo{}, 5*time.Second)
		defer c.Close()
		go func() {
			_, _ = io.WriteString(client, smuggled)
			time.Sleep(time.Minute) // idle is the server's matter
			_, _ = io.WriteString(client, smuggled[:10])
			time.Sleep(4 * time.Second)
			_, _ = io.WriteString(client, smuggled[10:])
		}()
		buf := make([]byte, 4096)
		for range 2 {
			if n, err := c.Read(buf); err != nil || string(buf[:n]) != smuggled {
				t.Fatalf("%q %v", buf[:n], err)
			}
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := c.Read(buf); n != 0 || err == nil {
			t.Errorf("the server's own deadline is forgotten: %d %v", n, err)
		}
	})
}

func TestSlowHeadGets408(t *testing.T) {
	r := newRig(t, Options{HeadTimeout: 100 * time.Millisecond}, to("app.test", backend(t, hello).URL))
	for _, start := range []string{"", "GET / HTTP/1.1\r\nHost: app.te", smuggled + "GET /2 HTTP/1.1\r\n"} {
		got := r.send(start)
		if i := strings.LastIndex(got, "HTTP/1.1 "); i < 0 || !strings.HasPrefix(got[i:], "HTTP/1.1 408 ") {
			t.Errorf("after %q: %q", start, got)
		}
	}
}

func TestUnusedConnectionLeavesNoEntry(t *testing.T) {
	r := newRig(t, Options{HeadTimeout: 50 * time.Millisecond}, to("app.test", backend(t, hello).URL))
	if got := r.send(""); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
		t.Errorf("got %q", got)
	}
	if resp, _ := r.get("http://app.test/"); resp.StatusCode != 200 {
		t.Errorf("got %d", resp.StatusCode)
	}
	r.journal.wait(t, func(e *journal.Entry) bool { return e.Status == 200 })
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	for _, e := range r.journal.entries {
		if e.Status == 408 {
			t.Errorf("a connection that asked for nothing was recorded: %+v", e)
		}
	}
}

// FuzzStrict: whatever passes the check, net/http reads as the same messages.
func FuzzStrict(f *testing.F) {
	for _, raw := range hostile {
		f.Add([]byte(raw))
	}
	for _, body := range hostileBodies {
		f.Add([]byte("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n" + body))
	}
	f.Add([]byte(smuggled + smuggled))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 3\r\n\r\nabc" + smuggled))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n" + smuggled))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var k checker
		n, _ := k.advance(raw)
		heads := k.heads
		// In pieces the verdict is the same.
		var slow checker
		passed := 0
		for i := range raw {
			m, bad := slow.advance(raw[passed : i+1])
			passed += m
			if bad != nil {
				break
			}
		}
		if passed != n || slow.heads != heads {
			t.Fatalf("at once %d bytes, %d heads; in pieces %d, %d", n, heads, passed, slow.heads)
		}
		sameMessages(t, raw[:n], &k)
	})
}

// sameMessages parses what has passed with net/http and compares where messages end.
func sameMessages(t *testing.T, passed []byte, k *checker) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(passed))
	count := 0
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			break
		}
		count++
		if leavesHTTP(req.Header) {
			return // from here on nothing was checked
		}
		if req.Host != "" {
			if name, ok := hostName(req.Host); ok && name != strings.ToLower(name) {
				t.Fatalf("host %q", name)
			}
		}
		_, err = io.Copy(io.Discard, req.Body)
		if err != nil && k.state == inHead {
			t.Fatalf("the check passed a whole body that net/http can't read: %v", err)
		}
	}
	if count > k.heads {
		t.Fatalf("net/http found %d messages, the check %d", count, k.heads)
	}
	if count < k.heads && !refusedByNetHTTP(passed) {
		t.Fatalf("net/http found only %d messages of %d", count, k.heads)
	}
}

// refusedByNetHTTP admits that net/http may refuse more than the check does: a
// target that is no URL, a body that goes on behind what has passed.
func refusedByNetHTTP(passed []byte) bool {
	r := bufio.NewReader(bytes.NewReader(passed))
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return !errors.Is(err, io.EOF)
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return true
		}
	}
}
