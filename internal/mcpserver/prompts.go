package mcpserver

import (
	"context"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxArgument bounds an argument of a prompt, in bytes.
const maxArgument = 2048

func addPrompts(server *mcp.Server) {
	server.AddPrompt(&mcp.Prompt{
		Name: "diagnose_host", Title: "Find out why a host does not work", Description: "Looks at a host's settings, status and log, and says what is wrong.",
		Arguments: []*mcp.PromptArgument{
			{Name: "hostname", Description: "the host, such as app.example.com", Required: true},
			{Name: "symptom", Description: "what somebody sees, in a sentence"},
		},
	}, prompt(diagnoseText, "hostname", "symptom"))
	server.AddPrompt(&mcp.Prompt{
		Name: "protect_mcp_server", Title: "Protect an MCP server", Description: "Puts an MCP server behind a host with sign-in, and checks that it works.",
		Arguments: []*mcp.PromptArgument{
			{Name: "hostname", Description: "the host to make, such as mcp.example.com", Required: true},
			{Name: "target", Description: "where the MCP server is, such as http://127.0.0.1:8000", Required: true},
			{Name: "allow", Description: "who may use it: names with commas"},
		},
	}, prompt(protectText, "hostname", "target", "allow"))
}

const diagnoseText = `Find out why the host %[1]s behind Gatehouse does not work as it should. What was seen: %[2]s

1. get_proxy_status and get_proxy: is it served, enabled, where does it lead, who is let in?
2. get_logs_by_proxy for the newest requests, get_oauth_events_by_proxy for sign-ins. auth_reason and error of an entry say exactly why something was refused.
3. explain_proxy with the method, the path and the person who failed shows the access decision step by step.

Say what is wrong in one sentence, with the entry or the step that shows it, and which setting would mend it. Change nothing before I agree.`

const protectText = `Put the MCP server at %[2]s behind the host %[1]s of Gatehouse, with sign-in. Who may use it: %[3]s

1. list_proxies: does the host exist already? Then stop and ask.
2. create_proxy with proxy_hostname, target_url, auth_enabled true, mcp_enabled true, resource_endpoint /mcp, auth_required_users and oauth_mcp_users both naming those who may.
3. get_proxy_status, and explain_proxy for POST /mcp as one of them and as somebody else: the first must be let in, the second must not.
4. Tell me the address that clients are given: https://%[1]s/mcp. A client needs nothing else.`

// prompt fills in text; what was not given is said to be so.
func prompt(text string, names ...string) mcp.PromptHandler {
	return func(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		values := make([]any, len(names))
		for i, name := range names {
			value := strings.TrimSpace(req.Params.Arguments[name])
			switch {
			case len(value) > maxArgument:
				return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf("%s is longer than %d bytes", name, maxArgument)}
			case value == "" && (name == "hostname" || name == "target"):
				return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: name + " is required"}
			case value == "":
				value = "(not said: ask)"
			}
			values[i] = value
		}
		return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: fmt.Sprintf(text, values...)}}}}, nil
	}
}
