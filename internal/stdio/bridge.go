package stdio

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"gatehouse/internal/fault"
	"gatehouse/internal/local"
)

// bridge is one running program and what is under way at it. Requests get ids of
// ours on the way in, so that clients who choose the same can't see each other's
// answers.
type bridge struct {
	def    local.Definition
	single *session // whose program this is; nil: it is shared
	log    *slog.Logger

	program *program
	stdin   *queue
	ended   chan struct{} // closed when the program has ended
	done    chan struct{} // closed when the program has ended and everything of it is told
	asked   atomic.Bool   // it ends because we want it to
	ending  sync.Once
	ends    sync.WaitGroup

	noise     rate.Sometimes // bounds what is told of output that is no message
	hello     sync.Mutex     // held while a shared program is being greeted
	greeting  message        // what it answered
	initiated atomic.Bool

	mu      sync.Mutex // guards what follows
	next    int64
	calls   map[int64]*call
	readers map[*session]bool // of a shared program
	last    time.Time
	gone    bool
}

// call is a request that has no answer yet.
type call struct {
	n     int64
	id    json.RawMessage // as the client wrote it
	token json.RawMessage // of progress, as the client wrote it
	post  *queue
	by    *session // nil: it came without a session
}

func newBridge(def local.Definition, single *session, log *slog.Logger) *bridge {
	return &bridge{def: def, single: single, log: log, stdin: newQueue(), ended: make(chan struct{}), done: make(chan struct{}), calls: map[int64]*call{}, readers: map[*session]bool{}, last: time.Now(), noise: rate.Sometimes{First: 1, Interval: 10 * time.Second}}
}

// start runs the program. done is closed when it has ended.
func (b *bridge) start(dataDir string) (err error) {
	if b.program, err = run(b.def, dataDir); err != nil {
		return err
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { logLines(b.program.stderr, b.log) })
	pumps.Go(b.write)
	pumps.Go(b.read)
	go func() {
		why := b.program.wait()
		close(b.ended)
		_ = b.program.stdin.Close() // there is nobody to read it
		b.stdin.close()
		// What the program has left behind may keep its pipes open for ever.
		timer := time.AfterFunc(time.Second, func() { _ = errors.Join(b.program.stdout.Close(), b.program.stderr.Close()) })
		pumps.Wait()
		timer.Stop()
		_ = errors.Join(b.program.stdout.Close(), b.program.stderr.Close()) // they are at their end
		b.ends.Wait()
		b.over(why)
		close(b.done)
	}()
	return nil
}

// end makes the program end, by itself or not. It does not wait.
func (b *bridge) end() {
	b.asked.Store(true)
	b.stop()
}

// stop is end for a program that has begun to end by itself.
func (b *bridge) stop() {
	b.ending.Do(func() { b.ends.Go(func() { b.program.end(b.ended) }) })
}

// write brings messages to the program.
func (b *bridge) write() {
	for {
		it, ok, open := b.stdin.take()
		switch {
		case ok:
			if _, err := b.program.stdin.Write(append(it.data, '\n')); err != nil {
				return
			}
			continue
		case !open:
			return
		}
		select {
		case <-b.stdin.ready:
		case <-b.ended:
			return
		}
	}
}

// read brings the program's messages to who waits for them.
func (b *bridge) read() {
	err := readLines(b.program.stdout, maxMessage, func(line []byte) {
		var m message
		if json.Unmarshal(line, &m) != nil || m == nil {
			b.noise.Do(func() {
				b.log.Warn("the program writes what is no message to its standard output", "bytes", len(line))
			})
			return
		}
		b.receive(m)
	})
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
		b.log.Warn("the program's output can't be read on", "error", err)
	}
	b.stop()
}

