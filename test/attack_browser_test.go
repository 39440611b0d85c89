package test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestBackendsScriptCannotAnswerForItsVisitor gives a hostile backend a visitor
// with a real browser who is signed in at the sign-in host, once on a site of its
// own and once on the sign-in host's own site, where SameSite does not help. Its
// scripts try to read and to answer the consent of an application and the question
// of a device. Both are still open when they are done.
func TestBackendsScriptCannotAnswerForItsVisitor(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"localhost", "corp.test"} {
		t.Run(base, func(t *testing.T) { hostileBackend(t, base) })
	}
}

func hostileBackend(t *testing.T, base string) {
	backend := newTap(t)
	backend.says(func(r *http.Request) string {
		if r.URL.Path == "/" {
			return ok("text/html", "<!doctype html><title>hostile</title><p>the hostile page</p>")
		}
		return ""
	})
	s := start(t, []string{"BASE_DOMAIN=" + base, "RATE_LIMITS=off"}, "protect", "app."+base, backend.url, "--mode", "redirect")
	home, app := s.url("auth."+base, ""), s.url("app."+base, "")
	s.stranger().becomeAdmin()

	b := openMapped(t, s)
	b.goTo(app + "/")
	b.shows(home+"/", "Sign in")
	b.fill("name", adminName)
	b.fill("password", adminPassword)
	b.press("Sign in")
	b.shows(app+"/", "the hostile page")

	// What it wants answered: an application's request, begun by the attacker or by
	// a script, and the attacker's own device.
	c := s.register(t, "app."+base, "https://evil.test/back")
	began, err := get(t, c.c, c.request(nil)).Location()
	if err != nil || began.Query().Get("request") == "" {
		t.Fatalf("no request: %v %v", began, err)
	}
	handle := began.Query().Get("request")
	var device struct {
		Device string `json:"device_code"`
		User   string `json:"user_code"`
	}
	decode(t, ask(t, c.c, "POST", home+"/device/code", url.Values{"client_id": {"device_flow_client"}, "scope": {"admin"}}.Encode(), "Content-Type: application/x-www-form-urlencoded").Body, &device)

	know, err := json.Marshal(map[string]string{"home": home, "handle": handle, "user": device.User, "authorize": strings.TrimPrefix(c.request(nil), app)})
	if err != nil {
		t.Fatal(err)
	}
	if got := value(b, chromedp.Evaluate[string](`window.done = ""; window.know = `+string(know)+`; (`+hostileScript+`)().then(r => window.done = r, e => window.done = "script failed: " + e); "running"`)); got != "running" {
		t.Fatalf("the script did not start: %q", got)
	}
	var read string
	s.await(30*time.Second, "end of the hostile script", func() bool {
		read = value(b, chromedp.Evaluate[string](`window.done`))
		return read != ""
	})
	if read != "nothing" {
		t.Errorf("the backend's script could: %s", read)
	}
	// At last forms of its own, which take the visitor along.
	for _, fields := range []string{`"/consent", {request: know.handle, answer: "allow"}`, `"/device", {user_code: know.user}`, `"/device", {request: know.handle, answer: "allow"}`, `"/logout", {}`} {
		b.goTo(app + "/")
		b.shows(app+"/", "the hostile page")
		value(b, chromedp.Evaluate[string](`window.know = `+string(know)+`; (`+hostileForm+`)(`+fields+`); "sent"`))
		b.shows(home+"/", "another site")
	}
	b.goTo(home + "/account")
	b.shows(home+"/account", "Connected apps")
	if text := b.text(); strings.Contains(text, "attack") {
		t.Errorf("an application was connected without its person:\n%s", text)
	}
	got := ask(t, c.c, "POST", home+"/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {"device_flow_client"}, "device_code": {device.Device}}.Encode(), "Content-Type: application/x-www-form-urlencoded")
	if !strings.Contains(got.Body, "authorization_pending") {
		t.Errorf("the device was answered: %s", got.Body)
	}
	b.goTo(home + "/consent?request=" + url.QueryEscape(handle))
	b.shows(home+"/consent", "Allow attack?")
}

// hostileScript tries to read pages for people and to answer them. It gives
// "nothing", or what it could do.
const hostileScript = `async () => {
	const could = [];
	const body = f => new URLSearchParams(f);
	const pages = ["/consent?request=" + know.handle, "/device?user_code=" + know.user, "/account", "/signin", "/proxies/", "/tokens/info"];
	for (const page of pages) {
		try { const r = await fetch(know.home + page, {credentials: "include"}); could.push("read " + page + ": " + (await r.text()).slice(0, 80)); } catch (e) {}
		const frame = document.createElement("iframe");
		frame.src = know.home + page;
		const loaded = new Promise(r => { frame.onload = r; setTimeout(r, 2000); });
		document.body.append(frame);
		await loaded;
		try { could.push("look into a frame of " + page + ": " + frame.contentWindow.document.title); } catch (e) {}
		frame.remove();
	}
	for (const [path, f] of [["/consent", {request: know.handle, answer: "allow"}], ["/consent", {request: know.handle, answer: "allow", form: "x"}], ["/device", {user_code: know.user}], ["/account", {grant: "x"}]]) {
		try { const r = await fetch(know.home + path, {method: "POST", credentials: "include", body: body(f)}); could.push("read the answer of POST " + path + ": " + r.status); } catch (e) {}
		try { await fetch(know.home + path, {method: "POST", credentials: "include", mode: "no-cors", body: body(f)}); } catch (e) {}
		try { await fetch(know.home + path, {method: "POST", credentials: "include", mode: "no-cors", referrerPolicy: "no-referrer", headers: {"Content-Type": "text/plain"}, body: body(f).toString()}); } catch (e) {}
		navigator.sendBeacon(know.home + path, body(f));
	}
	// On its own origin the endpoints are ours, the pages for people are not.
	for (const path of ["/consent?request=" + know.handle, "/device?user_code=" + know.user, "/account", "/.gatehouse/consent?request=" + know.handle, "/.gatehouse/account", know.authorize, "/.gatehouse/start?return=/"]) {
		try {
			const r = await fetch(path, {credentials: "include"});
			const text = await r.text();
			if (text.includes('name="form"')) could.push("read a form at " + path);
		} catch (e) {}
	}
	try { const r = await fetch("/consent", {method: "POST", credentials: "include", body: body({request: know.handle, answer: "allow"})}); const text = await r.text(); if (text.includes("evil.test")) could.push("consent on its own origin"); } catch (e) {}
	if (document.cookie.includes("gatehouse")) could.push("read our cookies: " + document.cookie);
	return could.join("; ") || "nothing";
}`

// hostileForm sends a form to the sign-in host, as if the person had.
const hostileForm = `(path, fields) => {
	const form = document.createElement("form");
	form.method = "post";
	form.action = know.home + path;
	for (const [name, value] of Object.entries(fields)) {
		const input = document.createElement("input");
		input.name = name;
		input.value = value;
		form.append(input);
	}
	document.body.append(form);
	form.submit();
}`

// openMapped is open with names under corp.test on this machine too.
func openMapped(t *testing.T, s *server) *browser {
	t.Helper()
	return open(t, s, chromedp.Flag("host-resolver-rules", "MAP *.corp.test 127.0.0.1, MAP evil.test ~NOTFOUND"))
}
