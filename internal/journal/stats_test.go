package journal

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gatehouse/internal/fault"
)

func TestStatsCountStoredAndPending(t *testing.T) {
	j, _ := open(t, &memLog{}, Options{})
	write := func(from, to int) {
		for n := from; n < to; n++ {
			j.Write(sample(n))
		}
	}
	write(0, 1700)
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	j.Write(&Entry{Kind: System, Level: "ERROR", Message: "not a request"})
	write(1700, 2000)

	want := Stats{Statuses: map[string]int64{}}
	var durations []float64
	visitors, proxies := map[string]bool{}, map[string]Top{}
	for n := range 2000 {
		e := sample(n)
		want.Requests++
		want.BytesIn += e.BytesIn
		want.BytesOut += e.BytesOut
		top := proxies[e.Proxy]
		top.Name, top.Requests = e.Proxy, top.Requests+1
		if e.Failed() {
			want.Errors++
			top.Errors++
		}
		proxies[e.Proxy] = top
		want.Statuses[statusText(e)[:1]+"xx"]++
		durations = append(durations, e.Duration)
		visitors[e.ClientIP] = true
	}
	got, err := j.Stats(t.Context(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Requests != want.Requests || got.Errors != want.Errors || got.BytesIn != want.BytesIn || got.BytesOut != want.BytesOut ||
		got.Visitors != int64(len(visitors)) || mustJSON(t, got.Statuses) != mustJSON(t, want.Statuses) {
		t.Errorf("got %s\nwant %s", mustJSON(t, got), mustJSON(t, want))
	}
	if len(got.Paths) != 1 || got.Paths[0].Name != "/reports/:id/items" || got.Paths[0].Requests != 2000 || len(got.Users) != topLimit {
		t.Errorf("paths %v, users %v", got.Paths, got.Users)
	}
	for _, top := range got.Proxies {
		if top != proxies[top.Name] {
			t.Errorf("proxy %+v, want %+v", top, proxies[top.Name])
		}
	}
	slices.Sort(durations)
	for _, p := range []struct{ got, at float64 }{{got.DurationMS.P50, .5}, {got.DurationMS.P90, .9}, {got.DurationMS.P99, .99}} {
		exact := durations[int(p.at*2000)]
		if math.Abs(p.got-exact) > exact*.03 {
			t.Errorf("percentile %v = %v, exact %v", p.at, p.got, exact)
		}
	}
	if got.DurationMS.Max != durations[1999] {
		t.Errorf("max %v, want %v", got.DurationMS.Max, durations[1999])
	}
}

func TestStatsFollowTheQuery(t *testing.T) {
	j, _ := open(t, &memLog{}, Options{})
	want := int64(0)
	for n := range 1200 {
		e := sample(n)
		if e.Proxy == "app.example.com" && e.Status >= 400 && e.Status < 500 {
			want++
		}
		j.Write(e)
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := j.Stats(t.Context(), Query{Proxy: "app.example.com", Status: "4xx"})
	if err != nil || got.Requests != want || got.Statuses["4xx"] != want || len(got.Statuses) != 1 {
		t.Errorf("%s, %v; want %d", mustJSON(t, got), err, want)
	}
	none, err := j.Stats(t.Context(), Query{Until: time.Now().Add(-48 * time.Hour)})
	if err != nil || none.Requests != 0 || none.DurationMS != (Percentiles{}) {
		t.Errorf("the day before yesterday: %s, %v", mustJSON(t, none), err)
	}
	if _, err := j.Stats(t.Context(), Query{Status: "bad"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("bad status: %v", err)
	}
}

func TestHistogramsCanBeAdded(t *testing.T) {
	var a, b, both histogram
	for i := range 10000 {
		v := int64(rand.ExpFloat64() * 1e6)
		both.add(v)
		if i%3 == 0 {
			a.add(v)
		} else {
			b.add(v)
		}
	}
	a.merge(&b)
	if a != both {
		t.Error("merged histograms differ from one that saw all")
	}
	for _, v := range []int64{0, 1, 31, 32, 33, 1000, 123456, 1 << 40, math.MaxInt64} {
		if m := classMiddle(histogramClass(v)); math.Abs(float64(m)-float64(v)) > float64(v)*.017 {
			t.Errorf("class of %d has the middle %d", v, m)
		}
	}
}
