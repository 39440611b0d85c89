package oauth

import (
	"context"
	"errors"

	"gatehouse/internal/journal"
	"gatehouse/internal/site"
)

// step is one step of a sign-in flow, for the journal.
type step struct {
	action  string // "authorize", "token", "register" …
	pending *Pending
	user    string
	client  string
	scopes  []string
	message string
	failed  error // nil: it went well
}

// noteFlow writes one entry for a step. What failed is told by its exact reason.
func (s *Server) noteFlow(ctx context.Context, st step) {
	e := &journal.Entry{Time: s.now(), Kind: journal.OAuth, Action: st.action, User: st.user, ClientID: st.client,
		Scopes: st.scopes, Message: st.message, AuthResult: "allowed"}
	if v := site.VisitFrom(ctx); v != nil {
		e.RequestID, e.ClientIP, e.Proxy, e.Path = v.RequestID, v.Client.String(), v.Name, v.Path.Clean
	}
	if p := st.pending; p != nil {
		e.ClientID, e.Proxy = p.ClientID, p.Host
		if e.Scopes == nil {
			e.Scopes = p.Scopes
		}
	}
	if st.failed != nil {
		s.noteFailure(ctx, e, st.failed)
	}
	if s.opt.Recorder != nil {
		s.opt.Recorder.Write(e)
	}
}

func (s *Server) noteFailure(ctx context.Context, e *journal.Entry, failed error) {
	e.AuthResult, e.Error = "denied", failed.Error()
	known, ok := errors.AsType[*Error](failed)
	if ok {
		e.AuthReason, e.Status, e.Message = known.reason(), known.Status, known.Description
		if known.Code == pendingDevice { // every device asks so a dozen times
			e.AuthResult, e.Error = "waiting", ""
		}
	}
	if !ok || known.Status >= 500 {
		s.log.ErrorContext(ctx, "an OAuth request failed", "action", e.Action, "request_id", e.RequestID, "error", failed)
	}
}
