package signin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
	"gatehouse/test/githubtest"
)

// later is a clock that a test moves: what the gate and the pages judge the age
// of people's groups by.
type later struct{ by atomic.Int64 }

func (l *later) add(d time.Duration) { l.by.Add(int64(d)) }

func (l *later) setting() setting {
	now := func() time.Time { return time.Now().Add(time.Duration(l.by.Load())) }
	return func(_ *house, oo *oauth.Options, o *Options, _ *[]site.Proxy) { oo.Clock, o.Clock = now, now }
}

// connected signs somebody in by the button, lets an application act for them
// and answers its first refresh token.
func (h *house) connected(button string) (b *browser, client, refresh string) {
	h.t.Helper()
	return h.connectedBy(func(b *browser) { b.press(button) })
}

func (h *house) connectedBy(signIn func(*browser)) (b *browser, client, refresh string) {
	h.t.Helper()
	b = h.browser()
	b.stop = func(u *url.URL) bool { return u.Hostname() == "client.example" }
	client = b.register(h.origin("app.localhost"), "Nice Client", clientRedirect)
	signIn(b.open(authorizeURL(h.origin("app.localhost"), client, clientRedirect, "reports")))
	got := b.press("Allow").answer()
	answer := b.redeem(h.origin("app.localhost"), client, got.Get("code"), clientRedirect)
	refresh, _ = answer["refresh_token"].(string)
	if refresh == "" {
		h.t.Fatalf("no refresh token: %v", answer)
	}
	return b, client, refresh
}

// refresh uses a refresh token and answers the next one; empty when refused.
func (b *browser) refresh(client, token string) (next, refused string) {
	b.t.Helper()
	b.post(b.origin("app.localhost")+"/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {token}})
	var answer struct {
		Refresh string `json:"refresh_token"`
		Error   string `json:"error"`
	}
	if err := json.Unmarshal([]byte(b.body), &answer); err != nil {
		b.t.Fatalf("%d %s", b.status, b.body)
	}
	return answer.Refresh, answer.Error
}

// byGroup lets members of a group in, and gives them the host's own scope.
func byGroup(groups ...string) setting {
	return withProxy("app.localhost", func(p *site.Proxy) {
		p.AuthRequiredUsers, p.AuthRequiredGroups, p.ResourceScopes = []string{}, groups, []string{"reports"}
	})
}

// TestProviderThatIsDownLogsNobodyOut: what is known of a person counts for a day
// while their provider can't be asked; then a rule about groups asks for a
// sign-in. Nothing is lost by the refusal: once the provider is back, so are they.
func TestProviderThatIsDownLogsNobodyOut(t *testing.T) {
	for name, failure := range map[string]githubtest.Failure{
		"down": {Status: 503}, "gone": {Drop: true}, "limits": {Status: 429, Body: "{}"}, "malformed": {Status: 200, Body: "<html>"},
	} {
		t.Run(name, func(t *testing.T) {
			var clock later
			h, gh := hub(t, byGroup("acme"), clock.setting())
			b, client, token := h.connected("Continue with GitHub")
			gh.Fail("/user", failure)
			for range 11 { // to the 22nd hour
				clock.add(2 * time.Hour)
				next, refused := b.refresh(client, token)
				if refused != "" {
					t.Fatalf("refused: %s", b.body)
				}
				token = next
			}
			clock.add(3 * time.Hour)
			if _, refused := b.refresh(client, token); refused == "" {
				t.Fatal("groups count for longer than a day after they were read")
			}
			gh.Fail("/user", githubtest.Failure{})
			clock.add(2 * quietAfter)
			if _, refused := b.refresh(client, token); refused != "" {
				t.Errorf("the provider is back, and the program is still refused: %s", b.body)
			}
		})
	}
}

func TestPersonWhoLeftTheGroupIsOutAtTheNextRefreshAfterAnHour(t *testing.T) {
	var clock later
	h, gh := hub(t, byGroup("acme"), clock.setting())
	b, client, token := h.connected("Continue with GitHub")
	left := octocat
	left.Orgs = nil
	gh.Add(left)
	clock.add(30 * time.Minute)
	token, refused := b.refresh(client, token)
	if refused != "" {
		t.Fatalf("within the hour: %s", b.body)
	}
	clock.add(31 * time.Minute)
	if _, refused := b.refresh(client, token); refused == "" {
		t.Error("still let in")
	}
}

// TestTokenTakenBackAtTheProviderCountsForADay: the permission was revoked at
// GitHub. We can't know more then; groups count for what is left of their day,
// and GitHub is not asked with that token any more.
func TestTokenTakenBackAtTheProviderCountsForADay(t *testing.T) {
	var clock later
	h, gh := hub(t, byGroup("acme"), clock.setting())
	b, client, token := h.connected("Continue with GitHub")
	gh.RevokeAll()
	clock.add(2 * time.Hour)
	token, refused := b.refresh(client, token)
	if refused != "" {
		t.Fatalf("refused: %s", b.body)
	}
	if rows, err := h.pages.tokens.All(t.Context()); err != nil || len(rows) != 0 {
		t.Errorf("the dead token is kept: %v %v", rows, err)
	}
	clock.add(23 * time.Hour)
	if _, refused := b.refresh(client, token); refused == "" {
		t.Error("groups count for longer than a day after they were read")
	}
}

func TestProviderThatDoesNotAnswerIsLeftAloneForAWhile(t *testing.T) {
	var clock later
	var asked atomic.Int64
	h, gh := hub(t, byGroup("acme"), clock.setting())
	count := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/user") {
			asked.Add(1)
		}
		gh.ServeHTTP(w, r)
	}))
	t.Cleanup(count.Close)
	h.pages.opt.GitHub.APIURL = count.URL
	b, client, token := h.connected("Continue with GitHub")
	gh.Fail("/user", githubtest.Failure{Status: 503})
	clock.add(2 * time.Hour)
	before := asked.Load()
	for range 5 {
		token, _ = b.refresh(client, token)
	}
	if n := asked.Load() - before; n != 1 {
		t.Errorf("asked %d times", n)
	}
	clock.add(quietAfter + time.Second)
	b.refresh(client, token)
	if n := asked.Load() - before; n != 2 {
		t.Errorf("after the pause asked %d times", n)
	}
}

