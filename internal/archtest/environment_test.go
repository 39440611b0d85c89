package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// readers of the process environment; everything else takes its settings from
// package config, or from its arguments.
var environment = map[string]bool{"Getenv": true, "LookupEnv": true, "Environ": true, "ExpandEnv": true}

// mayRead are the folders whose code may call them: config, and main, which
// hands the environment to config and to the CLI.
var mayRead = []string{"internal/config/", "cmd/gatehouse/main.go"}

func TestOnlyConfigReadsTheEnvironment(t *testing.T) {
	files := 0
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || name == "test" || name == "bench") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		files++
		for _, allowed := range mayRead {
			if strings.HasPrefix(name, allowed) {
				return nil
			}
		}
		return readsEnvironment(t, path, name)
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Fatalf("only %d files were read: the rule checked nothing", files)
	}
}

func readsEnvironment(t *testing.T, path, name string) error {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || !environment[sel.Sel.Name] {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && id.Name == "os" {
			t.Errorf("%s:%d reads the environment: take it from package config", name, fset.Position(n.Pos()).Line)
		}
		return true
	})
	return nil
}
