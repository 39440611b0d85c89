package redisstore

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/fault"
)

// retryAfter is what callers are told to wait while Redis is away: it is looked
// for every second or two.
const retryAfter = 3 * time.Second

func errClosed() error { return fault.New(fault.Unavailable, "the store is closed") }

func notFound(key string) error { return fault.New(fault.NotFound, "there is no key %q", key) }

// away is an error of kind Unavailable for a command that failed.
func away(cause error) error {
	return &fault.Error{Kind: fault.Unavailable, RetryAfter: retryAfter, Cause: cause,
		Public: "the store in Redis can't be used now (" + reason(cause) + "): try again in a moment"}
}

// strange is an error of kind Unavailable for data that is not ours.
func strange(empty bool) error {
	what := "Redis has come back with other data than before"
	if empty {
		what = "Redis has come back empty"
	}
	return &fault.Error{Kind: fault.Unavailable, RetryAfter: time.Minute,
		Public: what + ", and is not obeyed: `gatehouse store push` writes back what this node has, `gatehouse store accept` takes what is there now"}
}

// refusals are what Redis says when it does not do a command, in words that say
// what to do. None of them has changed anything.
var refusals = []struct{ prefix, words string }{
	{"LOADING", "it is still loading its data"},
	{"READONLY", "this one is a replica: another was made master"},
	{"MASTERDOWN", "its master is down"},
	{"NOREPLICAS", "it has too few replicas"},
	{"MISCONF", "it can't save to its disk and takes no changes"},
	{"OOM", "its memory is full (maxmemory): give it more"},
	{"NOAUTH", "it wants a password: set REDIS_PASSWORD"},
	{"WRONGPASS", "it refuses the user or the password of REDIS_URL"},
	{"ERR AUTH", "it has no password and was given one"},
	{"ERR invalid password", "it refuses the password"},
	{"NOPERM", "its ACL forbids a command or key that Gatehouse needs"},
	{"ERR max number of clients", "it has too many connections (maxclients)"},
	{"BUSY", "it is busy with somebody's script"},
	{"OTHERDATA", "it holds other data"},
	{"CLUSTERDOWN", "its cluster is down"},
	{"MOVED", "it is a Redis Cluster, which this version does not know"},
}

// reason says in words for people why a command failed. It never has a secret in
// it: what the library says of addresses and commands is left to the log.
func reason(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Message()
	}
	for _, r := range refusals {
		if says(err, r.prefix) {
			return r.words
		}
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "it does not answer in time"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return "it can't be reached"
	}
	if _, ok := errors.AsType[redis.Error](err); ok {
		return "it refuses a command"
	}
	if badCertificate(err) {
		return "its certificate or TLS is not accepted"
	}
	if strings.Contains(err.Error(), "sentinel") {
		return "no Sentinel names a master"
	}
	return "the connection broke"
}

// says reports whether err is an answer of Redis that begins so.
func says(err error, prefix string) bool {
	e, ok := errors.AsType[redis.Error](err)
	return ok && strings.HasPrefix(e.Error(), prefix)
}

// passing reports whether a failure at the start may end by itself.
func passing(err error) bool {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Cause == nil {
		return false
	}
	if badCertificate(err) {
		return false
	}
	for _, lasting := range []string{"NOAUTH", "WRONGPASS", "NOPERM", "ERR", "MOVED"} {
		if says(err, lasting) {
			return false
		}
	}
	return true
}

func badCertificate(err error) bool {
	return strings.Contains(err.Error(), "x509:") || strings.Contains(err.Error(), "tls:")
}
