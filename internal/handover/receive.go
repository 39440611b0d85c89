package handover

import (
	"context"
	"net/http"

	"gatehouse/internal/fault"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// receive serves a request that another node hands over. TLS has proved that it
// is one; what it says of the caller is what its gate found, and this node's
// gate is asked too.
func (p *Peers) receive(w http.ResponseWriter, r *http.Request) {
	notes := r.Header.Values(noteHeader)
	if r.TLS == nil || len(notes) != 1 {
		fault.ProblemOf(fault.New(fault.Malformed, "this door is for nodes alone")).WriteTo(w)
		return
	}
	e, err := open(notes[0])
	if err != nil {
		fault.ProblemOf(fault.Wrap(fault.Malformed, err, "the request that was handed over can't be read")).WriteTo(w)
		return
	}
	r.Header.Del(noteHeader)
	v := e.visit(p.opt.World(), r.Method)
	if v == nil {
		fault.ProblemOf(errGone).WriteTo(w)
		return
	}
	handler := p.opt.Local(v.Target())
	if handler == nil {
		fault.ProblemOf(errGone).WriteTo(w)
		return
	}
	if !p.opt.Still(v) {
		fault.ProblemOf(fault.New(fault.Unauthenticated, "what you signed in with has ended: sign in again")).WriteTo(w)
		return
	}
	ctx := context.WithValue(site.WithVisit(r.Context(), v), handedKey{}, true)
	if e.Principal != nil {
		ctx = principal.With(ctx, e.Principal)
	}
	handler.ServeHTTP(w, r.WithContext(ctx))
}

var errGone = fault.New(fault.NotFound, "there is no such session: begin anew")
