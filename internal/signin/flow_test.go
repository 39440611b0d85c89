package signin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
)

func TestNewcomerSetsUpSignsInAndReachesTheBackend(t *testing.T) {
	for name, settings := range map[string][]setting{"https": nil, "http": {plainHTTP}} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, settings...)
			link, err := h.pages.EnsureSetupLink(t.Context())
			if err != nil || !strings.HasPrefix(link, "/setup?setup=") {
				t.Fatalf("got %q, %v", link, err)
			}
			b := h.browser()
			b.open(h.origin("app.localhost")+"/reports?year=2026").sees(200, "Sign in", "app.localhost", "No way to sign in is set up yet")
			if b.url.Host != must2(url.Parse(h.origin("auth.localhost"))).Host {
				t.Fatalf("the sign-in page stands at %s", b.url)
			}

			b.open(h.origin("auth.localhost")+link).sees(200, "Create the first administrator")
			b.press("Create administrator", "name", "Alice", "password", password, "again", password).sees(200, "Your account is ready")
			b.open(h.origin("app.localhost")+"/reports?year=2026").press("Sign in", "name", "alice", "password", password)
			b.sees(200, "backend of app.localhost at /reports?year=2026 for local:alice")

			b.open(h.origin("auth.localhost")+link).sees(http.StatusGone, "This setup link no longer works")
			if again, err := h.pages.EnsureSetupLink(t.Context()); err != nil || again != "" {
				t.Errorf("there is an administrator, yet a setup link: %q, %v", again, err)
			}
		})
	}
}

func TestSetupLinkMakesOneAdministratorOnly(t *testing.T) {
	h := newHouse(t)
	link, err := h.pages.EnsureSetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, second := h.browser(), h.browser()
	for _, b := range []*browser{first, second} {
		b.open(h.origin("auth.localhost") + link)
	}
	first.press("Create administrator", "name", "alice", "password", password, "again", password).sees(200, "Your account is ready")
	second.press("Create administrator", "name", "mallory", "password", password, "again", password).sees(http.StatusGone, "no longer works")
	users, err := h.oauth.Users(t.Context())
	if err != nil || len(users) != 1 || users[0].Name != "alice" || strings.Join(users[0].Scopes, " ") != "admin user mcp" {
		t.Errorf("accounts: %+v, %v", users, err)
	}
	if !h.events.has(func(e journal.Entry) bool { return e.Kind == journal.Audit && e.Action == "create_user" }) {
		t.Error("no audit entry tells of it")
	}
}

func TestSetupLinkOfAnEarlierStartIsWorthless(t *testing.T) {
	h := newHouse(t)
	old, err := h.pages.EnsureSetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.pages.EnsureSetupLink(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.browser().open(h.origin("auth.localhost")+old).sees(http.StatusGone, "no longer works")
	h.browser().open(h.origin("auth.localhost")+"/setup?setup=guess").sees(http.StatusGone, "no longer works")
	h.browser().open(h.origin("auth.localhost")+"/setup").sees(http.StatusGone, "no longer works")
}

func TestSetupSaysWhatIsWrongAndKeepsTheLink(t *testing.T) {
	h := newHouse(t)
	link, err := h.pages.EnsureSetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := h.browser().open(h.origin("auth.localhost") + link)
	b.press("Create administrator", "name", "alice", "password", "short", "again", "short").sees(422, "at least 10 characters")
	b.press("Create administrator", "name", "alice", "password", password, "again", password+"x").sees(422, "The two passwords differ")
	b.press("Create administrator", "name", "a b", "password", password, "again", password).sees(422, "a-z")
	b.press("Create administrator", "name", "alice", "password", password, "again", password).sees(200, "Your account is ready")
}

func TestWrongPasswordAndUnknownNameLookAlike(t *testing.T) {
	h := newHouse(t)
	h.account("alice", password, "admin")
	b := h.browser()
	say := func(name string) string {
		return strings.ReplaceAll(b.open(h.origin("auth.localhost")+"/signin").press("Sign in", "name", name, "password", "wrong wrong").sees(403, "Name or password is not right").words(), name, "NAME")
	}
	if known, unknown := say("alice"), say("bob"); known != unknown {
		t.Errorf("the pages differ:\n%s\n%s", known, unknown)
	}
}

func TestSessionGoesToTheHostThatAskedWithoutAsking(t *testing.T) {
	h := newHouse(t, withProxy("other.localhost", func(*site.Proxy) {}))
	b := h.browser().alice()
	b.open(h.origin("app.localhost")+"/a").sees(200, "backend of app.localhost at /a for local:alice")
	b.open(h.origin("other.localhost")+"/b?c=d").sees(200, "backend of other.localhost at /b?c=d for local:alice")
	app, other := b.cookie(h.origin("app.localhost"), "__Host-gatehouse"), b.cookie(h.origin("other.localhost"), "__Host-gatehouse")
	if app == "" || app == other {
		t.Error("each host must have a session of its own")
	}
}

func TestPersonRefusedByTheListsCanSwitchAccount(t *testing.T) {
	h := newHouse(t, withProxy("app.localhost", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"local:bob"} }))
	h.account("bob", password)
	b := h.browser().alice()
	b.open(h.origin("app.localhost")+"/x").sees(403, "No access to app.localhost", "You are signed in as local:alice", "Use another account")
	b.press("Use another account").sees(200, "Sign in", "app.localhost")
	b.press("Sign in", "name", "bob", "password", password).sees(200, "backend of app.localhost at /x for local:bob")
}

