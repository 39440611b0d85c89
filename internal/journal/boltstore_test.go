package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/store/boltstore"
)

func openBolt(t *testing.T, dir string) *boltstore.Store {
	t.Helper()
	db, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // closed already where the test restarts
	return db
}

func TestEmbeddedStoreKeepsEntriesOverRestarts(t *testing.T) {
	dir := t.TempDir()
	for run := range 3 {
		db := openBolt(t, dir)
		j, stop := open(t, db, Options{})
		if got := mustSearch(t, j, Query{Limit: 1000}); len(got) != run*300 {
			t.Errorf("run %d begins with %d entries", run, len(got))
		}
		for i := range 300 {
			j.Write(&Entry{Kind: Request, Path: fmt.Sprintf("/%d/%d", run, i), Query: "token=" + secret})
		}
		stop()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), secret) {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEmbeddedStoreClears(t *testing.T) {
	dir := t.TempDir()
	db := openBolt(t, dir)
	j, stop := open(t, db, Options{})
	j.Write(&Entry{Kind: Request, Path: "/gone"})
	j.Write(&Entry{Kind: Audit, Action: "stays"})
	if err := j.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again, _ := open(t, openBolt(t, dir), Options{})
	if got := mustSearch(t, again, Query{}); len(got) != 1 || got[0].Action != "stays" {
		t.Error(mustJSON(t, got))
	}
}

func TestADamagedBlockCostsItsOwnEntriesAlone(t *testing.T) {
	log := &memLog{}
	j, stop := open(t, log, Options{})
	for i := range 3 {
		j.Write(&Entry{Kind: Request, Path: fmt.Sprintf("/%d", i)})
		if err := j.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	log.blocks[1].Data = []byte("damaged")
	again, _ := open(t, log, Options{})
	if got := paths(mustSearch(t, again, Query{})); got != "/2 /0" {
		t.Errorf("found %s", got)
	}
	if c := again.Counts(); c.Unreadable == 0 {
		t.Errorf("%+v", c)
	}
}

func TestLargeEntriesFitIntoBlocks(t *testing.T) {
	j, _ := open(t, &memLog{}, Options{})
	for i := range 6 {
		e := everyField(position{})
		e.Kind, e.Path = Request, fmt.Sprintf("/%d", i)
		e.RequestBody, e.ResponseBody = noise(i, 1<<19), noise(-i, 1<<19)
		e.UserAgent, e.Referer = noise(i, 1<<16), noise(i, 1<<16)
		e.RequestHeaders = map[string]string{}
		for h := range 150 {
			e.RequestHeaders[fmt.Sprintf("X-%d", h)] = noise(h+i, 1<<14)
		}
		j.Write(e)
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := j.Counts(); c.Written != 6 || c.Dropped != 0 {
		t.Errorf("%+v", c)
	}
	got := mustSearch(t, j, Query{})
	if len(got) != 6 || len(got[0].RequestBody) < maxBody || len(got[0].RequestHeaders) != maxHeaders || len(got[0].UserAgent) > maxLine+8 {
		t.Errorf("%d entries; body %d, headers %d, agent %d", len(got), len(got[0].RequestBody), len(got[0].RequestHeaders), len(got[0].UserAgent))
	}
}
