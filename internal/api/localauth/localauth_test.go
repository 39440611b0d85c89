package localauth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fault"
)

func pair(t *testing.T) (Key, *Verifier, *time.Time) {
	t.Helper()
	key, err := LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	clock := &now
	return key, NewVerifier(key, func() time.Time { return *clock }), clock
}

// received is the request as the server reads it after it went over the wire.
func received(t *testing.T, sent *http.Request) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), sent.Method, sent.URL.RequestURI(), nil)
	r.Header = sent.Header.Clone()
	return r
}

func signed(t *testing.T, key Key, now time.Time, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	key.Sign(r, []byte(body), now)
	return r
}

func TestSignedRequestIsTakenOnce(t *testing.T) {
	key, v, clock := pair(t)
	for _, url := range []string{"http://x/", "http://x/proxies/a%2Fb?x=1&y=%20", "http://x/a%20b/%C3%BC?q=a+b", "http://x/proxies/*.a.test", "http://x/%2E%2E"} {
		r := received(t, signed(t, key, *clock, "PUT", url, `{"a":1}`))
		if !Presented(r) {
			t.Fatal("the signature is not seen")
		}
		if err := v.Verify(r, []byte(`{"a":1}`)); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if err := v.Verify(r, []byte(`{"a":1}`)); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "used before") {
			t.Errorf("%s again: %v", url, err)
		}
	}
}

func TestSignatureCountsForItsRequestOnly(t *testing.T) {
	key, v, clock := pair(t)
	other, _, _ := pair(t)
	for name, c := range map[string]struct {
		change func(*http.Request) *http.Request
		body   string
		says   string
	}{
		"other method": {func(r *http.Request) *http.Request { r.Method = "DELETE"; return r }, "b", "does not fit"},
		"other path":   {func(r *http.Request) *http.Request { r.URL.Path = "/y"; return r }, "b", "does not fit"},
		"other query":  {func(r *http.Request) *http.Request { r.URL.RawQuery = "force=true"; return r }, "b", "does not fit"},
		"other body":   {func(r *http.Request) *http.Request { return r }, "c", "does not fit"},
		"no body":      {func(r *http.Request) *http.Request { return r }, "", "does not fit"},
		"other time":   {edit("time=1800000000", "time=1800000001"), "b", "does not fit"},
		"other nonce":  {edit("nonce=", "nonce=x"), "b", "does not fit"},
		"other key":    {func(r *http.Request) *http.Request { other.Sign(r, []byte("b"), *clock); return r }, "b", "does not fit"},
		"no signature": {edit(", signature=", ", s="), "b", "can't be read"},
		"twice": {func(r *http.Request) *http.Request {
			r.Header.Add("Authorization", r.Header.Get("Authorization"))
			return r
		}, "b", "can't be read"},
		"empty": {func(r *http.Request) *http.Request { r.Header.Set("Authorization", Scheme); return r }, "b", "can't be read"},
	} {
		r := c.change(received(t, signed(t, key, *clock, "POST", "http://a/x", "b")))
		if err := v.Verify(r, []byte(c.body)); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func edit(from, to string) func(*http.Request) *http.Request {
	return func(r *http.Request) *http.Request {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
		return r
	}
}

func TestSignatureIsFreshOrRefused(t *testing.T) {
	key, v, clock := pair(t)
	for offset, fresh := range map[time.Duration]bool{0: true, 30 * time.Second: true, -30 * time.Second: true, 31 * time.Second: false, -31 * time.Second: false, time.Hour: false} {
		err := v.Verify(received(t, signed(t, key, clock.Add(offset), "GET", "http://a/x", "")), nil)
		if (err == nil) != fresh {
			t.Errorf("%v off: %v", offset, err)
		}
	}
	// A signature whose time lies ahead must not count again when its memory could be gone.
	r := received(t, signed(t, key, clock.Add(29*time.Second), "GET", "http://a/x", ""))
	if err := v.Verify(r, nil); err != nil {
		t.Fatal(err)
	}
	for range 70 {
		*clock = clock.Add(time.Second)
		if err := v.Verify(r, nil); err == nil {
			t.Fatal("a signature was taken twice")
		}
	}
}

func TestNoncesAreBoundedAndForgotten(t *testing.T) {
	key, v, clock := pair(t)
	for i := range maxNonces {
		if err := v.once(fmt.Sprint(i), *clock); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Verify(received(t, signed(t, key, *clock, "GET", "http://a/", "")), nil); !fault.Is(err, fault.TooMany) {
		t.Errorf("more than the bound: %v", err)
	}
	*clock = clock.Add(3 * Window)
	if err := v.Verify(received(t, signed(t, key, *clock, "GET", "http://a/", "")), nil); err != nil {
		t.Errorf("when the old ones are over: %v", err)
	}
	if len(v.seen) != 1 {
		t.Errorf("%d nonces are kept", len(v.seen))
	}
}

func TestKeyIsPrivateAndStays(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !fault.Is(err, fault.NotFound) {
		t.Errorf("no key: %v", err)
	}
	first, err := LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadOrCreate(dir)
	if err != nil || string(again.secret) != string(first.secret) {
		t.Errorf("the key changed: %v", err)
	}
	info, err := os.Stat(Path(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("files are left over: %v", names)
	}
	for _, shown := range []string{fmt.Sprint(first), fmt.Sprintf("%v %+v %#v %s", first, first, first, first)} {
		if strings.Contains(shown, string(first.secret)) || strings.Contains(shown, fmt.Sprintf("%d", first.secret)) {
			t.Error("the key prints itself")
		}
	}
}

func TestKeyThatOthersCouldReadIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"group may read": func(path string) error { return os.Chmod(path, 0o640) },
		"all may read":   func(path string) error { return os.Chmod(path, 0o604) },
		"no key":         func(path string) error { return os.WriteFile(path, []byte("hello"), 0o600) },
		"short key":      func(path string) error { return os.WriteFile(path, []byte("aGVsbG8="), 0o600) },
		"a folder":       func(path string) error { _ = os.Remove(path); return os.Mkdir(path, 0o700) },
	} {
		dir := t.TempDir()
		if _, err := LoadOrCreate(dir); err != nil {
			t.Fatal(err)
		}
		if err := spoil(filepath.Join(dir, keyFile)); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreate(dir); !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(Scheme + " time=1800000000, nonce=a, signature=b")
	f.Add(Scheme)
	f.Add("gatehouse-local time=,nonce=,signature=")
	key := Key{secret: make([]byte, keySize)}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Header.Set("Authorization", header)
		if NewVerifier(key, func() time.Time { return time.Unix(1_800_000_000, 0) }).Verify(r, nil) == nil {
			t.Fatalf("%q is taken", header)
		}
	})
}
