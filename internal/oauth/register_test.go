package oauth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestRegistration(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		body, code, words string // code: empty where it is taken
		has               map[string]any
	}{
		"a public client":               {body: `{"redirect_uris":["https://c.example/cb"],"token_endpoint_auth_method":"none","client_name":"  Fine  "}`, has: map[string]any{"client_name": "Fine", "token_endpoint_auth_method": "none", "client_secret": nil, "client_secret_expires_at": nil}},
		"no method is Basic":            {body: `{"redirect_uris":["https://c.example/cb"]}`, has: map[string]any{"token_endpoint_auth_method": "client_secret_basic", "client_secret_expires_at": 0.0}},
		"unknown members":               {body: `{"redirect_uris":["https://c.example/cb"],"software_id":"x","contacts":["a"],"tos_uri":"https://x"}`, has: map[string]any{"software_id": nil}},
		"grant types that we know":      {body: `{"redirect_uris":["https://c.example/cb"],"grant_types":["authorization_code","implicit","refresh_token"]}`, has: map[string]any{"grant_types": []any{"authorization_code", "refresh_token"}}},
		"a device client":               {body: `{"grant_types":["urn:ietf:params:oauth:grant-type:device_code"],"token_endpoint_auth_method":"none"}`, has: map[string]any{"redirect_uris": nil, "response_types": nil}},
		"a refused redirect is dropped": {body: `{"redirect_uris":["javascript:alert(1)","cursor://x/cb","http://127.0.0.1:33418","https://c.example/cb"]}`, has: map[string]any{"redirect_uris": []any{"cursor://x/cb", "http://127.0.0.1:33418", "https://c.example/cb"}}},
		"scopes that the host knows":    {body: `{"redirect_uris":["https://c.example/cb"],"scope":"user openid admin"}`, has: map[string]any{"scope": "user admin"}},
		"a name that turns the text":    {body: `{"redirect_uris":["https://c.example/cb"],"client_name":"a\u202eb\u0000c\u200b"}`, has: map[string]any{"client_name": "abc"}},

		"no JSON":                       {body: `redirect_uris=x`, code: "invalid_client_metadata", words: "JSON"},
		"an array":                      {body: `[]`, code: "invalid_client_metadata", words: "JSON"},
		"a string of redirects":         {body: `{"redirect_uris":"https://c.example/cb"}`, code: "invalid_client_metadata", words: "JSON"},
		"no redirects":                  {body: `{}`, code: "invalid_redirect_uri", words: "missing"},
		"an unknown method":             {body: `{"redirect_uris":["https://c.example/cb"],"token_endpoint_auth_method":"tls_client_auth"}`, code: "invalid_client_metadata", words: "token_endpoint_auth_method"},
		"keys that do not count":        {body: `{"redirect_uris":["https://c.example/cb"],"token_endpoint_auth_method":"none","jwks_uri":"https://c.example/jwks","jwks":{"keys":[]}}`, has: map[string]any{"jwks_uri": nil, "jwks": nil}},
		"keys":                          {body: withKeys(`"jwks":{"keys":[KEY]}`), has: map[string]any{"client_secret": nil, "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": nil}},
		"keys by address":               {body: withKeys(`"jwks_uri":"https://c.example/jwks?v=1","jwks":null,"token_endpoint_auth_signing_alg":"ES256"`), has: map[string]any{"jwks_uri": "https://c.example/jwks?v=1", "jwks": nil, "token_endpoint_auth_signing_alg": "ES256"}},
		"no key":                        {body: withKeys(`"jwks":null`), code: "invalid_client_metadata", words: "jwks"},
		"an empty set":                  {body: withKeys(`"jwks":{"keys":[]}`), code: "invalid_client_metadata", words: "signing key"},
		"a set that is none":            {body: withKeys(`"jwks":[KEY]`), code: "invalid_client_metadata", words: "jwks"},
		"keys in two ways":              {body: withKeys(`"jwks":{"keys":[KEY]},"jwks_uri":"https://c.example/jwks"`), code: "invalid_client_metadata", words: "one of them"},
		"a private key":                 {body: withKeys(`"jwks":{"keys":[KEY,{"kty":"RSA","d":"AQAB","n":"AQAB","e":"AQAB"}]}`), code: "invalid_client_metadata", words: "public"},
		"a shared key":                  {body: withKeys(`"jwks":{"keys":[KEY,{"kty":"oct","k":"AQAB"}]}`), code: "invalid_client_metadata", words: "public"},
		"an encryption key":             {body: withKeys(`"jwks":{"keys":[{"kty":"OKP","use":"enc","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`), code: "invalid_client_metadata", words: "signing key"},
		"keys over http":                {body: withKeys(`"jwks_uri":"http://c.example/jwks"`), code: "invalid_client_metadata", words: "https"},
		"keys on loopback":              {body: withKeys(`"jwks_uri":"http://127.0.0.1/jwks"`), code: "invalid_client_metadata", words: "https"},
		"keys behind a user":            {body: withKeys(`"jwks_uri":"https://a@c.example/jwks"`), code: "invalid_client_metadata", words: "user"},
		"keys in a file":                {body: withKeys(`"jwks_uri":"file:///etc/passwd"`), code: "invalid_client_metadata", words: "jwks_uri"},
		"a symmetric algorithm":         {body: withKeys(`"jwks":{"keys":[KEY]},"token_endpoint_auth_signing_alg":"HS256"`), code: "invalid_client_metadata", words: "signing_alg"},
		"a member twice":                {body: `{"redirect_uris":["https://c.example/cb"],"redirect_uris":["https://d.example/cb"]}`, code: "invalid_client_metadata", words: "redirect_uris is there twice"},
		"a number in a list":            {body: `{"redirect_uris":[1]}`, code: "invalid_client_metadata", words: "redirect_uris has the wrong type"},
		"a number for a name":           {body: `{"redirect_uris":["https://c.example/cb"],"client_name":1}`, code: "invalid_client_metadata", words: "client_name has the wrong type"},
		"members of another case":       {body: `{"Redirect_URIs":["https://c.example/cb"]}`, code: "invalid_redirect_uri", words: "missing"},
		"null everywhere":               {body: `{"redirect_uris":["https://c.example/cb"],"client_name":null,"client_uri":null,"scope":null,"grant_types":null,"application_type":null,"jwks":null}`, has: map[string]any{"client_name": nil}},
		"an unknown application_type":   {body: `{"redirect_uris":["https://c.example/cb"],"application_type":"tv"}`, code: "invalid_client_metadata", words: "application_type"},
		"only refresh":                  {body: `{"redirect_uris":["https://c.example/cb"],"grant_types":["refresh_token"]}`, code: "invalid_client_metadata", words: "grant_types"},
		"only implicit":                 {body: `{"redirect_uris":["https://c.example/cb"],"grant_types":["implicit"]}`, code: "invalid_client_metadata", words: "grant_types"},
		"only response_type token":      {body: `{"redirect_uris":["https://c.example/cb"],"response_types":["token"]}`, code: "invalid_client_metadata", words: "response_types"},
		"a client_uri that is a script": {body: `{"redirect_uris":["https://c.example/cb"],"client_uri":"javascript:alert(1)"}`, code: "invalid_client_metadata", words: "client_uri"},
		"many redirects":                {body: `{"redirect_uris":[` + strings.Repeat(`"https://c.example/cb",`, 20) + `"https://c.example/x"]}`, code: "invalid_redirect_uri", words: "20"},
	} {
		t.Run(name, func(t *testing.T) {
			r.in(t)
			a := r.ask(http.MethodPost, appOrigin+"/register", c.body, "Content-Type", "application/json")
			if c.code != "" {
				a.refused(t, 400, c.code, c.words)
				return
			}
			m := a.json(t)
			if a.StatusCode != http.StatusCreated || m["client_id"] == "" || a.Header.Get("Cache-Control") != "no-store" || strings.Contains(string(a.body), "null") {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
			for field, want := range c.has {
				if got, _ := json.Marshal(m[field]); string(got) != mustJSON(t, want) {
					t.Errorf("%s is %s, want %v", field, got, want)
				}
			}
		})
	}
}

