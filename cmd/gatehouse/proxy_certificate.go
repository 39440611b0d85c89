package main

import (
	"context"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/control"
	"gatehouse/internal/fault"
)

// hostAppears is how long after its creation a host may take to ask for a
// certificate.
const hostAppears = 10 * time.Second

// stageHost asks for the certificate of a host that is about to be created at
// the authority for trials.
func (a *app) stageHost(ctx context.Context, host string) error {
	if cert.Local(host) {
		return usage("--staging: %s is a local name, which the local CA certifies", host)
	}
	conn, req, err := a.prepare("create_certificate", control.CreateCertificate{Name: cert.NameFor(host), Domains: []string{host}, Staging: true})
	if err != nil {
		return err
	}
	if a.flags.dryRun {
		return a.show(ctx, conn, req)
	}
	return conn.api.Do(ctx, req, nil)
}

// followNew is followHost where somebody looks on, or wants to wait. Without wait
// the host is there whatever becomes of its certificate.
func (a *app) followNew(ctx context.Context, host string, wait bool) error {
	if _, looks := terminal(a.err); !wait && !looks {
		return nil
	}
	err := a.followHost(ctx, host)
	if err == nil || wait || ctx.Err() != nil {
		return err
	}
	a.certStep(time.Now(), "later", err.Error())
	return nil
}

// followHost shows on stderr how the certificate of a new host is obtained, until
// it is there. The error is the order's.
func (a *app) followHost(ctx context.Context, host string) error {
	for deadline := time.Now().Add(hostAppears); ; {
		conn, req, err := a.prepare("get_proxy_status", control.ProxyName{Hostname: host})
		if err != nil {
			return err
		}
		var s control.ProxyStatus
		if err := conn.api.Do(ctx, req, &s); err != nil {
			return err
		}
		c := s.Certificate
		switch {
		case c == nil || c.Kind != cert.KindSelfSigned: // it has what it gets
			return nil
		case c.Name != "":
			return a.followOrder(ctx, host, c.Name)
		case c.Status == cert.Failed:
			return fault.New(fault.Unavailable, "%s has a self-signed certificate: %s", host, c.Message)
		case time.Now().After(deadline):
			return fault.New(fault.Unavailable, "no certificate has been asked for yet: `gatehouse proxy status %s` tells when it is", host)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *app) followOrder(ctx context.Context, host, name string) error {
	_, s, err := a.certFollow(ctx, name, 0)
	switch {
	case err != nil:
		return err
	case s.Message != "" && s.NextTry != nil:
		return fault.New(fault.Unavailable, "%s has a self-signed certificate for now: %s; the next try is at %s", host, s.Message, s.NextTry.Local().Format(time.DateTime))
	case s.Expires != nil:
		a.certStep(time.Now(), "ready", host+" has its certificate, until "+s.Expires.Local().Format(time.DateTime))
	}
	return nil
}
