package test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeysAreNowhereInClear: the private key of an obtained certificate is in no
// file, no log, no list and no export but the one that is asked for by name.
func TestKeysAreNowhereInClear(t *testing.T) {
	_, s := certified(t, pebbleOptions{}, "LOG_LEVEL=TRACE")
	const name = "proxy-key-gatehouse-test-net"
	s.local("proxy", "create", "key.gatehouse-test.net", mirror(t).URL, "--wait")
	told := s.local("cert", "list") + s.local("cert", "show", name) + s.local("cert", "status", name) + s.local("cert", "export", name) +
		s.local("proxy", "status", "key.gatehouse-test.net") + s.local("proxy", "show", "key.gatehouse-test.net") + s.local("log", "search")
	_, rest, _ := strings.Cut(s.local("cert", "export", name, "--private-key"), "-----BEGIN PRIVATE KEY-----")
	block, _ := pem.Decode([]byte("-----BEGIN PRIVATE KEY-----" + rest))
	if block == nil {
		t.Fatal("no key was exported")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("%T", parsed)
	}
	scalar, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	var needles [][]byte
	for _, secret := range [][]byte{scalar, block.Bytes} {
		needles = append(needles, secret, []byte(base64.StdEncoding.EncodeToString(secret))[:40], []byte(base64.RawURLEncoding.EncodeToString(secret))[:40])
	}
	told += s.local("log", "search", "--kind", "audit") + s.local("log", "search", "--kind", "system")
	told += s.must("--local", "cert", "renew", name, "--force", "--wait", "--debug") // and the successor's start shows nothing either
	s.stop()
	look := func(where string, text []byte) {
		for _, n := range needles {
			if bytes.Contains(text, n) {
				t.Errorf("the key is in %s", where)
			}
		}
		if bytes.Contains(text, []byte("PRIVATE KEY")) {
			t.Errorf("a private key is in %s", where)
		}
	}
	look("what was told", []byte(told))
	look("the log", []byte(s.said()))
	files := 0
	err = filepath.WalkDir(filepath.Join(s.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		files++
		look(path, text)
		return err
	})
	if err != nil || files < 2 {
		t.Errorf("%v, %d files", err, files)
	}
}

// TestHSTSWhereTheWorldTrusts: browsers are told to stay with HTTPS where they
// trust the certificate, about this name alone, and over HTTPS alone.
func TestHSTSWhereTheWorldTrusts(t *testing.T) {
	t.Parallel()
	plain, secure := freePort(t), freePort(t)
	ca := startPebble(t, pebbleOptions{HTTP: number(t, plain), TLS: number(t, secure)})
	res, err := ca.client.Get(ca.Manage + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var root bytes.Buffer
	if _, err := root.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	world := filepath.Join(t.TempDir(), "world.pem")
	if err := os.WriteFile(world, root.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, append(ca.env(), "HTTP_PORT="+plain, "HTTPS_PORT="+secure, "SSL_CERT_FILE="+world, "SSL_CERT_DIR=/nonexistent"), "serve")
	const host = "world.gatehouse-test.net"
	own := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/own" {
			w.Header().Set("Strict-Transport-Security", "max-age=7")
		}
	}))
	t.Cleanup(own.Close)
	s.local("proxy", "create", host, own.URL, "--wait")
	s.local("proxy", "create", "here.localhost", own.URL)
	client := believing(s)
	for url, want := range map[string]string{
		s.url(host, "/"): "max-age=15552000", s.url(host, "/own"): "max-age=7",
		"http://" + host + ":" + plain + "/": "", s.url("here.localhost", "/"): "",
	} {
		if got := head(t, client, url).Get("Strict-Transport-Security"); got != want {
			t.Errorf("%s: %q, not %q", url, got, want)
		}
	}
}
