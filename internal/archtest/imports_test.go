// Package archtest holds the house rules that a compiler does not check, as
// tests: which way imports run, and who may read the environment. A rule that
// no longer fits is changed here and in ARCHITECTURE.md in one commit.
package archtest

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "gatehouse/"

// allowed lists, for each package, which of our own packages it may import.
// Imports run downwards only; cmd wires everything and may import all.
var allowed = map[string][]string{
	"internal/fault":                    {},
	"internal/principal":                {},
	"internal/page":                     {},
	"internal/site":                     {"internal/fault", "internal/principal"},
	"internal/fetch":                    {"internal/fault"},
	"internal/store":                    {"internal/fault", "internal/store/disk"},
	"internal/store/feed":               {},
	"internal/store/disk":               {"internal/fault"},
	"internal/store/boltstore":          {"internal/fault", "internal/store", "internal/store/disk", "internal/store/feed", "internal/store/boltstore/blocklog"},
	"internal/store/boltstore/blocklog": {"internal/fault", "internal/store", "internal/store/disk", "internal/store/feed"},
	"internal/store/redisstore":         {"internal/fault", "internal/store", "internal/store/feed"},
	"internal/store/storetest":          {"internal/fault", "internal/store"},
	"internal/journal":                  {"internal/fault", "internal/principal", "internal/store"},
	"internal/config":                   {"internal/fault"},
	"internal/cert":                     {"internal/fault", "internal/store", "internal/cert/acme"},
	"internal/cert/acme":                {"internal/fault", "internal/store"},
	"internal/ports":                    {"internal/fault", "internal/store"},
	"internal/roster":                   {"internal/fault", "internal/site", "internal/store"},
	"internal/handover":                 {"internal/fault", "internal/principal", "internal/site"},
	"internal/mcpanswer":                {},
	"internal/demo":                     {"internal/principal", "internal/mcpanswer"},
	"internal/oauth":                    {"internal/fault", "internal/fetch", "internal/principal", "internal/page", "internal/site", "internal/store", "internal/journal"},
	"internal/signin":                   {"internal/fault", "internal/principal", "internal/page", "internal/site", "internal/store", "internal/journal", "internal/oauth"},
	"internal/control":                  {"internal/fault", "internal/principal", "internal/site", "internal/store", "internal/journal", "internal/oauth", "internal/signin", "internal/cert", "internal/ports", "internal/roster", "internal/mcptest"},
	"internal/edge":                     {"internal/fault", "internal/principal", "internal/page", "internal/site", "internal/journal", "internal/mcpgate"},
	"internal/local":                    {"internal/fault"},
	"internal/stdio":                    {"internal/fault", "internal/local", "internal/principal", "internal/site"},
	"internal/mcpgate":                  {"internal/fault", "internal/principal", "internal/site", "internal/journal"},
	"internal/api":                      {"internal/fault", "internal/principal", "internal/site", "internal/journal", "internal/control", "internal/mcptest", "internal/api/localauth"},
	"internal/mcpserver":                {"internal/fault", "internal/principal", "internal/site", "internal/control", "internal/mcpanswer"},
	"internal/mcptest":                  {"internal/fault"},
	"internal/api/localauth":            {"internal/fault"},
	"internal/api/listenfile":           {"internal/fault"},
	"internal/api/client":               {"internal/fault", "internal/control", "internal/api/localauth", "internal/api/listenfile"},
}

type pkg struct {
	path    string
	imports []string
}

// packages are the program's own packages with what their non-test files import.
func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		all = append(all, pkg{strings.TrimPrefix(words[0], module), words[1:]})
	}
	if len(all) < 10 {
		t.Fatalf("go list named only %d packages: the rules below would check nothing", len(all))
	}
	return all
}

func TestImportsRunDownwards(t *testing.T) {
	for _, p := range packages(t) {
		if !strings.HasPrefix(p.path, "internal/") || p.path == "internal/archtest" {
			continue // cmd, test and bench stand above all
		}
		may, known := allowed[p.path]
		if !known {
			t.Errorf("%s has no rule: say in this file what it may import", p.path)
			continue
		}
		for _, imp := range p.imports {
			ours, is := strings.CutPrefix(imp, module)
			if is && !slices.Contains(may, ours) {
				t.Errorf("%s must not import %s", p.path, ours)
			}
		}
	}
}

func TestProgramLinksNoTestHelpers(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", module+"cmd/gatehouse").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		if dep == "testing" || strings.HasPrefix(dep, module+"test") || strings.HasSuffix(dep, "storetest") {
			t.Errorf("the program links %s", dep)
		}
	}
}