// TestSessionKnowsTheGroupsOfToday: who has been signed in for long is read again
// before a host with a rule about groups lets them in, or keeps them out.
func TestSessionKnowsTheGroupsOfToday(t *testing.T) {
	var clock later
	h, gh := hub(t, byGroup("acme"), clock.setting(), withProxy("other.localhost", func(p *site.Proxy) { p.AuthRequiredUsers, p.AuthRequiredGroups = []string{}, []string{"acme"} }))
	b := h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for octocat")
	clock.add(2 * time.Hour)
	b.open(h.origin("other.localhost")+"/").sees(200, "backend of other.localhost at / for octocat")
	left := octocat
	left.Orgs = nil
	gh.Add(left)
	b.open(h.origin("other.localhost") + "/.gatehouse/logout").press("Sign out")
	b.open(h.origin("other.localhost")+"/").sees(403, "No access to other.localhost", "You are signed in as octocat")
}

// TestNewOwnerOfANameEndsWhatTheOldOneBegan: sessions carry names for days.
func TestNewOwnerOfANameEndsWhatTheOldOneBegan(t *testing.T) {
	h, gh := hub(t, withProxy("app.localhost", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"*"} }))
	gh.Add(githubtest.Account{ID: 70, Login: "wanderer"})
	gh.As("wanderer")
	old := h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for wanderer")
	gh.Add(githubtest.Account{ID: 70, Login: "settler"})
	gh.Add(githubtest.Account{ID: 71, Login: "wanderer"})
	h.change("app.localhost", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"wanderer"} })
	first := h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for wanderer")
	old.open(h.origin("app.localhost")+"/").sees(200, "Sign in", "Continue with GitHub")
	first.open(h.origin("app.localhost")+"/").sees(200, "for wanderer")
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for wanderer") // a second sign-in ends nothing
	first.open(h.origin("app.localhost")+"/").sees(200, "for wanderer")
}

