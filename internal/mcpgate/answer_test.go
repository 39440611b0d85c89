package mcpgate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func open(tool string) bool { return !strings.HasPrefix(tool, "secret") }

func TestListsAreFiltered(t *testing.T) {
	for in, want := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"secret"},{"name":"b","x":"secret"}],"nextCursor":"c"}}`: `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"b","x":"secret"}],"nextCursor":"c"}}`,
		`{"result":{"tools":[{"name":"secret_1"}, {"name":"secret_2"} ]},"id":1}`:                                                 `{"result":{"tools":[ ]},"id":1}`,
		`{"result":{"tools":[]}}`: `{"result":{"tools":[]}}`,
		`{"result":{"content":[{"type":"text","text":"secret"}],"isError":false}}`:                               `{"result":{"content":[{"type":"text","text":"secret"}],"isError":false}}`,
		`[{"id":1,"result":{"tools":[{"name":"\u0073ecret"}]}},{"id":2,"result":{"tools":[{"name":"a"}]}}]`:      `[{"id":1,"result":{"tools":[]}},{"id":2,"result":{"tools":[{"name":"a"}]}}]`,
		`{"id":1,"error":{"code":-1,"message":"x"}}`:                                                             `{"id":1,"error":{"code":-1,"message":"x"}}`,
		"{ \"result\" : { \"tools\" : [ { \"name\" : \"secret\" } ,\n {\"name\":\"a\"} ] , \"ttlMs\" : 1 } } \n": "{ \"result\" : { \"tools\" : [{\"name\":\"a\"} ] , \"ttlMs\" : 1 } } \n",
		`{"method":"notifications/tools/list_changed"}`:                                                          `{"method":"notifications/tools/list_changed"}`,
	} {
		got, err := filterTools([]byte(in), open)
		if err != nil || string(got) != want {
			t.Errorf("%s\n gives %s, %v\n not   %s", in, got, err, want)
		}
	}
}

// TestUnclearListsAreNotPassedOn: what can't be read in one way only might show a
// tool to somebody who reads it in the other.
func TestUnclearListsAreNotPassedOn(t *testing.T) {
	for _, in := range []string{
		`{"result":{"tools":[{"name":"a"}]},"result":{"tools":[{"name":"secret"}]}}`,
		`{"result":{"tools":[],"tools":[{"name":"secret"}]}}`,
		`{"result":{"Tools":[{"name":"secret"}]}}`,
		`{"Result":{"tools":[{"name":"secret"}]}}`,
		`{"result":{"tools":[{"name":"a","name":"secret"}]}}`,
		`{"result":{"tools":[{"Name":"secret","name":"a"}]}}`,
		`{"result":{"tools":[{"title":"secret"}]}}`,
		`{"result":{"tools":["secret"]}}`,
		`{"result":{"tools":{"secret":{"name":"secret"}}}}`,
		`{"result":{"tools":[{"name":"secret"}]}`,
		`{"result":{}}{"result":{"tools":[{"name":"secret"}]}}`,
		"\xEF\xBB\xBF" + `{"result":{"tools":[{"name":"secret"}]}}`,
		"<html>secret</html>", "",
		`{"result":{"tools":[{"name":"secret\u0000"}]}}`,
	} {
		if got, err := filterTools([]byte(in), open); err == nil {
			t.Errorf("%q is passed on as %q", in, got)
		}
	}
}

// pieces cuts b at random.
func pieces(b []byte, random *rand.Rand) (all [][]byte) {
	for len(b) > 0 {
		n := 1 + random.IntN(len(b))
		if random.IntN(3) == 0 {
			n = 1
		}
		all, b = append(all, b[:n]), b[n:]
	}
	return all
}

const listed = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"secret"}]}}`

func TestEventsAreFilteredHoweverTheyAreWritten(t *testing.T) {
	const rest = "data: {\"method\":\"x\"}\n\n"
	for _, in := range []string{
		"data: " + listed + "\n\n" + rest,
		"data:" + listed + "\n\n" + rest,
		"data: " + listed + "\r\n\r\n" + rest,
		"data: " + listed + "\r\r" + rest,
		"event: message\nid: 7\nretry: 5\ndata: " + listed + "\n\n" + rest,
		"id: 7\ndata: " + strings.Replace(listed, `"tools":`, "\ndata: \"tools\":\ndata:", 1) + "\nevent: message\n\n" + rest,
		": ping\n\ndata: " + listed + "\n\n" + rest,
		"\xEF\xBB\xBFdata: " + listed + "\n\n" + rest,
		"\n\n\ndata\ndata: " + listed + "\n\n" + rest,
		"data: " + strings.Replace(listed, `"secret"`, `"\u0073ecret"`, 1) + "\n\n" + rest,
	} {
		for seed := range uint64(50) {
			s := sieve{visible: open}
			var got []byte
			for _, piece := range pieces([]byte(in), rand.New(rand.NewPCG(seed, 1))) {
				out, err := s.write(piece)
				if err != nil {
					t.Fatalf("%q: %v", in, err)
				}
				got = append(got, out...)
			}
			if bytes.Contains(got, []byte("ecret")) || !bytes.Contains(got, []byte(`{"name":"a"}`)) || !bytes.HasSuffix(got, []byte(rest)) {
				t.Fatalf("%q\n gives %q", in, got)
			}
			if strings.Contains(in, "id: 7") && !bytes.Contains(got, []byte("id: 7\n")) {
				t.Fatalf("%q\n loses its id: %q", in, got)
			}
		}
	}
}

func TestEventsThatCanNotBeJudgedEndTheStream(t *testing.T) {
	for _, in := range []string{
		"data: {\"result\":{\"tools\":[{\"name\":\"secret\"}]}\n\n",
		"data: {\"result\":{\"Tools\":[{\"name\":\"secret\"}]}}\n\n",
		"data: \xFF\xFE{\n\n",
		"data: [1]\n\n",
	} {
		s := sieve{visible: open}
		if out, err := s.write([]byte(in)); err == nil {
			t.Errorf("%q is passed on as %q", in, out)
		}
	}
	s := sieve{visible: open}
	var err error
	for range maxAnswer/(64<<10) + 2 {
		if _, err = s.write(bytes.Repeat([]byte("x"), 64<<10)); err != nil {
			break
		}
	}
	if err == nil || len(s.event) > maxAnswer+(64<<10) {
		t.Errorf("an event without end is held: %d bytes, %v", len(s.event), err)
	}
}

func TestOtherEventsPassAsTheyAre(t *testing.T) {
	in := ": hello\r\n\r\nevent: endpoint\ndata: /messages?session=1\n\nid: 3\ndata:\n\nevent: message\rdata: {\"id\":1,\"result\":{\"content\":[]}}\r\r"
	s := sieve{visible: open}
	got, err := s.write([]byte(in))
	if err != nil || string(got) != in {
		t.Errorf("%q\n gives %q, %v", in, got, err)
	}
}

// answers are JSON texts and what a scanner must tell of them.
var answers = map[string][]outcome{
	`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"isError\":true"}],"isError":true}}`:                 {{id: "7", isError: true, reply: true}},
	`{"jsonrpc":"2.0","id":7,"result":{"content":[{"isError":true}],"structuredContent":{"isError":true,"id":9}}}`:           {{id: "7", reply: true}},
	`{"error":{"code":-1,"message":"\"id\":3"},"id":"x\"y"}`:                                                                 {{id: `"x\"y"`, isError: true, reply: true}},
	`[{"id":1,"result":{"isError" : true }},{"id":2,"result":{}},{"method":"n"},{"id":3,"method":"sampling/createMessage"}]`: {{id: "1", isError: true, reply: true}, {id: "2", reply: true}},
	`{"id":5,"method":"elicitation/create","params":{"result":{"isError":true}}}`:                                            nil,
	`{"result":{"isError":false},"id":null}`:                                                                                 {{id: "null", reply: true}},
	`{"result":"done","id":4}`:                                                                                               {{id: "4", reply: true}},
	`{"id":1,"result":{"a":{"b":[[[{"c":"\\"}]]]},"isError":true}}`:                                                          {{id: "1", isError: true, reply: true}},
	"<html>": nil, "": nil, "}{": nil, `{"id":1`: nil,
}

func TestAnswersAreUnderstoodWhileTheyStreamBy(t *testing.T) {
	for in, want := range answers {
		for seed := range uint64(50) {
			random := rand.New(rand.NewPCG(seed, 2))
			var got, fromEvents []outcome
			s := scanner{tell: func(o outcome) { got = append(got, o) }}
			for _, piece := range pieces([]byte(in), random) {
				s.write(piece)
			}
			w := watcher{scan: scanner{tell: func(o outcome) { fromEvents = append(fromEvents, o) }}}
			for _, piece := range pieces([]byte(": ping\n\nid: 1\ndata: "+in+"\r\n\r\nevent: x\ndata:{\"method\":\"m\"}\n\n"), random) {
				w.write(piece)
			}
			if !slices.Equal(got, want) || !slices.Equal(fromEvents, want) {
				t.Fatalf("%s\n gives %+v, in events %+v\n not   %+v", in, got, fromEvents, want)
			}
		}
	}
}

func TestWatchingHoldsLittle(t *testing.T) {
	s := scanner{tell: func(outcome) {}}
	s.write([]byte(`{"id":1,"result":{"content":[{"text":"`))
	piece := bytes.Repeat([]byte(`aaaa\"\\`), 4<<10)
	if n := testing.AllocsPerRun(100, func() { s.write(piece) }); n > 0 {
		t.Errorf("a piece costs %v allocations", n)
	}
	s.write([]byte(strings.Repeat("[", 1<<20)))
	if len(s.stack) > maxDepth {
		t.Errorf("%d containers are remembered", len(s.stack))
	}
}

func FuzzAnswers(f *testing.F) {
	for in := range answers {
		f.Add([]byte(in), uint64(1))
	}
	f.Add([]byte("data: "+listed+"\n\n"), uint64(2))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 3))
		var whole, parts []outcome
		s := scanner{tell: func(o outcome) { whole = append(whole, o) }}
		s.write(in)
		s = scanner{tell: func(o outcome) { parts = append(parts, o) }}
		for _, piece := range pieces(in, random) {
			s.write(piece)
		}
		if !slices.Equal(whole, parts) {
			t.Fatalf("%q: %+v as a whole, %+v in pieces", in, whole, parts)
		}
		one, err1 := (&sieve{visible: open}).write(in)
		two := sieve{visible: open}
		var out []byte
		var err2 error
		for _, piece := range pieces(in, random) {
			var kept []byte
			if kept, err2 = two.write(piece); err2 != nil {
				break
			}
			out = append(out, kept...)
		}
		if (err1 == nil) != (err2 == nil) || (err1 == nil && !bytes.Equal(one, out)) {
			t.Fatalf("%q: %q, %v as a whole, %q, %v in pieces", in, one, err1, out, err2)
		}
		noSecret(t, out)
		if kept, err := filterTools(in, open); err == nil {
			leaks(t, kept)
		}
	})
}

// noSecret wants no denied tool in any event of a stream.
func noSecret(t *testing.T, stream []byte) {
	t.Helper()
	for event := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(stream)), "\n\n") {
		var data []string
		for line := range strings.SplitSeq(event, "\n") {
			if value, ok := strings.CutPrefix(line, "data:"); ok {
				data = append(data, strings.TrimPrefix(value, " "))
			}
		}
		leaks(t, []byte(strings.Join(data, "\n")))
	}
}

// leaks wants no denied tool in an answer, as encoding/json reads it.
func leaks(t *testing.T, answer []byte) {
	t.Helper()
	var one struct {
		Result struct {
			Tools []struct {
				Name string `json:"name"`
			} `json:"tools"`
		} `json:"result"`
	}
	if json.Unmarshal(answer, &one) != nil {
		return
	}
	for _, tool := range one.Result.Tools {
		if !open(tool.Name) {
			t.Fatalf("%s shows %s", answer, fmt.Sprint(tool))
		}
	}
}
