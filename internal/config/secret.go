package config

import (
	"fmt"
	"log/slog"
)

// hidden is what stands in output where a secret would be.
const hidden = "****"

// Secret is a text that must not be shown. Every way of printing it (all verbs
// of fmt, slog, JSON, YAML by way of text) gives ****; Reveal gives the text to
// the one place that needs it.
type Secret struct {
	text *string // behind a pointer, so that fmt shows an address where it can't call Format (unexported fields)
}

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal is the text itself; empty when there is none.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Empty reports whether there is nothing to hide.
func (s Secret) Empty() bool { return s.Reveal() == "" }

// String is ****, or nothing when there is nothing to hide.
func (s Secret) String() string {
	if s.Empty() {
		return ""
	}
	return hidden
}

// Format keeps every verb and flag of fmt from looking inside.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, s.String()) }

// LogValue keeps slog from looking inside.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps JSON and other encodings from looking inside.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
