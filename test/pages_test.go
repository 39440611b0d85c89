package test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestPagesForPeople opens every page that people see on the sign-in host, and
// the refusals on others, in a real browser the size of a phone: no script, no
// way to put one there, words for those who listen, everything in reach of a
// keyboard, and nothing to scroll sideways.
func TestPagesForPeople(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"RATE_LIMITS=off"}, "protect", "app.localhost", mirror(t).URL, "--allow", "local:alice")
	b := open(t, s)
	home, app := s.url("auth.localhost", ""), s.url("app.localhost", "")
	tour := func(name, prefix, want string) {
		t.Helper()
		b.shows(prefix, want)
		b.sound(name)
	}

	b.goTo(s.onHTTPS(s.setup()))
	tour("setup", home+"/setup", "Create the first administrator")
	p := s.person()
	p.becomeAdmin()
	b.goTo(home + "/setup?setup=used")
	tour("setup-used", home+"/setup", "no longer works")
	s.stop()
	s.env = append(s.env, "GITHUB_CLIENT_ID=Iv1.gatehouse", "GITHUB_CLIENT_SECRET=secret", "OIDC_ISSUER=http://127.0.0.1:1", "OIDC_CLIENT_ID=gatehouse", "OIDC_CLIENT_SECRET=secret",
		"OIDC_NAME=The identity provider of the Example Organization, Ltd.")
	s.run()

	b.goTo(app + "/reports")
	tour("signin", home+"/signin", "Continue with GitHub")
	b.fill("name", adminName)
	b.fill("password", "not the password")
	b.press("Sign in")
	tour("signin-wrong", home+"/signin", "Name or password is not right")
	b.press("Continue with The identity provider")
	tour("provider-away", home+"/signin", "does not answer")
	b.press("Try again")
	b.fill("name", adminName)
	b.fill("password", adminPassword)
	b.press("Sign in")
	b.shows(app+"/reports", "the backend saw")

	c := s.register(t, "app.localhost", "https://a-client-with-a-rather-long-name.example.com/oauth/callback")
	b.goTo(c.request(nil))
	tour("consent", home+"/consent", "Allow attack?")
	loopback := s.register(t, "app.localhost", "http://127.0.0.1:7777/callback")
	b.goTo(loopback.request(url.Values{"scope": {"admin user mcp"}}))
	tour("consent-admin", home+"/consent", "Administration")
	b.goTo(c.request(url.Values{"redirect_uri": {"https://evil.example/"}}))
	tour("authorize-refused", app+"/authorize", "This sign-in can't go on")
	b.goTo(home + "/consent?request=gone")
	tour("request-gone", home+"/consent", "no longer open")

	b.goTo(home + "/device")
	tour("device", home+"/device", "Connect a device")
	b.fill("user_code", "BCDF-GHJK")
	b.press("Continue")
	tour("device-wrong", home+"/device", "No device waits with this code")
	b.goTo(home + "/device?user_code=" + s.userCode(c))
	b.press("Continue")
	tour("device-confirm", home+"/device", "Go on only if it is yours")
	b.press("Allow")
	tour("device-done", home+"/device", "Your device is connected")
	_, first := c.exchange(c.code(p, nil), nil)
	c.refresh(first.Refresh)
	c.refresh(first.Refresh)
	b.goTo(home + "/account")
	tour("account", home+"/account", "Connected apps")
	b.goTo(app + "/.gatehouse/logout")
	tour("host-logout", app+"/.gatehouse/logout", "Sign out of app.localhost?")
	s.local("proxy", "auth", "config", "app.localhost", "--allow", "local:bob")
	b.goTo(app + "/")
	tour("refused-by-host", app+"/", "You are signed in as local:alice")
	b.do(chromedp.Click(`//a[contains(., "Use another account")]`))
	tour("switch", home+"/signin", "You are signed in as local:alice")
	s.local("proxy", "disable", "app.localhost")
	b.goTo(app + "/")
	tour("host-off", app+"/", "This page can't be shown now")
	b.goTo(strings.Replace(s.HTTP, "localhost", "nobody.localhost", 1) + "/")
	tour("no-such-host", "http://nobody.localhost", "There is nothing here")
	b.goTo(home + "/signin?next=//evil.example")
	tour("bad-return", home+"/signin", "not on this host")
	b.goTo(home + "/logout")
	tour("logout", home+"/logout", "Sign out?")
	b.press("Sign out")
	tour("signed-out", home+"/logout", "You are signed out")
}

