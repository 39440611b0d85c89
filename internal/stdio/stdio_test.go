package stdio

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/local"
)

func TestEachSessionHasItsProgram(t *testing.T) {
	t.Parallel()
	r := newRig(t, "server")
	for _, version := range []string{"2025-06-18", "2025-11-25"} {
		a, b := r.connect("alice", version), r.connect("alice", version)
		if got := a.InitializeResult().ProtocolVersion; got != version {
			t.Errorf("they speak %s", got)
		}
		r.call(a, "count", nil)
		if got := r.call(a, "count", nil); got != "2" {
			t.Errorf("a session's second call is its %s.", got)
		}
		if got := r.call(b, "count", nil); got != "1" {
			t.Errorf("another session's first call is its %s.", got)
		}
	}
}

func TestVersionsWithoutSessions(t *testing.T) {
	t.Parallel()
	r := newRig(t, "server")
	a, b := r.connect("alice", "2026-07-28"), r.connect("bob", "2026-07-28")
	if got := a.InitializeResult().ProtocolVersion; got != "2026-07-28" {
		t.Errorf("they speak %s", got)
	}
	r.call(a, "count", nil)
	if got := r.call(b, "count", nil); got != "1" {
		t.Errorf("bob's first call is alice's program's %s.", got)
	}
}

func TestOneProgramForEverybody(t *testing.T) {
	t.Parallel()
	r := newRig(t, "server", func(d *local.Definition) { d.Mode = local.Shared })
	a, b := r.connect("alice", "2025-11-25"), r.connect("bob", "2025-11-25")
	r.call(a, "count", nil)
	if got := r.call(b, "count", nil); got != "2" {
		t.Errorf("the second call is the program's %s.", got)
	}
	var all sync.WaitGroup
	for i := range 200 {
		c, who := a, "alice"
		if i%2 == 0 {
			c, who = b, "bob"
		}
		all.Go(func() {
			want := fmt.Sprint(who, i)
			got, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"text": want}})
			if err != nil || got.Content[0].(*mcp.TextContent).Text != want {
				t.Errorf("%s: %v, %v", want, got, err)
			}
		})
	}
	all.Wait()
}

func TestForeignSessionsAreNotThere(t *testing.T) {
	t.Parallel()
	r := newRig(t, "server")
	id := r.begin("alice")
	const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	if res, body := r.post("alice", id, ping); res.StatusCode != 200 || !strings.Contains(body, `"id":1`) {
		t.Errorf("alice's own: %d %s", res.StatusCode, body)
	}
	for who, session := range map[string]string{"bob": id, "alice": id + "x", "": id} {
		if res, body := r.post(who, session, ping); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s with %s: %d %s", who, session, res.StatusCode, body)
		}
	}
	if res, body := r.post("alice", "", ping); res.StatusCode != http.StatusBadRequest {
		t.Errorf("no session: %d %s", res.StatusCode, body)
	}
	for _, bad := range []string{``, `[]`, `{}`, `null`, `[1]`, `{"id":1}`, `x`, `{"id":1,"method":"ping"}`, `{"jsonrpc":"1.0","id":1,"method":"ping"}`, `{"jsonrpc":"2.0","id":{},"method":"ping"}`,
		`{"jsonrpc":"2.0","id":true,"method":"ping"}`, `{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}`, `{"jsonrpc":"2.0","id":1,"method":7}`,
		`{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`, `[{"jsonrpc":"2.0","id":1,"method":"ping"},{"id":2,"method":"ping"}]`} {
		if res, body := r.post("alice", id, bad); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %d %s", bad, res.StatusCode, body)
		}
	}
	if res, body := r.post("alice", id, ping); res.StatusCode != 200 {
		t.Errorf("after what is no message: %d %s", res.StatusCode, body)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, r.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-User", "alice")
	req.Header.Set(sessionHeader, id)
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusNoContent {
		t.Fatalf("%v, %v", res, err)
	}
	res.Body.Close()
	if res, _ := r.post("alice", id, ping); res.StatusCode != http.StatusNotFound {
		t.Errorf("an ended session answers %d", res.StatusCode)
	}
}

