package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
)

// build is what this program was made of.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// release is what the Go toolchain wrote into this program: a tagged version,
// or "devel" with the commit.
func release() build {
	b := build{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	return b
}

func (a *app) version() *cobra.Command {
	return a.server(verb{
		use: "version", short: "Print the version of this program",
		example: "  gatehouse version",
		run: func(context.Context, []string) error {
			b := release()
			p, err := a.printer()
			if err != nil {
				return err
			}
			if p.Format == render.Auto || p.Format == render.Table {
				_, err := fmt.Fprintf(a.out, "gatehouse %s (%s, %s)\n", b.Version, b.Go, b.Platform)
				return err
			}
			answer, err := json.Marshal(b)
			if err != nil {
				return err
			}
			return p.Print(answer, render.View{})
		},
	}, "format")
}
