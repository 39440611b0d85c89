package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gatehouse/internal/config"
)

// serve is the command that runs the whole system; the wiring is in serve.go.
func (a *app) serve() *cobra.Command {
	var set settings
	c := a.server(verb{
		use: "serve", short: "Run Gatehouse",
		long:    "Runs the whole system in this process: the public edge, the authorization server and the API.\nSettings come from flags, the environment and .env; `gatehouse config check` shows them.",
		example: "  gatehouse serve\n  HTTPS_PORT=8443 HTTP_PORT=8080 gatehouse serve",
		run: func(ctx context.Context, _ []string) error {
			return a.runServer(ctx, set, nil)
		},
	})
	set.bind(c.Flags())
	return c
}

// runServer loads the configuration and serves until ctx ends.
func (a *app) runServer(ctx context.Context, set settings, protect *protectArgs) error {
	a.serving = true
	cfg, err := config.Load(a.source(set.given()))
	if err != nil {
		return err
	}
	return serve(ctx, cfg, protect, a.err)
}

// settings are the variables that may also be given as flags.
type settings struct{ flags *pflag.FlagSet }

// asFlags are the most used variables. Secrets are never among them.
func asFlags() []string {
	return []string{"DATA_DIR", "SERVER_HOST", "HTTP_PORT", "HTTPS_PORT", "PUBLIC_HTTPS_PORT", "API_LISTEN", "BASE_DOMAIN", "TRUSTED_PROXIES", "LOG_LEVEL", "LOG_FORMAT"}
}

func flagName(variable string) string {
	return strings.ToLower(strings.ReplaceAll(variable, "_", "-"))
}

// bind defines a flag for each of them.
func (s *settings) bind(f *pflag.FlagSet) { s.only(f, asFlags()...) }

// only defines a flag for each of names, with the meaning that the
// configuration gives it.
func (s *settings) only(f *pflag.FlagSet, names ...string) {
	s.flags = f
	for _, v := range config.Variables() {
		if contains(names, v.Name) {
			f.String(flagName(v.Name), "", v.Name+": "+v.Help)
		}
	}
}

// given are the values of flags that were set, by variable name.
func (s *settings) given() map[string]string {
	values := map[string]string{}
	for _, name := range asFlags() {
		if f := s.flags.Lookup(flagName(name)); f != nil && f.Changed {
			values[name] = f.Value.String()
		}
	}
	return values
}
