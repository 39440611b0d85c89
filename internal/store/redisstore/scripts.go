package redisstore

import (
	"context"
	"embed"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

//go:embed lua
var lua embed.FS

var (
	scriptAttach = redis.NewScript(source("attach"))
	scriptAccept = redis.NewScript(source("accept"))
	scriptRename = redis.NewScript(source("rename"))
	scriptRead   = redis.NewScript(source("fence", "read"))
	scriptCommit = redis.NewScript(source("fence", "change", "commit"))
	scriptTake   = redis.NewScript(source("fence", "change", "take"))
	scriptDue    = redis.NewScript(source("fence", "due"))
	scriptExpire = redis.NewScript(source("fence", "change", "expire"))
	scriptAppend = redis.NewScript(source("fence", "append"))
	scriptDrop   = redis.NewScript(source("fence", "drop"))
	scriptLock   = redis.NewScript(source("fence", "lock"))
	scriptRenew  = redis.NewScript(source("fence", "renew"))
	scriptLines  = redis.NewScript(source("fence", "lines"))
	scriptUnlock = redis.NewScript(source("fence", "unlock"))
)

// source is one script of the parts given.
func source(parts ...string) string {
	var whole strings.Builder
	for _, part := range parts {
		text, err := lua.ReadFile("lua/" + part + ".lua")
		if err != nil {
			panic(err) // it is embedded
		}
		whole.Write(text)
	}
	return whole.String()
}

// quiet ends the client library's own log, which is the process's and says
// nothing that our errors do not say.
var quiet = sync.OnceFunc(logging.Disable)

// run runs a fenced script, which gets the installation's id before args.
func (s *Store) run(ctx context.Context, script *redis.Script, keys []string, args ...any) (any, error) {
	var answer any
	err := s.call(ctx, func(ctx context.Context) (err error) {
		answer, err = script.Run(ctx, s.client, keys, append([]any{s.link.known()}, args...)...).Result()
		return err
	})
	return answer, err
}

// runReading is run for a script that changes nothing.
func (s *Store) runReading(ctx context.Context, script *redis.Script, keys []string, args ...any) (any, error) {
	var answer any
	err := s.reading(ctx, func(ctx context.Context) (err error) {
		answer, err = script.Run(ctx, s.client, keys, append([]any{s.link.known()}, args...)...).Result()
		return err
	})
	return answer, err
}
