package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"gatehouse/internal/oauth"
)

// oidcToken is what a sign-in leaves of the provider's tokens, to ask again.
type oidcToken struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh,omitempty"`
	Until   time.Time `json:"until,omitzero"` // of access; zero: unknown
}

func kept(t *oauth2.Token) []byte {
	b, err := json.Marshal(oidcToken{t.AccessToken, t.RefreshToken, t.Expiry})
	if err != nil {
		return nil // two texts and a time: can't happen
	}
	return b
}

func (o *oidcProvider) Again(ctx context.Context, token []byte, groups []string) (fresh oauth.Person, next []byte, err error) {
	var have oidcToken
	if err := json.Unmarshal(token, &have); err != nil {
		return fresh, nil, err
	}
	at, err := o.discover(ctx)
	if err != nil {
		return fresh, nil, err
	}
	now := &oauth2.Token{AccessToken: have.Access, RefreshToken: have.Refresh, Expiry: have.Until}
	var who *claims
	if have.Refresh != "" {
		if now, who, err = o.renew(ctx, at, have); err != nil {
			return fresh, nil, err
		}
	}
	if who, err = o.complete(ctx, at, who, now, groups); err != nil {
		return fresh, kept(now), err // a token that was renewed must be kept whatever comes of it
	}
	fresh = o.person(who, groups)
	if _, told := who.groups(); !told && len(groups) > 0 {
		fresh.Checked = time.Time{} // some providers tell of groups at the sign-in alone
	}
	return fresh, kept(now), nil
}

// renew trades the refresh token for new tokens, of which a new id_token, where
// there is one, is the newest word on who it is.
func (o *oidcProvider) renew(ctx context.Context, at *discovered, have oidcToken) (*oauth2.Token, *claims, error) {
	now, err := at.config.TokenSource(gooidc.ClientContext(ctx, o.client), &oauth2.Token{RefreshToken: have.Refresh}).Token()
	if err != nil {
		return nil, nil, o.exchangeFailed(ctx, err)
	}
	if now.RefreshToken == "" {
		now.RefreshToken = have.Refresh
	}
	who, err := o.identified(ctx, at, now, "")
	return now, who, err
}

// exchangeFailed tells what the token endpoint's refusal means.
func (o *oidcProvider) exchangeFailed(ctx context.Context, err error) error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return o.unreachable(err)
	}
	status := 0
	if refused.Response != nil {
		status = refused.Response.StatusCode
	}
	cause := fmt.Errorf("token endpoint: status %d, error %.80q", status, refused.ErrorCode) // not err: it quotes the answer
	switch {
	case refused.ErrorCode == "invalid_grant":
		return codeUnknown(o.label(), errors.Join(errTokenRefused, cause))
	case refused.ErrorCode == "invalid_client", refused.ErrorCode == "unauthorized_client", status == http.StatusUnauthorized:
		return o.notSetUp("invalid_client", "The client id and the secret must be checked.", cause)
	case status == http.StatusTooManyRequests:
		return limited(o.label(), retryAfter(refused.Response), cause)
	case status >= 500:
		return away(o.label(), cause)
	case refused.ErrorCode != "":
		return refusedBy(o.label(), cause)
	}
	return malformed(o.label(), cause)
}

// refused is the page for an error that came back by the browser.
func (o *oidcProvider) refused(code string) error {
	cause := fmt.Errorf("the provider answered %.80q", code)
	switch code {
	case "access_denied":
		return notAllowed(o.label(), cause)
	case "unauthorized_client", "invalid_request", "unsupported_response_type", "invalid_scope", "invalid_client":
		return o.notSetUp(code, "The client, its callback URL and its scopes must be checked there (it said: "+code+").", cause)
	}
	return refusedBy(o.label(), cause)
}

func (o *oidcProvider) notSetUp(code, text string, cause error) error {
	return notAccepted(o.label(), code, "Please tell whoever runs this installation. "+text, cause)
}

// unproven is for what claims to come from the provider and does not prove it.
func (o *oidcProvider) unproven(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return away(o.label(), ctx.Err())
	}
	if strings.Contains(cause.Error(), "fetching keys") { // the library has no better sign that it could not read them
		return away(o.label(), errors.New("its keys could not be read"))
	}
	return &trouble{status: http.StatusBadGateway, reason: "provider_unproven", title: o.label() + "'s answer can't be trusted",
		text: "It does not prove who you are, so nothing was done. Try again; if it stays so, tell whoever runs this installation.", again: true, cause: clipped(cause)}
}

// unreachable is for a request that got no usable answer.
func (o *oidcProvider) unreachable(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the address, which may carry a code
	}
	return away(o.label(), clipped(err))
}

// clipped is an error that may quote what a stranger answered, cut short.
func clipped(err error) error {
	const most = 300
	if text := err.Error(); len(text) > most {
		return errors.New(text[:most] + "…")
	}
	return err
}

// retryAfter is how long an answer asks to wait; 0 when it does not say.
func retryAfter(res *http.Response) time.Duration {
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, time.Hour)
}
