package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/oauth"
)

const (
	githubPage    = 100     // items asked for at once, the most GitHub gives
	githubPages   = 10      // pages read at most: a thousand teams are enough
	githubMaxBody = 1 << 20 // bytes
)

// githubAPI reads about one person with their token.
type githubAPI struct {
	app    GitHubApp
	client *http.Client
	token  string
}

// person is who the token belongs to, with what policies need to know.
func (g githubAPI) person(ctx context.Context, groups []string) (oauth.Person, error) {
	var user struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
		Name  string `json:"name"`
	}
	if _, err := g.get(ctx, "/user", &user); err != nil {
		return oauth.Person{}, err
	}
	if user.ID <= 0 || user.Login == "" || strings.ContainsAny(user.Login, ": \t\r\n") {
		return oauth.Person{}, githubMalformed(fmt.Errorf("user %d with login %.80q", user.ID, user.Login))
	}
	now := time.Now()
	p := oauth.Person{Subject: g.app.subject(user.ID), User: user.Login, Name: user.Name, Provider: github, AuthTime: now}
	return g.details(ctx, p, groups)
}

// details reads address and groups anew.
func (g githubAPI) details(ctx context.Context, p oauth.Person, groups []string) (oauth.Person, error) {
	var err error
	if p.Email, err = g.email(ctx); err != nil {
		return p, err
	}
	if p.Groups, err = g.groups(ctx, groups); err != nil {
		return p, err
	}
	p.Checked = time.Now()
	return p, nil
}

// email is the primary address when it is verified, else none.
func (g githubAPI) email(ctx context.Context) (string, error) {
	type address struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	all, err := list[address](ctx, g, "/user/emails")
	if err != nil {
		return "", err
	}
	if i := slices.IndexFunc(all, func(a address) bool { return a.Primary && a.Verified }); i >= 0 {
		return all[i].Email, nil
	}
	return "", nil
}

// groups are the person's organizations ("org") and teams ("org/team") among
// those named. Of the two lists only what can hold a named one is read.
func (g githubAPI) groups(ctx context.Context, named []string) ([]string, error) {
	var have []string
	isTeam := func(group string) bool { return strings.Contains(group, "/") }
	if slices.ContainsFunc(named, func(group string) bool { return !isTeam(group) }) {
		orgs, err := list[struct {
			Login string `json:"login"`
		}](ctx, g, "/user/orgs")
		if err != nil {
			return nil, err
		}
		for _, o := range orgs {
			have = append(have, o.Login)
		}
	}
	if slices.ContainsFunc(named, isTeam) {
		teams, err := list[struct {
			Slug         string `json:"slug"`
			Organization struct {
				Login string `json:"login"`
			} `json:"organization"`
		}](ctx, g, "/user/teams")
		if err != nil {
			return nil, err
		}
		for _, t := range teams {
			have = append(have, t.Organization.Login+"/"+t.Slug)
		}
	}
	return namedGroups(have, named), nil
}

// list reads all pages of a list. What the token may not read is empty: who
// withholds it at GitHub is let in only where nobody asks for it.
func list[T any](ctx context.Context, g githubAPI, path string) ([]T, error) {
	var all []T
	for page := 1; page <= githubPages; page++ {
		var some []T
		allowed, err := g.get(ctx, path+"?per_page="+strconv.Itoa(githubPage)+"&page="+strconv.Itoa(page), &some)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if !allowed || len(some) < githubPage {
			break
		}
	}
	return all, nil
}

// get reads one address of the API. allowed is false when the token's scopes do
// not reach it.
func (g githubAPI) get(ctx context.Context, path string, into any) (allowed bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.app.APIURL+path, nil)
	if err != nil {
		return false, githubAway(err)
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("Authorization", "Bearer "+g.token)
	req.Header.Set("User-Agent", "gatehouse")
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	res, err := g.client.Do(req)
	if err != nil {
		return false, githubAway(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, githubMaxBody+1))
	if err != nil {
		return false, githubAway(err)
	}
	if res.StatusCode != http.StatusOK {
		return githubStatus(res, path)
	}
	if len(body) > githubMaxBody {
		return false, githubMalformed(fmt.Errorf("%s: more than %d bytes", path, githubMaxBody))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return false, githubMalformed(fmt.Errorf("%s: %w", path, err))
	}
	return true, nil
}

// githubStatus judges an answer other than 200.
func githubStatus(res *http.Response, path string) (allowed bool, err error) {
	cause := fmt.Errorf("%s: status %d", path, res.StatusCode)
	slowDown := res.StatusCode == http.StatusTooManyRequests || res.Header.Get("Retry-After") != "" || res.Header.Get("X-Ratelimit-Remaining") == "0"
	switch {
	case slowDown:
		return false, limited(githubLabel, retryAfter(res), cause)
	case res.StatusCode == http.StatusUnauthorized:
		return false, tokenRefused(githubLabel, cause)
	case path != "/user" && (res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusNotFound):
		return false, nil
	case res.StatusCode == http.StatusForbidden:
		return false, &trouble{status: http.StatusForbidden, reason: "provider_account_refused", title: "GitHub does not let this account in",
			text: "The account may be suspended. Sign in at GitHub itself to see what it says, then try again.", again: true, cause: cause}
	case res.StatusCode >= 500:
		return false, githubAway(cause)
	}
	return false, githubMalformed(cause)
}
