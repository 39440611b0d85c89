package control

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"

	"gatehouse/internal/site"
)

// readOnly are the fields of stored objects that Gatehouse sets.
var readOnly = []string{"created_by", "created_at", "updated_at", "version", "built_in"}

// inputSchema is the schema of an argument. A field with fields of a proxy or a
// route (a patch) shows them as the argument's own, none of them required.
func inputSchema(t reflect.Type) *jsonschema.Schema {
	s := schemaOf(t)
	s.Required = nil
	for f := range fields(t) {
		if patched, ok := patchOf(f); ok {
			delete(s.Properties, f.Name)
			merge(s, patched)
			continue
		}
		if f.Tag.Get("required") == "true" {
			s.Required = append(s.Required, jsonName(f))
		}
	}
	s.AdditionalProperties = &jsonschema.Schema{Not: &jsonschema.Schema{}}
	return s
}

// outputSchema is the schema of an answer; what only administrators see is not
// required.
func outputSchema(t reflect.Type) *jsonschema.Schema {
	s := schemaOf(t)
	s.Required = nil
	if s.Type == "" && len(s.Types) == 0 {
		s.Type = "object"
	}
	mapsMayBeNull(s)
	return s
}

// mapsMayBeNull says of maps what the package says of slices: one that was never
// set is null.
func mapsMayBeNull(s *jsonschema.Schema) {
	if s.Items != nil {
		mapsMayBeNull(s.Items)
	}
	for _, property := range s.Properties {
		mapsMayBeNull(property)
		if property.Type == "object" && len(property.Properties) == 0 {
			nullable(property)
		}
	}
}

// merge adds the fields of a stored object that a caller may set.
func merge(into, from *jsonschema.Schema) {
	if into.Properties == nil {
		into.Properties = map[string]*jsonschema.Schema{}
	}
	for _, name := range slices.Sorted(maps.Keys(from.Properties)) {
		if _, taken := into.Properties[name]; !taken && !slices.Contains(readOnly, name) {
			into.Properties[name] = nullable(from.Properties[name])
		}
	}
	into.PropertyOrder = nil
}

// nullable allows null, which puts a field back to its default.
func nullable(s *jsonschema.Schema) *jsonschema.Schema {
	if s.Type != "" {
		s.Types, s.Type = []string{"null", s.Type}, ""
	} else if len(s.Types) > 0 && !slices.Contains(s.Types, "null") {
		s.Types = append([]string{"null"}, s.Types...)
	}
	return s
}

// patchOf is the schema of what a patch field changes, named by its tag.
func patchOf(f reflect.StructField) (*jsonschema.Schema, bool) {
	if f.Type != reflect.TypeFor[site.Patch]() {
		return nil, false
	}
	switch f.Tag.Get("of") {
	case "route":
		return schemaOf(reflect.TypeFor[site.Route]()), true
	case "proxy":
		return schemaOf(reflect.TypeFor[site.Proxy]()), true
	}
	whole := schemaOf(reflect.TypeFor[site.Proxy]())
	section := sectionOf(f.Tag.Get("of"))
	for name := range whole.Properties {
		if !section.has(name) {
			delete(whole.Properties, name)
		}
	}
	return whole, true
}

// schemaOf panics on types that JSON can't show: a defect that the first test finds.
func schemaOf(t reflect.Type) *jsonschema.Schema {
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{})
	if err != nil {
		panic(fmt.Sprintf("control: no schema for %s: %v", t, err))
	}
	return s
}
