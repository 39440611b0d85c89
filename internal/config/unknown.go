package config

import (
	"maps"
	"slices"
	"strings"
)

// refuseUnknown reports every GATEHOUSE_* name that means nothing: a mistyped
// setting must not be passed over in silence.
func (l *loader) refuseUnknown() {
	known := knownNames()
	names := map[string]bool{}
	for _, layer := range []map[string]string{l.process, l.dotenv} {
		for name := range layer {
			short, prefixed := strings.CutPrefix(name, Prefix)
			if prefixed && !known[short] {
				names[name] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		l.rules.Add(name, "is not a variable of Gatehouse%s", hint(strings.TrimPrefix(name, Prefix), known))
	}
	for _, name := range slices.Sorted(maps.Keys(l.src.Flags)) {
		if !known[name] {
			l.rules.Add(name, "is not a variable of Gatehouse%s", hint(name, known))
		}
	}
}

// knownNames are all names, those of secrets' files too.
func knownNames() map[string]bool {
	known := map[string]bool{}
	for _, v := range Variables() {
		known[v.Name] = true
		if v.Secret {
			known[v.Name+fileSuffix] = true
		}
	}
	return known
}

// hint says what may have been meant.
func hint(short string, known map[string]bool) string {
	if plain, cut := strings.CutSuffix(short, fileSuffix); cut && known[plain] {
		return ": " + plain + " is no secret and is not read from a file"
	}
	if short == "PORT" || strings.HasPrefix(short, "PORT_") || strings.HasPrefix(short, "SERVICE_") {
		return ": Kubernetes sets it for a service called gatehouse; set enableServiceLinks: false"
	}
	best, least := "", 1+len(short)/4
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if d := distance(short, name); d <= least && (best == "" || d < distance(short, best)) {
			best = name
		}
	}
	if best == "" {
		return ""
	}
	return ": did you mean " + Prefix + best + "?"
}

// distance counts the letters to insert, delete or replace to turn a into b
// (Levenshtein), keeping one row of the table.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
