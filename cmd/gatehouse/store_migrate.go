package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/config"
	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
	"gatehouse/internal/store/redisstore"
)

// storeMigrate copies one store into another. It opens both itself: no Gatehouse
// may run on either.
func (a *app) storeMigrate() *cobra.Command {
	var from, to string
	c := a.server(verb{
		use: "migrate --from URL --to URL", short: "Copy everything from one store into an empty one",
		long: "Copies all keys and logs between the embedded store and Redis, either way. A store is named by the URL of its\n" +
			"Redis (redis://, rediss://, redis+sentinel://, without a password: that is REDIS_PASSWORD) or by its folder\n" +
			"(file:///path, or the path). REDIS_PREFIX and REDIS_CA_FILE count as for `serve`. Stop all nodes first.\n" +
			"Secrets stay sealed: SECRET_KEY must be the same afterwards; of an embedded store it is in DATA_DIR/secret.key.",
		example: "  gatehouse store migrate --from file:///var/lib/gatehouse --to redis://127.0.0.1:6379",
		run:     func(ctx context.Context, _ []string) error { return a.migrate(ctx, from, to) },
	})
	c.Flags().StringVar(&from, "from", "", "the store to copy: `URL` or folder")
	c.Flags().StringVar(&to, "to", "", "the empty store to copy it into: `URL` or folder")
	return c
}

func (a *app) migrate(ctx context.Context, from, to string) (err error) {
	cfg, err := config.Load(a.source(nil))
	if err != nil {
		return err
	}
	source, err := openNamed(ctx, cfg.Redis, "--from", from, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := openNamed(ctx, cfg.Redis, "--to", to, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	copied, err := store.Copy(ctx, source, target, journal.LogNames()...)
	if err != nil {
		return fmt.Errorf("after %d keys and %d blocks of logs: %w", copied.Keys, copied.Blocks, err)
	}
	_, err = fmt.Fprintf(a.out, "copied %d keys and %d blocks of logs\n", copied.Keys, copied.Blocks)
	if !isRedis(from) && isRedis(to) {
		_, _ = fmt.Fprintf(a.err, "The secrets in it are sealed: set SECRET_KEY to what is in %s on every node.\n", filepath.Join(folderOf(from), "secret.key"))
	}
	return err
}

func isRedis(name string) bool {
	return strings.HasPrefix(name, "redis") && strings.Contains(name, "://")
}

func folderOf(name string) string { return strings.TrimPrefix(name, "file://") }

// openNamed opens the store that a flag names. One that is copied from must be
// there.
func openNamed(ctx context.Context, settings config.Redis, flag, name string, mustExist bool) (store.Store, error) {
	switch {
	case name == "":
		return nil, usage("say %s: the URL of a Redis, or a folder", flag)
	case isRedis(name):
		r, err := settings.At(name)
		if err != nil {
			return nil, fault.BadField(flag, "%v", err)
		}
		options, err := redisOptions(r)
		if err != nil {
			return nil, err
		}
		return redisstore.Open(ctx, options)
	case strings.Contains(name, "://") && !strings.HasPrefix(name, "file:///"):
		return nil, fault.BadField(flag, "must be redis://, rediss://, redis+sentinel://, file:///path or a path")
	case mustExist && !boltstore.Exists(folderOf(name)):
		return nil, fault.New(fault.NotFound, "there is no store in %s", folderOf(name))
	}
	return boltstore.Open(folderOf(name), boltstore.Options{})
}
