package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/principal"
)

type recorded []*Entry

func (r *recorded) Write(e *Entry) { *r = append(*r, e) }

func TestLoggerNamesLevels(t *testing.T) {
	var out bytes.Buffer
	log, _ := NewLogger(&out, "json", LevelTrace)
	for _, l := range levelNames {
		out.Reset()
		log.Log(t.Context(), l.level, "hello")
		var line struct{ Level, Msg string }
		if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Level != l.name || line.Msg != "hello" {
			t.Errorf("%s: %s (%v)", l.name, out.String(), err)
		}
	}
}

func TestLevelsChangeAtRunTime(t *testing.T) {
	var out bytes.Buffer
	log, levels := NewLogger(&out, "text", LevelInfo)
	edge, cert := log.With(ComponentKey, "edge"), log.With(ComponentKey, "cert")
	shows := func(l *slog.Logger) bool {
		out.Reset()
		l.Debug("detail")
		return out.Len() > 0
	}
	if shows(edge) || shows(cert) {
		t.Error("DEBUG is written at INFO")
	}
	levels.Set("edge", LevelDebug)
	if !shows(edge) || shows(cert) {
		t.Error("the level of one component: want edge alone to write DEBUG")
	}
	levels.Set("", LevelDebug)
	levels.Set("edge", LevelError)
	if shows(edge) || !shows(cert) {
		t.Error("the level of all: want cert to follow it and edge to keep its own")
	}
	levels.Reset("edge")
	if !shows(edge) {
		t.Error("after Reset edge must follow the level of all")
	}
	if all := levels.All(); len(all) != 1 || all[""] != LevelDebug {
		t.Errorf("All() = %v", all)
	}
}

func TestParseLevel(t *testing.T) {
	if l, err := ParseLevel("warning"); err != nil || l != LevelWarning {
		t.Errorf("warning: %v, %v", l, err)
	}
	if _, err := ParseLevel("loud"); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "loud") {
		t.Errorf("loud: %v", err)
	}
}

func TestLoggerTellsRequestAndUser(t *testing.T) {
	var out bytes.Buffer
	log, _ := NewLogger(&out, "json", LevelInfo)
	ctx := principal.With(WithRequestID(t.Context(), "req-1"), &principal.Principal{User: "local:alice"})
	log.With(ComponentKey, "edge").WithGroup("http").InfoContext(ctx, "served", "status", 200)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"request_id": "req-1", "user": "local:alice", "component": "edge", "http.status": 200.0} {
		if line[key] != want {
			t.Errorf("%s = %v, want %v in %s", key, line[key], want, out.String())
		}
	}
}

func TestLoggerNeverWritesCredentials(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log, levels := NewLogger(&out, format, LevelTrace)
		var journal recorded
		levels.Record(&journal)
		log = log.With("token", secret, "note", "password="+secret)
		log.With(slog.Group("g", "client_secret", secret)).Warn("token="+secret, "password", secret,
			"header", map[string]string{"Authorization": secret}, "error", errors.New(`Get "/?code=`+secret+`": EOF`),
			"url", "redis://u:"+secret+"@h", "jwt", jwt, "struct", struct{ Password string }{secret})
		if strings.Contains(out.String(), secret) || strings.Contains(out.String(), jwt) {
			t.Errorf("%s: %s", format, out.String())
		}
		if len(journal) != 1 || strings.Contains(journal[0].Message+journal[0].Error, secret) {
			t.Errorf("%s: journal has %+v", format, journal)
		}
	}
}

func TestLoggerEscapesControlCharacters(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log, _ := NewLogger(&out, format, LevelInfo)
		log.Info("a\x1b[31mb\nlevel=ERROR msg=forged", "k\x1b", "v\x9b31m\u202e\x7f")
		line := strings.TrimSuffix(out.String(), "\n")
		if strings.ContainsAny(line, "\x1b\n\x7f\u202e\u009b") || strings.Contains(line, "\x9b") {
			t.Errorf("%s: %q", format, line)
		}
	}
}

func TestWarningsReachTheJournal(t *testing.T) {
	log, levels := NewLogger(&bytes.Buffer{}, "json", LevelInfo)
	log.Error("before a recorder is there")
	var journal recorded
	levels.Record(&journal)
	log.Info("not this")
	ctx := WithRequestID(context.Background(), "req-2")
	log.With(ComponentKey, "edge", "target", "http://10.0.0.5").Log(ctx, LevelCritical, "target is away", "proxy", "app.test", "error", errors.New("refused"), "tries", 3)
	if len(journal) != 1 {
		t.Fatalf("%d entries", len(journal))
	}
	got, want := *journal[0], Entry{
		Kind: System, Level: "CRITICAL", Component: "edge", RequestID: "req-2", Proxy: "app.test", Error: "refused",
		Message: "target is away target=http://10.0.0.5 tries=3",
	}
	if a, b := mustJSON(t, got), mustJSON(t, want); a != b {
		t.Errorf("got %s\nwant %s", a, b)
	}
}

func TestNewLoggerWritesJSONWhereNoTerminalIs(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	log, _ := NewLogger(f, "", LevelInfo)
	log.Info("x")
	if b, err := os.ReadFile(f.Name()); err != nil || !json.Valid(b) {
		t.Errorf("%s %v", b, err)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "grüße 日本": "grüße 日本", "a\nb": `a\nb`, "\x1b[2J": `\x1b[2J`, "\x00": `\x00`,
		"\u202e": `\u202e`, "\xff": `\xff`, "\u009b": `\u009b`, "\ufffd": "\ufffd", "'": "'", "é\x7f": `é\x7f`,
	} {
		if got := Printable(in); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
