package ports

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// Options are what a Keeper works with.
type Options struct {
	KV     store.KV
	Owners string // what begins the keys of the records of proxies
	Bind   string // where this node listens on the ports

	// Probe is nil, or why a port can't be bound on this node. Without it this
	// node allocates nothing; it still takes back what nobody has any more.
	Probe func(port int) error

	// Publish is told the ports of all proxies, at each change. Its calls come one
	// after the other. nil: nobody is told.
	Publish func(map[string]Pair)

	Note func(Note)   // told what happened, for the log; nil: nobody is
	Log  *slog.Logger // nil: discards
}

// Note is something that happened to a proxy's ports.
type Note struct {
	Host    string
	Action  string // allocated, released, refused
	Message string
}

// Keeper keeps the allocation of one node.
type Keeper struct {
	o      Options
	claims store.Table[Allocation]
	pairs  store.Table[Pair]
	wake   chan struct{}
	told   map[string]Pair // what Publish was told last; Run's alone

	mu      sync.Mutex      // guards what follows
	wanted  map[string]bool // proxies that are served; nil: not known yet
	order   []string        // the same, as they came
	held    map[string]held // what is allocated, as far as this node knows
	why     map[string]Lack // of proxies that have not both ports, as far as it is clear
	settled chan struct{}   // closed and replaced whenever that may have changed
}

// held is a stored Pair.
type held struct {
	Pair
	version int64
}

const away = "the store can't be reached"

// Off is why there are no ports on a node that is set to have none.
const Off = "PROXY_INSTANCE_PORTS is off on this node"

// New makes a keeper, which does nothing until Run.
func New(o Options) *Keeper {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{
		o: o, claims: store.NewTable[Allocation](o.KV, ClaimPrefix, "port"), pairs: store.NewTable[Pair](o.KV, PairPrefix, "pair of ports"),
		wake: make(chan struct{}, 1), held: map[string]held{}, why: map[string]Lack{}, settled: make(chan struct{}),
	}
}

// Want says which proxies there are from now on, in the order in which they get
// ports, but that localhost comes first. It does not wait.
func (k *Keeper) Want(hosts []string) {
	k.mu.Lock()
	same := k.wanted != nil && slices.Equal(hosts, k.order) // most changes are of settings
	k.mu.Unlock()
	if same {
		return
	}
	wanted := make(map[string]bool, len(hosts))
	for _, host := range hosts {
		wanted[host] = true
	}
	k.mu.Lock()
	k.wanted, k.order = wanted, slices.Clone(hosts)
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default: // a look is due already
	}
}

// Of is the ports of a proxy, and, when it has not both, why.
func (k *Keeper) Of(host string) (Pair, Lack) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pair, why := k.held[host].Pair, k.why[host]
	if k.o.Probe == nil {
		return pair, Lack{Off, Off}
	}
	const soon = "it is being allocated"
	why.HTTP, why.HTTPS = cmp.Or(why.HTTP, soon), cmp.Or(why.HTTPS, soon)
	if pair.HTTP != 0 {
		why.HTTP = ""
	}
	if pair.HTTPS != 0 {
		why.HTTPS = ""
	}
	return pair, why
}

// Await returns when a proxy has its ports, or it is clear why not, or, when it
// is gone, when they are free. It gives up after a second, or when ctx ends.
func (k *Keeper) Await(ctx context.Context, host string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for {
		k.mu.Lock()
		settled, pending := k.settled, k.pending(host)
		k.mu.Unlock()
		if !pending {
			return
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return
		}
	}
}

// pending reports whether something is to be done for a proxy. k.mu is held.
func (k *Keeper) pending(host string) bool {
	h, is := k.held[host]
	if k.wanted[host] {
		return k.o.Probe != nil && !h.whole() && k.why[host] == Lack{}
	}
	return is
}

// List is a page of all allocations in order of ports, those of services too,
// after the port given; 0: from the start.
func (k *Keeper) List(ctx context.Context, after, limit int) ([]Allocation, error) {
	name := ""
	if after > 0 {
		name = strconv.Itoa(after)
	}
	rows, err := k.claims.Page(ctx, name, limit)
	if err != nil {
		return nil, err
	}
	all := make([]Allocation, len(rows))
	for i, row := range rows {
		all[i] = row.Value
	}
	return all, nil
}

