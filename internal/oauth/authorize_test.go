package oauth

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

func changed(q url.Values, changes url.Values) url.Values {
	c := url.Values{}
	maps.Copy(c, q)
	for name, v := range changes {
		if v == nil {
			delete(c, name)
			continue
		}
		c[name] = v
	}
	return c
}

// What is wrong with client or redirect is told on a page and never sent on
// (RFC 6749, section 4.1.2.1; RFC 9700, section 4.1).
func TestAuthorizeNeverRedirectsToWhatIsNotRegistered(t *testing.T) {
	r := newRig(t)
	body := `{"redirect_uris":["https://client.example/cb","https://client.example/q?x=1","http://127.0.0.1/cb","http://localhost:3000/cb","com.example.app:/cb"],"token_endpoint_auth_method":"none"}`
	client := r.ask(http.MethodPost, appOrigin+"/register", body).text(t, "client_id")
	elsewhere := r.registered(mcpOrigin)
	bad := []string{
		"https://client.example/cb/", "https://client.example/cb/../x", "https://client.example/cb?x", "https://client.example/cb#f", "https://client.example/CB",
		"https://CLIENT.example/cb", "https://client.example:443/cb", "https://client.example.evil.example/cb", "https://evil.example/cb", "https://client.example@evil.example/cb",
		"https://evil.example\\@client.example/cb", "http://client.example/cb", "//client.example/cb", "/cb", "cb", "https://client.example/cb%2f", "https://client.example/cb\n",
		"https://client.example/%63b", "https://client.example/q", "https://client.example/q?x=1&y=2", "https://client.example",
		"http://127.0.0.1/other", "http://127.0.0.1:0/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:080/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:1x/cb", "http://127.0.0.1:1@evil.example/cb",
		"http://127.0.0.1.evil.example/cb", "http://127.0.0.1@evil.example/cb", "http://[::1]/cb", "http://localhost/other", "http://localhost.evil.example:3000/cb", "https://localhost:3000/cb",
		"http://127.0.0.2/cb", "http://0.0.0.0/cb", "http://2130706433/cb", "com.example.app:/other", "com.example.app:/cb/x", "com.example.app://cb", "javascript:alert(1)", "data:text/html,x", " https://client.example/cb",
	}
	for _, uri := range bad {
		q := changed(authorizeQuery(client), url.Values{"redirect_uri": {uri}})
		a := r.ask(http.MethodGet, appOrigin+"/authorize?"+q.Encode(), "")
		if a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" || !strings.Contains(string(a.body), "redirect_uri") {
			t.Errorf("%q: %d %s", uri, a.StatusCode, a.Header.Get("Location"))
		}
	}
	for name, changes := range map[string]url.Values{
		"no client":                        {"client_id": nil},
		"an unknown client":                {"client_id": {"AAAAAAAAAAAAAAAAAAAAAA"}},
		"a client of another issuer":       {"client_id": {elsewhere}},
		"a client that is a path":          {"client_id": {"../../user:admin"}},
		"a client with markup":             {"client_id": {"<script>alert(1)</script>"}},
		"the built-in device client":       {"client_id": {DeviceFlowClient}},
		"two clients":                      {"client_id": {client, elsewhere}},
		"two redirects":                    {"redirect_uri": {"https://client.example/cb", "https://evil.example/cb"}},
		"no redirect with several of them": {"redirect_uri": nil},
	} {
		a := r.ask(http.MethodGet, appOrigin+"/authorize?"+changed(authorizeQuery(client), changes).Encode(), "")
		if a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") ||
			!strings.Contains(a.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") || strings.Contains(string(a.body), "<script>") {
			t.Errorf("%s: %d %v %s", name, a.StatusCode, a.Header, a.body)
		}
	}
	for _, uri := range []string{"https://client.example/cb", "https://client.example/q?x=1", "http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb", "http://localhost/cb", "http://localhost:8080/cb", "com.example.app:/cb"} {
		q := changed(authorizeQuery(client), url.Values{"redirect_uri": {uri}})
		handle := r.handleOf(r.ask(http.MethodGet, appOrigin+"/authorize?"+q.Encode(), ""))
		location, err := r.Approve(r.pages(), handle, person("alice"), []string{"user"})
		separator := "?"
		if strings.Contains(uri, "?") {
			separator = "&"
		}
		if err != nil || !strings.HasPrefix(location, uri+separator+"code=") {
			t.Errorf("%s: %s %v", uri, location, err)
		}
	}
}

