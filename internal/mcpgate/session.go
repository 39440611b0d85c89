package mcpgate

import (
	"crypto/hmac"
	"encoding/base64"
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
func (g *Gate) markSession(v *site.Visit, h http.Header) {
	who, ids := v.Verdict.Principal, h[sessionHeader]
	if who == nil || len(ids) != 1 || ids[0] == "" {
		return
	}
	h[sessionHeader] = []string{ids[0] + sessionMark + base64.RawURLEncoding.EncodeToString(g.mac(who, ids[0]))}
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
	if err != nil || !hmac.Equal(mark, g.mac(who, id)) {
		return false
	}
	h[sessionHeader] = []string{id}
	return true
}
