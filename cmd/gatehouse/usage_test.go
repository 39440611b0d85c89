package main

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"gatehouse/internal/fault"
)

func TestExitCodesSayWhatKindOfFailure(t *testing.T) {
	problem := func(k fault.Kind) *standIn {
		return newStandIn(t, func(w http.ResponseWriter, _ *http.Request) { fault.ProblemOf(fault.New(k, "because")).WriteTo(w) })
	}
	for _, tt := range []struct {
		kind fault.Kind
		want int
	}{
		{fault.Internal, exitFailed}, {fault.NotFound, exitFailed}, {fault.Exists, exitFailed}, {fault.Conflict, exitFailed}, {fault.Unavailable, exitFailed},
		{fault.TooMany, exitFailed}, {fault.Malformed, exitFailed}, {fault.Invalid, exitUsage}, {fault.Denied, exitRefused}, {fault.Unauthenticated, exitRefused},
	} {
		r := newHome(t).run("--url", problem(tt.kind).URL, "proxy", "list")
		if r.code != tt.want || !strings.Contains(r.err, "because") || strings.Count(r.err, "\n") != 1 || r.out != "" {
			t.Errorf("%v: exit %d, want %d; said %q, printed %q", tt.kind, r.code, tt.want, r.err, r.out)
		}
	}
}

func TestMisuseOfTheCommandLineIsExit2(t *testing.T) {
	for _, line := range []string{
		"nothing", "proxy", "proxy nothing", "proxy show", "proxy show a b", "proxy list --nothing", "proxy list --format xml", "proxy list --timeout soon",
		"proxy create a.test http://x --mode sideways", "proxy create a.test http://x --header novalue", "proxy update a.test", "route create /a",
		"route create /a http://x --match glob", "route create-proxy /a http://x", "proxy routes set a.test", "log search --since yesterday", "log level DEBUG --reset",
		"oauth events", "oauth events --ip 192.0.2.1 --user a", "oauth login --local", "oauth refresh --token x", "serve extra", "serve --format json",
		"protect a.localhost", "protect a.localhost internal:demo --mode no", "protect a.localhost internal:demo --dry-run", "version --url http://localhost",
		"--local --url https://gate.example.com proxy list", "proxy list --url ftp://x", "proxy list --url https://me:secret@x", "config check --http-port none",
		"system events --format csv", "proxy github set a.test",
	} {
		r := newHome(t).run(strings.Fields(line)...)
		if r.code != exitUsage || !strings.Contains(r.err, "gatehouse: ") || r.out != "" {
			t.Errorf("%s: exit %d, said %q, printed %q", line, r.code, r.err, r.out)
		}
		if strings.Contains(r.err, "me:secret") {
			t.Errorf("%s: the password is repeated: %s", line, r.err)
		}
	}
}

func TestMisuseShowsTheLineThatIsRight(t *testing.T) {
	for line, want := range map[string]string{
		"oauth token revoke":          "write `gatehouse oauth token revoke ID",
		"oauth login extra":           "write `gatehouse oauth login [flags]`",
		"proxy create a.test":         "write `gatehouse proxy create HOST TARGET",
		"oauth metrics --hours x":     "--hours: \"x\" is no number: see `gatehouse oauth metrics --help`",
		"oauth events":                "--ip ADDRESS, --user NAME or --proxy HOST",
		"oauth client create Reports": "--host HOST or --issuer URL",
	} {
		if r := newHome(t).run(strings.Fields(line)...); r.code != exitUsage || !strings.Contains(r.err, want) {
			t.Errorf("%s: exit %d, said %q", line, r.code, r.err)
		}
	}
}

func TestNobodySignedInIsExit3AndSaysHow(t *testing.T) {
	for _, line := range []string{"oauth status", "oauth refresh", "oauth logout"} {
		r := newHome(t).run(append([]string{"--url", "http://localhost:1"}, strings.Fields(line)...)...)
		if r.code != exitRefused || !strings.Contains(r.err, "gatehouse oauth login") {
			t.Errorf("%s: exit %d, said %q", line, r.code, r.err)
		}
	}
}

func TestAnInterruptIsExit130AndSaysNothing(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	api := newStandIn(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		interrupt()
		<-r.Context().Done()
	})
	if r := newHome(t).during(ctx, "", "--url", api.URL, "log", "follow"); r.code != exitInterrupted || r.err != "" {
		t.Errorf("exit %d, said %q", r.code, r.err)
	}
}

func TestWhatCantBeUndoneNeedsForceInAPipe(t *testing.T) {
	api := newStandIn(t, answering(http.StatusOK, `{"done":true}`))
	for _, line := range []string{
		"proxy delete a.test", "proxy auth disable a.test", "proxy resource clear a.test", "proxy oauth-server clear a.test", "proxy github clear a.test",
		"route delete r", "oauth client delete c", "oauth session revoke s", "oauth token revoke t", "oauth user delete u", "oauth consent revoke s c", "log clear",
		"oauth key-generate --revoke",
	} {
		args := append([]string{"--url", api.URL}, strings.Fields(line)...)
		before := len(api.requests())
		r := newHome(t).feed("y\n", args...)
		if r.code != exitUsage || !strings.Contains(r.err, "--force") || len(api.requests()) != before {
			t.Errorf("%s: exit %d, said %q, %d requests", line, r.code, r.err, len(api.requests())-before)
		}
		if r := newHome(t).run(append(args, "--force")...); r.code != exitOK || len(api.requests()) != before+1 {
			t.Errorf("%s --force: exit %d, said %q", line, r.code, r.err)
		}
	}
}

func TestAPasswordComesFromStdinAndNowhereElse(t *testing.T) {
	api := newStandIn(t, answering(http.StatusCreated, `{"name":"alice"}`))
	r := newHome(t).feed("correct horse\nrest\n", "--url", api.URL, "oauth", "user", "add", "alice", "--scopes", "user,mcp")
	seen := api.requests()
	if r.code != exitOK || len(seen) != 1 || seen[0].body != `{"name":"alice","password":"correct horse","scopes":["user","mcp"]}` {
		t.Fatalf("exit %d, %s, %+v", r.code, r.err, seen)
	}
	if r := newHome(t).run("--url", api.URL, "oauth", "user", "add", "bob"); r.code != exitUsage {
		t.Errorf("no password: exit %d, %s", r.code, r.err)
	}
	if r := newHome(t).feed("secret\n", "--url", api.URL, "--debug", "oauth", "user", "passwd", "alice"); strings.Contains(r.err+r.out, "secret") {
		t.Errorf("--debug shows the password: %s", r.err)
	}
}

func TestErrorsFromStrangersMoveNoCursor(t *testing.T) {
	api := newStandIn(t, func(w http.ResponseWriter, _ *http.Request) {
		fault.ProblemOf(fault.New(fault.NotFound, "no \x1b[2Jhost\u202e\nhere")).WriteTo(w)
	})
	r := newHome(t).run("--url", api.URL, "proxy", "show", "a.test")
	if strings.ContainsAny(r.err, "\x1b\u202e") || strings.Count(r.err, "\n") != 1 {
		t.Errorf("said %q", r.err)
	}
}

func TestHelpHasAnExampleForEveryCommand(t *testing.T) {
	for _, c := range leaves(t) {
		if c.Example == "" && c.Name() != "help" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		if c.Short == "" {
			t.Errorf("%s does not say what it does", c.CommandPath())
		}
	}
}
