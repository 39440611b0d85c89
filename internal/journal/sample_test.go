package journal

import (
	"fmt"
	"math/rand/v2"
)

var (
	sampleProxies = []string{"app.example.com", "mcp.example.com", "docs.example.com", "api.example.com"}
	sampleMethods = []string{"GET", "GET", "GET", "GET", "POST", "PUT", "DELETE"}
	sampleStatus  = []int{200, 200, 200, 200, 200, 200, 200, 201, 204, 302, 304, 401, 403, 404, 404, 500, 502}
	sampleAgents  = []string{"curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "claude-mcp/1.2", "mcp-remote/0.1.30"}
)

// sample is an entry as the edge writes them; the same for the same n.
func sample(n int) *Entry {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	e := &Entry{
		Kind: Request, RequestID: fmt.Sprintf("%016x", r.Uint64()), ClientIP: fmt.Sprintf("203.0.%d.%d", r.IntN(8), r.IntN(250)),
		Proxy: pick(sampleProxies), Method: pick(sampleMethods), Status: sampleStatus[r.IntN(len(sampleStatus))],
		Path: fmt.Sprintf("/reports/%d/items", r.IntN(2000)), Query: fmt.Sprintf("page=%d", r.IntN(50)),
		Duration: float64(1000+r.ExpFloat64()*40000) / 1000, BytesIn: int64(r.IntN(2000)), BytesOut: int64(r.IntN(50000)),
		Protocol: "HTTP/2.0", TLSVersion: "1.3", UserAgent: pick(sampleAgents), Target: "http://10.0.0.5:3000",
	}
	e.Duration = millis(micros(e.Duration))
	e.FirstByte = millis(micros(e.Duration / 2))
	if r.IntN(3) > 0 {
		user := r.IntN(500)
		e.User, e.Session = fmt.Sprintf("user%d", user), fmt.Sprintf("s%08x", user*7919)
		e.AuthType, e.AuthResult, e.Scopes = "session", "allowed", []string{"user", "mcp"}
		e.ClientID = fmt.Sprintf("client-%d", user%20)
	}
	if e.Status >= 500 {
		e.ErrorKind, e.Error = "connect", "dial tcp 10.0.0.5:3000: connect: connection refused"
	}
	return e
}

// noise is text that can't be compressed well.
func noise(seed, n int) string {
	r := rand.New(rand.NewPCG(uint64(seed), 11))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(' ' + 1 + r.IntN(90))
	}
	return string(b)
}
