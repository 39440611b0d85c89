package journal

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// maxRows bounds the entries of a block that is read; Journal writes fewer.
const maxRows = 4096

var errBlock = errors.New("the block can't be read")

// texts is a column of text: the different values in order of appearance, and
// for each row which of them it has.
type texts struct {
	dict  []string
	codes packed
}

// packed is a row of small numbers, width bits each.
type packed struct {
	width uint8
	bits  []byte // with 7 bytes more than needed at the end, so that reading stays simple
}

const packedPadding = 7

func newPacked(n, different int) packed {
	p := packed{width: widthFor(different)}
	p.bits = make([]byte, p.bytes(n)+packedPadding)
	return p
}

// widthFor is how many bits tell so many values apart.
func widthFor(different int) uint8 { return uint8(bits.Len(uint(max(different, 1) - 1))) }

func (p packed) bytes(n int) int { return (n*int(p.width) + 7) / 8 }

func (p packed) at(i int) int {
	if p.width == 0 {
		return 0
	}
	at := i * int(p.width)
	word := binary.LittleEndian.Uint64(p.bits[at/8:])
	return int(word >> (at % 8) & (1<<p.width - 1))
}

func (p packed) put(i, value int) {
	if p.width == 0 {
		return
	}
	at := i * int(p.width)
	word := binary.LittleEndian.Uint64(p.bits[at/8:])
	binary.LittleEndian.PutUint64(p.bits[at/8:], word|uint64(value)<<(at%8))
}

// at is the text of row i.
func (t *texts) at(i int) string {
	if t == nil {
		return ""
	}
	return t.dict[t.codes.at(i)]
}

// textsOf makes a column of what get answers; nil when all of it is empty.
func textsOf(entries []*Entry, get func(*Entry) string) *texts {
	seen := make(map[string]int, 16)
	t := &texts{}
	rows := make([]uint16, len(entries))
	for i, e := range entries {
		s := get(e)
		code, known := seen[s]
		if !known {
			code = len(t.dict)
			seen[s] = code
			t.dict = append(t.dict, s)
		}
		rows[i] = uint16(code)
	}
	if len(t.dict) == 1 && t.dict[0] == "" {
		return nil
	}
	t.codes = newPacked(len(rows), len(t.dict))
	for i, code := range rows {
		t.codes.put(i, int(code))
	}
	return t
}

// append adds the column's bytes to b: how many different values, their
// lengths, their bytes, the codes.
func (t *texts) append(b []byte, rows int) []byte {
	b = binary.AppendUvarint(b, uint64(len(t.dict)))
	for _, s := range t.dict {
		b = binary.AppendUvarint(b, uint64(len(s)))
	}
	for _, s := range t.dict {
		b = append(b, s...)
	}
	return append(b, t.codes.bits[:t.codes.bytes(rows)]...)
}

// readTexts is the column of so many rows in b. Its strings and codes stand in
// the memory of text, which is b's.
func readTexts(b []byte, text string, rows int) (*texts, error) {
	r := reader{b: b}
	n := int(min(r.uvarint(), maxRows+1))
	if n == 0 || n > rows {
		return nil, errBlock
	}
	t := &texts{dict: make([]string, n)}
	lengths := r // a second walk, for the values
	for range n {
		r.uvarint()
	}
	at := len(b) - len(r.b)
	for i := range n {
		length := lengths.uvarint()
		if lengths.bad || length > uint64(len(text)-at) {
			return nil, errBlock
		}
		t.dict[i] = text[at : at+int(length)]
		at += int(length)
	}
	t.codes.width = widthFor(n)
	if len(b)-at != t.codes.bytes(rows) {
		return nil, errBlock
	}
	t.codes.bits = append(make([]byte, 0, len(b)-at+packedPadding), b[at:]...)[:len(b)-at+packedPadding]
	return t, t.check(rows)
}

// check sees to it that no code is beyond the dictionary.
func (t *texts) check(rows int) error {
	if len(t.dict) == 1<<t.codes.width {
		return nil
	}
	for i := range rows {
		if t.codes.at(i) >= len(t.dict) {
			return errBlock
		}
	}
	return nil
}

// numbers is a column of whole numbers; nil stands for zeros.
type numbers []int64

func (n numbers) at(i int) int64 {
	if n == nil {
		return 0
	}
	return n[i]
}

func numbersOf(entries []*Entry, get func(*Entry) int64) numbers {
	var n numbers
	for i, e := range entries {
		if v := get(e); v != 0 {
			if n == nil {
				n = make(numbers, len(entries))
			}
			n[i] = v
		}
	}
	return n
}

func (n numbers) append(b []byte) []byte {
	for _, v := range n {
		b = binary.AppendVarint(b, v)
	}
	return b
}

func readNumbers(b []byte, rows int) (numbers, error) {
	if len(b) < rows { // a byte for each at least
		return nil, errBlock
	}
	n := make(numbers, rows)
	r := reader{b: b}
	for i := range n {
		n[i] = r.varint()
	}
	if r.bad || len(r.b) > 0 {
		return nil, errBlock
	}
	return n, nil
}

// deltas turns ascending numbers into their differences, sums back.
func (n numbers) deltas() numbers {
	d := make(numbers, len(n))
	last := int64(0)
	for i, v := range n {
		d[i], last = v-last, v
	}
	return d
}

func (n numbers) sums() {
	last := int64(0)
	for i := range n {
		last += n[i]
		n[i] = last
	}
}

// reader reads numbers from b; after the first failure bad is set and all are 0.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	return take(r, v, n)
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	return take(r, v, n)
}

func take[T int64 | uint64](r *reader, v T, n int) T {
	if n <= 0 || r.bad {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes takes the next n bytes.
func (r *reader) bytes(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}
