// Package stdio offers MCP servers that speak over standard input and output as
// Streamable HTTP (MCP 2025-03-26 and later, the stateless form of 2026-07-28
// included). It runs the programs that package local defines, keeps them apart
// from Gatehouse and from each other, and brings messages to and fro: this file
// and serve.go have the HTTP side, bridge.go the messages, process.go the
// programs, launch_linux.go what is done to a program before it runs.
//
// There is no resumption: a stream that breaks off is lost with its answer, and
// the program is told to cancel the request. Who may call is the gate's
// matter, which tools package mcpgate's.
package stdio

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"reflect"
	"sync"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/local"
	"gatehouse/internal/principal"
)

// Bounds.
const (
	maxMessage  = 16 << 20 // bytes of one message of a program
	maxBody     = 4 << 20  // bytes of a request
	maxQueued   = 16 << 20 // bytes that wait for one slow reader, or for a program
	maxPending  = 1000     // requests under way at one program
	firstWait   = time.Second
	lastWait    = time.Minute
	quickDeath  = 10 * time.Second // a program that lives no longer has failed to start
	termGrace   = 3 * time.Second  // between asking a program to end and killing it
	bodyTimeout = 30 * time.Second
)

// Options are what a Runner works with.
type Options struct {
	Names   local.Dir
	DataDir string // what programs must not read
	Peers   Peers  // nil: this node stands alone
	Logger  *slog.Logger
}

// Peers are the other nodes: a session lives on the one where it began. Package
// handover has them.
type Peers interface {
	// NewID is an id for a session that lives on this node, of 128 random bits at
	// least, in visible ASCII.
	NewID() string

	// Pass hands a request to the node that has the session, if it can be reached.
	Pass(w http.ResponseWriter, r *http.Request, id string) bool
}

// alone is a node that has no others.
type alone struct{}

// NewID is 130 random bits.
func (alone) NewID() string { return rand.Text() }

// Pass passes nothing.
func (alone) Pass(http.ResponseWriter, *http.Request, string) bool { return false }

// Runner runs programs for stdio:NAME targets.
type Runner struct {
	opt Options
	log *slog.Logger

	mu       sync.Mutex // guards what follows
	sessions map[string]*session
	shared   map[string]*bridge // by name and version
	waits    map[string]*wait   // names whose program ended too soon
	read     map[string]reading // definitions, as they were read lately
	closed   bool
	running  sync.WaitGroup
}

// reading is a definition as its file had it.
type reading struct {
	def local.Definition
	err error
	at  time.Time
}

// definition is what a name stands for, no older than a second: requests come
// faster than administrators change files.
func (r *Runner) definition(name string) (local.Definition, error) {
	r.mu.Lock()
	known, ok := r.read[name]
	r.mu.Unlock()
	if ok && time.Since(known.at) < time.Second {
		return known.def, known.err
	}
	def, err := r.opt.Names.Get(local.Stdio, name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.read) > maxPending {
		clear(r.read)
	}
	r.read[name] = reading{def, err, time.Now()}
	return def, err
}

// wait is how long a program that failed is left alone.
type wait struct {
	long  time.Duration
	until time.Time
}

// New makes a Runner, for whoever holds the lock of DATA_DIR. It starts nothing until something is asked of it.
func New(o Options) *Runner {
	r := &Runner{opt: o, log: o.Logger, sessions: map[string]*session{}, shared: map[string]*bridge{}, waits: map[string]*wait{}, read: map[string]reading{}}
	if r.opt.Peers == nil {
		r.opt.Peers = alone{}
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if err := sweep(o.DataDir); err != nil { // before the first program has one
		r.log.Warn("folders of programs that are no more can't be removed", "error", err)
	}
	return r
}

// Handler serves stdio:NAME.
func (r *Runner) Handler(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.serve(name, w, req) })
}

// Run ends what is unused, until ctx ends; then it ends everything.
func (r *Runner) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			r.tidy(now)
		case <-ctx.Done():
			r.mu.Lock()
			r.closed = true
			r.mu.Unlock()
			r.tidy(time.Time{})
			r.running.Wait()
			return nil
		}
	}
}

// tidy ends sessions and shared programs that nobody has used for their idle
// time; the zero time ends all.
func (r *Runner) tidy(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, s := range r.sessions {
		if now.IsZero() || s.unused(now) {
			delete(r.sessions, id)
			s.end()
		}
	}
	for key, b := range r.shared {
		if now.IsZero() || b.unused(now) {
			delete(r.shared, key)
			b.end()
		}
	}
	for name, w := range r.waits {
		if now.After(w.until.Add(lastWait)) {
			delete(r.waits, name)
		}
	}
}

// owner is whose a session is: the person, the client and the resource; nobody in
// particular where the host knows nobody.
func owner(ctx context.Context) string {
	p := principal.From(ctx)
	if p == nil {
		return ""
	}
	return p.Subject + "\x00" + p.ClientID + "\x00" + p.Resource
}

