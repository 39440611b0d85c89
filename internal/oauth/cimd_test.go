package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/fetch"
	"gatehouse/internal/site"
)

// web stands in for package fetch, which has its own tests: what is published
// where. An address where nothing is fails as one does that nobody answers at.
type web struct {
	mu    sync.Mutex
	pages map[string]string
	fails map[string]error
	asked map[string]int
	life  time.Duration
}

func newWeb() *web {
	return &web{pages: map[string]string{}, fails: map[string]error{}, asked: map[string]int{}, life: 10 * time.Minute}
}

func (w *web) Get(_ context.Context, url string) (fetch.Document, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[url]++
	if err := w.fails[url]; err != nil {
		return fetch.Document{}, err
	}
	body, ok := w.pages[url]
	if !ok {
		return fetch.Document{}, fault.Wrap(fault.Unavailable, errors.New("lookup x: no such host"), "could not be reached")
	}
	return fetch.Document{Body: []byte(body), Life: w.life}, nil
}

const (
	clientURL = "https://client.example/oauth/client.json"
	clientDoc = `{"client_id":"https://client.example/oauth/client.json","client_name":"Fine client","redirect_uris":["https://client.example/cb","http://127.0.0.1/cb"],` +
		`"token_endpoint_auth_method":"none","logo_uri":"https://logo.example/x.png","tos_uri":"https://tos.example/"}`
)

// newWebRig is a rig whose clients may be known by URL.
func newWebRig(t testing.TB, settings ...func(*Options)) (*rig, *web) {
	w := newWeb()
	w.pages[clientURL] = clientDoc
	r := newRig(t, append([]func(*Options){func(o *Options) { o.Documents = w }}, settings...)...)
	return r, w
}

func TestAClientIsKnownByItsURL(t *testing.T) {
	r, w := newWebRig(t)
	if m := r.ask(http.MethodGet, appOrigin+"/.well-known/oauth-authorization-server", "").json(t); m["client_id_metadata_document_supported"] != true {
		t.Errorf("%v", m)
	}
	a := r.ask(http.MethodGet, appOrigin+"/authorize?"+authorizeQuery(clientURL).Encode(), "")
	p, err := r.Pending(r.pages(), r.handleOf(a))
	if err != nil || p.ClientID != clientURL || p.ClientName != "Fine client" || p.Known != "url" {
		t.Fatalf("%+v %v", p, err)
	}
	code := r.code(appOrigin, clientURL, person("alice"), authorizeQuery(clientURL))
	tokens := r.post(appOrigin+"/token", codeForm(clientURL, code))
	if tokens.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", tokens.StatusCode, tokens.body)
	}
	if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+tokens.text(t, "access_token")); v.Principal == nil || v.Principal.ClientID != clientURL {
		t.Errorf("%+v", v)
	}
	again := r.refresh(appOrigin, clientURL, tokens.text(t, "refresh_token"))
	if again.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", again.StatusCode, again.body)
	}
	if a := r.post(appOrigin+"/revoke", url.Values{"client_id": {clientURL}, "token": {again.text(t, "refresh_token")}}); a.StatusCode != http.StatusOK {
		t.Errorf("revoke: %d %s", a.StatusCode, a.body)
	}
	r.post(appOrigin+"/introspect", url.Values{"client_id": {clientURL}, "token": {"x"}}).refused(t, 401, "invalid_client", "authenticates itself")
	r.post(appOrigin+"/device/code", url.Values{"client_id": {clientURL}}).refused(t, 400, "unauthorized_client", "device")
	if w.asked[clientURL] != 1 || len(w.asked) != 1 {
		t.Errorf("fetched: %v", w.asked)
	}
	all, err := r.Clients(t.Context())
	if err != nil || len(all) != 1 || all[0].ID != clientURL || all[0].Known != "url" {
		t.Errorf("%+v %v", all, err)
	}
}

