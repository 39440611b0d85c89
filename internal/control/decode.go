package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/internal/fault"
)

// maxDepth is how deep the JSON of an argument may nest.
const maxDepth = 32

// Decode reads one JSON object into a struct, strictly: names count in their
// exact case and once, unknown ones are refused, types must fit, and nesting is
// bounded. Malformed: not JSON, or too deep. Invalid: JSON that does not fit.
func Decode(raw []byte, into any) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = []byte("{}")
	}
	if err := scan(raw); err != nil {
		return err
	}
	err := jsonv2.Unmarshal(raw, into, jsonv2.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	semantic, ok := errors.AsType[*jsonv2.SemanticError](err)
	if !ok {
		return fault.Wrap(fault.Malformed, err, "the argument can't be read")
	}
	return fault.BadField(FieldPath(semantic.JSONPointer), "%s", rule(semantic))
}

// scan checks the syntax, the nesting, and that no name stands in an object twice.
func scan(raw []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(raw))
	if dec.PeekKind() != '{' {
		if _, err := dec.ReadValue(); err != nil {
			return unreadable(err)
		}
		return fault.New(fault.Malformed, "the argument must be a JSON object")
	}
	for {
		switch _, err := dec.ReadToken(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return unreadable(err)
		case dec.StackDepth() > maxDepth:
			return fault.New(fault.Malformed, "the JSON nests deeper than %d levels", maxDepth)
		case dec.StackDepth() == 0 && len(bytes.TrimSpace(raw[dec.InputOffset():])) > 0:
			return fault.New(fault.Malformed, "something follows the JSON object")
		}
	}
}

func unreadable(err error) error {
	syntactic, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case ok && errors.Is(err, jsontext.ErrDuplicateName):
		return fault.BadField(FieldPath(syntactic.JSONPointer), "stands there twice")
	case ok:
		return fault.Wrap(fault.Malformed, err, "the JSON can't be read at byte %d", syntactic.ByteOffset)
	}
	return fault.Wrap(fault.Malformed, err, "the JSON can't be read: it ends too early")
}

// FieldPath is a JSON pointer as the path of a field: "targets[1].weight".
func FieldPath(p jsontext.Pointer) string {
	var b strings.Builder
	for step := range p.Tokens() {
		switch {
		case strings.Trim(step, "0123456789") == "" && step != "":
			b.WriteString("[" + step + "]")
		case b.Len() > 0:
			b.WriteString("." + step)
		default:
			b.WriteString(step)
		}
	}
	return b.String()
}

func rule(err *jsonv2.SemanticError) string {
	switch {
	case errors.Is(err, jsonv2.ErrUnknownName):
		return "is not a field of this operation"
	case err.GoType == nil:
		return "has the wrong type"
	}
	return "is " + typeName(err.GoType)
}

// typeName is a type in the words of JSON.
func typeName(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	case reflect.Map:
		return "an object"
	case reflect.Struct:
		if t.PkgPath() == "time" {
			return "a time such as 2026-01-02T15:04:05Z"
		}
		return "an object"
	}
	return "a string"
}

// Arguments joins what an HTTP request has for o into the one flat object that
// Decode reads: path parameters, the query for operations without a body, else
// the body. A name that comes twice is Invalid.
func (o *Operation) Arguments(path map[string]string, query map[string][]string, body []byte) (json.RawMessage, error) {
	args := map[string]json.RawMessage{}
	if o.HasBody() {
		if err := Decode(body, &args); err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(query)) {
			return nil, fault.BadField(name, "is not a query parameter here: fields go into the body")
		}
	} else if err := o.fromQuery(query, args); err != nil {
		return nil, err
	}
	for name, value := range path {
		if _, twice := args[name]; twice {
			return nil, fault.BadField(name, "comes from the path and can't stand anywhere else")
		}
		raw, err := parse(o.field(name), value)
		if err != nil {
			return nil, fault.BadField(name, "%s", err)
		}
		args[name] = raw
	}
	return json.Marshal(args)
}

func (o *Operation) fromQuery(query map[string][]string, args map[string]json.RawMessage) error {
	var broken fault.Rules
	for _, name := range slices.Sorted(maps.Keys(query)) {
		t, values := o.field(name), query[name]
		var raw json.RawMessage
		var err error
		switch {
		case t == nil:
			err = errors.New("is not a parameter of this operation")
		case t.Kind() == reflect.Slice:
			raw, err = json.Marshal(strings.Split(strings.Join(values, ","), ","))
		case len(values) > 1:
			err = errors.New("stands there twice")
		default:
			raw, err = parse(t, values[0])
		}
		if err != nil {
			broken.Add(name, "%s", err)
			continue
		}
		args[name] = raw
	}
	return broken.Err()
}

// parse makes the JSON of a parameter's text by the type of its field.
func parse(t reflect.Type, text string) (json.RawMessage, error) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var value any = text
	var err error
	switch {
	case t == nil:
	case t.Kind() == reflect.Bool:
		value, err = strconv.ParseBool(text)
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		value, err = strconv.ParseInt(text, 10, 64)
	case t.Kind() == reflect.Float64:
		value, err = strconv.ParseFloat(text, 64)
	}
	if err != nil {
		return nil, errors.New("is " + typeName(t))
	}
	return json.Marshal(value)
}

// field is the type of the argument's field of that JSON name; nil when there is none.
func (o *Operation) field(name string) reflect.Type {
	for f := range fields(o.In) {
		if jsonName(f) == name {
			return f.Type
		}
	}
	return nil
}
