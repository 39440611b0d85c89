package journal

import (
	"encoding/binary"
	"reflect"
	"slices"
	"testing"
	"testing/quick"
	"time"
)

func testCodec(t testing.TB) *codec {
	t.Helper()
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// samples are n entries as they stand in a block.
func samples(n int) ([]*Entry, []position) {
	entries, at := make([]*Entry, n), make([]position, n)
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).UnixNano()
	for i := range n {
		at[i] = position{start + int64(i)*int64(86400*time.Millisecond), uint16(i % 3)}
		entries[i] = sample(i)
		entries[i].ID, entries[i].Time = at[i].String(), at[i].time()
	}
	return entries, at
}

func TestBlocksGiveBackWhatWasPutIn(t *testing.T) {
	c := testCodec(t)
	for _, n := range []int{1, 2, 3, 255, 500} {
		entries, at := samples(n)
		entries[0] = everyField(at[0])
		data, _ := c.encode(entries, at)
		b, err := c.open(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.openDetails(b); err != nil {
			t.Fatal(err)
		}
		for i, want := range entries {
			if got := b.entry(i); !reflect.DeepEqual(got, want) {
				t.Fatalf("row %d of %d:\ngot  %s\nwant %s", i, n, mustJSON(t, got), mustJSON(t, want))
			}
		}
	}
}

// everyField is an entry in which no field is zero.
func everyField(at position) *Entry {
	e := &Entry{}
	v := reflect.ValueOf(e).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case string, Kind:
			f.SetString("field " + v.Type().Field(i).Name)
		case int, int64:
			f.SetInt(int64(100 + i))
		case float64:
			f.SetFloat(float64(i) + 0.125)
		case bool:
			f.SetBool(true)
		case []string:
			f.Set(reflect.ValueOf([]string{"user", "mcp"}))
		case map[string]string:
			f.Set(reflect.ValueOf(map[string]string{"Accept": "*/*"}))
		}
	}
	e.ID, e.Time = at.String(), at.time()
	return e
}

func TestEveryFieldOfAnEntryHasAColumn(t *testing.T) {
	v := reflect.ValueOf(everyField(position{1, 1})).Elem()
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the test fills no %s: TestBlocksGiveBackWhatWasPutIn does not cover it", v.Type().Field(i).Name)
		}
	}
	seen := map[columnID]bool{}
	for _, c := range textColumns {
		if seen[c.id] || c.id >= columnCount || column(c.name).id != c.id {
			t.Errorf("column %s: number %d twice or too high", c.name, c.id)
		}
		seen[c.id] = true
	}
}

// The numbers of columns are in stored blocks: these must never change.
func TestStoredColumnNumbersStay(t *testing.T) {
	for id, want := range map[columnID]columnID{
		colKind: 1, colStatus: 6, colAuthResult: 14, colNanos: 46, colNode: 47, colMicros: 48, colFlags: 51,
		colTrace: 64, colError: 72, colMessage: 81, colResponseBody: 90,
	} {
		if id != want {
			t.Errorf("column %d was %d", id, want)
		}
	}
}

func TestPackedNumbersKeepTheirValue(t *testing.T) {
	if err := quick.Check(func(raw []uint16, different uint16) bool {
		most := int(different)%maxRows + 1
		p := newPacked(len(raw), most)
		for i, v := range raw {
			p.put(i, int(v)%most)
		}
		for i, v := range raw {
			if p.at(i) != int(v)%most {
				return false
			}
		}
		return true
	}, nil); err != nil {
		t.Error(err)
	}
}

func TestBlocksOfOtherVersionsAreRefused(t *testing.T) {
	c := testCodec(t)
	data, _ := c.encode(samples(3))
	for name, bad := range map[string][]byte{
		"empty": {}, "version": append([]byte{2}, data[1:]...), "kind": append([]byte{version, 9}, data[2:]...),
		"cut": data[:len(data)-5], "no rows": {version, blockEntries, 0, 0, 0},
		"too many rows": append(binary.AppendUvarint([]byte{version, blockEntries}, 1<<40), data[3:]...),
	} {
		b, err := c.open(bad)
		if err == nil {
			err = c.openDetails(b)
		}
		if err == nil {
			t.Errorf("%s: read without an error", name)
		}
	}
}

