package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/api/client"
	"gatehouse/internal/api/listenfile"
	"gatehouse/internal/config"
	"gatehouse/internal/fault"
)

// healthcheck is for container engines and service managers: one word, and an
// exit code. It needs no sign-in.
func (a *app) healthcheck() *cobra.Command {
	return a.server(verb{
		use: "healthcheck", short: "Exit 0 when the Gatehouse on this machine serves",
		long:    "Asks /health at the direct door of the Gatehouse on this machine (or at --url).\nExit code 0: it serves, degraded or not. 1: it does not.",
		example: "  gatehouse healthcheck\n  HEALTHCHECK CMD [\"/gatehouse\", \"healthcheck\"]",
		run:     a.checkHealth,
	}, "url", "timeout", "debug")
}

func (a *app) checkHealth(ctx context.Context, _ []string) error {
	settings, err := config.LoadClient(a.source(nil))
	if err != nil {
		return err
	}
	url, err := a.healthURL(settings)
	if err != nil {
		return err
	}
	transport, err := a.transport(settings)
	if err != nil {
		return err
	}
	api, err := client.New(client.Options{URL: url, Transport: transport, Timeout: a.flags.timeout, UserAgent: agent()})
	if err != nil {
		return err
	}
	req, err := client.NewOperations().Request("health_check", nil)
	if err != nil {
		return err
	}
	var answer struct{ Status string }
	if err := api.Do(ctx, req, &answer); err != nil {
		return err
	}
	if answer.Status != "healthy" && answer.Status != "degraded" {
		return fault.New(fault.Unavailable, "%s says that it is %q", url, answer.Status)
	}
	_, err = fmt.Fprintln(a.out, render.Clean(answer.Status))
	return err
}

// healthURL prefers the direct door, which needs neither names nor certificates.
func (a *app) healthURL(settings *config.Client) (string, error) {
	if url := first(a.flags.url, settings.URL); url != "" {
		return url, nil
	}
	l, err := listenfile.Read(settings.DataDir)
	if err != nil {
		return "", err
	}
	return first(l.Direct, l.HTTP, l.HTTPS), nil
}
