package config

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Redis is the shared store. Without addresses state is embedded, in DATA_DIR.
type Redis struct {
	Server RedisServer // from REDIS_URL; its password is REDIS_PASSWORD's when the URL has none
	CAFile string      // PEM file; with rediss: authorities that are trusted beside the system's
	Prefix string      // put before every key

	password Secret // REDIS_PASSWORD
}

// RedisServer says how to reach Redis.
type RedisServer struct {
	Sentinel bool     // Addrs are Sentinels which know where Master is
	TLS      bool     // rediss
	Addrs    []string // host:port; empty: no Redis
	Master   string   // with Sentinel
	Username string   // ACL user; empty: default
	Password Secret
	DB       int
}

// At is r for another server, at a URL without a password: that is REDIS_PASSWORD.
func (r Redis) At(raw string) (Redis, error) {
	server, err := parseRedis(raw)
	if err != nil {
		return r, errors.New("is no such URL: " + err.Error())
	}
	if !server.Password.Empty() {
		return r, errors.New("must not hold a password, which others would see: set REDIS_PASSWORD")
	}
	server.Password = r.password
	if r.password.Empty() {
		server.Password = r.Server.Password
	}
	r.Server = server
	return r, nil
}

// Enabled reports whether there is a Redis to use.
func (r Redis) Enabled() bool { return len(r.Server.Addrs) > 0 }

// local reports whether every address is on this machine's loopback.
func (s RedisServer) local() bool {
	for _, addr := range s.Addrs {
		host, _, _ := net.SplitHostPort(addr)
		ip, err := netip.ParseAddr(host)
		if host != "localhost" && (err != nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

func redisURL() kind[RedisServer] {
	return kind[RedisServer]{"redis://[user:password@]host[:port][/db], rediss:// alike, or redis+sentinel://[user:password@]host[:port],host…/master[/db]", parseRedis}
}

// parseRedis takes the URL apart by hand: net/url knows no lists of hosts.
func parseRedis(raw string) (RedisServer, error) {
	scheme, rest, _ := strings.Cut(raw, "://")
	s := RedisServer{TLS: scheme == "rediss", Sentinel: scheme == "redis+sentinel"}
	if scheme != "redis" && !s.TLS && !s.Sentinel {
		return s, errors.New("it begins otherwise")
	}
	if strings.ContainsAny(rest, "?#") {
		return s, errors.New("no query or fragment is known (in a password write ? as %3F and # as %23)")
	}
	authority, path, _ := strings.Cut(rest, "/")
	hosts := authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		hosts = authority[at+1:]
		if err := s.login(authority[:at]); err != nil {
			return s, err
		}
	}
	if err := s.addresses(hosts); err != nil {
		return s, err
	}
	return s, s.database(path)
}

func (s *RedisServer) login(userinfo string) error {
	user, password, _ := strings.Cut(userinfo, ":")
	name, err := url.PathUnescape(user)
	if err != nil {
		return errors.New("a % in user or password is written %25")
	}
	word, err := url.PathUnescape(password)
	if err != nil {
		return errors.New("a % in user or password is written %25")
	}
	s.Username, s.Password = name, NewSecret(word)
	return nil
}

func (s *RedisServer) addresses(hosts string) error {
	standard := "6379"
	if s.Sentinel {
		standard = "26379"
	}
	for one := range strings.SplitSeq(hosts, ",") {
		host, port, err := net.SplitHostPort(one)
		if err != nil {
			host, port = strings.Trim(one, "[]"), standard
		}
		if !isHost(host) || !isPort(port) || port == "0" {
			return errors.New("host or port can't be read")
		}
		s.Addrs = append(s.Addrs, net.JoinHostPort(host, port))
	}
	if len(s.Addrs) > 1 && !s.Sentinel {
		return errors.New("only redis+sentinel takes several hosts")
	}
	return nil
}

func (s *RedisServer) database(path string) error {
	if s.Sentinel {
		s.Master, path, _ = strings.Cut(path, "/")
		if s.Master == "" {
			return errors.New("the master's name is missing")
		}
	}
	if path == "" {
		return nil
	}
	n, err := strconv.ParseUint(path, 10, 16)
	if err != nil {
		return errors.New("the database is no number")
	}
	s.DB = int(n)
	return nil
}

// maskRedis shows the URL without its password; nothing of what can't be read.
func maskRedis(raw string) string {
	if _, err := parseRedis(raw); err != nil {
		return hidden
	}
	at := strings.LastIndexByte(raw, '@')
	if at < 0 {
		return raw
	}
	start := strings.Index(raw, "://") + len("://")
	user, _, found := strings.Cut(raw[start:at], ":")
	if !found {
		return raw
	}
	return raw[:start] + user + ":" + hidden + raw[at:]
}

// redisPrefix is visible ASCII, so that keys stay readable with redis-cli.
func redisPrefix() kind[string] {
	return kind[string]{"up to 64 visible ASCII characters", func(raw string) (string, error) {
		if len(raw) > 64 || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return "", errForm
		}
		return raw, nil
	}}
}
