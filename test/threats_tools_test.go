package test

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// confidential is a client with a secret.
func (st *stage) confidential(host string) (c *oauthClient, secret string) {
	st.t.Helper()
	c = &oauthClient{t: st.t, s: st.s, c: st.mallory, issuer: st.s.url(host, ""), redirect: "https://vault.example/back", verifier: random()}
	made := st.enroll(host, map[string]any{"client_name": "vault", "redirect_uris": []string{c.redirect}, "token_endpoint_auth_method": "client_secret_basic"})
	c.id = made.ID
	return c, made.Secret
}

// enrolled is what a client is told of its registration.
type enrolled struct {
	ID      string   `json:"client_id"`
	Secret  string   `json:"client_secret"`
	Token   string   `json:"registration_access_token"`
	Address string   `json:"registration_client_uri"`
	URIs    []string `json:"redirect_uris"`
	Name    string   `json:"client_name"`
}

// enroll registers a client that has to be taken.
func (st *stage) enroll(host string, metadata map[string]any) enrolled {
	st.t.Helper()
	got := st.tryEnroll(host, metadata)
	var made enrolled
	if got.StatusCode != http.StatusCreated {
		st.t.Fatalf("register %v: %d %s", metadata, got.StatusCode, got.Body)
	}
	decode(st.t, got.Body, &made)
	return made
}

func (st *stage) tryEnroll(host string, metadata map[string]any) answer {
	st.t.Helper()
	body, err := json.Marshal(metadata)
	if err != nil {
		st.t.Fatal(err)
	}
	return ask(st.t, st.mallory, "POST", st.s.url(host, "/register"), string(body), "Content-Type: application/json")
}

// named is a public client with this name and redirect URI at app.localhost.
func (st *stage) named(name, redirect string) *oauthClient {
	st.t.Helper()
	made := st.enroll("app.localhost", map[string]any{"client_name": name, "redirect_uris": []string{redirect}, "token_endpoint_auth_method": "none"})
	return &oauthClient{t: st.t, s: st.s, c: st.mallory, issuer: st.app.issuer, id: made.ID, redirect: redirect, verifier: random()}
}

// bait is a listener that counts who connects.
type bait struct {
	url     string
	touched atomic.Int64
}

func newBait(t *testing.T) *bait {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bait{url: "https://" + l.Addr().String()}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.touched.Add(1)
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); work.Wait() })
	return b
}

// all runs n times the same at once and gives the answers.
func all(n int, f func() (answer, error)) []answer {
	answers := make([]answer, n)
	var work sync.WaitGroup
	for i := range n {
		work.Go(func() {
			if got, err := f(); err == nil {
				answers[i] = got
			}
		})
	}
	work.Wait()
	return answers
}

// together sends a form n times at once, over connections of their own.
func (st *stage) together(n int, p *person, address string, form url.Values, headers ...string) (good int, answers []answer) {
	st.t.Helper()
	var jar http.CookieJar
	if p != nil {
		jar = p.c.Jar
	} else {
		jar, _ = cookiejar.New(nil)
	}
	answers = all(n, func() (answer, error) {
		c := st.s.client()
		c.Jar, c.Transport = jar, &http.Transport{DialContext: loopback, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: st.s.trusted()}}
		return send(st.t.Context(), c, "POST", address, form.Encode(), append([]string{formType}, headers...)...)
	})
	for _, got := range answers {
		if got.Response == nil {
			st.t.Fatal("no answer")
		}
		to, _ := got.Location()
		if strings.Contains(got.Body, `"access_token":`) || (to != nil && to.Query().Has("code")) {
			good++
		}
	}
	return good, answers
}
