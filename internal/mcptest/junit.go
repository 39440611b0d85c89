package mcptest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string     `xml:"classname,attr"`
		Name    string     `xml:"name,attr"`
		Time    string     `xml:"time,attr"`
		Failure *junitNote `xml:"failure"`
		Skipped *junitNote `xml:"skipped"`
		Out     string     `xml:"system-out,omitempty"`
	}
	junitNote struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the report as JUnit XML: a suite for each category, a case for
// each check. A warning is a case that passed and says so.
func (r *Report) WriteJUnit(w io.Writer) error {
	all := junitSuites{Name: "gatehouse mcp test " + r.URL, Tests: r.Totals.Checks, Failures: r.Totals.Failed, Skipped: r.Totals.Skipped, Time: seconds(r.Duration)}
	for _, category := range Categories() {
		s := junitSuite{Name: category}
		for _, res := range r.Results {
			if res.Category == category {
				s.add(res)
			}
		}
		if s.Tests > 0 {
			all.Suites = append(all.Suites, s)
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(res Result) {
	c := junitCase{Class: res.Category, Name: res.Check, Time: seconds(res.Duration)}
	cite := string(res.Level) + ": " + res.Requirement + " (" + res.Reference.String() + ", " + res.Reference.URL + ")"
	switch res.Status {
	case Failed:
		s.Failures++
		c.Failure = &junitNote{Message: res.Detail, Type: string(res.Level), Text: cite}
	case Skipped:
		s.Skipped++
		c.Skipped = &junitNote{Message: res.Detail}
	case Warned:
		c.Out = strings.Join([]string{"warning: " + res.Detail, cite}, "\n")
	case Passed:
		c.Out = res.Detail
	}
	s.Tests++
	s.Cases = append(s.Cases, c)
}

func seconds(ms float64) string { return fmt.Sprintf("%.3f", ms/1000) }
