package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/control"
)

// newInside runs command lines over an API that says what it was asked.
func newInside() (*inside, *[]string) {
	asked := new([]string)
	return &inside{operations: control.Declared(), api: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Method+" "+r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"items": []any{}, "logs": []any{}, "cursor": "", "steps": []any{}, "certificate": "PEM"})
	})}, asked
}

// TestEveryExampleIsOneOperationInsideOrRefused takes the example of each command:
// inside the server it asks for one operation, or is refused before it asks.
func TestEveryExampleIsOneOperationInsideOrRefused(t *testing.T) {
	done := 0
	for _, c := range leaves(t) {
		for example := range strings.Lines(c.Example) {
			args := words(example)
			if len(args) < 2 || args[0] != "gatehouse" {
				continue
			}
			in, asked := newInside()
			got := in.run(t.Context(), args[1:])
			switch {
			case got.ExitCode == exitOK && len(*asked) == 1:
				done++
			case got.ExitCode != exitOK && len(*asked) == 0 && got.Error != "":
			default:
				t.Errorf("%s: exit %d after %v: %s", strings.TrimSpace(example), got.ExitCode, *asked, got.Error)
			}
		}
	}
	if done < 50 {
		t.Errorf("only %d examples were run", done)
	}
}

func TestInsideNothingOfTheMachineIsReached(t *testing.T) {
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys.json")
	if err := os.WriteFile(keys, []byte(`{"keys":["a secret"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, reason := range map[string]string{
		"proxy list --local":                  "--local can't be used here",
		"--local proxy list":                  "--local can't be used here",
		"proxy list --url http://127.0.0.1:1": "--url can't be used here",
		"proxy list --token t":                "--token can't be used here",
		"proxy list --profile other":          "--profile can't be used here",
		"proxy list --debug":                  "--debug can't be used here",
		"serve":                               "can't be run here",
		"protect a.localhost internal:demo":   "can't be run here",
		"store keys":                          "store keys can't be run here",
		"store get proxy:a":                   "can't be run here",
		"store migrate":                       "can't be run here",
		"ca export":                           "can't be run here",
		"config check":                        "can't be run here",
		"healthcheck":                         "can't be run here",
		"oauth login":                         "can't be run here",
		"oauth register --redirect-uri http://127.0.0.1/": "can't be run here",
		"log follow":               "can't be run here",
		"system events":            "can't be run here",
		"system status":            "can't be run here",
		"completion bash":          "",
		"sh id":                    "unknown command",
		"__complete proxy show a":  "",
		"proxy delete a.localhost": "add --force",
		"oauth user add bob":       "first line of stdin",
		"oauth client create X --host a.localhost":                "answers a secret",
		"oauth client create X --host a.localhost --jwks " + keys: "files can't be read here",
	} {
		in, asked := newInside()
		got := in.run(t.Context(), strings.Fields(line))
		if got.ExitCode == exitOK || len(*asked) > 0 || !strings.Contains(got.Error, reason) || strings.Contains(got.Output+got.Error, "a secret\"") {
			t.Errorf("%s: exit %d, asked %v: %s%s", line, got.ExitCode, *asked, got.Output, got.Error)
		}
	}
}

// TestClientFilesReadNoFiles: a command that reads a file by itself would read the
// server's when it runs inside.
func TestClientFilesReadNoFiles(t *testing.T) {
	server := map[string]bool{"inside.go": true, "ca.go": true, "configcmd.go": true, "serve.go": true, "servercmd.go": true, "listeners.go": true, "announce.go": true, "parts.go": true, "storage.go": true, "certificates.go": true}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 20 {
		t.Fatalf("%v, %d files", err, len(files))
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || server[name] {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []string{"os.ReadFile(", "os.Open", "os.ReadDir(", "os.WriteFile(", "os.Create"} {
			if strings.Contains(string(text), call) {
				t.Errorf("%s calls %s…): commands that ask the API use a.readFile", name, call)
			}
		}
	}
}

func TestInsideTheCallerIsTheOneInTheContext(t *testing.T) {
	type key struct{}
	var seen any
	in := &inside{operations: control.Declared(), api: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Context().Value(key{})
		if r.Header.Get("Authorization") != "" {
			t.Error("a token of somebody else goes along")
		}
		w.WriteHeader(http.StatusNoContent)
	})}
	t.Setenv("OAUTH_ACCESS_TOKEN", "the server's own")
	in.run(context.WithValue(t.Context(), key{}, "ann"), []string{"proxy", "list"})
	if seen != "ann" {
		t.Errorf("the API saw %v", seen)
	}
}
