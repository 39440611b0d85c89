package api

import (
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"gatehouse/internal/control"
	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// fail writes err as a problem document, and its cause to the log. scope is what
// the request needed, for the challenge.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error, scope control.Scope) {
	if r.Context().Err() != nil {
		return // the caller is gone
	}
	if errors.Is(err, errMedia) {
		a.write(w, r, fault.NewProblem(http.StatusUnsupportedMediaType, "unsupported_media_type", errMedia.Error()))
		return
	}
	p := fault.ProblemOf(err)
	if p.Status >= http.StatusInternalServerError {
		a.log.ErrorContext(r.Context(), "an operation failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	e, ok := errors.AsType[*fault.Error](err)
	if ok && e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	} else if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	switch {
	case p.Status == http.StatusUnauthorized:
		challenge(w, r, string(scope), "")
	case ok && e.Scope != "":
		challenge(w, r, e.Scope, `, error="insufficient_scope", error_description="this needs the scope `+e.Scope+`"`)
	}
	a.write(w, r, p)
}

func (a *API) write(w http.ResponseWriter, r *http.Request, p fault.Problem) {
	p.RequestID = requestID(r.Context())
	p.WriteTo(w)
}

// challenge tells a client where to get a token for this API (RFC 9728), and
// behind a 403 which scope it lacks (RFC 6750). Other refusals get none: clients
// would sign in again and again.
func challenge(w http.ResponseWriter, r *http.Request, scope, more string) {
	v := site.VisitFrom(r.Context())
	if v == nil || v.Host == nil || scope == "" {
		return
	}
	endpoint := v.Host.Proxy.ResourceEndpoint
	if endpoint == "/" {
		endpoint = ""
	}
	w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+v.Origin+"/.well-known/oauth-protected-resource"+endpoint+`", scope="`+scope+`"`+more)
}

func parseQuery(raw string) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "the query can't be read")
	}
	return query, nil
}
