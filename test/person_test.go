package test

import (
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// person is somebody at the sign-in host's forms without a browser: it keeps
// cookies and sends what the form holds.
type person struct {
	s *server
	c *http.Client
}

const (
	adminName     = "alice"
	adminPassword = "correct horse battery staple"
)

func (s *server) person() *person {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	c := s.trusting()
	c.Jar = jar
	return &person{s, c}
}

var (
	formTag  = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)".*?</form>`)
	inputTag = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// submit fills the form on page whose action ends with path, and answers what came
// back without following it.
func (p *person) submit(page answer, path string, fields url.Values) answer {
	p.s.t.Helper()
	for _, form := range formTag.FindAllStringSubmatch(page.Body, -1) {
		action, err := page.Request.URL.Parse(html.UnescapeString(form[1]))
		if err != nil || action.Path != path {
			continue
		}
		for _, in := range inputTag.FindAllStringSubmatch(form[0], -1) {
			if name := html.UnescapeString(in[1]); !fields.Has(name) {
				fields.Set(name, html.UnescapeString(in[2]))
			}
		}
		origin := action.Scheme + "://" + action.Host
		return ask(p.s.t, p.c, "POST", action.String(), fields.Encode(), "Content-Type: application/x-www-form-urlencoded", "Origin: "+origin)
	}
	p.s.t.Fatalf("no form for %s on %s (%d):\n%s", path, page.Request.URL, page.StatusCode, page.Body)
	return answer{}
}

// follow opens a page, and where it leads.
func (p *person) follow(at string) answer {
	p.s.t.Helper()
	for range 10 {
		page := get(p.s.t, p.c, at, "Accept: text/html")
		next, err := page.Location()
		if err != nil || page.StatusCode/100 != 3 {
			return page
		}
		at = next.String()
	}
	p.s.t.Fatalf("%s leads in circles", at)
	return answer{}
}

// onHTTPS is the HTTPS form of an address that was printed for plain HTTP.
func (s *server) onHTTPS(printed string) string {
	u, err := url.Parse(printed)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.url(u.Hostname(), u.RequestURI())
}

// becomeAdmin uses the setup link to create the first administrator, and signs in.
func (p *person) becomeAdmin() {
	p.s.t.Helper()
	page := p.follow(p.s.onHTTPS(p.s.setup()))
	done := p.submit(page, "/setup", url.Values{"name": {adminName}, "password": {adminPassword}, "again": {adminPassword}})
	if done.StatusCode != http.StatusSeeOther {
		p.s.t.Fatalf("setup: %d\n%s", done.StatusCode, done.Body)
	}
	next, err := done.Location()
	if err != nil {
		p.s.t.Fatal(err)
	}
	if page = p.signIn(p.follow(next.String()), adminName, adminPassword); page.StatusCode != http.StatusOK {
		p.s.t.Fatalf("the new administrator can't sign in: %d\n%s", page.StatusCode, page.Body)
	}
}

// signIn fills the sign-in form that page shows, and opens what comes then.
func (p *person) signIn(page answer, name, password string) answer {
	p.s.t.Helper()
	done := p.submit(page, "/signin", url.Values{"provider": {"local"}, "name": {name}, "password": {password}})
	if done.StatusCode != http.StatusSeeOther {
		return done
	}
	next, err := done.Location()
	if err != nil {
		p.s.t.Fatal(err)
	}
	return p.follow(next.String())
}

// approve enters a device's code and allows what it asks for.
func (p *person) approve(userCode string) { p.s.t.Helper(); p.answerDevice(userCode, "allow") }

// consent opens an authorization URL, allows what is asked, and gives the
// parameters with which the browser was sent back to the client.
func (p *person) consent(at string) url.Values {
	p.s.t.Helper()
	return p.answers(at, "allow", http.StatusOK).Query()
}

// answers opens an authorization URL, which leads to a page with this status, and
// presses a button of it. That leads back to the client.
func (p *person) answers(at, button string, status int) *url.URL {
	p.s.t.Helper()
	page := p.follow(at)
	if page.StatusCode != status {
		p.s.t.Fatalf("the page: %d, want %d\n%s", page.StatusCode, status, page.Body)
	}
	done := p.submit(page, "/consent", url.Values{"answer": {button}})
	back, err := done.Location()
	if err != nil {
		p.s.t.Fatalf("%s led nowhere: %d\n%s", button, done.StatusCode, done.Body)
	}
	return back
}

// answerDevice enters a device's code and presses a button on the page that comes.
func (p *person) answerDevice(userCode, button string) {
	p.s.t.Helper()
	page := p.follow(p.s.url("auth.localhost", "/device"))
	if strings.Contains(page.Body, `name="password"`) {
		page = p.signIn(page, adminName, adminPassword)
	}
	asked := p.submit(page, "/device", url.Values{"user_code": {userCode}})
	if asked.StatusCode == http.StatusSeeOther {
		next, err := asked.Location()
		if err != nil {
			p.s.t.Fatal(err)
		}
		asked = p.follow(next.String())
	}
	done := p.submit(asked, "/device", url.Values{"answer": {button}})
	if done.StatusCode >= 400 {
		p.s.t.Fatalf("the device was not answered: %d\n%s", done.StatusCode, done.Body)
	}
}

var codeLine = regexp.MustCompile(`\b[B-DF-HJ-NP-TV-Z]{4}-[B-DF-HJ-NP-TV-Z]{4}\b`)

// login signs the CLI in by the device flow, approved by p. It gives what the
// command printed on stdout.
func (p *person) login(args ...string) string {
	p.s.t.Helper()
	c := p.s.background(append([]string{"oauth", "login"}, args...)...)
	p.s.await(20*time.Second, "device code", func() bool { return codeLine.MatchString(c.stderr.String()) || c.ended() })
	code := codeLine.FindString(c.stderr.String())
	if code == "" {
		p.s.t.Fatalf("oauth login printed no code:\n%s%s", c.stdout.String(), c.stderr.String())
	}
	p.approve(code)
	c.wait()
	return c.stdout.String()
}

// api is the HTTP API with an administrator's token.
type api struct {
	s     *server
	token string
}

// admin makes the first administrator and gives the API with their token.
func (s *server) admin() *api {
	s.t.Helper()
	p := s.person()
	p.becomeAdmin()
	p.login("--scope", "admin")
	return &api{s, s.token()}
}

// token is the access token that the CLI would use.
func (s *server) token() string {
	s.t.Helper()
	return strings.TrimSpace(s.must("oauth", "login", "--print-token"))
}

func (a *api) ask(method, path, body string) answer {
	a.s.t.Helper()
	return ask(a.s.t, a.s.client(), method, a.s.Direct+path, body, "Authorization: Bearer "+a.token, "Content-Type: application/json")
}

// do asks and wants this status.
func (a *api) do(method, path, body string, want int) answer {
	a.s.t.Helper()
	got := a.ask(method, path, body)
	if got.StatusCode != want {
		a.s.t.Fatalf("%s %s: %d, want %d\n%s", method, path, got.StatusCode, want, got.Body)
	}
	return got
}

func (a *api) create(host, target string) {
	a.s.t.Helper()
	a.do("POST", "/proxies/", `{"proxy_hostname":"`+host+`","target_url":"`+target+`"}`, http.StatusCreated)
}
