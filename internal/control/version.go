package control

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// matches is nil when ifMatch (an entity tag of ours, bare or quoted, or *) names
// version, or is empty. Conflict: it names another. Invalid: it names none.
func matches(ifMatch string, version int64) error {
	tag := strings.Trim(strings.TrimPrefix(strings.TrimSpace(ifMatch), "W/"), `"`)
	if tag == "" || tag == "*" {
		return nil
	}
	wanted, err := strconv.ParseInt(tag, 10, 64)
	if err != nil {
		return fault.BadField("if_match", "is a version that an answer showed, a whole number")
	}
	if wanted != version {
		return fault.New(fault.Conflict, "the present version is %d, not %d: read it again and repeat", version, wanted)
	}
	return nil
}

// retry runs change again while someone else was in between. With ifMatch it
// runs once: the caller said over which version.
func retry(ctx context.Context, ifMatch string, change func() error) error {
	for {
		err := change()
		if !fault.Is(err, fault.Conflict) || ifMatch != "" || ctx.Err() != nil {
			return err
		}
	}
}

// remove deletes a key that was read at version; without ifMatch, whatever
// version is there by now.
func remove(ctx context.Context, kv store.KV, key string, version int64, ifMatch string) error {
	if err := matches(ifMatch, version); err != nil {
		return err
	}
	demanded := int64(store.AnyVersion)
	if ifMatch != "" {
		demanded = version
	}
	_, err := kv.Commit(ctx, store.Write{Key: key, Delete: true, If: demanded})
	if fault.Is(err, fault.Conflict) {
		return fault.New(fault.Conflict, "it was changed by someone else in the meantime: read it again and repeat")
	}
	return err
}

// seal is a secret as text that only the place it is sealed for can open.
func (c *Control) seal(place, secret string) string {
	return base64.StdEncoding.EncodeToString(c.deps.Sealer.Seal(place, []byte(secret)))
}

// GitHubSecret is a proxy's own GitHub secret, for signing in; empty when it has
// none.
func (c *Control) GitHubSecret(p *site.Proxy) (string, error) {
	if p.GitHubClientSecret == "" {
		return "", nil
	}
	sealed, err := base64.StdEncoding.DecodeString(p.GitHubClientSecret)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "the stored GitHub secret of %s can't be read: set it again", p.Hostname)
	}
	plain, err := c.deps.Sealer.Open(p.GitHubSecretPlace(), sealed)
	return string(plain), err
}
