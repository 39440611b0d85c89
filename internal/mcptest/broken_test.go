package mcptest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// defect is one way in which a correct server is made wrong.
type defect struct {
	name    string
	version string // to test in
	finds   string // the check that must find it
	knock   []string
	make    func() layer
}

// rewritten changes answers of the endpoint as they go out, streams too: change gets
// the request's body and the whole answer.
func rewritten(change func(r *http.Request, asked string, res *httptest.ResponseRecorder)) layer {
	return func(_ *good, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			if r.Method == http.MethodGet && r.Header.Get("Accept") == "text/event-stream" || strings.Contains(string(body), "subscriptions/listen") {
				next.ServeHTTP(w, r) // it has no end
				return
			}
			res := httptest.NewRecorder()
			next.ServeHTTP(res, r)
			change(r, string(body), res)
			maps.Copy(w.Header(), res.Header())
			w.Header().Del("Content-Length")
			w.WriteHeader(res.Code)
			_, _ = w.Write(res.Body.Bytes())
		})
	}
}

// replaced replaces text in answers to requests that hold a word.
func replaced(holds, from, to string) func() layer {
	re := regexp.MustCompile(from)
	return func() layer {
		return rewritten(func(_ *http.Request, asked string, res *httptest.ResponseRecorder) {
			if strings.Contains(asked, holds) {
				text := re.ReplaceAllString(res.Body.String(), to)
				res.Body.Reset()
				res.Body.WriteString(text)
			}
		})
	}
}

// heading changes the head of requests before the server sees them.
func heading(change func(r *http.Request, body string)) func() layer {
	return func() layer {
		return func(_ *good, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(body))
				change(r, string(body))
				next.ServeHTTP(w, r)
			})
		}
	}
}

// instead answers some requests without asking the server.
func instead(when func(r *http.Request, body string) bool, status int, text string, headers ...string) func() layer {
	return func() layer {
		return func(_ *good, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(body))
				if !when(r, string(body)) {
					next.ServeHTTP(w, r)
					return
				}
				for i := 0; i+1 < len(headers); i += 2 {
					w.Header().Set(headers[i], headers[i+1])
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, text)
			})
		}
	}
}

// doc changes one of the documents about sign-in.
func doc(path, from, to string) func() layer {
	return func() layer {
		return rewritten(func(r *http.Request, _ string, res *httptest.ResponseRecorder) {
			if strings.HasPrefix(r.URL.Path, path) {
				text := regexp.MustCompile(from).ReplaceAllString(res.Body.String(), to)
				res.Body.Reset()
				res.Body.WriteString(text)
			}
		})
	}
}

func method(name string) func(*http.Request, string) bool {
	return func(r *http.Request, _ string) bool { return r.Method == name }
}

// sequential gives session ids that can be guessed.
func sequential(id func(n int64) string) func() layer {
	return func() layer {
		var n atomic.Int64
		real := newTwoWay()
		return func(_ *good, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if given := r.Header.Get("Mcp-Session-Id"); given != "" {
					r.Header.Set("Mcp-Session-Id", real.get(given))
				}
				next.ServeHTTP(&renaming{w, func(h http.Header) {
					if own := h.Get("Mcp-Session-Id"); own != "" {
						given := id(n.Add(1))
						real.put(given, own)
						h.Set("Mcp-Session-Id", given)
					}
				}}, r)
			})
		}
	}
}

const (
	prm = "/.well-known/oauth-protected-resource"
	asm = "/.well-known/oauth-authorization-server"
)