const (
	gather   = 2 * time.Millisecond // lets changes come together
	tryAgain = time.Second          // after the store was away
	lookOver = time.Minute          // while a proxy lacks a port: a program may have ended that had one
)

// Run keeps the allocation until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	events := k.o.KV.Watch(ctx, PairPrefix)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	due, all, failing, changed := false, false, false, map[string]bool{}
	for {
		select {
		case e, open := <-events:
			if !open {
				return context.Cause(ctx)
			}
			if e.Kind == store.Reload {
				all = true
			} else {
				changed[e.Key[len(PairPrefix):]] = true
			}
		case <-k.wake:
		case <-timer.C:
			due = false
			again, err := k.settle(ctx, all, changed)
			if err == nil {
				all = false
				clear(changed)
			} else if ctx.Err() == nil && !failing {
				k.o.Log.WarnContext(ctx, "the ports of instances can't be settled yet", "error", err)
			}
			failing = err != nil
			timer.Reset(again)
			continue
		}
		if !due {
			due = true
			timer.Reset(gather)
		}
	}
}

// settle brings the allocation in line with the proxies that there are, and says
// when to look again.
func (k *Keeper) settle(ctx context.Context, all bool, changed map[string]bool) (time.Duration, error) {
	err := k.read(ctx, all, changed)
	if err == nil && all {
		err = k.mend(ctx)
	}
	k.publish()
	if err == nil {
		err = k.release(ctx)
	}
	if err == nil && k.o.Probe != nil {
		err = k.allocate(ctx)
	}
	k.publish()
	lacking := k.finish(err)
	switch {
	case err != nil:
		return tryAgain, err
	case lacking:
		return lookOver, nil
	}
	return time.Hour, nil
}

// finish lets those go on who wait, and reports whether a proxy lacks a port.
func (k *Keeper) finish(err error) (lacking bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for host := range k.why {
		if !k.wanted[host] || k.held[host].whole() {
			delete(k.why, host)
		}
	}
	for _, host := range k.order {
		if k.held[host].whole() {
			continue
		}
		lacking = true
		if err != nil && k.why[host] == (Lack{}) {
			k.why[host] = Lack{away, away}
		}
	}
	close(k.settled)
	k.settled = make(chan struct{})
	return lacking && k.o.Probe != nil
}

// publish tells the ports of the proxies that there are.
func (k *Keeper) publish() {
	if k.o.Publish == nil {
		return
	}
	k.mu.Lock()
	present := make(map[string]Pair, len(k.held))
	for host, h := range k.held {
		if k.wanted[host] {
			present[host] = h.Pair
		}
	}
	k.mu.Unlock()
	if k.told == nil || !maps.Equal(present, k.told) {
		k.told = present
		k.o.Publish(present)
	}
}

// read takes in what is stored: all of it, or the pairs of those proxies.
func (k *Keeper) read(ctx context.Context, all bool, changed map[string]bool) error {
	if !all {
		for host := range changed {
			if err := k.readOne(ctx, host); err != nil {
				return err
			}
		}
		return nil
	}
	rows, bad, err := k.pairs.Readable(ctx)
	if err != nil {
		return err
	}
	for _, err := range bad {
		k.o.Log.ErrorContext(ctx, "a stored record is left out", "error", err)
	}
	there := make(map[string]held, len(rows))
	for _, row := range rows {
		there[row.Name] = held{row.Value, row.Version}
	}
	k.mu.Lock()
	k.held = there
	k.mu.Unlock()
	return nil
}

func (k *Keeper) readOne(ctx context.Context, host string) error {
	row, err := k.pairs.Get(ctx, host)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case fault.Is(err, fault.NotFound):
		delete(k.held, host)
		return nil
	case err != nil:
		return err
	}
	k.held[host] = held{row.Value, row.Version}
	return nil
}

// now is what is allocated and what is wanted, in order, at this moment.
func (k *Keeper) now() (map[string]held, []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.held), k.order
}

func (k *Keeper) set(host string, h held) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[host] = h
}

func (k *Keeper) note(host, action, message string) {
	if k.o.Note != nil {
		k.o.Note(Note{Host: host, Action: action, Message: message})
	}
}
