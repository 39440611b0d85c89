package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The table of attacks on the authorization server, the gate and the pages for
// people: each row is what somebody tries, where it is written that it must not
// work, and what they get. Rows stand in threats_*_test.go, a family a file.
// docs/threats.md is the same table for readers.

// threat is one attack.
type threat struct {
	name string
	refs string // what says that it must not work, "RFC 9700 4.1.3; RFC 6749 10.6"
	want string // what the attacker gets, see judge
	try  func(st *stage) answer
}

// family is the attacks of one kind, and the request that each of them spoils:
// proper shows that it works when nothing is wrong with it, so that no attack is
// refused for another reason than its own.
type family struct {
	name   string
	about  string
	proper func(st *stage)
	rows   []threat
}

// scene is the families that share a running program.
type scene struct {
	name     string
	start    func(t *testing.T) *stage
	families []family
}

func scenes() []scene {
	return []scene{
		{"local", localStage, []family{
			redirectThreats(), requestThreats(), codeThreats(), clientThreats(), assertionThreats(), exchangeThreats(), registrationThreats(),
			refreshThreats(), revocationThreats(), tokenThreats(), gateThreats(), deviceThreats(), consentThreats(), ticketThreats(),
			sessionThreats(), transportThreats(),
		}},
		{"hurried", hurriedStage, []family{hurriedThreats()}},
		{"github", githubStage, []family{providerThreats(), verifyThreats()}},
		{"documents", documentStage, []family{documentThreats()}},
		{"inside", insideStage, []family{insideThreats()}},
	}
}

func families() []family {
	var all []family
	for _, s := range scenes() {
		all = append(all, s.families...)
	}
	return all
}

// TestThreats tries each attack of the table at the real program. Scenes run at
// once, the rows of each one after the other.
func TestThreats(t *testing.T) {
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			st := s.start(t)
			for _, f := range s.families {
				t.Run(f.name, func(t *testing.T) {
					t.Run("proper", func(t *testing.T) { st.on(t, f.proper) })
					for _, row := range f.rows {
						t.Run(row.name, func(t *testing.T) {
							st.on(t, func(st *stage) { st.judge(row.want, row.try(st)) })
						})
					}
				})
			}
			st.on(t, (*stage).nothingWasGranted)
		})
	}
}

// judge holds an answer against what a row wants:
//
//	400 invalid_request     an OAuth error as JSON, never stored
//	401 invalid_token       the gate's, with a challenge that says the same
//	page 400 some words     a page for people that holds these words and sends them nowhere
//	back invalid_scope      the error goes to the client's own address, with iss and without a code
//	to /consent             303 to this path of ours
//	405                     this status
//
// Whatever it wants, nothing may come with the answer that grants something, and
// nothing may have reached the backend's private part.
func (st *stage) judge(want string, got answer) {
	t := st.t
	t.Helper()
	kind, rest, _ := strings.Cut(want, " ")
	switch kind {
	case "page":
		status, words, _ := strings.Cut(rest, " ")
		st.wantStatus(status, got)
		if !strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") || !strings.Contains(got.Body, words) {
			t.Errorf("got no page with %q: %s\n%s", words, got.Header.Get("Content-Type"), got.Body)
		}
		st.wantStrictPage(got)
	case "back":
		st.wantBack(rest, got)
	case "to":
		to, err := got.Location()
		if err != nil || got.StatusCode != http.StatusSeeOther || to.Path != rest || !st.ours(to.Host) {
			t.Errorf("%d to %v, want 303 to %s\n%s", got.StatusCode, to, rest, got.Body)
		}
	default:
		st.wantStatus(kind, got)
		if rest != "" {
			st.wantError(rest, got)
		}
		if to := got.Header.Get("Location"); to != "" {
			t.Errorf("it leads to %s", to)
		}
	}
	st.grantsNothing(got)
}

func (st *stage) wantStatus(want string, got answer) {
	st.t.Helper()
	if strconv.Itoa(got.StatusCode) != want {
		st.t.Errorf("got %d, want %s: %s\n%s", got.StatusCode, want, got.Header.Get("Location"), got.Body)
	}
}

// wantError wants an error code in the body, and in the challenge of the gate.
func (st *stage) wantError(want string, got answer) {
	st.t.Helper()
	var said struct {
		Error string `json:"error"`
		Code  string `json:"code"`
		Type  string `json:"type"`
	}
	if err := json.Unmarshal([]byte(got.Body), &said); err != nil {
		st.t.Errorf("no JSON: %v\n%s", err, got.Body)
	}
	if said.Error != want && said.Code != want && !strings.HasSuffix(said.Type, want) {
		st.t.Errorf("the error is %q, want %s\n%s", said.Error, want, got.Body)
	}
	if got.Header.Get("Cache-Control") != "no-store" {
		st.t.Errorf("the answer may be stored: %q", got.Header.Get("Cache-Control"))
	}
	challenge := got.Header.Get("WWW-Authenticate")
	if want == "invalid_token" && !strings.Contains(challenge, `error="invalid_token"`) {
		st.t.Errorf("the challenge is %q", challenge)
	}
	if want == "access_denied" && challenge != "" {
		st.t.Errorf("a client that is refused for good is challenged: %q", challenge)
	}
}

