package edge

import "errors"

// Who may speak for somebody else by a PROXY header: trusted peers anywhere, and
// on the ports of instances programs of this machine too.

var (
	errNoProxyHeader = errors.New("a connection to an instance port must begin with a PROXY header")
	errNotBalancer   = errors.New("only loopback and trusted peers may connect to instance ports")
)

// mayIntroduce reports whether the peer may connect to the port at all.
func (i *connInfo) mayIntroduce() bool {
	return i.instance == "" || i.trusted || i.peer.Addr().IsLoopback()
}

// serves reports whether what in serves may be asked for on this connection: on
// the port of an instance, that instance alone. A balancer in front may be all
// that keeps the world from the other hosts of this node.
func (i *connInfo) serves(in *instance) bool {
	return i.instance == "" || in.host.Proxy.Hostname == i.instance
}

// introduced learns who the peer is, from a PROXY header where one may or must
// stand.
func (e *Edge) introduced(p *peekConn) error {
	info := p.info
	if info.instance == "" && !info.trusted {
		info.localPeer = contains(e.LocalhostPeers, info.peer.Addr())
		return nil
	}
	trusted := info.trusted
	found, err := p.takeProxyHeader()
	switch {
	case err != nil:
		return err
	case !found && info.instance != "":
		return errNoProxyHeader
	}
	e.identify(info)
	// A mere program on this machine may name a client, but not one that is
	// believed further.
	info.trusted = info.trusted && trusted
	return nil
}
