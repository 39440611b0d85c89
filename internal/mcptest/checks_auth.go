package mcptest

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

func authChecks() []check {
	return []check{
		{id: "auth.unauthorized", category: Auth, level: Must, ref: authorization("Error Handling"), closed: true,
			text: "Who has no token is answered with 401", run: checkUnauthorized},
		{id: "auth.methods", category: Auth, level: Must, ref: authorization("Token Requirements"), closed: true,
			text: "Without a token GET and DELETE are refused like POST", run: checkEveryMethod},
		{id: "auth.challenge", category: Auth, level: Must, ref: refChallenge(), closed: true,
			text: "A 401 has a well-formed WWW-Authenticate with the scheme Bearer", run: checkChallenge},
		{id: "auth.challenge-metadata", category: Auth, level: Should, ref: rfc("9728", "5.1", "WWW-Authenticate Response"), closed: true,
			text: "The challenge names the resource's metadata (resource_metadata)", run: checkChallengeMetadata},
		{id: "auth.challenge-scope", category: Auth, level: Should, ref: spec("Authorization", page{v2511, "basic/authorization", "Scope Selection Strategy"}), since: v2511, closed: true,
			text: "The challenge names the scopes to ask for (scope)", run: checkChallengeScope},
		{id: "auth.challenge-error", category: Auth, level: Should, ref: rfc("6750", "3.1", "Error Codes"), closed: true,
			text: "Who presented nothing is told no error code", run: checkChallengeError},
		{id: "auth.metadata", category: Auth, level: Must, ref: refChallenge(), closed: true,
			text: "The protected resource metadata is there, as JSON", run: checkMetadata},
		{id: "auth.resource", category: Auth, level: Must, ref: rfc("9728", "3.3", "Protected Resource Metadata Validation"), closed: true,
			text: "resource in the metadata is the resource that it was asked for", run: checkResource},
		{id: "auth.servers", category: Auth, level: Must, ref: authorization("Authorization Server Discovery"), closed: true,
			text: "authorization_servers names at least one server, by https", run: checkServers},
		{id: "auth.server-metadata", category: Auth, level: Must, ref: refServerMetadata(), closed: true,
			text: "The authorization server has metadata, by RFC 8414 or OpenID Connect Discovery", run: checkServerMetadata},
		{id: "auth.issuer", category: Auth, level: Must, ref: rfc("8414", "3.3", "Authorization Server Metadata Validation"), closed: true,
			text: "issuer in it is the one that it was asked for, character by character", run: checkIssuer},
		{id: "auth.endpoints", category: Auth, level: Must, ref: rfc("8414", "2", "Authorization Server Metadata"), closed: true,
			text: "Its endpoints are named, by https", run: checkEndpoints},
		{id: "auth.pkce", category: Auth, level: Must, ref: refCodeProtection(), closed: true,
			text: "code_challenge_methods_supported lists S256", run: checkPKCE},
		{id: "auth.iss", category: Auth, level: Should, ref: rfc("9207", "3", "Authorization Server Metadata"), closed: true,
			text: "authorization_response_iss_parameter_supported is true, against mix-up", run: checkISS},
		{id: "auth.registration", category: Auth, level: Should, ref: spec("Authorization", page{v2506, "basic/authorization", "Dynamic Client Registration"}, page{sessionless, "basic/authorization/client-registration", "Dynamic Client Registration"}), closed: true,
			text: "A client that is not known can make itself known: registration_endpoint or client_id_metadata_document_supported", run: checkRegistration},
		{id: "auth.garbage", category: Auth, level: Must, ref: authorization("Token Handling"), closed: true,
			text: "A token that is none is answered with 401", run: checkGarbage},
		{id: "auth.garbage-error", category: Auth, level: Should, ref: rfc("6750", "3.1", "Error Codes"), closed: true,
			text: "The challenge then says error=\"invalid_token\"", run: checkGarbageError},
		{id: "auth.unsigned", category: Auth, level: Must, ref: authorization("Token Handling"), closed: true,
			text: "A token without a signature (alg none) is answered with 401", run: checkUnsigned},
		{id: "auth.tampered", category: Auth, level: Must, ref: authorization("Token Handling"), closed: true,
			text: "A token whose claims were changed is answered with 401", run: checkTampered},
		{id: "auth.scheme", category: Auth, level: Must, ref: authorization("Token Requirements"), closed: true,
			text: "A credential of another scheme is answered with 401", run: checkScheme},
		{id: "auth.query", category: Auth, level: Must, ref: authorization("Token Requirements"), closed: true,
			text: "A token in the URL lets nobody in", run: checkQuery},
	}
}

