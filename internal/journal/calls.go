package journal

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// maxTools bounds how many different tools are counted apart: their names come
// from callers. What comes later is under "other".
const maxTools = 10_000

// ToolCalls are how often a tool of an MCP server was called.
type ToolCalls struct {
	Proxy  string // the name that was asked for
	Tool   string
	Calls  int64
	Errors int64 // those that failed, refused ones among them
}

// Calls are the calls of tools in a window of time, in the order of host and tool.
type Calls struct {
	Since, Until time.Time
	Tools        []ToolCalls
}

type toolOf struct{ proxy, tool string }

type toolTally map[toolOf]tallied

func (t toolTally) add(key toolOf, failed bool) {
	if key.tool == "" {
		return // not a call of a tool
	}
	if _, known := t[key]; !known && len(t) >= maxTools {
		key.tool = "other"
	}
	sum := t[key]
	sum.requests++
	if failed {
		sum.errors++
	}
	t[key] = sum
}

// Calls counts the calls of tools that match q, of the last day when q has no window.
func (j *Journal) Calls(ctx context.Context, q Query) (*Calls, error) {
	q.Kind = MCP
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
	sums := toolTally{}
	v := j.view(p)
	for _, it := range v.pending {
		if p.within(it.at) && p.matches(it.entry) {
			sums.add(toolOf{it.entry.Proxy, it.entry.Tool}, it.entry.Failed())
		}
	}
	if err := sums.blocks(ctx, j, p, v.segments); err != nil {
		return nil, err
	}
	return &Calls{Since: time.Unix(0, p.since).UTC(), Until: until(p), Tools: sums.list()}, nil
}

func (t toolTally) blocks(ctx context.Context, j *Journal, p *plan, segments []segmentOfLog) error {
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
			if p.selectRows(j.codec, b, in) != nil {
				j.unreadable.Add(1)
				return
			}
			flags := b.number[colFlags]
			for row := range b.rows {
				if at := b.position(row); in.has(row) && at.nanos >= seg.since && p.within(at) {
					t.add(toolOf{b.value(colProxy, row), b.value(colTool, row)}, flags.at(row)&flagError != 0)
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t toolTally) list() []ToolCalls {
	all := make([]ToolCalls, 0, len(t))
	for key, n := range t {
		all = append(all, ToolCalls{key.proxy, key.tool, n.requests, n.errors})
	}
	slices.SortFunc(all, func(a, b ToolCalls) int {
		return cmp.Or(cmp.Compare(a.Proxy, b.Proxy), cmp.Compare(a.Tool, b.Tool))
	})
	return all
}
