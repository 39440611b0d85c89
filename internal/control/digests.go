package control

import (
	"crypto/sha256"
	"encoding/hex"
)

// Digests are SHA-256 of what this node has in memory and serves from. Two nodes
// with the same All serve alike.
type Digests struct {
	All          string `json:"all" jsonschema:"of the other digests"`
	Proxies      string `json:"proxies" jsonschema:"every host with its settings and routes"`
	Routes       string `json:"routes"`
	Certificates string `json:"certificates" jsonschema:"which certificate each host is served with"`
	Keys         string `json:"keys" jsonschema:"the keys that tokens are signed with, by their ids"`
	Revocations  string `json:"revocations"`
	Users        string `json:"users" jsonschema:"local accounts"`
}

// digests reads all that is served: some 10 µs for each host.
func (c *Control) digests() *Digests {
	sum := sha256.New()
	text := func(d [32]byte) string {
		sum.Write(d[:])
		return hex.EncodeToString(d[:])
	}
	proxies, routes := c.world().Digest()
	d := &Digests{Proxies: text(proxies), Routes: text(routes)}
	if c.deps.Certificates != nil {
		d.Certificates = text(c.deps.Certificates.Digest())
	}
	if c.deps.OAuth != nil {
		auth := c.deps.OAuth.Digest()
		d.Keys, d.Revocations, d.Users = text(auth.Keys), text(auth.Revocations), text(auth.Users)
	}
	d.All = hex.EncodeToString(sum.Sum(nil))
	return d
}
