package mcpgate

import (
	"net/http"
	"slices"
)

// resource_versions of a proxy are the versions of the protocol that its endpoint
// is used in, whatever else its backend speaks. Clients of 2026-07-28 read what is
// supported from the refusal; older ones negotiate by initialize, which the
// backend hears in a version of the list.

// versions are the host's; nil: all that the backend speaks.
func (p *Pass) versions() []string {
	if !p.mcp {
		return nil
	}
	return p.visit.Host.Proxy.ResourceVersions
}

// unsupported refuses a version that is not in the list. A request that names
// none is left to the backend.
func unsupported(versions, named []string) *Refusal {
	if len(versions) == 0 {
		return nil
	}
	for _, version := range named {
		if slices.Contains(versions, version) {
			continue
		}
		const text = "this version of the protocol is not spoken on this host"
		r := newReply("", denial{code: codeVersion, text: text})
		r.Error.Data = &hint{Supported: versions, Requested: version[:min(len(version), 64)]}
		return &Refusal{Status: http.StatusBadRequest, Kind: "mcp_version", Text: text, Body: encode(r)}
	}
	return nil
}

// pinned refuses messages in other versions than those of the list, and has
// initialize ask for one of them: the newest that is no newer than what the client
// asked for, else the newest.
func (p *Pass) pinned(payload Payload) *Refusal {
	versions := p.versions()
	if len(versions) == 0 {
		return nil
	}
	for _, m := range payload.Messages {
		if m.Version != "" {
			if r := unsupported(versions, []string{m.Version}); r != nil {
				return r
			}
		}
	}
	hello := payload.Messages[0]
	if payload.Batch || hello.Method != "initialize" || hello.askedAt[1] == 0 || slices.Contains(versions, hello.asked) {
		return nil
	}
	offer := slices.Max(versions) // dates: the newest is the greatest
	for _, version := range slices.Sorted(slices.Values(versions)) {
		if version <= hello.asked {
			offer = version
		}
	}
	p.body = slices.Concat(p.body[:hello.askedAt[0]], []byte(`"`+offer+`"`), p.body[hello.askedAt[1]:])
	return nil
}
