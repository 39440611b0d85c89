package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"gatehouse/internal/oauth"
)

// GitHubApp is an OAuth App or GitHub App, and where its GitHub is.
type GitHubApp struct {
	ClientID     string
	ClientSecret string
	URL          string // without a trailing slash; empty: https://github.com
	APIURL       string // without a trailing slash; empty: https://api.github.com
}

const (
	githubURL    = "https://github.com"
	githubAPIURL = "https://api.github.com"
	githubLabel  = "GitHub"

	// githubPatience bounds all that a sign-in asks of GitHub together.
	githubPatience = 15 * time.Second
)

func (a GitHubApp) filled() GitHubApp {
	if a.URL == "" {
		a.URL = githubURL
	}
	if a.APIURL == "" {
		a.APIURL = githubAPIURL
	}
	return a
}

// Configured reports whether people can sign in through a.
func (a GitHubApp) Configured() bool { return a.ClientID != "" && a.ClientSecret != "" }

// githubProvider signs people in by GitHub's web application flow. Identity is
// the account's number: names change hands.
type githubProvider struct {
	app    GitHubApp
	client *http.Client
}

func (g githubProvider) config(a attempt) *oauth2.Config {
	return &oauth2.Config{
		ClientID: g.app.ClientID, ClientSecret: g.app.ClientSecret, RedirectURL: a.Callback,
		Scopes: githubScopes(a.Groups),
		Endpoint: oauth2.Endpoint{
			AuthURL:   g.app.URL + "/login/oauth/authorize",
			TokenURL:  g.app.URL + "/login/oauth/access_token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

// githubScopes is the least that answers the question: the verified address
// always, organizations and teams only when a policy asks for them.
func githubScopes(groups []string) []string {
	if len(groups) == 0 {
		return []string{"user:email"}
	}
	return []string{"user:email", "read:org"}
}

func (g githubProvider) Begin(_ context.Context, a attempt) (string, error) {
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.Verifier)}
	if a.Fresh {
		options = append(options, oauth2.SetAuthURLParam("prompt", "select_account"))
	}
	return g.config(a).AuthCodeURL(a.State, options...), nil
}

func (g githubProvider) Finish(ctx context.Context, a attempt, answer url.Values) (oauth.Person, error) {
	if iss, sent := answer["iss"]; sent && !g.app.answers(iss) {
		return oauth.Person{}, mixedUp(githubLabel, iss)
	}
	if code := answer.Get("error"); code != "" {
		return oauth.Person{}, githubRefused(code)
	}
	if answer.Get("code") == "" {
		return oauth.Person{}, githubMalformed(errors.New("neither code nor error came back"))
	}
	ctx, cancel := context.WithTimeout(ctx, githubPatience)
	defer cancel()
	token, err := g.exchange(ctx, a, answer.Get("code"))
	if err != nil {
		return oauth.Person{}, err
	}
	person, err := githubAPI{app: g.app, client: g.client, token: token}.person(ctx, a.Groups)
	if err != nil {
		return oauth.Person{}, err
	}
	person.Token = []byte(token)
	return person, nil
}

// Again reads with a token that GitHub never takes back by itself: it stays the same.
func (g githubProvider) Again(ctx context.Context, token []byte, groups []string) (fresh oauth.Person, next []byte, err error) {
	fresh, err = githubAPI{app: g.app, client: g.client, token: string(token)}.person(ctx, groups)
	return fresh, nil, err
}

func (g githubProvider) exchange(ctx context.Context, a attempt, code string) (string, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, g.client)
	token, err := g.config(a).Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return "", exchangeRefused(refused)
	}
	if _, ok := errors.AsType[*url.Error](err); ok || ctx.Err() != nil {
		return "", githubAway(err)
	}
	if err != nil {
		return "", githubMalformed(errors.New("no token in the answer")) // err may quote it
	}
	return token.AccessToken, nil
}

// exchangeRefused tells GitHub's own answers at the token endpoint (which come
// with status 200) from those of something that stands in between.
func exchangeRefused(r *oauth2.RetrieveError) error {
	status := 0
	if r.Response != nil {
		status = r.Response.StatusCode
	}
	cause := fmt.Errorf("token endpoint: status %d", status) // not r: it quotes the answer
	switch {
	case r.ErrorCode != "":
		return githubRefused(r.ErrorCode)
	case status/100 == 2:
		return githubMalformed(cause)
	default:
		return githubAway(cause)
	}
}

// githubRefused is the page for an error code of GitHub's.
func githubRefused(code string) error {
	cause := fmt.Errorf("github answered %.80q", code)
	switch code {
	case "access_denied":
		return notAllowed(githubLabel, cause)
	case "bad_verification_code":
		return codeUnknown(githubLabel, cause)
	case "application_suspended":
		return notAccepted(githubLabel, code, "Its app at GitHub is suspended. Please tell whoever runs this installation: GitHub's support has to lift that (GitHub said: "+code+").", cause)
	case "incorrect_client_credentials", "redirect_uri_mismatch", "unauthorized_client":
		return notAccepted(githubLabel, code, "Its app at GitHub is not set up for this address. Please tell whoever runs it: the app's client id, secret and callback URL must be checked (GitHub said: "+code+").", cause)
	case "unverified_user_email":
		return &trouble{status: http.StatusForbidden, reason: "provider_email_unverified", title: "Your address is not verified at GitHub",
			text: "Verify your primary e-mail address in GitHub's settings, then try again.", again: true, cause: cause}
	}
	return refusedBy(githubLabel, cause)
}

func githubAway(cause error) error      { return away(githubLabel, cause) }
func githubMalformed(cause error) error { return malformed(githubLabel, cause) }

// answers reports whether an iss parameter (RFC 9207) names this GitHub. It
// promises none; one that it sends is below its own address.
func (a GitHubApp) answers(iss []string) bool {
	return len(iss) == 1 && (iss[0] == a.URL || strings.HasPrefix(iss[0], a.URL+"/"))
}

// subject is the stable identity of account id; it names the server unless that
// is github.com, whose numbers mean other people.
func (a GitHubApp) subject(id int64) string {
	number := strconv.FormatInt(id, 10)
	if a.filled().URL == githubURL {
		return github + ":" + number
	}
	server := a.URL
	if u, err := url.Parse(a.URL); err == nil {
		server = u.Host
	}
	return github + ":" + server + "/" + number
}

// namedGroups keeps those of have that a policy names.
func namedGroups(have, named []string) []string {
	return slices.DeleteFunc(have, func(group string) bool {
		return !slices.ContainsFunc(named, func(n string) bool { return strings.EqualFold(n, group) })
	})
}