// What is wrong beyond that goes back to the client, with iss (RFC 9207) and
// state as it came.
func TestAuthorizeSendsErrorsBack(t *testing.T) {
	r := newRig(t)
	client := r.registered(appOrigin)
	for name, c := range map[string]struct {
		changes url.Values
		code    string
		reason  string
	}{
		"no response_type":            {url.Values{"response_type": nil}, "invalid_request", "invalid_request"},
		"an empty response_type":      {url.Values{"response_type": {""}}, "invalid_request", "invalid_request"},
		"response_type token":         {url.Values{"response_type": {"token"}}, "unsupported_response_type", "unsupported_response_type"},
		"response_type code id_token": {url.Values{"response_type": {"code id_token"}}, "unsupported_response_type", "unsupported_response_type"},
		"response_mode fragment":      {url.Values{"response_mode": {"fragment"}}, "invalid_request", "invalid_request"},
		"response_mode form_post":     {url.Values{"response_mode": {"form_post"}}, "invalid_request", "invalid_request"},
		"no PKCE":                     {url.Values{"code_challenge": nil, "code_challenge_method": nil}, "invalid_request", "pkce_missing"},
		"PKCE plain":                  {url.Values{"code_challenge_method": {"plain"}}, "invalid_request", "pkce_method"},
		"PKCE without method":         {url.Values{"code_challenge_method": nil}, "invalid_request", "pkce_method"},
		"PKCE s256":                   {url.Values{"code_challenge_method": {"s256"}}, "invalid_request", "pkce_method"},
		"a short challenge":           {url.Values{"code_challenge": {"abc"}}, "invalid_request", "pkce_malformed"},
		"a padded challenge":          {url.Values{"code_challenge": {strings.Repeat("a", 43) + "="}}, "invalid_request", "pkce_malformed"},
		"a challenge in base64":       {url.Values{"code_challenge": {strings.Repeat("+", 43)}}, "invalid_request", "pkce_malformed"},
		"a resource of another host":  {url.Values{"resource": {mcpOrigin + "/mcp"}}, "invalid_target", "invalid_target"},
		"a resource of nobody":        {url.Values{"resource": {"https://evil.example"}}, "invalid_target", "invalid_target"},
		"a path below the resource":   {url.Values{"resource": {appOrigin + "/x"}}, "invalid_target", "invalid_target"},
		"a resource with a fragment":  {url.Values{"resource": {appOrigin + "#x"}}, "invalid_target", "invalid_target"},
		"a resource with a query":     {url.Values{"resource": {appOrigin + "?x"}}, "invalid_target", "invalid_target"},
		"a resource over http":        {url.Values{"resource": {"http://app.example.com"}}, "invalid_target", "invalid_target"},
		"two resources":               {url.Values{"resource": {appOrigin, mcpOrigin + "/mcp"}}, "invalid_target", "invalid_target"},
		"only unknown scopes":         {url.Values{"scope": {"openid offline_access"}}, "invalid_scope", "invalid_scope"},
		"a request object":            {url.Values{"request": {"eyJ"}}, "request_not_supported", "request_not_supported"},
		"a request by address":        {url.Values{"request_uri": {"https://x.example"}}, "request_uri_not_supported", "request_uri_not_supported"},
		"two states":                  {url.Values{"state": {"s t&1", "2"}}, "invalid_request", "duplicate_parameter"},
		"two challenges":              {url.Values{"code_challenge": {"a", "b"}}, "invalid_request", "duplicate_parameter"},
		"an unknown parameter twice":  {url.Values{"nonce": {"a", "b"}}, "invalid_request", "duplicate_parameter"},
		"prompt none":                 {url.Values{"prompt": {"none"}}, "interaction_required", "interaction_required"},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.ask(http.MethodGet, appOrigin+"/authorize?"+changed(authorizeQuery(client), c.changes).Encode(), "")
			u, err := url.Parse(a.Header.Get("Location"))
			if err != nil || a.StatusCode != http.StatusSeeOther {
				t.Fatalf("%d %v", a.StatusCode, err)
			}
			q := u.Query()
			if u.Host != "client.example" || q.Get("error") != c.code || q.Get("error_description") == "" || q.Get("iss") != appOrigin || q.Get("state") != "s t&1" || q.Get("code") != "" {
				t.Errorf("%s", u)
			}
			if reasons := r.log.reasons(); reasons[len(reasons)-1] != c.reason {
				t.Errorf("the log says %q", reasons[len(reasons)-1])
			}
		})
	}
}

