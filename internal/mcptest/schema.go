package mcptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Bounds of a schema that is looked at closely. Checking a value by a stranger's
// schema may take for ever, or all of the stack, where it refers to itself.
const (
	maxSchema = 256 << 10
	maxDepth  = 100
	maxSteps  = 20000
)

// schemaFault says what is wrong with a tool's schema; "" when nothing is.
func schemaFault(raw json.RawMessage, object bool) string {
	switch {
	case !isObject(raw):
		return "it is no JSON object"
	case len(raw) > maxSchema:
		return fmt.Sprintf("it is larger than %d bytes", maxSchema)
	case depth(raw) > maxDepth:
		return fmt.Sprintf("it is nested deeper than %d levels", maxDepth)
	case object && string(member(raw, "type")) != `"object"`:
		return `its type must be "object"`
	}
	if dialect := member(raw, "$schema"); dialect != nil && !known(dialect) {
		return "" // of a dialect that is not known here
	}
	if _, err := resolve(raw); err != nil {
		return quote(err.Error())
	}
	return ""
}

// known reports whether a dialect can be checked here.
func known(dialect json.RawMessage) bool {
	s := strings.TrimSuffix(strings.Trim(string(dialect), `"`), "#")
	return slices.Contains([]string{"https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema", "https://json-schema.org/draft-07/schema"}, s)
}

func resolve(raw json.RawMessage) (*jsonschema.Resolved, error) {
	var s jsonschema.Schema
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	return s.Resolve(nil) // without a loader: nothing is fetched
}

// errNotChecked says that a schema is not one by which a value is checked here.
var errNotChecked = errors.New("the schema refers to itself or is too large: values are not checked by it")

// conforms is nil when value fits the schema.
func conforms(schema, value json.RawMessage) error {
	var v any
	dialect := member(schema, "$schema")
	if len(schema) > maxSchema || depth(schema) > maxDepth || depth(value) > maxDepth || !finite(schema) || dialect != nil && !known(dialect) {
		return errNotChecked
	}
	resolved, err := resolve(schema)
	if err != nil {
		return errNotChecked
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	return resolved.Validate(v)
}

// depth is how deep a JSON text is nested.
func depth(raw json.RawMessage) int {
	deepest, now, quoted := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// finite reports whether following all references of a schema comes to an end soon.
func finite(raw json.RawMessage) bool {
	var root any
	if json.Unmarshal(raw, &root) != nil {
		return false
	}
	steps := 0
	return follow(root, root, &steps)
}

func follow(root, node any, steps *int) bool {
	if *steps++; *steps > maxSteps {
		return false
	}
	switch n := node.(type) {
	case []any:
		for _, x := range n {
			if !follow(root, x, steps) {
				return false
			}
		}
	case map[string]any:
		for name, x := range n {
			if name == "$dynamicRef" || name == "$recursiveRef" || name == "$anchor" || name == "$id" && len(n) > 0 && !sameNode(root, node) {
				return false
			}
			if ref, is := x.(string); is && name == "$ref" {
				target, ok := pointed(root, ref)
				if !ok || !follow(root, target, steps) {
					return false
				}
				continue
			}
			if name != "$defs" && name != "definitions" && !follow(root, x, steps) {
				return false
			}
		}
	}
	return true
}

func sameNode(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// pointed is what a local reference names (RFC 6901).
func pointed(root any, ref string) (any, bool) {
	path, local := strings.CutPrefix(ref, "#")
	if !local {
		return nil, false
	}
	node := root
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if path == "" {
			break
		}
		object, is := node.(map[string]any)
		if !is {
			return nil, false
		}
		if node, is = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]; !is {
			return nil, false
		}
	}
	return node, true
}
