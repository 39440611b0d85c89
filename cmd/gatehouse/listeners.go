package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/edge"
	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// Ports for those who have no right to 80 and 443.
const (
	unprivilegedHTTP  = 8080
	unprivilegedHTTPS = 8443
)

// maxSocketPath is what the kernel takes as the address of a unix socket.
const maxSocketPath = 107

// listeners are the doors of one node, bound before any part is made.
type listeners struct {
	plain, secure net.Listener // the data path
	direct        net.Listener // API_LISTEN; nil: closed
	socket        net.Listener // DATA_DIR/api.sock, 0600
	nodes         net.Listener // NODE_LISTEN, for other nodes; nil: closed
}

// listen binds every listener of cfg, or none.
func listen(cfg *config.Config, log *slog.Logger) (*listeners, error) {
	l := &listeners{}
	var err error
	bind := func(into *net.Listener, name string, port, otherwise int) {
		if err == nil {
			*into, err = bindPort(cfg, log, name, port, otherwise)
		}
	}
	bind(&l.plain, "HTTP_PORT", cfg.Listen.HTTPPort, unprivilegedHTTP)
	bind(&l.secure, "HTTPS_PORT", cfg.Listen.HTTPSPort, unprivilegedHTTPS)
	if err == nil && cfg.Listen.API != "" {
		if l.direct, err = net.Listen("tcp", cfg.Listen.API); err != nil {
			err = fault.Wrap(fault.Unavailable, err, "API_LISTEN: %s can't be bound: another program has it; name another address, or off", cfg.Listen.API)
		}
	}
	if err == nil {
		l.socket, err = bindSocket(filepath.Join(cfg.DataDir, "api.sock"), log)
	}
	if err == nil {
		l.nodes, err = bindNodes(cfg, log)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// bindPort binds a public port. Without the right to a port below 1024 that
// nobody asked for by name it says so and takes the one otherwise.
func bindPort(cfg *config.Config, log *slog.Logger, name string, port, otherwise int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(cfg.Listen.Host, strconv.Itoa(port)))
	if err == nil {
		return l, nil
	}
	if errors.Is(err, fs.ErrPermission) && !cfg.IsSet(name) {
		log.Warn("no right to bind a port below 1024", "variable", name, "port", port, "using", otherwise)
		port = otherwise
		if l, err = net.Listen("tcp", net.JoinHostPort(cfg.Listen.Host, strconv.Itoa(port))); err == nil {
			return l, nil
		}
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fault.Wrap(fault.Unavailable, err, "%s: no right to bind port %d: use a port from 1024 on, or give the program cap_net_bind_service", name, port)
	}
	return nil, fault.Wrap(fault.Unavailable, err, "%s: port %d can't be bound: another program has it; end it or set %s", name, port, name)
}

// bindSocket makes the socket that only this account can reach. The store's lock
// is ours, so a socket that is still there is a dead process's.
func bindSocket(path string, log *slog.Logger) (net.Listener, error) {
	if len(path) > maxSocketPath {
		log.Warn("DATA_DIR's path is too long for a socket in it: --local works over API_LISTEN only", "component", "api")
		return nil, nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "DATA_DIR: the socket %s can't be made", path)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// handTo gives the public listeners to the edge, which closes them.
func (l *listeners) handTo(e *edge.Edge) {
	e.AddHTTP(l.plain)
	e.AddHTTPS(l.secure)
}

// origins is how clients reach this node.
func (l *listeners) origins(cfg *config.Config) site.Origins {
	o := site.Origins{BaseDomain: cfg.Listen.BaseDomain, HTTPPort: portOf(l.plain), HTTPSPort: cfg.Listen.PublicHTTPSPort}
	if o.HTTPSPort == 0 {
		o.HTTPSPort = portOf(l.secure)
	}
	return o
}

// addresses are those of every TCP listener: no target may lead back to them.
func (l *listeners) addresses() []netip.AddrPort {
	var all []netip.AddrPort
	for _, listener := range []net.Listener{l.plain, l.secure, l.direct, l.nodes} {
		if listener == nil {
			continue
		}
		if a, ok := listener.Addr().(*net.TCPAddr); ok {
			all = append(all, a.AddrPort())
		}
	}
	return all
}

// self reaches our own HTTPS listener and nothing else, whatever address is asked
// for: the name chooses the host. Whose certificate is shown does not matter, for
// the listener is ours, and some hosts still wait for theirs.
func (l *listeners) self() http.RoundTripper {
	at, _ := l.secure.Addr().(*net.TCPAddr)
	address := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	if at != nil {
		address.Port = at.Port
		if !at.IP.IsUnspecified() {
			address.IP = at.IP
		}
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := net.Dialer{Timeout: 5 * time.Second}
			return d.DialContext(ctx, "tcp", address.String())
		},
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, //nolint:gosec // see above
		TLSHandshakeTimeout: 5 * time.Second, IdleConnTimeout: 10 * time.Second, ForceAttemptHTTP2: true,
	}
}

// Close closes what is open; closing twice is fine.
func (l *listeners) Close() {
	for _, listener := range []net.Listener{l.plain, l.secure, l.direct, l.socket, l.nodes} {
		if listener != nil {
			listener.Close()
		}
	}
}

func portOf(l net.Listener) int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}
