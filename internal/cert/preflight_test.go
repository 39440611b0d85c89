package cert_test

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/internal/cert"
	"gatehouse/internal/cert/acme"
	"gatehouse/test/dnstest"
)

// TestThePreflightSaysWhatIsWrong: each reason why an authority would refuse is
// told in words of its own, and what is right is not held up.
func TestThePreflightSaysWhatIsWrong(t *testing.T) {
	answers := acme.NewAnswers(disk(t), sealer(t), slog.New(slog.DiscardHandler))
	port := func(h http.Handler) int {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.Listener.Addr().(*net.TCPAddr).Port
	}
	elsewhere := port(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("a router's own page")) }))
	us := port(answers)
	closed := httptest.NewServer(http.NotFoundHandler())
	nobody := closed.Listener.Addr().(*net.TCPAddr).Port
	closed.Close()

	dns := dnstest.Start(t)
	dns.Set("here.gatehouse-test.net", "127.0.0.1")
	dns.Set("empty.gatehouse-test.net", "")
	dns.Set("inner.gatehouse-test.net", "192.168.7.7")
	const onThisMachine, onTheInternet = "https://127.0.0.1:14000/dir", "https://203.0.113.1/dir"
	for _, c := range []struct {
		name, directory, challenge string
		port                       int
		want                       string // empty: nothing is wrong
	}{
		{"here.gatehouse-test.net", onThisMachine, "", us, ""},
		{"gone.gatehouse-test.net", onThisMachine, "", us, "does not resolve (there is no such name)"},
		{"empty.gatehouse-test.net", onThisMachine, "", us, "empty.gatehouse-test.net"},
		{"here.gatehouse-test.net", onThisMachine, "", elsewhere, "something else answers on port"},
		{"here.gatehouse-test.net", onThisMachine, "", nobody, "can't be reached (connection refused)"},
		{"inner.gatehouse-test.net", onTheInternet, "", us, "leads to 192.168.7.7, which no authority on the internet can reach"},
		{"gone.gatehouse-test.net", onThisMachine, acme.DNS01, us, ""},
		{"*.gone.gatehouse-test.net", onThisMachine, "", us, ""},
		{"here.gatehouse-test.net", onThisMachine, acme.TLSALPN01, nobody, ""},
	} {
		p := &cert.Preflight{Answers: answers, Resolver: dns.Address, HTTPPort: c.port}
		err := p.Check(t.Context(), c.directory, c.challenge, []string{c.name})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: held up: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want …%s…", c.name, err, c.want)
		}
	}
}