func TestAClientByURLMayUseTheDeviceFlow(t *testing.T) {
	r, w := newWebRig(t)
	w.pages[clientURL] = strings.Replace(clientDoc, `"client_name"`, `"grant_types":["urn:ietf:params:oauth:grant-type:device_code","refresh_token","client_credentials"],"client_name"`, 1)
	if a := r.post(appOrigin+"/device/code", url.Values{"client_id": {clientURL}}); a.StatusCode != http.StatusOK {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	a := r.ask(http.MethodGet, appOrigin+"/authorize?"+authorizeQuery(clientURL).Encode(), "")
	if to := a.Header.Get("Location"); !strings.Contains(to, "error=unauthorized_client") {
		t.Errorf("%d %s", a.StatusCode, to)
	}
	if c, err := r.client(t.Context(), appOrigin, clientURL); err != nil || c.may("client_credentials") {
		t.Errorf("a document gave its client rights of its own: %+v %v", c, err)
	}
}

func TestDocumentsAreKeptAsTheirHeadersSay(t *testing.T) {
	r, w := newWebRig(t)
	look := func() error { _, err := r.client(t.Context(), appOrigin, clientURL); return err }
	for _, step := range []struct {
		after time.Duration
		asked int
	}{{0, 1}, {9 * time.Minute, 1}, {2 * time.Minute, 2}, {time.Minute, 2}, {10 * time.Minute, 3}} {
		r.after(step.after)
		if err := look(); err != nil || w.asked[clientURL] != step.asked {
			t.Errorf("after %v more: asked %d times, want %d: %v", step.after, w.asked[clientURL], step.asked, err)
		}
	}
	w.pages[clientURL] = strings.Replace(clientDoc, "Fine client", "Renamed", 1)
	r.after(11 * time.Minute)
	if c, err := r.client(t.Context(), appOrigin, clientURL); err != nil || c.Name != "Renamed" {
		t.Errorf("%+v %v", c, err)
	}
}

func TestTheLastGoodCopyStandsInForADocumentThatIsAway(t *testing.T) {
	r, w := newWebRig(t)
	w.fails[clientURL] = fault.New(fault.Invalid, "answered with status 403, not 200; redirects are not followed")
	look := func(r *rig) (Client, error) { return r.client(t.Context(), appOrigin, clientURL) }
	if _, err := look(r); reasonOf(err) != "cimd_unfetchable" || !strings.Contains(err.Error(), "403") {
		t.Fatalf("never fetched: %v", err)
	}
	if _, err := look(r); err == nil || w.asked[clientURL] != 2 {
		t.Errorf("a failure was remembered: %v", w.asked)
	}
	delete(w.fails, clientURL)
	if _, err := look(r); err != nil {
		t.Fatal(err)
	}
	for name, failure := range map[string]error{
		"nobody answers": fault.New(fault.Unavailable, "could not be reached"), "a refusal": fault.New(fault.Invalid, "answered with status 404, not 200"),
		"a name that leads inside": fault.New(fault.Denied, "could not be reached"), "too many": fault.New(fault.TooMany, "was asked for too often"),
	} {
		w.fails[clientURL] = failure
		r.after(11 * time.Minute)
		if c, err := look(r); err != nil || c.Name != "Fine client" || c.Issuer != appOrigin {
			t.Errorf("%s: %+v %v", name, c, err)
		}
	}
	restarted := newRigOn(t, r.kv, func(o *Options) { o.Documents = w })
	if _, err := look(restarted); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	w.fails[clientURL] = nil
	w.pages[clientURL] = `{"client_id":"` + clientURL + `","redirect_uris":[]}`
	if _, err := look(restarted); reasonOf(err) != "cimd_invalid" {
		t.Errorf("a document that came and is wrong: %v", err)
	}
	delete(w.pages, clientURL)
	if _, err := look(restarted); err != nil {
		t.Errorf("the wrong document took the last good copy's place: %v", err)
	}
}

func TestTheLastGoodCopyEndsAfterThirtyDays(t *testing.T) {
	r, _ := newWebRig(t)
	if _, err := r.client(t.Context(), appOrigin, clientURL); err != nil {
		t.Fatal(err)
	}
	row, err := r.kept.Get(t.Context(), hashed(clientURL))
	if life := time.Until(row.Expires); err != nil || life > keptFor+time.Second || life < keptFor-time.Hour {
		t.Errorf("kept for %v: %v", life, err)
	}
}

func TestACopyIsShippedForExactlyTheAddressesOfKnownPrograms(t *testing.T) {
	r, w := newWebRig(t)
	const code = "https://claude.ai/oauth/claude-code-client-metadata"
	w.fails[code] = fault.New(fault.Invalid, "answered with status 403, not 200")
	c, err := r.client(t.Context(), appOrigin, code)
	if err != nil || c.Name != "Claude Code" || c.ID != code || c.Known != knownURL || !redirectMatches(c.RedirectURIs, "http://localhost:58135/callback") {
		t.Errorf("%+v %v", c, err)
	}
	for _, near := range []string{code + "/", code + "2", "https://claude.com/oauth/claude-code-client-metadata", "https://claude.ai:8443/oauth/claude-code-client-metadata", "https://chatgpt.com/oauth/abc/client.json"} {
		if _, err := r.client(t.Context(), appOrigin, near); err == nil {
			t.Errorf("%s is known", near)
		}
	}
	w.fails[code] = nil
	w.pages[code] = `{"client_id":"` + code + `","client_name":"Changed","redirect_uris":["https://claude.ai/x"]}`
	if c, err := r.client(t.Context(), appOrigin, code); err != nil || c.Name != "Changed" {
		t.Errorf("what is published does not count before the copy: %+v %v", c, err)
	}
}

// A device's request names the program at its client's address, as a browser's
// does; what a client calls itself names none.
func TestADevicesRequestNamesItsKnownProgram(t *testing.T) {
	r, w := newWebRig(t)
	const known = "https://claude.ai/oauth/claude-code-client-metadata"
	w.pages[known] = `{"client_id":"` + known + `","client_name":"Anything","redirect_uris":["http://localhost/callback"],"grant_types":["urn:ietf:params:oauth:grant-type:device_code"]}`
	w.pages[clientURL] = `{"client_id":"` + clientURL + `","client_name":"Claude Code","redirect_uris":["http://localhost/callback"],"grant_types":["urn:ietf:params:oauth:grant-type:device_code"]}`
	for client, program := range map[string]string{known: "Claude Code", clientURL: "", DeviceFlowClient: ""} {
		a := r.post(appOrigin+"/device/code", url.Values{"client_id": {client}})
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", client, a.StatusCode, a.body)
		}
		v := site.VisitFrom(r.pages())
		if p, err := r.DeviceByUserCode(t.Context(), v, a.text(t, "user_code")); err != nil || p.Program != program || p.ClientID != client {
			t.Errorf("%s: %q %v", client, p.Program, err)
		}
	}
}

