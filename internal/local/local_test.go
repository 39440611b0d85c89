package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/fault"
)

func folder(t *testing.T) (Dir, string) {
	t.Helper()
	data := t.TempDir()
	return In(data), filepath.Join(data, "local.d")
}

func TestDefinitionsAreKept(t *testing.T) {
	d, path := folder(t)
	if all, broken, err := d.List(); err != nil || len(all)+len(broken) != 0 {
		t.Errorf("a folder that is not there holds %v, %v, %v", all, broken, err)
	}
	put := Definition{Name: "files", Kind: Stdio, Command: "/usr/bin/cat", Args: []string{"-"}, Env: map[string]string{"KEY": "v"}}
	if err := d.Put(put); err != nil {
		t.Fatal(err)
	}
	got, err := d.Get(Stdio, "files")
	if err != nil || got.Command != put.Command || got.Env["KEY"] != "v" || got.Mode != PerSession || got.User != "nobody" || got.Sessions != 64 {
		t.Errorf("%+v, %v", got, err)
	}
	if info, err := os.Stat(filepath.Join(path, "files.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := d.Get(Unix, "files"); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "files is stdio:files") {
		t.Errorf("another kind: %v", err)
	}
	if err := d.Put(Definition{Name: "app", Kind: Unix, Path: "/run/app.sock"}); err != nil {
		t.Fatal(err)
	}
	if all, broken, err := d.List(); err != nil || len(broken) != 0 || len(all) != 2 || all[0].Name != "app" {
		t.Errorf("%v, %v, %v", all, broken, err)
	}
	if err := d.Remove("files"); err != nil {
		t.Error(err)
	}
	if _, err := d.Get(Stdio, "files"); !fault.Is(err, fault.NotFound) {
		t.Errorf("removed: %v", err)
	}
	if err := d.Remove("files"); !fault.Is(err, fault.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// TestWhatOthersCouldHaveWrittenIsNotUsed: a definition runs programs.
func TestWhatOthersCouldHaveWrittenIsNotUsed(t *testing.T) {
	const good = `{"kind":"stdio","command":"/bin/true"}`
	for name, spoil := range map[string]func(t *testing.T, dir, file string){
		"readable by the group":    func(t *testing.T, _, file string) { chmod(t, file, 0o640) },
		"writable by others":       func(t *testing.T, _, file string) { chmod(t, file, 0o602) },
		"in a folder of others":    func(t *testing.T, dir, _ string) { chmod(t, dir, 0o777) },
		"a link":                   func(t *testing.T, dir, file string) { move(t, file, dir+"/real"); link(t, dir+"/real", file) },
		"a folder":                 func(t *testing.T, _, file string) { remove(t, file); mkdir(t, file) },
		"another account's file":   func(t *testing.T, _, file string) { chown(t, file) },
		"another account's folder": func(t *testing.T, dir, _ string) { chown(t, dir) },
	} {
		t.Run(name, func(t *testing.T) {
			d, dir := folder(t)
			mkdir(t, dir)
			file := filepath.Join(dir, "x.json")
			if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Get(Stdio, "x"); err != nil {
				t.Fatal(err)
			}
			spoil(t, dir, file)
			if def, err := d.Get(Stdio, "x"); !fault.Is(err, fault.Invalid) {
				t.Errorf("used: %+v, %v", def, err)
			}
		})
	}
}

func TestNamesAreNoPaths(t *testing.T) {
	d, _ := folder(t)
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/etc/passwd", "a.b", "A", "x\x00", strings.Repeat("a", 64), "-x"} {
		if _, err := d.Get(Stdio, name); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
		if err := d.Put(Definition{Name: name, Kind: Unix, Path: "/x"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q is written: %v", name, err)
		}
		if err := d.Remove(name); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q is removed: %v", name, err)
		}
	}
}

var broken = map[string]string{
	"kind":         `{"kind":"exec","command":"/x"}`,
	"no kind":      `{"command":"/x"}`,
	"command":      `{"kind":"stdio","command":"./x"}`,
	"no command":   `{"kind":"stdio"}`,
	"unknown":      `{"kind":"stdio","command":"/x","shell":true}`,
	"path":         `{"kind":"unix","path":"run/x.sock"}`,
	"both":         `{"kind":"unix","path":"/x","command":"/y"}`,
	"env":          `{"kind":"stdio","command":"/x","env":{"A=B":"c"}}`,
	"mode":         `{"kind":"stdio","command":"/x","mode":"forever"}`,
	"memory_bytes": `{"kind":"stdio","command":"/x","memory_bytes":5}`,
	"sessions":     `{"kind":"stdio","command":"/x","sessions":-1}`,
	"two":          `{"kind":"unix","path":"/x"}{"kind":"unix","path":"/y"}`,
	"NUL":          `{"kind":"stdio","command":"/x\u0000y"}`,
	"nothing":      ``,
}

func TestBrokenDefinitionsAreRefused(t *testing.T) {
	for name, raw := range broken {
		if def, err := parse([]byte(raw)); err == nil {
			t.Errorf("%s: %+v", name, def)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, raw := range broken {
		f.Add([]byte(raw))
	}
	f.Add([]byte(`{"kind":"stdio","command":"/x","args":["a"],"env":{"A":"b"},"mode":"shared"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		def, err := parse(raw)
		if err == nil && def.Check() != nil {
			t.Errorf("%q is taken, and is %v", raw, def.Check())
		}
	})
}

func chmod(t *testing.T, path string, mode os.FileMode) { t.Helper(); must(t, os.Chmod(path, mode)) }
func move(t *testing.T, from, to string)                { t.Helper(); must(t, os.Rename(from, to)) }
func link(t *testing.T, to, at string)                  { t.Helper(); must(t, os.Symlink(to, at)) }
func remove(t *testing.T, path string)                  { t.Helper(); must(t, os.Remove(path)) }
func mkdir(t *testing.T, path string)                   { t.Helper(); must(t, os.Mkdir(path, 0o700)) }

func chown(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	must(t, os.Chown(path, 12345, 12345))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
