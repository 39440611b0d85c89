package stdio

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/local"
	"gatehouse/internal/principal"
)

// TestMain lets the test's own binary be the launcher and the programs, too.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == LaunchWord:
		fmt.Fprintln(os.Stderr, "gatehouse:", Launch(os.Args[2], os.Environ()))
		os.Exit(127)
	case len(os.Args) == 3 && os.Args[1] == "program":
		behave(os.Args[2])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// behave is what tests run behind a name.
func behave(kind string) {
	switch kind {
	case "server":
		server()
	case "chatter":
		fmt.Println("this is no JSON")
		fmt.Fprintln(os.Stderr, "hello from the program \x1b[31m")
		server()
	case "crash":
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		os.Exit(3)
	case "deaf":
		time.Sleep(time.Hour) // neither reads nor ends when it is told
	case "flood":
		line := bytes.Repeat([]byte("x"), 1<<20)
		for {
			if _, err := os.Stdout.Write(line); err != nil {
				return
			}
		}
	case "ask":
		asker()
	}
}

type nothing struct{}

// server is an MCP server by the official SDK.
func server() {
	s := mcp.NewServer(&mcp.Implementation{Name: "program", Version: "1"}, nil)
	add := func(name string, do func(ctx context.Context, r *mcp.CallToolRequest, args map[string]any) string) {
		mcp.AddTool(s, &mcp.Tool{Name: name, Description: name}, func(ctx context.Context, r *mcp.CallToolRequest, args map[string]any) (*mcp.CallToolResult, nothing, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: do(ctx, r, args)}}}, nothing{}, nil
		})
	}
	count := 0
	add("count", func(context.Context, *mcp.CallToolRequest, map[string]any) string { count++; return fmt.Sprint(count) })
	add("echo", func(_ context.Context, _ *mcp.CallToolRequest, args map[string]any) string {
		return fmt.Sprint(args["text"])
	})
	add("env", func(context.Context, *mcp.CallToolRequest, map[string]any) string {
		return strings.Join(os.Environ(), "\n")
	})
	add("read", func(_ context.Context, _ *mcp.CallToolRequest, args map[string]any) string {
		b, err := os.ReadFile(fmt.Sprint(args["path"]))
		return fmt.Sprintf("%s%v", b, err)
	})
	add("list", func(_ context.Context, _ *mcp.CallToolRequest, args map[string]any) string {
		_, err := os.ReadDir(fmt.Sprint(args["path"]))
		return fmt.Sprint(err)
	})
	add("put", func(_ context.Context, _ *mcp.CallToolRequest, args map[string]any) string {
		return fmt.Sprint(os.WriteFile(filepath.Join(fmt.Sprint(args["path"]), "planted"), []byte("x"), 0o600))
	})
	add("remove", func(_ context.Context, _ *mcp.CallToolRequest, args map[string]any) string {
		name := "secret.key"
		if args["path"] == "." {
			name = "planted"
		}
		return fmt.Sprint(os.Remove(filepath.Join(fmt.Sprint(args["path"]), name)))
	})
	add("spawn", func(context.Context, *mcp.CallToolRequest, map[string]any) string {
		cmd := exec.Command("/bin/sleep", "600")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return err.Error()
		}
		return fmt.Sprint(cmd.Process.Pid)
	})
	add("where", func(context.Context, *mcp.CallToolRequest, map[string]any) string { return where() })
	add("slow", func(ctx context.Context, r *mcp.CallToolRequest, args map[string]any) string {
		_ = r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Message: "begun", Progress: 1})
		select {
		case <-ctx.Done():
			_ = os.WriteFile(fmt.Sprint(args["mark"]), []byte("cancelled"), 0o600)
		case <-time.After(10 * time.Second):
		}
		return "late"
	})
	_ = s.Run(context.Background(), &mcp.StdioTransport{})
}

