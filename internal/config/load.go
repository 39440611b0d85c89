package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/internal/fault"
)

// Source is where values come from.
type Source struct {
	Environ   []string          // NAME=value, as os.Environ gives it; of one name the last counts
	Dotenv    string            // path of a .env file; empty: none; a missing file is none
	Flags     map[string]string // by variable name; only flags that were given
	Container bool              // running inside a container: API_LISTEN is reachable from outside it
}

// System is this process's environment and the .env file of its working directory.
func System(flags map[string]string) Source {
	return Source{Environ: os.Environ(), Dotenv: ".env", Flags: flags, Container: inContainer()}
}

// inContainer looks for the marks that Docker and Podman leave.
func inContainer() bool {
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(mark); err == nil {
			return true
		}
	}
	return false
}

// Load reads and validates everything. Its error is fault.Invalid and has a
// field for each variable that breaks a rule.
func Load(src Source) (*Config, error) {
	l, err := newLoader(src)
	if err != nil {
		return nil, err
	}
	c := l.load(func(variable) bool { return true })
	l.between(c)
	return c, l.err()
}

// LoadClient reads only what the command line's client needs, so that a
// mistake in the server's settings does not keep anyone from asking a server.
func LoadClient(src Source) (*Client, error) {
	l, err := newLoader(src)
	if err != nil {
		return nil, err
	}
	c := l.load(func(v variable) bool { return v.client })
	return &c.Client, l.err()
}

// loader collects values and broken rules.
type loader struct {
	src     Source
	process map[string]string
	dotenv  map[string]string
	rules   fault.Rules
}

func newLoader(src Source) (*loader, error) {
	dotenv, err := readDotenv(src.Dotenv)
	if err != nil {
		return nil, err
	}
	process := make(map[string]string, len(src.Environ))
	for _, pair := range src.Environ {
		name, value, _ := strings.Cut(pair, "=")
		process[name] = value
	}
	return &loader{src: src, process: process, dotenv: dotenv}, nil
}

func (l *loader) err() error {
	if len(l.rules) == 0 {
		return nil
	}
	return &fault.Error{Kind: fault.Invalid, Public: "the configuration is not valid", Fields: l.rules}
}

// load fills a Config from the variables that pass want.
func (l *loader) load(want func(variable) bool) *Config {
	c := &Config{}
	l.refuseUnknown()
	for _, g := range variables() {
		for _, v := range g.vars {
			if want(v) {
				c.values = append(c.values, l.assign(c, v))
			}
		}
	}
	c.Client.DataDir = c.DataDir
	c.Client.CredentialsFile = l.underHome("XDG_CONFIG_HOME", ".config", "credentials.json")
	c.Client.NoColor = l.process["NO_COLOR"] != ""
	return c
}

// assign finds v's value, puts it into c and tells where it came from.
func (l *loader) assign(c *Config, v variable) Value {
	f, err := l.find(v)
	if err != nil {
		l.rules.Add(f.name, "%s", err.Error())
		return Value{Name: v.Name}
	}
	if f.raw == "" {
		f = found{name: v.Name, raw: l.initial(v)}
	}
	shown := Value{Name: v.Name, Value: v.Default, Source: f.from}
	if f.raw == "" {
		return shown
	}
	if err := v.set(c, f.raw); err != nil {
		l.rules.Add(f.name, "%s", v.refusal(f.raw, err))
	}
	shown.Value = v.mask(f.raw)
	return shown
}

// found is a value as it was written, and where.
type found struct{ name, raw, from string }

// find looks in all places, the strongest first.
func (l *loader) find(v variable) (found, error) {
	if raw := l.src.Flags[v.Name]; raw != "" {
		return found{v.Name, tidy(v, raw), "flag"}, nil
	}
	for _, name := range []string{Prefix + v.Name, v.Name} {
		for _, layer := range []struct {
			values map[string]string
			from   string
		}{{l.process, "environment"}, {l.dotenv, l.src.Dotenv}} {
			f, err := look(layer.values, v, name)
			if f.raw != "" || err != nil {
				f.from = strings.TrimSpace(layer.from + " " + f.from)
				return f, err
			}
		}
	}
	return found{name: v.Name}, nil
}

// look takes name, or for a secret the file that NAME_FILE names, from one layer.
func look(values map[string]string, v variable, name string) (found, error) {
	raw, file := tidy(v, values[name]), values[name+fileSuffix]
	switch {
	case !v.Secret || file == "":
		return found{name, raw, spelled(v, name)}, nil
	case raw != "":
		return found{name: name}, errors.New("must be set here or by " + name + fileSuffix + ", not by both")
	}
	content, err := readSecret(file)
	if err != nil {
		return found{name: name + fileSuffix}, errors.New("\"" + file + "\" must be a readable file with the secret: " + err.Error())
	}
	if content == "" {
		return found{name: name + fileSuffix}, errors.New("\"" + file + "\" must be a readable file with the secret: it is empty")
	}
	return found{name + fileSuffix, content, "file " + file}, nil
}

const fileSuffix = "_FILE"

// tidy drops blanks around a value; in a secret they may be meant.
func tidy(v variable, raw string) string {
	if v.Secret {
		return raw
	}
	return strings.TrimSpace(raw)
}

// spelled is the name when it is not the plain one, for people who look for it.
func spelled(v variable, name string) string {
	if name == v.Name {
		return ""
	}
	return name
}

// initial is the default of v on this machine.
func (l *loader) initial(v variable) string {
	switch {
	case v.Name == "DATA_DIR":
		return l.underHome("XDG_DATA_HOME", ".local/share")
	case v.Name == "API_LISTEN" && l.src.Container:
		return ":9000"
	}
	return v.initial
}

// underHome is gatehouse's own path under the folder that an XDG variable
// names, or its fallback in the home folder; empty when neither is known. The
// XDG rules say to ignore relative paths.
func (l *loader) underHome(xdg, fallback string, rest ...string) string {
	base := l.process[xdg]
	if !filepath.IsAbs(base) {
		home := l.process["HOME"]
		if !filepath.IsAbs(home) {
			return ""
		}
		base = filepath.Join(home, fallback)
	}
	return filepath.Join(append([]string{base, "gatehouse"}, rest...)...)
}

// isMissing reports whether a file is not there, which for .env is fine.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
