package config

import (
	"fmt"
	"net/url"
	"strings"
)

// Prefix may stand before every variable's name; the prefixed form wins.
const Prefix = "GATEHOUSE_"

// Variable describes one variable of the environment to people.
type Variable struct {
	Name    string
	Default string // the value when unset, or in words what happens then
	Rule    string // what a value must be
	Help    string // what it means, in sentences
	Secret  bool   // never shown; NAME_FILE is read too

	Reserved bool // read and checked, but the part that it is for is not in this version
}

// variable is one entry of the list: what it tells people, and how a value gets
// into a Config.
type variable struct {
	Variable
	initial string              // the value when unset, parsed like any other; empty: the zero value
	mask    func(string) string // how a value is shown
	client  bool                // the command line's client reads it too
	set     func(c *Config, raw string) error
}

// group is a heading with its variables.
type group struct {
	title string
	vars  []variable
}

// define makes a variable of kind k whose values go where at points. initial is
// the default as one would write it.
func define[T any](name, initial string, k kind[T], at func(*Config) *T, help string) variable {
	return variable{
		Variable: Variable{Name: name, Default: initial, Rule: "must be " + k.rule, Help: help},
		initial:  initial,
		mask:     maskLogin,
		set: func(c *Config, raw string) error {
			v, err := k.parse(raw)
			if err != nil {
				return err
			}
			*at(c) = v
			return nil
		},
	}
}

// orElse says in words what happens when the variable is not set.
func (v variable) orElse(words string) variable {
	v.Default = words
	return v
}

// secret hides values and allows NAME_FILE.
func (v variable) secret() variable {
	return v.secretBut(func(string) string { return hidden })
}

// secretBut is secret with something left to see.
func (v variable) secretBut(mask func(string) string) variable {
	v.Secret, v.mask = true, mask
	return v
}

// reserved marks what this version checks and does nothing with: whoever sets it
// is told so at start.
func (v variable) reserved() variable {
	v.Reserved = true
	v.Help += " Not used by this version yet."
	return v
}

// forClient marks what the command line's client reads.
func (v variable) forClient() variable {
	v.client = true
	return v
}

// refusal is the sentence about a value that breaks the rule.
func (v variable) refusal(raw string, detail error) string {
	shown := v.mask(raw)
	if len(shown) > 80 {
		shown = shown[:80] + "…"
	}
	sentence := fmt.Sprintf("%q %s", shown, v.Rule)
	if s := detail.Error(); s != "" {
		sentence += ": " + s
	}
	return sentence
}

// maskLogin hides user and password of a URL where neither belongs.
func maskLogin(raw string) string {
	scheme, rest, found := strings.Cut(raw, "://")
	at := strings.LastIndexByte(rest, '@')
	if !found || at < 0 {
		return raw
	}
	return scheme + "://" + hidden + rest[at:]
}

// maskURL shows scheme and host only: paths and queries of webhooks are credentials.
func maskURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return hidden
	}
	if strings.Trim(u.Path, "/") == "" && u.RawQuery == "" {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + "://" + u.Host + "/" + hidden
}
