package mcptest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// said is what a client says in one call, and nobody else in any.
func (s *stress) said(client, n int) string {
	return "ghs-" + s.mark + "-" + strconv.Itoa(client) + "-" + strconv.Itoa(n) + "-x"
}

// marks are the texts of this test that stand in an answer.
func (s *stress) marks(got *answer) []string {
	var all []string
	begin := []byte("ghs-" + s.mark + "-")
	look := func(text []byte) {
		for len(all) < 100 {
			i := bytes.Index(text, begin)
			if i < 0 {
				return
			}
			text = text[i:]
			end := bytes.Index(text, []byte("-x"))
			if end < 0 || end > 200 {
				return
			}
			all = append(all, string(text[:end+2]))
			text = text[end:]
		}
	}
	look(got.body)
	for _, e := range got.events {
		look([]byte(e.data))
	}
	return all
}

// judge looks for what another client said in an answer, and for another session's
// id. s.mu is held.
func (s *stress) judge(c *client, said string, got *answer) {
	s.report.Isolation.Checked++
	own := "ghs-" + s.mark + "-" + strconv.Itoa(c.number) + "-"
	for _, mark := range s.marks(got) {
		switch {
		case mark == said:
		case strings.HasPrefix(mark, own):
			s.mixed(fmt.Sprintf("session %d was answered what it had asked before", c.number))
			return
		default:
			s.mixed(fmt.Sprintf("session %d was answered what another had asked", c.number))
			return
		}
	}
	for _, m := range got.messages {
		if m.result != nil && string(compact(m.id)) != `"`+said+`"` {
			s.mixed(fmt.Sprintf("session %d got a result with the id %s", c.number, quote(string(m.id))))
			return
		}
	}
	if id := got.header.Get("Mcp-Session-Id"); id != "" && id != c.peer.session {
		s.mixed(fmt.Sprintf("session %d was answered with another session's id", c.number))
	}
}

// mixed notes a failure of isolation. s.mu is held.
func (s *stress) mixed(what string) {
	i := &s.report.Isolation
	i.Mixed++
	if len(i.Seen) < maxMixed && !slices.Contains(i.Seen, what) {
		i.Seen = append(i.Seen, what)
	}
}

// recover ends some sessions and begins new ones in their place.
func (s *stress) recover(ctx context.Context) {
	r := &s.report.Recovery
	r.OK = true
	for _, c := range s.clients[:min(recovered, len(s.clients))] {
		if c.peer.session == "" || ctx.Err() != nil {
			return
		}
		got := c.peer.end(ctx)
		switch {
		case got.status == http.StatusMethodNotAllowed:
			return
		case got.status == http.StatusNotFound: // it has been ended already
		case !got.good():
			r.OK, r.Detail = false, "DELETE: "+scrub(got.said(), s.opt.Token)
			return
		}
		r.Tried = true
		r.Ended++
		if got, _ := c.peer.call(ctx, "ping", nil); got.status == http.StatusNotFound {
			r.Gone++
		} else if ctx.Err() == nil {
			r.OK, r.Detail = false, "after the end: "+scrub(got.said(), s.opt.Token)
		}
		p, why := s.run.beginAlone(ctx)
		if p == nil {
			if ctx.Err() == nil {
				r.OK, r.Detail = false, scrub(why, s.opt.Token)
			}
			continue
		}
		c.peer = p
		if _, m := p.call(ctx, "ping", nil); m != nil && m.result != nil {
			r.Renewed++
		} else if ctx.Err() == nil {
			r.OK, r.Detail = false, "a new session does not answer"
		}
	}
}

// endAll ends all sessions, also when the test was interrupted.
func (s *stress) endAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.run.opt.Timeout)
	defer cancel()
	slots := make(chan struct{}, openAtOnce)
	var wg sync.WaitGroup
	for _, c := range s.clients {
		if c.peer.session == "" {
			return
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c.peer.end(ctx)
		})
	}
	wg.Wait()
}