func TestAuthorizeTakesWhatRealClientsSend(t *testing.T) {
	r := newRig(t)
	client := r.registered(appOrigin)
	for name, c := range map[string]struct {
		changes url.Values
		scopes  []string
	}{
		"no scope: that of the challenge, never admin": {url.Values{"scope": nil}, []string{"user", "mcp"}},
		"unknown scopes beside known":                  {url.Values{"scope": {"openid user  user offline_access"}}, []string{"user"}},
		"admin by name":                                {url.Values{"scope": {"admin"}}, []string{"admin"}},
		"no state":                                     {url.Values{"state": nil}, []string{"user"}},
		"the resource":                                 {url.Values{"resource": {appOrigin}}, []string{"user"}},
		"the resource with a slash, twice":             {url.Values{"resource": {appOrigin + "/", appOrigin}}, []string{"user"}},
		"an empty resource":                            {url.Values{"resource": {""}}, []string{"user"}},
		"no redirect_uri where one is registered":      {url.Values{"redirect_uri": nil}, []string{"user"}},
		"response_mode query":                          {url.Values{"response_mode": {"query"}}, []string{"user"}},
		"prompt consent":                               {url.Values{"prompt": {"consent"}}, []string{"user"}},
	} {
		t.Run(name, func(t *testing.T) {
			r.in(t)
			q := changed(authorizeQuery(client), c.changes)
			p, err := r.Pending(r.pages(), r.handleOf(r.ask(http.MethodGet, appOrigin+"/authorize?"+q.Encode(), "")))
			if err != nil || !slices.Equal(p.Scopes, c.scopes) || p.Resource != appOrigin {
				t.Errorf("%+v %v", p, err)
			}
			p2, err := r.Pending(r.pages(), r.handleOf(r.post(appOrigin+"/authorize", q)))
			if err != nil || !slices.Equal(p2.Scopes, c.scopes) {
				t.Errorf("by POST: %+v %v", p2, err)
			}
		})
	}
	q := authorizeQuery(client)
	q.Del("state")
	location, err := r.Approve(r.pages(), r.handleOf(r.ask(http.MethodGet, appOrigin+"/authorize?"+q.Encode(), "")), person("alice"), []string{"user"})
	if err != nil || strings.Contains(location, "state=") {
		t.Errorf("a state that nobody sent: %s %v", location, err)
	}
}

