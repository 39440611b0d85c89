package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Member is one name with its value.
type Member struct {
	Name  string
	Value json.RawMessage
}

// Object is a JSON object whose members keep their order.
type Object []Member

// ParseObject reads one JSON object.
func ParseObject(raw json.RawMessage) (Object, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("the answer is no JSON object")
	}
	var o Object
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		m := Member{Name: name.(string)} //nolint:forcetypeassert // the decoder gives nothing else for a name
		if err := dec.Decode(&m.Value); err != nil {
			return nil, err
		}
		o = append(o, m)
	}
	return o, nil
}

// Get is the value called name; "a.b" is b inside a. Nil when there is none.
func (o Object) Get(name string) json.RawMessage {
	head, rest, nested := strings.Cut(name, ".")
	for _, m := range o {
		if m.Name != head {
			continue
		}
		if !nested {
			return m.Value
		}
		inner, err := ParseObject(m.Value)
		if err != nil {
			return nil
		}
		return inner.Get(rest)
	}
	return nil
}

// flat is o with the members of inner objects in place of these, under the names
// that Get takes. Objects in a list are counted from 1.
func (o Object) flat(path string) Object {
	var all Object
	for _, m := range o {
		m.Name = path + m.Name
		if inner, err := ParseObject(m.Value); err == nil {
			all = append(all, inner.flat(m.Name+".")...)
			continue
		}
		var list []json.RawMessage
		if json.Unmarshal(m.Value, &list) != nil || len(list) == 0 {
			all = append(all, m)
			continue
		}
		if _, err := ParseObject(list[0]); err != nil {
			all = append(all, m)
			continue
		}
		for i, item := range list {
			all = append(all, Object{{Name: strconv.Itoa(i + 1), Value: item}}.flat(m.Name+".")...)
		}
	}
	return all
}

// first is the first value that holds something, of names with | between them.
func (o Object) first(names string) json.RawMessage {
	var value json.RawMessage
	for name := range strings.SplitSeq(names, "|") {
		if value = o.Get(name); Text(value) != "" {
			break
		}
	}
	return value
}

// Text is the value called name in words.
func (o Object) Text(name string) string { return Text(o.Get(name)) }

// arranged is answer with its list as the view wants it: without the rows that
// it does not keep, and oldest first where the API has the newest first.
func arranged(answer json.RawMessage, v View) (json.RawMessage, error) {
	o, err := ParseObject(answer)
	if err != nil {
		return nil, err
	}
	there := o.Get(v.List)
	if there == nil && v.Keep == nil {
		return answer, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(there, &list); err != nil {
		return nil, errors.New("the answer has no list called " + v.List)
	}
	keep := []json.RawMessage{}
	for _, raw := range list {
		row, err := ParseObject(raw)
		if err != nil {
			return nil, err
		}
		if v.Keep == nil || v.Keep(row) {
			keep = append(keep, raw)
		}
	}
	if v.Reverse {
		slices.Reverse(keep)
	}
	return json.Marshal(map[string]any{v.List: keep, "cursor": o.Text("cursor")})
}

// rows are the objects of the list called name; a plain value is an object with
// the one member item.
func rows(answer json.RawMessage, name string) ([]Object, error) {
	o, err := ParseObject(answer)
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if err := json.Unmarshal(o.Get(name), &list); err != nil {
		return nil, errors.New("the answer has no list called " + name)
	}
	all := make([]Object, len(list))
	for i, raw := range list {
		if all[i], err = ParseObject(raw); err != nil {
			all[i] = Object{{Name: "item", Value: raw}}
		}
	}
	return all, nil
}

// Text is a value in words: strings without quotes, lists joined by commas,
// objects as JSON; nothing for null and what is empty.
func Text(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case 'n':
		return ""
	case '"':
		var s string
		_ = json.Unmarshal(raw, &s) // a JSON string: it was read as one before
		return s
	case '[':
		return listText(raw)
	case '{':
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil || b.Len() == len("{}") {
			return ""
		}
		return b.String()
	}
	return string(raw)
}

func listText(raw json.RawMessage) string {
	var list []json.RawMessage
	_ = json.Unmarshal(raw, &list) // a JSON list: it was read as one before
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = Text(item)
	}
	return strings.Join(texts, ", ")
}
