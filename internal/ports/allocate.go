package ports

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// pass is one look for free ports. What it learns is not asked twice.
type pass struct {
	taken  map[int]bool
	probed map[int]error
	full   map[Range]string // ranges without a port that can be given, and why
}

// allocate gives ports to the proxies that lack one.
func (k *Keeper) allocate(ctx context.Context) error {
	there, order := k.now()
	p := &pass{taken: make(map[int]bool, 2*len(there)), probed: map[int]error{}, full: map[Range]string{}}
	for _, h := range there {
		p.taken[h.HTTP], p.taken[h.HTTPS] = true, true
	}
	if slices.Contains(order, localhost) {
		order = append([]string{localhost}, order...)
	}
	for i, host := range order {
		if there[host].whole() || (i > 0 && host == localhost) {
			continue
		}
		if err := k.claim(ctx, p, host, there[host]); err != nil {
			return err
		}
	}
	return nil
}

// claim gives one proxy what it lacks. Others may be at it too: whoever comes
// second takes what is there.
func (k *Keeper) claim(ctx context.Context, p *pass, host string, h held) error {
	for {
		want, why := h.Pair, Lack{}
		want.HTTP, why.HTTP = k.pick(p, HTTP, host, want.HTTP)
		want.HTTPS, why.HTTPS = k.pick(p, HTTPS, host, want.HTTPS)
		if want == h.Pair {
			k.refuse(host, why)
			return nil
		}
		version, err := k.commit(ctx, host, h, want)
		if fault.Is(err, fault.Conflict) {
			if h, err = k.lost(ctx, p, host, h, want); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		p.taken[want.HTTP], p.taken[want.HTTPS] = true, true
		k.set(host, held{want, version})
		k.note(host, "allocated", fmt.Sprintf("ports of %s: %d for HTTP, %d for HTTPS", host, want.HTTP, want.HTTPS))
		if want.whole() {
			return nil
		}
		h = held{want, version}
	}
}

// pick finds a port for host in r, unless it has one, or says why there is none.
func (k *Keeper) pick(p *pass, r Range, host string, has int) (port int, why string) {
	if has != 0 {
		return has, ""
	}
	if full, is := p.full[r]; is {
		return 0, full
	}
	var busy error
	for port := range r.from(r.preferred(host)) {
		if p.taken[port] {
			continue
		}
		err := k.probe(p, port)
		if err == nil {
			return port, ""
		}
		busy = fmt.Errorf("port %d: %w", port, err)
	}
	why = fmt.Sprintf("all ports of %d-%d are taken", r.First, r.Last)
	if busy != nil {
		why = fmt.Sprintf("no port of %d-%d that is not taken can be bound here (%v)", r.First, r.Last, busy)
	}
	p.full[r] = why
	return 0, why
}

func (k *Keeper) probe(p *pass, port int) error {
	err, known := p.probed[port]
	if !known {
		err = k.o.Probe(port)
		p.probed[port] = err
	}
	return err
}

// commit writes down, all or nothing, that the ports of want are host's which h
// does not have.
func (k *Keeper) commit(ctx context.Context, host string, h held, want Pair) (version int64, err error) {
	pair, err := k.pairs.Write(host, want, h.version, 0)
	if err != nil {
		return 0, err
	}
	writes := []store.Write{pair}
	for purpose, port := range map[string]int{ForHTTP: want.HTTP, ForHTTPS: want.HTTPS} {
		if port == 0 || h.has(port) {
			continue
		}
		w, err := k.claims.Write(strconv.Itoa(port), k.allocation(host, purpose, port), 0, 0)
		if err != nil {
			return 0, err
		}
		writes = append(writes, w)
	}
	versions, err := k.o.KV.Commit(ctx, writes...)
	if err != nil {
		return 0, err
	}
	return versions[0], nil
}

func (k *Keeper) allocation(host, purpose string, port int) Allocation {
	return Allocation{Port: port, Kind: OfProxy, Owner: host, Purpose: purpose, Bind: k.o.Bind, At: time.Now().UTC().Truncate(time.Millisecond)}
}

// lost learns why a commit was refused: the proxy has ports by now, or somebody
// has those that were picked.
func (k *Keeper) lost(ctx context.Context, p *pass, host string, h held, want Pair) (held, error) {
	if err := k.readOne(ctx, host); err != nil {
		return h, err
	}
	for _, port := range []int{want.HTTP, want.HTTPS} {
		if port == 0 {
			continue
		}
		_, err := k.claims.Get(ctx, strconv.Itoa(port))
		switch {
		case err == nil:
			p.taken[port] = true
		case !fault.Is(err, fault.NotFound):
			return h, err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held[host], nil
}

// refuse notes why a proxy gets nothing more; told once.
func (k *Keeper) refuse(host string, why Lack) {
	k.mu.Lock()
	known := k.why[host] == why
	k.why[host] = why
	k.mu.Unlock()
	if !known {
		k.note(host, "refused", host+" lacks a port of its own: "+cmp.Or(why.HTTP, why.HTTPS))
	}
}
