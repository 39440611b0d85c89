package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/spf13/pflag"

	"gatehouse/internal/site"
)

// fields binds flags to fields of a stored object. Only flags that were given
// get into the patch: what nobody names stays as it is.
type fields struct {
	flags *pflag.FlagSet
	of    reflect.Type // the stored object, for --set
	binds []binding
	set   []string // --set FIELD=VALUE
	reset []string // --default FIELD
}

// binding is one flag with the field that it sets.
type binding struct {
	flag, field string
	value       func() (any, error)
}

func fieldsOf[T any](f *pflag.FlagSet) *fields { return &fields{flags: f, of: reflect.TypeFor[T]()} }

func (b *fields) add(flag, field string, value func() (any, error)) {
	b.binds = append(b.binds, binding{flag, field, value})
}

// text is a flag for a string.
func (b *fields) text(flag, field, usage string) {
	v := b.flags.String(flag, "", usage)
	b.add(flag, field, func() (any, error) { return *v, nil })
}

// word is a flag for one of a few words.
func (b *fields) word(flag, field, usage string, words ...string) {
	v := &choice{words: words}
	b.flags.Var(v, flag, usage+": "+strings.Join(words, ", "))
	b.add(flag, field, func() (any, error) { return v.value, nil })
}

// list is a flag that may be repeated.
func (b *fields) list(flag, field, usage string) {
	v := b.flags.StringArray(flag, nil, usage+"; repeatable")
	b.add(flag, field, func() (any, error) { return *v, nil })
}

// commas is a flag for a list with commas.
func (b *fields) commas(flag, field, usage string) {
	v := b.flags.StringSlice(flag, nil, usage)
	b.add(flag, field, func() (any, error) { return *v, nil })
}

// number is a flag for a whole number.
func (b *fields) number(flag, field, usage string) {
	v := b.flags.Int(flag, 0, usage)
	b.add(flag, field, func() (any, error) { return *v, nil })
}

// yes is a flag that sets a field to true, no one that sets it to false; either
// takes =false for the opposite.
func (b *fields) yes(flag, field, usage string) {
	v := b.flags.Bool(flag, false, usage)
	b.add(flag, field, func() (any, error) { return *v, nil })
}

func (b *fields) no(flag, field, usage string) {
	v := b.flags.Bool(flag, false, usage)
	b.add(flag, field, func() (any, error) { return !*v, nil })
}

// headers is a repeatable flag NAME=VALUE.
func (b *fields) headers(flag, field, usage string) {
	v := b.flags.StringArray(flag, nil, usage+"; repeatable")
	b.add(flag, field, func() (any, error) {
		set := make(map[string]string, len(*v))
		for _, pair := range *v {
			name, value, found := strings.Cut(pair, "=")
			if !found || name == "" {
				return nil, usageError{fmt.Errorf("--%s %q: write it as NAME=VALUE (no VALUE removes the header)", flag, pair)}
			}
			set[name] = value
		}
		return set, nil
	})
}

// others are --set and --default, for all fields.
func (b *fields) others() {
	b.flags.StringArrayVar(&b.set, "set", nil, "any other field as FIELD=VALUE, lists and objects as JSON; repeatable")
	b.flags.StringArrayVar(&b.reset, "default", nil, "field to put back to its default; repeatable")
}

// given reports whether the flag stands on the command line.
func (b *fields) given(flag string) bool { return b.flags.Changed(flag) }

// patch is what the command line says.
func (b *fields) patch() (site.Patch, error) {
	patch := site.Patch{}
	for _, bind := range b.binds {
		if !b.given(bind.flag) {
			continue
		}
		value, err := bind.value()
		if err == nil {
			err = patch.Set(bind.field, value)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, pair := range b.set {
		name, value, found := strings.Cut(pair, "=")
		if !found || name == "" {
			return nil, usage("--set %q: write it as FIELD=VALUE", pair)
		}
		patch[name] = b.raw(name, value)
	}
	for _, name := range b.reset {
		patch[name] = json.RawMessage("null")
	}
	return patch, nil
}

// raw is a value as JSON: text stays text for fields that hold text; elsewhere
// it is JSON, if it can be read so, for the server to judge.
func (b *fields) raw(name, value string) json.RawMessage {
	if !b.isText(name) && json.Valid([]byte(value)) {
		return json.RawMessage(value)
	}
	quoted, _ := json.Marshal(value) // a string always can be
	return quoted
}

func (b *fields) isText(name string) bool {
	for f := range b.of.Fields() {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
			return f.Type.Kind() == reflect.String
		}
	}
	return false
}

// required is patch, refused when it holds nothing.
func (b *fields) required() (site.Patch, error) {
	patch, err := b.patch()
	if err == nil && len(patch) == 0 {
		err = usage("say what to change: name at least one setting")
	}
	return patch, err
}
