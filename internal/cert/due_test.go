package cert

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

const aDay = 24 * time.Hour

// issuedAt is an object with a certificate of a lifetime, obtained at noon.
func issuedAt(life time.Duration) *Object {
	return &Object{Name: "x", Source: SourceACME, Chain: "kept", CreatedAt: noon.Add(-time.Hour), ObtainedAt: noon, IssuedAt: noon, ExpiresAt: noon.Add(life)}
}

func TestRenewalIsDueAtTheThresholdOrAThirdOrTheAuthoritysWindow(t *testing.T) {
	for _, c := range []struct {
		what string
		o    *Object
		want time.Time
	}{
		{"90 days", issuedAt(90 * aDay), noon.Add(60 * aDay)},
		{"a year", issuedAt(365 * aDay), noon.Add(335 * aDay)},
		{"6 days", issuedAt(6 * aDay), noon.Add(4 * aDay)},
		{"2 minutes", issuedAt(2 * time.Minute), noon.Add(80 * time.Second)},
		{"none yet", &Object{Source: SourceACME, CreatedAt: noon}, noon},
		{"uploaded", &Object{Source: SourceUpload, Chain: "kept", ExpiresAt: noon}, never},
		{"after a failure", func() *Object { o := issuedAt(90 * aDay); o.NextTry = noon.Add(61 * aDay); return o }(), noon.Add(61 * aDay)},
		{"forced", func() *Object { o := issuedAt(90 * aDay); o.Forced = true; return o }(), time.Time{}},
		{"window without an end", func() *Object { o := issuedAt(90 * aDay); o.Window = &Window{Start: noon, End: noon}; return o }(), noon.Add(60 * aDay)},
		{"window after the end", func() *Object {
			o := issuedAt(90 * aDay)
			o.Window = &Window{Start: noon.Add(100 * aDay), End: noon.Add(101 * aDay)}
			return o
		}(), noon.Add(81 * aDay)},
	} {
		if got := c.o.due(30 * aDay); !got.Equal(c.want) {
			t.Errorf("%s: %v, not %v", c.what, got, c.want)
		}
	}
	minutes := issuedAt(2 * time.Minute)
	minutes.Window = &Window{Start: noon.Add(119 * time.Second), End: noon.Add(120 * time.Second)}
	if got := minutes.due(30 * aDay); !got.Equal(noon.Add(80 * time.Second)) {
		t.Errorf("a window in the last second of two minutes: %v", got)
	}
	o := issuedAt(90 * aDay)
	o.Window = &Window{Start: noon.Add(10 * aDay), End: noon.Add(12 * aDay)}
	first := o.due(30 * aDay)
	if first.Before(o.Window.Start) || first.After(o.Window.End) {
		t.Errorf("%v is not in the window", first)
	}
	other := *o
	other.Name = "y"
	if other.due(30 * aDay).Equal(first) {
		t.Error("all certificates are renewed at the same moment of the window")
	}
	if !o.due(30 * aDay).Equal(first) {
		t.Error("two nodes choose different moments")
	}
}

// TestAnAuthorityWhoseWindowsAreAlwaysPastIsNotAskedWithoutEnd: more and more time
// passes between renewals that it alone wants.
func TestAnAuthorityWhoseWindowsAreAlwaysPastIsNotAskedWithoutEnd(t *testing.T) {
	o := issuedAt(90 * aDay)
	o.Window = &Window{Start: noon.Add(-2 * aDay), End: noon.Add(-aDay)}
	for early, want := range map[int]time.Time{0: noon, 1: noon.Add(time.Minute), 4: noon.Add(8 * time.Minute), 50: noon.Add(aDay)} {
		o.Early = early
		got := o.due(30 * aDay)
		if early == 0 {
			if got.After(noon) {
				t.Errorf("the first waits until %v", got)
			}
		} else if !got.Equal(want) {
			t.Errorf("after %d: %v, not %v", early, got, want)
		}
	}
	short := issuedAt(2 * time.Minute) // whose windows are always early
	short.Window, short.Early = &Window{Start: noon.Add(30 * time.Second), End: noon.Add(40 * time.Second)}, 20
	if got := short.due(30 * aDay); !got.Equal(noon.Add(80 * time.Second)) {
		t.Errorf("two minutes, always early: %v", got)
	}
	if !o.early(30*aDay, noon) || o.early(30*aDay, noon.Add(70*aDay)) {
		t.Error("early is not what comes before its own time")
	}
}

func TestBackoffGoesFromAMinuteToADay(t *testing.T) {
	last := time.Duration(0)
	for failures, want := range map[int]time.Duration{0: 0, 1: time.Minute, 2: 2 * time.Minute, 5: 16 * time.Minute, 11: 1024 * time.Minute, 12: aDay, 1000: aDay} {
		if got := backoff(failures); got != want {
			t.Errorf("%d: %v, not %v", failures, got, want)
		}
	}
	for failures := range 70 {
		if got := backoff(failures); got < last || got > aDay {
			t.Errorf("%d: %v after %v", failures, got, last)
		} else {
			last = got
		}
	}
}

// TestPatienceEndsBeforeAValidCertificateDoes, and does not end at all for one that
// has ended or never was.
func TestPatienceEndsBeforeAValidCertificateDoes(t *testing.T) {
	for _, c := range []struct {
		left     time.Duration
		failures int
		want     time.Duration
	}{
		{30 * aDay, 3, 4 * time.Minute}, {30 * aDay, 30, aDay}, {2 * aDay, 30, 288 * time.Minute}, {40 * time.Second, 1, 5 * time.Second},
		{5 * time.Minute, 9, 30 * time.Second}, {-time.Hour, 9, 256 * time.Minute},
	} {
		o := &Object{Chain: "kept", Failures: c.failures, ExpiresAt: noon.Add(c.left)}
		if got := o.patience(noon); got != c.want {
			t.Errorf("%v left, %d failures: %v, not %v", c.left, c.failures, got, c.want)
		}
	}
	if got := (&Object{Failures: 9}).patience(noon); got != 256*time.Minute {
		t.Errorf("without a certificate: %v", got)
	}
}