// wantBack wants an error that goes to the client's registered address alone.
func (st *stage) wantBack(want string, got answer) {
	st.t.Helper()
	to, err := got.Location()
	if err != nil || got.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to.String(), st.app.redirect+"?") {
		st.t.Errorf("%d to %v, want 303 to %s\n%s", got.StatusCode, to, st.app.redirect, got.Body)
		return
	}
	q := to.Query()
	if q.Get("error") != want || q.Get("iss") != st.app.issuer || q.Has("code") {
		st.t.Errorf("it says %v, want the error %s from %s", q, want, st.app.issuer)
	}
	if strings.ContainsAny(to.String(), "\r\n<>\"") || to.Fragment != "" {
		st.t.Errorf("the address is not clean: %q", to)
	}
}

// wantStrictPage wants what keeps a page from being framed and scripted, and its
// address from being told to others.
func (st *stage) wantStrictPage(got answer) {
	st.t.Helper()
	csp := got.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "script-src") {
		st.t.Errorf("the page's policy is %q", csp)
	}
	if got.Header.Get("Referrer-Policy") != "no-referrer" || got.Header.Get("X-Content-Type-Options") != "nosniff" {
		st.t.Errorf("the page tells its address or lets itself be sniffed: %v", got.Header)
	}
	if to := got.Header.Get("Location"); to != "" {
		st.t.Errorf("the page leads to %s", to)
	}
}

// grantsNothing wants no token, code, ticket or session in an answer, and none of
// the attacker's markup.
func (st *stage) grantsNothing(got answer) {
	st.t.Helper()
	if strings.Contains(got.Body, `"access_token":`) || strings.Contains(got.Body, `"refresh_token":`) {
		st.t.Errorf("tokens were given: %s", got.Body)
	}
	if to, err := got.Location(); err == nil && (to.Query().Has("code") || to.Query().Has("ticket")) {
		st.t.Errorf("a code or ticket was given: %s", to)
	}
	for _, c := range got.Cookies() {
		if (c.Name == "__Host-gatehouse" || c.Name == "gatehouse") && c.Value != "" {
			st.t.Errorf("a session was opened: %s", c)
		}
	}
	if strings.Contains(got.Body, markup) || strings.Contains(strings.Join(got.Header.Values("Set-Cookie"), ";"), "evil") {
		st.t.Errorf("what the attacker sent stands in the answer as it is: %v\n%s", got.Header, got.Body)
	}
	if at := st.loot(); at != "" {
		st.t.Errorf("it reached the backend: %s", at)
	}
}

// markup is what breaks out of any HTML that is not escaped.
const markup = `<x-evil`

var reference = regexp.MustCompile(`^(RFC (6265|6749|6750|7009|7515|7519|7523|7591|7592|7636|7662|8252|8414|8628|8693|8707|8725|9068|9110|9112|9113|9207|9700|9728) \d+(\.\d+)*|OAuth 2\.1 \d+(\.\d+)+|MCP (authorization|security|transports), [A-Z][A-Za-z ()-]+)$`)

// table is all rows with their families' names, and what is wrong with them.
func table() (rows []threat, wrong []string) {
	seen := map[string]bool{}
	for _, f := range families() {
		for _, row := range f.rows {
			name := f.name + ": " + row.name
			if seen[name] {
				wrong = append(wrong, name+" stands there twice")
			}
			seen[name] = true
			refs := strings.Split(row.refs, "; ")
			for i, ref := range refs {
				if !reference.MatchString(ref) || slices.Contains(refs[:i], ref) {
					wrong = append(wrong, name+" names "+strconv.Quote(ref))
				}
			}
			if row.want == "" || row.try == nil {
				wrong = append(wrong, name+" tries nothing, or wants nothing")
			}
			rows = append(rows, row)
		}
	}
	return rows, wrong
}

// TestThreatsAreTold: there are many rows, each with a name of its own and a
// reference, and docs/threats.md is the table.
func TestThreatsAreTold(t *testing.T) {
	rows, wrong := table()
	for _, w := range wrong {
		t.Error(w)
	}
	if len(rows) < 200 {
		t.Errorf("there are %d attacks", len(rows))
	}
	page := filepath.Join("..", "docs", "threats.md")
	want := threatPage(len(rows))
	if os.Getenv("GATEHOUSE_TEST_WRITE") != "" {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil { //nolint:gosec // documentation
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/threats.md is not the table: GATEHOUSE_TEST_WRITE=1 go test ./test -run %s writes it", t.Name())
	}
}

func threatPage(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Attacks that are tried

%d attacks and malformed requests, each tried at the real program by `+"`go test ./test -run TestThreats`"+`: what somebody
does, where it is written that it must not work, and what they get. The rows are `+"`test/threats_*_test.go`"+`; a test keeps this page
equal to them.

What they get is written so: `+"`400 invalid_request`"+` is an OAuth error as JSON; `+"`page 400 …`"+` a page for people with these words, which
sends them nowhere; `+"`back invalid_scope`"+` an error to the client's own registered address with `+"`iss`"+`, without a code; `+"`to /path`"+` 303 to
a page of ours; a number alone is the status. Whatever it is: no token, code, ticket or session comes with it, none of the
attacker's markup stands in it, and the protected part of the backend is not reached.
`, n)
	cell := func(s string) string {
		return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(s)
	}
	for _, f := range families() {
		fmt.Fprintf(&b, "\n## %s\n%s\n\n| Attack | Reference | What they get |\n|---|---|---|\n", strings.ToUpper(f.name[:1])+f.name[1:], f.about)
		for _, row := range f.rows {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(row.name), cell(row.refs), cell(row.want))
		}
	}
	return b.String()
}
