// Package local keeps what this machine's administrator alone may say: which
// program stdio:NAME runs and which socket unix:NAME is. Each name is a file in
// DATA_DIR/local.d that only the account of Gatehouse can read and write. Nothing
// of it comes over the network, goes into the shared store, an export or a
// backup: proxies name it, and whoever may change proxies may not change it.
package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"gatehouse/internal/fault"
)

// The kinds of a Definition.
const (
	Stdio = "stdio"
	Unix  = "unix"
)

// How the processes of a stdio definition are shared.
const (
	PerSession = "session" // one for each session
	Shared     = "shared"  // one for everybody
)

// Definition is what a name stands for on this machine.
type Definition struct {
	Name string `json:"-"`
	Kind string `json:"kind"` // Stdio or Unix

	Path string `json:"path,omitempty"` // unix: the socket

	Command   string            `json:"command,omitempty"` // stdio: the program; without a slash it is looked for in PATH of env, else the usual folders
	Args      []string          `json:"args,omitempty"`
	Env       map[string]string `json:"env,omitempty"`          // all that the program gets beside PATH, HOME, TMPDIR and LANG
	User      string            `json:"user,omitempty"`         // whom it runs as where Gatehouse is root; nobody
	Mode      string            `json:"mode,omitempty"`         // PerSession, or Shared
	Memory    int64             `json:"memory_bytes,omitempty"` // of writable memory; 2 GiB
	Processes int               `json:"processes,omitempty"`    // and threads of its user, all programs together, where that is another than Gatehouse's; 4096
	Sessions  int               `json:"sessions,omitempty"`     // at once; 64
	Idle      int               `json:"idle_seconds,omitempty"` // after which an unused session ends; 1800
}

// Bounds of a definition.
const (
	maxFile  = 64 << 10
	maxNames = 256
	maxArgs  = 256
)

var (
	nameRule = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	envRule  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
)

// Dir is DATA_DIR/local.d. Files are read when they are asked for, so that a
// change counts from the next session or connection on.
type Dir struct{ path string }

// In is the folder in dataDir; it need not be there.
func In(dataDir string) Dir { return Dir{filepath.Join(dataDir, "local.d")} }

// Get is the definition of kind called name. NotFound: there is none; Invalid:
// what is there can't be used, and why.
func (d Dir) Get(kind, name string) (Definition, error) {
	def, err := d.read(name)
	if err == nil && def.Kind != kind {
		return def, fault.New(fault.NotFound, "%s:%s is not defined on this machine: %s is %s:%s", kind, name, name, def.Kind, name)
	}
	if fault.Is(err, fault.NotFound) {
		return def, fault.New(fault.NotFound, "%s:%s is not defined on this machine: its administrator does that with `gatehouse backend add`", kind, name)
	}
	return def, err
}

// List is every definition in the folder, by name, and what can't be used.
func (d Dir) List() (all []Definition, broken []error, err error) {
	entries, err := os.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries[:min(len(entries), maxNames)] {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		def, err := d.read(name)
		if err != nil {
			broken = append(broken, err)
			continue
		}
		all = append(all, def)
	}
	return all, broken, nil
}

func (d Dir) file(name string) string { return filepath.Join(d.path, name+".json") }

