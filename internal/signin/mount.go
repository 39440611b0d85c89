package signin

import (
	"errors"
	"net/http"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
	"gatehouse/internal/page"
	"gatehouse/internal/site"
)

// route is one address: what GET shows and what POST does. A nil handler is 405.
type route struct {
	get, post func(*call) error
	stale     func(*call) error // what a POST with an old form gets; nil: the page that says so
	limited   bool              // each POST counts as an attempt to sign in
}

// mount is every address of this package. Those under /.gatehouse stand on each
// protected host, the others on the sign-in host, or, where that can't be
// reached, under /.gatehouse of the host itself.
func (p *Pages) mount() map[string]route {
	return map[string]route{
		"/.gatehouse/start":    {get: p.start},
		"/.gatehouse/callback": {get: p.arrive},
		"/.gatehouse/logout":   {get: p.askHostLogout, post: p.hostLogout},

		"/":         {get: p.showHome},
		"/signin":   {get: p.signin, post: p.prove, stale: p.proveStale, limited: true},
		"/callback": {get: p.returned},
		"/consent":  {get: p.consent, post: p.decide},
		"/device":   {get: p.device, post: p.enterDevice, limited: true},
		"/setup":    {get: p.setup, post: p.createFirst, limited: true},
		"/account":  {get: p.account, post: p.revoke},
		"/logout":   {get: p.askLogout, post: p.logout},
	}
}

// ServeHTTP answers the target internal:pages. The request's context must carry
// its site.Visit.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := site.VisitFrom(r.Context())
	if v == nil {
		fault.ProblemOf(errors.New("signin: a request without a visit")).WriteTo(w)
		return
	}
	c := &call{Pages: p, w: w, r: r, v: v}
	c.home, c.at = p.homeOf(v)
	if err := p.serve(c); err != nil {
		c.fail(err) //nolint:contextcheck // a call carries its request and so its context
	}
}

// homeOf says whether the pages for people stand on v's host, and what their
// addresses begin with there.
func (p *Pages) homeOf(v *site.Visit) (home bool, at string) {
	if p.opt.World().Origins.OwnPages(v.Name) {
		return true, strings.TrimSuffix(site.PagesPrefix, "/")
	}
	return v.Host.Role == site.SignInHost, ""
}

func (p *Pages) serve(c *call) error {
	pg, elsewhere, found := p.find(c)
	switch {
	case elsewhere != "":
		redirect(c.w, elsewhere)
		return nil
	case !found:
		return &trouble{status: http.StatusNotFound, reason: "no_such_page", title: "There is no such page", text: "Check the address, or go back."}
	}
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		if pg.get != nil {
			return pg.get(c)
		}
	case http.MethodPost:
		if pg.post != nil {
			return c.posted(pg)
		}
	}
	c.w.Header().Set("Allow", allowed(pg))
	return &trouble{status: http.StatusMethodNotAllowed, reason: "method_not_allowed", title: "That does not work here", text: "This address is not asked that way. Go back and try again."}
}

// showHome leads whoever opens the bare address to what there is for people.
func (p *Pages) showHome(c *call) error {
	redirect(c.w, c.at+"/account")
	return nil
}

func allowed(pg route) string {
	var methods []string
	if pg.get != nil {
		methods = append(methods, http.MethodGet, http.MethodHead)
	}
	if pg.post != nil {
		methods = append(methods, http.MethodPost)
	}
	return strings.Join(methods, ", ")
}

// find is the page for c's path. elsewhere is set when the same address stands
// on the sign-in host, or under another path here.
func (p *Pages) find(c *call) (pg route, elsewhere string, found bool) {
	path := c.v.Path.Clean
	rest, below := strings.CutPrefix(path, "/.gatehouse")
	if below && c.at != "" {
		if pg, found = p.routes[rest]; found && rest != "/callback" {
			return pg, "", true
		}
	}
	pg, found = p.routes[path]
	switch {
	case !found, below, c.home && c.at == "", path == "/callback" && c.home:
		return pg, "", found
	case path == "/": // localhost: people belong on the sign-in host
		return pg, c.pagesOrigin() + c.at + "/", true
	case path == "/device" || path == "/callback":
		return pg, withQuery(c.pagesOrigin()+c.at+path, c.r.URL.RawQuery), true
	}
	return route{}, "", false
}

func withQuery(address, query string) string {
	if query == "" {
		return address
	}
	return address + "?" + query
}

// troubleOf is the page for any error.
func troubleOf(err error) *trouble {
	if t, ok := errors.AsType[*trouble](err); ok {
		return t
	}
	if o, ok := errors.AsType[*oauth.Error](err); ok {
		return &trouble{status: http.StatusBadRequest, reason: o.Code, title: "That request can't go on", text: page.Sentence(o.Description), cause: err}
	}
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind != fault.Internal {
		return &trouble{status: f.Kind.Status(), reason: f.Kind.String(), title: titles[f.Kind], text: page.Sentence(f.Message()), again: f.Kind == fault.Unavailable || f.Kind == fault.TooMany || f.Kind == fault.Unauthenticated, cause: err}
	}
	return &trouble{status: http.StatusInternalServerError, reason: "internal", title: "Something went wrong here",
		text: "It is not your fault. Try again; if it stays so, tell whoever runs this installation the request number below.", again: true, cause: err}
}

var titles = map[fault.Kind]string{
	fault.Invalid: "Something is not right yet", fault.NotFound: "That is not here any more", fault.Exists: "That exists already",
	fault.Conflict: "Somebody was faster", fault.Denied: "That is not allowed", fault.Unauthenticated: "Please sign in",
	fault.Unavailable: "Not now", fault.TooLarge: "That is too much", fault.TooMany: "One moment, please", fault.Malformed: "That can't be read",
}
