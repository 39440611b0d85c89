package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gatehouse/internal/fault"
)

// Table is a typed view of the keys with one prefix, each holding one T as
// JSON. It is where the product's records meet the store: nothing above it
// deals in bytes.
type Table[T any] struct {
	kv     KV
	prefix string // "proxy:"
	noun   string // for messages: "proxy"
	seal   Seal   // nil: records are readable
}

// Seal is what a sealed table needs of a Sealer.
type Seal interface {
	Seal(purpose string, plain []byte) []byte
	Open(purpose string, sealed []byte) ([]byte, error)
}

// NewTable is the table of T under prefix; noun names one T in messages.
func NewTable[T any](kv KV, prefix, noun string) Table[T] {
	return Table[T]{kv: kv, prefix: prefix, noun: noun}
}

// NewSealedTable is a table whose records nobody reads at rest: each is sealed
// for its own key, and stands in the store as a JSON string.
func NewSealedTable[T any](kv KV, seal Seal, prefix, noun string) Table[T] {
	return Table[T]{kv: kv, prefix: prefix, noun: noun, seal: seal}
}

// Row is one record with the version that was read.
type Row[T any] struct {
	Name    string // the key without the table's prefix
	Value   T
	Version int64
	Expires time.Time
}

// Key is the store's key for name.
func (t Table[T]) Key(name string) string { return t.prefix + name }

// Prefix is what all keys of t begin with.
func (t Table[T]) Prefix() string { return t.prefix }

// Get is the record called name; NotFound when there is none.
func (t Table[T]) Get(ctx context.Context, name string) (Row[T], error) {
	item, err := t.kv.Get(ctx, t.Key(name))
	if err != nil {
		return Row[T]{}, t.absent(err, name)
	}
	return t.row(item)
}

// Take gets and deletes the record called name in one step: single use.
// NotFound when there is none.
func (t Table[T]) Take(ctx context.Context, name string) (Row[T], error) {
	item, err := t.kv.Take(ctx, t.Key(name))
	if err != nil {
		return Row[T]{}, t.absent(err, name)
	}
	return t.row(item)
}

// All is every record in name order.
func (t Table[T]) All(ctx context.Context) ([]Row[T], error) {
	var rows []Row[T]
	after := ""
	for {
		page, err := t.Page(ctx, after, MaxPage)
		if err != nil {
			return nil, err
		}
		rows = append(rows, page...)
		if len(page) < MaxPage {
			return rows, nil
		}
		after = page[len(page)-1].Name
	}
}

// Page is up to limit records in name order, after the name given.
func (t Table[T]) Page(ctx context.Context, after string, limit int) ([]Row[T], error) {
	if after != "" {
		after = t.Key(after)
	}
	items, err := t.kv.List(ctx, t.prefix, after, limit)
	if err != nil {
		return nil, err
	}
	rows := make([]Row[T], 0, len(items))
	for _, item := range items {
		row, err := t.row(item)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Create writes a record that must not exist yet; Exists when it does.
func (t Table[T]) Create(ctx context.Context, name string, v T, ttl time.Duration) (int64, error) {
	n, err := t.write(ctx, name, v, 0, ttl)
	if fault.Is(err, fault.Conflict) {
		return 0, fault.New(fault.Exists, "the %s %q exists already", t.noun, name)
	}
	return n, err
}

// Update writes a record over the version that was read; Conflict when it has
// changed since.
func (t Table[T]) Update(ctx context.Context, name string, v T, version int64, ttl time.Duration) (int64, error) {
	n, err := t.write(ctx, name, v, version, ttl)
	if fault.Is(err, fault.Conflict) {
		return 0, fault.New(fault.Conflict, "the %s %q was changed by someone else in the meantime: read it again and repeat", t.noun, name)
	}
	return n, err
}

// Put writes a record whatever is there.
func (t Table[T]) Put(ctx context.Context, name string, v T, ttl time.Duration) (int64, error) {
	return t.write(ctx, name, v, AnyVersion, ttl)
}

// Delete removes a record; NotFound when there is none.
func (t Table[T]) Delete(ctx context.Context, name string) error {
	_, err := t.kv.Take(ctx, t.Key(name))
	return t.absent(err, name)
}

// absent is err in the table's words when it says that the record is not there.
func (t Table[T]) absent(err error, name string) error {
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "there is no %s %q", t.noun, name)
	}
	return err
}

// Write is the store's write for a record, for a commit over several tables.
func (t Table[T]) Write(name string, v T, version int64, ttl time.Duration) (Write, error) {
	value, err := json.Marshal(v)
	if err == nil && t.seal != nil {
		value, err = json.Marshal(t.seal.Seal(t.Key(name), value))
	}
	if err != nil {
		return Write{}, fmt.Errorf("encode %s %q: %w", t.noun, name, err)
	}
	return Write{Key: t.Key(name), Value: value, If: version, TTL: ttl}, nil
}

func (t Table[T]) write(ctx context.Context, name string, v T, version int64, ttl time.Duration) (int64, error) {
	w, err := t.Write(name, v, version, ttl)
	if err != nil {
		return 0, err
	}
	versions, err := t.kv.Commit(ctx, w)
	if err != nil {
		return 0, err
	}
	return versions[0], nil
}

func (t Table[T]) row(item Item) (Row[T], error) {
	row := Row[T]{Name: item.Key[len(t.prefix):], Version: item.Version, Expires: item.Expires}
	value, err := t.opened(item)
	if err == nil {
		err = json.Unmarshal(value, &row.Value)
	}
	if err != nil {
		return row, fault.Wrap(fault.Internal, err, "the stored %s %q can't be read", t.noun, row.Name)
	}
	return row, nil
}

// opened is the JSON of a record.
func (t Table[T]) opened(item Item) ([]byte, error) {
	if t.seal == nil {
		return item.Value, nil
	}
	var sealed []byte
	if err := json.Unmarshal(item.Value, &sealed); err != nil {
		return nil, err
	}
	return t.seal.Open(item.Key, sealed)
}

// Readable is every record that can be read, in name order, and an error for
// each that can't.
func (t Table[T]) Readable(ctx context.Context) (rows []Row[T], bad []error, err error) {
	after := ""
	for {
		items, err := t.kv.List(ctx, t.prefix, after, MaxPage)
		if err != nil {
			return nil, nil, err
		}
		for _, item := range items {
			row, err := t.row(item)
			if err != nil {
				bad = append(bad, err)
				continue
			}
			rows = append(rows, row)
		}
		if len(items) < MaxPage {
			return rows, bad, nil
		}
		after = items[len(items)-1].Key
	}
}
