package edge

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strings"
)

// removeHops removes hop-by-hop headers and those that Connection names.
func removeHops(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.Trim(name, " \t"); name != "" {
				h.Del(name)
			}
		}
	}
	for name := range h {
		if hopByHop(name) {
			delete(h, name)
		}
	}
}

// identityNames are the headers that tell a target who is asking.
type identityNames struct{ user, email, scopes, client, subject string }

func namesUnder(prefix string) identityNames {
	name := func(s string) string { return http.CanonicalHeaderKey(prefix + s) }
	return identityNames{name("User"), name("Email"), name("Scopes"), name("Client-Id"), name("Subject")}
}

// introduce turns the client's headers into those for the target. The client's
// map is changed in place: nobody reads it after us.
func (x *exchange) introduce(h http.Header) {
	teTrailers := wantsTrailers(h["Te"])
	removeHops(h)
	x.scrub()
	if teTrailers {
		h["Te"] = []string{"trailers"} // gRPC insists
	}
	if x.visit.Verdict.OwnToken {
		delete(h, "Authorization")
	}
	dropOwnCookies(h, x.inst.host.Proxy.AuthCookieName)
	x.addForwarding(h)
	if x.inst.host.Proxy.AuthPassHeaders {
		x.addIdentity(h)
	}
	setCustom(h, x.inst.request, &x.visit)
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // none, rather than that of Go's client
	}
}

func wantsTrailers(te []string) bool {
	for _, list := range te {
		if hasToken(list, "trailers") {
			return true
		}
	}
	return false
}

func (x *exchange) addForwarding(h http.Header) {
	v := &x.visit
	values := make([]string, 7) // one allocation for all
	set := func(i int, name, value string) {
		values[i] = value
		h[name] = values[i : i+1 : i+1]
	}
	chain := v.Peer.String()
	client := chain
	if v.Client != v.Peer {
		client = v.Client.String()
	}
	if earlier := h["X-Forwarded-For"]; len(earlier) > 0 {
		chain = strings.Join(earlier, ", ") + ", " + chain
	} else if v.Client != v.Peer {
		chain = client + ", " + chain
	}
	set(0, "X-Forwarded-For", chain)
	set(1, "X-Real-Ip", client)
	set(2, "X-Forwarded-Host", x.r.Host)
	set(3, "X-Forwarded-Proto", proto(v.Secure))
	set(4, "X-Request-Id", v.RequestID)
	set(5, "Traceparent", x.traceparent())
	set(6, loopHeader, x.loopMark(h[loopHeader]))
}

func proto(secure bool) string {
	if secure {
		return "https"
	}
	return "http"
}

func (x *exchange) traceparent() string {
	var span [8]byte
	binary.BigEndian.PutUint64(span[:], rand.Uint64()|1) // never all zero
	var b [55]byte
	copy(b[:], "00-")
	copy(b[3:], x.trace)
	b[35] = '-'
	hex.Encode(b[36:], span[:])
	copy(b[52:], "-01")
	return string(b[:])
}

// loopHeader is RFC 8586's; unlike Via it changes nothing in how targets answer.
const loopHeader = "Cdn-Loop"

func (x *exchange) loopMark(earlier []string) string {
	if len(earlier) == 0 {
		return x.edge.nodeMark
	}
	return strings.Join(earlier, ", ") + ", " + x.edge.nodeMark
}

// maxHops is how many entries the loop header may have: more is a loop through
// nodes that don't know each other.
const maxHops = 20

// looped reports whether the request has been here before.
func (x *exchange) looped() bool {
	hops := 0
	for _, list := range x.r.Header[loopHeader] {
		hops += strings.Count(list, ",") + 1
		if strings.Contains(list, x.edge.nodeMark) {
			return true
		}
	}
	return hops > maxHops
}

// addIdentity tells the target who is asking.
func (x *exchange) addIdentity(h http.Header) {
	who := x.visit.Verdict.Principal
	if who == nil {
		return
	}
	names := &x.inst.identity
	scopes := make([]string, len(who.Scopes))
	for i, s := range who.Scopes {
		scopes[i] = visible(s)
	}
	values := []string{visible(who.User), visible(who.Email), strings.Join(scopes, " "), visible(who.ClientID), visible(who.Subject)}
	for i, name := range []string{names.user, names.email, names.scopes, names.client, names.subject} {
		if values[i] != "" {
			h[name] = values[i : i+1 : i+1]
		}
	}
}

// visible percent-encodes all but visible ASCII, and the percent sign itself, so
// that two names never look alike.
func visible(s string) string {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '%' {
			return encodeInvisible(s, i)
		}
	}
	return s
}

func encodeInvisible(s string, from int) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	b.WriteString(s[:from])
	for i := from; i < len(s); i++ {
		c := s[i]
		if c > ' ' && c < 0x7f && c != '%' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}

// adopt turns a target's headers into those for the client.
func (x *exchange) adopt(h http.Header) {
	removeHops(h)
	dropOwnSetCookies(h, x.inst.host.Proxy.AuthCookieName)
	if x.visit.Verdict.ByCookie {
		keepPrivate(h)
	}
	if x.cors != "" {
		for name := range h {
			if strings.HasPrefix(name, "Access-Control-") {
				delete(h, name)
			}
		}
	}
}

// keepPrivate keeps shared caches from answers that were given because of a session.
func keepPrivate(h http.Header) {
	kept := []string{"private"}
	for _, list := range h["Cache-Control"] {
		for directive := range strings.SplitSeq(list, ",") {
			directive = strings.Trim(directive, " \t")
			name, _, _ := strings.Cut(strings.ToLower(directive), "=")
			switch name {
			case "no-store", "private":
				return
			case "public", "s-maxage", "":
			default:
				kept = append(kept, directive)
			}
		}
	}
	h["Cache-Control"] = []string{strings.Join(kept, ", ")}
}
