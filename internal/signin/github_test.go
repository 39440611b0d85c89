package signin

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
	"gatehouse/test/githubtest"
)

var octocat = githubtest.Account{ID: 583231, Login: "octocat", Name: "The Octocat", Orgs: []string{"Acme", "other"},
	Teams:  []githubtest.Team{{Org: "acme", Slug: "core"}, {Org: "acme", Slug: "secret"}},
	Emails: []githubtest.Email{{Email: "spam@example.com", Verified: true}, {Email: "octo@example.com", Primary: true, Verified: true}}}

// hub is a stand-in for GitHub and a house whose app it knows.
func hub(t *testing.T, settings ...setting) (*house, *githubtest.Server) {
	t.Helper()
	gh := githubtest.New()
	server := httptest.NewServer(gh)
	t.Cleanup(server.Close)
	gh.Add(octocat)
	gh.As("octocat")
	settings = append([]setting{func(_ *house, oo *oauth.Options, o *Options, _ *[]site.Proxy) {
		o.GitHub = GitHubApp{ClientID: "app-id", ClientSecret: "app-secret", URL: server.URL, APIURL: server.URL}
		oo.Lists = oauth.Lists{Admin: []string{"octocat"}}
		o.Lists = []string{"octocat"}
	}}, settings...)
	h := newHouse(t, settings...)
	gh.Register(githubtest.App{ClientID: "app-id", ClientSecret: "app-secret", Callback: h.origin("auth.localhost") + "/callback"})
	return h, gh
}

func TestGitHubSignInReachesTheBackend(t *testing.T) {
	h, gh := hub(t)
	b := h.browser().open(h.origin("app.localhost")+"/reports").sees(200, "Sign in", "Continue with GitHub", "app.localhost")
	if len(gh.Asked()) != 0 {
		t.Fatal("GitHub was asked before the person pressed the button")
	}
	b.press("Continue with GitHub").sees(200, "backend of app.localhost at /reports for octocat")

	q := gh.Asked()[0]
	if q.Get("scope") != "user:email" || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || len(q.Get("state")) != 43 {
		t.Errorf("GitHub was asked with %v", q)
	}
	b.open(h.origin("auth.localhost")+"/account").sees(200, "The Octocat", "octocat", "octo@example.com")
	sessions, err := h.oauth.Sessions(t.Context(), "github:"+strings.TrimPrefix(h.pages.opt.GitHub.URL, "http://")+"/583231")
	if err != nil || len(sessions) != 2 {
		t.Errorf("sessions under the numeric id: %v, %v", sessions, err)
	}
}

