package blocklog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore/blocklog"
)

var day = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

func open(t testing.TB, dir string) *blocklog.Logs {
	t.Helper()
	l, err := blocklog.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, l) })
	return l
}

func shut(t testing.TB, l *blocklog.Logs) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// add appends a block that ends so many minutes into the day.
func add(t testing.TB, l *blocklog.Logs, minute int, data string) {
	t.Helper()
	at := day.Add(time.Duration(minute) * time.Minute)
	if _, err := l.Append(t.Context(), store.Block{Log: "request", First: at, Last: at, Data: []byte(data)}, true); err != nil {
		t.Fatal(err)
	}
}

func data(t testing.TB, l *blocklog.Logs) []string {
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

func wantData(t testing.TB, l *blocklog.Logs, want ...string) {
	t.Helper()
	if got := data(t, l); !slices.Equal(got, want) {
		t.Fatalf("got %.60q, want %.60q", got, want)
	}
}

func damaged(t testing.TB, l *blocklog.Logs) int64 {
	t.Helper()
	info, err := l.Info(t.Context(), "request")
	if err != nil {
		t.Fatal(err)
	}
	return info.Damaged
}

// segments are the files of the log, oldest first.
func segments(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "request", "*.blocks"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files
}

// written is a closed log with the blocks "one", "two" and "three", and its only file.
func written(t testing.TB) (dir, file string, whole []byte) {
	t.Helper()
	dir = t.TempDir()
	l, err := blocklog.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, data := range []string{"one", "two", "three"} {
		add(t, l, i, data)
	}
	shut(t, l)
	files := segments(t, dir)
	if len(files) != 1 {
		t.Fatalf("there are segments %q, want one", files)
	}
	whole, err = os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return dir, files[0], whole
}

func overwrite(t testing.TB, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTornFrameIsCutOff tears the last frame at every byte, as a crash may.
func TestTornFrameIsCutOff(t *testing.T) {
	dir, file, whole := written(t)
	third := len(whole) - 36 - len("three")
	for size := third; size < len(whole); size++ {
		overwrite(t, file, whole[:size])
		l := open(t, dir)
		wantData(t, l, "one", "two")
		if n := damaged(t, l); n != 0 {
			t.Fatalf("torn at %d: %d blocks are called damaged; a torn one was never acknowledged", size, n)
		}
		add(t, l, 5, "again")
		shut(t, l)
		again := open(t, dir)
		wantData(t, again, "one", "two", "again")
		if n := damaged(t, again); n != 0 {
			t.Fatalf("torn at %d: going on left %d damaged behind", size, n)
		}
		shut(t, again)
	}
}

// TestGarbageAtTheEndIsCutOff: after a power loss a file may be longer than what
// was written to it.
func TestGarbageAtTheEndIsCutOff(t *testing.T) {
	dir, file, whole := written(t)
	for name, garbage := range map[string]string{
		"zeros":           strings.Repeat("\x00", 100_000),
		"noise":           strings.Repeat("GHB\x01 noise \xff", 20_000),
		"half a magic":    "GH",
		"a frame's heads": string(whole[:20]) + string(whole[:35]),
	} {
		overwrite(t, file, append(slices.Clone(whole), garbage...))
		l := open(t, dir)
		wantData(t, l, "one", "two", "three")
		add(t, l, 5, "four")
		shut(t, l)
		again := open(t, dir)
		wantData(t, again, "one", "two", "three", "four")
		if n := damaged(t, again); n != 0 {
			t.Fatalf("%s: %d damaged", name, n)
		}
		shut(t, again)
	}
}

// TestDamagedBlockIsPassedOverAndCounted spoils each byte of the second of three
// frames: the others are served, and it is counted once, however often it is met.
func TestDamagedBlockIsPassedOverAndCounted(t *testing.T) {
	dir, file, whole := written(t)
	frame := 36 + len("one")
	for i := frame; i < 2*frame; i++ {
		spoiled := slices.Clone(whole)
		spoiled[i] ^= 0x40
		overwrite(t, file, spoiled)
		l := open(t, dir)
		wantData(t, l, "one", "three")
		wantData(t, l, "one", "three")
		if n := damaged(t, l); n != 1 {
			t.Fatalf("byte %d: %d damaged, want 1", i, n)
		}
		shut(t, l)
	}
}

func TestDamageWhileOpenIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	for i := range 5 {
		add(t, l, i*50, fmt.Sprint(i)) // over an hour each two: several segments
	}
	files := segments(t, dir)
	if len(files) < 3 {
		t.Fatalf("there are segments %q, want several", files)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	whole[36] ^= 1 // the first block's data
	overwrite(t, files[0], whole)
	wantData(t, l, "1", "2", "3", "4")
	if n := damaged(t, l); n != 1 {
		t.Fatalf("%d damaged, want 1", n)
	}
}

// TestSealedSegmentWithoutGoodIndexIsRead: the index is a help, not a need.
func TestSealedSegmentWithoutGoodIndexIsRead(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"cut off":        func(b []byte) []byte { return b[:2*(36+1)] },
		"cut in half":    func(b []byte) []byte { return b[:len(b)-20] },
		"tail changed":   func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"tail absurd":    func(b []byte) []byte { b[len(b)-8] = 0xff; return b },
		"entry changed":  func(b []byte) []byte { b[len(b)-20] ^= 1; return b },
		"head changed":   func(b []byte) []byte { b[2*37+10] ^= 1; return b },
		"garbage behind": func(b []byte) []byte { return append(b, "garbage"...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir)
			for i, minute := range []int{0, 10, 200, 210, 400} {
				add(t, l, minute, fmt.Sprint(i))
			}
			shut(t, l)
			files := segments(t, dir)
			if len(files) != 3 {
				t.Fatalf("there are segments %q, want three", files)
			}
			whole, err := os.ReadFile(files[1])
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, files[1], spoil(whole))
			again := open(t, dir)
			wantData(t, again, "0", "1", "2", "3", "4")
			if info, err := again.Info(t.Context(), "request"); err != nil || info.Blocks != 5 {
				t.Fatalf("the log says %+v, %v: want 5 blocks", info, err)
			}
		})
	}
}

