package signin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"gatehouse/internal/oauth"
)

// OIDCApp is our client at one OpenID Connect provider.
type OIDCApp struct {
	Issuer       string // exactly as its discovery document gives it; empty: there is none
	ClientID     string
	ClientSecret string
	Name         string // what people read on the button; empty: the issuer's host
}

const (
	oidcPatience   = 15 * time.Second // bounds all that one sign-in asks of the provider together
	oidcMaxBody    = 1 << 20          // bytes of one answer
	discoveryLife  = time.Hour        // after that the document is read again
	discoveryPause = time.Second      // after a failure

	discoveryPatience = 5 * time.Second // others wait for the same document meanwhile
)

// oidcProvider signs people in by OpenID Connect: code, PKCE, nonce, RFC 9207.
// Identity is issuer and sub: names and addresses change hands.
type oidcProvider struct {
	app    OIDCApp
	client *http.Client

	mu     sync.Mutex // guards all below; held while the document is read, so that it is read once
	known  *discovered
	until  time.Time // known need not be read again before
	failed error     // of the last reading
	pause  time.Time // no further one before
}

// discovered is a provider as its discovery document describes it.
type discovered struct {
	provider *gooidc.Provider
	config   *oauth2.Config
	verifier *gooidc.IDTokenVerifier
	scopes   []string // scopes_supported
	prompts  []string // prompt_values_supported
	sendsISS bool     // authorization_response_iss_parameter_supported
}

func newOIDC(app OIDCApp, client *http.Client) *oidcProvider {
	if app.Issuer == "" {
		return nil
	}
	bounded := *client
	bounded.Transport = boundedBody{bounded.Transport}
	return &oidcProvider{app: app, client: &bounded}
}

// label is the provider's name on the page.
func (o *oidcProvider) label() string {
	if o.app.Name != "" {
		return o.app.Name
	}
	return hostPort(o.app.Issuer)
}

// discover reads the provider's document when it is not known yet or old. While
// it can't be read again the one from before counts.
func (o *oidcProvider) discover(ctx context.Context) (*discovered, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	switch {
	case o.known != nil && now.Before(o.until):
		return o.known, nil
	case now.Before(o.pause):
		return o.known, o.failed
	}
	reading, cancel := context.WithTimeout(ctx, discoveryPatience)
	defer cancel()
	found, err := o.read(reading)
	if err == nil {
		o.known, o.until, o.failed = found, now.Add(discoveryLife), nil
		return found, nil
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil, err // whoever asked left; that says nothing about the provider
	}
	if o.pause = time.Now().Add(discoveryPause); o.known == nil {
		o.failed = err
	}
	return o.known, o.failed
}