// withKeys is a registration for private_key_jwt with more members; KEY stands
// for a public key.
func withKeys(members string) string {
	const key = `{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	return `{"redirect_uris":["https://c.example/cb"],"token_endpoint_auth_method":"private_key_jwt",` + strings.ReplaceAll(members, "KEY", key) + `}`
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// RFC 7591 leaves the choice; RFC 9700, section 2.1, and RFC 8252 make it.
func TestRedirectURIsThatCanNotBeRegistered(t *testing.T) {
	r := newRig(t)
	for uri, words := range map[string]string{
		"javascript:alert(1)": "scheme", "JavaScript:alert(1)": "scheme", "data:text/html,x": "scheme", "vbscript:x": "scheme", "file:///etc/passwd": "scheme",
		"blob:https://c.example/x": "scheme", "about:blank": "scheme", "http://c.example/cb": "https", "http://127.0.0.1.evil.example/cb": "https", "http://localhost.evil.example/": "https",
		"http://192.168.1.1/cb": "https", "https://user@c.example/cb": "user", "https://user:pw@c.example/cb": "user", "https://c.example/cb#x": "fragment", "https://c.example/cb#": "fragment",
		"https://*.example/cb": "wildcard", "https://c.example/*": "wildcard", "/cb": "absolute", "c.example/cb": "absolute", "": "bytes", "https:///cb": "host", "https://c.example/a b": "ASCII",
		"https://c.example\\@evil.example": "ASCII", "https://ünï.example/cb": "ASCII", "https://c.example/" + strings.Repeat("x", maxRedirectSize): "bytes", "ws://c.example/cb": "scheme",
	} {
		body := mustJSON(t, map[string]any{"redirect_uris": []string{uri}})
		r.ask(http.MethodPost, appOrigin+"/register", body).refused(t, 400, "invalid_redirect_uri", words)
	}
}

func TestRegistrationIsReadAndDeletedByItsToken(t *testing.T) {
	r := newRig(t)
	m := r.ask(http.MethodPost, appOrigin+"/register", `{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"client_secret_post"}`).json(t)
	id, key, uri := m["client_id"].(string), m["registration_access_token"].(string), m["registration_client_uri"].(string)
	if uri != appOrigin+"/register/"+id {
		t.Fatal(uri)
	}
	got := r.ask(http.MethodGet, uri, "", "Authorization", "Bearer "+key)
	if got.StatusCode != http.StatusOK || got.text(t, "client_id") != id || got.text(t, "registration_access_token") != key || strings.Contains(string(got.body), m["client_secret"].(string)) {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	for _, auth := range []string{"Bearer x", "Bearer ", "Basic x", "Bearer " + m["client_secret"].(string)} {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			r.ask(method, uri, "", "Authorization", auth).refused(t, 401, "invalid_token", "")
		}
	}
	r.ask(http.MethodGet, mcpOrigin+"/register/"+id, "", "Authorization", "Bearer "+key).refused(t, 401, "invalid_token", "")
	r.ask(http.MethodGet, appOrigin+"/register/"+DeviceFlowClient, "", "Authorization", "Bearer "+key).refused(t, 401, "invalid_token", "")
	q := authorizeQuery(id)
	f := codeForm(id, r.code(appOrigin, id, person("alice"), q))
	f.Set("client_secret", m["client_secret"].(string))
	tokens := r.post(appOrigin+"/token", f)
	if tokens.StatusCode != http.StatusOK {
		t.Fatalf("%s", tokens.body)
	}
	if a := r.ask(http.MethodDelete, uri, "", "Authorization", "Bearer "+key); a.StatusCode != http.StatusNoContent {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+tokens.text(t, "access_token")); v.Reason != "token_revoked" {
		t.Errorf("the deleted client's token: %s", v.Reason)
	}
	r.ask(http.MethodGet, uri, "", "Authorization", "Bearer "+key).refused(t, 401, "invalid_token", "")
}

func TestConfidentialClientsProveThemselves(t *testing.T) {
	r := newRig(t)
	register := func(method string) (id, secret string) {
		m := r.ask(http.MethodPost, appOrigin+"/register", `{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"`+method+`"}`).json(t)
		return m["client_id"].(string), m["client_secret"].(string)
	}
	basicID, basicSecret := register("client_secret_basic")
	postID, postSecret := register("client_secret_post")
	header := func(id, secret string) []string {
		return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))}
	}
	for name, c := range map[string]struct {
		id        string
		form      url.Values
		headers   []string
		status    int
		code      string
		challenge string
	}{
		"Basic":                       {basicID, url.Values{"client_id": nil}, header(basicID, basicSecret), 200, "", ""},
		"Basic and the id":            {basicID, nil, header(basicID, basicSecret), 200, "", ""},
		"post":                        {postID, url.Values{"client_secret": {postSecret}}, nil, 200, "", ""},
		"Basic with a wrong secret":   {basicID, nil, header(basicID, "x"), 401, "invalid_client", "Basic"},
		"Basic with another's secret": {basicID, nil, header(basicID, postSecret), 401, "invalid_client", "Basic"},
		"Basic with an empty secret":  {basicID, nil, header(basicID, ""), 401, "invalid_client", "Basic"},
		"Basic of nobody":             {basicID, url.Values{"client_id": nil}, header("nobody", "x"), 401, "invalid_client", "Basic"},
		"Basic with another id":       {basicID, url.Values{"client_id": {postID}}, header(basicID, basicSecret), 400, "invalid_request", ""},
		"Basic and post":              {basicID, url.Values{"client_secret": {basicSecret}}, header(basicID, basicSecret), 400, "invalid_request", ""},
		"unreadable Basic":            {basicID, nil, []string{"Authorization", "Basic !"}, 400, "invalid_request", ""},
		"post for a Basic client":     {basicID, url.Values{"client_secret": {basicSecret}}, nil, 401, "invalid_client", ""},
		"nothing for a Basic client":  {basicID, nil, nil, 401, "invalid_client", ""},
		"post with a wrong secret":    {postID, url.Values{"client_secret": {"x"}}, nil, 401, "invalid_client", ""},
		"post with the stored hash":   {postID, url.Values{"client_secret": {hashed(postSecret)}}, nil, 401, "invalid_client", ""},
		"nothing for a post client":   {postID, nil, nil, 401, "invalid_client", ""},
		"two secrets":                 {postID, url.Values{"client_secret": {postSecret, postSecret}}, nil, 400, "invalid_request", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r.in(t)
			f := changed(codeForm(c.id, r.code(appOrigin, c.id, person("alice"), authorizeQuery(c.id))), c.form)
			a := r.post(appOrigin+"/token", f, c.headers...)
			if c.code != "" {
				a.refused(t, c.status, c.code, "")
			} else if a.StatusCode != c.status {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			if got := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, c.challenge) || (c.challenge == "" && got != "") {
				t.Errorf("WWW-Authenticate %q", got)
			}
		})
	}
}
