package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/fetch"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// Clients that are known by the address of their metadata document (OAuth Client
// ID Metadata Document): client_id is an https URL, and whoever can publish there
// is the client. A document counts as long as its headers say. When it can't be
// fetched, its last good copy counts, else the copy that we ship for exactly that
// address. Failures are never remembered; package fetch bounds how often a host
// is asked, and limits.fetches how often one address makes us ask.

const (
	keptFor    = 30 * 24 * time.Hour // the last good copy of a document
	keptEach   = 20                  // copies of clients that nobody has used, of one asking address
	keptAll    = 1000                // and of all
	maxPresent = 500                 // clients in memory
)

// Documents fetches JSON documents from addresses that strangers name, under a
// guard. Package fetch says what its errors mean.
type Documents interface {
	Get(ctx context.Context, url string) (fetch.Document, error)
}

// keptClient is the last good copy of a client's document, as we understood it.
type keptClient struct {
	Client  Client    `json:"client"`
	Fetched time.Time `json:"fetched_at"`
	From    string    `json:"from"`           // the address that made us fetch it first, for bounds
	Used    bool      `json:"used,omitempty"` // somebody got tokens with it
}

// clientByURL is the client whose metadata document stands at id.
func (s *Server) clientByURL(ctx context.Context, issuer, id string) (Client, error) {
	if s.opt.Documents == nil {
		return Client{}, errNoClient
	}
	if wrong := checkClientURL(id, s.opt.ClientLoopback); wrong != "" {
		return Client{}, refusedClient("cimd_url", "A client_id that is a URL "+wrong, false)
	}
	if !s.clientDomain(id) {
		return Client{}, refusedClient("cimd_domain", "Clients of that domain are not accepted here", false)
	}
	c, ok := s.byURL.get(id, s.now())
	if !ok {
		var err error
		if c, err = s.fetchClient(ctx, id); err != nil {
			return c, err
		}
	}
	c.Issuer = issuer
	return c, nil
}

// fetchClient gets a client's document, or one of the copies that stand for it
// while it can't be had. A document that came and is wrong is refused: the
// client's owner has changed their mind.
func (s *Server) fetchClient(ctx context.Context, id string) (Client, error) {
	doc, err := s.document(ctx, id)
	if err == nil {
		c, err := readDocument(id, doc.Body, s.opt.ClientLoopback)
		if err != nil {
			return Client{}, err
		}
		s.byURL.put(id, c, s.now().Add(doc.Life))
		s.keep(ctx, c)
		return c, nil
	}
	row, kept := s.kept.Get(ctx, hashed(id))
	if kept == nil && row.Value.Client.ID == id {
		s.log.WarnContext(ctx, "a client's metadata document could not be fetched; its last good copy counts", "client", id, "error", err)
		return row.Value.Client, nil
	}
	if body := s.programs.document(id); body != nil {
		return readDocument(id, body, false)
	}
	if kept != nil && !fault.Is(kept, fault.NotFound) {
		return Client{}, kept
	}
	return Client{}, unfetched("cimd_unfetchable", "The client's metadata document", err)
}

// document fetches, if the address that asks has not made us fetch too often.
func (s *Server) document(ctx context.Context, url string) (fetch.Document, error) {
	if s.opt.Documents == nil {
		return fetch.Document{}, fault.New(fault.Denied, "can not be fetched: this server fetches none")
	}
	if from := askedFrom(ctx); from.IsValid() {
		if wait := s.limits.fetches.take(from); wait > 0 {
			return fetch.Document{}, &fault.Error{Kind: fault.TooMany, Public: "was asked for too often: try again in a minute", RetryAfter: wait}
		}
	}
	return s.opt.Documents.Get(ctx, url)
}

// askedFrom is the address of the request that ctx belongs to.
func askedFrom(ctx context.Context) netip.Addr {
	if v := site.VisitFrom(ctx); v != nil {
		return v.Client
	}
	return netip.Addr{}
}

