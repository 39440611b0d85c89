package edge

import (
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"

	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// forward sends the request to its target and the answer back.
func (x *exchange) forward() {
	x.edge.streams.add(x)
	x.to.load().Add(1)
	defer x.leave(x.to)
	switch t := x.to; {
	case t.local != nil:
		x.through(x.serveLocal)
	case t.missing != "":
		x.fail("no_target", t.missing)
		text := "The target of this host is not there."
		if t.missing == noneHealthy {
			text = "No target of this host is healthy."
		}
		x.problem(http.StatusServiceUnavailable, "no_target", text)
	case x.looped():
		x.problem(http.StatusLoopDetected, "loop", "This request came back to where it had been: the target leads here.")
	case x.tooLarge():
		x.problem(http.StatusRequestEntityTooLarge, "too_large", "The request's body is larger than this host takes.")
	default:
		x.through(x.send)
	}
}

// through lets the MCP gate look at the request and at its answer.
func (x *exchange) through(serve func()) {
	if x.screened() {
		serve()
		x.w.settle()
	}
}

// serveLocal hands the request to a handler in this process. Who asks travels in
// the context, never in headers.
func (x *exchange) serveLocal() {
	x.scrub()
	if x.visit.Target() == site.InternalDemo {
		x.introduce(x.r.Header) // the demo shows what a backend would get
	}
	ctx := site.WithVisit(x.ctx, &x.visit)
	if who := x.visit.Verdict.Principal; who != nil {
		ctx = principal.With(ctx, who)
	}
	r := x.r.WithContext(ctx)
	if body, judged := x.judgedBody(); judged {
		attachJudged(r, body)
	} else if x.body != nil {
		r.Body = x.body
	}
	x.to.local.ServeHTTP(x.w, r)
}

func (x *exchange) tooLarge() bool {
	limit := x.inst.host.Proxy.MaxBodyBytes
	if limit <= 0 || x.body == nil {
		return false
	}
	x.body.limit = limit
	return x.r.ContentLength > limit
}

func (x *exchange) send() {
	protocol, ok := x.upgradeAsked()
	if !ok {
		x.problem(http.StatusBadRequest, "malformed", "This is not a valid request to change the protocol.")
		return
	}
	out, ok := x.outbound(protocol)
	if !ok {
		x.problem(http.StatusBadRequest, "malformed_path", "This path can be read in two ways and can't be rewritten for the target.")
		return
	}
	if x.body != nil && x.r.ProtoMajor == 1 {
		_ = http.NewResponseController(x.w.ResponseWriter).EnableFullDuplex() // HTTP/1 always can
	}
	resp, err := x.roundTrip(out, protocol != "")
	x.interims.end()
	defer x.body.stop()
	if err != nil {
		x.failed(err)
		return
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		x.switchTo(protocol, out, resp)
		return
	}
	x.answer(resp)
}

// outbound is the request for the target. ok is false when its path can't be
// written without a second meaning.
func (x *exchange) outbound(protocol string) (out *http.Request, ok bool) {
	trace := &httptrace.ClientTrace{Got1xxResponse: x.interim}
	out = x.r.WithContext(httptrace.WithClientTrace(x.ctx, trace))
	if out.URL, ok = x.targetURL(); !ok {
		return nil, false
	}
	out.RequestURI, out.Close, out.Form, out.MultipartForm = "", false, nil, nil
	if !x.inst.host.Proxy.PreserveHostHeader {
		out.Host = x.to.host
	}
	x.introduce(x.r.Header)
	if protocol != "" {
		out.Header["Connection"] = []string{"Upgrade"}
		out.Header["Upgrade"] = []string{protocol}
	}
	x.attachBody(out)
	return out, true
}

// attachBody lets the client's body stream to the target.
func (x *exchange) attachBody(out *http.Request) {
	out.Trailer = nil
	if body, judged := x.judgedBody(); judged {
		attachJudged(out, body)
		return
	}
	if x.body == nil {
		out.Body, out.ContentLength, out.TransferEncoding = nil, 0, nil
		return
	}
	if len(x.r.Trailer) > 0 {
		out.Trailer = make(http.Header, len(x.r.Trailer))
		for name := range x.r.Trailer {
			out.Trailer[name] = nil
		}
		x.body.trailer = out.Trailer
	}
	out.Body = onward{x.body}
	out.GetBody = x.body.again
}

// targetURL is where the target gets the request.
func (x *exchange) targetURL() (*url.URL, bool) {
	t := x.to
	u := &url.URL{Scheme: t.scheme, Host: t.host, RawQuery: x.r.URL.RawQuery, ForceQuery: x.r.URL.ForceQuery}
	u.Path, u.RawPath = x.r.URL.Path, x.r.URL.RawPath
	if route := x.visit.Route; route != nil && (route.StripPrefix || route.RewritePath != "") {
		path, ok := rewritten(route, x.visit.Path)
		if !ok {
			return nil, false
		}
		u.Path, u.RawPath = path, ""
	}
	if t.base != "" {
		raw := t.baseRaw + u.EscapedPath()
		u.Path, u.RawPath = t.base+u.Path, raw
	}
	return u, true
}

// rewritten is a route's path for the target, decoded. A path that two programs
// could read differently is not touched, so it can't be rewritten.
func rewritten(route *site.Route, p site.Path) (string, bool) {
	if !p.Plain {
		return "", false
	}
	if route.RewritePath != "" {
		return route.RewritePath, true
	}
	rest := strings.TrimPrefix(p.Clean, strings.TrimSuffix(strings.TrimSuffix(route.PathPattern, "*"), "/"))
	if route.Match == site.MatchRegex {
		rest = p.Clean
	}
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	return rest, site.ParsePath((&url.URL{Path: rest}).EscapedPath()).Plain
}