// guarded is what is known; nil and why there is nothing to check.
func (r *run) guarded(ctx context.Context) (*authState, outcome) {
	s := r.signIn(ctx)
	switch {
	case s.open:
		return nil, skip("the endpoint serves anybody: there is no sign-in to test")
	case s.bare.status == 0:
		return nil, skip("%s", s.bare.said())
	}
	return s, outcome{}
}

func checkUnauthorized(ctx context.Context, r *run) outcome {
	s, out := r.guarded(ctx)
	if s == nil {
		return out
	}
	if s.bare.status != http.StatusUnauthorized {
		return breaks("%s", s.bare.said())
	}
	return pass("")
}

func checkEveryMethod(ctx context.Context, r *run) outcome {
	if s, out := r.guarded(ctx); s == nil {
		return out
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		got := r.wire.send(ctx, ask{method: method, from: nobody, headers: []header{{"Accept", "text/event-stream"}}, linger: r.opt.listen})
		if got.status != http.StatusUnauthorized && got.status != http.StatusMethodNotAllowed {
			return breaks("%s: %s", method, got.said())
		}
	}
	return pass("")
}

func checkChallenge(ctx context.Context, r *run) outcome {
	s, out := r.guarded(ctx)
	switch {
	case s == nil:
		return out
	case len(s.bare.header.Values("WWW-Authenticate")) == 0:
		return breaks("there is none")
	case !s.formed:
		return breaks("it is not well-formed: %s", quote(s.bare.header.Get("WWW-Authenticate")))
	case s.challenge == nil:
		return breaks("it has no Bearer challenge: %s", quote(s.bare.header.Get("WWW-Authenticate")))
	}
	return pass("")
}

// challenged is the Bearer challenge; nil and why there is nothing to check.
func (r *run) challenged(ctx context.Context) (*challenge, outcome) {
	s, out := r.guarded(ctx)
	if s == nil {
		return nil, out
	}
	if s.challenge == nil {
		return nil, skip("there is no Bearer challenge")
	}
	return s.challenge, outcome{}
}

func checkChallengeMetadata(ctx context.Context, r *run) outcome {
	c, out := r.challenged(ctx)
	if c == nil {
		return out
	}
	if c.params["resource_metadata"] == "" {
		return breaks("it does not")
	}
	return pass("%s", quote(c.params["resource_metadata"]))
}

func checkChallengeScope(ctx context.Context, r *run) outcome {
	c, out := r.challenged(ctx)
	if c == nil {
		return out
	}
	if c.params["scope"] == "" {
		return breaks("it does not")
	}
	return pass("%s", quote(c.params["scope"]))
}

func checkChallengeError(ctx context.Context, r *run) outcome {
	c, out := r.challenged(ctx)
	if c == nil {
		return out
	}
	if c.params["error"] != "" {
		return breaks("error is %s", quote(c.params["error"]))
	}
	return pass("")
}

func checkMetadata(ctx context.Context, r *run) outcome {
	s, out := r.guarded(ctx)
	if s == nil {
		return out
	}
	if s.metadata.raw == nil {
		return breaks("%s", s.metadata.why)
	}
	return pass("%s", quote(s.asked))
}

// described is the metadata; nil and why there is nothing to check.
func (r *run) described(ctx context.Context) (*authState, outcome) {
	s, out := r.guarded(ctx)
	if s == nil {
		return nil, out
	}
	if s.metadata.raw == nil {
		return nil, skip("there is no metadata")
	}
	return s, outcome{}
}

