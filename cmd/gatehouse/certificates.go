package main

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"os"

	"golang.org/x/sync/errgroup"

	"gatehouse/internal/cert"
	"gatehouse/internal/cert/acme"
	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/site"
)

// certificates are the parts that certificates come from.
type certificates struct {
	keeper  *cert.Keeper
	manager *cert.Manager
	answers *acme.Answers
	tickets *cert.Tickets
}

func (n *node) newCertificates() (*certificates, error) {
	roots, err := acmeRoots(n.cfg.ACME.CAFile)
	if err != nil {
		return nil, err
	}
	log := n.component("cert")
	c := &certificates{answers: acme.NewAnswers(n.store, n.sealer, log)}
	c.keeper = cert.New(n.store, n.sealer, cert.Options{SelfSigned: n.cfg.Cert.SelfSignedLifetime, Challenges: c.answers, Log: log})
	a := n.cfg.ACME
	client := acme.New(acme.Options{
		KV: n.store, Sealer: n.sealer, Answers: c.answers, DNS: n.dns(), Roots: roots, Main: a.DirectoryURL, Log: log,
		EAB: acme.Binding{KeyID: a.EABKeyID, HMAC: []byte(a.EABHMAC.Reveal())}, Agent: "gatehouse/" + release().Version,
	})
	c.manager = cert.NewManager(cert.ManagerOptions{
		Store: n.store, Sealer: n.sealer, ACME: client, Keeper: c.keeper, Note: n.noteCertificate, Log: log,
		Directory: a.DirectoryURL, Staging: a.StagingURL, Email: a.Email, KeyType: n.cfg.Cert.KeyType,
		CheckEvery: n.cfg.Cert.RenewalCheckInterval, Threshold: n.cfg.Cert.RenewalThreshold, Workers: n.cfg.Cert.Workers,
		Preflight: &cert.Preflight{Answers: c.answers, Resolver: n.cfg.DNS.Resolver, HTTPPort: portOf(n.listeners.plain), Identities: client.Identities},
		Quota:     cert.NewQuota(n.store, cert.LimitsOf),
	})
	// The edge exists while these run.
	c.tickets = cert.NewTickets(n.store, n.sealer, func(keys [][32]byte) { n.edge.SetTicketKeys(keys) }, log)
	return c, nil
}

// Load reads the certificates and keys that there are.
func (c *certificates) Load(ctx context.Context) error {
	return errors.Join(c.keeper.Load(ctx), c.manager.Load(ctx), c.tickets.Load(ctx))
}

// Run keeps them until ctx ends.
func (c *certificates) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, part := range []func(context.Context) error{c.keeper.Run, c.manager.Run, c.answers.Run, c.tickets.Run} {
		group.Go(func() error { return part(ctx) })
	}
	return group.Wait()
}

// Want says which hosts a world serves over HTTPS.
func (c *certificates) Want(w *site.World) {
	all, public := make([]cert.Wanted, w.Len()), make([]cert.Wanted, 0, w.Len())
	for i, h := range w.Hosts() {
		p := &h.Proxy
		all[i] = cert.Wanted{Name: p.Hostname, Object: p.CertName}
		if p.EnableHTTPS && p.Enabled && p.TLSMode == site.TLSTerminate {
			public = append(public, all[i])
		}
	}
	c.keeper.Want(all)
	c.manager.Want(public)
}

// dns is how DNS-01 challenges are answered; nil: they are not.
func (n *node) dns() acme.DNS {
	d := n.cfg.DNS
	switch d.Provider {
	case "rfc2136":
		return acme.RFC2136{Server: d.Server, Zone: d.Zone, TSIGName: d.TSIGName, TSIGAlgorithm: d.TSIGAlgorithm,
			TSIGSecret: base64.StdEncoding.EncodeToString([]byte(d.TSIGSecret.Reveal()))}
	case "exec":
		return acme.Exec{Program: d.Exec}
	}
	return nil
}

// acmeRoots are what a private authority's HTTPS is trusted by, beside the
// system's own; nil: the system's alone.
func acmeRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "ACME_CA_FILE: the file can't be read")
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(text)
	return pool, nil
}

// noteCertificate writes what happens to certificates to the request log.
func (n *node) noteCertificate(e cert.Note) {
	entry := journal.Entry{Kind: journal.System, Component: "cert", Action: "certificate_" + e.Action, Object: e.Certificate, Message: e.Message, Level: "INFO"}
	if e.Failed {
		entry.Level, entry.Error = "WARNING", e.Message
	}
	n.journal.Write(&entry)
}
