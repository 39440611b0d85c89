package mcpserver

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/control"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// caller is who sent one message, as the gate found.
type caller struct {
	principal *principal.Principal
	visit     *site.Visit
}

// owner is what a session belongs to: the person, the client and the resource,
// whatever token they came with.
func (c *caller) owner() string {
	return strings.Join([]string{c.principal.Subject, c.principal.ClientID, c.principal.Resource}, "\x00")
}

// in is ctx for a call by c through this door.
func (c *caller) in(ctx context.Context) context.Context {
	return control.WithDoor(principal.With(site.WithVisit(ctx, c.visit), c.principal), control.DoorMCP)
}

const callerField = "caller" // in the SDK's TokenInfo

type callerKey struct{}

func withCaller(ctx context.Context, c *caller) context.Context {
	return context.WithValue(c.in(ctx), callerKey{}, c)
}

func callerFrom(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return c
}

// identify puts the sender of this very message into the context, in place of
// whoever opened the session. A message without one is nobody's.
func identify(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		ctx = site.WithVisit(principal.With(ctx, nil), nil)
		if extra := req.GetExtra(); extra != nil && extra.TokenInfo != nil {
			if c, ok := extra.TokenInfo.Extra[callerField].(*caller); ok {
				ctx = c.in(ctx)
			}
		}
		return next(ctx, method, req)
	}
}

// survive keeps a defect in one call from ending the process: the SDK runs handlers
// in goroutines of its own, where net/http catches nothing.
func (s *Server) survive(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (result mcp.Result, err error) {
		defer func() {
			if cause := recover(); cause != nil {
				s.log.ErrorContext(ctx, "a call panicked", "method", method, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
				result, err = nil, &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "something went wrong here; the log has the cause"}
			}
		}()
		return next(ctx, method, req)
	}
}

// level is what a caller's scopes let them see.
type level struct{ user, admin bool }

func (s *Server) levelOf(ctx context.Context) level {
	return level{user: s.opt.Control.Allow(ctx, control.User) == nil, admin: s.opt.Control.Allow(ctx, control.Admin) == nil}
}

func (l level) has(scope control.Scope) bool {
	switch scope {
	case control.Public:
		return true
	case control.User:
		return l.user
	}
	return l.admin
}