func checkResource(ctx context.Context, r *run) outcome {
	s, out := r.described(ctx)
	if s == nil {
		return out
	}
	resource := s.metadata.text("resource")
	endpoint := r.url.Scheme + "://" + r.url.Host + strings.TrimSuffix(r.url.EscapedPath(), "/")
	switch {
	case resource == "":
		return breaks("it is missing")
	case s.resource != "" && strings.TrimSuffix(resource, "/") != strings.TrimSuffix(s.resource, "/"):
		return breaks("it is %s, the metadata is that of %s", quote(resource), quote(s.resource))
	case resource != endpoint && !strings.HasPrefix(endpoint+"/", strings.TrimSuffix(resource, "/")+"/"):
		return breaks("it is %s, the endpoint is %s", quote(resource), quote(endpoint))
	}
	return pass("%s", quote(resource))
}

func checkServers(ctx context.Context, r *run) outcome {
	s, out := r.described(ctx)
	if s == nil {
		return out
	}
	servers := s.metadata.texts("authorization_servers")
	if len(servers) == 0 {
		return breaks("it names none")
	}
	for _, server := range servers {
		if !secureURL(server) {
			return breaks("%s is no https URL", quote(server))
		}
	}
	return pass("%s", quoteAll(servers))
}

// secureURL reports an https URL, or one on this machine.
func secureURL(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()))
}

// served is the authorization server's metadata; nil and why there is nothing to
// check.
func (r *run) served(ctx context.Context) (*authState, outcome) {
	s, out := r.described(ctx)
	switch {
	case s == nil:
		return nil, out
	case s.server.raw == nil:
		return nil, skip("there is no metadata of an authorization server")
	}
	return s, outcome{}
}

func checkServerMetadata(ctx context.Context, r *run) outcome {
	s, out := r.described(ctx)
	switch {
	case s == nil:
		return out
	case s.issuer == "":
		return skip("no authorization server is named")
	case s.server.raw == nil && strings.HasSuffix(s.server.why, notFrom):
		return skip("%s", s.server.why)
	case s.server.raw == nil:
		return breaks("%s", s.server.why)
	}
	return pass("")
}

func checkIssuer(ctx context.Context, r *run) outcome {
	s, out := r.served(ctx)
	if s == nil {
		return out
	}
	if got := s.server.text("issuer"); got != s.issuer {
		return breaks("it is %s, asked for was %s", quote(got), quote(s.issuer))
	}
	return pass("")
}

func checkEndpoints(ctx context.Context, r *run) outcome {
	s, out := r.served(ctx)
	if s == nil {
		return out
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint"} {
		if at := s.server.text(name); !secureURL(at) {
			return breaks("%s is %s", name, quote(at))
		}
	}
	if len(s.server.texts("response_types_supported")) == 0 {
		return breaks("response_types_supported is missing")
	}
	return pass("")
}

func checkPKCE(ctx context.Context, r *run) outcome {
	s, out := r.served(ctx)
	if s == nil {
		return out
	}
	if methods := s.server.texts("code_challenge_methods_supported"); !slices.Contains(methods, "S256") {
		return breaks("it lists %s", "["+quoteAll(methods)+"]")
	}
	return pass("")
}

func checkISS(ctx context.Context, r *run) outcome {
	s, out := r.served(ctx)
	if s == nil {
		return out
	}
	if string(s.server.fields["authorization_response_iss_parameter_supported"]) != "true" {
		return breaks("it is not")
	}
	return pass("")
}

func checkRegistration(ctx context.Context, r *run) outcome {
	s, out := r.served(ctx)
	if s == nil {
		return out
	}
	if s.server.text("registration_endpoint") == "" && string(s.server.fields["client_id_metadata_document_supported"]) != "true" {
		return breaks("neither is offered")
	}
	return pass("")
}

// unsigned is a JWT that claims to be for this resource and has no signature.