// The rules for the address: draft-ietf-oauth-client-id-metadata-document, section 3.
func TestClientURLsThatAreRefused(t *testing.T) {
	r, w := newWebRig(t)
	for id, words := range map[string]string{
		"http://client.example/c.json": "https", "https://client.example": "path", "https://client.example/": "path", "https://client.example/c.json?x=1": "query", "https://client.example/c.json?": "query",
		"https://client.example/c.json#x": "fragment", "https://client.example/c.json#": "fragment", "https://a@client.example/c": "user", "https://a:b@client.example/c": "user", "https://@client.example/c": "user",
		"https://client.example/../c": "segments", "https://client.example/./c": "segments", "https://client.example/a/..": "segments", "https://client.example/%2e%2e/c": "segments", "https://client.example/%2E/c": "segments",
		"https://client.example/a%2f..%2fc": "segments", "https://client.example/a%5c..%5cc": "segments", "https://client.example/%252e%252e/c": "segments", "https://client.example//c": "segments", "https://client.example/a//c": "segments",
		"https://client.example/a;/../c": "segments", "https://client.example/%00": "segments", "https://client.example/%zz": "URL", "https://client.example\\@evil.example/c": "ASCII", "https://client.example/a b": "ASCII",
		"https://ünï.example/c": "ASCII", "https://CLIENT.example/c": "lower case", "https://client.example./c": "public host", "https://client.example:443/c": "port", "https://client.example:/c": "port", "https://client.example:0/c": "port",
		"https://client.example:08/c": "port", "https://client.example:99999/c": "port", "https://client.example:x/c": "URL", "https://localhost/c": "public host", "https://app.localhost/c": "public host", "https://127.0.0.1/c": "public host",
		"https://[::1]/c": "public host", "https://[::ffff:127.0.0.1]/c": "public host", "https://[::ffff:93.184.216.34]/c": "public host", "https://10.0.0.1/c": "public host", "https://169.254.169.254/latest/meta-data": "public host",
		"https://2130706433/c": "public host", "https://0x7f000001/c": "public host", "https://0x7f.1/c": "public host", "https://127.1/c": "public host", "https://0177.0.0.1/c": "public host", "https://intranet/c": "public host",
		"https://[fe80::1%25eth0]/c": "host", "https://*.example/c": "public host", "https:///c": "host", "https://?/c": "query", "https://client.example/" + strings.Repeat("x", maxClientURL): "bytes",
		"http://127.0.0.1/c": "https", "http://localhost/c": "https",
	} {
		a := r.ask(http.MethodGet, appOrigin+"/authorize?"+authorizeQuery(id).Encode(), "")
		if a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" || !strings.Contains(string(a.body), words) {
			t.Errorf("%s: %d %s", id, a.StatusCode, a.body)
		}
		r.post(appOrigin+"/token", codeForm(id, "x")).refused(t, 401, "invalid_client", words)
	}
	for _, id := range []string{"ftp://client.example/c", "file:///etc/passwd", "HTTPS://client.example/c", "https:client.example/c", "//client.example/c", "javascript:alert(1)"} {
		r.post(appOrigin+"/token", codeForm(id, "x")).refused(t, 401, "invalid_client", "not registered")
	}
	if len(w.asked) != 0 {
		t.Errorf("fetched: %v", w.asked)
	}
	for _, id := range []string{clientURL, "https://client.example/c", "https://client.example:8443/a/b/", "https://xn--n-0fa4l.example/c", "https://93.184.216.34/c", "https://client.example/~me/a.b/c-d_e%20f"} {
		if wrong := checkClientURL(id, false); wrong != "" {
			t.Errorf("%s %s", id, wrong)
		}
	}
	for id, admitted := range map[string]bool{"http://127.0.0.1:8080/c": true, "http://localhost:8080/c": true, "https://localhost/c": true, "http://[::1]:1/c": true, "https://10.0.0.1/c": false, "http://client.example/c": false, "http://10.0.0.1/c": false, "http://127.0.0.1:80/c": false} {
		if wrong := checkClientURL(id, true); (wrong == "") != admitted {
			t.Errorf("%s with loopback admitted: %s", id, wrong)
		}
	}
}