// userCode begins the device flow as another device would.
func (s *server) userCode(c *oauthClient) string {
	s.t.Helper()
	got, _ := c.post("/device/code", url.Values{"client_id": {"device_flow_client"}, "scope": {"user"}})
	var device struct {
		Code string `json:"user_code"`
	}
	if decode(s.t, got.Body, &device); got.StatusCode != http.StatusOK {
		s.t.Fatalf("device/code: %d %s", got.StatusCode, got.Body)
	}
	return device.Code
}

// sound fails unless the page is as all pages for people are.
func (b *browser) sound(name string) {
	b.t.Helper()
	for _, width := range []int64{320, 360} {
		b.screen(width, 740)
		if wide := value(b, chromedp.Evaluate[string](widerThanScreen)); wide != "" {
			b.t.Errorf("%s scrolls sideways at %d pixels: %s", name, width, wide)
		}
	}
	if faults := value(b, chromedp.Evaluate[string](pageFaults)); faults != "none" {
		b.t.Errorf("%s: %s", name, faults)
	}
	b.pictures(name)
}

const widerThanScreen = `document.documentElement.scrollWidth <= innerWidth ? "" :
	[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.tagName + " " + e.textContent.slice(0, 40)).join("; ") || "something"`

// pageFaults tells what is wrong with a page; "none" when nothing is.
const pageFaults = `(() => {
	const wrong = [], all = q => [...document.querySelectorAll(q)], say = (ok, what) => { if (!ok) wrong.push(what); };
	say(document.doctype !== null, "no doctype");
	say(document.documentElement.lang === "en", "no language");
	say(document.title.trim().length > 3, "no title");
	say(all('meta[name="viewport"][content*="width=device-width"]').length === 1, "no viewport");
	say(all("main").length === 1 && all("h1").length === 1, "not one main and one heading");
	say(document.scripts.length === 0 && all("iframe, object, embed, link[rel=stylesheet], [style]").length === 0, "scripts, frames or foreign styles");
	say(all("*").every(e => [...e.attributes].every(a => !a.name.startsWith("on"))), "an event handler");
	for (const e of all("input:not([type=hidden]), select, textarea")) {
		say(e.labels.length > 0 || e.ariaLabel, "no label: " + e.name);
		say(e.autocomplete !== "" && e.hasAttribute("autocomplete"), "no autocomplete: " + e.name);
	}
	for (const e of all("a[href], button, input:not([type=hidden])")) {
		say(e.tabIndex >= 0, "not in reach of the keyboard: " + e.textContent);
		say(e.tagName === "INPUT" || (e.ariaLabel || e.textContent).trim() !== "", "a button without words");
		const box = e.getBoundingClientRect();
		say(box.height >= 24 && box.width >= 24, "too small to touch: " + e.textContent + " " + box.height);
		e.focus();
		say(getComputedStyle(e).outlineStyle !== "none" || !e.matches(":focus-visible"), "focus can't be seen: " + e.textContent);
	}
	for (const e of all("form")) say(e.method === "post" && new URL(e.action).origin === location.origin, "a form elsewhere: " + e.action);
	window.came = false;
	const script = document.createElement("script");
	script.textContent = "window.came = true";
	document.body.append(script);
	const styled = document.createElement("div");
	styled.innerHTML = '<p style="position:fixed">x</p>';
	document.body.append(styled);
	say(getComputedStyle(styled.lastChild).position !== "fixed", "a style that is not ours counts");
	script.remove();
	styled.remove();
	say(!window.came, "a script runs");
	return wrong.join("; ") || "none";
})()`

// screen makes the window as large as a device's.
func (b *browser) screen(width, height int64) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600})
		return err
	}))
}

// pictures keeps the page as a phone and a desktop show it, light and dark, when
// GATEHOUSE_TEST_SHOTS names a folder.
func (b *browser) pictures(name string) {
	b.t.Helper()
	dir := os.Getenv("GATEHOUSE_TEST_SHOTS")
	if dir == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
			return err
		}))
		for size, wh := range map[string][2]int64{"phone": {390, 844}, "desktop": {1280, 800}} {
			b.screen(wh[0], wh[1])
			ctx, cancel := context.WithTimeout(b.ctx, 15*time.Second)
			png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
			cancel()
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name+"-"+size+"-"+scheme+".png"), png, 0o600)
			}
			if err != nil {
				b.t.Fatal(err)
			}
		}
	}
}
