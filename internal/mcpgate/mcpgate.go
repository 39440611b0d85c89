// Package mcpgate is what the data path knows of MCP messages on their way to a
// backend and back: it recognizes them in every version of the protocol, applies
// a proxy's rules for tools to calls and to lists of tools, binds sessions to
// who began them, and writes down each call.
//
// Recognizing follows JSON-RPC 2.0 and MCP's transports: Streamable HTTP
// (2025-03-26 and later, batches included), the stateless form of 2026-07-28
// with its Mcp-Method and Mcp-Name headers, and HTTP+SSE (2024-11-05). Where
// rules exist the body counts, whatever headers say, and what two programs could
// read differently is refused: that is strict.go's matter. Elsewhere messages are
// only watched while they stream by.
//
// Who may enter the host at all is the gate's matter (package oauth), Gatehouse's
// own MCP server is package mcpserver. Nothing here touches storage.
package mcpgate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash/maphash"
	"sync/atomic"

	"gatehouse/internal/journal"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// Bounds of what is held in memory.
const (
	MaxBody   = 4 << 20   // bytes of a request whose body is judged
	maxHeld   = 512 << 20 // bytes of judged bodies and held answers in all
	maxAnswer = 16 << 20  // bytes of a list of tools, or of an event that may hold one
	maxBatch  = 100       // messages in a batch
	maxWatch  = 64 << 10  // bytes of a request that is only watched
)

// Options are what a Gate works with.
type Options struct {
	Recorder journal.Recorder

	// Grantable reports whether a visit's principal would be given a scope, had its
	// client asked for it. nil: never.
	Grantable func(v *site.Visit, scope string) bool

	// SessionKey binds session ids to who began them. All nodes have the same, so
	// that any of them knows another's. It is secret.
	SessionKey []byte
}

// Gate watches and judges MCP messages. It is safe for concurrent use.
type Gate struct {
	opt   Options
	rates rates
	held  atomic.Int64 // bytes of bodies and answers in memory
}

// New makes a Gate.
func New(o Options) *Gate {
	g := &Gate{opt: o}
	g.rates.seed = maphash.MakeSeed()
	if g.opt.Grantable == nil {
		g.opt.Grantable = func(*site.Visit, string) bool { return false }
	}
	return g
}

// hold makes room for n bytes; false: there is none now. release gives it back.
func (g *Gate) hold(n int64) bool {
	if g.held.Add(n) <= maxHeld {
		return true
	}
	g.held.Add(-n)
	return false
}

func (g *Gate) release(n int64) { g.held.Add(-n) }

// owner is what a session belongs to: the person, the client and the resource,
// whatever token they came with.
func owner(p *principal.Principal) string {
	return p.Subject + "\x00" + p.ClientID + "\x00" + p.Resource
}

// mark is a MAC over a session's id, its owner and its place, and the place.
func (g *Gate) mark(who *principal.Principal, id string, place uint32) []byte {
	h := hmac.New(sha256.New, g.opt.SessionKey)
	at := binary.BigEndian.AppendUint32(nil, place)
	h.Write([]byte(owner(who) + "\x00" + id + "\x00"))
	h.Write(at)
	return append(h.Sum(nil)[:markSize-len(at)], at...)
}

const markSize = 20 // bytes
