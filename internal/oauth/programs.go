package oauth

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

// clientsJSON is what is publicly known of programs that are clients of servers
// like this one, each entry with its sources. It serves names on the consent page,
// copies of metadata documents for when they can't be fetched, and tests. Nothing
// is trusted, let in or loosened because of it. Ports, ids and versions in what a
// program registers are examples.
//
//go:embed clients.json
var clientsJSON []byte

// program is one entry of clients.json, as far as the server uses it. What it
// registers and how it behaves is there for the tests (programs_test.go).
type program struct {
	Name         string          `json:"name"`
	Callbacks    []string        `json:"callbacks"`     // {id} stands for one path segment, {port} for a port
	MetadataURLs []string        `json:"metadata_urls"` // {id} likewise
	Document     json.RawMessage `json:"document"`      // what stands at the first of them
}

// programs is what clients.json holds.
type programs []program

func knownPrograms() programs {
	var all programs
	if err := json.Unmarshal(clientsJSON, &all); err != nil {
		panic(fmt.Sprintf("clients.json: %v", err)) // it is part of the program, and tests read it
	}
	return all
}

// name is what is known to stand at the URL by which a client is known, or at the
// https address that its answer goes to; empty: nothing. Callbacks on loopback and
// of private-use schemes tell nothing: any program can be there.
func (all programs) name(c *Client, redirect string) string {
	switch {
	case c.Known == knownURL:
		return all.at(c.ID, func(p *program) []string { return p.MetadataURLs })
	case strings.HasPrefix(redirect, "https://"):
		return all.at(redirect, func(p *program) []string { return p.Callbacks })
	}
	return ""
}

// at is the program to which address belongs; one that lists the very address
// comes before one whose pattern it fits.
func (all programs) at(address string, of func(*program) []string) (name string) {
	for i := range all {
		for _, pattern := range of(&all[i]) {
			if pattern == address {
				return all[i].Name
			}
			if name == "" && like(pattern, address) {
				name = all[i].Name
			}
		}
	}
	return name
}

// document is the copy that we ship of the document at exactly url; nil: none.
func (all programs) document(url string) []byte {
	for i := range all {
		if p := &all[i]; len(p.Document) > 0 && p.MetadataURLs[0] == url {
			return p.Document
		}
	}
	return nil
}

// like compares text with a pattern in which {id} may stand for one segment.
func like(pattern, text string) bool {
	before, after, open := strings.Cut(pattern, "{id}")
	if !open {
		return pattern == text
	}
	rest, ok := strings.CutPrefix(text, before)
	if !ok {
		return false
	}
	id, ok := strings.CutSuffix(rest, after)
	return ok && id != "" && len(id) <= 256 && !strings.ContainsFunc(id, func(r rune) bool { return r >= 0x80 || !isURLSafe(byte(r)) })
}