// unfetched is what a client is told when something of it could not be fetched:
// what an answer was like, but of none that came whether the name resolved, to
// what, and who listened there.
func unfetched(reason, what string, err error) *Error {
	e := refusedClient(reason, what+" could not be fetched", false)
	e.Cause = err
	known, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return e
	}
	e.Description = what + " " + known.Public
	if known.Kind == fault.Unavailable || known.Kind == fault.TooMany {
		e.Code, e.Status, e.RetryAfter = "temporarily_unavailable", http.StatusServiceUnavailable, max(known.RetryAfter, 10*time.Second)
	}
	return e
}

// keep stores the last good copy of a client's document. Copies of clients that
// nobody has used yet are bounded: anybody can publish documents without end.
func (s *Server) keep(ctx context.Context, c Client) {
	now, err := s.kv.Now(ctx)
	if err != nil {
		s.log.WarnContext(ctx, "a client's metadata could not be kept", "client", c.ID, "error", err)
		return
	}
	name := hashed(c.ID)
	k := keptClient{Client: c, Fetched: now, From: askedFrom(ctx).String()}
	if old, err := s.kept.Get(ctx, name); err == nil {
		k.Used, k.From = old.Value.Used, old.Value.From
	}
	if !k.Used {
		s.flight.kept.remove(s.kept.Key(name))
		from, _ := netip.ParseAddr(k.From) // of no address: one bucket for all of those
		s.fly(ctx, s.flight.kept, from, s.kept.Key(name), keptFor)
	}
	if _, err := s.kept.Put(ctx, name, k, keptFor); err != nil {
		s.log.WarnContext(ctx, "a client's metadata could not be kept", "client", c.ID, "error", err)
	}
}

// loadKept notes the copies of clients that nobody has used yet.
func (s *Server) loadKept(ctx context.Context) error {
	rows, err := s.kept.All(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(rows, func(a, b store.Row[keptClient]) int { return a.Value.Fetched.Compare(b.Value.Fetched) })
	for _, row := range rows {
		if from, _ := netip.ParseAddr(row.Value.From); !row.Value.Used { // of no address: as in keep
			s.fly(ctx, s.flight.kept, from, s.kept.Key(row.Name), row.Expires.Sub(s.now()))
		}
	}
	return nil
}

// useKept notes that somebody got tokens with a client: its copy is not made room
// for others with.
func (s *Server) useKept(ctx context.Context, c *Client, now time.Time) {
	if s.byURL.used(c.ID) {
		return
	}
	name := hashed(c.ID)
	row, err := s.kept.Get(ctx, name)
	if err == nil && !row.Value.Used {
		row.Value.Used = true
		_, err = s.kept.Update(ctx, name, row.Value, row.Version, max(row.Expires.Sub(now), time.Minute))
	}
	if err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
		s.log.WarnContext(ctx, "a client's use was not written down", "client", c.ID, "error", err)
		return
	}
	s.flight.kept.remove(s.kept.Key(name))
	s.byURL.use(c.ID)
}

// presence are the clients known by URL whose documents are fresh on this node.
type presence struct {
	mu sync.Mutex // guards by
	by map[string]present
}

type present struct {
	client Client
	until  time.Time
	used   bool // its copy in the store says so
}

func newPresence() *presence { return &presence{by: map[string]present{}} }

func (p *presence) get(id string, now time.Time) (Client, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.by[id]
	return e.client, ok && now.Before(e.until)
}

// put takes a client in.
func (p *presence) put(id string, c Client, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	makeRoomFor(p.by, id, maxPresent, func(e present) time.Time { return e.until })
	p.by[id] = present{client: c, until: until}
}

func (p *presence) remove(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.by, id)
}

func (p *presence) used(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.by[id].used
}

func (p *presence) use(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.by[id]; ok {
		e.used = true
		p.by[id] = e
	}
}

func (p *presence) prune(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, e := range p.by {
		if !now.Before(e.until) {
			delete(p.by, id)
		}
	}
}
