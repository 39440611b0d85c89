package mcptest

import (
	"context"
	"encoding/json"

	"gatehouse/internal/fault"
)

// Plan are the checks that a test with these options would make, in the newest
// version unless they name one. It sends nothing.
func Plan(o Options) ([]Result, error) {
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	if r.version = o.Protocol; r.version == "" {
		r.version = sessionless
	}
	all := []Result{}
	for _, c := range allChecks() {
		if r.wants(c) {
			all = append(all, Result{Check: c.id, Category: c.category, Requirement: c.text, Level: c.level, Status: Skipped, Reference: c.ref.in(r.version)})
		}
	}
	return all, nil
}

// connected runs f with a session at the endpoint.
func connected(ctx context.Context, o Options, f func(*run) error) error {
	r, err := newRun(o)
	if err != nil {
		return err
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	defer r.close(ctx)
	if r.peer == nil {
		if o.Token != "" {
			return fault.New(fault.Denied, "%s: give one with --token-file", r.shut)
		}
		return fault.New(fault.Denied, "%s: get one by `gatehouse oauth login --resource %s`, and give it with --token-file", r.shut, r.url.Redacted())
	}
	if !r.modern() {
		r.peer.notify(ctx, "notifications/initialized", nil)
	}
	return f(r)
}

// Tools are the tools that the endpoint offers, as it describes them.
func Tools(ctx context.Context, o Options) ([]json.RawMessage, error) {
	all := []json.RawMessage{}
	err := connected(ctx, o, func(r *run) error {
		list := r.list(ctx)
		for _, t := range list.tools {
			all = append(all, t.raw)
		}
		if list.wrong != "" {
			return fault.New(fault.Unavailable, "%s", scrub(list.wrong, o.Token))
		}
		return nil
	})
	return all, err
}

// Called is what a call of a tool gave.
type Called struct {
	Result     json.RawMessage // as it came
	Structured json.RawMessage // nil: there is none
	Texts      []string        // of the content, its parts that are text
	IsError    bool            // the tool says that it failed
}

// Call calls a tool.
func Call(ctx context.Context, o Options, name string, arguments map[string]any) (*Called, error) {
	var out *Called
	err := connected(ctx, o, func(r *run) error {
		got, m := r.peer.callTool(ctx, name, arguments)
		if m == nil || m.result == nil {
			return fault.New(fault.Unavailable, "%s was not called: %s", quote(name), scrub(got.said(), o.Token))
		}
		var res toolResult
		if !m.into(&res) {
			return fault.New(fault.Unavailable, "the answer is no result of a tool")
		}
		out = &Called{Result: m.result, Structured: res.Structured, IsError: res.IsError}
		for _, part := range res.Content {
			var text struct{ Text *string }
			if json.Unmarshal(part, &text) == nil && text.Text != nil {
				out.Texts = append(out.Texts, *text.Text)
			}
		}
		return nil
	})
	return out, err
}
