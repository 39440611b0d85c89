package edge

import (
	"io"
	"net/http"
	"slices"
	"testing"

	"gatehouse/internal/journal"
)

func TestForwardReachesTheTargetOverBothPorts(t *testing.T) {
	b := backend(t, hello)
	r := newRig(t, Options{}, to("app.test", b.URL))
	for _, url := range []string{"http://app.test/x?y=1", "https://app.test/x?y=1"} {
		resp, body := r.get(url)
		if resp.StatusCode != 200 || body != "hello app.test" {
			t.Errorf("%s: %d %q", url, resp.StatusCode, body)
		}
	}
	e := r.journal.wait(t, func(e *journal.Entry) bool { return e.TLSVersion != "" })
	if e.Proxy != "app.test" || e.Path != "/x" || e.Query != "y=1" || e.Status != 200 || e.BytesOut != 14 || e.ClientIP != "127.0.0.1" || e.TLSVersion != "1.3" {
		t.Errorf("entry %+v", e)
	}
}

func TestForwardSpeaksHTTP2ToClients(t *testing.T) {
	b := backend(t, hello)
	r := newRig(t, Options{}, to("app.test", b.URL))
	req, _ := http.NewRequest(http.MethodGet, "https://app.test/", nil)
	resp, body := do(t, r.client(overH2), req)
	if resp.ProtoMajor != 2 || body != "hello app.test" {
		t.Errorf("%s %q", resp.Proto, body)
	}
}

func TestForwardKeepsSetCookieApart(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "a=1; Path=/")
		w.Header().Add("Set-Cookie", "b=2, c=3")
		w.Header().Add("Set-Cookie", "__Host-gatehouse=forged; Secure; Path=/")
		w.Header().Add("Set-Cookie", "__host-Gatehouse-signin=forged")
	})
	r := newRig(t, Options{}, to("app.test", b.URL))
	resp, _ := r.get("http://app.test/")
	if got := resp.Header["Set-Cookie"]; !slices.Equal(got, []string{"a=1; Path=/", "b=2, c=3"}) {
		t.Errorf("Set-Cookie %q", got)
	}
}

func TestForwardLeavesGzipUntouched(t *testing.T) {
	packed := "\x1f\x8b not really gzip, so nobody may look inside"
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("X-Asked", r.Header.Get("Accept-Encoding"))
		_, _ = io.WriteString(w, packed)
	})
	r := newRig(t, Options{}, to("app.test", b.URL))
	resp, body := r.get("https://app.test/", header("Accept-Encoding", "gzip"))
	if body != packed || resp.Header.Get("Content-Encoding") != "gzip" || resp.Header.Get("X-Asked") != "gzip" {
		t.Errorf("%q %v", body, resp.Header)
	}
	resp, _ = r.get("https://app.test/")
	if got := resp.Header.Get("X-Asked"); got != "" {
		t.Errorf("the target was asked for %q, which the client did not", got)
	}
}
