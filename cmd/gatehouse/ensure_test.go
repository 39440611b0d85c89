package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProtectRefusesBeforeItMakesAnything: a host or a target that can't be is
// told by its name and rule, and leaves no data folder behind.
func TestProtectRefusesBeforeItMakesAnything(t *testing.T) {
	for _, c := range []struct{ host, target, want string }{
		{"bad_host", "internal:demo", "HOST: "},
		{"auth.localhost", "internal:demo", "HOST: auth.localhost is Gatehouse's own"},
		{"localhost", "internal:demo", "HOST: localhost is Gatehouse's own"},
		{"app.localhost", "htp://x", "target_url: "},
		{"app.localhost", "internal:api", "target_url: "},
	} {
		data := filepath.Join(t.TempDir(), "data")
		var out, errs strings.Builder
		code := run(t.Context(), []string{"protect", c.host, c.target, "--data-dir", data, "--http-port", "0", "--https-port", "0", "--api-listen", "off"},
			[]string{"HOME=" + t.TempDir()}, strings.NewReader(""), &out, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), c.want) {
			t.Errorf("protect %s %s: exit %d, %s", c.host, c.target, code, errs.String())
		}
		if _, err := os.Stat(data); err == nil {
			t.Errorf("protect %s %s made its data folder", c.host, c.target)
		}
	}
}
