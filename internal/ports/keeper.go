package ports

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

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
