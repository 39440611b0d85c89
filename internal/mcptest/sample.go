package mcptest

import (
	"encoding/json"
	"slices"
)

// shape is what of a schema must be known to make arguments by it.
type shape struct {
	Type       any              `json:"type"`
	Properties map[string]shape `json:"properties"`
	Required   []string         `json:"required"`
	Enum       []any            `json:"enum"`
	Const      any              `json:"const"`
	Default    any              `json:"default"`
	Examples   []any            `json:"examples"`
	Minimum    *float64         `json:"minimum"`
	MinLength  int              `json:"minLength"`
	Additional json.RawMessage  `json:"additionalProperties"`
}

func shapeOf(schema json.RawMessage) (shape, bool) {
	var s shape
	ok := len(schema) <= maxSchema && depth(schema) <= maxDepth && json.Unmarshal(schema, &s) == nil
	return s, ok
}

// kind is the one type of s; empty where it has several, or says none.
func (s shape) kind() string {
	kind, _ := s.Type.(string)
	return kind
}

// sample is a plausible value: what the schema proposes, else something short.
func (s shape) sample() any {
	switch {
	case s.Default != nil:
		return s.Default
	case s.Const != nil:
		return s.Const
	case len(s.Enum) > 0:
		return s.Enum[0]
	case len(s.Examples) > 0:
		return s.Examples[0]
	}
	kind := s.kind()
	if several, is := s.Type.([]any); is && len(several) > 0 {
		kind, _ = several[0].(string)
	}
	switch kind {
	case "string":
		const text = "test"
		if s.MinLength > len(text) && s.MinLength < 1000 {
			return string(slices.Repeat([]byte("t"), s.MinLength))
		}
		return text
	case "integer", "number":
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 1
	case "boolean":
		return false
	case "array":
		return []any{}
	case "object":
		return s.arguments()
	}
	return nil
}

// arguments are plausible ones: what is required, and nothing else.
func (s shape) arguments() map[string]any {
	all := map[string]any{}
	for _, name := range s.Required {
		all[name] = s.Properties[name].sample()
	}
	return all
}

// wrong is a value of a type that s does not have; false where none is known.
func (s shape) wrong() (any, bool) {
	switch s.kind() {
	case "string", "boolean":
		return map[string]any{"not": "a " + s.kind()}, true
	case "integer", "number":
		return "not a number", true
	case "array":
		return map[string]any{"not": "an array"}, true
	case "object":
		return "not an object", true
	}
	return nil, false
}
