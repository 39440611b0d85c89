package test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// TestHTTP2Conformance runs h2spec against the TLS listener. Go's own HTTP/2
// passes 141 of its 145 tests; we must not be worse.
func TestHTTP2Conformance(t *testing.T) {
	h2spec := need(t, "h2spec", "scripts/test builds it into .tools")
	s := start(t, nil, "serve")
	// A backend that wants the whole body: an answer given before would race
	// with the frames that h2spec sends wrongly on purpose.
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body) // what is left when the stream is reset does not matter
		_, _ = io.WriteString(w, "the whole body was read, and this answer is long enough for its tests of flow control")
	}))
	t.Cleanup(backend.Close)
	s.local("route", "create", "/h2spec", backend.URL, "--proxy", "localhost")
	u, err := url.Parse(s.HTTPS)
	if err != nil {
		t.Fatal(err)
	}
	// The exit code tells of the known failures too: the count is what matters.
	out, _ := exec.CommandContext(t.Context(), h2spec, "-t", "-k", "-h", "localhost", "-p", u.Port(), "-P", "/h2spec", "--timeout", "5").CombinedOutput()
	found := regexp.MustCompile(`(\d+) tests, (\d+) passed`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("h2spec gave no count:\n%s", out)
	}
	passed, _ := strconv.Atoi(string(found[2])) // the pattern has digits only
	t.Logf("h2spec: %s of %s passed", found[2], found[1])
	if passed < 141 {
		t.Errorf("%d passed; want no fewer than 141\n%s", passed, out)
	}
}
