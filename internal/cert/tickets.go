package cert

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// The keys that TLS session tickets are sealed with (RFC 5077; RFC 8446, section
// 4.6.1): one set for all nodes, so that a client which comes back is known on
// each, and changed often, so that a stolen one opens little.
const (
	ticketKey    = "tls:tickets"
	ticketEvery  = 12 * time.Hour // a new key begins to seal
	ticketsKept  = 3              // and the ones before it still open
	ticketsAgain = 10 * time.Second
)

// ticketRecord is the set as it is stored, sealed as a whole; newest first.
type ticketRecord struct {
	Keys []ticketSecret `json:"keys"`
}

type ticketSecret struct {
	Key    [32]byte  `json:"key"`
	MadeAt time.Time `json:"made_at"`
}

// Tickets keep the keys of TLS session tickets.
type Tickets struct {
	kv     store.KV
	sealer *store.Sealer
	use    func(keys [][32]byte)
	log    *slog.Logger
}

// NewTickets keeps the keys in kv. use is handed each new set, the sealing key
// first: by Load, then by Run, never twice at once.
func NewTickets(kv store.KV, sealer *store.Sealer, use func(keys [][32]byte), log *slog.Logger) *Tickets {
	return &Tickets{kv, sealer, use, log}
}

// Load reads the keys, and makes them when there are none or a new one is due.
func (t *Tickets) Load(ctx context.Context) error {
	_, err := t.turn(ctx)
	return err
}

// Run changes the keys in time and follows what other nodes change, until ctx
// ends. When the store is away the present keys stay in use.
func (t *Tickets) Run(ctx context.Context) error {
	events := t.kv.Watch(ctx, ticketKey)
	timer := time.NewTimer(ticketEvery)
	defer timer.Stop()
	for {
		select {
		case _, ok := <-events:
			if !ok {
				return nil
			}
		case <-timer.C:
		}
		wait, err := t.turn(ctx)
		if err != nil {
			if ctx.Err() == nil {
				t.log.WarnContext(ctx, "the keys of TLS session tickets can't be read; the present ones stay in use", "error", err)
			}
			wait = ticketsAgain
		}
		timer.Reset(wait)
	}
}

// turn reads the keys, adds one when it is time to, and answers until when they
// stay. Of several nodes that do so at once one wins and all use its keys.
func (t *Tickets) turn(ctx context.Context) (time.Duration, error) {
	for range maxAttempts {
		rec, version, err := t.read(ctx)
		if err != nil {
			return 0, err
		}
		now, err := t.kv.Now(ctx)
		if err != nil {
			return 0, err
		}
		if len(rec.Keys) > 0 && now.Sub(rec.Keys[0].MadeAt) < ticketEvery {
			t.hand(rec)
			return max(ticketEvery-now.Sub(rec.Keys[0].MadeAt), time.Second), nil
		}
		fresh := ticketSecret{MadeAt: now}
		_, _ = rand.Read(fresh.Key[:]) // never fails: the runtime ends the process instead
		rec.Keys = append([]ticketSecret{fresh}, rec.Keys[:min(len(rec.Keys), ticketsKept-1)]...)
		err = t.write(ctx, rec, version)
		if !fault.Is(err, fault.Conflict) {
			if err == nil {
				t.hand(rec)
			}
			return ticketEvery, err
		}
	}
	return 0, fault.New(fault.Unavailable, "too many changes at once")
}

func (t *Tickets) read(ctx context.Context) (rec ticketRecord, version int64, err error) {
	item, err := t.kv.Get(ctx, ticketKey)
	if fault.Is(err, fault.NotFound) {
		return rec, 0, nil
	}
	if err != nil {
		return rec, 0, err
	}
	plain, err := t.sealer.Open(ticketKey, item.Value)
	if err != nil {
		return rec, 0, err
	}
	if err := json.Unmarshal(plain, &rec); err != nil {
		return rec, 0, fault.Wrap(fault.Internal, err, "the stored keys of TLS session tickets can't be read")
	}
	return rec, item.Version, nil
}

func (t *Tickets) write(ctx context.Context, rec ticketRecord, version int64) error {
	plain, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	_, err = t.kv.Commit(ctx, store.Write{Key: ticketKey, Value: t.sealer.Seal(ticketKey, plain), If: version})
	return err
}

func (t *Tickets) hand(rec ticketRecord) {
	keys := make([][32]byte, len(rec.Keys))
	for i, k := range rec.Keys {
		keys[i] = k.Key
	}
	t.use(keys)
}
