package main

import (
	"gatehouse/internal/control"
	"gatehouse/internal/edge"
	"gatehouse/internal/journal"
	"gatehouse/internal/ports"
	"gatehouse/internal/roster"
	"gatehouse/internal/site"
)

// portOptions are for the keeper of instance ports. The edge, which listens on
// them, exists while it runs.
func (n *node) portOptions() ports.Options {
	o := ports.Options{KV: n.store, Owners: roster.ProxyPrefix, Bind: n.cfg.Listen.InstanceHost, Note: n.notePorts, Log: n.component("ports")}
	if n.cfg.Listen.InstancePorts {
		o.Probe = func(port int) error { return n.edge.CanListen(port) }
		o.Publish = n.listenOnInstances
	}
	return o
}

// listenOnInstances has the edge listen on the ports of proxies.
func (n *node) listenOnInstances(all map[string]ports.Pair) {
	wanted := make([]edge.InstancePort, 0, 2*len(all))
	for host, pair := range all {
		if pair.HTTP != 0 {
			wanted = append(wanted, edge.InstancePort{Port: pair.HTTP, Host: host})
		}
		if pair.HTTPS != 0 {
			wanted = append(wanted, edge.InstancePort{Port: pair.HTTPS, Host: host, Secure: true})
		}
	}
	n.edge.SetInstancePorts(wanted)
}

// wantPorts says which proxies a world has.
func (n *node) wantPorts(w *site.World) {
	hosts := make([]string, 0, w.Len())
	for _, h := range w.Hosts() {
		hosts = append(hosts, h.Proxy.Hostname)
	}
	n.ports.Want(hosts)
}

// listening is where this node listens, for the status of hosts.
func (n *node) listening() control.Listening {
	return control.Listening{
		HTTP: n.listeners.plain.Addr().String(), HTTPS: n.listeners.secure.Addr().String(),
		Instance: func(port int) (string, error, bool) { return n.edge.InstanceListener(port) }, //nolint:revive // as the edge has it
	}
}

// notePorts writes what happens to ports to the request log.
func (n *node) notePorts(e ports.Note) {
	entry := journal.Entry{Kind: journal.System, Component: "ports", Action: "ports_" + e.Action, Object: "proxy:" + e.Host, Message: e.Message, Level: "INFO"}
	if e.Action == "refused" {
		entry.Level = "WARNING"
	}
	n.journal.Write(&entry)
}
