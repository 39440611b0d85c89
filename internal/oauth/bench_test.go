package oauth

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/internal/site"
)

func BenchmarkAdmitRepeatedToken(b *testing.B) {
	r := newRig(b)
	access, _, _ := r.tokens(mcpOrigin, person("alice"), "mcp")
	v, req := r.visit(http.MethodPost, mcpOrigin+"/mcp")
	req.Header.Set("Authorization", "Bearer "+access)
	b.ReportAllocs()
	for b.Loop() {
		if r.Admit(v, req).Outcome != site.Allow {
			b.Fatal("refused")
		}
	}
}

func BenchmarkAdmitRepeatedSession(b *testing.B) {
	r := newRig(b)
	c := r.cookie(appOrigin, person("alice"), "")
	v, req := r.visit(http.MethodGet, appOrigin+"/")
	req.AddCookie(c)
	b.ReportAllocs()
	for b.Loop() {
		if r.Admit(v, req).Outcome != site.Allow {
			b.Fatal("refused")
		}
	}
}

func BenchmarkAdmitNewToken(b *testing.B) {
	r := newRig(b)
	access := r.sign(b, nil, nil)
	v, req := r.visit(http.MethodGet, appOrigin+"/")
	req.Header.Set("Authorization", "Bearer "+access)
	b.ReportAllocs()
	for b.Loop() {
		r.verified = newCache()
		if r.Admit(v, req).Outcome != site.Allow {
			b.Fatal("refused")
		}
	}
}

func BenchmarkAdmitAnonymous(b *testing.B) {
	r := newRig(b)
	v, req := r.visit(http.MethodGet, appOrigin+"/")
	b.ReportAllocs()
	for b.Loop() {
		if r.Admit(v, req).Outcome != site.Challenge {
			b.Fatal("let in")
		}
	}
}

func BenchmarkStill(b *testing.B) {
	r := newRig(b)
	access, _, _ := r.tokens(appOrigin, person("alice"), "user")
	_, v := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+access)
	b.ReportAllocs()
	for b.Loop() {
		if !r.Still(v) {
			b.Fatal("cut")
		}
	}
}

func FuzzBearer(f *testing.F) {
	r := newRig(f)
	good := r.sign(f, nil, nil)
	for _, seed := range []string{"Bearer " + good, "bearer  x", "Bearer", "", "Basic YTpi", "Bearer a.b.c", "Bearer " + strings.Repeat(".", 100), "Bearer " + good + "=", "Bearer " + segment(f, goodHeader()) + ".e30.AAAA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r.in(t)
		v, req := r.visit(http.MethodGet, appOrigin+"/")
		req.Header["Authorization"] = []string{header}
		verdict := r.Admit(v, req)
		if verdict.Outcome == site.Allow && !strings.Contains(header, good) {
			t.Errorf("%q is let in as %+v", header, verdict.Principal)
		}
		if verdict.Outcome == site.Challenge && !strings.HasPrefix(verdict.Header, "Bearer resource_metadata=") {
			t.Errorf("%q: %q", header, verdict.Header)
		}
	})
}
