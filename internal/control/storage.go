package control

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// StoreInfo is where the state is and how much of it there is.
type StoreInfo struct {
	store.Description
	State    string `json:"state" jsonschema:"ok, or what is wrong with it"`
	Requests int64  `json:"request_log_bytes" jsonschema:"bytes of the request log"`
	Audit    int64  `json:"audit_log_bytes" jsonschema:"bytes of the log of changes"`
}

// StoreInfo answers where the state is and how much of it there is.
func (c *Control) StoreInfo(ctx context.Context, _ Nothing) (StoreInfo, error) {
	var info StoreInfo
	var err error
	if info.Description, err = c.deps.Store.Describe(ctx); err != nil {
		return info, err
	}
	for name, bytes := range map[string]*int64{"request": &info.Requests, "audit": &info.Audit} {
		l, err := c.deps.Store.Info(ctx, name)
		if err != nil {
			return info, err
		}
		*bytes = l.Bytes
	}
	info.State = c.storeState(ctx)
	return info, nil
}

// ListStoreKeys is the argument of list_store_keys.
type ListStoreKeys struct {
	Glob string `json:"glob,omitempty" jsonschema:"only keys like this; * stands for anything, ? for one character"`
	Paging
}

// StoreKey is one key of the store.
type StoreKey struct {
	Key     string    `json:"key"`
	Version int64     `json:"version"`
	Expires time.Time `json:"expires,omitzero"`
	Bytes   int       `json:"bytes" jsonschema:"length of the value"`
}

// ListStoreKeys answers the store's keys in order.
func (c *Control) ListStoreKeys(ctx context.Context, in ListStoreKeys) (Page[StoreKey], error) {
	size, err := in.size()
	if err != nil {
		return Page[StoreKey]{}, err
	}
	after, err := in.after()
	if err != nil {
		return Page[StoreKey]{}, err
	}
	if len(in.Glob) > store.MaxKey {
		return Page[StoreKey]{}, fault.BadField("glob", "has at most %d bytes", store.MaxKey)
	}
	page := Page[StoreKey]{Items: []StoreKey{}}
	prefix := in.Glob
	if i := strings.IndexAny(in.Glob, "*?"); i >= 0 {
		prefix = in.Glob[:i]
	}
	for {
		items, err := c.deps.Store.List(ctx, prefix, after, store.MaxPage)
		if err != nil {
			return Page[StoreKey]{}, err
		}
		for _, it := range items {
			if in.Glob != "" && !like(in.Glob, it.Key) {
				continue
			}
			if len(page.Items) == size {
				page.Cursor = cursorOf(page.Items[size-1].Key)
				return page, nil
			}
			page.Items = append(page.Items, StoreKey{Key: it.Key, Version: it.Version, Expires: it.Expires, Bytes: len(it.Value)})
		}
		if len(items) < store.MaxPage {
			return page, nil
		}
		after = items[len(items)-1].Key
	}
}

// like matches s with a pattern of * (anything) and ? (one byte), in time
// proportional to the product of their lengths.
func like(pattern, s string) bool {
	p, i, star, from := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// GetStoreKey is the argument of get_store_key.
type GetStoreKey struct {
	Key string `json:"key" required:"true" jsonschema:"as list_store_keys names it"`
}

// StoreValue is one key of the store with its value, secrets masked.
type StoreValue struct {
	StoreKey
	Value any `json:"value" jsonschema:"the record; what is or may be a secret, its hash or sealed is masked"`
}

// GetStoreKey answers one key with its value.
func (c *Control) GetStoreKey(ctx context.Context, in GetStoreKey) (StoreValue, error) {
	it, err := c.deps.Store.Get(ctx, in.Key)
	if err != nil {
		return StoreValue{}, err
	}
	return StoreValue{StoreKey{it.Key, it.Version, it.Expires, len(it.Value)}, shown(it)}, nil
}

// shown is a stored value as administrators see it. What is no JSON object is
// shown for those keys alone that hold names: everything else of that form is
// sealed.
func shown(it store.Item) any {
	var value any
	err := json.Unmarshal(it.Value, &value)
	object, is := value.(map[string]any)
	switch {
	case err == nil && is:
		return masked(object)
	case err == nil && strings.HasPrefix(it.Key, "cert:domain:"):
		return value
	}
	return fmt.Sprintf("%s (%d bytes)", store.Masked, len(it.Value))
}

// secretWords are in the names of fields that hold secrets, their hashes, or
// something sealed. More is hidden than must be: people look at this.
var secretWords = []string{"secret", "hash", "password", "key", "token", "seal", "nonce", "verifier", "cookie", "private", "hmac"}

func masked(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, field := range v {
			if text, is := field.(string); is && text != "" && telling(name) {
				v[name] = store.Masked
				continue
			}
			v[name] = masked(field)
		}
	case []any:
		for i := range v {
			v[i] = masked(v[i])
		}
	}
	return value
}

func telling(name string) bool {
	name = strings.ToLower(name)
	if strings.HasSuffix(name, "_method") || strings.HasSuffix(name, "_name") {
		return false
	}
	for _, word := range secretWords {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// AcceptStore takes what is in the store now in place of what the nodes had, and
// adds Gatehouse's own hosts, without which nobody could go on.
func (c *Control) AcceptStore(ctx context.Context, _ Nothing) (Done, error) {
	r, err := c.regainer()
	if err != nil {
		return Done{}, err
	}
	if err := r.Accept(ctx); err != nil {
		return Done{}, err
	}
	noted(ctx, "store", nil, nil)
	return Done{true}, c.EnsureBuiltIns(ctx)
}

// Pushed is the answer of push_store.
type Pushed struct {
	Keys int `json:"keys" jsonschema:"how many were written back"`
}

// PushStore writes back what this node has.
func (c *Control) PushStore(ctx context.Context, _ Nothing) (Pushed, error) {
	r, err := c.regainer()
	if err != nil {
		return Pushed{}, err
	}
	n, err := r.Push(ctx)
	noted(ctx, "store", nil, Pushed{n})
	return Pushed{n}, err
}

func (c *Control) regainer() (store.Regainer, error) {
	if r, ok := c.deps.Store.(store.Regainer); ok {
		return r, nil
	}
	return nil, fault.New(fault.Conflict, "the embedded store is this node's own: there is nothing to decide")
}
