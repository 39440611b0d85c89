package site

import (
	"errors"
	"regexp"
	"regexp/syntax"
)

// Bounds of a route's regular expression: what it costs at each request.
const (
	maxPattern      = 1024 // bytes
	maxInstructions = 4096 // of the compiled program
)

var (
	errPattern     = errors.New("is no valid RE2 expression")
	errPatternLong = errors.New("is an RE2 expression of at most 1024 bytes that compiles to at most 4096 steps")
)

// compilePattern compiles a route's regular expression, anchored at both ends.
// The pattern must be an expression by itself, so that it can't close the anchor's
// parenthesis.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, errPatternLong
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, errPattern
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, errPattern
	}
	if len(program.Inst) > maxInstructions {
		return nil, errPatternLong
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}
