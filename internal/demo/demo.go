// Package demo is the small built-in backend behind the target internal:demo,
// for the first minutes when nothing else runs yet: a page that shows who you
// are and what reached it, and an MCP server at /mcp with three tools. It sees
// what any backend would see and has no part in who is let in.
package demo

import (
	"cmp"
	_ "embed"
	"html/template"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/mcpanswer"
	"gatehouse/internal/principal"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// header is one line of what reached the backend.
type header struct{ Name, Value string }

type view struct {
	Host, Method, Path string
	Principal          *principal.Principal
	Headers            []header
}

// New is the demo backend.
func New() http.Handler {
	server := newMCP()
	mux := http.NewServeMux()
	mux.Handle("/mcp", mcpanswer.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		// No session is needed by these tools, and the edge has checked Host and
		// Origin before: the SDK's own check would refuse public names.
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true, DisableLocalhostProtection: true})))
	mux.HandleFunc("/", show)
	return mux
}

// show answers every path with the page, so that routes and excluded paths can
// be tried out on it.
func show(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	_ = page.Execute(w, view{ // a failed write means that the client is gone
		Host: hostname(r.Host), Method: r.Method, Path: r.URL.RequestURI(),
		Principal: principal.From(r.Context()), Headers: reached(r.Header),
	})
}

// hostname is host without its port, as protect wants it.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

func reached(h http.Header) []header {
	lines := make([]header, 0, len(h))
	for name, values := range h {
		lines = append(lines, header{name, strings.Join(values, ", ")})
	}
	slices.SortFunc(lines, func(a, b header) int { return cmp.Compare(a.Name, b.Name) })
	return lines
}