func TestDocumentsThatAreRefused(t *testing.T) {
	r, w := newWebRig(t)
	with := func(members string) string {
		return `{"client_id":"` + clientURL + `","redirect_uris":["https://client.example/cb"],` + members + `}`
	}
	for name, c := range map[string]struct{ body, words string }{
		"another client_id":           {strings.Replace(clientDoc, "/oauth/client.json", "/oauth/other.json", 1), "client_id"},
		"a client_id with a slash":    {strings.Replace(clientDoc, "client.json\"", "client.json/\"", 1), "client_id"},
		"no client_id":                {`{"redirect_uris":["https://client.example/cb"]}`, "client_id"},
		"client_id in another case":   {strings.Replace(clientDoc, `"client_id"`, `"CLIENT_ID"`, 1), "client_id"},
		"two client_ids":              {strings.Replace(clientDoc, `{`, `{"client_id":"https://evil.example/c",`, 1), "client_id is there twice"},
		"a secret":                    {with(`"client_secret":"x"`), "client_secret"},
		"an empty secret":             {with(`"client_secret":""`), "client_secret"},
		"a secret's end":              {with(`"client_secret_expires_at":0`), "client_secret_expires_at"},
		"client_secret_basic":         {with(`"token_endpoint_auth_method":"client_secret_basic"`), "token_endpoint_auth_method"},
		"client_secret_post":          {with(`"token_endpoint_auth_method":"client_secret_post"`), "token_endpoint_auth_method"},
		"client_secret_jwt":           {with(`"token_endpoint_auth_method":"client_secret_jwt"`), "token_endpoint_auth_method"},
		"keys that are missing":       {with(`"token_endpoint_auth_method":"private_key_jwt"`), "jwks"},
		"keys over http":              {with(`"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"http://client.example/jwks"`), "jwks_uri"},
		"no redirects":                {`{"client_id":"` + clientURL + `"}`, "redirect_uris"},
		"only bad redirects":          {`{"client_id":"` + clientURL + `","redirect_uris":["javascript:alert(1)","http://client.example/cb"]}`, "redirect"},
		"a redirect that is a number": {`{"client_id":"` + clientURL + `","redirect_uris":[1]}`, "JSON"},
		"only client_credentials":     {with(`"grant_types":["client_credentials"]`), "grant_types"},
		"only implicit":               {with(`"grant_types":["implicit"]`), "grant_types"},
		"response_type token":         {with(`"response_types":["token"]`), "response_types"},
		"a script for client_uri":     {with(`"client_uri":"javascript:alert(1)"`), "client_uri"},
		"a list":                      {`[]`, "JSON"},
		"a page":                      {`<!doctype html>`, "JSON"},
		"nothing":                     {``, "JSON"},
		"two documents":               {clientDoc + clientDoc, "JSON"},
		"deep":                        {with(`"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40)), "deeply"},
		"no UTF-8":                    {with("\"client_name\":\"\xff\""), "JSON"},
	} {
		w.pages[clientURL] = c.body
		before := w.asked[clientURL]
		a := r.post(appOrigin+"/token", codeForm(clientURL, "x"))
		a.refused(t, 401, "invalid_client", c.words)
		if reasons := r.log.reasons(); reasons[len(reasons)-1] != "cimd_invalid" || w.asked[clientURL] != before+1 {
			t.Errorf("%s: %s, fetched %d times", name, reasons[len(reasons)-1], w.asked[clientURL]-before)
		}
	}
	if _, err := r.kept.Get(t.Context(), hashed(clientURL)); !fault.Is(err, fault.NotFound) {
		t.Errorf("a wrong document was kept: %v", err)
	}
	w.pages[clientURL] = clientDoc
	if _, err := r.client(t.Context(), appOrigin, clientURL); err != nil {
		t.Errorf("a refusal was remembered: %v", err)
	}
	w.pages[clientURL] = `{"client_id":"` + clientURL + `","redirect_uris":["javascript:alert(1)","https://client.example/cb"],"token_endpoint_auth_method":"","grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:jwt-bearer"]}`
	r.after(time.Hour)
	if c, err := r.client(t.Context(), appOrigin, clientURL); err != nil || len(c.RedirectURIs) != 1 || c.AuthMethod != authNone || len(c.GrantTypes) != 2 {
		t.Errorf("what can be passed over: %+v %v", c, err)
	}
}

func TestOnlyDomainsThatAreAllowedAreAsked(t *testing.T) {
	r, w := newWebRig(t, func(o *Options) { o.ClientDomains = []string{"client.example"} })
	if _, err := r.client(t.Context(), appOrigin, clientURL); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"https://other.example/c.json", "https://sub.client.example/c.json", "https://client.example.evil.example/c", "https://claude.ai/oauth/claude-code-client-metadata"} {
		r.post(appOrigin+"/token", codeForm(id, "x")).refused(t, 401, "invalid_client", "domain")
	}
	if len(w.asked) != 1 {
		t.Errorf("fetched: %v", w.asked)
	}
}

// A stranger can ask for documents without end; neither the store nor the
// document's host pays for it.
func TestFetchesForOneAddressAreBounded(t *testing.T) {
	now := time.Now() // stands still: no allowance comes back meanwhile
	r, w := newWebRig(t, func(o *Options) { o.RateLimits, o.Clock = true, func() time.Time { return now } })
	if a := r.ask(http.MethodGet, appOrigin+"/authorize?"+authorizeQuery(clientURL).Encode(), ""); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	for i := range 3 * perMinute {
		r.post(appOrigin+"/token", codeForm(fmt.Sprintf("https://client.example/%d.json", i), "x"))
	}
	if len(w.asked) != perMinute {
		t.Errorf("%d documents were fetched for one address in a minute", len(w.asked))
	}
	if _, err := r.client(t.Context(), appOrigin, clientURL); err != nil {
		t.Errorf("a client that is fresh: %v", err)
	}
}

func TestCopiesOfUnusedClientsAreBoundedAndUsedOnesStay(t *testing.T) {
	r, w := newWebRig(t)
	a := r.post(appOrigin+"/token", codeForm(clientURL, r.code(appOrigin, clientURL, person("alice"), authorizeQuery(clientURL))))
	if a.StatusCode != http.StatusOK {
		t.Fatalf("%s", a.body)
	}
	flood := func(from int) {
		for i := range 3 * keptEach {
			id := fmt.Sprintf("https://flood.example/%d", from+i)
			w.pages[id] = strings.ReplaceAll(clientDoc, clientURL, id)
			if a := r.ask(http.MethodGet, appOrigin+"/authorize?"+authorizeQuery(id).Encode(), ""); a.StatusCode != http.StatusSeeOther {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
		}
	}
	flood(0)
	count := func() int {
		rows, err := r.kept.All(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(rows)
	}
	if n := count(); n != keptEach+1 {
		t.Errorf("%d copies are kept", n)
	}
	r = newRigOn(t, r.kv, func(o *Options) { o.Documents = w })
	flood(1000)
	if n := count(); n != keptEach+1 {
		t.Errorf("after a restart %d copies are kept", n)
	}
	if _, err := r.kept.Get(t.Context(), hashed(clientURL)); err != nil {
		t.Errorf("the copy of a client in use: %v", err)
	}
	p := newPresence()
	for i := range 2 * maxPresent {
		p.put(fmt.Sprint(i), Client{}, time.Now().Add(time.Duration(i)*time.Second))
	}
	if _, ok := p.get(fmt.Sprint(2*maxPresent-1), time.Now()); len(p.by) != maxPresent || !ok {
		t.Errorf("%d clients in memory", len(p.by))
	}
}

func TestAChangedDocumentVoidsConsent(t *testing.T) {
	r, w := newWebRig(t)
	ask := func() Pending {
		a := r.ask(http.MethodGet, appOrigin+"/authorize?"+authorizeQuery(clientURL).Encode(), "")
		p, err := r.Pending(r.pages(), r.handleOf(a))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := ask()
	if r.Remembered(t.Context(), person("alice"), p) {
		t.Error("before anything was approved")
	}
	if err := r.Remember(t.Context(), person("alice"), p, p.Scopes); err != nil {
		t.Fatal(err)
	}
	asked := w.asked[clientURL]
	if !r.Remembered(t.Context(), person("alice"), ask()) || w.asked[clientURL] != asked {
		t.Error("the same again")
	}
	for name, changed := range map[string]string{
		"name": strings.Replace(clientDoc, "Fine client", "Other", 1), "redirects": strings.Replace(clientDoc, "http://127.0.0.1/cb", "https://evil.example/cb", 1),
		"address": strings.Replace(clientDoc, `"client_name"`, `"client_uri":"https://client.example/","client_name"`, 1),
	} {
		w.pages[clientURL] = changed
		r.after(11 * time.Minute)
		if r.Remembered(t.Context(), person("alice"), ask()) {
			t.Errorf("another %s: not asked again", name)
		}
	}
	w.pages[clientURL] = strings.Replace(clientDoc, "logo.example", "other.example", 1)
	r.after(11 * time.Minute)
	if !r.Remembered(t.Context(), person("alice"), ask()) {
		t.Error("asked again for what nobody was shown")
	}
	forged := ask()
	forged.Registered = ""
	if r.Remembered(t.Context(), person("alice"), forged) {
		t.Error("without what was shown")
	}
}

func TestAClientByURLIsDeletedAndMayComeAgain(t *testing.T) {
	r, w := newWebRig(t)
	id := "https://client.example/" + strings.Repeat("a/", 240)
	w.pages[id] = strings.ReplaceAll(clientDoc, clientURL, id)
	a := r.post(appOrigin+"/token", codeForm(id, r.code(appOrigin, id, person("alice"), authorizeQuery(id))))
	if a.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	p := Pending{Issuer: appOrigin, Known: "url", ClientID: id, RedirectURI: "https://client.example/cb", Resource: appOrigin, Scopes: []string{"user"}, Registered: "x"}
	if err := r.Remember(t.Context(), person("alice"), p, p.Scopes); err != nil || !r.Remembered(t.Context(), person("alice"), p) {
		t.Errorf("consent for a long address: %v", err)
	}
	if err := r.DeleteClient(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+a.text(t, "access_token")); v.Reason != "token_revoked" {
		t.Errorf("its token: %s", v.Reason)
	}
	if _, err := r.Client(t.Context(), id); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if err := r.DeleteClient(t.Context(), id); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if _, err := r.client(t.Context(), appOrigin, id); err != nil {
		t.Error(err)
	}
}

func TestAStrangerLearnsNothingOfOurNetwork(t *testing.T) {
	r, w := newWebRig(t)
	var told []string
	for _, failure := range []error{
		fault.Wrap(fault.Unavailable, errors.New("lookup db.internal: no such host"), "could not be reached"),
		fault.Wrap(fault.Unavailable, errors.New("dial tcp 10.0.0.5:443: connection refused"), "could not be reached"),
	} {
		w.fails[clientURL] = failure
		a := r.post(appOrigin+"/token", codeForm(clientURL, "x"))
		a.refused(t, 503, "temporarily_unavailable", "could not be reached")
		told = append(told, string(a.body))
	}
	if told[0] != told[1] || strings.Contains(told[0], "10.0.0.5") {
		t.Errorf("%q", told)
	}
}

func FuzzClientURL(f *testing.F) {
	for _, seed := range []string{clientURL, "https://client.example/../x", "https://client.example/%2e%2e/x", "https://127.0.0.1/x", "https://a@b.example/x", "https://[::1]/x", "http://localhost/x", "https://0x7f.1/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if checkClientURL(raw, false) != "" {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.String() != raw || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Hostname() == "" || fetch.IsLoopback(u.Hostname()) {
			t.Errorf("%q is admitted: %+v %v", raw, u, err)
		}
		for s := range strings.SplitSeq(u.Path, "/") {
			if s == "." || s == ".." {
				t.Errorf("%q has a dot segment", raw)
			}
		}
		if keys := consentName("github:1", raw); len(keys) > 500 {
			t.Errorf("%q makes a key of %d bytes", raw, len(keys))
		}
	})
}

func FuzzClientDocument(f *testing.F) {
	for _, seed := range []string{clientDoc, `{}`, `{"client_id":"` + clientURL + `","redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := readDocument(clientURL, body, false)
		if err != nil {
			if e := asError(err); e.Code != "invalid_client" {
				t.Errorf("%+v", e)
			}
			return
		}
		if c.ID != clientURL || len(c.RedirectURIs)+len(c.GrantTypes) == 0 || (c.AuthMethod != authNone && c.AuthMethod != authKey) || c.may("client_credentials") || c.SecretHash != "" || c.Admin {
			t.Errorf("%+v", c)
		}
		for _, uri := range c.RedirectURIs {
			if wrong := checkRedirect(uri); wrong != "" {
				t.Errorf("%s %s", uri, wrong)
			}
		}
	})
}

func FuzzRegistration(f *testing.F) {
	for _, seed := range []string{`{"redirect_uris":["https://c.example/cb"]}`, `{"redirect_uris":["https://c.example/cb"],"token_endpoint_auth_method":"none","client_name":"x","grant_types":["authorization_code"]}`, withKeys(`"jwks":{"keys":[KEY]}`), `[`} {
		f.Add(seed)
	}
	r := newRig(f)
	f.Fuzz(func(t *testing.T, body string) {
		r.in(t)
		a := r.ask(http.MethodPost, appOrigin+"/register", body)
		m := a.json(t)
		switch a.StatusCode {
		case http.StatusCreated:
			if m["client_id"] == "" || strings.Contains(string(a.body), ":null") && !strings.Contains(body, "null") {
				t.Errorf("%s", a.body)
			}
		case http.StatusBadRequest:
			if m["error"] != "invalid_client_metadata" && m["error"] != "invalid_redirect_uri" {
				t.Errorf("%s", a.body)
			}
		default:
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}
