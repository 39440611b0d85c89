package journal

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/store"
)

// open is a journal on log that runs until the test ends or stop is called.
func open(t *testing.T, log store.Log, opts Options) (j *Journal, stop func()) {
	t.Helper()
	j, err := New(log, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return j, stop
}

func mustSearch(t *testing.T, j *Journal, q Query) []*Entry {
	t.Helper()
	page, err := j.Search(t.Context(), q)
	if err != nil {
		t.Fatalf("Search(%+v): %v", q, err)
	}
	return page.Logs
}

func paths(entries []*Entry) string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Path)
	}
	return strings.Join(all, " ")
}

func TestSearchSeesWhatWasJustWritten(t *testing.T) {
	j, _ := open(t, &memLog{}, Options{})
	for i := range 3 {
		j.Write(&Entry{Kind: Request, Path: fmt.Sprintf("/%d", i), Status: 200})
		if got := mustSearch(t, j, Query{}); len(got) != i+1 || got[0].Path != fmt.Sprintf("/%d", i) {
			t.Fatalf("after %d: %s", i, paths(got))
		}
	}
}

func TestEntriesOutliveTheProcess(t *testing.T) {
	log := &memLog{}
	j, stop := open(t, log, Options{})
	full := sample(1)
	j.Write(full)
	j.Write(&Entry{Kind: Audit, Action: "create_proxy", Object: "app.test"})
	stop()
	want := mustJSON(t, full)

	again, _ := open(t, log, Options{})
	if got := mustSearch(t, again, Query{Kind: Request}); len(got) != 1 || mustJSON(t, got[0]) != want {
		t.Errorf("got  %s\nwant %s", mustJSON(t, got), want)
	}
	if got := mustSearch(t, again, Query{Kind: Audit}); len(got) != 1 || got[0].Action != "create_proxy" {
		t.Errorf("audit: %s", mustJSON(t, got))
	}
	if got := mustSearch(t, again, Query{}); len(got) != 2 {
		t.Errorf("all kinds together: %s", mustJSON(t, got))
	}
}

func TestAuditEntriesAreStoredAtOnceAndSafely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{}
		j, stop := open(t, log, Options{})
		synctest.Wait()
		j.Write(&Entry{Kind: Request, Path: "/waits"})
		j.Write(&Entry{Kind: Audit, Action: "delete_proxy"})
		synctest.Wait() // no time passes
		if log.count("audit") != 1 || log.synced != 1 || log.count("request") != 0 {
			t.Errorf("audit blocks %d, synced %d, request blocks %d", log.count("audit"), log.synced, log.count("request"))
		}
		time.Sleep(flushEvery)
		synctest.Wait()
		if log.count("request") != 1 {
			t.Errorf("request blocks after a second: %d", log.count("request"))
		}
		stop()
	})
}

func TestWriteNeverWaitsAndCountsWhatIsDropped(t *testing.T) {
	log := &memLog{away: true}
	j, err := New(log, Options{Queue: 100})
	if err != nil {
		t.Fatal(err)
	}
	for range 150 {
		j.Write(&Entry{Kind: Request})
	}
	j.Write(&Entry{Kind: Audit, Action: "still taken"})
	if c := j.Counts(); c.Dropped != 50 || c.Waiting != 101 {
		t.Errorf("%+v", c)
	}
	if err := j.Flush(t.Context()); err == nil {
		t.Error("Flush says all is well with the store away")
	}
	log.setAway(false)
	if err := j.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if c := j.Counts(); c.Waiting != 0 || c.Written != 101 || c.Kept != 101 {
		t.Errorf("%+v", c)
	}
}

