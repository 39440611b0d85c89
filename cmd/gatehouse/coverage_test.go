package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"gatehouse/internal/control"
)

// leaves are the commands that do something.
func leaves(t *testing.T) []*cobra.Command {
	t.Helper()
	var all []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, child := range c.Commands() {
			walk(child)
		}
		if !c.HasSubCommands() && c.Name() != "help" && c.Name() != "completion" {
			all = append(all, c)
		}
	}
	walk((&app{}).root())
	if len(all) < 60 {
		t.Fatalf("only %d commands were found: the rules below would check little", len(all))
	}
	return all
}

// words splits a line as a shell does, up to the first pipe or redirection.
func words(line string) []string {
	var all []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		var word string
		switch line[0] {
		case '\'', '"':
			word, line, _ = strings.Cut(line[1:], line[:1])
		default:
			word, line, _ = strings.Cut(line, " ")
		}
		if word == "|" || word == ">" || word == "<" {
			break
		}
		all = append(all, word)
	}
	return all
}

// unasked are operations without a verb of their own, each with the reason.
var unasked = map[string]string{
	"get_version":   "`system info` and `version` tell it",
	"export_config": "belongs to `backup`",
	"import_config": "belongs to `restore`",
	"list_grants":   "the same list as list_tokens",
}

func TestEveryExampleRunsAndEveryOperationHasAVerb(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"chain.pem", "key.pem"} { // which an example uploads
		if err := os.WriteFile(name, []byte("PEM"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	for _, c := range leaves(t) {
		for example := range strings.Lines(c.Example) {
			args := words(example)
			if len(args) < 2 || args[0] != "gatehouse" || isServer(args[1]) || (args[1] == "store" && args[2] == "migrate") {
				continue
			}
			r := newHome(t).feed("a secret\n", append([]string{"--dry-run", "--url", "http://localhost:1", "--token", "t"}, without(args[1:])...)...)
			if r.code != exitOK || r.out == "" {
				t.Errorf("%s: exit %d\n%s", strings.TrimSpace(example), r.code, r.err)
			}
			lines = append(lines, strings.Split(r.out, "\n")...)
		}
	}
	for _, op := range control.Declared() {
		if _, known := unasked[op.Name]; !known && !asksFor(lines, op) {
			t.Errorf("no example of any command asks for %s (%s %s)", op.Name, op.Method, op.Pattern)
		}
	}
}

// isServer reports whether a command is the server's, or about a sign-in that a
// dry run with a token has none of.
func isServer(noun string) bool {
	return contains([]string{"serve", "protect", "config", "ca", "backend", "healthcheck", "version", "completion"}, noun)
}

// without drops the verbs of one's own sign-in, which a --token excludes.
func without(args []string) []string {
	if args[0] == "oauth" && contains([]string{"login", "logout", "refresh"}, args[1]) {
		return []string{"oauth", "status"}
	}
	return args
}

// asksFor reports whether one of the request lines is op's.
func asksFor(lines []string, op *control.Operation) bool {
	want := strings.Split(strings.Trim(op.Pattern, "/"), "/")
	for _, line := range lines {
		method, url, _ := strings.Cut(line, " ")
		path, _, _ := strings.Cut(strings.TrimPrefix(url, "http://localhost:1/"), "?")
		if method == op.Method && fits(want, strings.Split(strings.Trim(path, "/"), "/")) {
			return true
		}
	}
	return false
}

func fits(pattern, path []string) bool {
	if len(pattern) != len(path) {
		return false
	}
	for i := range pattern {
		if !strings.HasPrefix(pattern[i], "{") && pattern[i] != path[i] {
			return false
		}
	}
	return true
}

// TestDocsNameEveryCommand holds docs/cli.md to what the program says of itself.
func TestDocsNameEveryCommand(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range leaves(t) {
		usage := strings.ReplaceAll(strings.TrimSuffix(c.UseLine(), " [flags]"), "|", `\|`)
		if row := "| `" + usage + "` | " + c.Short + " |"; !strings.Contains(string(page), row) {
			t.Errorf("docs/cli.md lacks the line\n%s", row)
		}
	}
	for _, f := range []string{"url", "token", "format", "profile", "timeout", "debug", "dry-run", "local"} {
		if !strings.Contains(string(page), "`--"+f) {
			t.Errorf("docs/cli.md does not explain --%s", f)
		}
	}
}