// TestProgramsAreKeptApart: a program gets nothing of ours but what its definition says.
func TestProgramsAreKeptApart(t *testing.T) {
	r := newRig(t, "server")
	t.Setenv("SECRET_KEY", "very-secret")
	t.Setenv("GITHUB_CLIENT_SECRET", "very-secret")
	c := r.connect("alice", "2025-11-25")
	env := strings.Split(r.call(c, "env", nil), "\n")
	slices.Sort(env)
	var names []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		names = append(names, name)
	}
	if !slices.Equal(names, []string{"GIVEN", "HOME", "LANG", "PATH", "TMPDIR"}) {
		t.Errorf("the program's environment: %v", env)
	}
	secret := filepath.Join(r.data, "secret.key")
	if got := r.call(c, "read", map[string]any{"path": secret}); strings.Contains(got, "the secret") || !strings.Contains(got, "permission denied") {
		t.Errorf("the program reads DATA_DIR: %s", got)
	}
	if got := r.call(c, "read", map[string]any{"path": fmt.Sprintf("/proc/%d/environ", os.Getpid())}); strings.Contains(got, "very-secret") || !strings.Contains(got, "permission denied") {
		t.Errorf("the program reads our environment: %.200q", got)
	}
	if got := r.call(c, "read", map[string]any{"path": fmt.Sprintf("/proc/%d/root%s", os.Getpid(), secret)}); strings.Contains(got, "the secret") {
		t.Errorf("the program reads DATA_DIR by another way: %s", got)
	}
	for _, do := range []string{"list", "put", "remove"} {
		if got := r.call(c, do, map[string]any{"path": r.data}); !strings.Contains(got, "permission denied") {
			t.Errorf("the program may %s in DATA_DIR: %s", do, got)
		}
	}
	other := r.connect("bob", "2025-11-25")
	var bobs struct{ Dir string }
	if err := json.Unmarshal([]byte(r.call(other, "where", nil)), &bobs); err != nil {
		t.Fatal(err)
	}
	if got := r.call(c, "list", map[string]any{"path": bobs.Dir}); !strings.Contains(got, "permission denied") {
		t.Errorf("one program sees into the folder of another: %s", got)
	}
	if got := r.call(c, "put", map[string]any{"path": "."}); got != "<nil>" {
		t.Errorf("a program can't write in its own folder: %s", got)
	}
	r.call(c, "remove", map[string]any{"path": "."})
	if got := r.call(c, "read", map[string]any{"path": "/etc/hostname"}); !strings.Contains(got, "<nil>") {
		t.Errorf("the program can't read what everybody may: %s", got)
	}
	var w struct {
		UID, PID, Inside          int
		Dir, Limits, Status, Stat string
		FDs                       map[string]string
	}
	if err := json.Unmarshal([]byte(r.call(c, "where", nil)), &w); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 && w.UID == 0 {
		t.Error("the program runs as root")
	}
	if w.Inside != 0 || !strings.Contains(w.Dir, "gatehouse-program-") {
		t.Errorf("its folder %s holds %d entries", w.Dir, w.Inside)
	}
	for fd, to := range w.FDs {
		if own := strings.HasPrefix(to, "pipe:") && fd < "3" || strings.HasPrefix(to, "anon_inode:") || to == "" || strings.HasPrefix(to, "/proc/") || strings.HasPrefix(to, "/sys/"); !own {
			t.Errorf("it has the descriptor %s: %s", fd, to)
		}
	}
	if !strings.Contains(w.Status, "NoNewPrivs:\t1") {
		t.Error("it may gain privileges")
	}
	for _, limit := range []string{"Max core file size 0 0", "Max open files 1024 1024", "Max data size 2147483648 2147483648"} {
		if !strings.Contains(strings.Join(strings.Fields(w.Limits), " "), limit) {
			t.Errorf("no %q in\n%s", limit, w.Limits)
		}
	}
	if fields := strings.Fields(w.Stat); fields[4] != fmt.Sprint(w.PID) {
		t.Errorf("it is in the process group %s", fields[4])
	}
	_ = c.Close()
	r.await("end of the program and its folder", func() bool {
		_, err := os.Stat(w.Dir)
		return errors.Is(err, os.ErrNotExist) && errors.Is(syscall.Kill(w.PID, 0), syscall.ESRCH)
	})
}

