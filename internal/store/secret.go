package store

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is text that must not be seen: printed in whatever way it comes out
// masked, so that a secret in a struct that someone logs or answers with stays
// one. Reveal is the only way to the text. Decoding JSON into a Secret works;
// records that keep one hold it sealed, as bytes.
type Secret string

// Masked is what a Secret prints as. An empty one prints as nothing: that it is
// not set is no secret.
const Masked = "********"

// Reveal is the text itself.
func (s Secret) Reveal() string { return string(s) }

// String is the mask.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return Masked
}

// Format masks under every verb, %x and %#v too.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'q' || (verb == 'v' && f.Flag('#')) {
		_, _ = fmt.Fprintf(f, "%q", s.String()) // a State takes everything
		return
	}
	_, _ = io.WriteString(f, s.String())
}

// LogValue is the mask, for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is the mask, for JSON and everything like it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