func TestApproveGivesNoMoreThanAskedAndListed(t *testing.T) {
	r := newRig(t)
	client := r.registered(appOrigin)
	handle := func(scope string) string {
		q := changed(authorizeQuery(client), url.Values{"scope": {scope}})
		return r.handleOf(r.ask(http.MethodGet, appOrigin+"/authorize?"+q.Encode(), ""))
	}
	ask := func(location string, err error) url.Values {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(location)
		if err != nil || u.Query().Get("iss") != appOrigin || u.Query().Get("state") != "s t&1" {
			t.Fatalf("%s %v", location, err)
		}
		return u.Query()
	}
	q := ask(r.Approve(r.pages(), handle("user"), person("alice"), []string{"user", "mcp", "admin"}))
	a := r.post(appOrigin+"/token", codeForm(client, q.Get("code")))
	if a.text(t, "scope") != "user" {
		t.Errorf("more than was asked: %s", a.body)
	}
	q = ask(r.Approve(r.pages(), handle("user mcp"), person("alice"), []string{"mcp"}))
	if a = r.post(appOrigin+"/token", codeForm(client, q.Get("code"))); a.text(t, "scope") != "mcp" {
		t.Errorf("more than was approved: %s", a.body)
	}
	q = ask(r.Approve(r.pages(), handle("admin"), person("alice"), []string{"admin"}))
	if q.Get("error") != "invalid_scope" || q.Get("code") != "" {
		t.Errorf("a scope that no list gives: %v", q)
	}
	q = ask(r.Approve(r.pages(), handle("user"), person("carol"), []string{"user"}))
	if q.Get("error") != "access_denied" || q.Get("code") != "" {
		t.Errorf("a person whom the policy does not let in: %v", q)
	}
	foreign := person("alice")
	foreign.Via = "other.example.com"
	q = ask(r.Approve(r.pages(), handle("user"), foreign, []string{"user"}))
	if q.Get("error") != "access_denied" {
		t.Errorf("a person whom another host's app signed in: %v", q)
	}
	q = ask(r.Refuse(r.pages(), handle("user"), "access_denied", "the person said no"))
	if q.Get("error") != "access_denied" || q.Get("error_description") != "the person said no" {
		t.Errorf("refused: %v", q)
	}
}

func TestPagesOnAHostAnswerForThatHostAlone(t *testing.T) {
	r := newRig(t)
	world, errs := site.NewWorld(site.Origins{BaseDomain: "localhost", HTTPPort: 80, HTTPSPort: 443},
		[]site.Proxy{site.Localhost(), site.SignInProxy("auth.localhost"), protected("app.example.com"), protected("other.example.com"), protected("app.localhost")}, nil, nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	r.world.Store(world)
	at := func(target string) (handle string) {
		client := r.registered(target)
		a := r.ask(http.MethodGet, target+"/authorize?"+authorizeQuery(client).Encode(), "")
		if want := target + "/.gatehouse/consent?request="; target != "http://app.localhost" && !strings.HasPrefix(a.Header.Get("Location"), want) {
			t.Errorf("sent to %s, want %s", a.Header.Get("Location"), want)
		}
		return r.handleOf(a)
	}
	public, local := at("https://app.example.com"), at("http://app.localhost")
	for origin, sees := range map[string][2]bool{
		"https://app.example.com":   {true, false},
		"https://other.example.com": {false, false},
		"https://auth.localhost":    {false, true},
		"https://app.localhost":     {false, false},
	} {
		v, _ := r.visit(http.MethodGet, origin+"/")
		ctx := site.WithVisit(t.Context(), v)
		for i, handle := range []string{public, local} {
			if _, err := r.Pending(ctx, handle); (err == nil) != sees[i] {
				t.Errorf("the pages of %s and handle %d: %v", origin, i, err)
			}
			if !sees[i] {
				if _, err := r.Approve(ctx, handle, person("alice"), []string{"user"}); !fault.Is(err, fault.NotFound) {
					t.Errorf("the pages of %s approve handle %d: %v", origin, i, err)
				}
			}
		}
	}
	if _, err := r.Pending(t.Context(), local); err == nil {
		t.Error("without a visit")
	}
}

func TestHandlesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		client := r.registered(appOrigin)
		handle := r.handleOf(r.ask(http.MethodGet, appOrigin+"/authorize?"+authorizeQuery(client).Encode(), ""))
		time.Sleep(10*time.Minute - time.Second)
		if _, err := r.Pending(r.pages(), handle); err != nil {
			t.Errorf("before ten minutes: %v", err)
		}
		time.Sleep(2 * time.Second)
		if _, err := r.Pending(r.pages(), handle); !fault.Is(err, fault.NotFound) {
			t.Errorf("after ten minutes: %v", err)
		}
	})
}