func TestLogoutEndsTheSessionsOfAllHosts(t *testing.T) {
	h := newHouse(t)
	b := h.browser().alice()
	b.open(h.origin("app.localhost")+"/").sees(200, "backend")
	b.open(h.origin("auth.localhost")+"/logout").sees(200, "You are signed in as local:alice")
	b.press("Sign out").sees(200, "You are signed out")
	b.open(h.origin("app.localhost")+"/").sees(200, "Sign in", "Password")
}

func TestHostLogoutAsksFirst(t *testing.T) {
	h := newHouse(t)
	b := h.browser().alice()
	b.open(h.origin("app.localhost")+"/").sees(200, "backend")
	b.open(h.origin("app.localhost")+"/.gatehouse/logout").sees(200, "Sign out of app.localhost?")
	b.open(h.origin("app.localhost")+"/").sees(200, "backend") // asking ended nothing
	b.open(h.origin("app.localhost")+"/.gatehouse/logout").press("Sign out").sees(200, "You are signed out of app.localhost", "Sign out everywhere")
	if b.cookie(h.origin("app.localhost"), "__Host-gatehouse") != "" {
		t.Error("the session's cookie is still there")
	}
}

func TestDeviceAndCallbackElsewhereLeadToTheSignInHost(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.stop = func(u *url.URL) bool { return strings.HasPrefix(u.Host, "auth.") }
	for _, path := range []string{"/device?user_code=BCDF-GHJK", "/callback?code=a&state=b", "/device"} {
		b.open(h.origin("app.localhost") + path)
		if b.status != 303 || b.header.Get("Location") != h.origin("auth.localhost")+path {
			t.Errorf("%s: %d %s", path, b.status, b.header.Get("Location"))
		}
	}
}

func TestPagesForPeopleStandOnTheSignInHostOnly(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"/.gatehouse/signin", "/.gatehouse/consent", "/.gatehouse/account", "/.gatehouse/setup", "/.gatehouse/", "/.gatehouse", "/.gatehouse/device"} {
		h.browser().open(h.origin("app.localhost")+path).sees(404, "There is no such page")
	}
	h.browser().open(h.origin("auth.localhost")+"/signin/x").sees(404, "There is no such page")
}

func TestPublicNameWithoutAPublicSignInHostHasItsOwnPages(t *testing.T) {
	h := newHouse(t, withProxy("app.example.com", func(*site.Proxy) {}))
	h.account("alice", password, "admin", "user", "mcp")
	h.account("bob", password)
	app := h.origin("app.example.com")
	b := h.browser().open(app+"/reports").sees(200, "Sign in")
	if b.url.Path != "/.gatehouse/signin" || b.url.Hostname() != "app.example.com" {
		t.Fatalf("at %s", b.url)
	}
	b.press("Sign in", "name", "bob", "password", password).sees(403, "No access to app.example.com", "local:bob")
	b.press("Use another account").press("Sign in", "name", "alice", "password", password).sees(200, "backend of app.example.com at /reports for local:alice")
	b.open(app+"/.gatehouse/account").sees(200, "Where you are signed in", "app.example.com", "this browser", app+" signed in")
	b.open(app+"/.gatehouse/logout").press("Sign out").sees(200, "You are signed out")
}

func TestPersonRefusedBehindTheHostCanSwitchAccount(t *testing.T) {
	h := newHouse(t)
	h.account("bob", password, "user")
	b := h.browser().alice()
	b.open(h.origin("app.localhost")+"/.gatehouse/start?switch=1&return=/x").sees(200, "You are signed in as local:alice", "app.localhost")
	b.press("Use another account").press("Sign in", "name", "bob", "password", password).sees(200, "at /x for local:bob")
	h.browser().open(h.origin("app.localhost")+"/.gatehouse/start?switch=1&return=/x").sees(200, "Sign in")
}

func TestPasswordIsHashedAnewAtTheUsualCost(t *testing.T) {
	h := newHouse(t)
	old, err := newHasher(cost{memory: 32, time: 1, lanes: 1}).Hash(t.Context(), "alice", password)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.oauth.CreateUser(t.Context(), oauth.User{Name: "alice", Hash: old, Scopes: []string{"admin"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b := h.browser().alice()
		b.open(h.origin("app.localhost")+"/").sees(200, "local:alice")
	}
	if u, err := h.oauth.User(t.Context(), "alice"); err != nil || !strings.Contains(u.Hash, "m=64,t=1,p=1") {
		t.Errorf("kept as %s, %v", u.Hash, err)
	}
}
