package journal

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gatehouse/internal/store"
)

// Page is an answer to a Query: newest entries first.
type Page struct {
	Logs   []*Entry `json:"logs"`
	Cursor string   `json:"cursor,omitempty"` // for the next page, older entries; empty: there are none
}

// Search answers the newest entries that match q, those that are not stored yet
// too. The entries are shared: they must not be changed.
func (j *Journal) Search(ctx context.Context, q Query) (Page, error) {
	p, err := q.plan()
	if err != nil {
		return Page{}, err
	}
	if err := j.load(ctx); err != nil {
		return Page{}, err
	}
	s := search{j: j, plan: p, view: j.view(p)}
	s.pending()
	if err := s.blocks(ctx); err != nil {
		return Page{}, err
	}
	return s.page(), nil
}

// view is the state of the journal at one moment: each entry is either pending
// or in a segment.
type view struct {
	pending  []item
	segments []segmentOfLog
}

type segmentOfLog struct {
	*segment
	log   string
	since int64 // the first moment that counts
}

// view takes what p can be interested in.
func (j *Journal) view(p *plan) view {
	j.settle()
	now := time.Now()
	j.mu.RLock()
	defer j.mu.RUnlock()
	var v view
	for _, l := range j.ledgers() {
		if l == j.audits && p.noAudit || l == j.requests && p.auditOnly {
			continue
		}
		since := max(p.since, l.floor+1, now.Add(-j.keep(l)).UnixNano())
		for _, it := range l.pending {
			if it.at.nanos >= since {
				v.pending = append(v.pending, it)
			}
		}
		for _, s := range l.segments {
			if s.last >= since && p.overlaps(s.first, s.last) {
				v.segments = append(v.segments, segmentOfLog{s, l.name, since})
			}
		}
	}
	slices.SortFunc(v.segments, func(a, b segmentOfLog) int { return cmp.Compare(b.last, a.last) })
	return v
}

// search collects the newest entries; one more than the limit, to know whether
// there is a next page.
type search struct {
	j     *Journal
	plan  *plan
	view  view
	found []item
}

func (s *search) pending() {
	for _, it := range s.view.pending {
		if s.plan.within(it.at) && s.plan.matches(it.entry) {
			s.found = append(s.found, it)
		}
	}
}

func (s *search) blocks(ctx context.Context) error {
	rows := make(bitmap, (maxRows+mergeRows)/64)
	for _, seg := range s.view.segments {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.done(seg.last) {
			return nil
		}
		rows := rows[:len(seg.failed)]
		clear(rows)
		if !s.plan.candidates(seg.segment, rows) {
			continue
		}
		err := s.j.read(ctx, seg, rows, s.plan, func(b *block, in bitmap) { s.collect(b, in, seg.since) })
		if err != nil {
			return err
		}
	}
	return nil
}

// done reports whether nothing up to the time last can be on the page any more.
func (s *search) done(last int64) bool {
	if len(s.found) <= s.plan.limit {
		return false
	}
	s.trim()
	return s.found[s.plan.limit].at.nanos > last
}

// trim keeps the newest, limit and one.
func (s *search) trim() {
	slices.SortFunc(s.found, func(a, b item) int { return b.at.compare(a.at) })
	if len(s.found) > s.plan.limit+1 {
		clear(s.found[s.plan.limit+1:])
		s.found = s.found[:s.plan.limit+1]
	}
}

// collect takes the newest matching rows of b: no more than a page of them can matter.
func (s *search) collect(b *block, rows bitmap, since int64) {
	if s.plan.selectRows(s.j.codec, b, rows) != nil || rows.any() && s.j.codec.openDetails(b) != nil {
		s.j.unreadable.Add(1)
		return
	}
	taken := 0
	for row := b.rows - 1; row >= 0 && taken <= s.plan.limit; row-- {
		at := b.position(row)
		if !rows.has(row) || at.nanos < since || !s.plan.within(at) {
			continue
		}
		s.found = append(s.found, item{b.entry(row), at})
		taken++
	}
}

func (s *search) page() Page {
	s.trim()
	page := Page{Logs: make([]*Entry, 0, min(len(s.found), s.plan.limit))}
	for _, it := range s.found[:min(len(s.found), s.plan.limit)] {
		page.Logs = append(page.Logs, it.entry)
	}
	if len(s.found) > s.plan.limit {
		page.Cursor = page.Logs[len(page.Logs)-1].ID
	}
	return page
}

// read calls fn for those blocks of seg that hold some of rows, and can be in
// the times of p, with the rows counted from the block's first.
func (j *Journal) read(ctx context.Context, seg segmentOfLog, rows bitmap, p *plan, fn func(b *block, rows bitmap)) error {
	wanted := make(map[string]blockRef, len(seg.blocks))
	var first, last int64 = 1<<63 - 1, 0
	for _, ref := range seg.blocks {
		if p.overlaps(ref.first, ref.last) && rows.anyIn(ref.start, ref.rows) {
			wanted[ref.id] = ref
			first, last = min(first, ref.first), max(last, ref.last)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	return j.log.Range(ctx, seg.log, time.Unix(0, first), time.Unix(0, last), true, func(raw store.Block) bool {
		ref, is := wanted[raw.ID]
		if !is {
			return true
		}
		delete(wanted, raw.ID)
		b, err := j.codec.open(raw.Data)
		if err != nil || b.rows != ref.rows {
			j.unreadable.Add(1)
			return len(wanted) > 0
		}
		fn(b, rows.slice(ref.start, ref.rows))
		return len(wanted) > 0
	})
}

// slice is the rows from start on, n of them, as a bitmap of its own.
func (m bitmap) slice(start, n int) bitmap {
	part := newBitmap(n)
	for row := range n {
		if m.has(start + row) {
			part.set(row)
		}
	}
	return part
}