// over answers everybody who still waits.
func (b *bridge) over(why error) {
	b.mu.Lock()
	calls := b.calls
	b.calls, b.gone = nil, true
	b.mu.Unlock()
	for _, c := range calls {
		c.post.put(item{failure(c.id, codeInternal, "the program behind this server has ended"), true})
	}
	switch {
	case b.asked.Load() && why == nil:
		b.log.Debug("the program has ended")
	case b.asked.Load():
		b.log.Debug("the program was ended", "how", why)
	default:
		b.log.Warn("the program has ended by itself", "how", why, "requests", len(calls))
	}
}

var errGone = fault.New(fault.Unavailable, "the program behind this server has ended: try again")

// send gives the program a message that wants no answer.
func (b *bridge) send(m message) error {
	if !b.stdin.put(item{data: m.bytes()}) {
		return &fault.Error{Kind: fault.Unavailable, Public: "the program behind this server takes no more for now", RetryAfter: time.Second}
	}
	return nil
}

// ask gives the program a request; what belongs to it goes to post.
func (b *bridge) ask(m message, post *queue, by *session) (*call, error) {
	c := &call{id: m.id(), post: post, by: by}
	b.mu.Lock()
	if b.gone {
		b.mu.Unlock()
		return nil, errGone
	}
	if len(b.calls) >= maxPending {
		b.mu.Unlock()
		return nil, &fault.Error{Kind: fault.Unavailable, Public: "too many requests are under way here", RetryAfter: time.Second}
	}
	for _, other := range b.calls {
		if other.by == by && by != nil && bytes.Equal(other.id, c.id) {
			b.mu.Unlock()
			return nil, fault.New(fault.Malformed, "a request with this id is under way already")
		}
	}
	b.next++
	c.n, b.last = b.next, time.Now()
	b.calls[c.n] = c
	b.mu.Unlock()
	if err := b.send(c.renumbered(m)); err != nil {
		b.forget(c)
		return nil, err
	}
	return c, nil
}

// renumbered is the request with ids of ours.
func (c *call) renumbered(m message) message {
	out := maps.Clone(m)
	out["id"] = number(c.n)
	params := m.params()
	meta := object(params["_meta"])
	if token := meta["progressToken"]; token != nil {
		c.token = token
		out["params"] = with(params, "_meta", with(meta, "progressToken", number(c.n)))
	}
	return out
}

func (b *bridge) forget(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.calls, c.n)
	b.last = time.Now()
}

// cancel tells the program that nobody waits for a call any more.
func (b *bridge) cancel(c *call, reason string) {
	b.mu.Lock()
	_, open := b.calls[c.n]
	delete(b.calls, c.n)
	b.mu.Unlock()
	if !open {
		return
	}
	text, _ := json.Marshal(reason) // a string always can be
	_ = b.send(message{"jsonrpc": json.RawMessage(`"2.0"`), "method": json.RawMessage(`"notifications/cancelled"`),
		"params": with(map[string]json.RawMessage{"reason": text}, "requestId", number(c.n))}) // a program that takes nothing more has its own trouble
}

// of is the call that a client knows by id.
func (b *bridge) of(by *session, id json.RawMessage) *call {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.calls {
		if c.by == by && bytes.Equal(c.id, id) {
			return c
		}
	}
	return nil
}

func (b *bridge) numbered(id json.RawMessage) *call {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls[asNumber(id)]
}

// receive brings one message of the program to whom it concerns.
func (b *bridge) receive(m message) {
	switch {
	case m.method() == "" && m.reply():
		c := b.numbered(m.id())
		if c == nil {
			return // nobody waits any more
		}
		b.forget(c)
		m["id"] = c.id
		if !c.post.put(item{m.bytes(), true}) {
			c.post.last(failure(c.id, codeInternal, "the answer is larger than can wait for a slow reader"))
		}
	case m.id() != nil:
		b.asks(m)
	case m.method() != "":
		b.notifies(m)
	}
}

// asks brings a request of the program to its client. A shared program has none
// in particular.
func (b *bridge) asks(m message) {
	if b.single != nil {
		b.toClient(m)
		return
	}
	answer := message{"jsonrpc": json.RawMessage(`"2.0"`), "id": m.id()}
	if m.method() == "ping" {
		answer["result"] = json.RawMessage(`{}`)
	} else {
		answer["error"] = json.RawMessage(`{"code":-32601,"message":"this program is shared: there is no client in particular to ask"}`)
	}
	_ = b.send(answer) // a program that takes nothing more has its own trouble
}

