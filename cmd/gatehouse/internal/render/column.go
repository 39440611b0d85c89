package render

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Column is one column of a table.
type Column struct {
	Title string
	Field string // member of a row: "proxy_hostname", "person.user"; "a|b" is b where a is empty
	As    Style
	Width int // in a stream, whose later rows are not known; 0: 10
}

// Style is how a value is shown in a table.
type Style uint8

// The styles.
const (
	Plain  Style = iota
	When         // a time, relative to now
	YesNo        // true or false
	Status       // an HTTP status
	Millis       // a duration in milliseconds
	Age          // a duration in seconds
	Clock        // the time of an entry: of day, with the date when it is not today's
)

// cell is a value as a table shows it, with its color.
type cell struct {
	text string
	tint string // SGR parameters; empty: none
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	faint  = "2"
	bold   = "1"
)

// cell shows raw in c's style.
func (c Column) cell(raw json.RawMessage, now time.Time) cell {
	text := Text(raw)
	switch c.As {
	case When:
		return cell{text: relative(text, now)}
	case Clock:
		return cell{clock(text, now), faint}
	case YesNo:
		return yesNo(text)
	case Status:
		return status(text)
	case Millis:
		return cell{text: millis(text)}
	case Age:
		return cell{text: seconds(text)}
	}
	return cell{text: Clean(text)}
}

func yesNo(text string) cell {
	switch text {
	case "true":
		return cell{"yes", green}
	case "false":
		return cell{text: "no"}
	}
	return cell{text: Clean(text)}
}

func status(text string) cell {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n == 0:
		return cell{}
	case n >= 500:
		return cell{text, red}
	case n >= 400:
		return cell{text, yellow}
	}
	return cell{text, green}
}

func millis(text string) string {
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || n == 0: // nothing was measured
		return ""
	case n < 10:
		return strconv.FormatFloat(n, 'f', 1, 64) + " ms"
	case n < 10_000:
		return strconv.FormatFloat(n, 'f', 0, 64) + " ms"
	}
	return strconv.FormatFloat(n/1000, 'f', 1, 64) + " s"
}

func seconds(text string) string {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return ""
	}
	return span(time.Duration(n * float64(time.Second)))
}

func clock(text string, now time.Time) string {
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return Clean(text)
	case t.Local().Format(time.DateOnly) != now.Local().Format(time.DateOnly):
		return t.Local().Format("01-02 15:04:05")
	}
	return t.Local().Format("15:04:05.000")
}

// relative is a time as "3 min ago" or "in 29 d"; a dash for none.
func relative(text string, now time.Time) string {
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case text == "" || err == nil && t.Year() <= 1:
		return "-"
	case err != nil:
		return Clean(text)
	}
	d := now.Sub(t)
	switch {
	case d.Abs() < time.Second:
		return "now"
	case d < 0:
		return "in " + span(-d)
	}
	return span(d) + " ago"
}

// span is a duration in its largest unit.
func span(d time.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{365 * 24 * time.Hour, "y"}, {24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}} {
		if d >= u.size {
			return strconv.FormatInt(int64(d/u.size), 10) + " " + u.name
		}
	}
	return strings.TrimSpace(strconv.FormatInt(int64(d/time.Second), 10) + " s")
}
