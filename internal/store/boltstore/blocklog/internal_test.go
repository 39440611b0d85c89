package blocklog

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func blockOf(data string) store.Block {
	return store.Block{Log: "request", First: noon, Last: noon, Data: []byte(data)}
}

func openTest(t *testing.T, dir string) *Logs {
	t.Helper()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustAppend(t *testing.T, l *Logs, data string, sync bool) {
	t.Helper()
	if _, err := l.Append(t.Context(), blockOf(data), sync); err != nil {
		t.Fatal(err)
	}
}

func all(t *testing.T, l *Logs) []string {
	t.Helper()
	var got []string
	err := l.Range(t.Context(), "request", time.Time{}, time.Time{}, false, func(b store.Block) bool {
		got = append(got, string(b.Data))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// progress is how many bytes of the active segment are safe, and of how many.
func progress(l *Logs) (safe, size int64) {
	j := l.logs["request"]
	j.mu.Lock()
	s, size := j.newest(), j.newest().size
	j.mu.Unlock()
	s.syncing.Lock()
	defer s.syncing.Unlock()
	return s.synced, size
}

func TestUnsyncedBlocksAreSafeWithinASecond(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := openTest(t, dir)
		defer l.Close()
		for range 3 {
			mustAppend(t, l, "x", false)
			if safe, size := progress(l); safe >= size {
				t.Fatal("it is safe at once, nobody asked for that")
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if safe, size := progress(l); safe < size {
				t.Fatalf("after a second %d of %d bytes are safe", safe, size)
			}
		}
	})
}

func TestSyncedBlocksAreSafeAtOnce(t *testing.T) {
	l := openTest(t, t.TempDir())
	defer l.Close()
	mustAppend(t, l, "x", true)
	if safe, size := progress(l); safe < size {
		t.Fatalf("%d of %d bytes are safe", safe, size)
	}
}

// TestAFailingDiskIsToldAndTheLogGoesOn takes the file away from under the log,
// so that writing and syncing fail as on a broken disk.
func TestAFailingDiskIsToldAndTheLogGoesOn(t *testing.T) {
	l := openTest(t, t.TempDir())
	mustAppend(t, l, "before", true)
	l.logs["request"].newest().file.Close()
	_, err := l.Append(t.Context(), blockOf("lost"), true)
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "disk under DATA_DIR failed") {
		t.Fatalf("got %v", err)
	}
	if err := l.logs["request"].sync(l.logs["request"].newest(), 1<<40); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("a failed sync: got %v", err)
	}
	mustAppend(t, l, "after", true)
	if got := all(t, l); !slices.Equal(got, []string{"before", "after"}) {
		t.Fatalf("got %q", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAFailedBackgroundSyncIsToldToTheNextAppender, because nobody else can be told.
func TestAFailedBackgroundSyncIsToldToTheNextAppender(t *testing.T) {
	l := openTest(t, t.TempDir())
	mustAppend(t, l, "x", false)
	j := l.logs["request"]
	j.newest().file.Close()
	j.flush()
	if _, err := l.Append(t.Context(), blockOf("y"), false); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("got %v, want Unavailable", err)
	}
	mustAppend(t, l, "z", true)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestACloseThatCanNotMakeBlocksSafeSaysSo(t *testing.T) {
	l := openTest(t, t.TempDir())
	mustAppend(t, l, "x", false)
	l.logs["request"].newest().file.Close()
	if err := l.Close(); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("got %v, want Unavailable", err)
	}
}

func TestSealedSegmentsAreOpenedByTheirIndex(t *testing.T) {
	dir := t.TempDir()
	l := openTest(t, dir)
	mustAppend(t, l, "old", true)
	later := blockOf("new")
	later.First, later.Last = noon.Add(2*time.Hour), noon.Add(2*time.Hour)
	if _, err := l.Append(t.Context(), later, true); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openTest(t, dir)
	defer l.Close()
	s := l.logs["request"].segments[0]
	if s.loaded || s.blocks != 1 || s.first != noon.UnixNano() || s.last != noon.UnixNano() {
		t.Fatalf("the sealed segment was read as %+v: want its sums only, from the index", s)
	}
	if got := all(t, l); !slices.Equal(got, []string{"old", "new"}) {
		t.Fatalf("got %q", got)
	}
}

// frames are frames of blocks, one behind the other.
func frames(datas ...string) []byte {
	var b []byte
	for i, data := range datas {
		b = append(b, newHead(kindBlock, int64(i), int64(i)+1, []byte(data)).frame([]byte(data))...)
	}
	return b
}

// FuzzScan: whatever stands in a segment, walking it ends, finds only frames that
// are wholly inside and behind each other, and finds those that stand before it.
func FuzzScan(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte(magic))
	f.Add(frames("a", "bb"))
	f.Add(frames("a", "bb")[:50])
	f.Add(append(frames("a"), encodeIndex([]entry{{0, 1, 0, 1}}, 37)...))
	f.Add(append([]byte("noise"), frames("a")...))
	f.Fuzz(func(t *testing.T, tail []byte) {
		good := frames("first", "second")
		content := append(slices.Clone(good), tail...)
		got, err := scan(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.entries) < 2 || got.entries[0].offset != 0 || got.entries[1].offset != headSize+5 {
			t.Fatalf("the frames before were lost: %+v", got)
		}
		end := int64(0)
		for _, e := range got.entries {
			if int64(e.offset) < end {
				t.Fatalf("frames overlap: %+v", got.entries)
			}
			end = int64(e.offset) + headSize + int64(e.length)
		}
		if end > got.end || got.end > int64(len(content)) {
			t.Fatalf("the end %d is not between %d and %d", got.end, end, len(content))
		}
	})
}

// FuzzReadIndex: an index is believed only when every entry is inside the file.
func FuzzReadIndex(f *testing.F) {
	content := frames("a", "bb")
	f.Add(append(content, encodeIndex([]entry{{0, 1, 0, 1}, {37, 2, 1, 2}}, int64(len(content)))...))
	f.Add(content)
	f.Add(bytes.Repeat([]byte{0}, 100))
	f.Fuzz(func(t *testing.T, content []byte) {
		entries, err := readIndex(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			if !errors.Is(err, errIndex) {
				t.Fatalf("got %v", err)
			}
			return
		}
		for _, e := range entries {
			if int64(e.offset)+headSize+int64(e.length) > int64(len(content)) {
				t.Fatalf("entry %+v is outside of %d bytes", e, len(content))
			}
		}
	})
}

// FuzzParseHead: what is parsed is what was written.
func FuzzParseHead(f *testing.F) {
	f.Add(frames("a"))
	f.Add(encodeIndex(nil, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHead(b)
		if err != nil {
			return
		}
		if again := h.frame(nil); !bytes.Equal(again[:4], b[:4]) || again[4] != b[4] || !bytes.Equal(again[8:32], b[8:32]) {
			t.Fatalf("%x became %x", b[:headSize], again)
		}
	})
}
