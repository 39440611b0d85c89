package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// seconds is a flag for a duration: "90s", "2m", or a number of seconds.
type seconds time.Duration

func (s *seconds) String() string { return time.Duration(*s).String() }
func (s *seconds) Type() string   { return "duration" }

func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, numErr := strconv.ParseFloat(text, 64); numErr == nil {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || d <= 0 {
		return fmt.Errorf("write it as 30s, 2m or a number of seconds")
	}
	*s = seconds(d)
	return nil
}

// choice is a flag that takes one of a few words.
type choice struct {
	value string
	words []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return "word" }

func (c *choice) Set(text string) error {
	if !slices.Contains(c.words, text) {
		return fmt.Errorf("it is one of %s", strings.Join(c.words, ", "))
	}
	c.value = text
	return nil
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

// getenv is the last value of name in an environment given as NAME=value.
func getenv(env []string, name string) string {
	for i := range slices.Backward(env) {
		if key, value, _ := strings.Cut(env[i], "="); key == name {
			return value
		}
	}
	return ""
}
