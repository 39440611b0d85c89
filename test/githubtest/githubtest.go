// Package githubtest stands in for GitHub in tests: the OAuth App web flow with
// PKCE and the four read endpoints that a sign-in uses, as GitHub documents
// them, errors with status 200 at the token endpoint included. Point GITHUB_URL
// and GITHUB_API_URL at its URL.
//
// A person at /login/oauth/authorize sees a page with a button for each account
// and one to cancel; As presses a button without the page. Fail makes an
// endpoint misbehave. The package is for tests only and is never linked into
// the program.
package githubtest

import (
	"crypto/rand"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// App is an OAuth App, as registered in GitHub's settings.
type App struct {
	ClientID, ClientSecret string
	Callback               string // redirect_uri must be on its host and port, at or below its path
}

// Account is a person with an account.
type Account struct {
	ID     int64
	Login  string
	Name   string
	Emails []Email
	Orgs   []string
	Teams  []Team
}

// Email is one address of an account.
type Email struct {
	Email      string `json:"email"`
	Primary    bool   `json:"primary"`
	Verified   bool   `json:"verified"`
	Visibility string `json:"visibility,omitempty"`
}

// Team is a team that an account is a member of.
type Team struct{ Org, Slug string }

// Failure is a way to misbehave. The zero value behaves.
type Failure struct {
	Status int           // answer with this status
	Body   string        // and this body
	Header http.Header   // and these headers besides
	After  int           // behave for so many requests first
	Delay  time.Duration // wait before answering, or until the client goes away
	Drop   bool          // close the connection without an answer
}

// Deny is the name for As that presses Cancel.
const Deny = "\x00deny"

const codeLifetime = 10 * time.Minute

// Server is a running stand-in's state. It is an http.Handler.
type Server struct {
	mux http.ServeMux

	mu       sync.Mutex // guards all below
	apps     map[string]App
	accounts []Account
	as       string // whose button is pressed; empty: the page is shown
	failures map[string]Failure
	codes    map[string]grant
	tokens   map[string]grant
	asked    []url.Values // the queries of authorize, for assertions
}

type grant struct {
	app       App
	id        int64 // of the account: tokens outlive names
	scopes    []string
	redirect  string
	challenge string
	made      time.Time
}

// New is a stand-in with these apps.
func New(apps ...App) *Server {
	s := &Server{apps: map[string]App{}, failures: map[string]Failure{}, codes: map[string]grant{}, tokens: map[string]grant{}}
	for _, a := range apps {
		s.apps[a.ClientID] = a
	}
	s.mux.HandleFunc("GET /login/oauth/authorize", s.authorize)
	s.mux.HandleFunc("POST /login/oauth/authorize", s.press)
	s.mux.HandleFunc("POST /login/oauth/access_token", s.token)
	for _, base := range []string{"", "/api/v3"} { // github.com and GitHub Enterprise Server
		s.mux.HandleFunc("GET "+base+"/user", s.api(s.user))
		s.mux.HandleFunc("GET "+base+"/user/emails", s.api(s.emails))
		s.mux.HandleFunc("GET "+base+"/user/orgs", s.api(s.orgs))
		s.mux.HandleFunc("GET "+base+"/user/teams", s.api(s.teams))
	}
	return s
}

// Register adds an app or changes it.
func (s *Server) Register(a App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps[a.ClientID] = a
}

// Add adds an account, or replaces the one with its id.
func (s *Server) Add(a Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts = append(slices.DeleteFunc(s.accounts, func(b Account) bool { return b.ID == a.ID }), a)
}

// Remove deletes the account called login.
func (s *Server) Remove(login string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts = slices.DeleteFunc(s.accounts, func(a Account) bool { return strings.EqualFold(a.Login, login) })
}

// As presses the button of the account called login (or Deny) from now on,
// without showing the page; empty shows it again.
func (s *Server) As(login string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.as = login
}

// Fail makes the endpoint at path ("/user", "/login/oauth/access_token")
// misbehave from now on; the zero Failure mends it.
func (s *Server) Fail(path string, f Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures[path] = f
}

// RevokeAll makes every token that was given bad.
func (s *Server) RevokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Asked are the queries that authorize got, oldest first.
func (s *Server) Asked() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := s.failure(strings.TrimPrefix(r.URL.Path, "/api/v3"))
	if f.Delay > 0 {
		_ = r.ParseForm() // a server learns that the client went away only once it has read the body
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		maps.Copy(w.Header(), f.Header)
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
	default:
		s.mux.ServeHTTP(w, r)
	}
}

// failure is how the endpoint at path misbehaves this time.
func (s *Server) failure(path string) Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.failures[path]
	if f.After > 0 {
		f.After--
		s.failures[path] = f
		return Failure{}
	}
	return f
}

func (s *Server) account(login string) (Account, bool) {
	i := slices.IndexFunc(s.accounts, func(a Account) bool { return strings.EqualFold(a.Login, login) })
	if i < 0 {
		return Account{}, false
	}
	return s.accounts[i], true
}

func (s *Server) byID(id int64) (Account, bool) {
	i := slices.IndexFunc(s.accounts, func(a Account) bool { return a.ID == id })
	if i < 0 {
		return Account{}, false
	}
	return s.accounts[i], true
}

func secret(prefix string) string { return prefix + rand.Text() + rand.Text() }
