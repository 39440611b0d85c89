package journal

import (
	"testing"
	"time"
)

func TestABlockThatIsLearnedTwiceCountsOnce(t *testing.T) {
	log := &memLog{}
	j, _ := open(t, log, Options{})
	j.Write(&Entry{Kind: Request, Path: "/once"})
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var news lessons // as a scan has them that read the block before the flush was through
	news.learn(j.codec, log.blocks[0])
	j.take(j.requests, news)
	if got := mustSearch(t, j, Query{}); len(got) != 1 || j.Counts().Kept != 1 {
		t.Errorf("found %s, %+v", paths(got), j.Counts())
	}
}

func TestAClockSetBackKeepsEntriesInOrderOfTime(t *testing.T) {
	j, err := New(&memLog{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	j.last = time.Now().Add(time.Hour).UnixNano() // what the clock said before it was set back
	ahead := item{&Entry{Kind: Request, Path: "/ahead"}, position{j.last, j.node}}
	j.queue = append(j.queue, ahead)
	j.waiting.Add(1)
	j.Write(&Entry{Kind: Request, Path: "/now"})
	for range 2 { // pending, then stored
		got := mustSearch(t, j, Query{})
		if paths(got) != "/ahead /now" || time.Since(got[1].Time) > time.Minute {
			t.Errorf("found %s, the second from %v", paths(got), got[1].Time)
		}
		if err := j.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if c := j.Counts(); c.Unreadable != 0 {
		t.Errorf("%+v", c)
	}
}

func TestWhatCountsAsAnError(t *testing.T) {
	for _, c := range []struct {
		entry Entry
		want  bool
	}{
		{Entry{Status: 200}, false},
		{Entry{Status: 404}, false},
		{Entry{Status: 401, AuthResult: "challenged"}, false},
		{Entry{Status: 500}, true},
		{Entry{Status: 502, ErrorKind: "connect", Error: "refused"}, true},
		{Entry{Status: 499, ErrorKind: "client_gone", Error: "context canceled"}, false},
		{Entry{Kind: MCP, Status: 200, IsError: true}, true},
		{Entry{Kind: System, Level: "WARNING"}, false},
		{Entry{Kind: System, Level: "CRITICAL"}, true},
	} {
		if got := c.entry.Failed(); got != c.want {
			t.Errorf("%s: %v", mustJSON(t, c.entry), got)
		}
	}
}
