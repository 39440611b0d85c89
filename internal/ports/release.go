package ports

import (
	"context"
	"fmt"
	"strconv"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// release takes back the ports of proxies that are gone. This node's idea of
// which there are may be behind: the store is asked.
func (k *Keeper) release(ctx context.Context) error {
	k.mu.Lock()
	var gone []string
	for host := range k.held {
		if k.wanted != nil && !k.wanted[host] {
			gone = append(gone, host)
		}
	}
	k.mu.Unlock()
	for _, host := range gone {
		_, err := k.o.KV.Get(ctx, k.o.Owners+host)
		if err == nil {
			continue
		}
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		if err := k.releaseOne(ctx, host); err != nil {
			return err
		}
	}
	return nil
}

// releaseOne frees a proxy's ports, unless another node does so at the same time.
func (k *Keeper) releaseOne(ctx context.Context, host string) error {
	k.mu.Lock()
	h := k.held[host]
	k.mu.Unlock()
	writes := []store.Write{{Key: k.pairs.Key(host), Delete: true, If: h.version}}
	for _, port := range []int{h.HTTP, h.HTTPS} {
		row, err := k.claims.Get(ctx, strconv.Itoa(port))
		switch {
		case fault.Is(err, fault.NotFound):
		case err != nil:
			return err
		case row.Value.Owner == host && row.Value.Kind == OfProxy:
			writes = append(writes, store.Write{Key: k.claims.Key(row.Name), Delete: true, If: row.Version})
		}
	}
	_, err := k.o.KV.Commit(ctx, writes...)
	if err != nil && !fault.Is(err, fault.Conflict) {
		return err
	}
	if err == nil {
		k.note(host, "released", fmt.Sprintf("ports of %s are free again: %d, %d", host, h.HTTP, h.HTTPS))
	}
	return k.readOne(ctx, host)
}

// mend makes records of ports and of proxies agree again where something was lost
// or written beside us: a port's record decides whose it is.
func (k *Keeper) mend(ctx context.Context) error {
	rows, bad, err := k.claims.Readable(ctx)
	if err != nil {
		return err
	}
	for _, err := range bad {
		k.o.Log.ErrorContext(ctx, "a stored record is left out", "error", err)
	}
	claims := make(map[int]store.Row[Allocation], len(rows))
	for _, row := range rows {
		if port, err := strconv.Atoi(row.Name); err == nil {
			claims[port] = row
		}
	}
	there, _ := k.now()
	for host, h := range there {
		if err := k.mendPair(ctx, host, h, claims); err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	for port, row := range claims {
		if err := k.mendClaim(ctx, port, row); err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return nil
}

// mendPair writes the records of ports that have none, and gives up those that
// are somebody else's. All of it is one commit with the pair: one that was released
// since it was read must not leave records of ports that nobody has.
func (k *Keeper) mendPair(ctx context.Context, host string, h held, claims map[int]store.Row[Allocation]) error {
	left := h.Pair
	var writes []store.Write
	for purpose, port := range map[string]*int{ForHTTP: &left.HTTP, ForHTTPS: &left.HTTPS} {
		row, is := claims[*port]
		switch {
		case *port == 0, is && row.Value.Kind == OfProxy && row.Value.Owner == host:
		case is:
			*port = 0
		default:
			w, err := k.claims.Write(strconv.Itoa(*port), k.allocation(host, purpose, *port), 0, 0)
			if err != nil {
				return err
			}
			writes = append(writes, w)
		}
	}
	if left == h.Pair && len(writes) == 0 {
		return nil
	}
	pair, err := k.pairs.Write(host, left, h.version, 0)
	if err != nil {
		return err
	}
	versions, err := k.o.KV.Commit(ctx, append(writes, pair)...)
	if err == nil {
		k.set(host, held{left, versions[len(writes)]})
	}
	return err
}

// mendClaim removes the record of a port whose proxy does not have it.
func (k *Keeper) mendClaim(ctx context.Context, port int, row store.Row[Allocation]) error {
	k.mu.Lock()
	h := k.held[row.Value.Owner]
	k.mu.Unlock()
	if row.Value.Kind != OfProxy || h.has(port) {
		return nil
	}
	// Pairs were read before claims: this one may have been made in between.
	now, err := k.pairs.Get(ctx, row.Value.Owner)
	if err != nil && !fault.Is(err, fault.NotFound) || err == nil && now.Value.has(port) {
		return err
	}
	_, err = k.o.KV.Commit(ctx, store.Write{Key: k.claims.Key(row.Name), Delete: true, If: row.Version})
	return err
}
