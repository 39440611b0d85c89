package page

import (
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPolicyAppliesOurStyleAndNothingElse(t *testing.T) {
	for _, rule := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'sha256-" + sum(style) + "'"} {
		if !strings.Contains(Policy, rule) {
			t.Errorf("the policy lacks %s: %s", rule, Policy)
		}
	}
	for _, rule := range []string{"unsafe", "script-src", "form-action", "*", "http"} {
		if strings.Contains(Policy, rule) {
			t.Errorf("the policy has %s: %s", rule, Policy)
		}
	}
}

func TestNoticeSaysWhatItIsGivenAndNoMore(t *testing.T) {
	hostile := `"><script>alert(1)</script>`
	n := Notice{Title: hostile, Text: hostile, User: hostile, Code: hostile, Host: hostile, RequestID: hostile, Link: &Link{Address: "javascript:alert(1)", Text: hostile}}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		w := httptest.NewRecorder()
		if err := n.Write(w, httptest.NewRequest(method, "/", nil), http.StatusForbidden); err != nil {
			t.Fatal(err)
		}
		body := w.Body.String()
		if w.Code != http.StatusForbidden || w.Header().Get("Content-Security-Policy") != Policy || w.Header().Get("X-Frame-Options") != "DENY" ||
			w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
		switch {
		case method == http.MethodHead:
			if body != "" || w.Header().Get("Content-Length") == "0" {
				t.Errorf("HEAD has a body, or does not say how long it would be: %q", body)
			}
		case strings.Contains(body, "<script") || strings.Contains(body, "javascript:") || strings.Count(html.UnescapeString(body), hostile) != 8:
			t.Errorf("%s", body)
		}
	}
}

func TestSentence(t *testing.T) {
	for in, want := range map[string]string{"": "", "no host": "No host.", "Done.": "Done.", "öffne es": "Öffne es.", "x": "X."} {
		if got := Sentence(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
