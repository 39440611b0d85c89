package oauth

import (
	"encoding/json"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
)

// clientDocument is a client metadata document: what the client would register,
// with its own address in it.
type clientDocument struct {
	registrationRequest
	ClientID    string   `json:"client_id"`
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"` // ways beside the chosen one
}

// readDocument checks the metadata document that was fetched from url and makes
// a client of it. Whatever is wrong is the document's fault, and told. Nothing
// else that it names is fetched, but jwks_uri when it is needed.
func readDocument(url string, body []byte, loopback bool) (Client, error) {
	if deeper(body, maxDepth) {
		return Client{}, badDocument("is nested too deeply")
	}
	var doc clientDocument
	if err := jsonv2.Unmarshal(body, &doc); err != nil {
		return Client{}, badDocument("is no JSON object of client metadata" + wrongMember(err))
	}
	if doc.ClientID != url {
		return Client{}, badDocument("has another client_id than its address")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return Client{}, badDocument("is no JSON object of client metadata")
	}
	for name := range members {
		if strings.HasPrefix(name, "client_secret") {
			return Client{}, badDocument("holds " + safeName(name) + ": what everybody can read is no secret")
		}
	}
	if doc.AuthMethod == nil || *doc.AuthMethod == "" {
		doc.AuthMethod = new(authNone)
	}
	c, err := doc.client(documentOffer(loopback))
	if err != nil {
		return Client{}, badDocument("can not be used: " + asError(err).Description)
	}
	c.ID, c.Known = url, knownURL
	for _, m := range doc.AuthMethods {
		if m != c.AuthMethod && (m == authNone || (m == authKey && (len(c.JWKS) > 0 || c.JWKSURI != ""))) {
			c.AuthMethods = withScope(c.AuthMethods, m)
		}
	}
	return c, nil
}

// documentOffer is what a client without a registration can choose from: no way
// that needs a shared secret, and nothing without a person.
func documentOffer(loopback bool) offer {
	return offer{
		methods:  []string{authNone, authKey},
		grants:   slices.DeleteFunc(allGrantTypes(), func(g string) bool { return g == "client_credentials" }),
		loopback: loopback,
	}
}

// badDocument is invalid_client with the rule that a client's document breaks.
func badDocument(rule string) *Error {
	return refusedClient("cimd_invalid", "The client's metadata document "+rule, false)
}
