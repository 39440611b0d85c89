package test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/test/githubtest"
)

// withGitHub starts a program whose people come from a stand-in for GitHub, and
// protects app.localhost for octocat.
func withGitHub(t *testing.T) (*server, *githubtest.Server) {
	t.Helper()
	github := githubtest.New()
	web := httptest.NewServer(github)
	t.Cleanup(web.Close)
	s := start(t, []string{"GITHUB_URL=" + web.URL, "GITHUB_API_URL=" + web.URL, "GITHUB_CLIENT_ID=Iv1.gatehouse", "GITHUB_CLIENT_SECRET=0123456789abcdef0123456789abcdef01234567"},
		"protect", "app.localhost", mirror(t).URL, "--allow", "octocat", "--exclude", "/health")
	github.Register(githubtest.App{ClientID: "Iv1.gatehouse", ClientSecret: "0123456789abcdef0123456789abcdef01234567", Callback: s.url("auth.localhost", "/callback")})
	github.Add(githubtest.Account{ID: 583231, Login: "octocat", Name: "The Octocat", Emails: []githubtest.Email{{Email: "octocat@example.com", Primary: true, Verified: true}}})
	github.Add(githubtest.Account{ID: 666, Login: "mallory", Name: "Mallory"})
	return s, github
}

// TestGitHubSignIn is a person with a GitHub account at a protected host, in a
// real browser: who is listed comes in, who is not sees who they are and can
// switch.
func TestGitHubSignIn(t *testing.T) {
	s, _ := withGitHub(t)
	if said := s.said(); strings.Contains(said, "/setup?") {
		t.Error("a setup link was printed although people can sign in by GitHub")
	}
	b := open(t, s)
	b.goTo(s.url("app.localhost", "/"))
	b.shows(s.url("auth.localhost", "/signin"), "Continue with GitHub")
	b.shoot("1-signin")
	b.press("Continue with GitHub")
	b.press("Continue as mallory")
	b.shows("https://", "mallory")
	b.shoot("2-refused")
	if strings.Contains(b.text(), "the backend saw") {
		t.Fatalf("somebody who is not listed came in:\n%s", b.text())
	}
	b.press("Use another account")
	b.shows(s.url("auth.localhost", "/signin"), "Continue with GitHub")
	b.press("Continue with GitHub")
	b.press("Continue as octocat")
	b.shows(s.url("app.localhost", "/"), `user=["octocat"]`)
	b.shoot("3-backend")
}

// TestGitHubLoginTakenOverIsRefused: a login is bound to the first number that
// signs in under it. Whoever takes a renamed login over does not get its rights.
func TestGitHubLoginTakenOverIsRefused(t *testing.T) {
	s, github := withGitHub(t)
	github.As("octocat")
	first := s.person()
	if page := first.byGitHub("/"); page.StatusCode != http.StatusOK || !strings.Contains(page.Body, "octocat") {
		t.Fatalf("octocat: %d\n%s", page.StatusCode, page.Body)
	}
	github.Add(githubtest.Account{ID: 583231, Login: "octocat-renamed"})
	github.Add(githubtest.Account{ID: 4711, Login: "octocat"})
	page := s.person().byGitHub("/")
	if page.StatusCode == http.StatusOK && strings.Contains(page.Body, "the backend saw") {
		t.Fatalf("another number under a listed login came in:\n%s", page.Body)
	}
	if list := s.local("oauth", "github-login", "list"); !strings.Contains(list, "github:") || !strings.Contains(list, "583231") {
		t.Errorf("the bound login is not listed: %s", list)
	}
	s.local("oauth", "github-login", "release", "octocat", "--force")
	if page := s.person().byGitHub("/"); page.StatusCode != http.StatusOK || !strings.Contains(page.Body, "the backend saw") {
		t.Errorf("a released login is still refused: %d\n%s", page.StatusCode, page.Body)
	}
}

// TestGitHubTroubleBecomesAPage: whatever GitHub does, people see what to do.
func TestGitHubTroubleBecomesAPage(t *testing.T) {
	s, github := withGitHub(t)
	github.As("octocat")
	for path, failure := range map[string]githubtest.Failure{
		"/login/oauth/access_token": {Status: http.StatusOK, Body: `{"error":"bad_verification_code"}`},
		"/user":                     {Status: http.StatusBadGateway, Body: "<html>"},
	} {
		github.Fail(path, failure)
		page := s.person().byGitHub("/")
		if page.StatusCode < 400 || !strings.Contains(page.Body, "GitHub") {
			t.Errorf("%s failing: %d\n%s", path, page.StatusCode, page.Body)
		}
		github.Fail(path, githubtest.Failure{})
	}
	github.As(githubtest.Deny)
	if page := s.person().byGitHub("/"); page.StatusCode < 400 || strings.Contains(page.Body, "the backend saw") {
		t.Errorf("Cancel at GitHub: %d\n%s", page.StatusCode, page.Body)
	}
}

// byGitHub opens a path of app.localhost and signs in by GitHub, whose button is
// pressed by the stand-in.
func (p *person) byGitHub(path string) answer {
	p.s.t.Helper()
	page := p.follow(p.s.url("app.localhost", path))
	for _, form := range formTag.FindAllString(page.Body, -1) {
		if !strings.Contains(form, `value="github"`) {
			continue
		}
		page.Body = form
		gone := p.submit(page, "/signin", map[string][]string{"provider": {"github"}})
		next, err := gone.Location()
		if err != nil {
			p.s.t.Fatalf("the button led nowhere: %d\n%s", gone.StatusCode, gone.Body)
		}
		return p.follow(next.String())
	}
	p.s.t.Fatalf("no button for GitHub on %s:\n%s", page.Request.URL, page.Body)
	return answer{}
}