func TestGitHubIdentityIsTheNumber(t *testing.T) {
	for url, want := range map[string]string{"https://github.com": "github:7", "": "github:7", "https://ghe.example.com": "github:ghe.example.com/7", "https://ghe.example.com:8443": "github:ghe.example.com:8443/7"} {
		if got := (GitHubApp{URL: url}).subject(7); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

func TestGroupsAreAskedForOnlyWhenAPolicyNamesSome(t *testing.T) {
	h, gh := hub(t, withProxy("app.localhost", func(p *site.Proxy) {
		p.AuthRequiredUsers, p.AuthRequiredGroups = []string{}, []string{"acme/core", "OTHER"}
	}))
	b := h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for octocat")
	if scope := gh.Asked()[0].Get("scope"); scope != "user:email read:org" {
		t.Errorf("asked for %q", scope)
	}
	groups := func() []string {
		sessions, err := h.oauth.Sessions(t.Context(), "")
		if err != nil || len(sessions) == 0 {
			t.Fatal(sessions, err)
		}
		return slices.Sorted(slices.Values(sessions[0].Person.Groups))
	}
	if got := groups(); !slices.Equal(got, []string{"acme/core", "other"}) {
		t.Errorf("kept %v", got)
	}
	h.change("app.localhost", func(p *site.Proxy) { p.AuthRequiredGroups = []string{"acme/admins"} })
	b.open(h.origin("auth.localhost") + "/logout").press("Sign out")
	b.open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(403, "You are signed in as octocat")
}

func TestManyTeamsAreReadToTheEnd(t *testing.T) {
	many := octocat
	many.Teams = nil
	for i := range 250 {
		many.Teams = append(many.Teams, githubtest.Team{Org: "acme", Slug: "t" + strings.Repeat("x", i%50) + string(rune('a'+i%26))})
	}
	many.Teams = append(many.Teams, githubtest.Team{Org: "acme", Slug: "last"})
	h, gh := hub(t, withProxy("app.localhost", func(p *site.Proxy) {
		p.AuthRequiredUsers, p.AuthRequiredGroups = []string{}, []string{"acme/last"}
	}))
	gh.Add(many)
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for octocat")
}

func TestUnverifiedAddressIsNobodysAddress(t *testing.T) {
	h, gh := hub(t, withProxy("app.localhost", func(p *site.Proxy) { p.AuthRequiredUsers, p.AuthRequiredEmails = []string{}, []string{"*@example.com"} }))
	liar := octocat
	liar.Emails = []githubtest.Email{{Email: "boss@example.com", Primary: true}, {Email: "me@elsewhere.test", Verified: true}}
	gh.Add(liar)
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(403, "You are signed in as octocat")
	gh.Add(octocat)
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for octocat")
}

func TestFailuresOfGitHubSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		fail githubtest.Failure
		want string
		why  string
	}{
		"token endpoint down":        {"/login/oauth/access_token", githubtest.Failure{Status: 503, Body: "<html>unicorn"}, "GitHub does not answer", "provider_unreachable"},
		"token endpoint gone":        {"/login/oauth/access_token", githubtest.Failure{Drop: true}, "GitHub does not answer", "provider_unreachable"},
		"token endpoint slow":        {"/login/oauth/access_token", githubtest.Failure{Delay: time.Minute}, "GitHub does not answer", "provider_unreachable"},
		"token malformed":            {"/login/oauth/access_token", githubtest.Failure{Status: 200, Body: `{"access`}, "GitHub", "provider_malformed"},
		"token missing":              {"/login/oauth/access_token", githubtest.Failure{Status: 200, Body: `{}`}, "GitHub", "provider_malformed"},
		"code no longer good":        {"/login/oauth/access_token", githubtest.Failure{Status: 200, Body: `{"error":"bad_verification_code","error_description":"x"}`}, "GitHub no longer knows this sign-in", "provider_code_expired"},
		"wrong client secret":        {"/login/oauth/access_token", githubtest.Failure{Status: 200, Body: `{"error":"incorrect_client_credentials"}`}, "GitHub does not accept this installation", "provider_incorrect_client_credentials"},
		"unverified user":            {"/login/oauth/access_token", githubtest.Failure{Status: 200, Body: `{"error":"unverified_user_email"}`}, "Your address is not verified at GitHub", "provider_email_unverified"},
		"unknown error":              {"/login/oauth/access_token", githubtest.Failure{Status: 200, Body: `{"error":"surprise"}`}, "GitHub refused the sign-in", "provider_error"},
		"API down":                   {"/user", githubtest.Failure{Status: 502, Body: "x"}, "GitHub does not answer", "provider_unreachable"},
		"API slow":                   {"/user", githubtest.Failure{Delay: time.Minute}, "GitHub does not answer", "provider_unreachable"},
		"API refuses the token":      {"/user", githubtest.Failure{Status: 401, Body: `{"message":"Bad credentials"}`}, "GitHub does not accept its own sign-in", "provider_token_refused"},
		"API limits":                 {"/user", githubtest.Failure{Status: 429, Body: `{}`}, "GitHub asks us to slow down", "provider_rate_limited"},
		"user malformed":             {"/user", githubtest.Failure{Status: 200, Body: `[`}, "GitHub's answer makes no sense", "provider_malformed"},
		"user without id":            {"/user", githubtest.Failure{Status: 200, Body: `{"login":"octocat"}`}, "GitHub's answer makes no sense", "provider_malformed"},
		"user without login":         {"/user", githubtest.Failure{Status: 200, Body: `{"id":1}`}, "GitHub's answer makes no sense", "provider_malformed"},
		"login that is a prefix":     {"/user", githubtest.Failure{Status: 200, Body: `{"id":1,"login":"local:alice"}`}, "GitHub's answer makes no sense", "provider_malformed"},
		"id that is a text":          {"/user", githubtest.Failure{Status: 200, Body: `{"id":"1","login":"octocat"}`}, "GitHub's answer makes no sense", "provider_malformed"},
		"user far too large":         {"/user", githubtest.Failure{Status: 200, Body: `{"id":1,"login":"octocat","name":"` + strings.Repeat("a", githubMaxBody) + `"}`}, "GitHub's answer makes no sense", "provider_malformed"},
		"addresses down":             {"/user/emails", githubtest.Failure{Status: 500}, "GitHub does not answer", "provider_unreachable"},
		"app suspended":              {"/login/oauth/access_token", githubtest.Failure{Status: 200, Body: `{"error":"application_suspended"}`}, "Its app at GitHub is suspended", "provider_application_suspended"},
		"account suspended":          {"/user", githubtest.Failure{Status: 403, Body: `{"message":"Sorry. Your account was suspended."}`}, "The account may be suspended", "provider_account_refused"},
		"API limits by a header":     {"/user", githubtest.Failure{Status: 403, Header: http.Header{"X-Ratelimit-Remaining": {"0"}}, Body: `{}`}, "GitHub asks us to slow down", "provider_rate_limited"},
		"API limits for a while":     {"/user/emails", githubtest.Failure{Status: 403, Header: http.Header{"Retry-After": {"60"}}, Body: `{}`}, "GitHub asks us to slow down", "provider_rate_limited"},
		"token taken back between":   {"/user/emails", githubtest.Failure{Status: 401, Body: `{}`}, "GitHub does not accept its own sign-in", "provider_token_refused"},
		"answer quotes the token":    {"/user", githubtest.Failure{Status: 500, Body: "bad token gho_quoted"}, "GitHub does not answer", "provider_unreachable"},
		"token endpoint quotes all":  {"/login/oauth/access_token", githubtest.Failure{Status: 400, Body: "client_secret=app-secret"}, "GitHub does not answer", "provider_unreachable"},
		"redirect instead of answer": {"/user", githubtest.Failure{Status: 302}, "GitHub's answer makes no sense", "provider_malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			h, gh := hub(t)
			h.pages.opt.HTTP.Timeout = 300 * time.Millisecond
			gh.Fail(c.path, c.fail)
			b := h.browser().open(h.origin("app.localhost") + "/x").press("Continue with GitHub")
			h.refused(b, c.want, c.why)
			if strings.Contains(b.words(), "Try again") && strings.Contains(b.body, ">Try again<") { // the link begins the same errand again
				gh.Fail(c.path, githubtest.Failure{})
				b.follow("Try again").press("Continue with GitHub").sees(200, "backend of app.localhost at /x for octocat")
			}
		})
	}
}

