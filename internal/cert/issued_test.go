package cert

import (
	"testing"
	"time"
)

// one is a certificate for names as it is served.
func one(t testing.TB, object string, from, to time.Time, staging bool, names ...string) *Served {
	t.Helper()
	c := issue(t, nil, from, to, nil, names...)
	b, err := readBundle(c.leaf, c.key, from.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	s := b.served(KindIssued, staging)
	s.Object = object
	return s
}

func TestWhichIssuedCertificateAHostGets(t *testing.T) {
	now := time.Now()
	from := now.Add(-10 * aDay)
	byName := map[string]*Served{}
	for _, s := range []*Served{
		one(t, "short", from, now.Add(aDay), false, "a.net", "b.net"),
		one(t, "long", from, now.Add(9*aDay), false, "a.net"),
		one(t, "wild", from, now.Add(aDay), false, "*.w.net"),
		one(t, "exact", from, now.Add(aDay), false, "x.w.net"),
		one(t, "trial", from, now.Add(99*aDay), true, "a.net", "t.net"),
		one(t, "ended", from, now.Add(-aDay), false, "b.net", "t.net", "e.net"),
	} {
		byName[s.Object] = s
	}
	ix := indexed(byName, now)
	for _, c := range []struct{ host, object, want string }{
		{"a.net", "", "long"},       // of two the one that lasts longer, before any for trials
		{"b.net", "", "short"},      // never one that has ended
		{"t.net", "", "trial"},      // one for trials before one that has ended
		{"e.net", "", ""},           // has ended
		{"e.net", "ended", "ended"}, // but it is named
		{"x.w.net", "", "exact"},    // the name itself before a wildcard
		{"y.w.net", "", "wild"},     //
		{"*.w.net", "", "wild"},     //
		{"w.net", "", ""},           // a wildcard is for names below
		{"z.y.w.net", "", ""},       // one label below
		{"a.net", "wild", "wild"},   // what the host says
		{"a.net", "gone", "long"},   // what it says is not there
		{"unknown.net", "", ""},     //
		{"unknown.net", "gone", ""}, //
	} {
		got := ""
		if s := ix.pick(Wanted{Name: c.host, Object: c.object}, now); s != nil {
			got = s.Object
		}
		if got != c.want {
			t.Errorf("%s (%s): %q, not %q", c.host, c.object, got, c.want)
		}
	}
	if s := ix.pick(Wanted{Name: "a.net"}, now.Add(20*aDay)); s != nil {
		t.Errorf("one that ends later is served after its end: %s", s.Object)
	}
}
