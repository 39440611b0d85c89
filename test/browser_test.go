package test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// browser is a real Chromium with an empty profile that trusts a server's local CA.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// open starts a browser that trusts the CA that the server exports, with options
// beside the usual ones.
func open(t *testing.T, s *server, more ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	chromium := need(t, "chromium", "Debian package chromium")
	home := t.TempDir()
	trust(t, home, s.must("ca", "export"))
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(filepath.Join(home, "profile")), chromedp.Env("HOME="+home),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true), chromedp.WindowSize(1100, 800))
	options = append(options, more...)
	life, expire := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(expire)
	allocated, stop := chromedp.NewExecAllocator(life, options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	return &browser{t, ctx}
}

// trust puts a CA into the certificate store that Chromium reads under home.
func trust(t *testing.T, home, pem string) {
	t.Helper()
	certutil := need(t, "certutil", "Debian package libnss3-tools")
	db, ca := filepath.Join(home, ".pki", "nssdb"), filepath.Join(home, "ca.pem")
	if err := os.MkdirAll(db, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca, []byte(pem), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-N", "--empty-password", "-d", "sql:" + db},
		{"-A", "-d", "sql:" + db, "-t", "C,,", "-n", "gatehouse", "-i", ca},
	} {
		if out, err := exec.CommandContext(t.Context(), certutil, args...).CombinedOutput(); err != nil {
			t.Fatalf("certutil: %v\n%s", err, out)
		}
	}
}

// do runs actions and fails with the page's text when one does not succeed in
// 15 seconds.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 15*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("browser: %v; it shows %s:\n%s", err, b.address(), b.text())
	}
}

// value is what an action gives; empty when it fails.
func value[T any](b *browser, action chromedp.Action[T]) T {
	ctx, cancel := context.WithTimeout(b.ctx, 15*time.Second)
	defer cancel()
	v, _ := chromedp.Run(ctx, action) // a page in transit has no text: whoever asks asks again
	return v
}

func (b *browser) goTo(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

// address is what the address bar shows.
func (b *browser) address() string {
	return value(b, chromedp.Location())
}

// text is what a person reads on the page.
func (b *browser) text() string {
	return value(b, chromedp.Evaluate[string](`document.body ? document.body.innerText : ""`))
}

// shows waits until the page at an address with this beginning shows a text.
func (b *browser) shows(prefix, want string) {
	b.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !strings.HasPrefix(b.address(), prefix) || !strings.Contains(b.text(), want) {
		if time.Now().After(deadline) {
			b.shoot("failed")
			b.t.Fatalf("want %q at %s; the browser shows %s:\n%s", want, prefix, b.address(), b.text())
		}
		time.Sleep(50 * time.Millisecond) // the page is loading: there is no event for "the text is there"
	}
}

// fill types into a field by its name.
func (b *browser) fill(name, value string) {
	b.t.Helper()
	field := chromedp.CSS(`input[name="` + name + `"]`)
	b.do(chromedp.WaitVisible(field), chromedp.SendKeys(field, value))
}

// press clicks the button that says so.
func (b *browser) press(label string) {
	b.t.Helper()
	b.do(chromedp.Click(`//button[contains(normalize-space(.), "` + label + `")] | //a[contains(normalize-space(.), "` + label + `")]`))
}

// shoot keeps a picture of the page when GATEHOUSE_TEST_SHOTS names a folder.
func (b *browser) shoot(name string) {
	b.t.Helper()
	dir := os.Getenv("GATEHOUSE_TEST_SHOTS")
	if dir == "" {
		return
	}
	png := value(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(b.t.Name(), "/", "_")+"-"+name+".png"), png, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// header makes the browser send a header with every request.
func (b *browser) header(name, value string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		if _, err := cdp.Call(ctx, target, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, target, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{name: value}})
		return err
	}))
}
