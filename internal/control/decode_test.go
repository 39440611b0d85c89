package control

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
)

type sample struct {
	Name  string   `json:"name"`
	Count int      `json:"count,omitempty"`
	List  []string `json:"list,omitempty"`
	Inner struct {
		On bool `json:"on"`
	} `json:"inner"`
}

func TestDecodeIsStrict(t *testing.T) {
	for raw, want := range map[string]struct {
		kind fault.Kind
		says string
	}{
		`{"name":"a","count":3,"list":["x"],"inner":{"on":true}}`: {}, `{}`: {}, ``: {}, " \n": {}, `{"list":null}`: {},
		`{"Name":"a"}`:              {fault.Invalid, "Name: is not a field"},
		`{"name":"a","name":"b"}`:   {fault.Invalid, "name: stands there twice"},
		`{"inner":{"on":1}}`:        {fault.Invalid, "inner.on: is true or false"},
		`{"inner":{"off":true}}`:    {fault.Invalid, "inner.off: is not a field"},
		`{"inner":{"on":1,"on":1}}`: {fault.Invalid, "inner.on: stands there twice"},
		`{"count":"3"}`:             {fault.Invalid, "count: is a whole number"},
		`{"count":3.5}`:             {fault.Invalid, "count: is a whole number"},
		`{"count":1e99}`:            {fault.Invalid, "count: is a whole number"},
		`{"list":["a",1]}`:          {fault.Invalid, "list[1]: is a string"},
		`{"list":"a"}`:              {fault.Invalid, "list: is a list"},
		`{"name":{}}`:               {fault.Invalid, "name: is a string"},
		`[]`:                        {fault.Malformed, "must be a JSON object"},
		`null`:                      {fault.Malformed, "must be a JSON object"},
		`{`:                         {fault.Malformed, "can't be read"},
		`{"name":"a"}x`:             {fault.Malformed, ""},
		`{"name":"a",}`:             {fault.Malformed, "can't be read"},
		`{'name':1}`:                {fault.Malformed, "can't be read"},
		"{\"name\":\"\xff\"}":       {fault.Malformed, "can't be read"},
		`{"name":"\ud800"}`:         {fault.Malformed, "can't be read"},
		`{"list":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`: {fault.Malformed, "deeper than 32"},
	} {
		var in sample
		err := Decode([]byte(raw), &in)
		if want.kind == 0 && want.says == "" {
			if err != nil {
				t.Errorf("%s: %v", raw, err)
			}
			continue
		}
		if !fault.Is(err, want.kind) || !strings.Contains(fault.ProblemOf(err).Detail, want.says) {
			t.Errorf("%s: %v; want %v …%s…", raw, err, want.kind, want.says)
		}
	}
}

func TestArgumentsComeFromPathQueryAndBody(t *testing.T) {
	o := op("get_x", get, "/x/{ip}", User, "X.", new(Control).GetLogs)
	raw, err := o.Arguments(map[string]string{"ip": "127.0.0.1"}, map[string][]string{"limit": {"5"}, "errors": {"true"}, "hours": {"1.5"}, "q": {"a:b c"}, "since": {"2026-01-02T03:04:05Z"}, "kind": {"audit"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	in, err := o.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	q := in.(journal.Query)
	if q.IP != "127.0.0.1" || q.Limit != 5 || !q.Errors || q.Hours != 1.5 || q.Q != "a:b c" || q.Since.Year() != 2026 || q.Kind != journal.Audit {
		t.Errorf("%+v", q)
	}
	if _, err := o.Arguments(nil, map[string][]string{"hours": {"soon"}, "errors": {"maybe"}}, nil); err == nil || len(fault.ProblemOf(err).Errors) != 2 {
		t.Errorf("not all is told: %v", err)
	}
}

func TestListsInAQueryAreRepeatedOrCommaSeparated(t *testing.T) {
	type lists struct {
		Names []string `json:"names"`
	}
	o := op("get_y", get, "/y", User, "Y.", func(_ context.Context, in lists) (lists, error) { return in, nil })
	raw, err := o.Arguments(nil, map[string][]string{"names": {"a,b", "c"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	in, err := o.Decode(raw)
	if err != nil || !reflect.DeepEqual(in, lists{[]string{"a", "b", "c"}}) {
		t.Errorf("%v %v", in, err)
	}
}

// Whatever strangers send to any operation is decoded or refused as the input's
// fault, never ours.
func FuzzDecode(f *testing.F) {
	for _, raw := range []string{
		`{"proxy_hostname":"a.test","target_url":"http://x"}`, `{"if_match":"1","hostname":"a"}`, `{"a":[{"b":[1,2,{"c":null}]}]}`, `{"limit":5}`, `{"name":"x","password":"y"}`,
		`{"proxies":[{"proxy_hostname":"a"}],"routes":[{}]}`, `{"a":1,"a":2}`, "{\"a\":\"\xff\"}", `[[[[`, `{"exported_at":5}`,
	} {
		f.Add([]byte(raw))
	}
	operations := new(Control).list()
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, o := range operations {
			in, err := o.Decode(raw)
			if err == nil {
				if _, err := json.Marshal(in); err != nil {
					t.Fatalf("%s takes %q and can't write it: %v", o.Name, raw, err)
				}
				continue
			}
			if kind := fault.KindOf(err); kind != fault.Invalid && kind != fault.Malformed {
				t.Fatalf("%s refuses %q as %v: %v", o.Name, raw, kind, err)
			}
		}
	})
}
