package oauth

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// published is how long a new key stands in /jwks before it signs, so that
// whoever caches the keys has it in time.
const published = time.Hour

// Key tells of one signing key.
type Key struct {
	ID        string    `json:"kid"`
	CreatedAt time.Time `json:"created_at"`
	SignsFrom time.Time `json:"signs_from"`
	Signs     bool      `json:"signs"` // it signs the tokens that are made now
	State     string    `json:"state"` // next: published, does not sign yet; current; previous: only verifies
}

// Keys are the signing keys, in the order in which they sign.
func (s *Server) Keys() []Key {
	ring, now := s.keys.Load(), s.now()
	signer, state := ring.signer(now).id, "previous"
	keys := make([]Key, len(ring.signing))
	for i, k := range ring.signing {
		if k.id == signer {
			state = "current"
		} else if state == "current" {
			state = "next"
		}
		keys[i] = Key{ID: k.id, CreatedAt: k.made, SignsFrom: k.from, Signs: k.id == signer, State: state}
	}
	return keys
}

// GenerateKey makes a new signing key. It signs in an hour, or at once with
// immediately; with revoke the old keys go at once and every access token that
// they signed with them.
func (s *Server) GenerateKey(ctx context.Context, immediately, revoke bool) (Key, error) {
	now, err := s.kv.Now(ctx)
	if err != nil {
		return Key{}, err
	}
	from := now.Add(published)
	if immediately || revoke {
		from = now
	}
	if revoke { // first: a key that is marked and stays opens no stream that outlives it
		for _, k := range s.Keys() {
			if err := s.mark(ctx, revokeKey, k.ID); err != nil {
				return Key{}, err
			}
		}
	}
	made := ""
	err = s.changeKeys(ctx, func(rec *keyringRecord) error {
		if revoke {
			rec.Signing = nil
		}
		if len(rec.Signing) >= maxSigningKeys {
			return fault.New(fault.Conflict, "there are %d signing keys already: wait until the oldest is dropped, or drop all with revoke", maxSigningKeys)
		}
		made, err = rec.generate(now, from)
		return err
	})
	if err != nil {
		return Key{}, err
	}
	keys := s.Keys()
	return keys[max(slices.IndexFunc(keys, func(k Key) bool { return k.ID == made }), 0)], nil
}

// maxSigningKeys bounds what /jwks tells and what each token is looked up in.
const maxSigningKeys = 8

// loadKeys reads the keyring, making it when there is none yet. A store that
// has lost it while we run is not obeyed: the keys in memory stay, and are written
// back, so that nodes which start later sign with the same.
func (s *Server) loadKeys(ctx context.Context) error {
	err := s.readKeys(ctx, "")
	if !fault.Is(err, fault.NotFound) {
		if err != nil {
			return err
		}
		return s.importKey(ctx)
	}
	if ring := s.keys.Load(); ring != nil {
		s.log.WarnContext(ctx, "the store has lost the signing keys; those in memory stay in use and are written back")
		err = s.saveKeys(ctx, ring.record, 0)
		if fault.Is(err, fault.Conflict) { // another node has done so
			return s.readKeys(ctx, "")
		}
		return err
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return err
	}
	rec, err := newKeyringRecord(s.opt.ImportKey, now)
	if err != nil {
		return err
	}
	err = s.saveKeys(ctx, rec, 0)
	if fault.Is(err, fault.Conflict) { // another node was first: its keys count
		return s.loadKeys(ctx)
	}
	return err
}

// readKeys takes the stored keyring into memory.
func (s *Server) readKeys(ctx context.Context, _ string) error {
	item, err := s.kv.Get(ctx, keyKeys)
	if err != nil {
		return err
	}
	plain, err := s.opt.Sealer.Open(keyKeys, item.Value)
	if err != nil {
		return fmt.Errorf("the stored signing keys can't be opened; is SECRET_KEY the one that sealed them? %w", err)
	}
	var rec keyringRecord
	if err := json.Unmarshal(plain, &rec); err != nil {
		return fmt.Errorf("the stored signing keys can't be read: %w", err)
	}
	ring, err := rec.open(item.Version)
	if err != nil {
		return err
	}
	s.useKeys(ring)
	return nil
}

func (s *Server) useKeys(ring *keyring) {
	s.keys.Store(ring)
	s.change.Add(1)
}

// importKey takes the configured key once.
func (s *Server) importKey(ctx context.Context) error {
	key := s.opt.ImportKey
	if key == nil || s.keys.Load().has(key) {
		return nil
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return err
	}
	return s.changeKeys(ctx, func(rec *keyringRecord) error { return rec.take(key, now) })
}

func (ring *keyring) has(key *rsa.PrivateKey) bool {
	id := thumbprint(&key.PublicKey)
	return slices.Contains(ring.record.Imported, id) || ring.byID[id] != nil
}

// changeKeys changes the stored keyring and takes the new one into use.
func (s *Server) changeKeys(ctx context.Context, change func(*keyringRecord) error) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	for range retries {
		ring := s.keys.Load()
		rec := ring.record
		rec.Signing = append([]keyRecord(nil), rec.Signing...)
		rec.Imported = append([]string(nil), rec.Imported...)
		if err := change(&rec); err != nil {
			return err
		}
		err := s.saveKeys(ctx, rec, ring.version)
		if !fault.Is(err, fault.Conflict) {
			return err
		}
		if err := s.readKeys(ctx, ""); err != nil {
			return err
		}
	}
	return errBusy
}

func (s *Server) saveKeys(ctx context.Context, rec keyringRecord, version int64) error {
	plain, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	versions, err := s.kv.Commit(ctx, store.Write{Key: keyKeys, Value: s.opt.Sealer.Seal(keyKeys, plain), If: version})
	if err != nil {
		return err
	}
	ring, err := rec.open(versions[0])
	if err != nil {
		return err
	}
	s.useKeys(ring)
	return nil
}

// retireKeys drops the keys whose last token has expired.
func (s *Server) retireKeys(ctx context.Context) {
	if s.opt.Upkeep != nil && !s.opt.Upkeep() {
		return
	}
	now := s.now()
	if _, any := s.keys.Load().retired(now, s.opt.AccessTokenLifetime); !any {
		return
	}
	err := s.changeKeys(ctx, func(rec *keyringRecord) error {
		*rec, _ = s.keys.Load().retired(now, s.opt.AccessTokenLifetime)
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		s.log.WarnContext(ctx, "old signing keys could not be dropped; trying again in a minute", "error", err)
	}
}

// retries bounds compare-and-swap loops; errBusy is what is said when they run out.
const retries = 50

var errBusy = fault.New(fault.Unavailable, "too many changes at once: try again in a moment")
