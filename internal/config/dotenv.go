package config

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/joho/godotenv"

	"gatehouse/internal/fault"
)

// readDotenv reads NAME=value lines; a missing file is empty. The parser's own
// messages quote the rest of the file, secrets and all, and are not passed on.
func readDotenv(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	content, err := readFile(path)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.BadField(path, "can't be read: %v", err)
	}
	values, err := godotenv.UnmarshalBytes(content)
	if err != nil || misnamed(values) {
		return nil, fault.BadField(path, "must hold lines of the form NAME=value or # comment%s", badLine(string(content)))
	}
	return values, nil
}

// misnamed finds what the parser lets pass: a line without =, and blanks inside a name.
func misnamed(values map[string]string) bool {
	for name := range values {
		if name == "" || strings.ContainsFunc(name, unicode.IsSpace) {
			return true
		}
	}
	return false
}

// badLine names the first line that can't stand alone. Inside a quoted value
// of several lines that is the line where it begins.
func badLine(content string) string {
	n := 0
	for line := range strings.SplitSeq(content, "\n") {
		n++
		values, err := godotenv.Unmarshal(line)
		if err != nil || misnamed(values) {
			return ": see line " + strconv.Itoa(n)
		}
	}
	return ""
}