func TestAddressesThatMayNotBeReadAreNone(t *testing.T) {
	h, gh := hub(t)
	gh.Fail("/user/emails", githubtest.Failure{Status: 403, Body: `{"message":"Resource not accessible by integration"}`})
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for octocat")
}

func TestPersonWhoSaysNoAtGitHubCanTryAgain(t *testing.T) {
	h, gh := hub(t)
	gh.As(githubtest.Deny)
	b := h.browser().open(h.origin("app.localhost")+"/x").press("Continue with GitHub").sees(403, "You did not allow it at GitHub")
	gh.As("octocat")
	b.follow("Try again").press("Continue with GitHub").sees(200, "at /x for octocat")
}

func TestWrongCallbackURLAtGitHubIsTheOwnersToMend(t *testing.T) {
	h, _ := hub(t)
	b := h.browser()
	b.stop = func(u *url.URL) bool { return u.Path == "/callback" }
	b.open(h.origin("app.localhost") + "/").press("Continue with GitHub")
	state := must2(url.Parse(b.header.Get("Location"))).Query().Get("state")
	b.open(h.origin("auth.localhost") + "/callback?" + url.Values{"error": {"redirect_uri_mismatch"}, "state": {state}}.Encode())
	b.sees(502, "GitHub does not accept this installation", "callback URL must be checked")
}

