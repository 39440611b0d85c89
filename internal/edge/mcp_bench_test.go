package edge

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/mcpgate"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// BenchmarkMCPCall is what the gateway costs a call: the same POST through a host
// that is nothing but protected, through one where messages are watched, and
// through one with rules. CPU is the whole process's, client and target included.
func BenchmarkMCPCall(b *testing.B) {
	message := `{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"_meta":{"progressToken":17},"name":"search_documents","arguments":{"query":"` + strings.Repeat("needle ", 40) + `","limit":10}}}`
	reply := `{"jsonrpc":"2.0","id":17,"result":{"content":[{"type":"text","text":"` + strings.Repeat("some text of a document, ", 40) + `"}],"isError":false}}`
	request := fmt.Sprintf("POST /mcp HTTP/1.1\r\nHost: app.test\r\nUser-Agent: node\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"+
		"Mcp-Protocol-Version: 2025-11-25\r\nAuthorization: Bearer abc\r\nContent-Length: %d\r\n\r\n%s", len(message), message)
	rules := []site.MCPRule{{Tools: []string{"delete_*", "drop_*"}, Action: site.MCPDeny}, {Tools: []string{"search_*", "read_*"}, Action: site.MCPAllow, Rate: "100000/second"}}
	for _, c := range []struct {
		name   string
		change func(*site.Proxy)
	}{
		{"plain", func(*site.Proxy) {}},
		{"watched", func(p *site.Proxy) { p.MCPEnabled = true }},
		{"judged", func(p *site.Proxy) { p.MCPEnabled, p.MCPTools = true, rules }},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := newRig(b, Options{MCP: mcpgate.New(mcpgate.Options{Recorder: drop{}, SessionKey: make([]byte, 32)})},
				to("app.test", wireOf(b, "application/json", reply), guarded, c.change))
			r.journal.dropAll = true
			alice := &principal.Principal{Subject: "github:1", User: "alice", Scopes: []string{"mcp", "user"}, ClientID: "client"}
			r.gate.decide(func(*site.Visit, *http.Request) site.Verdict {
				return site.Verdict{Step: 9, Reason: "allowed", OwnToken: true, Principal: alice}
			})
			before := used(b)
			askForever(b, r.dialTLS("app.test"), request, len(reply))
			b.ReportMetric(float64((used(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// used is the processor time of this process so far.
func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// drop is a recorder for those who measure something else.
type drop struct{}

// Write forgets e.
func (drop) Write(*journal.Entry) {}
