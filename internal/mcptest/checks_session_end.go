package mcptest

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

func sessionAdvancedChecks() []check {
	return []check{
		{id: "session.unknown", category: SessionAdvanced, level: Should, ref: refSessions(), before: sessionless,
			text: "A session id that the server never gave is answered with 404", run: checkUnknownSession},
		{id: "session.delete", category: SessionAdvanced, level: Must, ref: refSessions(), before: sessionless,
			text: "DELETE ends a session, or is answered with 405", run: checkDelete},
		{id: "session.ended", category: SessionAdvanced, level: Must, ref: refSessions(), before: sessionless,
			text: "A session that was ended is answered with 404", run: checkEnded},
		{id: "session.restart", category: SessionAdvanced, level: Must, ref: refSessions(), before: sessionless,
			text: "After the end of a session a new one can be begun, under another id", run: checkRestart},
		{id: "session.independent", category: SessionAdvanced, level: Must, ref: refSessions(), before: sessionless,
			text: "The end of one session leaves others alone", run: checkIndependent},
		{id: "session.same-ids", category: SessionAdvanced, level: Must, ref: base("Responses"),
			text: "Clients that use the same request ids at once each get their own answers", run: checkSameIDs},
		{id: "session.pause", category: SessionAdvanced, level: Should, ref: refSessions(),
			text: "A client may pause for a while", run: checkPause},
	}
}

func checkUnknownSession(ctx context.Context, r *run) outcome {
	if r.peer.session == "" {
		return skip("the server gives no session ids")
	}
	lost := *r.peer
	lost.session = "gatehouse-no-such-session-0000000000000000"
	got, m := lost.call(ctx, "tools/list", nil)
	switch {
	case m != nil && m.result != nil:
		return outcome{Failed, "it is served"}
	case got.status != http.StatusNotFound:
		return breaks("%s", got.said())
	}
	return pass("")
}

func checkDelete(ctx context.Context, r *run) outcome {
	p, out := r.another(ctx)
	if p == nil {
		return out
	}
	got := p.end(ctx)
	if !got.good() && got.status != http.StatusMethodNotAllowed {
		return breaks("%s", got.said())
	}
	return pass("status %d", got.status)
}

func (r *run) another(ctx context.Context) (*peer, outcome) {
	if r.peer.session == "" {
		return nil, skip("the server gives no session ids")
	}
	p, why := r.begin(ctx)
	if p == nil {
		return nil, breaks("%s", why)
	}
	return p, outcome{}
}

func (r *run) ended(ctx context.Context) (*peer, outcome) {
	p, out := r.another(ctx)
	if p == nil {
		return nil, out
	}
	if got := p.end(ctx); !got.good() {
		return nil, skip("DELETE is answered with %d", got.status)
	}
	return p, outcome{}
}

func checkEnded(ctx context.Context, r *run) outcome {
	p, out := r.ended(ctx)
	if p == nil {
		return out
	}
	if got, _ := p.call(ctx, "ping", nil); got.status != http.StatusNotFound {
		return breaks("%s", got.said())
	}
	return pass("")
}

func checkRestart(ctx context.Context, r *run) outcome {
	old, out := r.ended(ctx)
	if old == nil {
		return out
	}
	p, out := r.another(ctx)
	if p == nil {
		return out
	}
	if p.session == old.session {
		return breaks("the new session has the id of the one that was ended")
	}
	if got, m := p.call(ctx, "ping", nil); m == nil || m.result == nil {
		return breaks("%s", got.said())
	}
	return pass("")
}

func checkIndependent(ctx context.Context, r *run) outcome {
	stays, out := r.another(ctx)
	if stays == nil {
		return out
	}
	if gone, out := r.ended(ctx); gone == nil {
		return out
	}
	if got, m := stays.call(ctx, "ping", nil); m == nil || m.result == nil {
		return breaks("the other one answers %s", got.said())
	}
	return pass("")
}

func checkSameIDs(ctx context.Context, r *run) outcome {
	var peers []*peer
	for range 4 {
		p, why := r.begin(ctx)
		if p == nil {
			return breaks("%s", why)
		}
		peers = append(peers, p)
	}
	wrong := make([]string, len(peers))
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() {
			for range 4 {
				a := p.requestAs(json.RawMessage(`"same"`), "gatehouse/asked-by-"+string(rune('a'+i)), params{})
				if i%2 == 0 {
					method, in := r.harmless()
					a = p.requestAs(json.RawMessage(`"same"`), method, in)
				}
				got, m := p.send(ctx, a)
				if i%2 == 0 && (m == nil || m.result == nil) || i%2 == 1 && m != nil && m.result != nil {
					wrong[i] = got.said()
				}
			}
		})
	}
	wg.Wait()
	for _, w := range wrong {
		if w != "" {
			return breaks("a client got what another asked for: %s", w)
		}
	}
	return pass("%d clients at once", len(peers))
}

func checkPause(ctx context.Context, r *run) outcome {
	timer := time.NewTimer(r.opt.Pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return skip("the test was ended")
	case <-timer.C:
	}
	method, in := r.harmless()
	got, m := r.peer.call(ctx, method, in)
	if m == nil || m.result == nil {
		return breaks("after %s: %s", r.opt.Pause, got.said())
	}
	return pass("%s", r.opt.Pause)
}
