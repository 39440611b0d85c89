package render

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
)

const (
	gap      = 2 // blanks between columns
	narrow   = 8 // a column is not cut below this
	unstated = 10
)

func (p *Printer) table(answer json.RawMessage, v View) error {
	if v.List == "" {
		return p.object(answer, v)
	}
	list, err := rows(answer, v.List)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		_, err := io.WriteString(p.Out, v.Empty+"\n")
		return err
	}
	grid := make([][]cell, 0, len(list)+1)
	grid = append(grid, titles(v.Columns))
	for _, row := range list {
		grid = append(grid, p.cells(row, v.Columns))
	}
	return p.write(grid, p.fit(widths(grid)))
}

// object prints one object: a line for each member that holds something, and for
// each member of the objects in it.
func (p *Printer) object(answer json.RawMessage, v View) error {
	o, err := ParseObject(answer)
	if err != nil {
		return err
	}
	if v.Say != nil {
		_, err := io.WriteString(p.Out, Clean(v.Say(o))+"\n")
		return err
	}
	var grid [][]cell
	for _, m := range o.flat("") {
		c := guess(m)
		if value := c.cell(m.Value, p.Now); value.text != "" && (v.Skip == "" || m.Name != v.Skip && !strings.HasPrefix(m.Name, v.Skip+".")) {
			grid = append(grid, []cell{{Clean(m.Name), bold}, value})
		}
	}
	return p.write(grid, widths(grid))
}

// guess is how a member is shown whose style nobody named.
func guess(m Member) Column {
	_, notTime := time.Parse(time.RFC3339, Text(m.Value))
	switch {
	case string(m.Value) == "true" || string(m.Value) == "false":
		return Column{As: YesNo}
	case notTime == nil:
		return Column{As: When}
	case strings.HasSuffix(m.Name, "_seconds"):
		return Column{As: Age}
	}
	return Column{}
}

func titles(columns []Column) []cell {
	line := make([]cell, len(columns))
	for i, c := range columns {
		line[i] = cell{c.Title, bold}
	}
	return line
}

func (p *Printer) cells(row Object, columns []Column) []cell {
	line := make([]cell, len(columns))
	for i, c := range columns {
		line[i] = c.cell(row.first(c.Field), p.Now)
	}
	return line
}

func widths(grid [][]cell) []int {
	var w []int
	for _, line := range grid {
		for i, c := range line {
			if i == len(w) {
				w = append(w, 0)
			}
			w[i] = max(w[i], runewidth.StringWidth(c.text))
		}
	}
	return w
}

// fit cuts the widest columns until the line fits the terminal, if it can.
func (p *Printer) fit(w []int) []int {
	if p.Width == 0 {
		return w
	}
	total := gap * (len(w) - 1)
	for _, n := range w {
		total += n
	}
	for ; total > p.Width; total-- {
		widest := 0
		for i, n := range w {
			if n > w[widest] {
				widest = i
			}
		}
		if w[widest] <= narrow {
			break
		}
		w[widest]--
	}
	return w
}

func (p *Printer) write(grid [][]cell, w []int) error {
	var b strings.Builder
	for _, line := range grid {
		p.line(&b, line, w)
	}
	_, err := io.WriteString(p.Out, b.String())
	return err
}

// line writes one line; blanks that nothing follows are left out.
func (p *Printer) line(b *strings.Builder, line []cell, w []int) {
	blanks := 0
	for i, c := range line {
		text := runewidth.Truncate(c.text, w[i], "…")
		pad := w[i] - runewidth.StringWidth(text) + gap
		if text == "" {
			blanks += pad
			continue
		}
		b.WriteString(strings.Repeat(" ", blanks))
		if p.Color && c.tint != "" {
			text = "\x1b[" + c.tint + "m" + text + "\x1b[0m"
		}
		b.WriteString(text)
		blanks = pad
	}
	b.WriteByte('\n')
}

// Entry prints one entry of a stream: a line of a table whose columns have
// their stated widths, or a line of JSON.
func (p *Printer) Entry(entry json.RawMessage, columns []Column) error {
	if p.Effective() != Table {
		return p.Line(entry)
	}
	o, err := ParseObject(entry)
	if err != nil {
		return err
	}
	w := make([]int, len(columns))
	for i, c := range columns {
		if w[i] = c.Width; w[i] == 0 {
			w[i] = unstated
		}
	}
	w[len(w)-1] = 1 << 12 // the last takes what it needs
	return p.write([][]cell{p.cells(o, columns)}, w)
}
