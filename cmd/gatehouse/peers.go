package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/fault"
	"gatehouse/internal/handover"
	"gatehouse/internal/site"
)

// bindNodes opens the door for other nodes; nil: there are none, or it is off.
func bindNodes(cfg *config.Config, log *slog.Logger) (net.Listener, error) {
	at := cfg.Listen.Node
	if !cfg.Redis.Enabled() || at == "" {
		return nil, nil
	}
	if at != config.NodeAuto {
		l, err := net.Listen("tcp", at)
		if err != nil {
			return nil, fault.Wrap(fault.Unavailable, err, "NODE_LISTEN: %s can't be bound: name an address of this machine and a free port, or off", at)
		}
		return l, nil
	}
	ip, err := towardsRedis(cfg)
	if err == nil {
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort(ip.String(), "0")); err == nil {
			return l, nil
		}
	}
	log.Warn("other nodes can't hand over requests for the sessions of this one: clients will begin anew there; set NODE_LISTEN", "component", "handover", "error", err)
	return nil, nil
}

// towardsRedis is this machine's address on the way to Redis. Nothing is sent.
func towardsRedis(cfg *config.Config) (netip.Addr, error) {
	c, err := net.Dial("udp", cfg.Redis.Server.Addrs[0])
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	at, err := netip.ParseAddrPort(c.LocalAddr().String())
	return at.Addr().Unmap().WithZone(""), err
}

// announced is where other nodes reach the door for them; empty: nowhere.
func (n *node) announced() string {
	if n.listeners.nodes == nil {
		return ""
	}
	at, err := netip.ParseAddrPort(n.listeners.nodes.Addr().String())
	if err != nil {
		return ""
	}
	ip := at.Addr().Unmap()
	if ip.IsUnspecified() {
		if ip, err = towardsRedis(n.cfg); err != nil {
			return ""
		}
	}
	return net.JoinHostPort(ip.String(), strconv.Itoa(int(at.Port())))
}

func (n *node) newPeers() (*handover.Peers, error) {
	return handover.New(handover.Options{
		Key: n.sealer.Derive("handover between nodes"), Listener: n.listeners.nodes, World: n.roster.World, Still: n.oauth.Still, Logger: n.component("handover"),
		// Asked while serving only, when all parts are there.
		Find:  func(tag string) string { return n.control.NodeAt(tag) },
		Local: n.sessions,
	})
}

// sessions is what serves a target in this process whose sessions live on one
// node: what other nodes may hand over. nil: nothing does.
func (n *node) sessions(target string) http.Handler {
	if target == site.InternalMCP {
		return n.mcp
	}
	if name, ok := strings.CutPrefix(target, site.TargetStdio+":"); ok {
		return n.stdio.Handler(name)
	}
	return nil
}