// where tells what a program is and sees.
func where() string {
	dir, _ := os.Getwd()
	inside, err := os.ReadDir(dir)
	fds, _ := os.ReadDir("/proc/self/fd")
	open := map[string]string{}
	for _, fd := range fds {
		open[fd.Name()], _ = os.Readlink("/proc/self/fd/" + fd.Name())
	}
	limits, _ := os.ReadFile("/proc/self/limits")
	status, _ := os.ReadFile("/proc/self/status")
	group, _ := os.ReadFile("/proc/self/stat")
	out, _ := json.Marshal(map[string]any{"uid": os.Getuid(), "pid": os.Getpid(), "dir": dir, "inside": len(inside), "err": fmt.Sprint(err),
		"fds": open, "limits": string(limits), "status": string(status), "stat": string(group)})
	return string(out)
}

// asker asks its client for something before it answers a call.
func asker() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	var waiting json.RawMessage
	for in.Scan() {
		var m struct {
			ID     json.RawMessage
			Method string
			Result json.RawMessage
		}
		_ = json.Unmarshal(in.Bytes(), &m)
		switch {
		case m.Method == "initialize":
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"a","version":"1"}}}`+"\n", m.ID)
		case m.Method == "tools/call":
			waiting = m.ID
			fmt.Println(`{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"message":"who?"}}`)
		case m.Method == "" && waiting != nil:
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":%q}]}}`+"\n", waiting, m.Result)
			waiting = nil
		}
	}
}

// rig is a Runner behind an HTTP server that believes who callers say they are.
type rig struct {
	t      *testing.T
	names  local.Dir
	data   string
	runner *Runner
	*httptest.Server
	log logs
}

type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// executable is the test's binary where everybody may run it.
func executable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "stdio-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "program"), b, 0o755)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "program")
}

func newRig(t *testing.T, kind string, change ...func(*local.Definition)) *rig {
	t.Helper()
	r := &rig{t: t, data: t.TempDir()}
	if err := os.Chmod(r.data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.data, "secret.key"), []byte("the secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.names = local.In(r.data)
	def := local.Definition{Name: "x", Kind: local.Stdio, Command: executable(t), Args: []string{"program", kind}, Env: map[string]string{"GIVEN": "yes"}}
	for _, c := range change {
		c(&def)
	}
	if err := r.names.Put(def); err != nil {
		t.Fatal(err)
	}
	r.runner = New(Options{Names: r.names, DataDir: r.data, Logger: slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.runner.Run(ctx) }()
	handler := r.runner.Handler("x")
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if user := req.Header.Get("X-User"); user != "" {
			req = req.WithContext(principal.With(req.Context(), &principal.Principal{Subject: user, User: user, ClientID: req.Header.Get("X-Client")}))
		}
		handler.ServeHTTP(w, req)
	}))
	t.Cleanup(func() {
		r.CloseClientConnections()
		cancel()
		<-ended
		r.Close()
		if t.Failed() {
			t.Logf("log:\n%s", r.log.String())
		}
	})
	return r
}

// as puts a name on each request.
type as struct{ user string }

func (a as) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-User", a.user)
	return http.DefaultTransport.RoundTrip(r)
}

func (r *rig) connect(user, version string) *mcp.ClientSession {
	r.t.Helper()
	c, err := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).Connect(r.t.Context(),
		&mcp.StreamableClientTransport{Endpoint: r.URL, HTTPClient: &http.Client{Transport: as{user}}, MaxRetries: -1}, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *rig) call(c *mcp.ClientSession, tool string, args map[string]any) string {
	r.t.Helper()
	got, err := c.CallTool(r.t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		r.t.Fatalf("%s: %v", tool, err)
	}
	return got.Content[0].(*mcp.TextContent).Text
}

// post sends one message.
func (r *rig) post(user, session, body string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.URL, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "X-User": user, sessionHeader: session} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, string(b)
}

const hello = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"c","version":"1"}}}`

func (r *rig) begin(user string) string {
	r.t.Helper()
	res, body := r.post(user, "", hello)
	if res.StatusCode != http.StatusOK || res.Header.Get(sessionHeader) == "" {
		r.t.Fatalf("%d %s", res.StatusCode, body)
	}
	return res.Header.Get(sessionHeader)
}

func (r *rig) await(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("still no %s", what)
		}
	}
}
