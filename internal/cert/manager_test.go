package cert

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/cert/acme"
	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

var quiet = slog.New(slog.DiscardHandler)

func realStore(t testing.TB) store.Store {
	t.Helper()
	s, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func oneSealer(t testing.TB) *store.Sealer {
	t.Helper()
	s, err := store.NewSealer([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// nodeOn is a manager on a store, whose authority is nobody: orders fail at once.
func nodeOn(t testing.TB, kv Store, change ...func(*ManagerOptions)) *Manager {
	t.Helper()
	sealer := oneSealer(t)
	keeper := New(kv, sealer, Options{SelfSigned: 365 * aDay, Log: quiet})
	o := ManagerOptions{Store: kv, Sealer: sealer, Keeper: keeper, Log: quiet, KeyType: ECDSAP256, Directory: "https://127.0.0.1:1/dir", Staging: "https://127.0.0.1:1/staging",
		ACME: acme.New(acme.Options{KV: kv, Sealer: sealer, Answers: acme.NewAnswers(kv, sealer, quiet)}), CheckEvery: time.Hour, Threshold: 30 * aDay, Workers: 3}
	for _, c := range change {
		c(&o)
	}
	m := NewManager(o)
	if err := m.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

// running runs managers until the end of the test.
func running(t testing.TB, ms ...*Manager) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, m := range ms {
		all.Go(func() {
			if err := m.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); all.Wait() })
	t.Cleanup(stop)
	return stop
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s", what)
		}
	}
}

// TestTwoNodesMakeOneObjectAndPlaceOneOrder for a host that both serve.
func TestTwoNodesMakeOneObjectAndPlaceOneOrder(t *testing.T) {
	kv := realStore(t)
	var failures atomic.Int64
	count := func(o *ManagerOptions) { o.Note = func(n Note) { failures.Add(1) } }
	a, b := nodeOn(t, kv, count), nodeOn(t, kv, count)
	stop := running(t, a, b)
	hosts := []Wanted{{Name: "app.example.com"}, {Name: "x.localhost"}, {Name: "*.example.net"}, {Name: "one"}}
	a.Want(hosts)
	b.Want(hosts)
	until(t, "failure", func() bool {
		o, err := a.Object(t.Context(), "proxy-app-example-com")
		return err == nil && o.Status == Failed
	})
	until(t, "failure in memory", func() bool { _, renewal := a.State(); return renewal != "ok" })
	a.Want(hosts)
	b.Want(hosts)
	until(t, "news on the other node", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		o := b.objects["proxy-app-example-com"]
		return o != nil && o.Failures > 0
	})
	if kept, renewal := a.State(); kept != 1 || renewal != "1 of the last orders failed" {
		t.Errorf("%d kept: %s", kept, renewal)
	}
	stop()
	if _, renewal := a.State(); renewal != "not running" {
		t.Errorf("after its end: %s", renewal)
	}
	all, err := a.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%v %d objects", err, len(all))
	}
	o := all[0]
	if o.Failures != 1 || failures.Load() != 1 || o.NextTry.Before(time.Now().Add(50*time.Second)) || !strings.Contains(o.Message, "could not be asked") {
		t.Errorf("%d failures, %d told, next try %v: %s", o.Failures, failures.Load(), o.NextTry, o.Message)
	}
	for host, why := range map[string]string{"x.localhost": "local names", "*.example.net": "DNS_PROVIDER", "one": "one label"} {
		if name, got := a.For(Wanted{Name: host}); name != "" || !strings.Contains(got, why) {
			t.Errorf("%s: %q %q", host, name, got)
		}
	}
}

// TestHostsWithOneDashedNameHaveObjectsOfTheirOwn: a.b-c and a-b.c look alike.
func TestHostsWithOneDashedNameHaveObjectsOfTheirOwn(t *testing.T) {
	m := nodeOn(t, realStore(t))
	long := strings.Repeat("a.", 100) + "net"
	running(t, m)
	m.Want([]Wanted{{Name: "a.b-c.net"}, {Name: "a-b.c.net"}, {Name: long}})
	until(t, "three objects", func() bool { kept, _ := m.State(); return kept == 3 })
	for _, host := range []string{"a.b-c.net", "a-b.c.net", long} {
		if name, why := m.For(Wanted{Name: host}); name == "" || why != "" {
			t.Errorf("%s: %q %q", host, name, why)
		}
	}
}

