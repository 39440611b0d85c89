package signin

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/idna"

	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
)

// errand is what a sign-in is for, and so where the person goes after it: back
// to a protected host, on to the consent for an application, or to another page
// here. It comes with each request in one field, so that nothing is kept for
// people who never finish.
type errand struct {
	field field // the field that carries it; without a name there is no errand

	start   *start         // to a protected host
	pending *oauth.Pending // on to the consent
	handle  string         // of pending
	next    string         // to a page here
}

type field struct{ Name, Value string }

// Names of the fields that carry an errand.
const (
	fieldStart   = "start"
	fieldRequest = "request"
	fieldNext    = "next"

	fieldSwitch = "switch" // beside them, in addresses: offer another account instead of going on
)

// errandOf reads the errand from a query or a form.
func (c *call) errandOf(v url.Values) (errand, error) {
	for _, name := range []string{fieldStart, fieldRequest, fieldNext} {
		if value := only(v, name); value != "" {
			return c.errand(field{name, value})
		}
	}
	return errand{next: c.at + "/account"}, nil
}

func (c *call) errand(f field) (e errand, err error) {
	e.field = f
	switch f.Name {
	case fieldStart:
		e.start, err = c.openStart(f.Value)
	case fieldRequest:
		e.handle = f.Value
		e.pending, err = c.pending(f.Value)
	case fieldNext:
		e.next, err = c.ownPage(f.Value)
	default:
		e = errand{next: c.at + "/account"}
	}
	return e, err
}

// pending is the request that waits under handle.
func (c *call) pending(handle string) (*oauth.Pending, error) {
	p, err := c.oauth.Pending(c.ctx(), handle)
	if err != nil {
		return nil, gone(err)
	}
	return &p, nil
}

// ownPage checks a page here to go to: a path that returnPath takes, or one of
// the pages under /.gatehouse where they stand there.
func (c *call) ownPage(path string) (string, error) {
	rest := path
	if c.at != "" && len(path) > len(c.at) && path[:len(c.at)] == c.at {
		rest = path[len(c.at):]
	}
	if _, ok := returnPath(rest); !ok {
		return "", badReturn()
	}
	return path, nil
}

func badReturn() error {
	return &trouble{status: http.StatusBadRequest, reason: "bad_return", title: "That address is not on this host",
		text: "After the sign-in you can be brought back to a page of this host only. Open the page that you want and sign in from there.", back: "/", again: true}
}

// self is the address of the sign-in page for this errand.
func (c *call) self(e errand) string {
	if e.field.Name == "" {
		return c.at + "/signin"
	}
	return c.at + "/signin?" + url.Values{e.field.Name: {e.field.Value}}.Encode()
}

// switching is self where another account is to be chosen.
func (c *call) switching(e errand) string {
	q := url.Values{fieldSwitch: {"1"}}
	if e.field.Name != "" {
		q.Set(e.field.Name, e.field.Value)
	}
	return c.at + "/signin?" + q.Encode()
}

// hostOf is the host that the errand is about; nil for a page of the sign-in host.
func (c *call) hostOf(e errand) *site.Host {
	world := c.opt.World()
	switch {
	case e.start != nil:
		return world.Find(e.start.Name)
	case e.pending != nil:
		host, _, _ := world.Resource(e.pending.Resource)
		return host
	case c.at != "":
		return c.v.Host
	}
	return nil
}

// land brings a person who is signed in here to where their errand leads.
func (c *call) land(e errand, person oauth.Person, sessionID string) error {
	switch {
	case e.start != nil:
		return c.handOver(e, person, sessionID)
	case e.pending != nil:
		redirect(c.w, c.at+"/consent?"+url.Values{fieldRequest: {e.handle}}.Encode())
	default:
		return c.landHere(e, person)
	}
	return nil
}

// landHere brings a person to a page of this host. Where that is a protected
// host with pages of its own, its lists are asked first: the gate behind would
// refuse without a way to switch account.
func (c *call) landHere(e errand, person oauth.Person) error {
	if c.at != "" && !strings.HasPrefix(e.next, c.at+"/") {
		if ok, reason := c.oauth.Permitted(c.v.Host, person); !ok {
			return c.notPermitted(e, c.v.Host, person, reason)
		}
	}
	redirect(c.w, c.v.Origin+e.next)
	return nil
}

// purpose is what a sign-in or consent page says about its errand.
type purpose struct {
	Client   string // the application's name
	Known    string // how we know it, in words
	Redirect string // the host that gets the code
	Resource string // what it opens
	Place    string // where a device's request came from
	Program  string // what made it, as it calls itself
}

func (c *call) purposeOf(e errand) *purpose {
	switch {
	case e.start != nil:
		return &purpose{Resource: plain(e.start.Origin)} // where they return to is what it opens
	case e.pending != nil:
		return purposeOf(e.pending)
	}
	return nil
}

func purposeOf(p *oauth.Pending) *purpose {
	to := redirectHost(p)
	if to != "" && p.Known != "url" {
		to += called(p.Program)
	}
	return &purpose{Client: clientName(p), Known: knownAs(p), Redirect: to, Resource: plain(p.Resource)}
}

// clientName is the name that a client gave itself, else its id.
func clientName(p *oauth.Pending) string {
	if name := legible(p.ClientName); name != "" {
		return name
	}
	return legible(p.ClientID)
}

// legible is text from outside as it may stand on a page: of one line, not too
// long, and without the characters that turn the direction of what is around it.
func legible(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs) || r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
	return clip(strings.Join(strings.Fields(s), " "))
}

// knownAs says how far a client's name can be believed.
func knownAs(p *oauth.Pending) string {
	switch p.Known {
	case "builtin":
		return "part of Gatehouse"
	case "url":
		what := legible(p.ClientID)
		if p.Program != "" {
			what = p.Program + ", " + what
		}
		return "verified by its address " + hostPort(p.ClientID) + called(what) // the host first: paths can mislead
	default:
		return "registered itself; its name is not verified"
	}
}

// called is what we know of an address, to stand behind it.
func called(what string) string {
	if what == "" {
		return ""
	}
	return " (" + what + ")"
}

// redirectHost is where the code will go, as far as a person can judge it.
func redirectHost(p *oauth.Pending) string {
	u, err := url.Parse(p.RedirectURI)
	switch {
	case p.RedirectURI == "" || err != nil:
		return ""
	case u.Scheme != "https" && u.Scheme != "http":
		return "an app on this device (" + u.Scheme + ":)"
	case u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1":
		return "a program on this computer (" + u.Host + ")"
	}
	return asciiHost(u)
}

// asciiHost is a host as it is looked up, so that letters that only look alike
// show as what they are.
func asciiHost(u *url.URL) string {
	name, err := idna.Lookup.ToASCII(u.Hostname())
	if err != nil {
		return strconv.QuoteToASCII(u.Host)
	}
	if u.Port() != "" {
		return net.JoinHostPort(name, u.Port())
	}
	return name
}

// plain is a resource without the scheme that people expect.
func plain(resource string) string { return strings.TrimPrefix(resource, "https://") }

func hostPort(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return origin
	}
	return asciiHost(u)
}
