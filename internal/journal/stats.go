package journal

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Bounds of what statistics keep apart.
const (
	topLimit    = 10      // lines of a top list
	maxDistinct = 100_000 // different values counted apart; what comes later is under "other"
	statsHours  = 24      // the window when none is given
)

// Stats are the figures of the entries that match a Query in a window of time.
// Limit and cursor do not count; without a kind it is requests that are counted.
type Stats struct {
	Since      time.Time        `json:"since"`
	Until      time.Time        `json:"until"`
	Requests   int64            `json:"requests"`
	Errors     int64            `json:"errors"`     // those that Failed
	ErrorRate  float64          `json:"error_rate"` // of all, 0 to 1
	PerSecond  float64          `json:"per_second"` // over the window
	Statuses   map[string]int64 `json:"statuses"`   // by class: "2xx"
	DurationMS Percentiles      `json:"duration_ms"`
	BytesIn    int64            `json:"bytes_in"`
	BytesOut   int64            `json:"bytes_out"`
	Visitors   int64            `json:"visitors"` // different client addresses
	Proxies    []Top            `json:"proxies"`
	Paths      []Top            `json:"paths"` // by Pattern
	Users      []Top            `json:"users"`
	Clients    []Top            `json:"clients"`
	Tools      []Top            `json:"tools"`
}

// Percentiles of durations in milliseconds, each at most 2 % off; Max is exact.
type Percentiles struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Top is one line of a top list.
type Top struct {
	Name     string `json:"name"`
	Requests int64  `json:"requests"`
	Errors   int64  `json:"errors"`
}

// Stats counts what matches q.
func (j *Journal) Stats(ctx context.Context, q Query) (*Stats, error) {
	if q.Kind == "" {
		q.Kind = Request
	}
	if q.Hours == 0 && q.Since.IsZero() {
		q.Hours = statsHours
		if !q.Until.IsZero() {
			q.Hours, q.Since = 0, q.Until.Add(-statsHours*time.Hour)
		}
	}
	q.Cursor, q.Limit = "", 0
	p, err := q.plan()
	if err != nil {
		return nil, err
	}
	if err := j.load(ctx); err != nil {
		return nil, err
	}
	c := newCount()
	v := j.view(p)
	c.pending(p, v.pending)
	if err := c.blocks(ctx, j, p, v.segments); err != nil {
		return nil, err
	}
	return c.stats(time.Unix(0, p.since).UTC(), until(p)), nil
}

func until(p *plan) time.Time {
	return time.Unix(0, min(p.until, time.Now().UnixNano())).UTC()
}

// count adds entries up.
type count struct {
	requests, errors  int64
	bytesIn, bytesOut int64
	statuses          map[string]int64
	durations         histogram
	visitors          tally
	tops              [len(topColumns)]tally
}

// topColumns are the columns that have a top list, in the order of Stats.
var topColumns = [...]columnID{colProxy, colPath, colUser, colClient, colTool}

func newCount() *count {
	c := &count{statuses: make(map[string]int64), visitors: make(tally)}
	for i := range c.tops {
		c.tops[i] = make(tally)
	}
	return c
}

// pending counts entries that are not stored yet, as one block.
func (c *count) pending(p *plan, items []item) {
	for chunk := range slices.Chunk(items, blockRows) {
		var entries []*Entry
		var at []position
		for _, it := range chunk {
			if p.within(it.at) && p.matches(it.entry) {
				entries, at = append(entries, it.entry), append(at, it.at)
			}
		}
		if len(entries) == 0 {
			continue
		}
		rows := newBitmap(len(entries))
		rows.fill(len(entries))
		c.block(newBlock(entries, at), rows)
	}
}