// TestCodeOfGitHubCountsOnce: a code that was redeemed elsewhere meanwhile opens nothing.
func TestCodeOfGitHubCountsOnce(t *testing.T) {
	h, _ := hub(t)
	b, other := h.browser(), h.browser()
	for _, one := range []*browser{b, other} {
		one.stop = func(u *url.URL) bool { return u.Path == "/callback" }
		one.open(h.origin("app.localhost") + "/").press("Continue with GitHub")
		one.stop = nil
	}
	stolen, own := must2(url.Parse(b.header.Get("Location"))), must2(url.Parse(other.header.Get("Location")))
	q := own.Query()
	q.Set("code", stolen.Query().Get("code")) // another browser's code under its own state: PKCE binds it
	own.RawQuery = q.Encode()
	h.refused(other.open(own.String()), "GitHub no longer knows this sign-in", "provider_code_expired")
	h.refused(b.open(stolen.String()), "GitHub no longer knows this sign-in", "provider_code_expired") // spent by the attempt
}

// TestOrganizationsAreReadToTheEnd: the one that counts may stand on a late page,
// and a page that fails lets nobody in by what came before it.
func TestOrganizationsAreReadToTheEnd(t *testing.T) {
	many := octocat
	many.Orgs = nil
	for i := range 250 {
		many.Orgs = append(many.Orgs, "org"+strconv.Itoa(i))
	}
	h, gh := hub(t, withProxy("app.localhost", func(p *site.Proxy) { p.AuthRequiredUsers, p.AuthRequiredGroups = []string{}, []string{"org249"} }))
	gh.Add(many)
	gh.Fail("/user/orgs", githubtest.Failure{Status: 502, After: 2})
	h.refused(h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub"), "GitHub does not answer", "provider_unreachable")
	gh.Fail("/user/orgs", githubtest.Failure{})
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for octocat")
}

func TestStateTowardsGitHubCountsOnceInThisBrowserOnly(t *testing.T) {
	h, gh := hub(t)
	_ = gh
	attacker := h.browser()
	attacker.stop = func(u *url.URL) bool { return u.Path == "/callback" }
	attacker.open(h.origin("app.localhost") + "/").press("Continue with GitHub")
	callback := attacker.header.Get("Location")
	if !strings.Contains(callback, "/callback?") {
		t.Fatalf("at %s: %s", attacker.url, callback)
	}
	// Login CSRF: the victim's browser is sent to the attacker's answer.
	victim := h.browser().open(h.origin("auth.localhost")+"/signin").open(callback).sees(403, "began in another browser")
	if victim.cookie(h.origin("auth.localhost"), "__Host-gatehouse") != "" {
		t.Error("the victim is signed in as the attacker")
	}
	attacker.stop = nil
	attacker.open(callback).sees(400, "no longer known") // spent by the attempt
	// The same with a state that nobody made, and with none.
	attacker.open(h.origin("auth.localhost")+"/callback?code=x&state=y").sees(400, "no longer known")
	attacker.open(h.origin("auth.localhost")+"/callback?code=x").sees(400, "no longer known")
	attacker.open(h.origin("auth.localhost")+"/callback?error=access_denied").sees(400, "no longer known")
}

func TestStateExpires(t *testing.T) {
	h, _ := hub(t)
	b := h.browser()
	b.stop = func(u *url.URL) bool { return u.Path == "/callback" }
	b.open(h.origin("app.localhost") + "/").press("Continue with GitHub")
	state := must2(url.Parse(b.header.Get("Location"))).Query().Get("state")
	item, err := h.kv.Get(t.Context(), prefixState+digest(state))
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(item.Expires); left <= 9*time.Minute || left > 10*time.Minute+time.Second { // the store has a clock of its own
		t.Errorf("the state lives %v", left)
	}
	if strings.Contains(string(item.Value), state) {
		t.Error("the state is stored readably")
	}
}

func TestListedLoginStaysWithItsFirstAccount(t *testing.T) {
	h, gh := hub(t)
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for octocat")
	if !h.events.has(func(e journal.Entry) bool { return e.Kind == journal.Audit && e.Action == "bind_github_login" }) {
		t.Error("no audit entry")
	}
	// The name changes hands.
	gh.Remove("octocat")
	gh.Add(githubtest.Account{ID: 999, Login: "OctoCat"})
	thief := h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(403, "This name belongs to somebody else here", "ask an administrator")
	if thief.cookie(h.origin("auth.localhost"), "__Host-gatehouse") != "" {
		t.Error("signed in all the same")
	}
	if all, err := h.pages.Bindings(t.Context()); err != nil || len(all) != 1 || all[0].Login != "octocat" {
		t.Errorf("bindings %v, %v", all, err)
	}
	if err := h.pages.Release(t.Context(), "OCTOCAT"); err != nil {
		t.Fatal(err)
	}
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for OctoCat")
}

func TestUnlistedLoginIsNotBound(t *testing.T) {
	h, gh := hub(t, withProxy("app.localhost", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"*"} }))
	for id := range int64(2) {
		gh.Add(githubtest.Account{ID: 100 + id, Login: "visitor"})
		gh.As("visitor")
		h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for visitor")
		gh.Remove("visitor")
	}
}

