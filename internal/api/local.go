package api

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// local admits the machine's administrator by signature: from loopback or the
// unix socket, and for the API alone.
func (d *Direct) local(w http.ResponseWriter, r *http.Request, v *site.Visit) error {
	switch {
	case d.Local == nil:
		return fault.New(fault.Unauthenticated, "this Gatehouse takes no local signatures")
	case !v.Loopback && !d.Socket:
		return fault.New(fault.Unauthenticated, "local signatures count on this machine's loopback addresses and its socket only")
	case v.Target() != site.InternalAPI:
		return fault.New(fault.Unauthenticated, "local signatures are for the API")
	}
	body, err := readAll(w, r)
	if err != nil {
		return err
	}
	if err := d.Local.Verify(r, body); err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	v.Verdict = site.Verdict{Step: 9, Reason: "local", Principal: machine()}
	return nil
}

// machine is the machine's administrator.
func machine() *principal.Principal {
	now := time.Now()
	return &principal.Principal{Subject: "local", User: "local", Name: "machine administrator", Scopes: []string{principal.ScopeAdmin},
		AuthType: principal.Local, IssuedAt: now, AuthTime: now}
}
