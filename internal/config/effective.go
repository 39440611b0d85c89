package config

import (
	"slices"

	"gatehouse/internal/fault"
)

// Value is one variable as it is in effect.
type Value struct {
	Name   string `json:"name"`
	Value  string `json:"value"`            // masked when secret; in words when a default has no value
	Source string `json:"source,omitempty"` // "flag", "environment", ".env", "environment file PATH"; empty: the default
}

// Effective is every variable in the list's order, with secrets masked.
func (c *Config) Effective() []Value { return append([]Value(nil), c.values...) }

// IsSet reports whether the variable was given a value anywhere, as opposed to
// having its default. An empty value is not one.
func (c *Config) IsSet(name string) bool {
	for _, v := range c.values {
		if v.Name == name {
			return v.Source != ""
		}
	}
	return false
}

// Variables is the list for people: flags, documentation, completion.
func Variables() []Variable {
	var all []Variable
	for _, g := range variables() {
		for _, v := range g.vars {
			all = append(all, v.Variable)
		}
	}
	return all
}

// Warning is a setting that works and should not be left so.
type Warning struct {
	Name   string // the variable
	Text   string // what it means and what to do, as a sentence without a final stop
	Strict bool   // `config check --strict` counts it as an error
}

// minRedisPassword is what makes guessing hopeless: Redis answers a million guesses a second.
const minRedisPassword = 32 // bytes

// Warnings is what must be said aloud at start.
func (c *Config) Warnings() []Warning {
	var w []Warning
	warn := func(when bool, strict bool, name, text string) {
		if when {
			w = append(w, Warning{name, text, strict})
		}
	}
	s := c.Redis.Server
	warn(c.Redis.Enabled() && !s.local() && len(s.Password.Reveal()) < minRedisPassword, true, "REDIS_PASSWORD",
		"must have 32 or more bytes for a Redis beyond loopback: whoever gets in there is administrator here")
	warn(!c.Limits.RateLimits, false, "RATE_LIMITS", "is off: passwords and codes can be guessed without end; for tests on one machine only")
	warn(c.OAuth.CIMDAllowLoopback, false, "CIMD_ALLOW_LOOPBACK", "is on: whoever asks can make Gatehouse fetch from this machine; for tests only")
	warn(!c.Log.MaskSensitive, false, "LOG_MASK_SENSITIVE", "is off: captured traffic holds personal data in clear")
	w = append(w, c.believers()...)
	return append(w, c.idle(w)...)
}

// idle are the variables that were set for parts that this version does not
// have, but for those that were warned of already.
func (c *Config) idle(warned []Warning) []Warning {
	var w []Warning
	for _, v := range Variables() {
		said := slices.ContainsFunc(warned, func(w Warning) bool { return w.Name == v.Name })
		if v.Reserved && !said && c.IsSet(v.Name) {
			w = append(w, Warning{v.Name, "is set, and this version does nothing with it yet", false})
		}
	}
	return w
}

// believers are ranges so wide that they mean everyone.
func (c *Config) believers() []Warning {
	for _, p := range c.Listen.TrustedProxies {
		if p.Bits() == 0 {
			return []Warning{{"TRUSTED_PROXIES", "trusts every address: anyone can claim to be anyone else's address", true}}
		}
	}
	return nil
}

// Strict is nil, or fault.Invalid with every warning that must not stand in production.
func (c *Config) Strict() error {
	var rules fault.Rules
	for _, w := range c.Warnings() {
		if w.Strict {
			rules.Add(w.Name, "%s", w.Text)
		}
	}
	return rules.Err()
}
