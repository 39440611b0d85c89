package control

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
)

// ExplainProxy is the argument of explain_proxy: a request that is only thought of.
type ExplainProxy struct {
	Hostname string   `json:"hostname" required:"true" jsonschema:"the host"`
	Name     string   `json:"name,omitempty" jsonschema:"with a wildcard: the name that is asked for"`
	Method   string   `json:"method,omitempty" jsonschema:"GET when not given"`
	Path     string   `json:"path,omitempty" jsonschema:"as it is sent, percent-encoded, without query; / when not given"`
	Plain    bool     `json:"plain_http,omitempty" jsonschema:"over plain HTTP, not HTTPS"`
	Browser  bool     `json:"browser,omitempty" jsonschema:"asked for by a browser that opens a page"`
	User     string   `json:"user,omitempty" jsonschema:"who asks, by the name that lists hold; empty: nobody is signed in"`
	Email    string   `json:"email,omitempty" jsonschema:"a verified address of the user"`
	Groups   []string `json:"groups,omitempty" jsonschema:"groups of the user"`
}

// Explanation is what would become of the request.
type Explanation struct {
	Hostname  string       `json:"proxy_hostname"`
	RouteID   string       `json:"route_id,omitempty" jsonschema:"the route that matches; empty: the host's own target"`
	Target    string       `json:"target,omitempty" jsonschema:"where it would go"`
	Clean     string       `json:"path_read_as" jsonschema:"the path that routes are matched by"`
	Ambiguous bool         `json:"path_ambiguous" jsonschema:"the path can be read in two ways, and so opens nothing"`
	Status    int          `json:"status" jsonschema:"200: it goes to the target; else the answer's status"`
	Step      int          `json:"step" jsonschema:"the step of the access decision that decided"`
	Reason    string       `json:"reason"`
	Challenge string       `json:"www_authenticate,omitempty"`
	Location  string       `json:"location,omitempty"`
	Steps     []oauth.Step `json:"steps"`
}

// ExplainProxy answers which route and which decision a request would meet.
func (c *Control) ExplainProxy(_ context.Context, in ExplainProxy) (Explanation, error) {
	v, r, err := c.imagine(in)
	if err != nil {
		return Explanation{}, err
	}
	out := Explanation{Hostname: v.Host.Proxy.Hostname, Clean: v.Path.Clean, Ambiguous: !v.Path.Plain, Steps: []oauth.Step{}}
	if !v.Host.Proxy.Enabled {
		out.Status, out.Reason = http.StatusServiceUnavailable, "disabled"
		return out, nil
	}
	route, gone := v.Host.Match(r.Method, v.Path)
	if gone {
		out.Status, out.Reason = http.StatusNotFound, "built_in_route_disabled"
		return out, nil
	}
	v.Route = route
	out.Target = v.Target()
	if route != nil {
		out.RouteID = route.ID
	}
	verdict, steps := c.deps.OAuth.Explain(v, r, personOf(in, c))
	out.Status, out.Step, out.Reason, out.Challenge, out.Location = statusOf(verdict), verdict.Step, verdict.Reason, verdict.Header, verdict.Location
	out.Steps = append(out.Steps, steps...)
	return out, nil
}

// imagine is the visit and the request that the argument describes.
func (c *Control) imagine(in ExplainProxy) (*site.Visit, *http.Request, error) {
	hostname := normal(in.Hostname)
	host := c.world().Host(hostname)
	if host == nil {
		return nil, nil, fault.New(fault.NotFound, "there is no proxy %q", hostname)
	}
	name := hostname
	if strings.HasPrefix(hostname, site.Wildcard) {
		if name = normal(in.Name); c.world().Find(name) != host {
			return nil, nil, fault.BadField("name", "is a name that %s serves", hostname)
		}
	}
	if in.Path == "" {
		in.Path = "/"
	}
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	origin := c.deps.Origins.Of(name, !in.Plain)
	r, err := http.NewRequest(strings.ToUpper(in.Method), origin+"/", http.NoBody) //nolint:noctx // it is never sent
	if err != nil {
		return nil, nil, fault.BadField("method", "is a method such as GET")
	}
	if !strings.HasPrefix(in.Path, "/") || len(in.Path) > 8192 || strings.ContainsAny(in.Path, "?#") {
		return nil, nil, fault.BadField("path", "begins with / and has no query")
	}
	path := site.ParsePath(in.Path)
	r.URL = &url.URL{Path: path.Clean}
	if in.Browser {
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
	}
	nowhere := netip.IPv6Unspecified()
	return &site.Visit{RequestID: "explain", Host: host, Name: name, Path: path, Origin: origin, SignIn: c.deps.Origins.SignIn(!in.Plain),
		Secure: !in.Plain, Client: nowhere, Peer: nowhere}, r, nil
}

func personOf(in ExplainProxy, c *Control) *oauth.Person {
	if in.User == "" {
		return nil
	}
	now := c.now()
	return &oauth.Person{Subject: in.User, User: in.User, Email: in.Email, Groups: in.Groups, AuthTime: now, Checked: now}
}

func statusOf(v site.Verdict) int {
	switch v.Outcome {
	case site.Challenge:
		return http.StatusUnauthorized
	case site.Forbid:
		return http.StatusForbidden
	case site.SignIn:
		return http.StatusSeeOther
	case site.Wait:
		return http.StatusTooManyRequests
	}
	return http.StatusOK
}
