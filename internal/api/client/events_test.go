package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/fault"
)

func TestEventsAreReadAsTheStandardSays(t *testing.T) {
	for name, tt := range map[string]struct {
		stream string
		want   []Event
	}{
		"plain":          {"data: a\n\n", []Event{{"message", "", "a"}}},
		"named":          {"event: log\nid: 3\ndata: {}\n\ndata: b\n\n", []Event{{"log", "3", "{}"}, {"message", "3", "b"}}},
		"several lines":  {"data: a\ndata:  b\ndata\n\n", []Event{{"message", "", "a\n b\n"}}},
		"comments":       {": ping\n\ndata: a\n: x\n\n", []Event{{"message", "", "a"}}},
		"other endings":  {"data: a\r\n\r\ndata: b\r\rdata: c\n\n", []Event{{"message", "", "a"}, {"message", "", "b"}, {"message", "", "c"}}},
		"mark":           {"\ufeffdata: a\n\n", []Event{{"message", "", "a"}}},
		"unfinished":     {"data: a\n\ndata: lost\n", []Event{{"message", "", "a"}}},
		"nothing to say": {"event: x\n\n", nil},
	} {
		var got []Event
		err := readEvents(strings.NewReader(tt.stream), func(e Event) error { got = append(got, e); return nil })
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, tt.want)
		}
	}
}

func TestFollowingEndsWhenTheCallerHasEnough(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte("data: 1\n\ndata: 2\n\n"))
		http.NewResponseController(w).Flush()
		if r.URL.Query().Has("stay") {
			<-r.Context().Done()
		}
	}))
	defer s.Close()
	c, err := New(Options{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	enough, seen := errors.New("enough"), 0
	err = c.Stream(t.Context(), Request{Method: "GET", Path: "/events", Query: map[string][]string{"stay": {""}}}, func(Event) error {
		if seen++; seen == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	err = c.Stream(t.Context(), Request{Method: "GET", Path: "/events"}, func(Event) error { return nil })
	if !fault.Is(err, fault.Unavailable) {
		t.Fatalf("the server ended the stream: %v", err)
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add("data: a\r\n\r\nid: \x00\nevent:\ndata\n\n")
	f.Add("\ufeff:\r\r\n\n\rdata:x")
	f.Fuzz(func(t *testing.T, s string) {
		var at1 []Event
		if err := readEvents(strings.NewReader(s), func(e Event) error { at1 = append(at1, e); return nil }); err != nil {
			return
		}
		for _, e := range at1 {
			if e.Type == "" || strings.ContainsAny(e.Type+e.ID, "\r\n") || strings.Contains(e.Data, "\r") {
				t.Fatalf("%q gave %+v", s, e)
			}
		}
		var slow []Event // the same whatever pieces it comes in
		if err := readEvents(oneByte{strings.NewReader(s)}, func(e Event) error { slow = append(slow, e); return nil }); err != nil || !slices.Equal(at1, slow) {
			t.Fatalf("%q: %+v at once, %+v byte by byte (%v)", s, at1, slow, err)
		}
	})
}

type oneByte struct{ r *strings.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }
