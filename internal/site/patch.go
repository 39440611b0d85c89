package site

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"

	"gatehouse/internal/fault"
)

// Patch is the fields of a proxy or route that a change names, by their JSON
// names: a field that is absent stays, null puts it back to its default, any
// other value replaces it whole.
type Patch map[string]json.RawMessage

// Set puts a field to a value.
func (p Patch) Set(name string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	p[name] = raw
	return nil
}

// Fields that Gatehouse sets. A change may hold them, as an object that was read
// and is sent back does, but only as they are.
var (
	fixedProxy = []string{"proxy_hostname", "created_by", "created_at", "updated_at", "version"}
	fixedRoute = []string{"route_id", "built_in", "created_at", "updated_at", "version"}
)

// ApplyPatch is p with the fields of patch changed. Unknown fields, values of the
// wrong type and changes of fields that Gatehouse sets are Invalid, all told at
// once; what the values mean is Validate's matter.
func ApplyPatch(p Proxy, patch Patch) (Proxy, error) {
	p = p.Clone()
	initial := Default(p.Hostname)
	return p, apply(&p, &initial, patch, fixedProxy)
}

// ApplyRoutePatch is ApplyPatch for a route.
func ApplyRoutePatch(r Route, patch Patch) (Route, error) {
	r = r.Clone()
	initial := DefaultRoute()
	return r, apply(&r, &initial, patch, fixedRoute)
}

func apply[T any](into, initial *T, patch Patch, fixed []string) error {
	var broken fault.Rules
	fields := fieldsOf(reflect.TypeFor[T]())
	to, from := reflect.ValueOf(into).Elem(), reflect.ValueOf(initial).Elem()
	for _, name := range sortedKeys(patch) {
		i, known := fields[name]
		if !known {
			broken.Add(name, "is not a field%s", hint(fields, name))
			continue
		}
		value, err := decodeField(to.Type().Field(i).Type, patch[name], from.Field(i))
		switch {
		case err != nil:
			broken.Add(name+pointer(err), "%s", typeRule(err))
		case !contains(fixed, name):
			to.Field(i).Set(value)
		case !equal(value, to.Field(i)):
			broken.Add(name, "is set by Gatehouse and can't be changed")
		}
	}
	return broken.Err()
}

func decodeField(t reflect.Type, raw json.RawMessage, initial reflect.Value) (reflect.Value, error) {
	if strings.TrimSpace(string(raw)) == "null" {
		return initial, nil
	}
	value := reflect.New(t)
	err := jsonv2.Unmarshal(raw, value.Interface(), jsonv2.RejectUnknownMembers(true))
	return value.Elem(), err
}

func equal(a, b reflect.Value) bool {
	x, err1 := json.Marshal(a.Interface())
	y, err2 := json.Marshal(b.Interface())
	return err1 == nil && err2 == nil && string(x) == string(y)
}

// pointer is where inside a field an error is, as a path: "[1].weight".
func pointer(err error) string {
	semantic, ok := errors.AsType[*jsonv2.SemanticError](err)
	if !ok {
		return ""
	}
	var b strings.Builder
	for step := range semantic.JSONPointer.Tokens() {
		if digits(step) {
			b.WriteString("[" + step + "]")
		} else {
			b.WriteString("." + step)
		}
	}
	return b.String()
}

func typeRule(err error) string {
	semantic, ok := errors.AsType[*jsonv2.SemanticError](err)
	switch {
	case !ok:
		return "is no valid JSON value"
	case errors.Is(err, jsonv2.ErrUnknownName):
		return "is not a field"
	case semantic.GoType == nil:
		return "has the wrong type"
	}
	return "is " + kindName(semantic.GoType)
}

// kindName is a type in the words of JSON.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		_, noun, _ := strings.Cut(kindName(t.Elem()), " ") // a string, an object
		return "a list of " + noun + "s, as JSON"
	case reflect.Map, reflect.Struct, reflect.Pointer:
		if t.PkgPath() == "time" {
			return "a time such as 2026-01-02T15:04:05Z"
		}
		return "an object"
	}
	return "a string"
}

func hint(fields map[string]int, name string) string {
	for known := range fields {
		if strings.EqualFold(known, name) {
			return "; did you mean " + known + "?"
		}
	}
	return ""
}

// fieldsOf are the indexes of a struct's fields by their JSON names.
func fieldsOf(t reflect.Type) map[string]int {
	fields := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = i
		}
	}
	return fields
}
