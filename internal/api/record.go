package api

import (
	"net/http"
	"slices"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/site"
)

func result(v site.Verdict) string {
	switch {
	case !v.Allowed():
		return "denied"
	case v.Principal == nil:
		return "public"
	}
	return "allowed"
}

func (d *Direct) record(v *site.Visit, r *http.Request, out *counted, started time.Time) {
	if d.Recorder == nil {
		return
	}
	e := &journal.Entry{Kind: journal.Request, RequestID: v.RequestID, Proxy: v.Name, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
		AuthResult: result(v.Verdict), Status: out.status, Duration: float64(time.Since(started).Microseconds()) / 1000, BytesOut: out.bytes, AuthReason: v.Verdict.Reason,
		UserAgent: r.UserAgent(), Protocol: r.Proto, Target: "direct"}
	if v.Client.IsValid() {
		e.ClientIP = v.Client.String()
	}
	if v.Route != nil {
		e.RouteID = v.Route.ID
	}
	if p := v.Verdict.Principal; p != nil {
		e.User, e.ClientID, e.Scopes, e.AuthType = p.User, p.ClientID, slices.Clone(p.Scopes), p.AuthType
	}
	d.Recorder.Write(e)
}

// counted remembers what was answered.
type counted struct {
	http.ResponseWriter
	status int
	bytes  int64
	wrote  bool
}

// WriteHeader notes the first final status.
func (c *counted) WriteHeader(status int) {
	if !c.wrote && status >= 200 {
		c.status, c.wrote = status, true
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write counts bytes.
func (c *counted) Write(p []byte) (int, error) {
	c.wrote = true
	n, err := c.ResponseWriter.Write(p)
	c.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController, which flushes streams.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }
