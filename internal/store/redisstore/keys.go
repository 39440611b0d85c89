package redisstore

import (
	"regexp"
	"strings"
)

// Keys of the store's own, before the prefix. What people look at has a name of
// its own (docs/redis.md); the rest begins with kv:.
const (
	keyID       = "kv:id"       // string: the installation whose data this is
	keySucceeds = "kv:succeeds" // set: ids whose nodes may take this data for theirs
	keyLast     = "kv:last"     // string: the last version given
	keyCounter  = "kv:counter"  // string: how many events there were
	keyVersions = "kv:versions" // hash: name of a key to its version
	keyIndex    = "kv:index"    // sorted set, all scores 0: the names of all keys, in order
	keyExpiry   = "kv:expiry"   // sorted set: names of keys by the ms at which they expire
	keyAppended = "kv:appended" // stream: which blocks were appended, ~1000
	keyNotes    = "kv:log:"     // hash for each log: last sequence, hour of the newest stream, what each stream holds
	keyEvents   = "events"      // stream: what was changed, ~10000
	keyLock     = "lock:"       // string for each lock that is held
	keyStream   = "log:"        // stream of blocks for each log and hour
	keyEscaped  = "key:"        // before names that would meet one of those above
)

// listings are the sets of names that people list things by, and what begins the
// keys whose names they hold.
var listings = []struct{ prefix, set string }{
	{"proxy:", "proxies"},
	{"route:", "routes"},
	{"cert:", "certs"},
	{"service:docker:", "services"},
	{"service:external:", "services"},
	{"oauth:client:", "clients"},
	{"oauth:revoked:", keyRevoked},
	{"node:", keyNodes},
	{"port:", "ports:allocated"},
	{"instance:", keyMappings},
}

const (
	keyRevoked = "oauth:revoked" // sorted by expiry, unlike the other listings
	keyNodes   = "nodes"         // a hash of the records, unlike the other listings

	keyMappings = "proxy:ports:mappings" // a hash of the records too; no hostname has a colon

	certDomain = "cert:domain:" // names of certificates by domain, no certificates
)

// eventNames are the words for changes in the stream of events. One that ends
// with _ is completed by created, updated or deleted.
var eventNames = []struct{ prefix, event string }{
	{"proxy:", "proxy_"},
	{"route:", "route_changed"},
	{certDomain, "changed"},
	{"cert:", "certificate_ready"},
	{"service:", "service_changed"},
	{"oauth:revoked:", "revoked"},
}

var streamName = regexp.MustCompile(`^log:[a-z]{1,16}:`)

// key is the Redis key for one of the store's own.
func (s *Store) key(own string) string { return s.opts.Prefix + own }

// place is the Redis key where the value of a name stands.
func (s *Store) valueKey(name string) string {
	if reserved(name) {
		return s.opts.Prefix + keyEscaped + name
	}
	return s.opts.Prefix + name
}

// reserved reports whether a name would meet a key of the store's own.
func reserved(name string) bool {
	switch name {
	case keyEvents, keyRecent:
		return true
	}
	for _, l := range listings {
		if name == l.set {
			return true
		}
	}
	return strings.HasPrefix(name, "kv:") || strings.HasPrefix(name, keyLock) || strings.HasPrefix(name, keyEscaped) || streamName.MatchString(name)
}

// listing is the set that has name's record, of which kind it is ("set", "zset",
// "hash", or "" for none), and how it is called there.
func listing(name string) (set, kind, member string) {
	if strings.HasPrefix(name, certDomain) {
		return "", "", ""
	}
	for _, l := range listings {
		if member, ok := strings.CutPrefix(name, l.prefix); ok {
			switch l.set {
			case keyRevoked:
				return l.set, "zset", member
			case keyNodes, keyMappings:
				return l.set, "hash", member
			}
			return l.set, "set", member
		}
	}
	return "", "", ""
}

// eventOf is the word for a change of name.
func eventOf(name string, gone bool) string {
	for _, e := range eventNames {
		if strings.HasPrefix(name, e.prefix) && (!gone || e.event != "certificate_ready" && e.event != "revoked") {
			return e.event
		}
	}
	if gone {
		return "deleted"
	}
	return "changed"
}

// change adds to a script's keys and words those of one change.
func (s *Store) change(keys []string, words []any, name string, gone bool) ([]string, []any) {
	set, kind, member := listing(name)
	key, op := s.valueKey(name), "set"
	list := key
	if kind != "" {
		list = s.key(set)
	}
	if gone {
		op = "del"
	}
	return append(keys, key, list), append(words, name, op, kind, member, eventOf(name, gone))
}

// changeKeys are the keys that every change needs.
func (s *Store) changeKeys() []string {
	return []string{s.key(keyID), s.key(keyLast), s.key(keyCounter), s.key(keyVersions), s.key(keyIndex), s.key(keyExpiry), s.key(keyEvents)}
}
