package main

import (
	"net/url"
	"os/exec"
	"runtime"
)

// hasBrowser reports whether somebody sits in front of a screen: a terminal,
// no build server, no remote shell.
func (a *app) hasBrowser() bool {
	_, asks := terminal(a.in)
	_, shows := terminal(a.err)
	if !asks || !shows || getenv(a.env, "CI") != "" || getenv(a.env, "SSH_CONNECTION") != "" {
		return false
	}
	return runtime.GOOS == "darwin" || getenv(a.env, "DISPLAY") != "" || getenv(a.env, "WAYLAND_DISPLAY") != ""
}

// openBrowser shows a page. When that fails the address stands on the terminal.
func openBrowser(page string) {
	u, err := url.Parse(page)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return // never hand anything but a web page to the desktop
	}
	program := "xdg-open"
	if runtime.GOOS == "darwin" {
		program = "open"
	}
	cmd := exec.Command(program, u.String())
	if cmd.Start() == nil {
		_ = cmd.Process.Release() // it lives on its own
	}
}
