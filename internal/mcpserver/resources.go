package mcpserver

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/control"
	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// resource is what a reading operation answers, under a URI.
type resource struct {
	uri         string // with {param} where the operation has an argument
	name, title string
	description string
	operation   *control.Operation
	param       string // the argument that the URI's last segment is
}

func (s *Server) allResources() []*resource {
	op := s.opt.Control.Operation
	return []*resource{
		{uri: "gatehouse://health", name: "health", title: "Health", description: "Whether this node serves.", operation: op("health_check")},
		{uri: "gatehouse://proxies", name: "proxies", title: "Proxies", description: "The hosts that are served.", operation: op("list_proxies")},
		{uri: "gatehouse://routes", name: "routes", title: "Routes", description: "All routes, the built-in ones too.", operation: op("list_routes")},
		{uri: "gatehouse://resources", name: "resources", title: "Protected resources", description: "What tokens can be for.", operation: op("list_resources")},
		{uri: "gatehouse://logs/recent", name: "recent-logs", title: "Recent log entries", description: "The newest log entries that the caller may see.", operation: op("get_logs")},
		{uri: "gatehouse://logs/errors", name: "recent-errors", title: "Recent failures", description: "The newest log entries of what failed.", operation: op("get_error_logs")},
		{uri: "gatehouse://proxies/{hostname}", name: "proxy", title: "Proxy", description: "One host with its settings.", operation: op("get_proxy"), param: "hostname"},
		{uri: "gatehouse://routes/{id}", name: "route", title: "Route", description: "One route.", operation: op("get_route"), param: "id"},
		{uri: "gatehouse://logs/proxies/{proxy}", name: "proxy-logs", title: "Log of a host", description: "The newest log entries of a host.", operation: op("get_logs_by_proxy"), param: "proxy"},
	}
}

// scopeOf is what a resource needs; Admin for what is none of ours.
func (s *Server) scopeOf(uri string) control.Scope {
	for _, r := range s.resources {
		if r.uri == uri {
			return r.operation.Scope
		}
	}
	return control.Admin
}

const mediaJSON = "application/json"

func (s *Server) addResources(server *mcp.Server) {
	for _, r := range s.resources {
		if r.param == "" {
			server.AddResource(&mcp.Resource{URI: r.uri, Name: r.name, Title: r.title, Description: r.description, MIMEType: mediaJSON}, s.reader(r))
			continue
		}
		server.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: r.uri, Name: r.name, Title: r.title, Description: r.description, MIMEType: mediaJSON}, s.reader(r))
	}
}

func (s *Server) reader(r *resource) mcp.ResourceHandler {
	return func(ctx context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		in := map[string]string{}
		if r.param != "" {
			escaped := req.Params.URI[strings.LastIndexByte(req.Params.URI, '/')+1:]
			value, err := url.PathUnescape(escaped)
			if err != nil || value == "" {
				return nil, mcp.ResourceNotFoundError(req.Params.URI)
			}
			in[r.param] = value
		}
		raw, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		out, err := r.operation.Call(ctx, raw)
		if err != nil {
			return nil, s.unreadable(ctx, req.Params.URI, err)
		}
		text, err := json.Marshal(out)
		if err != nil {
			return nil, err
		}
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, MIMEType: mediaJSON, Text: string(text)}}}, nil
	}
}

// unreadable is err as JSON-RPC says it; what it says is public.
func (s *Server) unreadable(ctx context.Context, uri string, err error) error {
	p := fault.ProblemOf(err)
	p.RequestID = requestID(ctx)
	switch fault.KindOf(err) {
	case fault.NotFound:
		return mcp.ResourceNotFoundError(uri)
	case fault.Internal:
		s.log.ErrorContext(ctx, "a resource could not be read", "uri", uri, "error", err)
	}
	data, marshalErr := json.Marshal(p)
	if marshalErr != nil {
		return marshalErr
	}
	return &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: p.Detail, Data: data}
}

func requestID(ctx context.Context) string {
	if v := site.VisitFrom(ctx); v != nil {
		return v.RequestID
	}
	return ""
}
