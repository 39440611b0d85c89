package main

import (
	"maps"
	"net/url"

	"github.com/spf13/pflag"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
)

// Flags and views that several nouns share.

func bindPaging(f *pflag.FlagSet, in *control.Paging) {
	f.IntVar(&in.Limit, "limit", 0, "items at most, 1 to 1000")
	f.StringVar(&in.Cursor, "cursor", "", "where the last page ended")
}

func bindForce(f *pflag.FlagSet, force *bool) {
	f.BoolVarP(force, "force", "f", false, "do not ask")
}

func bindIfMatch(f *pflag.FlagSet, version *string) {
	f.StringVar(version, "if-match", "", "only if this is still the `VERSION` that show tells")
}

// done is a view for answers that hold nothing to read.
func done(sentence string) render.View {
	return render.View{Say: func(render.Object) string { return sentence }}
}

// with is q and one more parameter; q stays as it is.
func with(q url.Values, name, value string) url.Values {
	c := maps.Clone(q)
	if c == nil {
		c = url.Values{}
	}
	c.Set(name, value)
	return c
}
