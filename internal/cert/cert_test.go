package cert_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

const day = 24 * time.Hour

// disk is the real store in a folder of its own.
func disk(t testing.TB) store.KV {
	t.Helper()
	s, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sealer is the one that all nodes of these tests share.
func sealer(t testing.TB) *store.Sealer {
	t.Helper()
	s, err := store.NewSealer([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// keeper is a loaded Keeper over kv that serves names.
func keeper(t testing.TB, kv store.KV, names ...string) *cert.Keeper {
	t.Helper()
	k := cert.New(kv, sealer(t), cert.Options{SelfSigned: 365 * day, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err := k.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.Want(asHosts(names...))
	return k
}

// asHosts are hosts that name no certificate of their own.
func asHosts(names ...string) []cert.Wanted {
	hosts := make([]cert.Wanted, len(names))
	for i, name := range names {
		hosts[i].Name = name
	}
	return hosts
}

// pool is what a client trusts that has the local CA and nothing else.
func pool(t testing.TB, k *cert.Keeper) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(k.CAPEM()) {
		t.Fatal("the CA can't be read")
	}
	return p
}

// listen serves "hello" over TLS with k's certificates and gives the port.
func listen(t testing.TB, k *cert.Keeper) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: k.Get})
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// shake makes a handshake for name as a client that trusts only the local CA.
func shake(t testing.TB, k *cert.Keeper, port, name string) error {
	t.Helper()
	conn, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{RootCAs: pool(t, k), ServerName: name})
	if err == nil {
		conn.Close()
	}
	return err
}

var wanted = []string{"localhost", "app.localhost", "x.test", "a.b.internal", "printer.local", "nas.home.arpa", "docs.example",
	"*.localhost", "*.test", "*.apps.test", "app.example.com", "*.example.com", "intranet", "box.lan"}

func TestWhoTrustsTheLocalCAReachesLocalNames(t *testing.T) {
	k := keeper(t, disk(t), wanted...)
	port := listen(t, k)
	for _, name := range []string{"localhost", "app.localhost", "x.test", "a.b.internal", "printer.local", "nas.home.arpa", "docs.example",
		"anything.localhost", "anything.test", "one.apps.test", "APP.localhost"} {
		if err := shake(t, k, port, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"app.example.com", "x.example.com", "intranet", "box.lan"} {
		if err := shake(t, k, port, name); err == nil || !strings.Contains(err.Error(), "unknown authority") {
			t.Errorf("%s has a certificate of the local CA: %v", name, err)
		}
		if s := k.Find(name); s.Kind != cert.KindSelfSigned {
			t.Errorf("%s: %s", name, s.Kind)
		}
	}
	for _, name := range []string{"other.org", "a.b.apps.test", "example.com", "x.intranet"} {
		if err := shake(t, k, port, name); err == nil || k.Find(name) != nil {
			t.Errorf("%s, which nobody wants, has a certificate: %v", name, err)
		}
	}
}

func TestCertificatesAreShortLivedAndOfTheServersKindOnly(t *testing.T) {
	k := keeper(t, disk(t), "app.localhost", "app.example.com")
	for name, lifetime := range map[string]time.Duration{"app.localhost": 90 * day, "app.example.com": 365 * day} {
		leaf := k.Find(name).Leaf()
		if got := leaf.NotAfter.Sub(leaf.NotBefore); got != lifetime {
			t.Errorf("%s lives %v", name, got)
		}
		if leaf.IsCA || len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth || leaf.KeyUsage != x509.KeyUsageDigitalSignature {
			t.Errorf("%s can be used for more than a server: %+v", name, leaf)
		}
		if len(leaf.SubjectKeyId) == 0 || len(leaf.AuthorityKeyId) == 0 {
			t.Errorf("%s has no key identifiers", name)
		}
	}
	if a, b := k.Find("app.localhost").Fingerprint(), k.Find("app.example.com").Fingerprint(); len(a) != 64 || a == b {
		t.Errorf("fingerprints %s and %s", a, b)
	}
}

func TestNodesThatStartTogetherShareOneCA(t *testing.T) {
	kv := disk(t)
	keepers := make([]*cert.Keeper, 20)
	var wg sync.WaitGroup
	for i := range keepers {
		wg.Go(func() { keepers[i] = keeper(t, kv, "app.localhost") })
	}
	wg.Wait()
	for _, k := range keepers {
		if !bytes.Equal(k.CAPEM(), keepers[0].CAPEM()) {
			t.Fatal("two nodes have two CAs")
		}
		if err := shake(t, keepers[0], listen(t, k), "app.localhost"); err != nil {
			t.Error(err)
		}
	}
	if again := keeper(t, kv); !bytes.Equal(again.CAPEM(), keepers[0].CAPEM()) {
		t.Error("a restart made a new CA")
	}
}

func TestTheCAsKeyIsSealedAndAnUnusableCAEndsTheStart(t *testing.T) {
	kv := disk(t)
	k := keeper(t, kv)
	item, err := kv.Get(t.Context(), "ca:local")
	if err != nil {
		t.Fatal(err)
	}
	var record struct{ Key []byte }
	if err := json.Unmarshal(item.Value, &record); err != nil || len(record.Key) == 0 {
		t.Fatalf("%s, %v", item.Value, err)
	}
	if _, err := x509.ParsePKCS8PrivateKey(record.Key); err == nil {
		t.Error("the key lies open in the store")
	}
	elsewhere, err := json.Marshal(sealer(t).Seal("ca:other", []byte("a key")))
	if err != nil {
		t.Fatal(err)
	}
	key, _ := json.Marshal(record.Key)
	for what, value := range map[string][]byte{
		"no JSON":                    []byte("{"),
		"nothing":                    []byte("{}"),
		"another's certificate":      bytes.Replace(item.Value, jsonPEM(k), jsonPEM(keeper(t, disk(t))), 1),
		"a key sealed for elsewhere": bytes.Replace(item.Value, key, elsewhere, 1),
	} {
		bad := &memory{item: &store.Item{Key: "ca:local", Value: value, Version: 1}}
		err := cert.New(bad, sealer(t), cert.Options{SelfSigned: day, Log: slog.New(slog.DiscardHandler)}).Load(t.Context())
		if !fault.Is(err, fault.Internal) || bytes.Equal(value, item.Value) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func jsonPEM(k *cert.Keeper) []byte {
	return bytes.ReplaceAll(k.CAPEM(), []byte("\n"), []byte(`\n`))
}

func TestWantKeepsWhatStaysAndForgetsWhatGoes(t *testing.T) {
	k := keeper(t, disk(t), "a.localhost", "b.localhost")
	before := k.Find("a.localhost")
	k.Want(asHosts("a.localhost", "c.localhost"))
	if k.Find("a.localhost") != before {
		t.Error("a host that stays got a new certificate")
	}
	if k.Find("b.localhost") != nil || k.Find("c.localhost") == nil {
		t.Error("the names are not those that were wanted last")
	}
	_, err := k.Get(&tls.ClientHelloInfo{ServerName: "b.localhost"})
	if !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), `"b.localhost"`) {
		t.Error(err)
	}
	if _, err := k.Get(&tls.ClientHelloInfo{}); !fault.Is(err, fault.NotFound) {
		t.Errorf("without a name: %v", err)
	}
}

// Run renews while the roster says other names: neither may undo the other.
func TestRenewalNeverForgetsANameThatIsWantedMeanwhile(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	kv := &memory{}
	k := keeper(t, kv)
	item := *kv.item
	var wg sync.WaitGroup
	wg.Go(func() { _ = k.Run(ctx) })
	wg.Go(func() {
		for ctx.Err() == nil { // each makes Run look at everything again
			_, _ = kv.Commit(ctx, store.Write{Key: item.Key, Value: item.Value, If: store.AnyVersion})
		}
	})
	for i := range 300 {
		name := fmt.Sprintf("n%d.localhost", i)
		k.Want(asHosts(name))
		for begin := time.Now(); time.Since(begin) < 500*time.Microsecond; runtime.Gosched() {
			if k.Find(name) == nil {
				t.Fatalf("%s was forgotten", name)
			}
		}
	}
	cancel()
	wg.Wait()
}

func TestCertificatesAreRenewedWithAThirdOfTheirLifeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		kv := &memory{}
		k := keeper(t, kv, "app.localhost", "app.example.com", "*.localhost")
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		local, public, below := k.Find("app.localhost"), k.Find("app.example.com"), k.Find("x.localhost")
		time.Sleep(59 * day)
		if k.Find("app.localhost") != local || k.Find("x.localhost") != below {
			t.Error("renewed too early")
		}
		kv.setAway(true) // renewal needs no store
		time.Sleep(2 * day)
		for name, old := range map[string]*cert.Served{"app.localhost": local, "x.localhost": below} {
			s := k.Find(name)
			if s == old {
				t.Errorf("%s: not renewed", name)
			}
			if _, err := s.Leaf().Verify(x509.VerifyOptions{Roots: pool(t, k), DNSName: name}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if k.Find("app.example.com") != public {
			t.Error("the longer lived one was renewed with it")
		}
		time.Sleep(200 * day)
		if k.Find("app.example.com") == public {
			t.Error("the self-signed certificate was not renewed")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestACANearItsEndIsReplacedOnAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		kv := &memory{}
		one, two := keeper(t, kv, "app.localhost"), keeper(t, kv, "app.localhost")
		first := one.CAPEM()
		time.Sleep((3650 - 182) * day)
		var wg sync.WaitGroup
		for _, k := range []*cert.Keeper{one, two} {
			wg.Go(func() { _ = k.Run(ctx) })
		}
		time.Sleep(day)
		if !bytes.Equal(one.CAPEM(), first) {
			t.Error("replaced too early")
		}
		time.Sleep(2 * day)
		if bytes.Equal(one.CAPEM(), first) || !bytes.Equal(one.CAPEM(), two.CAPEM()) {
			t.Error("the nodes do not share a new CA")
		}
		for _, k := range []*cert.Keeper{one, two} {
			if _, err := k.Find("app.localhost").Leaf().Verify(x509.VerifyOptions{Roots: pool(t, one), DNSName: "app.localhost"}); err != nil {
				t.Error(err)
			}
		}
		cancel()
		wg.Wait()
	})
}

func TestLocalNamesAreThoseThatNoPublicCAServes(t *testing.T) {
	for name, want := range map[string]bool{
		"localhost": true, "app.localhost": true, "*.localhost": true, "a.test": true, "test": true, "db.internal": true, "x.local": true,
		"nas.home.arpa": true, "a.example": true, "example.com": false, "app.example.com": false, "notlocalhost": false, "localhost.com": false,
		"xtest": false, "arpa": false, "1.in-addr.arpa": false, "intranet": false, "box.lan": false, "a.corp": false, "": false, "*.com": false,
	} {
		if cert.Local(name) != want {
			t.Errorf("Local(%q) is %v", name, !want)
		}
	}
}

func TestAHandshakeForAKnownNameAllocatesNothing(t *testing.T) {
	k := keeper(t, disk(t), "app.localhost")
	hello := &tls.ClientHelloInfo{ServerName: "app.localhost"}
	if n := testing.AllocsPerRun(100, func() { _, _ = k.Get(hello) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever name a stranger sends, the certificate that answers is for that name.
func FuzzGet(f *testing.F) {
	for _, name := range []string{"app.localhost", "x.localhost", ".localhost", "*.localhost", "a.b.localhost", "x.test.", "..", "\x00.localhost", "X.LOCALHOST",
		strings.Repeat("a", 64) + ".localhost", "-.apps.test", "", "xn--bcher-kva.localhost"} {
		f.Add(name)
	}
	k := keeper(f, disk(f), wanted...)
	f.Fuzz(func(t *testing.T, name string) {
		c, err := k.Get(&tls.ClientHelloInfo{ServerName: name})
		if err != nil {
			return
		}
		below := c.Leaf.DNSNames[0]
		if plain := strings.ToLower(strings.TrimSuffix(name, ".")); below != plain && !strings.HasPrefix(below, "*.") {
			t.Errorf("%q is answered for %q", name, below)
		}
	})
}

func BenchmarkWantNewName(b *testing.B) {
	k := keeper(b, disk(b))
	i := 0
	for b.Loop() {
		i++
		k.Want(asHosts(fmt.Sprintf("n%d.localhost", i)))
	}
}
