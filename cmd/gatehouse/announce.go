package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"gatehouse/internal/api/listenfile"
	"gatehouse/internal/cert"
	"gatehouse/internal/site"
)

// announce tells people how this node is reached, and writes the same for the
// CLI to DATA_DIR/listen.json, with the local CA's certificates in ca.pem beside
// it. Nobody's secret is in it but the setup link, which goes to stderr and
// nowhere else.
func (n *node) announce(ctx context.Context, protect *protectArgs) error {
	if err := listenfile.WriteCA(n.cfg.DataDir, n.certs.keeper.CAPEM()); err != nil {
		return err
	}
	if err := listenfile.Write(n.cfg.DataDir, n.addresses()); err != nil {
		return err
	}
	path, err := n.pages.EnsureSetupLink(ctx)
	if err != nil {
		return err
	}
	var b strings.Builder
	n.tellHost(&b, protect)
	n.tellSetup(&b, path)
	n.tellAddresses(&b)
	n.tellHostsLine(ctx, &b)
	_, err = fmt.Fprintln(n.stderr, b.String())
	return err
}

func (n *node) addresses() listenfile.Listen {
	l := listenfile.Listen{PID: os.Getpid(), HTTP: n.origins.Of(site.LocalhostName, false), HTTPS: n.origins.Of(site.LocalhostName, true)}
	if n.listeners.direct != nil {
		l.Direct = "http://" + dialable(n.listeners.direct.Addr())
	}
	if n.listeners.socket != nil {
		l.Socket = n.listeners.socket.Addr().String()
	}
	return l
}

// dialable is an address that a client on this machine can dial: all interfaces
// become loopback.
func dialable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return a.String()
	}
	return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
}

func (n *node) tellHost(b *strings.Builder, protect *protectArgs) {
	if protect == nil {
		return
	}
	fmt.Fprintf(b, "\n%s is protected: %s\n", protect.Host, protect.Target)
	fmt.Fprintf(b, "  open   %s/\n", n.origins.Of(protect.Host, true))
	if site.UnderLocalhost(protect.Host) {
		fmt.Fprintf(b, "  or     %s/   (this machine only, no certificate warning)\n", n.origins.Of(protect.Host, false))
	}
	if protect.MCP {
		fmt.Fprintf(b, "  MCP    %s%s   (what MCP clients are given)\n", n.origins.Of(protect.Host, true), protect.ResourceEndpoint)
	}
	if !cert.Local(protect.Host) {
		fmt.Fprintf(b, "  note   the certificate comes from the authority at ACME_DIRECTORY_URL: port 80 or 443 of %s must reach Gatehouse from there.\n"+
			"         Until it is there, a self-signed one is used. `gatehouse cert list` tells how it goes.\n", protect.Host)
	}
	if n.origins.OwnPages(protect.Host) {
		fmt.Fprintf(b, "  note   the sign-in pages stand on %s itself, under %s: its visitors can't reach %s.\n"+
			"         Scripts of the backend share that origin. Set BASE_DOMAIN to a domain of yours to keep them apart.\n",
			protect.Host, site.PagesPrefix, n.origins.SignInName())
	}
}

func (n *node) tellSetup(b *strings.Builder, path string) {
	if path == "" {
		return
	}
	fmt.Fprintf(b, "\nNobody can sign in yet. Create the first administrator (works once, for 30 minutes):\n  %s%s\n",
		n.origins.SignIn(!site.UnderLocalhost(n.origins.BaseDomain)), path)
}

func (n *node) tellAddresses(b *strings.Builder) {
	a := n.addresses()
	fmt.Fprintf(b, "\nGatehouse serves %s and %s", a.HTTP, a.HTTPS)
	if a.Direct != "" {
		fmt.Fprintf(b, ", its API also %s", a.Direct)
	}
	b.WriteString("\n")
}

// tellHostsLine names the hosts that the system's resolver does not know;
// browsers and curl find names under localhost themselves, other programs don't.
func (n *node) tellHostsLine(ctx context.Context, b *strings.Builder) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var unknown []string
	for _, h := range n.roster.World().Hosts() {
		name := h.Proxy.Hostname
		if !site.UnderLocalhost(name) || strings.HasPrefix(name, "*.") || len(unknown) == 10 {
			continue
		}
		if _, err := net.DefaultResolver.LookupHost(ctx, name); err != nil {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		fmt.Fprintf(b, "Browsers and curl find these names; for other programs put a line into /etc/hosts:\n  127.0.0.1 %s\n", strings.Join(unknown, " "))
	}
}
