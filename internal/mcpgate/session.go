package mcpgate

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"

	"gatehouse/internal/site"
)

// A backend's session belongs to the person and the client that began it. The
// client gets its id with a mark behind it, a MAC over the id and its owner, and
// the backend gets the id alone: so every node knows whose a session is without
// remembering any, and a session that somebody else shows does not exist.

// sessionHeader carries the id in both directions.
const sessionHeader = "Mcp-Session-Id"

const sessionMark = "~"

// markSession puts the mark behind the id that a backend gave.
func (g *Gate) markSession(v *site.Visit, place uint32, h http.Header) {
	who, ids := v.Verdict.Principal, h[sessionHeader]
	if who == nil || len(ids) != 1 || ids[0] == "" {
		return
	}
	h[sessionHeader] = []string{ids[0] + sessionMark + base64.RawURLEncoding.EncodeToString(g.mark(who, ids[0], place))}
}

// takeSession takes the mark off the id that a client shows, and reports whether
// the session may be its own. Nobody in particular has sessions without marks.
func (g *Gate) takeSession(v *site.Visit, h http.Header) bool {
	who, ids := v.Verdict.Principal, h[sessionHeader]
	if who == nil || len(ids) == 0 {
		return true
	}
	if version := h["Mcp-Protocol-Version"]; len(version) == 1 && version[0] == stateless {
		delete(h, sessionHeader) // that version has no sessions: an id is ignored, and no backend sees it
		return true
	}
	if len(ids) > 1 {
		return false
	}
	i := strings.LastIndex(ids[0], sessionMark)
	if i < 0 {
		return false
	}
	id := ids[0][:i]
	mark, err := base64.RawURLEncoding.Strict().DecodeString(ids[0][i+len(sessionMark):])
	if err != nil || len(mark) != markSize || !hmac.Equal(mark, g.mark(who, id, placeIn(mark))) {
		return false
	}
	h[sessionHeader] = []string{id}
	return true
}

// Place is where the session began that a request shows, as Begin was told; 0:
// nowhere in particular. It is a hint that nobody has checked yet.
func Place(h http.Header) uint32 {
	ids := h[sessionHeader]
	if len(ids) != 1 {
		return 0
	}
	i := strings.LastIndex(ids[0], sessionMark)
	if i < 0 {
		return 0
	}
	mark, err := base64.RawURLEncoding.DecodeString(ids[0][i+len(sessionMark):])
	if err != nil || len(mark) != markSize {
		return 0
	}
	return placeIn(mark)
}

// placeIn is the place in a mark of the right size.
func placeIn(mark []byte) uint32 { return binary.BigEndian.Uint32(mark[markSize-4:]) }
