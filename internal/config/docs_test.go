package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write .env.example and docs/configuration.md anew from the list")

func TestExampleFileListsEveryVariableWithItsDefault(t *testing.T) {
	matches(t, "../../.env.example", example())
}

func TestConfigurationPageListsEveryVariable(t *testing.T) {
	matches(t, "../../docs/configuration.md", page())
}

// matches compares a file of the repository with what the list says it must hold.
func matches(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the list of variables gives; run: go test ./internal/config -update", path)
	}
}

// example is .env.example: every default is there, commented out, because a
// variable that is set can behave otherwise than one that is not (HTTP_PORT).
func example() string {
	var b strings.Builder
	b.WriteString("# Every variable that Gatehouse knows, with its default.\n" +
		"# Copy the file to .env and take the # away from what you change. The process\n" +
		"# environment wins over .env, GATEHOUSE_NAME over NAME. Put values that hold\n" +
		"# $ or # into single quotes. docs/configuration.md says more.\n")
	for _, g := range variables() {
		fmt.Fprintf(&b, "\n# --- %s ---\n", g.title)
		for _, v := range g.vars {
			b.WriteByte('\n')
			b.WriteString(comment(v.Help))
			if v.Default != v.initial {
				b.WriteString(comment("Not set: " + v.Default + "."))
			}
			fmt.Fprintf(&b, "#%s=%s\n", v.Name, v.initial)
		}
	}
	return b.String()
}

// comment wraps text into lines of at most 80 characters after "# ".
func comment(text string) string {
	var b strings.Builder
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 80 {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}

const intro = `# Configuration

Gatehouse needs no configuration to start. What can be set is an environment
variable; the most used have a flag of the same name (` + "`--https-port`" + ` for
` + "`HTTPS_PORT`" + `). What people change while it runs (proxies, routes, lists of
users, alert thresholds) is not here: that is what the API and the console are for.

` + "`gatehouse config check`" + ` validates everything and shows each value in effect,
secrets masked, and where it came from. With ` + "`--strict`" + ` it also refuses what
should not stand in production: a Redis beyond loopback whose password has fewer
than 32 bytes, and ` + "`TRUSTED_PROXIES`" + ` that trusts everyone.

Where a value is looked for, the first that is there and not empty:

1. the flag
2. ` + "`GATEHOUSE_NAME`" + ` in the environment, then in ` + "`.env`" + ` of the working directory
3. ` + "`NAME`" + ` in the environment, then in ` + "`.env`" + `
4. the default

For a variable marked *secret*, ` + "`NAME_FILE`" + ` (or ` + "`GATEHOUSE_NAME_FILE`" + `) may name a file
that holds it; a newline at its end is dropped. Setting both in one place is
refused. Secrets are never taken from a command line.

A value that breaks its rule, a ` + "`GATEHOUSE_*`" + ` name that means nothing, or half of
two settings that need each other keeps Gatehouse from starting; all such
mistakes are reported at once, each with the variable, the value and the rule.

In ` + "`.env`" + `, write values with ` + "`$`" + `, ` + "`#`" + ` or quotes in them into single quotes:
elsewhere ` + "`$NAME`" + ` is replaced by another variable's value.

This page is made from the list in the code (` + "`internal/config/variables.go`" + `), as
is ` + "`.env.example`" + `; a test compares them.
`

// page is docs/configuration.md.
func page() string {
	var b strings.Builder
	b.WriteString(intro)
	for _, g := range variables() {
		fmt.Fprintf(&b, "\n## %s\n\n| Variable | Default | Meaning | Rule |\n|---|---|---|---|\n", g.title)
		for _, v := range g.vars {
			secret := ""
			if v.Secret {
				secret = " *secret*"
			}
			fmt.Fprintf(&b, "| `%s`%s | %s | %s | %s |\n", v.Name, secret, cell(v), v.Help, strings.ReplaceAll(v.Rule, "|", `\|`))
		}
	}
	return b.String()
}

func cell(v variable) string {
	switch v.Default {
	case "":
		return "–"
	case v.initial:
		return "`" + v.Default + "`"
	}
	return v.Default
}
