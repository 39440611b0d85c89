// Package handover lets the nodes of one installation hand requests to each
// other: a session lives in the memory of one node, which its id names, and a
// balancer sends the next request anywhere.
//
// The door between nodes is HTTP/2 over mutual TLS with a key that comes from
// SECRET_KEY (identity.go): whoever can't use that key learns nothing and is
// heard by nobody. Where a node listens stands in the store and is not trusted;
// TLS proves that a node of ours is there. What travels is the request as it
// came, with who is asking and what the edge and the gate found (envelope.go).
// The node that receives it looks the host up in its own world, asks its own gate
// whether the caller still counts, and serves it from the same handler as its own
// requests (receive.go). It never hands it on.
//
// Where a session can't be reached, because its node is gone or the nodes can't
// reach each other, its client is answered 404 and begins anew, as the protocol
// has it.
package handover

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// Options are what Peers need.
type Options struct {
	Key      []byte       // 32 bytes that all nodes of the installation have and nobody else
	Listener net.Listener // the door for other nodes; nil: this node neither hands over nor receives

	// Find is where the node with a tag listens; empty: it is not known.
	Find func(tag string) (address string)

	World func() *site.World
	Local func(target string) http.Handler // what serves a target in this process; nil: nothing
	Still func(*site.Visit) bool           // whether the gate here would still let a visit in

	Logger *slog.Logger // nil: discards
}

// Peers are the other nodes, as a handler of sessions sees them. A nil *Peers is
// of a node that stands alone.
type Peers struct {
	opt       Options
	tag       string
	log       *slog.Logger
	tls       *tls.Config
	transport *http.Transport
}

const (
	dialPatience = 2 * time.Second // for another node to accept
	pingAfter    = 5 * time.Second // of silence; a node that does not answer is gone
	pingPatience = 5 * time.Second
	maxStreams   = 1000 // requests at once on one connection; more open another
	maxLinks     = 1024 // connections of other nodes, and of strangers before they are refused
	maxHeads     = 128 << 10
	grace        = 2 * time.Second // for requests under way at the end
)

// New makes Peers. It starts nothing.
func New(o Options) (*Peers, error) {
	p := &Peers{opt: o, log: o.Logger, tag: newTag()}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if p.tls, err = identity(o.Key); err != nil {
		return nil, err
	}
	p.transport = &http.Transport{
		DialContext:     (&net.Dialer{Timeout: dialPatience}).DialContext,
		TLSClientConfig: p.tls.Clone(), TLSHandshakeTimeout: 2 * dialPatience,
		Protocols: onlyHTTP2(), HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingPatience},
		DisableCompression: true, IdleConnTimeout: 2 * time.Minute, MaxResponseHeaderBytes: maxHeads,
	}
	return p, nil
}

func onlyHTTP2() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	return protocols
}

// newTag names this process in session ids. It says nothing of the machine.
func newTag() string { return rand.Text()[:13] }

// Tag is this node's, for its record in the store.
func (p *Peers) Tag() string { return p.tag }

// NewID is an id for a session that lives on this node: 130 random bits in
// visible ASCII, behind the node's tag where there may be others.
func (p *Peers) NewID() string {
	if p == nil || p.opt.Listener == nil {
		return rand.Text()
	}
	return p.tag + "." + rand.Text()
}

type handedKey struct{}

// Pass hands a request for the session called id to the node that the id names,
// and the answer back, as they stream. It reports whether it did: if not, nothing
// was answered yet, and the session can't be reached. The request's context holds
// its site.Visit and, unless it is anonymous, its principal.
func (p *Peers) Pass(w http.ResponseWriter, r *http.Request, id string) bool {
	if p == nil || p.opt.Listener == nil || r.Context().Value(handedKey{}) != nil {
		return false
	}
	tag, _, tagged := strings.Cut(id, ".")
	if !tagged || tag == p.tag {
		return false
	}
	address, err := netip.ParseAddrPort(p.opt.Find(tag))
	v := site.VisitFrom(r.Context())
	if err != nil || v == nil {
		return false
	}
	note, err := seal(v, principal.From(r.Context()))
	if err != nil {
		p.log.WarnContext(r.Context(), "a request can't be handed to another node", "error", err)
		return false
	}
	passed := true
	proxy := httputil.ReverseProxy{
		Transport: p.transport, FlushInterval: -1, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
		Rewrite: func(pr *httputil.ProxyRequest) {
			in := pr.In.URL
			pr.Out.URL = &url.URL{Scheme: "https", Host: address.String(), Path: in.Path, RawPath: in.RawPath, RawQuery: in.RawQuery}
			pr.Out.Header.Del("Authorization") // credentials end where they were checked
			pr.Out.Header.Del("Cookie")
			pr.Out.Header.Set(noteHeader, note)
		},
		ModifyResponse: func(res *http.Response) error {
			for name := range res.Header {
				w.Header().Del(name) // what stands there is answered by the other node too
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			passed = false
			if r.Context().Err() == nil {
				p.log.InfoContext(r.Context(), "the node of a session can't be reached", "address", address.String(), "error", err)
			}
		},
	}
	proxy.ServeHTTP(w, r)
	return passed
}

// Run receives requests of other nodes until ctx ends.
func (p *Peers) Run(ctx context.Context) error {
	defer p.transport.CloseIdleConnections()
	if p.opt.Listener == nil {
		<-ctx.Done()
		return nil
	}
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	server := &http.Server{
		Handler: http.HandlerFunc(p.receive), TLSConfig: p.tls.Clone(), Protocols: onlyHTTP2(),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingPatience},
		ReadHeaderTimeout: 2 * dialPatience, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: maxHeads,
		BaseContext: func(net.Listener) context.Context { return life },
		ErrorLog:    slog.NewLogLogger(p.log.Handler(), slog.LevelDebug), // strangers are no news
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.ServeTLS(netutil.LimitListener(p.opt.Listener, maxLinks), "", ""); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		defer time.AfterFunc(grace, cut).Stop()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*grace)
		defer cancel()
		if err := server.Shutdown(end); err != nil {
			return server.Close()
		}
		return nil
	})
	return group.Wait()
}
