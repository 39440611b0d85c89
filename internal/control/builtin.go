package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// EnsureBuiltIns makes Gatehouse's own two hosts where they are missing. A host
// that is there keeps all that it has; settings that its record does not have
// yet, because an older version wrote it, are added.
func (c *Control) EnsureBuiltIns(ctx context.Context) error {
	for _, p := range []site.Proxy{site.Localhost(), site.SignInProxy(c.deps.Origins.SignInName())} {
		if err := c.ensure(ctx, p); err != nil {
			return fmt.Errorf("the built-in host %s: %w", p.Hostname, err)
		}
	}
	return nil
}

func (c *Control) ensure(ctx context.Context, initial site.Proxy) error {
	return retry(ctx, "", func() error {
		item, err := c.deps.Store.Get(ctx, c.proxies.Key(initial.Hostname))
		if fault.Is(err, fault.NotFound) {
			return c.createBuiltIn(ctx, initial)
		}
		if err != nil {
			return err
		}
		return c.complete(ctx, initial, item.Value, item.Version)
	})
}

func (c *Control) createBuiltIn(ctx context.Context, p site.Proxy) error {
	p.CreatedAt = c.stamp()
	p.UpdatedAt = p.CreatedAt
	_, err := c.proxies.Create(ctx, p.Hostname, p, 0)
	if fault.Is(err, fault.Exists) {
		return nil // another node was first
	}
	return err
}

// complete adds the settings that the stored record does not name at all.
func (c *Control) complete(ctx context.Context, initial site.Proxy, stored []byte, version int64) error {
	var named map[string]json.RawMessage
	if err := json.Unmarshal(stored, &named); err != nil {
		return fault.Wrap(fault.Internal, err, "the stored proxy %q can't be read", initial.Hostname)
	}
	whole, err := json.Marshal(initial)
	if err != nil {
		return err
	}
	var wanted map[string]json.RawMessage
	if err := json.Unmarshal(whole, &wanted); err != nil {
		return err
	}
	missing := false
	for name := range wanted {
		if _, there := named[name]; !there {
			missing = true
		}
	}
	if !missing {
		return nil
	}
	if err := json.NewDecoder(bytes.NewReader(stored)).Decode(&initial); err != nil {
		return fault.Wrap(fault.Internal, err, "the stored proxy %q can't be read", initial.Hostname)
	}
	_, err = c.proxies.Update(ctx, initial.Hostname, initial, version, 0)
	return err
}
