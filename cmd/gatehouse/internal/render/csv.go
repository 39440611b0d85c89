package render

import (
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
)

// csv prints a list with a column for each member that any row has, or one
// object as name and value.
func (p *Printer) csv(answer json.RawMessage, v View) error {
	w := csv.NewWriter(p.Out)
	if v.List == "" {
		return p.csvObject(w, answer)
	}
	list, err := rows(answer, v.List)
	if err != nil {
		return err
	}
	header := header(list)
	if len(header) == 0 {
		return nil
	}
	table := [][]string{p.shown(header)}
	for _, row := range list {
		line := make([]string, len(header))
		for i, name := range header {
			line[i] = p.harmless(row.member(name))
		}
		table = append(table, line)
	}
	return w.WriteAll(table)
}

func (p *Printer) csvObject(w *csv.Writer, answer json.RawMessage) error {
	o, err := ParseObject(answer)
	if err != nil {
		return err
	}
	table := [][]string{{"field", "value"}}
	for _, m := range o {
		table = append(table, []string{p.shown([]string{m.Name})[0], p.harmless(m.Value)})
	}
	return w.WriteAll(table)
}

// shown are names as they may be printed.
func (p *Printer) shown(names []string) []string {
	clean := slices.Clone(names)
	for i := range clean {
		if p.Terminal {
			clean[i] = Clean(clean[i])
		}
	}
	return clean
}

// member is Get for a name that may hold dots.
func (o Object) member(name string) json.RawMessage {
	for _, m := range o {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

func header(list []Object) []string {
	var names []string
	for _, row := range list {
		for _, m := range row {
			if !slices.Contains(names, m.Name) {
				names = append(names, m.Name)
			}
		}
	}
	return names
}

// harmless is a value that no spreadsheet takes for a formula: text from
// strangers that begins like one gets an apostrophe in front.
func (p *Printer) harmless(raw json.RawMessage) string {
	text := Text(raw)
	if p.Terminal {
		text = Clean(text)
	}
	isText := len(raw) > 0 && (raw[0] == '"' || raw[0] == '[')
	if isText && text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