// notifies brings a notification to the request that it is about, else to the
// client.
func (b *bridge) notifies(m message) {
	params := m.params()
	meta := object(params["_meta"])
	switch {
	case m.method() == "notifications/progress":
		if c := b.numbered(params["progressToken"]); c != nil && c.token != nil {
			m["params"] = with(params, "progressToken", c.token)
			c.post.put(item{data: m.bytes()})
		}
		return
	case meta[metaSubscription] != nil:
		if c := b.numbered(unquoted(meta[metaSubscription])); c != nil {
			m["params"] = with(params, "_meta", with(meta, metaSubscription, c.id))
			c.post.put(item{data: m.bytes()})
		}
		return
	case b.single != nil:
		b.toClient(m)
		return
	}
	// To all that share the program goes what is nobody's in particular.
	if !strings.HasSuffix(m.method(), "/list_changed") {
		return
	}
	b.mu.Lock()
	readers := make([]*session, 0, len(b.readers))
	for s := range b.readers {
		readers = append(readers, s)
	}
	b.mu.Unlock()
	for _, s := range readers {
		s.get.put(item{data: m.bytes()})
	}
}

// unquoted is a number that was written as a string.
func unquoted(id json.RawMessage) json.RawMessage { return bytes.Trim(id, `"`) }

// toClient brings a message to the only client: on the stream of the only request
// that is under way, for that is what it will be about, else on the session's own.
func (b *bridge) toClient(m message) {
	b.mu.Lock()
	var only *call
	if len(b.calls) == 1 {
		for _, c := range b.calls {
			only = c
		}
	}
	b.mu.Unlock()
	it := item{data: m.bytes()}
	if only != nil && only.post.put(it) {
		return
	}
	if !b.single.get.put(it) {
		b.log.Warn("the client takes no more messages of the program", "method", m.method())
	}
}

// greet is the answer of a shared program to initialize. It is asked once, as a
// client that can do nothing that a program could ask for.
func (b *bridge) greet(m message, ended <-chan struct{}) (message, error) {
	b.hello.Lock()
	defer b.hello.Unlock()
	if b.greeting != nil {
		return b.greeting, nil
	}
	plain := maps.Clone(m)
	plain["params"] = with(m.params(), "capabilities", json.RawMessage(`{}`))
	post := newQueue()
	c, err := b.ask(plain, post, nil)
	if err != nil {
		return nil, err
	}
	for {
		if it, ok, _ := post.take(); ok {
			if !it.last {
				continue
			}
			var answer message
			if err := json.Unmarshal(it.data, &answer); err != nil || answer["result"] == nil {
				return answer, err // the client gets the program's own refusal
			}
			b.greeting = answer
			return answer, nil
		}
		select {
		case <-post.ready:
		case <-ended:
			b.cancel(c, "the client went away")
			return nil, errGone
		}
	}
}

func (b *bridge) join(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readers[s] = true
}

func (b *bridge) leave(s *session) {
	b.mu.Lock()
	delete(b.readers, s)
	var left []*call
	for _, c := range b.calls {
		if c.by == s {
			left = append(left, c)
		}
	}
	b.last = time.Now()
	b.mu.Unlock()
	slices.SortFunc(left, func(x, y *call) int { return int(x.n - y.n) })
	for _, c := range left {
		b.cancel(c, "the session ended")
		c.post.put(item{failure(c.id, codeInternal, "the session has ended"), true})
	}
}

// idle reports whether nobody uses a shared program now.
func (b *bridge) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.calls) == 0 && len(b.readers) == 0
}

func (b *bridge) lastUse() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// unused reports whether nobody needs a shared program any more.
func (b *bridge) unused(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.calls) == 0 && len(b.readers) == 0 && now.Sub(b.last) > b.def.IdleTime()
}
