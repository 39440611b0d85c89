package mcpgate

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestMessagesAreRead(t *testing.T) {
	p, err := Parse([]byte(` {"jsonrpc":"2.0","id":"a\u0062","method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","x":{"method":"y"}},"name":"\u0061dd","arguments":{"name":"z","Name":"Z","method":"m"}}}` + "\n"))
	if err != nil || p.Batch || len(p.Messages) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	want := Message{Method: "tools/call", ID: `"a\u0062"`, Name: "add", Tool: "add", Version: "2026-07-28"}
	if p.Messages[0] != want {
		t.Errorf("%+v, not %+v", p.Messages[0], want)
	}
	p, err = Parse([]byte(`[{"method":"tools/list","id":1},{"id":2,"result":{}},{"method":"notifications/x"},{"params":{"name":"add"},"method":"tools/call","id":3}]`))
	if err != nil || !p.Batch || len(p.Messages) != 4 || p.Messages[3].Tool != "add" || !p.Messages[1].Reply || p.Messages[2].ID != "" {
		t.Errorf("%+v, %v", p, err)
	}
}

// ambiguous are bodies that two programs could read differently.
var ambiguous = map[string]string{
	"a method twice":              `{"method":"tools/list","method":"tools/call","params":{"name":"x"}}`,
	"a name twice":                `{"method":"tools/call","params":{"name":"a","name":"b"}}`,
	"a name twice, once escaped":  `{"method":"tools/call","params":{"name":"a","\u006eame":"b"}}`,
	"params twice":                `{"method":"tools/call","params":{"name":"a"},"params":{"name":"b"}}`,
	"an argument twice":           `{"method":"tools/call","params":{"name":"a","arguments":{"x":1,"x":2}}}`,
	"Method":                      `{"Method":"tools/call","method":"ping","params":{"name":"a"}}`,
	"METHOD alone":                `{"METHOD":"tools/call","params":{"name":"a"}}`,
	"Params":                      `{"method":"tools/call","Params":{"name":"a"}}`,
	"Name":                        `{"method":"tools/call","params":{"Name":"a","name":"b"}}`,
	"a long s folds to s":         `{"method":"tools/call","param\u017f":{"name":"a"}}`,
	"tools/Call":                  `{"method":"tools/Call","params":{"name":"a"}}`,
	"a byte order mark":           "\xEF\xBB\xBF" + `{"method":"tools/call","params":{"name":"a"}}`,
	"UTF-16":                      "\xFF\xFE{\x00\"\x00",
	"UTF-16 without a mark":       "{\x00\"\x00m\x00",
	"bytes that are not UTF-8":    "{\"method\":\"tools/call\",\"params\":{\"name\":\"\xC0\xAF\"}}",
	"half a surrogate":            `{"method":"tools/call","params":{"name":"\ud800"}}`,
	"a NUL in the name":           `{"method":"tools/call","params":{"name":"add\u0000x"}}`,
	"a newline in the method":     `{"method":"tools/call\n","params":{"name":"a"}}`,
	"a second value":              `{"method":"ping"}{"method":"tools/call","params":{"name":"a"}}`,
	"a second line":               "{\"method\":\"ping\"}\n{\"method\":\"tools/call\"}",
	"a comment":                   `{"method":"ping"/*,"method":"tools/call"*/}`,
	"single quotes":               `{'method':'tools/call'}`,
	"no quotes":                   `{method:"tools/call"}`,
	"a comma too many":            `{"method":"ping",}`,
	"NaN":                         `{"method":"ping","id":NaN}`,
	"a batch in a batch":          `[[{"method":"tools/call","params":{"name":"a"}}]]`,
	"a batch of strings":          `["tools/call"]`,
	"a bad one in a batch":        `[{"method":"ping"},{"method":"tools/call","method":"x"}]`,
	"an empty batch":              `[]`,
	"a huge batch":                "[" + strings.Repeat(`{"method":"x"},`, maxBatch) + `{"method":"x"}]`,
	"a string":                    `"tools/call"`,
	"nothing":                     ``,
	"blanks":                      `   `,
	"half of it":                  `{"method":"tools/call","params":{"name":"a"`,
	"a method that is a list":     `{"method":["tools/call"],"params":{"name":"a"}}`,
	"an id that is an object":     `{"method":"tools/call","id":{"a":1},"params":{"name":"a"}}`,
	"an id without end":           `{"method":"ping","id":"` + strings.Repeat("x", maxID) + `"}`,
	"deep":                        `{"method":"ping","params":` + strings.Repeat(`[`, 20000) + strings.Repeat(`]`, 20000) + `}`,
	"_meta in another case":       `{"method":"ping","params":{"_Meta":{}}}`,
	"a version in another case":   `{"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolversion":"2026-07-28"}}}`,
	"a name in a batch, NAME too": `[{"method":"tools/call","params":{"name":"a","NAME":"b"}}]`,
}

func TestWhatCouldBeReadInTwoWaysIsRefused(t *testing.T) {
	for name, body := range ambiguous {
		if p, err := Parse([]byte(body)); err == nil {
			t.Errorf("%s: taken as %+v", name, p)
		} else if strings.Contains(err.Error(), "tools/call\"") {
			t.Errorf("%s: the error repeats what came: %v", name, err)
		}
	}
}

// FuzzParse: what is taken means the same to the parser that most Go backends have.
func FuzzParse(f *testing.F) {
	for _, body := range ambiguous {
		f.Add([]byte(body))
	}
	f.Add([]byte(`[{"method":"tools/call","id":3,"params":{"name":"add","_meta":{}}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		Glance(body)
		p, err := Parse(body)
		if err != nil {
			return
		}
		type message struct {
			Method string          `json:"method"`
			Params json.RawMessage `json:"params"`
		}
		var all []message
		if p.Batch {
			err = json.Unmarshal(body, &all)
		} else {
			all = make([]message, 1)
			err = json.Unmarshal(body, &all[0])
		}
		if err != nil || len(all) != len(p.Messages) {
			t.Fatalf("%q is taken, and is no JSON to others: %v", body, err)
		}
		for i, m := range all {
			var params struct {
				Name any `json:"name"`
			}
			_ = json.Unmarshal(m.Params, &params) // may be anything but an object
			name, _ := params.Name.(string)
			if m.Method != p.Messages[i].Method || name != p.Messages[i].Name {
				t.Fatalf("%q: %q and %q to others, %+v here", body, m.Method, name, p.Messages[i])
			}
		}
	})
}
