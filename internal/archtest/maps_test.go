package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheMapOfOAuthNamesEachFile: the package has many files, and its comment is
// how a reader finds the right one.
func TestTheMapOfOAuthNamesEachFile(t *testing.T) {
	dir := filepath.Join("..", "oauth")
	text, err := os.ReadFile(filepath.Join(dir, "doc.go"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{"doc.go": true, "oauth.go": true}
	for _, name := range regexp.MustCompile(`\b[a-z_]+\.go\b`).FindAllString(string(text), -1) {
		named[name] = true
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("the map names %s: %v", name, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) < 30 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if name := filepath.Base(file); !strings.HasSuffix(name, "_test.go") && !named[name] {
			t.Errorf("the map does not name %s", name)
		}
	}
}

// TestTablesOfDocumentsAreWhole: two rows that a merge ran together read as one.
func TestTablesOfDocumentsAreWhole(t *testing.T) {
	root := filepath.Join("..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) < 5 {
		t.Fatal(pages, err)
	}
	for _, page := range append(pages, filepath.Join(root, "SECURITY.md"), filepath.Join(root, "ARCHITECTURE.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		cells := 0
		for i, line := range strings.Split(string(text), "\n") {
			n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
			switch {
			case !strings.HasPrefix(line, "|"):
				cells = 0
			case cells == 0:
				cells = n
			case n != cells:
				t.Errorf("%s:%d has %d cells, the rows above it %d", filepath.Base(page), i+1, n-1, cells-1)
			}
		}
	}
}