// TestWhatHostsNeedTheirOwn: a certificate that is there or under way serves; one
// that failed, or was uploaded and has ended, does not.
func TestWhatHostsNeedTheirOwn(t *testing.T) {
	m := nodeOn(t, realStore(t))
	for _, o := range []*Object{
		{Name: "wild", Source: SourceACME, Status: Pending, Domains: []string{"*.w.net"}},
		{Name: "broken", Source: SourceACME, Status: Failed, Domains: []string{"broken.net"}},
		{Name: "old", Source: SourceUpload, Status: Active, Domains: []string{"old.net"}, ExpiresAt: time.Now().Add(-time.Hour)},
		{Name: "brought", Source: SourceUpload, Status: Active, Domains: []string{"brought.net"}, ExpiresAt: time.Now().Add(time.Hour)},
		{Name: "proxy-tried-net", Source: SourceACME, Status: Failed, Domains: []string{"tried.net"}},
	} {
		m.objects[o.Name] = o
	}
	var hosts []Wanted
	for _, h := range []string{"a.w.net", "w.net", "b.a.w.net", "broken.net", "old.net", "brought.net", "tried.net", "new.net"} {
		hosts = append(hosts, Wanted{Name: h})
	}
	m.Want(append(hosts, Wanted{Name: "named.net", Object: "brought"}))
	var got []string
	for _, h := range m.uncovered() {
		got = append(got, h.Name)
	}
	if text := strings.Join(got, " "); text != "b.a.w.net broken.net new.net old.net w.net" {
		t.Errorf("%s", text)
	}
}