func TestHandlesOfOneAddressAreBounded(t *testing.T) {
	r := newRig(t)
	client := r.registered(appOrigin)
	handles := make([]string, flightEach+1)
	for i := range handles {
		handles[i] = r.handleOf(r.ask(http.MethodGet, appOrigin+"/authorize?"+authorizeQuery(client).Encode(), ""))
	}
	if _, err := r.Pending(r.pages(), handles[0]); !fault.Is(err, fault.NotFound) {
		t.Errorf("of %d requests of one address the oldest stays: %v", len(handles), err)
	}
	for i, handle := range handles[1:] {
		if _, err := r.Pending(r.pages(), handle); err != nil {
			t.Fatalf("request %d is gone: %v", i+2, err)
		}
	}
}

func TestACodeCountsOnceAmongMany(t *testing.T) {
	r := newRig(t)
	client := r.registered(appOrigin)
	code := r.code(appOrigin, client, person("alice"), authorizeQuery(client))
	answers := make([]answer, 20)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = r.post(appOrigin+"/token", codeForm(client, code)) })
	}
	all.Wait()
	var won []answer
	for _, a := range answers {
		if a.StatusCode == http.StatusOK {
			won = append(won, a)
			continue
		}
		a.refused(t, 400, "invalid_grant", "used")
	}
	if len(won) != 1 {
		t.Fatalf("%d of 20 won", len(won))
	}
	if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+won[0].text(t, "access_token")); v.Reason != "token_revoked" {
		t.Errorf("what a code gave that was used twice counts on: %s", v.Reason)
	}
	r.refresh(appOrigin, client, won[0].text(t, "refresh_token")).refused(t, 400, "invalid_grant", "")
}

