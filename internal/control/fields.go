package control

import (
	"iter"
	"reflect"
	"strings"
)

// fields walks the fields of an argument or an answer as JSON shows them: those
// of embedded structs in place.
func fields(t reflect.Type) iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) { walk(t, yield) }
}

func walk(t reflect.Type, yield func(reflect.StructField) bool) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return true
	}
	for f := range t.Fields() {
		if f.Anonymous && f.Tag.Get("json") == "" {
			if !walk(f.Type, yield) {
				return false
			}
			continue
		}
		if f.IsExported() && !yield(f) {
			return false
		}
	}
	return true
}

func jsonName(f reflect.StructField) string {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case name == "-" || options == "embed":
		return ""
	case name == "":
		return f.Name
	}
	return name
}