func (c *count) blocks(ctx context.Context, j *Journal, p *plan, segments []segmentOfLog) error {
	rows := make(bitmap, (maxRows+mergeRows)/64)
	for _, seg := range segments {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows := rows[:len(seg.failed)]
		clear(rows)
		if !p.candidates(seg.segment, rows) {
			continue
		}
		err := j.read(ctx, seg, rows, p, func(b *block, in bitmap) {
			for row := range b.rows {
				if at := b.position(row); at.nanos < seg.since || !p.within(at) {
					in.clear(row)
				}
			}
			if p.selectRows(j.codec, b, in) != nil {
				j.unreadable.Add(1)
				return
			}
			c.block(b, in)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// block counts some rows of b.
func (c *count) block(b *block, rows bitmap) {
	in, out, took, flags := b.number[colBytesIn], b.number[colBytesOut], b.number[colMicros], b.number[colFlags]
	failed := newBitmap(b.rows)
	for row := range b.rows {
		if !rows.has(row) {
			continue
		}
		c.requests++
		c.bytesIn += in.at(row)
		c.bytesOut += out.at(row)
		c.durations.add(took.at(row))
		if flags.at(row)&flagError != 0 {
			failed.set(row)
			c.errors++
		}
	}
	for status, n := range b.tally(colStatus, rows, failed) {
		if status != "" {
			c.statuses[status[:1]+"xx"] += n.requests
		}
	}
	c.visitors.add(b.tally(colIP, rows, failed), nil)
	for i, id := range topColumns {
		var name func(string) string
		if id == colPath {
			name = Pattern
		}
		c.tops[i].add(b.tally(id, rows, failed), name)
	}
}

// tally is how often a value came, by value.
type tally map[string]tallied

type tallied struct{ requests, errors int64 }

// add adds another tally, under other names if name is given.
func (t tally) add(more tally, name func(string) string) {
	for value, n := range more {
		if value == "" {
			continue
		}
		if name != nil {
			value = name(value)
		}
		if _, known := t[value]; !known && len(t) >= maxDistinct {
			value = "other"
		}
		sum := t[value]
		t[value] = tallied{sum.requests + n.requests, sum.errors + n.errors}
	}
}

// tally counts the values of a column in some rows of b.
func (b *block) tally(id columnID, rows, failed bitmap) tally {
	t := b.text[id]
	if t == nil {
		return nil
	}
	sums := make([]tallied, len(t.dict))
	for row := range b.rows {
		if !rows.has(row) {
			continue
		}
		sum := &sums[t.codes.at(row)]
		sum.requests++
		if failed.has(row) {
			sum.errors++
		}
	}
	all := make(tally, len(t.dict))
	for code, sum := range sums {
		if sum.requests > 0 {
			all[t.dict[code]] = sum
		}
	}
	return all
}

// top is the lines with most requests.
func (t tally) top() []Top {
	all := make([]Top, 0, len(t))
	for name, n := range t {
		all = append(all, Top{Name: name, Requests: n.requests, Errors: n.errors})
	}
	slices.SortFunc(all, func(a, b Top) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Name, b.Name))
	})
	return slices.Clone(all[:min(len(all), topLimit)])
}

func (c *count) stats(since, until time.Time) *Stats {
	s := &Stats{
		Since: since, Until: until, Requests: c.requests, Errors: c.errors, Statuses: c.statuses,
		BytesIn: c.bytesIn, BytesOut: c.bytesOut, Visitors: int64(len(c.visitors)),
		DurationMS: Percentiles{
			P50: c.durations.percentile(50), P90: c.durations.percentile(90), P95: c.durations.percentile(95),
			P99: c.durations.percentile(99), Max: millis(c.durations.max),
		},
		Proxies: c.tops[0].top(), Paths: c.tops[1].top(), Users: c.tops[2].top(), Clients: c.tops[3].top(), Tools: c.tops[4].top(),
	}
	if c.requests > 0 {
		s.ErrorRate = float64(c.errors) / float64(c.requests)
	}
	if seconds := until.Sub(since).Seconds(); seconds > 0 {
		s.PerSecond = float64(c.requests) / seconds
	}
	return s
}