// TestUploadsAreKeptSealedAndPointedAt, served at once, and leave nothing when
// they are deleted.
func TestUploadsAreKeptSealedAndPointedAt(t *testing.T) {
	kv := realStore(t)
	var log bytes.Buffer
	m := nodeOn(t, kv, func(o *ManagerOptions) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	c := issue(t, nil, time.Now().Add(-time.Hour), time.Now().Add(aDay), nil, "a.example.com", "*.example.org")
	o, err := m.Upload(t.Context(), "Shop", c.leaf+c.ca, c.key, "ann", nil)
	if err != nil {
		t.Fatal(err)
	}
	m.opt.Keeper.Want([]Wanted{{Name: "a.example.com"}, {Name: "b.example.org"}, {Name: "named.net", Object: "shop"}, {Name: "gone.net", Object: "nothing"}})
	for host, object := range map[string]string{"a.example.com": "shop", "b.example.org": "shop", "named.net": "shop", "gone.net": ""} {
		if s := m.opt.Keeper.Find(host); s == nil || s.Object != object {
			t.Errorf("%s is served with %+v", host, s)
		}
	}
	secret := strings.Split(c.key, "\n")[1]
	items, err := kv.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if bytes.Contains(item.Value, []byte(secret)) || bytes.Contains(item.Value, []byte("PRIVATE")) {
			t.Errorf("the key stands in %s in clear", item.Key)
		}
	}
	if text := log.String() + fmt.Sprintf("%+v", m.objects["shop"]); strings.Contains(text, secret) {
		t.Error("the key is in the log or in memory")
	}
	for _, d := range []string{"a.example.com", "*.example.org"} {
		item, err := kv.Get(t.Context(), DomainPrefix+d)
		if err != nil || string(item.Value) != `"shop"` {
			t.Errorf("%s: %v %s", d, err, item.Value)
		}
	}
	var people map[string]any
	if item, err := kv.Get(t.Context(), "cert:shop"); err != nil || json.Unmarshal(item.Value, &people) != nil || people["status"] != "active" {
		t.Errorf("cert:shop is nothing that people can read: %v", err)
	}

	next := issue(t, nil, time.Now().Add(-time.Hour), time.Now().Add(2*aDay), nil, "a.example.com")
	again, err := m.Upload(t.Context(), "other", next.leaf, next.key, "ann", nil)
	if err != nil {
		t.Fatal(err)
	}
	if s := m.opt.Keeper.Find("a.example.com"); s == nil || s.Object != "other" {
		t.Error("the one that lasts longer is not served")
	}
	if _, key, err := m.Export(t.Context(), "other"); err != nil || len(key) == 0 {
		t.Errorf("export: %v", err)
	}
	if err := m.Delete(t.Context(), o.Name); err != nil {
		t.Fatal(err)
	}
	if item, err := kv.Get(t.Context(), DomainPrefix+"a.example.com"); err != nil || string(item.Value) != `"other"` {
		t.Errorf("another's pointer went too: %v %s", err, item.Value)
	}
	if _, err := kv.Get(t.Context(), DomainPrefix+"*.example.org"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a pointer to nothing stayed: %v", err)
	}
	if again.Fingerprint == o.Fingerprint {
		t.Error("they are the same")
	}

	// A value that was changed, or moved from elsewhere, is left out and told of; the rest is served.
	item, err := kv.Get(t.Context(), "cert:other")
	if err != nil {
		t.Fatal(err)
	}
	moved := bytes.ReplaceAll(item.Value, []byte(`"cert_name":"other"`), []byte(`"cert_name":"moved"`))
	for key, value := range map[string][]byte{"cert:moved": moved, "cert:junk": []byte("{")} {
		if _, err := kv.Commit(t.Context(), store.Write{Key: key, Value: value, If: store.AnyVersion}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := m.opt.Keeper.Find("a.example.com"); s == nil || s.Object != "other" {
		t.Error("what can be read is not served any more")
	}
	if text := log.String(); !strings.Contains(text, "junk") || !strings.Contains(text, "moved") {
		t.Errorf("what can't be read is not told of: %s", text)
	}
}

// TestAFailureIsSettledAndARenewalIsNot, so that whoever waits knows what for.
func TestAFailureIsSettledAndARenewalIsNot(t *testing.T) {
	m := nodeOn(t, realStore(t))
	stop := running(t, m)
	o, err := m.Create(t.Context(), Object{Name: "x", Domains: []string{"x.example.com"}, Unchecked: true})
	if err != nil || o.Settled() {
		t.Fatalf("%v %+v", err, o)
	}
	for !o.Settled() {
		if o, err = m.Await(t.Context(), "x", o.Version); err != nil {
			t.Fatal(err)
		}
	}
	if o.Status != Failed {
		t.Fatalf("%+v", o)
	}
	stop()
	if o, err = m.Renew(t.Context(), "x", false, false); err != nil || o.Settled() || !o.NextTry.IsZero() {
		t.Errorf("%v: a try that is asked for is settled at once: %+v", err, o)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if o, err = m.Await(short, "x", o.Version); err != nil || o.Status != Pending {
		t.Errorf("the end of waiting: %v %+v", err, o)
	}
	if _, err := m.Await(t.Context(), "none", 0); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	if _, err := m.Create(t.Context(), Object{Name: "x", Domains: []string{"y.example.com"}}); !fault.Is(err, fault.Exists) {
		t.Errorf("%v", err)
	}
	if _, err := m.Upload(t.Context(), "x", "", "", "", nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}

// TestLateStepsNeverOverwriteTheEnd of an order: what is written down on the way
// is written before it, or not at all.
func TestLateStepsNeverOverwriteTheEnd(t *testing.T) {
	m := nodeOn(t, realStore(t))
	if _, err := m.Create(t.Context(), Object{Name: "x", Domains: []string{"x.example.com"}}); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if _, err := m.change(t.Context(), "x", func(o *Object) { o.Status = Issuing }); err != nil {
			t.Fatal(err)
		}
		p := m.newProgress("x")
		p.tell(Step{Name: "one"})
		p.tell(Step{Name: fmt.Sprint("two", i)})
		steps := p.end()
		if _, err := m.change(t.Context(), "x", func(o *Object) { o.Status, o.Steps = Failed, append(steps, Step{Name: "end"}) }); err != nil {
			t.Fatal(err)
		}
		late := m.newProgress("x") // of an order that lost its lock
		late.tell(Step{Name: "late"})
		time.Sleep(time.Millisecond)
		late.end()
		o, err := m.Object(t.Context(), "x")
		if err != nil || len(o.Steps) != 3 || o.Steps[2].Name != "end" {
			t.Fatalf("%v %+v", err, o.Steps)
		}
	}
}