// begin starts a program for def, unless one has just failed.
func (r *Runner) begin(def local.Definition, single *session) (*bridge, error) {
	if err := r.mayBegin(def.Name); err != nil {
		return nil, err
	}
	b := newBridge(def, single, r.log.With("stdio", def.Name))
	begun := time.Now()
	err := b.start(r.opt.DataDir) // takes a while: nobody waits for it here
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failed(def.Name)
		r.log.Error("a program can't be started", "stdio", def.Name, "error", err)
		return nil, err
	}
	if r.closed {
		b.end()
		<-b.done
		return nil, errEnding
	}
	r.running.Go(func() {
		<-b.done
		r.ended(b, time.Since(begun))
	})
	return b, nil
}

var errEnding = fault.New(fault.Unavailable, "this node is about to end")

// mayBegin is nil, or why no program of that name is started now.
func (r *Runner) mayBegin(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errEnding
	}
	if w := r.waits[name]; w != nil && time.Now().Before(w.until) {
		return &fault.Error{Kind: fault.Unavailable, RetryAfter: time.Until(w.until),
			Public: "the program of stdio:" + name + " ended too soon; it is started again in a moment"}
	}
	return nil
}

// failed leaves a program alone for a while, longer each time. r.mu is held.
func (r *Runner) failed(name string) {
	w := r.waits[name]
	if w == nil {
		w = &wait{}
		r.waits[name] = w
	}
	w.long = min(cmp.Or(2*w.long, firstWait), lastWait)
	w.until = time.Now().Add(w.long)
}

// ended forgets what ran by a program that is no more.
func (r *Runner) ended(b *bridge, lived time.Duration) {
	wanted := b.asked.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, s := range r.sessions {
		if s.bridge == b {
			delete(r.sessions, id)
			s.end()
		}
	}
	for key, other := range r.shared {
		if other == b {
			delete(r.shared, key)
		}
	}
	switch {
	case wanted || r.closed:
	case lived < quickDeath:
		r.failed(b.def.Name)
	default:
		delete(r.waits, b.def.Name)
	}
}

// sharedBridge is the program that all share who are whose: speakers of a version,
// or one person and client. A definition that was changed has a new one.
func (r *Runner) sharedBridge(def local.Definition, whose string) (*bridge, error) {
	key := def.Name + "\x00" + whose
	r.mu.Lock()
	b := r.shared[key]
	if b != nil && !reflect.DeepEqual(b.def, def) {
		delete(r.shared, key)
		b.end()
		b = nil
	}
	room := b != nil || r.roomFor(def)
	r.mu.Unlock()
	if b != nil {
		return b, nil
	}
	if !room {
		return nil, &fault.Error{Kind: fault.Unavailable, Public: "too many programs run for stdio:" + def.Name, RetryAfter: time.Minute}
	}
	b, err := r.begin(def, nil)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.shared[key]; other != nil { // somebody was faster
		b.end()
		return other, nil
	}
	r.shared[key] = b
	return b, nil
}

// roomFor makes room for one more shared program of a definition, if need be by
// ending the one that nobody has used for longest. r.mu is held.
func (r *Runner) roomFor(def local.Definition) bool {
	n, oldest := 0, ""
	for key, b := range r.shared {
		if b.def.Name != def.Name {
			continue
		}
		n++
		if b.idle() && (oldest == "" || b.lastUse().Before(r.shared[oldest].lastUse())) {
			oldest = key
		}
	}
	if n < def.Sessions {
		return true
	}
	if oldest == "" {
		return false
	}
	r.shared[oldest].end()
	delete(r.shared, oldest)
	return true
}

// add makes room for a session. Nobody in particular can have more than half of
// what there is.
func (r *Runner) add(s *session) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	mine, all := 0, 0
	var oldest *session
	for _, other := range r.sessions {
		if other.def.Name != s.def.Name {
			continue
		}
		all++
		if other.owner == s.owner {
			mine++
			if oldest == nil || other.last().Before(oldest.last()) {
				oldest = other
			}
		}
	}
	most := max(1, s.def.Sessions/2)
	if mine >= most && s.owner != "" && oldest != nil && oldest.idle() { // clients come and go without a word
		delete(r.sessions, oldest.id)
		oldest.end()
		mine, all = mine-1, all-1
	}
	if mine >= most || all >= s.def.Sessions {
		return &fault.Error{Kind: fault.Unavailable, Public: "too many sessions of stdio:" + s.def.Name + " are open here", RetryAfter: time.Minute}
	}
	r.sessions[s.id] = s
	return nil
}

// elsewhere hands a request for a session that does not live here to its node.
func (r *Runner) elsewhere(w http.ResponseWriter, req *http.Request) bool {
	ids := req.Header.Values(sessionHeader)
	if len(ids) != 1 {
		return false
	}
	r.mu.Lock()
	here := r.sessions[ids[0]] != nil
	r.mu.Unlock()
	return !here && r.opt.Peers.Pass(w, req, ids[0])
}

// session is the open one of that id, if it is this owner's and for this name.
func (r *Runner) session(name, id, owner string) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[id]
	if s == nil || s.owner != owner || s.def.Name != name {
		return nil
	}
	return s
}

func (r *Runner) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions[s.id] == s {
		delete(r.sessions, s.id)
	}
	s.end()
}