func TestGitHubButtonIsOfferedOnlyWhenItWorks(t *testing.T) {
	h := newHouse(t)
	b := h.browser().open(h.origin("auth.localhost") + "/signin")
	if !strings.Contains(b.words(), "No way to sign in is set up yet") || strings.Contains(b.body, "Continue with GitHub") {
		t.Errorf("got %s", b.words())
	}
	b.alice()
	b.open(h.origin("auth.localhost") + "/logout").press("Sign out").open(h.origin("auth.localhost") + "/signin")
	action, values := b.fill("Sign in")
	values.Set("provider", "github")
	b.post(action, values, "Origin", h.origin("auth.localhost")).sees(422, "must be one of those on the page")
	values.Set("provider", "other")
	b.post(action, values, "Origin", h.origin("auth.localhost")).sees(422, "must be one of those on the page")
}

func TestNoSetupLinkWhereGitHubIsSetUp(t *testing.T) {
	h, _ := hub(t)
	if link, err := h.pages.EnsureSetupLink(t.Context()); err != nil || link != "" {
		t.Errorf("got %q, %v", link, err)
	}
}

// The proxy's own app.

func ownApp(p *site.Proxy) {
	p.GitHubClientID, p.GitHubClientSecret, p.AuthRequiredUsers = "own-id", "own-secret", []string{"octocat"}
}

