package control

import (
	"encoding/base64"
	"slices"
	"strings"

	"gatehouse/internal/fault"
)

const (
	usualLimit = 100
	mostItems  = 1000
)

// Paging is the part of an argument that pages a list.
type Paging struct {
	Limit  int    `json:"limit,omitempty" jsonschema:"items at most, 1 to 1000; 100 when not given"`
	Cursor string `json:"cursor,omitempty" jsonschema:"where the last page ended; empty: from the start"`
}

// Page is one page of a list.
type Page[T any] struct {
	Items  []T    `json:"items"`
	Cursor string `json:"cursor" jsonschema:"for the next page; empty: this was the last"`
}

// size is the number of items to answer at most.
func (p Paging) size() (int, error) {
	switch {
	case p.Limit == 0:
		return usualLimit, nil
	case p.Limit < 0 || p.Limit > mostItems:
		return 0, fault.BadField("limit", "is between 1 and %d", mostItems)
	}
	return p.Limit, nil
}

// after is the name that the page begins behind.
func (p Paging) after() (string, error) {
	name, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil {
		return "", fault.BadField("cursor", "is none that this list gave")
	}
	return string(name), nil
}

func cursorOf(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }

// viewsOf is one page of the views of those records that are kept, in name order.
func viewsOf[R, V any](p Paging, records []R, keep func(R) bool, view func(R) V, name func(V) string) (Page[V], error) {
	views := make([]V, 0, len(records))
	for _, r := range records {
		if keep(r) {
			views = append(views, view(r))
		}
	}
	slices.SortFunc(views, func(a, b V) int { return strings.Compare(name(a), name(b)) })
	return pageOf(p, views, name)
}

// all keeps every record.
func all[R any](R) bool { return true }

// pageOf cuts the page that p asks for out of a list in name order.
func pageOf[T any](p Paging, all []T, name func(T) string) (Page[T], error) {
	size, err := p.size()
	if err != nil {
		return Page[T]{}, err
	}
	after, err := p.after()
	if err != nil {
		return Page[T]{}, err
	}
	from, found := slices.BinarySearchFunc(all, after, func(item T, start string) int { return strings.Compare(name(item), start) })
	if found {
		from++
	}
	rest := all[from:]
	if len(rest) <= size {
		return Page[T]{Items: append([]T{}, rest...)}, nil
	}
	return Page[T]{Items: rest[:size:size], Cursor: cursorOf(name(rest[size-1]))}, nil
}
