package redisstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/store/redisstore"
	"gatehouse/test/redistest"
)

// TestTheLatestEntriesAreShownToPeople writes more entries than are shown through
// the journal, one with a secret in it, and looks with redis-cli.
func TestTheLatestEntriesAreShownToPeople(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{Addrs: []string{server.Addr()}, LogLife: map[string]time.Duration{"request": time.Hour}})
	j, err := journal.New(s, journal.Options{})
	must(t, err)
	follow(t, j)
	for i := range 1200 {
		j.Write(&journal.Entry{Kind: journal.Request, Path: fmt.Sprintf("/number/%d", i), Query: "token=hush-hush"})
	}
	j.Write(&journal.Entry{Kind: journal.Request, Path: "/the/last"})
	var newest string
	eventually(t, "the last entry is shown", func() bool {
		newest = server.CLI(t, "zrange", "log:recent", "-1", "-1")
		return strings.Contains(newest, "/the/last")
	})
	if n := server.CLI(t, "zcard", "log:recent"); n != "1000" {
		t.Errorf("%s are shown, want 1000", n)
	}
	if all := server.CLI(t, "zrange", "log:recent", "0", "-1"); strings.Contains(all, "hush-hush") || !strings.Contains(all, "/number/1199") {
		t.Error("a secret is shown, or an entry is missing")
	}
	if ttl := server.CLI(t, "ttl", "log:recent"); ttl == "-1" {
		t.Error("what is shown stays for ever")
	}
	must(t, j.Clear(t.Context()))
	if n := server.CLI(t, "zcard", "log:recent"); n != "0" {
		t.Errorf("%s are shown after all was forgotten", n)
	}
}

// follow runs a journal until the test ends.
func follow(t *testing.T, j *journal.Journal) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); _ = j.Run(t.Context()) }()
	t.Cleanup(func() { <-done })
}
