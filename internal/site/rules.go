package site

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"gatehouse/internal/fault"
)

// at is the path of a list's member: targets[1].
func at(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func oneOf(broken *fault.Rules, path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		broken.Add(path, "is %s or %s", strings.Join(allowed[:len(allowed)-1], ", "), allowed[len(allowed)-1])
	}
}

// list checks each member of a list by rule, which answers what is broken.
func list(broken *fault.Rules, path string, members []string, rule func(string) string) {
	if len(members) > maxList {
		broken.Add(path, "holds at most %d entries", maxList)
		return
	}
	for i, m := range members {
		if len(m) > maxText {
			broken.Add(at(path, i), "is at most %d bytes long", maxText)
		} else if why := rule(m); why != "" {
			broken.Add(at(path, i), "%s", why)
		}
	}
}

// plainPath checks a path that is written as it reads decoded and can be read in
// one way only.
func plainPath(broken *fault.Rules, path, value string) bool {
	switch {
	case len(value) > maxText:
		broken.Add(path, "is at most %d bytes long", maxText)
	case !strings.HasPrefix(value, "/"):
		broken.Add(path, "begins with /")
	case strings.ContainsAny(value, "?#%*") || strings.ContainsFunc(value, unicode.IsSpace):
		broken.Add(path, "is a path as it reads decoded, without spaces, query, fragment, percent signs and wildcards")
	case !ParsePath(value).Plain:
		broken.Add(path, "must not have a dot or empty segment, a semicolon, backslash or control character")
	default:
		return true
	}
	return false
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
