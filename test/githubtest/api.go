package githubtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

type reader func(a Account, scopes []string) (body any, ok bool)

// api is one endpoint of the REST API: it asks for a User-Agent and a good
// token, and answers 404 where the token's scopes do not reach.
func (s *Server) api(read reader) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() == "" {
			problem(w, http.StatusForbidden, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.")
			return
		}
		s.mu.Lock()
		g, ok := s.tokens[bearer(r)]
		account, there := s.byID(g.id)
		s.mu.Unlock()
		if !ok || !there {
			problem(w, http.StatusUnauthorized, "Bad credentials")
			return
		}
		w.Header().Set("X-OAuth-Scopes", strings.Join(g.scopes, ", "))
		body, ok := read(account, g.scopes)
		if !ok {
			problem(w, http.StatusNotFound, "Not Found")
			return
		}
		write(w, http.StatusOK, paged(w, r, body))
	}
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "token") {
		return token
	}
	return ""
}

func (s *Server) user(a Account, _ []string) (any, bool) {
	var name, email any // null unless public
	if a.Name != "" {
		name = a.Name
	}
	return map[string]any{"login": a.Login, "id": a.ID, "node_id": fmt.Sprintf("U_%d", a.ID), "type": "User", "name": name, "email": email}, true
}

func (s *Server) emails(a Account, scopes []string) (any, bool) {
	list := make([]any, 0, len(a.Emails))
	for _, e := range a.Emails {
		list = append(list, e)
	}
	return list, slices.Contains(scopes, "user:email") || slices.Contains(scopes, "user")
}

func (s *Server) orgs(a Account, scopes []string) (any, bool) {
	list := make([]any, 0, len(a.Orgs))
	for i, org := range a.Orgs {
		list = append(list, map[string]any{"login": org, "id": 1000 + i})
	}
	return list, reads(scopes)
}

func (s *Server) teams(a Account, scopes []string) (any, bool) {
	list := make([]any, 0, len(a.Teams))
	for i, t := range a.Teams {
		list = append(list, map[string]any{"id": 2000 + i, "slug": t.Slug, "name": t.Slug, "organization": map[string]any{"login": t.Org}})
	}
	return list, reads(scopes)
}

func reads(scopes []string) bool {
	return slices.Contains(scopes, "read:org") || slices.Contains(scopes, "write:org") || slices.Contains(scopes, "admin:org")
}

// paged cuts a list to the page that was asked for and links to the next.
func paged(w http.ResponseWriter, r *http.Request, body any) any {
	list, ok := body.([]any)
	if !ok {
		return body
	}
	size := number(r, "per_page", 30, 100)
	page := number(r, "page", 1, 1<<20)
	from := min((page-1)*size, len(list))
	to := min(from+size, len(list))
	if to < len(list) {
		w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?per_page=%d&page=%d>; rel="next"`, r.Host, r.URL.Path, size, page+1))
	}
	return list[from:to]
}

func number(r *http.Request, name string, otherwise, most int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 1 {
		return otherwise
	}
	return min(n, most)
}

func problem(w http.ResponseWriter, status int, message string) {
	write(w, status, map[string]string{"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status)})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