var defects = []defect{
	{"session ids with control characters", v2511, "session.id-visible-ascii", nil, sequential(func(int64) string { return "a b" + rand.Text() })},
	{"session ids that count", v2511, "session.id-entropy", nil, sequential(func(n int64) string { return fmt.Sprintf("session-%06d", n) })},
	{"a session id for all", v2511, "session.id-unique", []string{"session.id-entropy", "session.same-ids"}, func() layer {
		same, stays := sequential(func(int64) string { return "the-one-and-only-session" })(), instead(method("DELETE"), 405, "", "Allow", "POST, GET")()
		return func(g *good, next http.Handler) http.Handler { return stays(g, same(g, next)) }
	}},
	{"requests without a session are served", v2511, "session.id-required", nil, instead(func(r *http.Request, body string) bool {
		return r.Method == "POST" && r.Header.Get("Mcp-Session-Id") == "" && strings.Contains(body, `"tools/list"`) && r.Header.Get("Mcp-Protocol-Version") < sessionless
	}, 200, `{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}`, "Content-Type", "application/json")},
	{"notifications are answered with 200", v2511, "session.initialized", []string{"protocol.notification"}, func() layer {
		return rewritten(func(_ *http.Request, asked string, res *httptest.ResponseRecorder) {
			if strings.Contains(asked, `"notifications/`) {
				res.Code = 200
			}
		})
	}},
	{"unknown sessions are 400", v2511, "session.ended", []string{"session.unknown"}, func() layer {
		return rewritten(func(_ *http.Request, _ string, res *httptest.ResponseRecorder) {
			if res.Code == 404 && strings.Contains(res.Body.String(), "session") {
				res.Code = 400
			}
		})
	}},
	{"DELETE is a failure of the server", v2511, "session.delete", []string{"auth.methods"}, instead(method("DELETE"), 500, "")},
	{"only one spelling of a header is known", v2511, "session.header-case", nil, oneSpelling},
	{"another version is answered than was agreed", v2506, "protocol.version-agreed", nil, func() layer {
		var n atomic.Int64
		return rewritten(func(_ *http.Request, asked string, res *httptest.ResponseRecorder) {
			if strings.Contains(asked, `"initialize"`) && strings.Contains(asked, v2506) && n.Add(1) == 2 {
				text := strings.ReplaceAll(res.Body.String(), v2506, v2511)
				res.Body.Reset()
				res.Body.WriteString(text)
			}
		})
	}},
	{"unknown versions are echoed", v2511, "protocol.version-fallback", nil, func() layer {
		return rewritten(func(_ *http.Request, asked string, res *httptest.ResponseRecorder) {
			if strings.Contains(asked, "1999-12-31") {
				text := regexp.MustCompile(`"protocolVersion":"[^"]*"`).ReplaceAllString(res.Body.String(), `"protocolVersion":"1999-12-31"`)
				res.Body.Reset()
				res.Body.WriteString(text)
			}
		})
	}},
	{"serverInfo has no version", v2511, "protocol.initialize", nil, replaced(`"initialize"`, `"version":"1"`, `"vers":"1"`)},
	{"tools are not declared", v2511, "protocol.tools-declared", []string{}, replaced(`"initialize"`, `"tools":\{[^}]*\}`, `"logging":{}`)},
	{"listChanged is a text", v2511, "protocol.capabilities", nil, replaced(`"initialize"`, `"listChanged":true`, `"listChanged":"yes"`)},
	{"prompts are declared and not there", v2511, "protocol.capabilities-honoured", nil, func() layer {
		return rewritten(func(_ *http.Request, asked string, res *httptest.ResponseRecorder) {
			text := res.Body.String()
			if strings.Contains(asked, `"initialize"`) {
				text = strings.Replace(text, `"tools":{`, `"prompts":{},"tools":{`, 1)
			}
			if strings.Contains(asked, `"prompts/list"`) {
				text = regexp.MustCompile(`"result":\{.*\}\}`).ReplaceAllString(text, `"error":{"code":-32601,"message":"no"}}`)
			}
			res.Body.Reset()
			res.Body.WriteString(text)
		})
	}},
	{"listChanged without a stream", v2511, "protocol.list-changed", nil, instead(func(r *http.Request, _ string) bool { return r.Method == "GET" && r.URL.Path == "/mcp" }, 405, "", "Allow", "POST, DELETE")},
	{"string ids come back as numbers", v2511, "protocol.id-kind", nil, replaced(`"id":"7"`, `"id":"7"`, `"id":7`)},
	{"zero is no id", v2511, "protocol.id-number", nil, replaced(`"id":0,`, `"id":0\b`, `"id":1`)},
	{"unknown methods are a bad request", v2511, "protocol.unknown-method", []string{"session.same-ids"}, replaced(`no-such-method`, `-32601`, `-32600`)},
	{"unknown methods have status 200", sessionless, "protocol.unknown-method", nil, func() layer {
		return rewritten(func(_ *http.Request, asked string, res *httptest.ResponseRecorder) {
			if strings.Contains(asked, "no-such-method") {
				res.Code = 200
			}
		})
	}},
	{"error codes are texts", v2511, "protocol.error-form", []string{"protocol.unknown-method"}, replaced(`no-such-method`, `-32601`, `"-32601"`)},
	{"jsonrpc is missing", v2511, "protocol.envelope", nil, replaced(`"ping"`, `"jsonrpc":"2.0",`, ``)},
	{"a result and an error at once", v2511, "protocol.result-or-error", nil, replaced(`"ping"`, `"result":\{\}`, `"result":{},"error":{"code":1,"message":"x"}`)},
	{"broken JSON is a failure of the server", v2511, "protocol.parse-error", []string{"security.deep-json"}, instead(func(r *http.Request, body string) bool {
		return r.Method == "POST" && body != "" && !json.Valid([]byte(body))
	}, 500, "")},
	{"a stack trace is shown", v2511, "security.stack-traces", nil, instead(func(r *http.Request, body string) bool {
		return r.Method == "POST" && body != "" && !json.Valid([]byte(body))
	}, 400, "panic: x\n\ngoroutine 1 [running]:\nmain.main()")},
	{"batches are not known", v2503, "protocol.batch", nil, instead(func(_ *http.Request, body string) bool { return strings.HasPrefix(body, "[") }, 400, "no batches")},
	{"batches are still served", v2511, "protocol.batch-refused", nil, instead(func(_ *http.Request, body string) bool { return strings.HasPrefix(body, "[") }, 200, `[{"jsonrpc":"2.0","id":"b1","result":{}}]`, "Content-Type", "application/json")},
	{"large requests break the server", v2511, "protocol.large-payload", nil, instead(func(_ *http.Request, body string) bool { return len(body) > 1<<20 }, 502, "")},
	{"deep JSON breaks the server", v2511, "security.deep-json", nil, instead(func(_ *http.Request, body string) bool { return strings.Contains(body, "[[[[[[[") }, 500, "")},
	{"a tool has no schema", v2511, "tools.list", []string{"tools.input-schema"}, replaced(`"tools/list"`, `"inputSchema"`, `"schema"`)},
	{"two tools have one name", v2511, "tools.names-unique", nil, replaced(`"tools/list"`, `"name":"destroy"`, `"name":"echo"`)},
	{"a name with a space", v2511, "tools.names-form", nil, replaced(`"tools/list"`, `"name":"destroy"`, `"name":"destroy all"`)},
	{"a tool says nothing of itself", v2511, "tools.descriptions", nil, replaced(`"tools/list"`, `"description":"Must never be called by a test."`, `"description":" "`)},
	{"a schema of a type that is none", v2511, "tools.input-schema", []string{"tools.output-schema"}, replaced(`"tools/list"`, `"type":"integer"`, `"type":7`)},
	{"an output schema that is an array", v2511, "tools.output-schema", []string{"tools.structured-output"}, replaced(`"tools/list"`, `"outputSchema":\{"type":"object"`, `"outputSchema":{"type":"array"`)},
	{"a hint that is a text", v2511, "tools.annotations", nil, replaced(`"tools/list"`, `"readOnlyHint":true`, `"readOnlyHint":true,"openWorldHint":"no"`)},
	{"an endless list of tools", v2511, "tools.pagination", nil, replaced(`"tools/list"`, `"tools":\[`, `"nextCursor":"again","tools":[`)},
	{"unknown tools are a result", v2511, "tools.unknown", nil, replaced(`gatehouse-no-such-tool`, `"error":\{[^}]*\}`, `"result":{"content":[],"isError":true}`)},
	{"content of an unknown kind", v2511, "tools.call", []string{"tools.structured-text"}, replaced(`"tools/call"`, `"type":"text","text"`, `"type":"words","txt"`)},
	{"arguments are not checked", v2511, "tools.wrong-type", []string{"tools.missing-argument", "tools.arguments-object", "tools.unknown-argument"}, replaced(`"tools/call"`, `"isError":true`, `"isError":false`)},
	{"structured content against its schema", v2511, "tools.structured-output", []string{"tools.structured-text"}, replaced(`"tools/call"`, `"structuredContent":\{`, `"structuredContent":{"more":1,`)},
	{"structured content without its text", v2511, "tools.structured-text", nil, replaced(`"tools/call"`, `"text":"\{[^}]*\}"`, `"text":"done"`)},
	{"answers are mixed up", v2511, "tools.concurrent", nil, func() layer {
		return rewritten(func(_ *http.Request, asked string, res *httptest.ResponseRecorder) {
			if strings.Contains(asked, `"count":1`) && !strings.Contains(asked, "gatehouse_no") {
				text := regexp.MustCompile(`"id":(\d+)`).ReplaceAllStringFunc(res.Body.String(), func(id string) string {
					n, _ := strconv.Atoi(id[5:])
					return fmt.Sprintf(`"id":%d`, n+1)
				})
				res.Body.Reset()
				res.Body.WriteString(text)
			}
		})
	}},
	{"an answer of the type text/html", v2511, "transport.content-type", nil, func() layer {
		var n atomic.Int64
		return rewritten(func(_ *http.Request, asked string, res *httptest.ResponseRecorder) {
			if strings.Contains(asked, `"ping"`) && res.Code == 200 && n.Add(1) == 1 {
				res.Header().Set("Content-Type", "text/html")
			}
		})
	}},
	{"any content type is taken", v2511, "transport.request-type", nil, heading(func(r *http.Request, _ string) { r.Header.Set("Content-Type", "application/json") })},
	{"Accept is not looked at", v2511, "transport.accept", nil, heading(func(r *http.Request, _ string) {
		if r.Method == "POST" {
			r.Header.Set("Accept", "application/json, text/event-stream")
		}
	})},
	{"GET is a page", v2511, "transport.get", []string{"protocol.list-changed", "transport.get-accept", "auth.methods", "security.origin-get"}, instead(func(r *http.Request, _ string) bool { return r.Method == "GET" && r.URL.Path == "/mcp" }, 200, "<p>hello", "Content-Type", "text/html")},
	{"405 without Allow", v2511, "transport.method", nil, instead(method("PUT"), 405, "")},
	{"any version header is taken", v2511, "transport.version-header", nil, heading(func(r *http.Request, _ string) {
		if v := r.Header.Get("Mcp-Protocol-Version"); v != "" && !slices.Contains(Versions(), v) {
			r.Header.Set("Mcp-Protocol-Version", v2511)
		}
	})},
	{"streams are not primed", v2511, "transport.priming", nil, replaced(`"ping"`, `event: prime\nid: [^\n]*\ndata: \n\n`, ``)},
	{"ids of events are used again", v2511, "transport.event-ids", nil, replaced(`"ping"`, `id: [^\n]*`, `id: 1`)},
	{"any web page may ask", v2511, "security.origin-foreign", []string{"security.origin-lookalike", "security.origin-null", "security.origin-get"}, heading(func(r *http.Request, _ string) { r.Header.Del("Origin") })},
	{"origins are compared by their beginning", v2511, "security.origin-lookalike", nil, heading(func(r *http.Request, _ string) {
		if strings.HasPrefix(r.Header.Get("Origin"), "http://127.0.0.1") {
			r.Header.Del("Origin")
		}
	})},
	{"the origin null is taken", v2511, "security.origin-null", nil, heading(func(r *http.Request, _ string) {
		if r.Header.Get("Origin") == "null" {
			r.Header.Del("Origin")
		}
	})},
	{"CORS for everybody", v2511, "security.cors", nil, instead(method("OPTIONS"), 204, "", "Access-Control-Allow-Origin", "https://gatehouse-evil.example", "Access-Control-Allow-Credentials", "true")},
	{"any Host is served", v2511, "security.host", nil, heading(func(r *http.Request, _ string) {
		if strings.HasSuffix(r.Host, ".example") {
			r.Host = "localhost"
		}
	})},
	{"a session id is a credential", v2511, "security.session-no-token", []string{"security.session-foreign-end"}, heading(func(r *http.Request, _ string) {
		if r.Header.Get("Mcp-Session-Id") != "" && r.Header.Get("Authorization") == "" {
			r.Header.Set("Authorization", "Bearer "+goodToken)
		}
	})},
	{"sessions are everybody's", v2511, "security.session-foreign", []string{"security.session-foreign-end", "security.deep-json"}, heading(func(r *http.Request, _ string) {
		if r.Header.Get("Authorization") == "Bearer "+otherToken {
			r.Header.Set("Authorization", "Bearer "+goodToken)
		}
	})},
	{"a header of the client comes back", v2511, "security.header-injection", nil, func() layer {
		return rewritten(func(_ *http.Request, asked string, res *httptest.ResponseRecorder) {
			if strings.Contains(asked, "X-Gatehouse-Injected") {
				res.Header().Set("X-Gatehouse-Injected", "1")
			}
		})
	}},
	{"no token is 403", v2511, "auth.unauthorized", []string{"auth.methods", "auth.garbage", "auth.unsigned", "auth.tampered", "auth.scheme", "auth.query", "security.session-no-token"}, func() layer {
		return rewritten(func(_ *http.Request, _ string, res *httptest.ResponseRecorder) {
			if res.Code == 401 {
				res.Code = 403
			}
		})
	}},
	{"a 401 without a challenge", v2511, "auth.challenge", []string{"auth.garbage-error"}, func() layer {
		return rewritten(func(_ *http.Request, _ string, res *httptest.ResponseRecorder) { res.Header().Del("WWW-Authenticate") })
	}},
	{"a challenge that is not well-formed", v2511, "auth.challenge", []string{"auth.garbage-error"}, challenged(`scope="mcp"`, `scope=mcp admin"`)},
	{"a challenge without the metadata", v2511, "auth.challenge-metadata", nil, challenged(`resource_metadata=`, `metadata=`)},
	{"a challenge without scopes", v2511, "auth.challenge-scope", nil, challenged(`, scope="mcp"`, ``)},
	{"a challenge with an error for nothing", v2511, "auth.challenge-error", []string{"auth.garbage-error"}, challenged(`scope="mcp"`, `scope="mcp", error="nothing"`)},
	{"no metadata", v2511, "auth.metadata", nil, instead(func(r *http.Request, _ string) bool { return strings.HasPrefix(r.URL.Path, prm) }, 404, "")},
	{"the metadata of another resource", v2511, "auth.resource", nil, doc(prm, `"resource":"[^"]*"`, `"resource":"https://other.example/mcp"`)},
	{"metadata without a server", v2511, "auth.servers", nil, doc(prm, `"authorization_servers":\[[^\]]*\]`, `"authorization_servers":[]`)},
	{"no metadata of the server", v2511, "auth.server-metadata", nil, instead(func(r *http.Request, _ string) bool { return r.URL.Path == asm }, 404, "")},
	{"an issuer with a slash", v2511, "auth.issuer", nil, doc(asm, `"issuer":"([^"]*)"`, `"issuer":"$1/"`)},
	{"endpoints by plain http", v2511, "auth.endpoints", nil, doc(asm, `"token_endpoint":"[^"]*"`, `"token_endpoint":"http://auth.example/token"`)},
	{"no S256", v2511, "auth.pkce", nil, doc(asm, `\["S256"\]`, `["plain"]`)},
	{"no iss", v2511, "auth.iss", nil, doc(asm, `"authorization_response_iss_parameter_supported":true`, `"x":1`)},
	{"clients can't register", v2511, "auth.registration", nil, doc(asm, `"registration_endpoint"`, `"x"`)},
	{"any token gets in", v2511, "auth.garbage", []string{"auth.garbage-error", "auth.unsigned", "auth.tampered"}, heading(func(r *http.Request, _ string) {
		if t, is := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); is && t != otherToken {
			r.Header.Set("Authorization", "Bearer "+goodToken)
		}
	})},
	{"signatures are not checked", v2511, "auth.tampered", nil, heading(func(r *http.Request, _ string) {
		if strings.HasSuffix(r.Header.Get("Authorization"), goodToken[strings.LastIndexByte(goodToken, '.'):]) {
			r.Header.Set("Authorization", "Bearer "+goodToken)
		}
	})},
	{"alg none is taken", v2511, "auth.unsigned", nil, heading(func(r *http.Request, _ string) {
		if strings.HasSuffix(r.Header.Get("Authorization"), ".") {
			r.Header.Set("Authorization", "Bearer "+goodToken)
		}
	})},
	{"a token in the URL gets in", v2511, "auth.query", nil, heading(func(r *http.Request, _ string) {
		if t := r.URL.Query().Get("access_token"); t != "" {
			r.Header.Set("Authorization", "Bearer "+t)
		}
	})},
	{"passwords get in", v2511, "auth.scheme", nil, heading(func(r *http.Request, _ string) {
		if strings.HasPrefix(r.Header.Get("Authorization"), "Basic ") {
			r.Header.Set("Authorization", "Bearer "+goodToken)
		}
	})},
	{"this version is not among those supported", sessionless, "protocol.version-unsupported", nil, replaced("2099-01-01", `"supported":\[[^\]]*\]`, `"supported":[]`)},
	{"results without a type", sessionless, "protocol.result-type", nil, replaced(`"tools/list"`, `"resultType":"complete",?`, ``)},
	{"lists without hints for caches", sessionless, "protocol.cache-hints", nil, replaced(`"tools/list"`, `"ttlMs":\d+,?`, ``)},
	{"_meta may be left out", sessionless, "protocol.meta-required", nil, func() layer {
		return rewritten(func(_ *http.Request, _ string, res *httptest.ResponseRecorder) {
			if res.Code == 400 && strings.Contains(res.Body.String(), "-32602") {
				res.Code = 200
			}
		})
	}},
	{"Mcp-Method is not compared", sessionless, "transport.method-mismatch", []string{"transport.method-missing"}, heading(func(r *http.Request, body string) {
		var m struct{ Method string }
		if json.Unmarshal([]byte(body), &m) == nil && m.Method != "" && r.Header.Get("Mcp-Protocol-Version") >= sessionless {
			r.Header.Set("Mcp-Method", m.Method)
		}
	})},
	{"Mcp-Name is not compared", sessionless, "transport.name-mismatch", []string{"transport.name-missing"}, heading(func(r *http.Request, body string) {
		var m struct{ Params struct{ Name string } }
		if json.Unmarshal([]byte(body), &m) == nil && m.Params.Name != "" && r.Header.Get("Mcp-Protocol-Version") >= sessionless {
			r.Header.Set("Mcp-Name", m.Params.Name)
		}
	})},
	{"the version header is not compared", sessionless, "transport.version-mismatch", nil, heading(func(r *http.Request, body string) {
		if strings.Contains(body, metaVersion+`":"`+sessionless) {
			r.Header.Set("Mcp-Protocol-Version", sessionless)
		}
	})},
	{"session ids are given though there are none", sessionless, "session.none", []string{"session.ignored"}, func() layer {
		return rewritten(func(_ *http.Request, _ string, res *httptest.ResponseRecorder) {
			res.Header().Set("Mcp-Session-Id", "x")
		})
	}},
	{"a subscription is not acknowledged", sessionless, "protocol.subscription", []string{"protocol.list-changed"}, instead(func(_ *http.Request, body string) bool { return strings.Contains(body, "subscriptions/listen") }, 200,
		"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n", "Content-Type", "text/event-stream")},
	{"streams may be buffered", sessionless, "transport.buffering", nil, func() layer {
		return func(_ *good, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(&renaming{w, func(h http.Header) { h.Del("X-Accel-Buffering") }}, r)
			})
		}
	}},
}