// RFC 9700, sections 4.5 and 4.8; RFC 7636, section 4.6.
func TestACodeIsBoundToAllItWasAskedWith(t *testing.T) {
	r := newRig(t)
	client, other := r.registered(appOrigin), r.registered(appOrigin)
	atMCP := r.registered(mcpOrigin)
	for name, c := range map[string]struct {
		origin  string
		changes url.Values
		after   time.Duration
		status  int
		code    string
		reason  string
		again   bool // the true request still works afterwards
	}{
		"another client":        {changes: url.Values{"client_id": {other}}, status: 400, code: "invalid_grant", reason: "code_client", again: true},
		"another issuer":        {origin: mcpOrigin, changes: url.Values{"client_id": {atMCP}}, status: 400, code: "invalid_grant", reason: "code_issuer", again: true},
		"a client of elsewhere": {changes: url.Values{"client_id": {atMCP}}, status: 401, code: "invalid_client", reason: "client_unknown", again: true},
		"no client":             {changes: url.Values{"client_id": nil}, status: 400, code: "invalid_request", reason: "client_missing", again: true},
		"another redirect":      {changes: url.Values{"redirect_uri": {"https://client.example/other"}}, status: 400, code: "invalid_grant", reason: "code_redirect", again: true},
		"no redirect":           {changes: url.Values{"redirect_uri": nil}, status: 200},
		"a wrong verifier":      {changes: url.Values{"code_verifier": {strings.Repeat("x", 43)}}, status: 400, code: "invalid_grant", reason: "pkce_wrong"},
		"the challenge":         {changes: url.Values{"code_verifier": {challengeOf(testVerifier)}}, status: 400, code: "invalid_grant", reason: "pkce_wrong"},
		"no verifier":           {changes: url.Values{"code_verifier": nil}, status: 400, code: "invalid_request", reason: "pkce_missing", again: true},
		"a short verifier":      {changes: url.Values{"code_verifier": {"abc"}}, status: 400, code: "invalid_request", reason: "pkce_missing", again: true},
		"a code of nobody":      {changes: url.Values{"code": {newSecret()}}, status: 400, code: "invalid_grant", reason: "code_unknown", again: true},
		"no code":               {changes: url.Values{"code": nil}, status: 400, code: "invalid_request", reason: "invalid_request", again: true},
		"two codes":             {changes: url.Values{"code": {"a", "b"}}, status: 400, code: "invalid_request", reason: "duplicate_parameter", again: true},
		"another resource":      {changes: url.Values{"resource": {mcpOrigin + "/mcp"}}, status: 400, code: "invalid_target", reason: "invalid_target", again: true},
		"the same resource":     {changes: url.Values{"resource": {appOrigin + "/"}}, status: 200},
		"after a minute":        {after: 61 * time.Second, status: 400, code: "invalid_grant", reason: "code_expired"},
		"within a minute":       {after: 58 * time.Second, status: 200},
		"no grant_type":         {changes: url.Values{"grant_type": nil}, status: 400, code: "invalid_request", reason: "invalid_request", again: true},
		"an unknown grant_type": {changes: url.Values{"grant_type": {"password"}}, status: 400, code: "unsupported_grant_type", reason: "unsupported_grant_type", again: true},
		"a secret it has not":   {changes: url.Values{"client_secret": {"x"}}, status: 401, code: "invalid_client", reason: "client_auth_method", again: true},
		"a client assertion":    {changes: url.Values{"client_assertion": {"x"}, "client_assertion_type": {assertionType}}, status: 401, code: "invalid_client", reason: "client_auth_method", again: true},
	} {
		t.Run(name, func(t *testing.T) {
			r.in(t)
			code := r.code(appOrigin, client, person("alice"), authorizeQuery(client))
			r.after(c.after)
			origin := c.origin
			if origin == "" {
				origin = appOrigin
			}
			a := r.post(origin+"/token", changed(codeForm(client, code), c.changes))
			if c.status == http.StatusOK {
				if a.StatusCode != http.StatusOK {
					t.Errorf("%d %s", a.StatusCode, a.body)
				}
				return
			}
			a.refused(t, c.status, c.code, "")
			if reasons := r.log.reasons(); reasons[len(reasons)-1] != c.reason {
				t.Errorf("the log says %q, want %q", reasons[len(reasons)-1], c.reason)
			}
			if got := r.post(appOrigin+"/token", codeForm(client, code)); (got.StatusCode == http.StatusOK) != c.again {
				t.Errorf("the true request afterwards: %d %s", got.StatusCode, got.body)
			}
		})
	}
}

func FuzzRedirect(f *testing.F) {
	registered := []string{"https://client.example/cb", "http://127.0.0.1/cb", "http://localhost:3000/cb?x", "com.example.app:/cb"}
	for _, seed := range append(registered, "http://127.0.0.1:99999/cb", "http://127.0.0.1:1@evil.example/cb", "http://localhost:3000", "http://[::1]:1/cb", "//", "http://localhost:08/cb?x") {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, presented string) {
		wrong := checkRedirect(presented)
		if !redirectMatches(registered, presented) || slices.Contains(registered, presented) {
			return
		}
		u, err := url.Parse(presented)
		if err != nil || u.Scheme != "http" || (u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost") || u.User != nil || u.Path != "/cb" || wrong != "" {
			t.Errorf("%q matches: %v %q", presented, u, wrong)
		}
	})
}