func TestOwnAppOfAProxyCountsThereAlone(t *testing.T) {
	h, gh := hub(t, withProxy("own.localhost", ownApp))
	gh.Register(githubtest.App{ClientID: "own-id", ClientSecret: "own-secret", Callback: h.origin("auth.localhost") + "/callback"})
	b := h.browser().open(h.origin("own.localhost")+"/x").press("Continue with GitHub").sees(200, "backend of own.localhost at /x for octocat")
	if got := gh.Asked()[0].Get("client_id"); got != "own-id" {
		t.Errorf("GitHub was asked for %s", got)
	}
	if b.cookie(h.origin("auth.localhost"), "__Host-gatehouse") != "" {
		t.Error("there is a session on the sign-in host")
	}
	b.open(h.origin("app.localhost")+"/").sees(200, "Sign in", "Continue with GitHub")
	b.press("Continue with GitHub").sees(200, "backend of app.localhost")
	if got := gh.Asked()[1].Get("client_id"); got != "app-id" {
		t.Errorf("the other host used %s", got)
	}
}

func TestOwnAppAnswersOneRequestOfAnApplication(t *testing.T) {
	h, gh := hub(t, withProxy("own.localhost", func(p *site.Proxy) { ownApp(p); p.OAuthUserUsers = []string{"octocat"} }))
	gh.Register(githubtest.App{ClientID: "own-id", ClientSecret: "own-secret", Callback: h.origin("auth.localhost") + "/callback"})
	b := h.browser()
	b.stop = func(u *url.URL) bool { return u.Hostname() == "client.example" }
	id := b.register(h.origin("own.localhost"), "Nice Client", clientRedirect)
	authorize := authorizeURL(h.origin("own.localhost"), id, clientRedirect, "user")
	b.open(authorize).press("Continue with GitHub").sees(200, "Allow Nice Client?", "Signed in as octocat")
	got := b.press("Allow").answer()
	if answer := b.redeem(h.origin("own.localhost"), id, got.Get("code"), clientRedirect); answer["access_token"] == nil {
		t.Errorf("token: %v", answer)
	}
	b.open(authorize).sees(200, "Sign in") // nothing is left of it
	other := b.register(h.origin("app.localhost"), "Nice Client", clientRedirect)
	b.open(authorizeURL(h.origin("app.localhost"), other, clientRedirect, "user")).sees(200, "Sign in", "app.localhost")
}

func TestChangedAppOfAProxyCountsAtOnce(t *testing.T) {
	h, gh := hub(t, withProxy("own.localhost", ownApp))
	gh.Register(githubtest.App{ClientID: "own-id", ClientSecret: "own-secret", Callback: h.origin("auth.localhost") + "/callback"})
	b := h.browser()
	b.stop = func(u *url.URL) bool { return u.Path == "/callback" }
	b.open(h.origin("own.localhost") + "/").press("Continue with GitHub")
	h.change("own.localhost", func(p *site.Proxy) { p.GitHubClientID, p.GitHubClientSecret = "", "" })
	b.stop = nil
	b.open(b.header.Get("Location")).sees(409, "set up anew in the meantime")
	b.follow("Try again").press("Continue with GitHub").sees(200, "for octocat")
}

func TestGroupsAreReadAgainAtRefresh(t *testing.T) {
	h, gh := hub(t, withProxy("app.localhost", func(p *site.Proxy) { p.AuthRequiredUsers, p.AuthRequiredGroups = []string{}, []string{"acme"} }))
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for octocat")
	sessions, err := h.oauth.Sessions(t.Context(), "")
	if err != nil || len(sessions) == 0 {
		t.Fatal(err)
	}
	person := sessions[0].Person
	left := octocat
	left.Orgs = nil
	gh.Add(left)
	if got, err := h.pages.Recheck(t.Context(), person, nil); err != nil || len(got.Groups) != 1 {
		t.Errorf("asked again within the hour: %v, %v", got.Groups, err)
	}
	person.Checked = time.Now().Add(-2 * time.Hour)
	old := person.Checked
	if got, err := h.pages.Recheck(t.Context(), person, nil); err != nil || len(got.Groups) != 0 || !got.Checked.After(old) {
		t.Errorf("groups %v checked %v, %v", got.Groups, got.Checked, err)
	}
	gh.RevokeAll()
	if got, err := h.pages.Recheck(t.Context(), person, nil); err != nil || len(got.Groups) != 1 || !got.Checked.Equal(old) {
		t.Errorf("where GitHub can't be asked, what is known must stay with its age: %v %v, %v", got.Groups, got.Checked, err)
	}
}