// TestRenamedAccountKeepsItsGrantAndLeavesItsName: the number is the identity. A
// name that its owner gave up carries no rights that a list gives to the next one.
func TestRenamedAccountKeepsItsGrantAndLeavesItsName(t *testing.T) {
	var clock later
	h, gh := hub(t, withProxy("app.localhost", func(p *site.Proxy) { p.AuthRequiredUsers, p.ResourceScopes = []string{"*"}, []string{"reports"} }), clock.setting())
	gh.Add(githubtest.Account{ID: 70, Login: "wanderer"})
	gh.As("wanderer")
	b, client, token := h.connected("Continue with GitHub")
	gh.Add(githubtest.Account{ID: 70, Login: "settler"})
	gh.Add(githubtest.Account{ID: 71, Login: "wanderer"})
	clock.add(2 * time.Hour)
	token, refused := b.refresh(client, token)
	if refused != "" {
		t.Fatalf("a rename logs out: %s", b.body)
	}
	grants, err := h.oauth.Grants(t.Context(), "")
	if err != nil || len(grants) != 1 || grants[0].Person.User != "settler" {
		t.Fatalf("the grant's person: %+v %v", grants, err)
	}

	// The same where GitHub can't be asked, once the name has a new owner here.
	gh.Add(githubtest.Account{ID: 72, Login: "old"})
	gh.As("old")
	b2, client2, token2 := h.connected("Continue with GitHub")
	gh.RevokeAll()
	gh.Add(githubtest.Account{ID: 72, Login: "former"})
	gh.Add(githubtest.Account{ID: 73, Login: "old"})
	h.change("app.localhost", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"old", "settler"} })
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with GitHub").sees(200, "for old")
	clock.add(2 * time.Hour)
	if _, refused := b2.refresh(client2, token2); refused == "" {
		t.Error("who gave a name up acts under it")
	}
	if _, refused := b.refresh(client, token); refused != "" {
		t.Errorf("somebody else was refused with them: %s", b.body)
	}
}

func TestOIDCPersonIsReadAgainAtRefresh(t *testing.T) {
	var clock later
	h, l := provided(t, byGroup("staff"), clock.setting())
	l.info["groups"], l.refresh = []string{"staff"}, "rt-0"
	b, client, token := h.connected("Continue with Example ID")
	for range 3 { // the provider's refresh token counts once and is replaced
		clock.add(2 * time.Hour)
		next, refused := b.refresh(client, token)
		if refused != "" {
			t.Fatalf("refused: %s", b.body)
		}
		token = next
	}
	if n := len(l.tokens); n != 4 {
		t.Errorf("the token endpoint was asked %d times", n)
	}
	l.set(func() { delete(l.info, "groups") }) // not told any more: those from before grow old
	clock.add(2 * time.Hour)
	token, refused := b.refresh(client, token)
	if refused != "" {
		t.Fatalf("refused: %s", b.body)
	}
	l.set(func() { l.info["groups"] = []string{"others"} })
	clock.add(2 * time.Hour)
	if _, refused := b.refresh(client, token); refused == "" {
		t.Error("who left the group is still let in")
	}
}

func TestOIDCAccountThatEndedCountsForADay(t *testing.T) {
	var clock later
	h, l := provided(t, byGroup("staff"), clock.setting())
	l.info["groups"], l.refresh = []string{"staff"}, "rt-0"
	b, client, token := h.connected("Continue with Example ID")
	l.set(func() { l.refresh = "" }) // invalid_grant from now on
	clock.add(2 * time.Hour)
	token, refused := b.refresh(client, token)
	if refused != "" {
		t.Fatalf("refused: %s", b.body)
	}
	clock.add(23 * time.Hour)
	if _, refused := b.refresh(client, token); refused == "" {
		t.Error("groups count for longer than a day after they were read")
	}
}

func TestOIDCTokenOfSomebodyElseEndsTheGrantsUse(t *testing.T) {
	var clock later
	h, l := provided(t, byGroup("staff"), clock.setting())
	l.info["groups"], l.refresh = []string{"staff"}, "rt-0"
	b, client, token := h.connected("Continue with Example ID")
	l.set(func() { l.info["sub"] = "s-2" })
	clock.add(2 * time.Hour)
	if _, refused := b.refresh(client, token); refused != "invalid_grant" {
		t.Errorf("the token tells of somebody else: %s", b.body)
	}
}
