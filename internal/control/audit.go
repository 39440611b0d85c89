package control

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// Doors through which operations are asked for.
const (
	DoorAPI     = "api"
	DoorCLI     = "cli"
	DoorMCP     = "mcp"
	DoorBrowser = "browser"
	DoorLocal   = "local"
)

// cliClient is the built-in OAuth client of our own command line.
const cliClient = "device_flow_client"

type doorKey struct{}

// WithDoor is ctx for a call through the named door. Without, the door follows
// from how the caller proved itself.
func WithDoor(ctx context.Context, door string) context.Context {
	return context.WithValue(ctx, doorKey{}, door)
}

func doorOf(ctx context.Context) string {
	if door, ok := ctx.Value(doorKey{}).(string); ok {
		return door
	}
	p := principal.From(ctx)
	switch {
	case p == nil:
		return DoorAPI
	case p.AuthType == principal.Local:
		return DoorLocal
	case p.AuthType == principal.Session:
		return DoorBrowser
	case p.ClientID == cliClient:
		return DoorCLI
	}
	return DoorAPI
}

// note is what an operation tells the audit entry about itself.
type note struct {
	object        string
	before, after any
}

type noteKey struct{}

// noted names the object that an operation changes, with what it was before and
// is after (nil: nothing), without secrets.
func noted(ctx context.Context, object string, before, after any) {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		*n = note{object, before, after}
	}
}

// audited runs an operation that changes something and writes one entry about
// it, whether it succeeded or not.
func (c *Control) audited(ctx context.Context, o *Operation, in any) (any, error) {
	var n note
	out, err := o.run(context.WithValue(ctx, noteKey{}, &n), in)
	e := c.entry(ctx, o)
	e.Object, e.Before, e.After = n.object, text(n.before), text(n.after)
	e.AuthResult, e.Status = "allowed", o.Status
	if err != nil {
		e.After, e.Error, e.Status = "", publicText(err), fault.KindOf(err).Status()
	}
	c.journal.Write(e)
	return out, err
}

// refused writes down that a caller may not run an operation that changes
// something, and answers err.
func (c *Control) refused(ctx context.Context, o *Operation, err error) error {
	if o.Changes() {
		e := c.entry(ctx, o)
		e.AuthResult, e.AuthReason, e.Error, e.Status = "denied", fault.KindOf(err).String(), publicText(err), fault.KindOf(err).Status()
		c.journal.Write(e)
	}
	return err
}

func (c *Control) entry(ctx context.Context, o *Operation) *journal.Entry {
	e := &journal.Entry{Time: c.now(), Kind: journal.Audit, Action: o.Name, Door: doorOf(ctx)}
	if v := site.VisitFrom(ctx); v != nil {
		e.RequestID, e.Proxy = v.RequestID, v.Name
		if v.Client.IsValid() {
			e.ClientIP = v.Client.String()
		}
	}
	if p := principal.From(ctx); p != nil {
		e.User, e.ClientID, e.AuthType, e.Scopes = p.User, p.ClientID, p.AuthType, slices.Clone(p.Scopes)
		e.Session = p.SessionID
		if p.TokenID != "" {
			e.Message = "token " + p.TokenID
		}
	}
	return e
}

func (c *Control) requestID(ctx context.Context) string {
	if v := site.VisitFrom(ctx); v != nil {
		return v.RequestID
	}
	return ""
}

// text is a value as masked JSON.
func text(v any) string {
	if v == nil {
		return ""
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return journal.MaskText(string(raw))
}

func publicText(err error) string {
	return strings.TrimSpace(fault.ProblemOf(err).Detail)
}
