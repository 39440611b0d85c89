package config

import (
	"errors"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// kind is one form of value: the rule in words, to be read after "must be", and
// the parser. A parser's error adds a detail to the rule and never repeats the
// value, which may be secret.
type kind[T any] struct {
	rule  string
	parse func(raw string) (T, error)
}

// errForm is a parser's error when the rule says all there is to say.
var errForm = errors.New("")

func text(most int) kind[string] {
	return kind[string]{"up to " + strconv.Itoa(most) + " characters without control characters", func(raw string) (string, error) {
		if len(raw) > most || strings.ContainsFunc(raw, unicode.IsControl) {
			return "", errForm
		}
		return raw, nil
	}}
}

func secretText() kind[Secret] {
	k := text(4096)
	return kind[Secret]{k.rule, func(raw string) (Secret, error) {
		s, err := k.parse(raw)
		return NewSecret(s), err
	}}
}

func whole(least, most int) kind[int] {
	return kind[int]{"a whole number " + span(least, most), func(raw string) (int, error) {
		n, err := strconv.Atoi(raw)
		if err != nil || n < least || n > most {
			return 0, errForm
		}
		return n, nil
	}}
}

func span(least, most int) string {
	if most == math.MaxInt {
		return "of at least " + strconv.Itoa(least)
	}
	return "from " + strconv.Itoa(least) + " to " + strconv.Itoa(most)
}

// wholeOrOff is a positive number, or the word off, which is 0.
func wholeOrOff() kind[int] {
	k := whole(1, math.MaxInt)
	return kind[int]{"off or " + k.rule, func(raw string) (int, error) {
		if strings.EqualFold(raw, "off") {
			return 0, nil
		}
		return k.parse(raw)
	}}
}

func port(least int) kind[int] {
	k := whole(least, 65535)
	return kind[int]{"a port: " + k.rule, k.parse}
}

func boolean() kind[bool] {
	return kind[bool]{"true or false (on or off, 1 or 0)", func(raw string) (bool, error) {
		switch strings.ToLower(raw) {
		case "true", "on", "1":
			return true, nil
		case "false", "off", "0":
			return false, nil
		}
		return false, errForm
	}}
}

// tenYears keeps sums of times and durations far from overflow.
const tenYears = 10 * 365 * 24 * 60 * 60 // seconds

func seconds() kind[time.Duration] { return times(time.Second, tenYears, "seconds") }

func days(most int) kind[time.Duration] { return times(24*time.Hour, most, "days") }

func times(unit time.Duration, most int, name string) kind[time.Duration] {
	k := whole(1, most)
	return kind[time.Duration]{k.rule + ", in " + name, func(raw string) (time.Duration, error) {
		n, err := k.parse(raw)
		return time.Duration(n) * unit, err
	}}
}

func duration(least time.Duration) kind[time.Duration] {
	return kind[time.Duration]{"a duration such as 168h or 30m, of at least " + least.String(), func(raw string) (time.Duration, error) {
		d, err := time.ParseDuration(raw)
		if err != nil || d < least || d > tenYears*time.Second {
			return 0, errForm
		}
		return d, nil
	}}
}

// oneOf takes one of the words, in any case, and gives it as written here.
func oneOf(words ...string) kind[string] {
	return kind[string]{"one of " + strings.Join(words, ", "), func(raw string) (string, error) {
		for _, w := range words {
			if strings.EqualFold(raw, w) {
				return w, nil
			}
		}
		return "", errForm
	}}
}

// logLevel takes the six level names; TRACE and CRITICAL lie one step beyond slog's own.
func logLevel() kind[slog.Level] {
	words := oneOf("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
	return kind[slog.Level]{words.rule, func(raw string) (slog.Level, error) {
		word, err := words.parse(raw)
		if err != nil {
			return 0, err
		}
		return map[string]slog.Level{
			"TRACE": slog.LevelDebug - 4, "DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo,
			"WARNING": slog.LevelWarn, "ERROR": slog.LevelError, "CRITICAL": slog.LevelError + 4,
		}[word], nil
	}}
}

// list is comma separated; blanks around and empty members are passed over.
// The word any, when allowed, stands for the empty list.
func list[T any](rule string, anyAllowed bool, one func(string) ([]T, error)) kind[[]T] {
	return kind[[]T]{rule, func(raw string) ([]T, error) {
		if anyAllowed && strings.EqualFold(strings.TrimSpace(raw), "any") {
			return nil, nil
		}
		var all []T
		for member := range strings.SplitSeq(raw, ",") {
			if member = strings.TrimSpace(member); member == "" {
				continue
			}
			got, err := one(member)
			if err != nil {
				return nil, err
			}
			all = append(all, got...)
		}
		return all, nil
	}}
}

// names are people as the lists of the authorization server hold them. The star
// is refused: here it would hand everyone rights over Gatehouse itself.
func names() kind[[]string] {
	return list("names separated by commas, such as octocat,local:alice", false, func(name string) ([]string, error) {
		if strings.Contains(name, "*") {
			return nil, errors.New("* is not a name and stands for nobody here")
		}
		if len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
			return nil, errForm
		}
		return []string{name}, nil
	})
}

func email() kind[string] {
	return kind[string]{"an e-mail address", func(raw string) (string, error) {
		local, domain, found := strings.Cut(raw, "@")
		if !found || local == "" || !isHostname(domain) || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return "", errForm
		}
		return raw, nil
	}}
}

// apiVersion is a version of Docker's API: 1.44.
func apiVersion() kind[string] {
	return kind[string]{"a version such as 1.44", func(raw string) (string, error) {
		major, minor, found := strings.Cut(raw, ".")
		if !found || major != "1" {
			return "", errForm
		}
		if _, err := strconv.ParseUint(minor, 10, 8); err != nil {
			return "", errForm
		}
		return raw, nil
	}}
}
