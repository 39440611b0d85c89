package journal

import (
	"slices"
	"strings"
)

// matches reports whether e is what the query asks for, times aside.
func (p *plan) matches(e *Entry) bool {
	if p.errors && !e.Failed() || p.slowMS > 0 && e.Duration <= p.slowMS {
		return false
	}
	for _, t := range p.terms {
		if !t.match(t.column.get(e)) {
			return false
		}
	}
	for _, text := range p.texts {
		if !entryHolds(e, text) {
			return false
		}
	}
	return true
}

func entryHolds(e *Entry, text string) bool {
	for _, c := range textColumns {
		if containsFold(c.get(e), text) {
			return true
		}
	}
	return false
}

// within reports whether an entry at this position is in the query's times and
// on its page.
func (p *plan) within(at position) bool {
	return at.nanos >= p.since && at.nanos < p.until && (p.before == nil || at.compare(*p.before) < 0)
}

// overlaps reports whether some time from first to last can be within.
func (p *plan) overlaps(first, last int64) bool {
	return last >= p.since && first < p.until && (p.before == nil || first <= p.before.nanos)
}

// candidates puts into rows those rows of s that the index does not rule out.
func (p *plan) candidates(s *segment, rows bitmap) bool {
	rows.fill(s.rows)
	if p.errors {
		rows.and(s.failed)
	}
	for _, c := range p.conditions {
		if !c.narrow(&s.fields[c.field], s.rows, rows) {
			return false
		}
	}
	if p.slow > 0 {
		for row, class := range s.slow {
			if class < p.slow {
				rows.clear(row)
			}
		}
	}
	return rows.any()
}

// narrow takes the rows out of rows whose value is not in c's range; false when
// none can be left.
func (c condition) narrow(v *values, n int, rows bitmap) bool {
	var wanted [maxRows / 64]uint64
	some := 0
	for code, value := range v.dict {
		if c.lo <= value && value <= c.hi {
			bitmap(wanted[:]).set(code)
			some++
		}
	}
	if some == 0 || some == len(v.dict) {
		return some > 0
	}
	for row := range n {
		if !bitmap(wanted[:]).has(v.codes.at(row)) {
			rows.clear(row)
		}
	}
	return true
}

// selectRows takes the rows out of rows that do not match: exactly what matches does
// for an entry, but by looking at the different values of a column, not at every
// row. Times are not looked at.
func (p *plan) selectRows(c *codec, b *block, rows bitmap) error {
	if p.needsDetails() {
		if err := c.openDetails(b); err != nil {
			return err
		}
	}
	for row := range b.rows {
		if p.errors && b.number[colFlags].at(row)&flagError == 0 ||
			p.slowMS > 0 && millis(b.number[colMicros].at(row)) <= p.slowMS {
			rows.clear(row)
		}
	}
	for _, t := range p.terms {
		found := newBitmap(b.rows)
		b.find(t.column.id, t.match, found)
		rows.and(found)
	}
	for _, text := range p.texts {
		found := newBitmap(b.rows)
		for _, column := range textColumns {
			b.find(column.id, func(s string) bool { return containsFold(s, text) }, found)
		}
		rows.and(found)
	}
	return nil
}

func (p *plan) needsDetails() bool {
	return len(p.texts) > 0 || slices.ContainsFunc(p.terms, func(t term) bool { return !t.column.id.first() })
}

// find adds to found the rows whose value in a column matches.
func (b *block) find(id columnID, match func(string) bool, found bitmap) {
	t := b.text[id]
	if t == nil {
		if match("") {
			found.fill(b.rows)
		}
		return
	}
	var codes [maxRows / 64]uint64
	some := 0
	for code, s := range t.dict {
		if match(s) {
			bitmap(codes[:]).set(code)
			some++
		}
	}
	for row := 0; some > 0 && row < b.rows; row++ {
		if some == len(t.dict) || bitmap(codes[:]).has(t.codes.at(row)) {
			found.set(row)
		}
	}
}

// containsFold reports whether text, in lower case, is in s in any case.
func containsFold(s, text string) bool {
	if text == "" {
		return true
	}
	low := text[0]
	up := low
	if 'a' <= low && low <= 'z' {
		up -= 'a' - 'A'
	}
	for i := 0; i+len(text) <= len(s); i++ {
		if (s[i] == low || s[i] == up) && strings.EqualFold(s[i:i+len(text)], text) {
			return true
		}
	}
	return false
}