func TestEntriesSurviveAStoreThatIsAwayForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, said := &memLog{}, &lockedBuffer{}
		logger, _ := NewLogger(said, "json", LevelInfo)
		j, stop := open(t, log, Options{Logger: logger})
		synctest.Wait()
		log.setAway(true)
		for range 60 {
			j.Write(&Entry{Kind: Request, Path: "/x"})
			time.Sleep(time.Second)
		}
		if got := mustSearch(t, j, Query{}); len(got) != 60 {
			t.Errorf("while away: %d entries", len(got))
		}
		log.setAway(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if c := j.Counts(); c.Waiting != 0 || c.Dropped != 0 || c.Written != 60 {
			t.Errorf("after: %+v", c)
		}
		stop()
		if failed, again := strings.Count(said.String(), "can't be stored"), strings.Count(said.String(), "stored again"); failed != 1 || again != 1 {
			t.Errorf("the trouble was told %d times, its end %d times, want once each:\n%s", failed, again, said)
		}
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func TestNothingIsStoredUnmasked(t *testing.T) {
	j, _ := open(t, &memLog{}, Options{})
	e := &Entry{
		Kind: Request, Path: "/cb/" + jwt, Query: "code=" + secret, Referer: "https://a.test/?x=" + secret, UserAgent: "a\x1b[2J",
		Error: `Get "https://b.test/?token=` + secret + `": EOF`, Target: "http://u:" + secret + "@10.0.0.1", Message: "password=" + secret,
		RequestHeaders:  map[string]string{"Authorization": secret, "X-A": jwt},
		ResponseHeaders: map[string]string{"Location": "/cb?q=" + secret, "Set-Cookie": secret},
		RequestBody:     `{"password":"` + secret + `"}`, ResponseBody: "access_token=" + secret, Before: `{"client_secret":"` + secret + `"}`,
	}
	j.Write(e)
	for range 2 { // pending, then stored
		text := mustJSON(t, mustSearch(t, j, Query{}))
		if strings.Contains(text, secret) || strings.Contains(text, "eyJhbG") || strings.Contains(text, `\u001b`) {
			t.Error(text)
		}
		if err := j.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFollowTellsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, stop := open(t, &memLog{}, Options{})
		j.Write(&Entry{Kind: Request, Path: "/before"})
		ctx, cancel := context.WithCancel(t.Context())
		live, err := j.Follow(ctx, Query{Proxy: "app.test", Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		for i := range 3 {
			j.Write(&Entry{Kind: Request, Proxy: "other.test"})
			j.Write(&Entry{Kind: Request, Proxy: "app.test", Path: fmt.Sprint(i), Query: "code=" + secret})
			if e := <-live; e.Path != fmt.Sprint(i) || e.ID == "" || e.Query != "code=***" {
				t.Errorf("followed %s", mustJSON(t, e))
			}
		}
		if waited := time.Since(start); waited > 0 {
			t.Errorf("followed after %v, not at once", waited)
		}
		cancel()
		if _, open := <-live; open {
			t.Error("the channel is open after the end of ctx")
		}
		stop()
	})
}

func TestSlowFollowerLosesAndIsCounted(t *testing.T) {
	j, _ := open(t, &memLog{}, Options{})
	if _, err := j.Follow(t.Context(), Query{}); err != nil {
		t.Fatal(err)
	}
	for range followBuffer + 10 {
		j.Write(&Entry{Kind: Request})
	}
	mustSearch(t, j, Query{})
	if lost := j.Counts().Unfollowed; lost != 10 {
		t.Errorf("lost %d", lost)
	}
}

func TestNodesSeeEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{}
		a, stopA := open(t, log, Options{})
		b, stopB := open(t, log, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		live, err := b.Follow(ctx, Query{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		a.Write(&Entry{Kind: Request, Path: "/from-a"})
		if e := <-live; e.Path != "/from-a" {
			t.Errorf("followed %s", e.Path)
		}
		synctest.Wait()
		if got := paths(mustSearch(t, b, Query{})); got != "/from-a" {
			t.Errorf("b finds %q", got)
		}
		if err := a.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := paths(mustSearch(t, b, Query{})); got != "" {
			t.Errorf("after a.Clear b finds %q", got)
		}
		cancel()
		stopA()
		stopB()
	})
}

func TestClearSparesAuditAndLastsOverRestarts(t *testing.T) {
	log := &memLog{}
	j, stop := open(t, log, Options{})
	j.Write(&Entry{Kind: Request, Path: "/gone"})
	j.Write(&Entry{Kind: Audit, Action: "stays"})
	if err := j.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	j.Write(&Entry{Kind: Request, Path: "/after"})
	check := func(j *Journal) {
		t.Helper()
		got := mustSearch(t, j, Query{})
		if len(got) != 2 || got[0].Path != "/after" || got[1].Action != "stays" {
			t.Error(mustJSON(t, got))
		}
	}
	check(j)
	stop()
	again, _ := open(t, log, Options{})
	check(again)
}

func TestRetentionDropsOldEntriesButAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{}
		j, stop := open(t, log, Options{Retention: time.Hour})
		j.Write(&Entry{Kind: Request, Path: "/old"})
		j.Write(&Entry{Kind: Audit, Action: "old"})
		time.Sleep(40 * time.Minute)
		j.Write(&Entry{Kind: Request, Path: "/young"})
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		got := mustSearch(t, j, Query{})
		if len(got) != 2 || got[0].Path != "/young" || got[1].Action != "old" {
			t.Error(mustJSON(t, got))
		}
		log.mu.Lock()
		asked := time.Since(log.dropped)
		log.mu.Unlock()
		if asked < 40*time.Minute || asked > 366*24*time.Hour {
			t.Errorf("Drop was asked for what is older than %v", asked)
		}
		stop()
	})
}

func TestMaxEntriesDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, stop := open(t, &memLog{}, Options{MaxEntries: 1000})
		for i := range 3000 {
			j.Write(&Entry{Kind: Request, Path: fmt.Sprintf("/%d", i)})
		}
		time.Sleep(2 * tidyEvery)
		synctest.Wait()
		got := mustSearch(t, j, Query{Limit: 1000})
		if len(got) != 1000 || got[0].Path != "/2999" || got[999].Path != "/2000" {
			t.Errorf("%d entries, %s to %s", len(got), got[0].Path, got[len(got)-1].Path)
		}
		if more := mustSearch(t, j, Query{Path: "/1999"}); len(more) != 0 {
			t.Errorf("found %s", paths(more))
		}
		stop()
	})
}

func TestSmallBlocksShareASegment(t *testing.T) {
	j, _ := open(t, &memLog{}, Options{})
	for i := range 400 {
		j.Write(&Entry{Kind: Request, Path: fmt.Sprintf("/%d", i), Status: 200 + i})
		if err := j.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(j.requests.segments); n > 2 {
		t.Errorf("400 blocks of one entry are %d segments", n)
	}
	if got := mustSearch(t, j, Query{Status: "399"}); paths(got) != "/199" {
		t.Errorf("found %s", paths(got))
	}
	if got := mustSearch(t, j, Query{Limit: 500}); len(got) != 400 || got[0].Path != "/399" || got[399].Path != "/0" {
		t.Errorf("%d entries", len(got))
	}
}

func TestWriteIsSafeFromManyGoroutines(t *testing.T) {
	j, stop := open(t, &memLog{}, Options{Queue: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 500 {
				j.Write(&Entry{Kind: Request, User: fmt.Sprint("u", g), Path: fmt.Sprint("/", i)})
				if i%100 == 0 {
					if _, err := j.Search(t.Context(), Query{User: fmt.Sprint("u", g)}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	stop()
	ids := map[string]bool{}
	for g := range 8 {
		got := mustSearch(t, j, Query{User: fmt.Sprint("u", g), Limit: 1000})
		if len(got) != 500 {
			t.Errorf("u%d has %d entries", g, len(got))
		}
		for _, e := range got {
			ids[e.ID] = true
		}
	}
	if len(ids) != 4000 {
		t.Errorf("%d different ids", len(ids))
	}
}
