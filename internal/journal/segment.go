package journal

import (
	"hash/maphash"
	"math/bits"
	"strconv"
)

// mergeRows is up to how many rows small blocks share a segment, so that a quiet
// hour of one-entry blocks costs no more memory than one full block.
const mergeRows = 512

// segment is what the index knows of some blocks: for each row the hashed values
// of the fields that queries filter by. It is immutable.
type segment struct {
	blocks      []blockRef
	rows        int
	first, last int64 // Unix nanoseconds
	fields      [len(indexed)]values
	failed      bitmap
	slow        []uint8 // durationClass of each row
}

// blockRef is a block in a segment.
type blockRef struct {
	id          string
	first, last int64
	start, rows int // its rows in the segment
}

// indexed are the columns that a segment keeps values of. The path has two: as
// it is, and its pattern.
var indexed = [...]struct {
	column columnID
	hash   func(string) uint32
}{
	{colKind, hashText}, {colProxy, hashText}, {colIP, hashText}, {colUser, hashText}, {colClient, hashText},
	{colStatus, hashStatus}, {colMethod, hashText}, {colPath, hashText}, {colPath, hashPattern}, {colSession, hashText},
	{colRequest, hashText}, {colRoute, hashText}, {colTool, hashText}, {colErrorKind, hashText}, {colAuthResult, hashText},
}

const patternField = 8 // of indexed

var seed = maphash.MakeSeed() // so that nobody can choose texts that collide

// hashText is 32 bits of s's hash; 0 for the empty text alone.
func hashText(s string) uint32 {
	if s == "" {
		return 0
	}
	return max(uint32(maphash.String(seed, s)), 1)
}

func hashPattern(s string) uint32 { return hashText(Pattern(s)) }

// hashStatus is the status itself, so that a class is a range.
func hashStatus(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// values is a column of hashes: the different ones, and which a row has.
type values struct {
	dict  []uint32
	codes packed
}

func (v *values) at(row int) uint32 { return v.dict[v.codes.at(row)] }

func valuesOf(rows []uint32) values {
	seen := make(map[uint32]int, 16)
	var v values
	for _, h := range rows {
		if _, known := seen[h]; !known {
			seen[h] = len(v.dict)
			v.dict = append(v.dict, h)
		}
	}
	v.codes = newPacked(len(rows), len(v.dict))
	for i, h := range rows {
		v.codes.put(i, seen[h])
	}
	return v
}

// segmentOf is the segment for one block.
func segmentOf(id string, b *block) *segment {
	first, last := b.nanos[0], b.nanos[b.rows-1]
	s := &segment{rows: b.rows, first: first, last: last, failed: newBitmap(b.rows), slow: make([]uint8, b.rows)}
	s.blocks = []blockRef{{id: id, first: first, last: last, rows: b.rows}}
	for i, f := range indexed {
		s.fields[i] = hashesOf(b.text[f.column], f.hash, b.rows)
	}
	for row := range b.rows {
		s.slow[row] = durationClass(b.number[colMicros].at(row))
		if b.number[colFlags].at(row)&flagError != 0 {
			s.failed.set(row)
		}
	}
	return s
}

func hashesOf(t *texts, hash func(string) uint32, rows int) values {
	if t == nil {
		return values{dict: []uint32{0}, codes: newPacked(rows, 1)}
	}
	hashes := make([]uint32, len(t.dict))
	for i, s := range t.dict {
		hashes[i] = hash(s)
	}
	byRow := make([]uint32, rows)
	for i := range byRow {
		byRow[i] = hashes[t.codes.at(i)]
	}
	return valuesOf(byRow)
}

// join is a segment of both s's and t's blocks.
func (s *segment) join(t *segment) *segment {
	j := &segment{
		rows: s.rows + t.rows, first: min(s.first, t.first), last: max(s.last, t.last),
		failed: newBitmap(s.rows + t.rows), slow: append(append([]uint8(nil), s.slow...), t.slow...),
	}
	j.blocks = append(append([]blockRef(nil), s.blocks...), t.blocks...)
	for i := len(s.blocks); i < len(j.blocks); i++ {
		j.blocks[i].start += s.rows
	}
	byRow := make([]uint32, j.rows)
	for i := range indexed {
		for row := range byRow {
			if row < s.rows {
				byRow[row] = s.fields[i].at(row)
			} else {
				byRow[row] = t.fields[i].at(row - s.rows)
			}
		}
		j.fields[i] = valuesOf(byRow)
	}
	for row := range byRow {
		if row < s.rows && s.failed.has(row) || row >= s.rows && t.failed.has(row-s.rows) {
			j.failed.set(row)
		}
	}
	return j
}

// durationClass sorts durations into classes of about a tenth: monotone, so that
// "slower than" can pass over most rows.
func durationClass(micros int64) uint8 {
	if micros < 8 {
		return uint8(max(micros, 0))
	}
	n := bits.Len64(uint64(micros)) // at least 4
	return uint8(min(255, (n-3)*8+int(micros>>(n-4)&7)))
}

// bitmap is a set of rows.
type bitmap []uint64

func newBitmap(rows int) bitmap { return make(bitmap, (rows+63)/64) }

func (m bitmap) set(row int)      { m[row/64] |= 1 << (row % 64) }
func (m bitmap) clear(row int)    { m[row/64] &^= 1 << (row % 64) }
func (m bitmap) has(row int) bool { return m[row/64]>>(row%64)&1 != 0 }

// fill makes m the set of rows 0 to rows-1.
func (m bitmap) fill(rows int) {
	for row := range rows {
		m.set(row)
	}
}

func (m bitmap) any() bool {
	for _, word := range m {
		if word != 0 {
			return true
		}
	}
	return false
}

func (m bitmap) and(o bitmap) {
	for i := range m {
		m[i] &= o[i]
	}
}

// anyIn reports whether a row from start on, n of them, is in m.
func (m bitmap) anyIn(start, n int) bool {
	for row := start; row < start+n; row++ {
		if m.has(row) {
			return true
		}
	}
	return false
}