func TestUnknownColumnsArePassedOver(t *testing.T) {
	c := testCodec(t)
	entries, at := samples(3)
	b := newBlock(entries, at)
	first := appendColumn(appendColumn(b.section(true), 63, []byte("later")), 200, []byte("much later"))
	data := binary.AppendUvarint([]byte{version, blockEntries}, 3)
	for _, raw := range [][]byte{first, b.section(false)} {
		packed := c.pack.EncodeAll(raw, nil)
		data = append(binary.AppendUvarint(data, uint64(len(packed))), packed...)
	}
	got, err := c.open(data)
	if err != nil || got.text[colPath].at(2) != entries[2].Path {
		t.Errorf("%v", err)
	}
}

func TestABombOfABlockIsRefused(t *testing.T) {
	c := testCodec(t)
	packed := c.pack.EncodeAll(make([]byte, 256<<20), nil)
	data := binary.AppendUvarint([]byte{version, blockEntries}, 3)
	data = append(binary.AppendUvarint(data, uint64(len(packed))), packed...)
	data = append(data, 0)
	if _, err := c.open(data); err == nil {
		t.Error("256 MiB were unpacked")
	}
}

func TestIDsSortByTime(t *testing.T) {
	if err := quick.Check(func(a, b uint32, n, m uint16) bool {
		p, q := position{int64(a) << 20, n}, position{int64(b) << 20, m}
		back, err := parseID("cursor", p.String())
		return err == nil && back == p && (p.compare(q) < 0) == (p.String() < q.String())
	}, nil); err != nil {
		t.Error(err)
	}
}

func FuzzOpenBlock(f *testing.F) {
	c := testCodec(f)
	for _, n := range []int{1, 3, 40} {
		data, _ := c.encode(samples(n))
		f.Add(data)
	}
	f.Add(floorBlock(time.Unix(1, 0)))
	f.Fuzz(func(t *testing.T, data []byte) {
		floorOf(data)
		b, err := c.open(data)
		if err != nil {
			return
		}
		useBlock(t, c, b)
	})
}

// FuzzSections reads hostile sections, past the compression that hides them from
// FuzzOpenBlock.
func FuzzSections(f *testing.F) {
	c := testCodec(f)
	for _, n := range []int{1, 3, 40} {
		b := newBlock(samples(n))
		f.Add(uint16(n), b.section(true), b.section(false))
	}
	f.Fuzz(func(t *testing.T, rows uint16, first, second []byte) {
		data := binary.AppendUvarint([]byte{version, blockEntries}, uint64(rows))
		for _, raw := range [][]byte{first, second} {
			packed := c.pack.EncodeAll(raw, nil)
			data = append(binary.AppendUvarint(data, uint64(len(packed))), packed...)
		}
		b, err := c.open(data)
		if err != nil {
			return
		}
		useBlock(t, c, b)
	})
}

// useBlock does with b what searches and statistics do.
func useBlock(t *testing.T, c *codec, b *block) {
	s := segmentOf("id", b)
	if s.rows <= mergeRows/2 {
		s = s.join(s)
	}
	p, err := Query{Q: "a status:4xx proxy:x*", Errors: true}.plan()
	if err != nil {
		t.Fatal(err)
	}
	p.candidates(s, newBitmap(s.rows))
	if c.openDetails(b) != nil {
		return
	}
	rows := newBitmap(b.rows)
	rows.fill(b.rows)
	newCount().block(b, rows)
	for row := range b.rows {
		sanitize(b.entry(row))
	}
	if err := p.selectRows(c, b, rows); err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(b.nanos) {
		t.Fatal("times out of order")
	}
}
