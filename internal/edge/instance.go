package edge

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/mcpgate"
	"gatehouse/internal/site"
)

// snapshot is every instance at one moment. It is immutable.
type snapshot struct {
	world     *site.World
	signIn    [2]string // origins of the sign-in host: over HTTPS, over plain HTTP
	instances map[*site.Host]*instance
	checked   []*instance // those whose targets are checked
}

// checkedOf is the list of checked, from the one before.
func (s *snapshot) checkedOf(old *snapshot, come, gone []*site.Host) []*instance {
	touched := len(s.instances) != len(old.instances)+len(come)-len(gone)
	for _, hosts := range [][]*site.Host{come, gone} {
		for _, host := range hosts {
			touched = touched || hasChecks(&host.Proxy)
		}
	}
	if !touched {
		return old.checked
	}
	var all []*instance
	for host, in := range s.instances {
		if hasChecks(&host.Proxy) {
			all = append(all, in)
		}
	}
	return all
}

func (s *snapshot) find(name string) *instance {
	host := s.world.Find(name)
	if host == nil {
		return nil
	}
	return s.instances[host]
}

// instance is the running form of one host: what is compiled of it, and its
// connections to targets. It is immutable; a change of the host makes another.
type instance struct {
	host     *site.Host
	origins  [2]string          // of a host that is no wildcard: over HTTPS, over plain HTTP
	own      *picker            // the proxy's own targets
	targets  map[string]*target // those of its routes, by value
	request  []customHeader     // to targets
	response []customHeader     // to clients
	prefix   string             // of identity headers, lower case
	identity identityNames
	dialer   *dialer
	tools    *mcpgate.Rules // for MCP tools; nil: none
}

// compile makes w's snapshot, keeping the instances of hosts that have not
// changed, and lists those that it replaces.
func (e *Edge) compile(w *site.World, old *snapshot) (next *snapshot, retired []*instance) {
	o := w.Origins
	next = &snapshot{world: w, signIn: [2]string{o.SignIn(true), o.SignIn(false)}}
	come, gone := w.Since(old.world)
	if old.world.Origins == o {
		next.instances = maps.Clone(old.instances)
	} else {
		next.instances, come, gone = make(map[*site.Host]*instance, w.Len()), w.Hosts(), old.world.Hosts()
	}
	for _, host := range gone {
		retired = append(retired, old.instances[host])
		delete(next.instances, host)
	}
	for _, host := range come {
		next.instances[host] = e.newInstance(host, o)
	}
	next.checked = next.checkedOf(old, come, gone)
	return next, retired
}

func (e *Edge) newInstance(host *site.Host, o site.Origins) *instance {
	p := &host.Proxy
	prefix := p.AuthHeaderPrefix
	if prefix == "" {
		prefix = site.DefaultHeaderPrefix
	}
	in := &instance{
		host: host, targets: make(map[string]*target),
		request: compileHeaders(p.CustomHeaders), response: compileHeaders(p.CustomResponseHeaders),
		prefix: strings.ToLower(prefix), identity: namesUnder(prefix),
		dialer: e.newDialer(p), origins: [2]string{o.Of(p.Hostname, true), o.Of(p.Hostname, false)},
	}
	in.own, in.tools = e.newPicker(in, p), mcpgate.Compile(p)
	for _, r := range host.Routes() {
		if in.targets[r.Target] == nil {
			in.targets[r.Target] = e.newTarget(in, r.Target)
		}
	}
	return in
}

// target is where requests go that matched route; nil is the proxy's own.
func (in *instance) target(route *site.Route, c choice) *target {
	if route == nil {
		return in.own.pick(c)
	}
	return in.targets[route.Target]
}

// retire closes connections to targets that are idle; those in use close after
// their request.
func (in *instance) retire() {
	for _, t := range in.own.targets {
		t.retire()
	}
	for _, t := range in.targets {
		t.retire()
	}
}

func seconds(s float64, fallback time.Duration) time.Duration {
	if s <= 0 {
		return fallback
	}
	return time.Duration(s * float64(time.Second))
}

// customHeader is one of custom_headers or custom_response_headers.
type customHeader struct {
	name  string // canonical
	parts []part // empty: the header is removed
}

// part is literal text or a placeholder.
type part struct {
	text  string
	place placeholder
}

type placeholder uint8

const (
	literal placeholder = iota
	placeUser
	placeEmail
	placeRequestID
)

var placeholders = [...]string{placeUser: "${user}", placeEmail: "${email}", placeRequestID: "${request_id}"}

func compileHeaders(set map[string]string) []customHeader {
	headers := make([]customHeader, 0, len(set))
	for name, value := range set {
		headers = append(headers, customHeader{http.CanonicalHeaderKey(name), compileValue(value)})
	}
	slices.SortFunc(headers, func(a, b customHeader) int { return strings.Compare(a.name, b.name) })
	return headers
}

func compileValue(value string) (parts []part) {
	for value != "" {
		at, which := len(value), literal
		for p := placeUser; p <= placeRequestID; p++ {
			if i := strings.Index(value, placeholders[p]); i >= 0 && i < at {
				at, which = i, p
			}
		}
		if at > 0 {
			parts = append(parts, part{text: value[:at]})
		}
		if which != literal {
			parts = append(parts, part{place: which})
		}
		value = value[min(len(value), at+len(placeholders[which])):]
	}
	return parts
}

// value is the header's value for a request.
func (c *customHeader) value(v *site.Visit) string {
	if len(c.parts) == 1 && c.parts[0].place == literal {
		return c.parts[0].text
	}
	var b strings.Builder
	for _, p := range c.parts {
		b.WriteString(p.value(v))
	}
	return b.String()
}

func (p part) value(v *site.Visit) string {
	who := v.Verdict.Principal
	switch {
	case p.place == placeRequestID:
		return v.RequestID
	case p.place == placeUser && who != nil:
		return visible(who.User)
	case p.place == placeEmail && who != nil:
		return visible(who.Email)
	}
	return p.text
}

func setCustom(h http.Header, headers []customHeader, v *site.Visit) {
	for i := range headers {
		c := &headers[i]
		value := c.value(v)
		if value == "" {
			delete(h, c.name)
			continue
		}
		h[c.name] = []string{value}
	}
}