// TestHiddenFolderIsHiddenFromItsOwner: nothing that is opened leads there.
func TestHiddenFolderIsHiddenFromItsOwner(t *testing.T) {
	t.Parallel()
	hidden := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(hidden, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(filepath.Dir(hidden), folderName+"own")
	other := filepath.Join(filepath.Dir(hidden), folderName+"other")
	for _, dir := range []string{own, other} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	open := places{folders: []string{own}}
	if err := open.add("/", hidden, filepath.Dir(own)); err != nil {
		t.Fatal(err)
	}
	for _, path := range append(open.folders, open.files...) {
		for _, closed := range []string{hidden, other} {
			if path == closed || leadsTo(path, closed) || leadsTo(closed, path) {
				t.Errorf("%s is open, and leads to %s", path, closed)
			}
		}
	}
	if !slices.Contains(open.folders, "/usr") || !slices.Contains(open.folders, "/etc") || !slices.Contains(open.folders, own) {
		t.Errorf("not open: %v", open.folders)
	}
}

func TestProgressAndCancelling(t *testing.T) {
	t.Parallel()
	r := newRig(t, "server")
	session := r.begin("bob")
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, strings.NewReader(
		`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"slow","arguments":{"mark":"cancelled.txt"},"_meta":{"progressToken":"mine"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "X-User": "bob", sessionHeader: session} {
		req.Header.Set(name, value)
	}
	r.post("bob", session, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewScanner(res.Body)
	for in.Scan() && !strings.HasPrefix(in.Text(), "data:") {
	}
	if !strings.Contains(in.Text(), `"progressToken":"mine"`) || !strings.Contains(in.Text(), "begun") {
		t.Errorf("no progress: %s", in.Text())
	}
	cancel()
	_, where := r.post("bob", session, `{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"where","arguments":{}}}`)
	_, rest, _ := strings.Cut(where, `\"dir\":\"`)
	dir, _, _ := strings.Cut(rest, `\"`)
	r.await("word to the program that its request was cancelled", func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "cancelled.txt"))
		return err == nil && string(b) == "cancelled"
	})
}

// TestAProgramAsksItsClient: on the stream of the request that it is about.
func TestAProgramAsksItsClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ask")
	c, err := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, &mcp.ClientOptions{
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "alice"}}, nil
		},
	}).Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: r.URL, HTTPClient: &http.Client{Transport: as{"alice"}}}, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := r.call(c, "any", nil); !strings.Contains(got, "alice") {
		t.Errorf("the program heard %s", got)
	}
}

