package mcptest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// authState is what is known of how one gets in.
type authState struct {
	bare      *answer // to a request without a token
	open      bool    // anybody is served
	challenge *challenge
	formed    bool
	metadata  document
	asked     string // the URL of the metadata
	resource  string // the resource that stands for
	issuer    string
	server    document
}

// document is a JSON document that was fetched, or why it was not.
type document struct {
	raw    json.RawMessage // nil: there is none
	why    string
	fields map[string]json.RawMessage
}

func (d document) text(name string) string {
	var s string
	_ = json.Unmarshal(d.fields[name], &s)
	return s
}

func (d document) texts(name string) []string {
	var s []string
	_ = json.Unmarshal(d.fields[name], &s)
	return s
}

// opening is the request that a client begins with.
func (r *run) opening() ask {
	if r.modern() {
		return (&peer{wire: r.wire, version: r.version, ids: newIDs()}).request("server/discover", nil)
	}
	return (&peer{wire: r.wire, ids: newIDs()}).request("initialize", params{"protocolVersion": r.version, "capabilities": params{}, "clientInfo": clientInfo()})
}

// bearing is the opening request with something in place of the token.
func (r *run) bearing(ctx context.Context, authorization string) *answer {
	a := r.opening()
	a.from = nobody
	a.headers = append(a.headers, header{"Authorization", authorization})
	return r.forget(ctx, r.wire.send(ctx, a))
}

// forget ends a session that a request should not have begun.
func (r *run) forget(ctx context.Context, got *answer) *answer {
	if id := got.header.Get("Mcp-Session-Id"); id != "" && got.good() {
		r.wire.send(ctx, ask{method: http.MethodDelete, headers: []header{{"Mcp-Session-Id", id}, {"MCP-Protocol-Version", r.version}}})
	}
	return got
}

// signIn asks once without a token, and reads what the answer leads to.
func (r *run) signIn(ctx context.Context) *authState {
	if r.auth != nil {
		return r.auth
	}
	s := &authState{}
	r.auth = s
	a := r.opening()
	a.from = nobody
	s.bare = r.forget(ctx, r.wire.send(ctx, a))
	s.open = s.bare.good()
	if s.open || s.bare.status == 0 {
		return s
	}
	all, formed := readChallenges(s.bare.header.Values("WWW-Authenticate"))
	s.formed = formed
	for i := range all {
		if all[i].scheme == "bearer" {
			s.challenge = &all[i]
			break
		}
	}
	r.readMetadata(ctx, s)
	if servers := s.metadata.texts("authorization_servers"); len(servers) > 0 {
		s.issuer = servers[0]
		s.server = r.readServer(ctx, s.issuer)
	}
	return s
}

const wellKnown = "/.well-known/oauth-protected-resource"

// readMetadata reads the document that the challenge names, else the ones that
// clients look for (RFC 9728, section 3.1).
func (r *run) readMetadata(ctx context.Context, s *authState) {
	origin := r.url.Scheme + "://" + r.url.Host
	path := strings.TrimSuffix(r.url.EscapedPath(), "/")
	candidates := []string{origin + wellKnown + path, origin + wellKnown}
	if s.challenge != nil && s.challenge.params["resource_metadata"] != "" {
		candidates = []string{s.challenge.params["resource_metadata"]}
	}
	for _, at := range candidates {
		s.metadata = r.fetch(ctx, at)
		s.asked = at
		if s.metadata.raw != nil {
			break
		}
	}
	if before, after, found := strings.Cut(s.asked, wellKnown); found {
		s.resource = before + after
	}
}

// readServer reads an authorization server's metadata where clients look for it.
func (r *run) readServer(ctx context.Context, issuer string) document {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return document{why: "its address is none: " + quote(issuer)}
	}
	origin, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
	places := []string{origin + "/.well-known/oauth-authorization-server" + path, origin + "/.well-known/openid-configuration" + path}
	if path != "" {
		places = append(places, origin+path+"/.well-known/openid-configuration")
	}
	var d document
	for _, at := range places {
		if d = r.fetch(ctx, at); d.raw != nil {
			return d
		}
	}
	return d
}

// fetch reads a JSON document without any credential.
func (r *run) fetch(ctx context.Context, at string) document {
	if !r.fetchable(at) {
		return document{why: quote(at) + notFrom}
	}
	got := r.wire.send(ctx, ask{method: http.MethodGet, at: at, headers: []header{{"Accept", "application/json"}}})
	d := document{}
	if got.status != http.StatusOK || json.Unmarshal(got.body, &d.fields) != nil || d.fields == nil {
		return document{why: quote(at) + ": " + got.said()}
	}
	d.raw = got.body
	return d
}

const notFrom = " is not asked from here"

// fetchable reports whether a document at this address may be asked for.
func (r *run) fetchable(at string) bool {
	u, err := url.Parse(at)
	return err == nil && u.Host != "" && u.User == nil && r.mayReach(u)
}

// mayReach keeps an endpoint from sending this program around in the network that
// it stands in.
func (r *run) mayReach(u *url.URL) bool {
	if u.Host == r.url.Host && u.Scheme == r.url.Scheme {
		return true
	}
	if r.opt.Reach != nil {
		return r.opt.Reach(u)
	}
	local := loopback(r.url.Hostname())
	if loopback(u.Hostname()) {
		return local && (u.Scheme == "http" || u.Scheme == "https")
	}
	return u.Scheme == "https"
}