func TestReadingGoesOnWhileBlocksAreDropped(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	for i := range 6 {
		add(t, l, i*100, fmt.Sprint(i))
	}
	var got []string
	err := l.Range(t.Context(), "request", time.Time{}, time.Time{}, false, func(b store.Block) bool {
		got = append(got, string(b.Data))
		if len(got) == 1 {
			if err := l.Drop(t.Context(), "request", day.Add(390*time.Minute)); err != nil {
				t.Error(err)
			}
			add(t, l, 700, "new")
		}
		return true
	})
	if err != nil || !slices.Equal(got, []string{"0", "4", "5"}) {
		t.Fatalf("got %q, %v", got, err)
	}
	wantData(t, l, "4", "5", "new")
	if files := segments(t, dir); len(files) != 3 {
		t.Fatalf("the files are %q, want those of three segments", files)
	}
}

// TestSegmentsAreBounded: many blocks in one hour do not become one endless file.
func TestSegmentsAreBounded(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	large := strings.Repeat("x", store.MaxValue)
	for range 20 {
		at := day
		if _, err := l.Append(t.Context(), store.Block{Log: "request", First: at, Last: at, Data: []byte(large)}, false); err != nil {
			t.Fatal(err)
		}
	}
	files := segments(t, dir)
	if len(files) < 2 {
		t.Fatalf("80 MiB are in %q", files)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Size() > 65<<20 {
			t.Errorf("%s has %d bytes, %v", file, info.Size(), err)
		}
	}
	if got := data(t, l); len(got) != 20 {
		t.Fatalf("got %d blocks, want 20", len(got))
	}
}

// TestLongRequestsDoNotMakeManySegments: an entry that began hours ago, a stream's,
// makes a block begin early; that alone must not start a new file.
func TestLongRequestsDoNotMakeManySegments(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	for i := range 50 {
		last := day.Add(12*time.Hour + time.Duration(i)*time.Second)
		b := store.Block{Log: "request", First: last.Add(-time.Duration(i%7) * time.Hour), Last: last, Data: []byte("x")}
		if _, err := l.Append(t.Context(), b, false); err != nil {
			t.Fatal(err)
		}
	}
	if files := segments(t, dir); len(files) != 1 {
		t.Fatalf("50 blocks of one minute are in %d segments", len(files))
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	dir, file, _ := written(t)
	for _, name := range []string{"notes.txt", "1.blocks", "0000000001.blocks~", "99999999999999999999999.blocks"} {
		overwrite(t, filepath.Join(filepath.Dir(file), name), []byte("mine"))
	}
	if err := os.MkdirAll(filepath.Join(dir, "NOT-A-LOG"), 0o700); err != nil {
		t.Fatal(err)
	}
	l := open(t, dir)
	wantData(t, l, "one", "two", "three")
	if err := l.Drop(t.Context(), "request", day.Add(1000*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(file), "notes.txt")); err != nil {
		t.Fatal(err)
	}
}

func TestLogsAreBounded(t *testing.T) {
	l := open(t, t.TempDir())
	var err error
	for i := range 100 {
		name := fmt.Sprintf("log%c%c", 'a'+i/26, 'a'+i%26)
		if _, err = l.Append(t.Context(), store.Block{Log: name, First: day, Last: day, Data: []byte("x")}, false); err != nil {
			break
		}
	}
	if !fault.Is(err, fault.Invalid) {
		t.Fatalf("100 logs: got %v, want Invalid at some number", err)
	}
}

func TestReadingALogThatIsNotThereMakesNothing(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	wantData(t, l)
	if n := damaged(t, l); n != 0 {
		t.Fatal(n)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Fatalf("the folder has %v, %v", files, err)
	}
}