func TestGitHubTokenIsSealedAtRest(t *testing.T) {
	h, _ := hub(t)
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for octocat")
	items, err := h.kv.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	kept := false
	for _, item := range items {
		kept = kept || strings.HasPrefix(item.Key, prefixToken)
		if strings.Contains(string(item.Value), "gho_") || strings.Contains(string(item.Value), base64.StdEncoding.EncodeToString([]byte("gho_"))[:5]) {
			t.Errorf("%s holds the token readably", item.Key)
		}
	}
	if !kept {
		t.Error("no token was kept")
	}
}

func TestPKCEIsChecked(t *testing.T) {
	h, gh := hub(t)
	b := h.browser()
	b.stop = func(u *url.URL) bool { return u.Path == "/callback" }
	b.open(h.origin("app.localhost") + "/").press("Continue with GitHub")
	state := must2(url.Parse(b.header.Get("Location"))).Query().Get("state")
	row, err := h.pages.states.Get(t.Context(), digest(state))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(row.Value.Verifier))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != gh.Asked()[0].Get("code_challenge") {
		t.Error("the challenge is not the verifier's")
	}
	row.Value.Verifier = strings.Repeat("x", 43)
	if _, err := h.pages.states.Put(t.Context(), digest(state), row.Value, time.Minute); err != nil {
		t.Fatal(err)
	}
	b.stop = nil
	b.open(b.header.Get("Location")).sees(400, "GitHub no longer knows this sign-in")
}

func TestTripsOfOneAddressAreBounded(t *testing.T) {
	f := newFlight()
	a := netip.MustParseAddr("192.0.2.1")
	for i := range flightEach + 5 {
		evicted := f.add(a, string(rune(i+1)))
		if want := i >= flightEach; (len(evicted) == 1) != want {
			t.Fatalf("trip %d: %v", i, evicted)
		}
		if i == flightEach && evicted[0] != string(rune(1)) {
			t.Errorf("not the oldest went: %q", evicted)
		}
	}
}

func TestOwnAppOfAHostWithItsOwnPages(t *testing.T) {
	h, gh := hub(t, withProxy("app.example.com", ownApp))
	gh.Register(githubtest.App{ClientID: "own-id", ClientSecret: "own-secret", Callback: h.origin("app.example.com") + "/callback"})
	b := h.browser().open(h.origin("app.example.com")+"/x").press("Continue with GitHub").sees(200, "backend of app.example.com at /x for octocat")
	if got := gh.Asked()[0]; got.Get("client_id") != "own-id" || got.Get("redirect_uri") != h.origin("app.example.com")+"/callback" {
		t.Errorf("GitHub was asked with %v", got)
	}
	b.open(h.origin("app.localhost")+"/").sees(200, "Sign in")
}

func TestTwoTabsCanGoToGitHubAtTheSameTime(t *testing.T) {
	h, _ := hub(t)
	b := h.browser()
	b.stop = func(u *url.URL) bool { return u.Path == "/callback" }
	first := b.open(h.origin("app.localhost") + "/one").press("Continue with GitHub").header.Get("Location")
	b.open(h.origin("app.localhost") + "/three")
	action, values := b.fill("Continue with GitHub")
	second := b.open(h.origin("app.localhost") + "/two").press("Continue with GitHub").header.Get("Location")
	b.stop = nil
	b.open(second).sees(200, "at /two for octocat")
	b.post(action, values, "Origin", h.origin("auth.localhost")).sees(200, "at /three for octocat") // the page from before goes on
	b.open(first)
	if b.status != http.StatusOK {
		b.follow("Try again")
	}
	b.sees(200, "at /one for octocat")
}
