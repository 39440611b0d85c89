package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"gatehouse/internal/api/listenfile"
	"gatehouse/internal/config"
	"gatehouse/internal/control"
	"gatehouse/internal/edge"
	"gatehouse/internal/handover"
	"gatehouse/internal/journal"
	"gatehouse/internal/local"
	"gatehouse/internal/mcpserver"
	"gatehouse/internal/oauth"
	"gatehouse/internal/ports"
	"gatehouse/internal/roster"
	"gatehouse/internal/signin"
	"gatehouse/internal/site"
	"gatehouse/internal/stdio"
	"gatehouse/internal/store"
)

// node is one running Gatehouse: its parts, in the order in which they are made.
type node struct {
	cfg    *config.Config
	stderr io.Writer

	store      store.Store
	closeStore func() error
	sealer     *store.Sealer
	upkeep     *store.Duty // the clean-up work of all nodes
	journal    *journal.Journal
	log        *slog.Logger
	levels     *journal.Levels
	listeners  *listeners
	origins    site.Origins

	roster  *roster.Roster
	ports   *ports.Keeper
	certs   *certificates
	oauth   *oauth.Server
	pages   *signin.Pages
	control *control.Control
	edge    *edge.Edge
	doors   *doors
	mcp     *mcpserver.Server
	peers   *handover.Peers
	stdio   *stdio.Runner
}

// serve runs the whole system until ctx ends. With protect it first makes sure
// that this host exists with sign-in on.
func serve(ctx context.Context, cfg *config.Config, protect *protectArgs, stderr io.Writer) (err error) {
	if err := protect.check(cfg.Listen.BaseDomain); err != nil {
		return err
	}
	n := &node{cfg: cfg, stderr: stderr}
	if err := n.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.closeStore()) }()
	if err := n.bind(); err != nil {
		return err
	}
	defer n.listeners.Close()
	if err := n.build(); err != nil {
		return err
	}
	return n.recording(ctx, func(ctx context.Context) error {
		if err := n.prepare(ctx); err != nil {
			return err
		}
		defer func() { _ = os.Remove(listenfile.Path(cfg.DataDir)) }() // what stays is found to be stale
		return n.run(ctx, protect)
	})
}

// open opens what everything else needs: the process log, the store, the key
// that seals secrets, and the journal.
func (n *node) open(ctx context.Context) error {
	n.log, n.levels = journal.NewLogger(n.stderr, n.cfg.Log.Format, n.cfg.Log.Level)
	if err := n.openStore(ctx); err != nil {
		return err
	}
	n.upkeep = store.NewDuty(n.store, "upkeep", upkeepLease)
	if err := errors.Join(n.openSealer(), n.openJournal()); err != nil {
		return errors.Join(err, n.closeStore())
	}
	return nil
}

// upkeepLease is how long clean-up work waits for another node when one has died.
const upkeepLease = 5 * time.Second

// bind takes the ports, so that every part knows how clients reach us.
func (n *node) bind() (err error) {
	if n.listeners, err = listen(n.cfg, n.log); err != nil {
		return err
	}
	n.origins = n.listeners.origins(n.cfg)
	return nil
}

// build makes the parts and hands each what it needs. Nothing runs yet.
func (n *node) build() (err error) {
	n.roster = roster.New(n.store, n.origins, n.publish, n.component("roster"))
	n.ports = ports.New(n.portOptions())
	if n.certs, err = n.newCertificates(); err != nil {
		return err
	}
	if n.oauth, err = oauth.New(n.oauthOptions()); err != nil {
		return err
	}
	if n.pages, err = signin.New(n.signinOptions()); err != nil {
		return err
	}
	if n.peers, err = n.newPeers(); err != nil {
		return err
	}
	n.control = control.New(n.controlDeps())
	if n.doors, err = n.newDoors(); err != nil {
		return err
	}
	n.mcp = mcpserver.New(n.mcpOptions())
	n.stdio = stdio.New(stdio.Options{Names: local.In(n.cfg.DataDir), DataDir: n.cfg.DataDir, Peers: n.peers, Logger: n.component("stdio")})
	n.edge = edge.New(n.edgeOptions())
	n.listeners.handTo(n.edge)
	return nil
}

// publish hands a new world to those who serve from it.
func (n *node) publish(w *site.World) {
	n.certs.Want(w)
	n.edge.SetWorld(w)
	n.wantPorts(w)
}

// prepare reads and completes what the store must hold before the first request.
func (n *node) prepare(ctx context.Context) error {
	if err := n.certs.Load(ctx); err != nil {
		return err
	}
	if err := n.control.EnsureBuiltIns(ctx); err != nil {
		return err
	}
	if err := n.roster.Load(ctx); err != nil {
		return err
	}
	return n.oauth.Load(ctx)
}

// run serves until ctx ends or a part fails; then it ends all of them. When all
// parts run it makes sure of the host to protect, and tells where everything is.
func (n *node) run(ctx context.Context, protect *protectArgs) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, part := range []func(context.Context) error{n.roster.Run, n.certs.Run, n.oauth.Run, n.edge.Run, n.ports.Run, n.doors.Run, n.control.Run, n.mcp.Run, n.stdio.Run, n.peers.Run, n.upkeep.Run} {
		group.Go(func() error { return part(ctx) })
	}
	group.Go(func() error {
		if err := n.ensureProtected(ctx, protect); err != nil {
			return err
		}
		return n.announce(ctx, protect)
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// recording keeps the journal running from before the first request until after
// the last, so that nothing that was recorded is lost at the end.
func (n *node) recording(ctx context.Context, serve func(context.Context) error) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var flushed errgroup.Group
	flushed.Go(func() error { return n.journal.Run(life) })
	err := serve(ctx)
	end()
	if flushErr := flushed.Wait(); flushErr != nil && !errors.Is(flushErr, context.Canceled) {
		err = errors.Join(err, flushErr)
	}
	return err
}

func (n *node) component(name string) *slog.Logger { return n.log.With("component", name) }
