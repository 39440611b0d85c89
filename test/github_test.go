package test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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

// TestOwnGitHubAppOfAHost: people come in by the app that the host has now, for
// that host alone; its secret is shown and stored nowhere.
func TestOwnGitHubAppOfAHost(t *testing.T) {
	t.Parallel()
	s, github := withGitHub(t)
	github.As("octocat")
	const first, second = "the-first-secret-of-the-wiki", "the-second-secret-of-the-wiki"
	callback := s.url("auth.localhost", "/callback")
	github.Register(githubtest.App{ClientID: "Iv1.wiki", ClientSecret: first, Callback: callback})
	s.local("proxy", "create", "wiki.localhost", mirror(t).URL, "--auth", "--mode", "redirect", "--allow", "octocat")
	var shown strings.Builder
	set := func(secret string) {
		out, errs, code := s.cliIn(secret, "--local", "proxy", "github", "set", "wiki.localhost", "--client-id", "Iv1.wiki")
		if shown.WriteString(out + errs); code != 0 {
			t.Fatalf("exit %d: %s%s", code, out, errs)
		}
	}
	set(first)
	p := s.person()
	if page := p.by(s.url("wiki.localhost", "/"), "github"); !strings.Contains(page.Body, "octocat") || github.Asked()[0].Get("client_id") != "Iv1.wiki" {
		t.Fatalf("%d %s\n%v", page.StatusCode, page.Body, github.Asked())
	}
	if page := p.follow(s.url("app.localhost", "/")); !strings.Contains(page.Body, "Continue with GitHub") {
		t.Errorf("the sign-in counts on another host: %d %s", page.StatusCode, page.Body)
	}
	github.Register(githubtest.App{ClientID: "Iv1.wiki", ClientSecret: second, Callback: callback})
	if page := s.person().by(s.url("wiki.localhost", "/"), "github"); page.StatusCode != http.StatusBadGateway || !strings.Contains(page.Body, "does not accept this installation") {
		t.Errorf("with the old secret: %d %s", page.StatusCode, page.Body)
	}
	set(second) // counts at once
	if page := s.person().by(s.url("wiki.localhost", "/"), "github"); !strings.Contains(page.Body, "the backend saw") {
		t.Errorf("with the new secret: %d %s", page.StatusCode, page.Body)
	}
	shown.WriteString(s.local("proxy", "github", "show", "wiki.localhost") + s.local("proxy", "show", "wiki.localhost") + s.local("--format", "json", "proxy", "list") + s.local("proxy", "github", "list") + s.said())
	if err := filepath.WalkDir(filepath.Join(s.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		shown.Write(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if text := shown.String(); strings.Contains(text, first) || strings.Contains(text, second) || !strings.Contains(text, "Iv1.wiki") {
		t.Error("a secret is shown, logged or stored readably, or the search found nothing at all")
	}
	s.local("proxy", "github", "clear", "wiki.localhost", "--force")
	s.person().by(s.url("wiki.localhost", "/"), "github")
	if asked := github.Asked(); asked[len(asked)-1].Get("client_id") != "Iv1.gatehouse" {
		t.Errorf("after the clearing GitHub was asked with %v", asked[len(asked)-1])
	}
}

// byGitHub opens a path of app.localhost and signs in by GitHub, whose button is
// pressed by the stand-in.
func (p *person) byGitHub(path string) answer {
	p.s.t.Helper()
	return p.by(p.s.url("app.localhost", path), "github")
}

// by opens an address, goes to the provider whose button is on the sign-in page,
// and where that leads.
func (p *person) by(address, provider string) answer {
	p.s.t.Helper()
	page := p.follow(address)
	for _, form := range formTag.FindAllString(page.Body, -1) {
		if !strings.Contains(form, `value="`+provider+`"`) {
			continue
		}
		page.Body = form
		gone := p.submit(page, "/signin", map[string][]string{"provider": {provider}})
		next, err := gone.Location()
		if err != nil {
			return gone
		}
		return p.follow(next.String())
	}
	p.s.t.Fatalf("no button for %s on %s:\n%s", provider, page.Request.URL, page.Body)
	return answer{}
}