func (o *oidcProvider) read(ctx context.Context) (*discovered, error) {
	provider, err := gooidc.NewProvider(gooidc.ClientContext(ctx, o.client), o.app.Issuer)
	if mismatch, ok := errors.AsType[*gooidc.IssuerMismatchError](err); ok {
		return nil, o.notSetUp("issuer_mismatch", fmt.Sprintf("OIDC_ISSUER must be exactly %q, which is how the provider calls itself.", legible(mismatch.Discovered)), err)
	}
	if err != nil {
		return nil, o.unreachable(err)
	}
	var document struct {
		Scopes  []string `json:"scopes_supported"`
		Prompts []string `json:"prompt_values_supported"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
		JWKS    string   `json:"jwks_uri"`
		ISS     bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, malformed(o.label(), err)
	}
	endpoint := provider.Endpoint()
	for _, address := range []string{endpoint.AuthURL, endpoint.TokenURL, document.JWKS} {
		if !o.trustworthy(address) {
			return nil, o.notSetUp("endpoint", "Its discovery document names an address that is not https.", fmt.Errorf("address %.200q", address))
		}
	}
	endpoint.AuthStyle = authStyle(document.Methods)
	config := &oauth2.Config{ClientID: o.app.ClientID, ClientSecret: o.app.ClientSecret, Endpoint: endpoint}
	return &discovered{provider: provider, config: config, verifier: provider.Verifier(&gooidc.Config{ClientID: o.app.ClientID}),
		scopes: document.Scopes, prompts: document.Prompts, sendsISS: document.ISS}, nil
}

// trustworthy reports whether codes and tokens may go to an address: over https,
// or over http where the issuer itself is on it, which is loopback then.
func (o *oidcProvider) trustworthy(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || (u.Scheme == "http" && strings.HasPrefix(o.app.Issuer, "http:")))
}

// authStyle is how our secret is sent. RFC 8414: no word of it means Basic.
func authStyle(methods []string) oauth2.AuthStyle {
	basic, post := len(methods) == 0 || slices.Contains(methods, "client_secret_basic"), slices.Contains(methods, "client_secret_post")
	switch {
	case basic && post:
		return oauth2.AuthStyleAutoDetect // a client may still be registered for one of them alone
	case post:
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

func (o *oidcProvider) Begin(ctx context.Context, a attempt) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, oidcPatience)
	defer cancel()
	at, err := o.discover(ctx)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.Verifier), gooidc.Nonce(a.Nonce),
		oauth2.SetAuthURLParam("redirect_uri", a.Callback), oauth2.SetAuthURLParam("scope", strings.Join(at.wanted(a.Groups), " "))}
	if a.Fresh {
		options = append(options, oauth2.SetAuthURLParam("prompt", at.anew()))
	}
	return at.config.AuthCodeURL(a.State, options...), nil
}

// wanted is the least that answers the question: name and address always,
// groups, and the right to read them again later, only when a policy asks for some.
func (at *discovered) wanted(groups []string) []string {
	scopes := []string{gooidc.ScopeOpenID, gooidc.ScopeProfile, gooidc.ScopeEmail}
	for _, scope := range []string{"groups", gooidc.ScopeOfflineAccess} {
		if len(groups) > 0 && slices.Contains(at.scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// anew is the prompt that lets somebody be another one than last time.
func (at *discovered) anew() string {
	if slices.Contains(at.prompts, "select_account") {
		return "select_account"
	}
	return "login"
}

func (o *oidcProvider) Finish(ctx context.Context, a attempt, answer url.Values) (oauth.Person, error) {
	ctx, cancel := context.WithTimeout(ctx, oidcPatience)
	defer cancel()
	at, err := o.discover(ctx)
	if err != nil {
		return oauth.Person{}, err
	}
	if err := o.sameIssuer(at, answer); err != nil {
		return oauth.Person{}, err
	}
	if code := answer.Get("error"); code != "" {
		return oauth.Person{}, o.refused(code)
	}
	if answer.Get("code") == "" || a.Nonce == "" {
		return oauth.Person{}, malformed(o.label(), errors.New("neither code nor error came back"))
	}
	token, err := at.config.Exchange(gooidc.ClientContext(ctx, o.client), answer.Get("code"),
		oauth2.VerifierOption(a.Verifier), oauth2.SetAuthURLParam("redirect_uri", a.Callback))
	if err != nil {
		return oauth.Person{}, o.exchangeFailed(ctx, err)
	}
	who, err := o.identified(ctx, at, token, a.Nonce)
	if err != nil {
		return oauth.Person{}, err
	}
	if who, err = o.complete(ctx, at, who, token, a.Groups); err != nil {
		return oauth.Person{}, err
	}
	person := o.person(who, a.Groups)
	person.Token = kept(token)
	return person, nil
}

// sameIssuer checks who answered (RFC 9207): a code that another server gave
// must not be brought to this one.
func (o *oidcProvider) sameIssuer(at *discovered, answer url.Values) error {
	iss, sent := answer["iss"]
	switch {
	case !sent && !at.sendsISS:
		return nil
	case len(iss) == 1 && iss[0] == o.app.Issuer:
		return nil
	}
	return mixedUp(o.label(), iss)
}

// boundedBody gives each answer an end: what comes after it reads as cut off.
type boundedBody struct{ http.RoundTripper }

func (b boundedBody) RoundTrip(r *http.Request) (*http.Response, error) {
	transport := b.RoundTripper
	if transport == nil {
		transport = http.DefaultTransport
	}
	res, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, oidcMaxBody), res.Body}
	return res, nil
}