// challenged changes the challenge of a 401.
func challenged(from, to string) func() layer {
	return func() layer {
		return rewritten(func(_ *http.Request, _ string, res *httptest.ResponseRecorder) {
			if c := res.Header().Get("WWW-Authenticate"); c != "" {
				res.Header().Set("WWW-Authenticate", strings.Replace(c, from, to, 1))
			}
		})
	}
}

// alone are categories to which a test is narrowed, where the defect would keep
// others from being tried.
var alone = map[string]string{"transport.content-type": Transport, "tools.concurrent": ToolsAdvanced}

func categoryOf(id string) string {
	for _, c := range allChecks() {
		if c.id == id {
			return c.category
		}
	}
	return All
}

// renaming changes the head of an answer, whose body may have no end.
type renaming struct {
	http.ResponseWriter
	change func(http.Header)
}

func (w *renaming) WriteHeader(status int) {
	w.change(w.Header())
	w.ResponseWriter.WriteHeader(status)
}

func (w *renaming) Write(p []byte) (int, error) {
	w.change(w.Header())
	return w.ResponseWriter.Write(p)
}

func (w *renaming) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// oneSpelling knows headers in the spelling of Go's client alone. HTTP/1.1 heads are
// parsed by net/http before a handler sees them, so this stands in front of it.
func oneSpelling() layer {
	return func(g *good, next http.Handler) http.Handler {
		g.listen = func(l net.Listener) net.Listener { return &strictHeads{l} }
		return next
	}
}

