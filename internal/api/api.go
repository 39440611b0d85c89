// Package api is the HTTP door to what package control offers: it finds the
// operation for a request, decodes strictly, writes JSON or an RFC 9457 problem
// document, and describes itself as OpenAPI 3.1. It holds no rules of the
// product. Who is asking comes from the request's context, where the gate or
// Direct put it, never from a header that a client could write.
//
// What is no operation, streams and documents, is listed in extras.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strings"

	"gatehouse/internal/control"
	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// API serves the operations. Make it with New.
type API struct {
	control *control.Control
	log     *slog.Logger
	mux     *http.ServeMux
	openapi []byte
	docs    page
	streams chan struct{} // a slot for each open stream
}

const (
	get  = http.MethodGet
	post = http.MethodPost
)

// maxStreams bounds the streams that are open at once.
const maxStreams = 1000

// New makes the handler for all operations of c. log nil discards.
func New(c *control.Control, log *slog.Logger) (*API, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	a := &API{control: c, log: log, mux: http.NewServeMux(), streams: make(chan struct{}, maxStreams)}
	var err error
	if a.openapi, err = openAPI(c.Operations(), a.extras()); err != nil {
		return nil, err
	}
	if a.docs, err = docsPage(c.Operations(), a.extras()); err != nil {
		return nil, err
	}
	a.mount()
	return a, nil
}

// extra is a handler that is no operation.
type extra struct {
	method  string
	pattern string
	summary string
	media   string // of the answer
	scope   control.Scope
	serve   func(http.ResponseWriter, *http.Request) error
	body    reflect.Type // what is sent, as JSON; nil: nothing
}

func (a *API) extras() []extra {
	return []extra{
		{get, "/events", "Changes as they happen, as server-sent events.", "text/event-stream", control.User, a.events, nil},
		{get, "/logs/follow", "Log entries as they come, as server-sent events; the query narrows as in /logs/search.", "text/event-stream", control.User, a.follow, nil},
		{get, "/openapi.json", "This API as OpenAPI 3.1.", "application/json", control.User, a.serveOpenAPI, nil},
		{post, "/mcp-servers/{hostname}/test", "Test whether a host's MCP endpoint keeps to the specification; results come as server-sent events.", "text/event-stream", control.Admin, a.testMCP, reflect.TypeFor[control.TestMCPServer]()},
		{get, "/docs", "This API as a page.", "text/html", control.User, a.serveDocs, nil},
	}
}

// older are names that paths had; both serve.
var older = map[string]string{"/proxies/": "/proxy/targets/"}

func (a *API) mount() {
	paths := map[string]map[string]http.Handler{}
	add := func(pattern, method string, h http.Handler) {
		if paths[pattern] == nil {
			paths[pattern] = map[string]http.Handler{}
		}
		paths[pattern][method] = h
	}
	for _, o := range a.control.Operations() {
		add(o.Pattern, o.Method, a.operation(o))
		for now, then := range older {
			if rest, ok := strings.CutPrefix(o.Pattern, now); ok {
				add(then+rest, o.Method, a.operation(o))
			}
		}
	}
	for _, e := range a.extras() {
		add(e.pattern, e.method, a.extra(e))
	}
	for pattern, methods := range paths {
		h := a.methods(methods)
		bare, collection := strings.CutSuffix(pattern, "/")
		a.mux.Handle(bare, h)
		if collection {
			a.mux.Handle(pattern+"{$}", h)
		}
	}
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.fail(w, r, fault.New(fault.NotFound, "there is nothing at %s", r.URL.Path), control.Public)
	})
}

// methods chooses by method; HEAD is answered as GET is.
func (a *API) methods(by map[string]http.Handler) http.Handler {
	allowed := []string{http.MethodOptions}
	for method := range by {
		allowed = append(allowed, method)
		if method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		switch h := by[method]; {
		case h != nil:
			h.ServeHTTP(w, r)
		case method == http.MethodOptions:
			w.Header().Set("Allow", allow)
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", allow)
			p := fault.NewProblem(http.StatusMethodNotAllowed, "method_not_allowed", r.Method+" is not possible here; "+allow+" are")
			a.write(w, r, p)
		}
	})
}

// ServeHTTP serves the API. A path with dot or empty segments is nobody's: the
// mux would answer it with a redirect.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if asked := r.URL.EscapedPath(); path.Clean(asked) != strings.TrimSuffix(asked, "/") && asked != "/" {
		a.fail(w, r, fault.New(fault.NotFound, "there is nothing at this path"), control.Public)
		return
	}
	a.mux.ServeHTTP(w, r)
}

func (a *API) extra(e extra) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := a.control.Allow(r.Context(), e.scope)
		if err == nil {
			err = e.serve(w, r)
		}
		if err != nil {
			a.fail(w, r, err, e.scope)
		}
	})
}

func requestID(ctx context.Context) string {
	if v := site.VisitFrom(ctx); v != nil {
		return v.RequestID
	}
	return ""
}
