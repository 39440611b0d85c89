package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/api/localauth"
	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// Gate decides who is asking and whether they may, and whether what it allowed
// would still be allowed; package oauth has it.
type Gate interface {
	Admit(v *site.Visit, r *http.Request) site.Verdict
	Still(v *site.Visit) bool
}

// recheck is how often the gate is asked about a request that is still served:
// what was revoked ends within two seconds, streams too.
const recheck = 500 * time.Millisecond

// Direct is the door to the API beside the data path: health checks and tools
// reach it at API_LISTEN or by the unix socket in the data folder. It speaks for
// the sign-in host, takes bearer tokens and the local signature, never cookies,
// and believes no header about who is asking. Anonymous callers get public
// operations and nothing else, because the operations say so.
type Direct struct {
	API   http.Handler // internal:api
	OAuth http.Handler // internal:oauth
	Gate  Gate
	World func() *site.World

	Local    *localauth.Verifier // nil: signatures of the machine's administrator are refused
	Socket   bool                // serves the unix socket, which only the account that serves can open
	Trusted  []netip.Prefix      // TRUSTED_PROXIES
	Recorder journal.Recorder    // nil: nothing is recorded
}

// ServeHTTP serves one request: begin, route, admit, answer, one entry.
func (d *Direct) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	out := &counted{ResponseWriter: w, status: http.StatusOK}
	v := d.visit(r)
	if v == nil {
		fault.ProblemOf(fault.New(fault.Unavailable, "the sign-in host is not served yet")).WriteTo(out)
		return
	}
	defer func() { d.record(v, r, out, started) }()
	h := d.route(v, r)
	strip(r, v)
	if h == nil {
		p := fault.NewProblem(http.StatusNotFound, fault.NotFound.String(), "there is nothing at this path")
		p.RequestID = v.RequestID
		p.WriteTo(out)
		return
	}
	r, err := d.admit(out, r, v)
	if err != nil {
		p := fault.ProblemOf(err)
		p.RequestID = v.RequestID
		p.WriteTo(out)
		return
	}
	if !v.Verdict.Allowed() {
		refuse(out, v)
		return
	}
	r, done := d.hold(r, v)
	defer done()
	h.ServeHTTP(out, r)
}

// hold is r with a context that ends when its caller's right does.
func (d *Direct) hold(r *http.Request, v *site.Visit) (*http.Request, func()) {
	if v.Verdict.Principal == nil {
		return r, func() {}
	}
	ctx, cancel := context.WithCancel(r.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(recheck)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if !d.Gate.Still(v) {
					cancel()
				}
			}
		}
	}()
	return r.WithContext(ctx), func() { cancel(); <-ended }
}

// visit is the request as the sign-in host would see it.
func (d *Direct) visit(r *http.Request) *site.Visit {
	w := d.World()
	if w == nil {
		return nil
	}
	name := w.Origins.SignInName()
	host := w.Find(name)
	if host == nil {
		return nil
	}
	v := &site.Visit{RequestID: newRequestID(), Host: host, Name: name, Path: site.ParsePath(r.URL.EscapedPath()), Direct: true,
		Origin: w.Origins.SignIn(true), SignIn: w.Origins.SignIn(true)}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		v.Peer = peer.Addr().Unmap()
		v.Client, v.Loopback = v.Peer, v.Peer.IsLoopback()
		if v.Trusted = slices.ContainsFunc(d.Trusted, func(p netip.Prefix) bool { return p.Contains(v.Peer) }); v.Trusted {
			v.Client = site.ClientOf(r.Header, v.Peer, d.Trusted)
		}
	}
	return v
}

func newRequestID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails: the runtime ends the process instead
	return hex.EncodeToString(b[:])
}

// strip takes away what a client could say about who it is. What a trusted peer
// says about whom it speaks for, and that person's session, stay for /verify; the
// gate never reads a cookie that came through this door for the door itself.
func strip(r *http.Request, v *site.Visit) {
	for name := range r.Header {
		if site.Identity(name, v.Host.Proxy.AuthHeaderPrefix) && !(v.Trusted && strings.EqualFold(name, "X-Original-Url")) {
			delete(r.Header, name)
		}
	}
	if !(v.Trusted && v.Route != nil && v.Route.ID == site.RouteVerify) {
		delete(r.Header, "Cookie")
	}
}

// route finds the built-in service for the request; nil when this door has none.
func (d *Direct) route(v *site.Visit, r *http.Request) http.Handler {
	route, gone := v.Host.Match(r.Method, v.Path)
	if gone {
		return nil
	}
	v.Route = route
	switch v.Target() {
	case site.InternalAPI:
		return d.API
	case site.InternalOAuth:
		return d.OAuth
	}
	return nil
}

// admit puts the visit, decided, and whoever is asking into the context.
func (d *Direct) admit(w http.ResponseWriter, r *http.Request, v *site.Visit) (*http.Request, error) {
	ctx := journal.WithRequestID(r.Context(), v.RequestID)
	if localauth.Presented(r) {
		if err := d.local(w, r, v); err != nil {
			return r, err
		}
	} else {
		v.Verdict = d.Gate.Admit(v, r)
	}
	ctx = site.WithVisit(ctx, v)
	if v.Verdict.Principal != nil {
		ctx = principal.With(ctx, v.Verdict.Principal)
	}
	return r.WithContext(ctx), nil
}

// refuse writes what the gate decided.
func refuse(w http.ResponseWriter, v *site.Visit) {
	status := http.StatusForbidden
	if v.Verdict.Outcome == site.Challenge || v.Verdict.Outcome == site.SignIn {
		status = http.StatusUnauthorized
	}
	if v.Verdict.Outcome == site.Wait {
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", strconv.Itoa(site.RetryAfter))
	}
	if v.Verdict.Header != "" {
		w.Header().Set("WWW-Authenticate", v.Verdict.Header)
	}
	code, detail := v.Verdict.Error, v.Verdict.Description
	if code == "" {
		code, detail = fault.Unauthenticated.String(), "sign in first"
	}
	w.Header().Set("Cache-Control", "no-store")
	p := fault.NewProblem(status, code, detail)
	p.RequestID = v.RequestID
	p.WriteTo(w)
}