func TestAProgramThatEndsInTheMiddle(t *testing.T) {
	t.Parallel()
	r := newRig(t, "crash")
	res, body := r.post("alice", "", hello)
	if !strings.Contains(body, "has ended") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	r.await("end of the session", func() bool {
		res, _ := r.post("alice", res.Header.Get(sessionHeader), `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
		return res.StatusCode == http.StatusNotFound
	})
	r.await("pause before it is started again", func() bool {
		res, _ := r.post("alice", "", hello)
		return res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != ""
	})
	if !strings.Contains(r.log.String(), "ended by itself") || !strings.Contains(r.log.String(), "exit status 3") {
		t.Errorf("the log does not tell: %s", r.log.String())
	}
}

func TestWhatIsNotThereIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t, "server", func(d *local.Definition) { d.Command, d.Args = "/no/such/program", nil })
	r.post("alice", "", hello)
	r.await("word in the log", func() bool { return strings.Contains(r.log.String(), "/no/such/program: no such file") })
	if err := r.names.Remove("x"); err != nil {
		t.Fatal(err)
	}
	if res, body := r.post("alice", "", hello); res.StatusCode != http.StatusServiceUnavailable || strings.Contains(body, "local.d") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestProgramsThatDoNotEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, "deaf", func(d *local.Definition) { d.Idle = 1 })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, strings.NewReader(hello))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	go func() {
		r.await("session", func() bool { r.runner.mu.Lock(); defer r.runner.mu.Unlock(); return len(r.runner.sessions) == 1 })
		cancel()
	}()
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Fatal("a program that reads nothing has answered")
	}
	r.await("end of the session", func() bool { r.runner.mu.Lock(); defer r.runner.mu.Unlock(); return len(r.runner.sessions) == 0 })
	// The cleanup waits until the program is gone.
}

func TestNoiseIsNotPassedOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, "chatter")
	c := r.connect("alice", "2025-11-25")
	if got := r.call(c, "echo", map[string]any{"text": "hi"}); got != "hi" {
		t.Errorf("%s", got)
	}
	r.await("word of it", func() bool {
		return strings.Contains(r.log.String(), "no message to its standard output") && strings.Contains(r.log.String(), "hello from the program")
	})
	if strings.Contains(r.log.String(), "\x1b") {
		t.Error("a program writes control characters to the log")
	}
}

func TestALineWithoutEndIsNotHeld(t *testing.T) {
	t.Parallel()
	r := newRig(t, "flood")
	if res, body := r.post("alice", "", hello); !strings.Contains(body, "has ended") {
		t.Errorf("%d %.200s", res.StatusCode, body)
	}
	r.await("word of it", func() bool { return strings.Contains(r.log.String(), "longer than can be taken") })
}

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ask", func(d *local.Definition) { d.Sessions = 4 })
	first := r.begin("alice")
	for range 3 {
		r.begin("alice") // the oldest of one's own makes room: half of all is nobody's alone
	}
	if res, _ := r.post("alice", first, `{"jsonrpc":"2.0","id":1,"method":"ping"}`); res.StatusCode != http.StatusNotFound {
		t.Errorf("the oldest answers %d", res.StatusCode)
	}
	r.begin("bob")
	r.begin("carol")
	if res, body := r.post("dave", "", hello); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("more than there may be: %d %s", res.StatusCode, body)
	}
}

// TestNobodyUsesUpTheSharedPrograms: by versions that are not there, or by coming
// once and not again.
func TestNobodyUsesUpTheSharedPrograms(t *testing.T) {
	t.Parallel()
	r := newRig(t, "server", func(d *local.Definition) { d.Mode, d.Sessions = local.Shared, 3 })
	for i := range 6 {
		res, body := r.post("mallory", "", strings.Replace(hello, "2025-11-25", fmt.Sprintf("1999-01-0%d", i), 1))
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
	}
	if n := r.programs(); n != 1 {
		t.Errorf("%d programs run for versions that are not there", n)
	}
	r = newRig(t, "server", func(d *local.Definition) { d.Sessions = 3 })
	for i := range 6 {
		c := r.connect(fmt.Sprint("person", i), "2026-07-28")
		if got := r.call(c, "echo", map[string]any{"text": "hi"}); got != "hi" {
			t.Errorf("person %d: %s", i, got)
		}
		_ = c.Close()
	}
	if n := r.programs(); n > 3 {
		t.Errorf("%d programs run", n)
	}
}

func (r *rig) programs() int {
	r.runner.mu.Lock()
	defer r.runner.mu.Unlock()
	return len(r.runner.shared)
}

func TestAChangedDefinitionCounts(t *testing.T) {
	t.Parallel()
	r := newRig(t, "server", func(d *local.Definition) { d.Mode = local.Shared })
	c := r.connect("alice", "2026-07-28")
	if got := r.call(c, "env", nil); !strings.Contains(got, "GIVEN=yes") {
		t.Error(got)
	}
	def, err := r.names.Get(local.Stdio, "x")
	if err != nil {
		t.Fatal(err)
	}
	def.Env["GIVEN"] = "changed"
	if err := r.names.Put(def); err != nil {
		t.Fatal(err)
	}
	r.await("the changed definition", func() bool {
		return strings.Contains(r.call(r.connect("alice", "2026-07-28"), "env", nil), "GIVEN=changed")
	})
}

// TestLargeAnswersArrive as they are, and do not grow on their way.
func TestLargeAnswersArrive(t *testing.T) {
	t.Parallel()
	r := newRig(t, "server")
	c := r.connect("alice", "2025-11-25")
	want := strings.Repeat("<&>", 600_000)
	if got := r.call(c, "echo", map[string]any{"text": want}); got != want {
		t.Errorf("%d bytes of %d", len(got), len(want))
	}
	if got := (message{"x": json.RawMessage(`"<&>\u2028"`)}).bytes(); string(got) != `{"x":"<&>\u2028"}` {
		t.Errorf("a message becomes %s", got)
	}
}

// TestWhatAProgramBeganEndsWithIt, though it left its group.
func TestWhatAProgramBeganEndsWithIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, "server")
	c := r.connect("alice", "2025-11-25")
	pid, err := strconv.Atoi(r.call(c, "spawn", nil))
	if err != nil || syscall.Kill(pid, 0) != nil {
		t.Fatalf("%d is no process: %v", pid, err)
	}
	_ = c.Close()
	r.await("end of what the program began", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid) })
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// TestAKilledProcessLeavesNothingForGood: the next start removes its folders, and
// nobody else's.
func TestAKilledProcessLeavesNothingForGood(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	mine, others := filepath.Join(temp, folderPrefix("/data/a")+"1", "x"), filepath.Join(temp, folderPrefix("/data/b")+"1")
	for _, dir := range []string{mine, others} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := sweep("/data/a"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(mine)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
	if _, err := os.Stat(others); err != nil {
		t.Errorf("another's folder is gone: %v", err)
	}
}

func FuzzReadMessages(f *testing.F) {
	for _, s := range []string{hello, `[{"method":"x"}]`, `{"id":1,"result":{}}`, `{"method":1}`, `[null]`, `{"params":[],"method":"a","id":{"a":1}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, _, err := readMessages(raw)
		if err != nil {
			return
		}
		for _, m := range all {
			c := call{id: m.id(), n: 7}
			for _, out := range [][]byte{m.bytes(), c.renumbered(m).bytes()} {
				if !json.Valid(out) || strings.ContainsAny(string(out), "\n\r") {
					t.Fatalf("%q becomes %q", raw, out)
				}
			}
		}
	})
}
