package mcptest

import "strings"

// Reference is where a requirement is written.
type Reference struct {
	Document string `json:"document"` // "MCP 2025-11-25, Transports", "RFC 9728"
	Section  string `json:"section"`
	URL      string `json:"url"`
}

// String is the reference in a line.
func (r Reference) String() string { return r.Document + ": " + r.Section }

// section is a section of the MCP specification, which changed place over the
// versions, or of another document.
type section struct {
	name  string
	pages []page // oldest first
	other *Reference
}

// page is where a section stands from a version on.
type page struct{ since, path, heading string }

// in is the section as the version has it. What an older version does not have
// yet is cited from the first that does.
func (s section) in(version string) Reference {
	if s.other != nil {
		return *s.other
	}
	at := s.pages[0]
	for _, p := range s.pages {
		if p.since <= version {
			at = p
		}
	}
	if version < at.since {
		version = at.since
	}
	title := s.name
	if i := strings.LastIndex(at.path, "/"); title == "" {
		title = at.path[i+1:]
	}
	return Reference{Document: "MCP " + version + ", " + title, Section: at.heading, URL: "https://modelcontextprotocol.io/specification/" + version + "/" + at.path + anchor(at.heading)}
}

// anchor is the fragment of a heading, as the site makes it.
func anchor(heading string) string {
	if strings.ContainsAny(heading, "&,`") {
		return ""
	}
	return "#" + strings.ReplaceAll(strings.ToLower(strings.ReplaceAll(heading, ":", "")), " ", "-")
}

func spec(name string, pages ...page) section { return section{name: name, pages: pages} }

func rfc(number, part, heading string) section {
	url := "https://www.rfc-editor.org/rfc/rfc" + number + ".html#section-" + part
	return section{other: &Reference{Document: "RFC " + number, Section: part + " " + heading, URL: url}}
}

// The versions, as pages of the specification begin with them.
const (
	v2024 = "2024-11-05"
	v2503 = "2025-03-26"
	v2506 = "2025-06-18"
	v2511 = "2025-11-25"
)

const (
	streamable = "basic/transports/streamable-http"
	transports = "basic/transports"
)

// transport is a section on Streamable HTTP, which came with 2025-03-26 and has a
// page of its own now.
func transport(heading, now string) section {
	return spec("Transports", page{v2503, transports, heading}, page{sessionless, streamable, now})
}

func refSessions() section {
	return transport("Session Management", "Earlier Streamable HTTP Revisions")
}
func refSending() section {
	return transport("Sending Messages to the Server", "Sending Messages")
}
func refReceiving() section { return transport("Sending Messages to the Server", "Receiving Messages") }
func refListening() section {
	return transport("Listening for Messages from the Server", "Earlier Streamable HTTP Revisions")
}
func refOrigin() section { return transport("Security Warning", "Security & Endpoint") }
func refResume() section {
	return transport("Resumability and Redelivery", "Earlier Streamable HTTP Revisions")
}
func refHeaders() section {
	return spec("Transports", page{sessionless, streamable, "Server Validation"})
}
func refVersionHeader() section {
	return spec("Transports", page{v2506, transports, "Protocol Version Header"}, page{sessionless, streamable, "Protocol Version Header"})
}

func refNegotiation() section {
	return spec("", page{v2024, "basic/lifecycle", "Version Negotiation"}, page{sessionless, "basic/versioning", "Protocol Version Negotiation"})
}

func refInitialization() section {
	return spec("", page{v2024, "basic/lifecycle", "Initialization"}, page{sessionless, "server/discover", "Response"})
}

func refCapabilities() section {
	return spec("", page{v2024, "basic/lifecycle", "Capability Negotiation"}, page{sessionless, "server/discover", "DiscoverResult"})
}

// base is a section of the base protocol.
func base(heading string) section {
	return spec("Base Protocol", page{v2024, "basic/messages", heading}, page{v2503, "basic", heading})
}

func refErrors() section {
	return spec("Base Protocol", page{v2024, "basic/messages", "Responses"}, page{v2511, "basic", "Error Responses"})
}

func refBatch() section {
	return spec("Base Protocol", page{v2503, "basic", "Batching"}, page{v2506, transports, "Sending Messages to the Server"}, page{sessionless, streamable, "Sending Messages"})
}

func refMeta() section { return spec("Base Protocol", page{sessionless, "basic", "_meta"}) }
func refStateless() section {
	return spec("Base Protocol", page{sessionless, "basic", "Statelessness"})
}

// tools is a section on tools.
func tools(heading string) section { return spec("Tools", page{v2024, "server/tools", heading}) }

func toolsSince(version, heading string) section {
	return spec("Tools", page{version, "server/tools", heading})
}

func refPagination(heading string) section {
	return spec("Pagination", page{v2024, "server/utilities/pagination", heading})
}

func refPing() section {
	return spec("Ping", page{v2024, "basic/utilities/ping", "Behavior Requirements"})
}

func refCaching() section {
	return spec("Caching", page{sessionless, "server/utilities/caching", "Cacheable Results"})
}

func refSubscriptions() section {
	return spec("Subscriptions", page{sessionless, "basic/patterns/subscriptions", "Acknowledgment"})
}

// authorization is a section on authorization as it is since 2025-06-18.
func authorization(heading string) section {
	return spec("Authorization", page{v2506, "basic/authorization", heading})
}

func refChallenge() section {
	return spec("Authorization", page{v2506, "basic/authorization", "Authorization Server Location"},
		page{v2511, "basic/authorization", "Protected Resource Metadata Discovery Requirements"},
		page{sessionless, "basic/authorization/authorization-server-discovery", "Protected Resource Metadata Discovery Requirements"})
}

func refServerMetadata() section {
	return spec("Authorization", page{v2506, "basic/authorization", "Server Metadata Discovery"},
		page{v2511, "basic/authorization", "Authorization Server Metadata Discovery"},
		page{sessionless, "basic/authorization/authorization-server-discovery", "Authorization Server Metadata Discovery"})
}

func refCodeProtection() section {
	return spec("Authorization", page{v2506, "basic/authorization", "Authorization Code Protection"},
		page{sessionless, "basic/authorization/security-considerations", "Authorization Code Protection"})
}

func refSecureTransport() section {
	return spec("Authorization", page{v2506, "basic/authorization", "Communication Security"},
		page{sessionless, "basic/authorization/security-considerations", "Communication Security"})
}

func refHijacking() section {
	return section{other: &Reference{Document: "MCP Security Best Practices", Section: "Session Hijacking",
		URL: "https://modelcontextprotocol.io/docs/tutorials/security/security_best_practices#session-hijacking"}}
}

func jsonRPC(part, heading string) section {
	return section{other: &Reference{Document: "JSON-RPC 2.0", Section: part + " " + heading, URL: "https://www.jsonrpc.org/specification"}}
}
