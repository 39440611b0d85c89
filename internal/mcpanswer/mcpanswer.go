// Package mcpanswer corrects what the official Go SDK's handler answers to requests
// that it can't serve: text/plain with 400, where JSON-RPC 2.0 (section 5.1) wants an
// error with a code. Clients tell a method that is not there from a broken server
// by it. It also says X-Accel-Buffering: no on event streams (MCP 2026-07-28,
// Streamable HTTP, Receiving Messages).
package mcpanswer

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// maxHead is how much of a body is read to find what is asked.
const maxHead = 4 << 20

// Handler is next with errors in the form of JSON-RPC.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Accel-Buffering", "no")
		if r.Method != http.MethodPost || r.Body == nil {
			next.ServeHTTP(w, r)
			return
		}
		head, err := io.ReadAll(io.LimitReader(r.Body, maxHead))
		r.Body = body{io.MultiReader(bytes.NewReader(head), failing{err}, r.Body), r.Body}
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		if json.Unmarshal(head, &m) != nil || m.Method == "" || !plainID(m.ID) {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(&writer{ResponseWriter: w, id: m.ID}, r)
	})
}

type body struct {
	io.Reader
	io.Closer
}

// failing gives an error that reading had before; without one it is empty.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// plainID reports whether id is a string or a number, as ids of requests are.
func plainID(id json.RawMessage) bool {
	return len(id) > 0 && (id[0] == '"' || id[0] == '-' || (id[0] >= '0' && id[0] <= '9'))
}

// writer holds a plain 400 back until its text is there.
type writer struct {
	http.ResponseWriter
	id   json.RawMessage
	held bool
}

// WriteHeader holds back what Write will say in another form.
func (w *writer) WriteHeader(status int) {
	if status == http.StatusBadRequest && strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		w.held = true
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

// notHandled is how the SDK begins to say that it knows no such method.
const notHandled = "JSON RPC not handled"

// Write writes p, or the error that it stands for.
func (w *writer) Write(p []byte) (int, error) {
	if !w.held {
		return w.ResponseWriter.Write(p)
	}
	w.held = false
	code, status, text := -32600, http.StatusBadRequest, strings.TrimSpace(string(p))
	if strings.HasPrefix(text, notHandled) {
		// 200, because clients of these versions read the body of no other status.
		code, status, text = -32601, http.StatusOK, "there is no such method here"
	}
	out, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": w.id, "error": map[string]any{"code": code, "message": text}})
	if err != nil {
		return 0, err
	}
	w.Header().Del("Content-Length")
	w.Header().Set("Content-Type", "application/json")
	w.ResponseWriter.WriteHeader(status)
	if _, err := w.ResponseWriter.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Unwrap is for http.ResponseController, which flushes streams.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
