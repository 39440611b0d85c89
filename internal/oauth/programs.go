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
// is trusted, let in or loosened because of it.
//
//go:embed clients.json
var clientsJSON []byte

// program is one entry of clients.json.
type program struct {
	Name         string          `json:"name"`
	Maker        string          `json:"maker"`
	Callbacks    []string        `json:"callbacks"`     // {id} stands for one path segment, {port} for a port
	MetadataURLs []string        `json:"metadata_urls"` // {id} likewise
	Document     json.RawMessage `json:"document"`      // what stands at the first of them
	Registration json.RawMessage `json:"registration"`  // what it sends to a registration endpoint
	Quirks       []string        `json:"quirks"`
	Sources      []string        `json:"sources"`
}

// What programs do that a strict reader would not expect: the quirks of
// clients.json. The server bears with each of them for every client.
const (
	quirkAnyPort        = "loopback_port_free"         // the redirect's port differs from the registered one
	quirkNoState        = "no_state"                   // authorizes without state
	quirkNoResource     = "no_resource"                // names no resource at all
	quirkRefreshBare    = "refresh_without_resource"   // names the resource when authorizing, not when refreshing
	quirkTwiceResource  = "repeated_resource"          // sends the same resource twice
	quirkMixedRedirects = "private_scheme_among_https" // registers several redirect URIs, one of a private-use scheme
	quirkForeignGrants  = "unknown_grant_types"        // names grant types that are not offered
	quirkForeignScopes  = "unknown_scopes"             // asks for openid, offline_access and the like beside ours
	quirkEmptyScope     = "empty_scope"                // registers with an empty scope
	quirkPromptConsent  = "prompt_consent"             // authorizes with prompt=consent
	quirkPathID         = "id_in_redirect_path"        // the redirect's path ends in an id that is drawn for each server
	quirkTokenAudience  = "assertion_for_token_endpoint"
)

func allQuirks() []string {
	return []string{quirkAnyPort, quirkNoState, quirkNoResource, quirkRefreshBare, quirkTwiceResource, quirkMixedRedirects, quirkForeignGrants,
		quirkForeignScopes, quirkEmptyScope, quirkPromptConsent, quirkPathID, quirkTokenAudience}
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
	for i := range all {
		p := &all[i]
		if c.Known == knownURL && anyLike(p.MetadataURLs, c.ID) {
			return p.Name
		}
	}
	if c.Known == knownURL || !strings.HasPrefix(redirect, "https://") {
		return ""
	}
	for i := range all {
		if anyLike(all[i].Callbacks, redirect) {
			return all[i].Name
		}
	}
	return ""
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

func anyLike(patterns []string, text string) bool {
	for _, p := range patterns {
		if like(p, text) {
			return true
		}
	}
	return false
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
