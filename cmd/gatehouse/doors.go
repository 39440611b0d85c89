package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"gatehouse/internal/api"
	"gatehouse/internal/api/localauth"
	"gatehouse/internal/edge"
)

// doors are the API and the servers that offer it beside the data path.
type doors struct {
	api     *api.API
	servers []*http.Server
	on      []net.Listener
}

func (n *node) newDoors() (*doors, error) {
	handler, err := api.New(n.control, n.component("api"))
	if err != nil {
		return nil, err
	}
	key, err := localauth.LoadOrCreate(n.cfg.DataDir)
	if err != nil {
		return nil, err
	}
	d := &doors{api: handler}
	verifier := localauth.NewVerifier(key, nil)
	for _, l := range []net.Listener{n.listeners.direct, n.listeners.socket} {
		if l == nil {
			continue
		}
		server := directServer(&api.Direct{
			API: handler, OAuth: n.oauth, Gate: n.oauth, Local: verifier, World: n.roster.World, Recorder: n.journal,
			Socket: l == n.listeners.socket, Trusted: n.cfg.Listen.TrustedProxies,
		}, n.component("api"))
		d.on = append(d.on, edge.Strict(server, l, headTimeout))
		d.servers = append(d.servers, server)
	}
	return d, nil
}

func directServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headTimeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// headTimeout is how long a request's head may take.
const headTimeout = 5 * time.Second

// streamGrace is how long what runs at the end may take to end by itself.
const streamGrace = 2 * time.Second

// Run serves until ctx ends, then lets requests end for a while.
func (d *doors) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	streams, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	for i, server := range d.servers {
		server.BaseContext = func(net.Listener) context.Context { return streams }
		group.Go(func() error {
			if err := server.Serve(d.on[i]); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			time.AfterFunc(streamGrace, cut) // requests have ended by then; streams would not
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			return server.Shutdown(grace)
		})
	}
	return group.Wait()
}