// read reads one definition, which only this account may have written.
func (d Dir) read(name string) (def Definition, err error) {
	if !nameRule.MatchString(name) {
		return def, fault.BadField("NAME", "is a-z, 0-9, _ and -, at most 63 characters")
	}
	f, err := os.OpenFile(d.file(name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return def, fault.New(fault.NotFound, "%s is not defined on this machine", name)
	}
	if err != nil {
		return def, fault.Wrap(fault.Invalid, err, "%s can't be read: it must be a file of this account", d.file(name))
	}
	defer f.Close()
	if err := d.private(f, name); err != nil {
		return def, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return def, err
	}
	if def, err = parse(raw); err != nil {
		return def, fault.Wrap(fault.Invalid, err, "%s can't be used: %v", d.file(name), err)
	}
	def.Name = name
	return def, nil
}

// private wants a file and a folder that nobody else could have written or read.
func (d Dir) private(f *os.File, name string) error {
	for _, at := range []struct {
		stat func() (fs.FileInfo, error)
		path string
	}{{f.Stat, d.file(name)}, {func() (fs.FileInfo, error) { return os.Lstat(d.path) }, d.path}} {
		info, err := at.stat()
		if err != nil {
			return err
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		switch {
		case info.Mode().Perm()&0o077 != 0:
			return fault.New(fault.Invalid, "%s is not used, because others than this account may read or write it: chmod go= %s", at.path, at.path)
		case !ok || int(owner.Uid) != os.Geteuid():
			return fault.New(fault.Invalid, "%s is not used, because it belongs to another account", at.path)
		case at.path != d.path && !info.Mode().IsRegular():
			return fault.New(fault.Invalid, "%s is not used, because it is no file", at.path)
		}
	}
	return nil
}

// parse reads a definition strictly.
func parse(raw []byte) (def Definition, err error) {
	if len(raw) > maxFile {
		return def, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&def); err != nil {
		return def, fmt.Errorf("it is no definition: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return def, errors.New("something stands behind the definition")
	}
	def.setDefaults()
	return def, def.Check()
}

func (def *Definition) setDefaults() {
	if def.Kind != Stdio {
		return
	}
	for _, d := range []struct {
		value *string
		usual string
	}{{&def.User, "nobody"}, {&def.Mode, PerSession}} {
		if *d.value == "" {
			*d.value = d.usual
		}
	}
	for _, d := range []struct {
		value *int
		usual int
	}{{&def.Processes, 4096}, {&def.Sessions, 64}, {&def.Idle, 1800}} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if def.Memory == 0 {
		def.Memory = 2 << 30
	}
}

// Check is Invalid with the rule that def breaks.
func (def *Definition) Check() error {
	var broken fault.Rules
	switch def.Kind {
	case Unix:
		if !filepath.IsAbs(def.Path) || strings.ContainsRune(def.Path, 0) || len(def.Path) > 107 {
			broken.Add("path", "is the absolute path of a socket, at most 107 bytes long")
		}
		if def.Command != "" || len(def.Args)+len(def.Env) > 0 {
			broken.Add("command", "goes with the kind stdio")
		}
	case Stdio:
		def.checkProgram(&broken)
	default:
		broken.Add("kind", "is stdio or unix")
	}
	return broken.Err()
}

func (def *Definition) checkProgram(broken *fault.Rules) {
	hasNUL := func(s string) bool { return strings.ContainsRune(s, 0) }
	if def.Command == "" || hasNUL(def.Command) || strings.Contains(def.Command, "/") && !filepath.IsAbs(def.Command) {
		broken.Add("command", "is a program's absolute path, or its name alone")
	}
	if def.Path != "" {
		broken.Add("path", "goes with the kind unix")
	}
	if len(def.Args) > maxArgs || slices.ContainsFunc(def.Args, hasNUL) {
		broken.Add("args", "are at most %d texts", maxArgs)
	}
	for name, value := range def.Env {
		if !envRule.MatchString(name) || hasNUL(value) {
			broken.Add("env", "holds names of letters, digits and _, with texts")
		}
	}
	if def.Mode != "" && def.Mode != PerSession && def.Mode != Shared {
		broken.Add("mode", "is session or shared")
	}
	for _, n := range []struct {
		field     string
		value     int64
		low, high int64
	}{
		{"memory_bytes", def.Memory, 16 << 20, 1 << 40}, {"processes", int64(def.Processes), 1, 100_000},
		{"sessions", int64(def.Sessions), 1, 10_000}, {"idle_seconds", int64(def.Idle), 1, 7 * 24 * 3600},
	} {
		if n.value != 0 && (n.value < n.low || n.value > n.high) {
			broken.Add(n.field, "is between %d and %d", n.low, n.high)
		}
	}
}

// IdleTime is Idle as a duration.
func (def *Definition) IdleTime() time.Duration { return time.Duration(def.Idle) * time.Second }
