package journal

import (
	"context"
	"slices"
	"time"
)

// maxOutcomes bounds how many different outcomes are counted apart; what comes
// later is under "other".
const maxOutcomes = 1000

// Outcome is one way in which one kind of step ended.
type Outcome struct {
	Action string // of the entry
	Result string // its AuthResult
	Reason string // its AuthReason
	How    string // its message, of actions whose message tells how
}

// Outcomes are how often each outcome came in a window of time.
type Outcomes struct {
	Since, Until time.Time
	Counts       map[Outcome]int64
}

// Outcomes counts the entries that match q, of the last day when q has no window,
// by how they ended. told are the actions whose message counts: those that say it
// in a few fixed words.
func (j *Journal) Outcomes(ctx context.Context, q Query, told ...string) (*Outcomes, error) {
	if q.Hours == 0 && q.Since.IsZero() {
		q.Hours = statsHours
	}
	q.Cursor, q.Limit = "", 0
	p, err := q.plan()
	if err != nil {
		return nil, err
	}
	if err := j.load(ctx); err != nil {
		return nil, err
	}
	out := &Outcomes{Since: time.Unix(0, p.since).UTC(), Until: until(p), Counts: map[Outcome]int64{}}
	v := j.view(p)
	for _, it := range v.pending {
		if e := it.entry; p.within(it.at) && p.matches(e) {
			out.add(Outcome{e.Action, e.AuthResult, e.AuthReason, e.Message}, told)
		}
	}
	return out, out.blocks(ctx, j, p, v.segments, told)
}

func (o *Outcomes) add(one Outcome, told []string) {
	if !slices.Contains(told, one.Action) || one.Reason != "" {
		one.How = ""
	}
	if _, known := o.Counts[one]; !known && len(o.Counts) >= maxOutcomes {
		one = Outcome{Action: "other"}
	}
	o.Counts[one]++
}

func (o *Outcomes) blocks(ctx context.Context, j *Journal, p *plan, segments []segmentOfLog, told []string) error {
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
			if p.selectRows(j.codec, b, in) != nil || in.any() && j.codec.openDetails(b) != nil {
				j.unreadable.Add(1)
				return
			}
			for row := range b.rows {
				if at := b.position(row); in.has(row) && at.nanos >= seg.since && p.within(at) {
					o.add(Outcome{b.value(colAction, row), b.value(colAuthResult, row), b.value(colAuthReason, row), b.value(colMessage, row)}, told)
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// value is the text of a column in a row.
func (b *block) value(id columnID, row int) string {
	t := b.text[id]
	if t == nil {
		return ""
	}
	return t.at(row)
}
