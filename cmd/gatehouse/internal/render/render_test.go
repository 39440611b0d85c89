package render

import (
	"encoding/csv"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

const hosts = `{"items":[` +
	`{"proxy_hostname":"a.localhost","enabled":true,"status":200,"created_at":"2026-01-02T11:57:00Z","duration_ms":3.25,"tags":["x","y"]},` +
	`{"proxy_hostname":"b.localhost","enabled":false,"status":502,"created_at":"2026-01-31T12:00:00Z","duration_ms":12345,"note":"=1+1"}` +
	`],"cursor":""}`

var hostsView = View{List: "items", Empty: "no hosts", Columns: []Column{
	{Title: "HOST", Field: "proxy_hostname"}, {Title: "ON", Field: "enabled", As: YesNo}, {Title: "STATUS", Field: "status", As: Status},
	{Title: "CREATED", Field: "created_at", As: When}, {Title: "TIME", Field: "duration_ms", As: Millis},
}}

func printed(t *testing.T, p Printer, answer string, v View) string {
	t.Helper()
	var b strings.Builder
	p.Out, p.Now = &b, noon
	if err := p.Print(json.RawMessage(answer), v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTablesAreForPeople(t *testing.T) {
	want := "HOST         ON   STATUS  CREATED    TIME\n" +
		"a.localhost  yes  200     3 min ago  3.2 ms\n" +
		"b.localhost  no   502     in 29 d    12.3 s\n"
	if got := printed(t, Printer{Format: Table}, hosts, hostsView); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := printed(t, Printer{Format: Table}, `{"items":[]}`, hostsView); got != "no hosts\n" {
		t.Errorf("empty list: %q", got)
	}
	if got := printed(t, Printer{Format: Table, Color: true}, hosts, hostsView); !strings.Contains(got, "\x1b[31m502\x1b[0m") {
		t.Errorf("a failure is not red: %q", got)
	}
}

func TestTablesFitTheTerminal(t *testing.T) {
	long := `{"items":[{"proxy_hostname":"` + strings.Repeat("ü界", 60) + `","enabled":true,"status":200,"created_at":"","duration_ms":1}]}`
	for line := range strings.Lines(printed(t, Printer{Format: Table, Width: 60}, long, hostsView)) {
		if n := utf8.RuneCountInString(line); n > 61 {
			t.Errorf("%d characters in a terminal of 60: %s", n, line)
		}
	}
}

func TestOneObjectShowsWhatItHolds(t *testing.T) {
	got := printed(t, Printer{Format: Table}, `{"name":"x","on":true,"none":null,"empty":"","list":[1,2],"o":{"a":1,"b":{"c":true},"none":{}},"keys":[{"kid":"k"},{"kid":"l"}],"updated_at":"2026-01-02T11:00:00Z"}`, View{})
	want := "name        x\non          yes\nlist        1, 2\no.a         1\no.b.c       yes\nkeys.1.kid  k\nkeys.2.kid  l\nupdated_at  1 h ago\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestAutoIsATableOnATerminalAndJSONInAPipe(t *testing.T) {
	if got := (&Printer{Format: Auto, Terminal: true}).Effective(); got != Table {
		t.Errorf("terminal: %s", got)
	}
	if got := printed(t, Printer{Format: Auto}, hosts, hostsView); got != hosts+"\n" {
		t.Errorf("a pipe gets the answer as it came, got %s", got)
	}
}

// hostile is what a stranger may get into a log.
const hostile = "a\x1b]0;owned\x07\x9b31m\u202e\u0085\u200b\r\n\x7f\U000e0041"

func TestNoControlCharacterReachesATerminal(t *testing.T) {
	raw, err := json.Marshal(map[string]any{"items": []any{map[string]any{"proxy_hostname": hostile, "\u202ename": hostile}}})
	if err != nil {
		t.Fatal(err)
	}
	answer := strings.ReplaceAll(string(raw), `\u202e`, "\u202e") // as other encoders write them
	for _, f := range []Format{Table, JSON, YAML, CSV} {
		for name, v := range map[string]View{"list": hostsView, "object": {}} {
			got := printed(t, Printer{Format: f, Terminal: true}, answer, v)
			for _, r := range got {
				if r != '\n' && (r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || r == 0x202e || r == 0x200b || r == 0xe0041) {
					t.Errorf("%s of a %s prints %U: %q", f, name, r, got)
					break
				}
			}
		}
	}
}

func TestEscapesMeanTheSame(t *testing.T) {
	raw, err := json.Marshal(map[string]any{"s": hostile + "界\u2028😀", "n": 1.5, "l": []any{nil, true, "yes", "012", "null", ""}})
	if err != nil {
		t.Fatal(err)
	}
	var want, fromJSON, fromYAML any
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(printed(t, Printer{Format: JSON, Terminal: true}, string(raw), View{})), &fromJSON); err != nil || !reflect.DeepEqual(want, fromJSON) {
		t.Errorf("JSON: %v, %v", fromJSON, err)
	}
	for _, terminal := range []bool{true, false} {
		text := printed(t, Printer{Format: YAML, Terminal: terminal}, string(raw), View{})
		if err := yaml.Unmarshal([]byte(text), &fromYAML); err != nil || !reflect.DeepEqual(want, fromYAML) {
			t.Errorf("YAML: %v, %v from %s", fromYAML, err, text)
		}
	}
}

func TestYAMLKeepsTheOrder(t *testing.T) {
	got := printed(t, Printer{Format: YAML}, `{"z":1,"a":{"c":[{"b":"x"}],"e":[]},"on":"on"}`, View{})
	if want := "z: 1\na:\n  c:\n    - b: x\n  e: []\n\"on\": \"on\"\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestCSVHasEveryMemberAndNoFormula(t *testing.T) {
	table, err := csv.NewReader(strings.NewReader(printed(t, Printer{Format: CSV}, hosts, hostsView))).ReadAll()
	if err != nil || len(table) != 3 {
		t.Fatalf("%v, %v", table, err)
	}
	want := [][]string{
		{"proxy_hostname", "enabled", "status", "created_at", "duration_ms", "tags", "note"},
		{"a.localhost", "true", "200", "2026-01-02T11:57:00Z", "3.25", "x, y", ""},
		{"b.localhost", "false", "502", "2026-01-31T12:00:00Z", "12345", "", "'=1+1"},
	}
	if !reflect.DeepEqual(table, want) {
		t.Errorf("%q", table)
	}
}

func TestEntriesOfAStreamAreLines(t *testing.T) {
	var b strings.Builder
	columns := []Column{{Field: "time", As: Clock, Width: 12}, {Field: "status", As: Status, Width: 6}, {Field: "path"}}
	p := Printer{Out: &b, Format: Auto}
	if err := p.Entry(json.RawMessage("{\n\"status\":404}"), columns); err != nil || b.String() != "{\"status\":404}\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	b.Reset()
	p.Terminal = true
	entry := json.RawMessage(`{"status":404,"path":"/a\u0001"}`)
	if err := p.Entry(entry, columns); err != nil || b.String() != strings.Repeat(" ", 14)+"404     /a\\x01\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func FuzzPrint(f *testing.F) {
	f.Add(hosts)
	f.Add(`{"items":[{"a":"\u001b","b":[{"c":null}]}]}`)
	f.Fuzz(func(t *testing.T, s string) {
		if !json.Valid([]byte(s)) {
			return
		}
		for _, format := range []Format{Table, JSON, YAML, CSV} {
			for _, v := range []View{{}, hostsView} {
				var b strings.Builder
				p := Printer{Out: &b, Format: format, Terminal: true, Now: noon}
				if p.Print(json.RawMessage(s), v) != nil {
					continue
				}
				if strings.ContainsFunc(b.String(), func(r rune) bool { return r < ' ' && r != '\n' || 0x7f <= r && r < 0xa0 }) {
					t.Fatalf("%s of %q prints control characters: %q", format, s, b.String())
				}
			}
		}
	})
}