type strictHeads struct{ net.Listener }

func (s *strictHeads) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	return &strictConn{Conn: c}, err
}

type strictConn struct{ net.Conn }

// Read spoils what is not spelled as usual.
func (c *strictConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	copy(p[:n], bytes.ReplaceAll(p[:n], []byte("mCP-sESSION-iD"), []byte("xCP-sESSION-iD")))
	return n, err
}

// names are ids that a layer gives, and those of the server behind it.
type names struct {
	mu  sync.Mutex
	own map[string]string
}

func newTwoWay() *names { return &names{own: map[string]string{}} }

func (n *names) put(given, own string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.own[given] == "" {
		n.own[given] = own
	}
}

func (n *names) get(given string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if own := n.own[given]; own != "" {
		return own
	}
	return given
}

// TestEachDefectIsFoundByItsCheck makes a correct server wrong in one way at a time:
// the check that is for it says so, with where it is written, and no other does but
// those that the same defect must show in.
func TestEachDefectIsFoundByItsCheck(t *testing.T) {
	found := map[string]bool{}
	for _, d := range defects {
		found[d.finds] = true
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			category := alone[d.finds]
			if category == "" && os.Getenv("GATEHOUSE_TEST_ALL") == "" {
				category = categoryOf(d.finds) // in the short form, what other categories find is not looked at
			}
			report := newGood(t, d.make()).test(t, Options{Protocol: d.version, Category: category, Timeout: 5 * time.Second})
			hit := false
			for _, res := range not(report) {
				switch {
				case res.Check == d.finds:
					hit = true
					if res.Detail == "" || res.Reference.URL == "" || (res.Status == Failed) != (res.Level == Must) && res.Check != "tools.unknown" {
						t.Errorf("%+v", res)
					}
				case !slices.Contains(d.knock, res.Check):
					t.Errorf("%s found fault too: %s", res.Check, res.Detail)
				}
			}
			if !hit {
				t.Errorf("%s did not find it", d.finds)
			}
		})
	}
	if len(found) < 60 {
		t.Errorf("defects are there for %d checks only", len(found))
	}
}
