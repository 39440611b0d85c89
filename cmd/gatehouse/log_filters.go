package main

import (
	"time"

	"github.com/spf13/pflag"

	"gatehouse/internal/journal"
)

// filters are the flags that every search takes.
type filters struct {
	query        journal.Query
	since, until string
}

func (f *filters) bind(s *pflag.FlagSet, but string) {
	q := &f.query
	for _, flag := range []struct {
		into        *string
		name, usage string
	}{
		{&q.Proxy, "proxy", "only this host"}, {&q.IP, "ip", "only this client's address"}, {&q.User, "user", "only this person"},
		{&q.Client, "client", "only this OAuth client"}, {&q.Status, "status", "only this status, like 404 or 4xx"}, {&q.Method, "method", "only this method"},
		{&q.Path, "path", "only this path, or with * what begins so"}, {(*string)(&q.Kind), "kind", "only request, oauth, mcp, audit or system"},
		{&f.since, "since", "from this time on, like 2026-01-02T15:04:05Z"}, {&f.until, "until", "up to this time"},
		{&q.Cursor, "cursor", "where the last page ended"},
	} {
		if flag.name != but {
			s.StringVar(flag.into, flag.name, "", flag.usage)
		}
	}
	s.Float64Var(&q.Hours, "hours", usualHours, "how many hours back")
	s.IntVar(&q.Limit, "limit", 0, "entries at most (default 100)")
}

// complete is the query that the flags mean.
func (f *filters) complete() (journal.Query, error) {
	q := f.query
	for _, t := range []struct {
		flag, text string
		into       *time.Time
	}{{"since", f.since, &q.Since}, {"until", f.until, &q.Until}} {
		if t.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, t.text)
		if err != nil {
			return q, usage("--%s %q: write it as 2026-01-02T15:04:05Z", t.flag, t.text)
		}
		*t.into = at
	}
	if f.since != "" {
		q.Hours = 0
	}
	return q, nil
}

// bindFollow are the filters that make sense for what has not happened yet.
func bindFollow(s *pflag.FlagSet, q *journal.Query) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	f := filters{}
	f.bind(all, "")
	for _, name := range []string{"proxy", "ip", "user", "client", "status", "method", "path"} {
		s.StringVar(parameter(q, name), name, "", all.Lookup(name).Usage)
	}
	s.StringVar((*string)(&q.Kind), "kind", "", all.Lookup("kind").Usage)
	s.BoolVar(&q.Errors, "errors", false, "only what failed")
}

// parameter is the query's parameter of that name.
func parameter(q *journal.Query, name string) *string {
	switch name {
	case "ip":
		return &q.IP
	case "proxy":
		return &q.Proxy
	case "user":
		return &q.User
	case "client":
		return &q.Client
	case "session":
		return &q.Session
	case "method":
		return &q.Method
	case "status":
		return &q.Status
	case "path":
		return &q.Path
	}
	return &q.Q
}
