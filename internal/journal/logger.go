package journal

import (
	"context"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"gatehouse/internal/principal"
)

// The attribute that names the part of the program a logger belongs to:
// logger.With(ComponentKey, "edge").
const ComponentKey = "component"

type requestIDKey struct{}

// WithRequestID is ctx carrying a request's id; what is logged under it names it.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID is the request id in ctx, empty without one.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// NewLogger is the process log on w. format is "text" or "json"; anything else
// means text on a terminal and JSON elsewhere. Credentials are masked and
// control characters escaped in all that passes; request id and user come from
// the context. Levels changes from which level on it writes.
func NewLogger(w io.Writer, format string, level slog.Level) (*slog.Logger, *Levels) {
	levels := newLevels(level)
	options := &slog.HandlerOptions{Level: slog.Level(-1 << 20), ReplaceAttr: nameLevel} // handler decides
	var out slog.Handler = slog.NewJSONHandler(w, options)
	if format == "text" || format != "json" && isTerminal(w) {
		out = slog.NewTextHandler(w, options)
	}
	return slog.New(&handler{out: out, levels: levels}), levels
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func nameLevel(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 || a.Key != slog.LevelKey {
		return a
	}
	if level, ok := a.Value.Any().(slog.Level); ok {
		a.Value = slog.StringValue(LevelName(level))
	}
	return a
}

// handler masks records, adds what the context knows, and hands them on.
type handler struct {
	out       slog.Handler
	levels    *Levels
	component string
	prefix    string      // of the names of attributes, from WithGroup: "http."
	attrs     []slog.Attr // masked already; in out too; for the journal
}

// Enabled reports whether the component's level lets level pass.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.levels.Level(h.component)
}

// Handle writes one record.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, Printable(MaskText(r.Message)), r.PC)
	component := h.component
	attrs := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == ComponentKey && h.prefix == "" {
			component = a.Value.String()
			return true
		}
		attrs = append(attrs, h.clean(a))
		return true
	})
	clean.AddAttrs(origin(ctx, component)...)
	clean.AddAttrs(attrs...)
	h.record(ctx, clean, component, attrs)
	return h.out.Handle(ctx, clean)
}

// WithAttrs is h with more attributes.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		if a.Key == ComponentKey && h.prefix == "" {
			next.component = a.Value.String()
			continue
		}
		next.attrs = append(next.attrs, h.clean(a))
	}
	next.out = h.out.WithAttrs(next.attrs[len(h.attrs):])
	return &next
}

// WithGroup is h with the names of later attributes under name.
func (h *handler) WithGroup(name string) slog.Handler {
	next := *h
	if name != "" {
		next.prefix += name + "."
	}
	return &next
}

func (h *handler) clean(a slog.Attr) slog.Attr {
	a = maskAttr(a)
	a.Key = h.prefix + a.Key
	return a
}

// origin is who a record is from.
func origin(ctx context.Context, component string) []slog.Attr {
	attrs := make([]slog.Attr, 0, 3)
	if component != "" {
		attrs = append(attrs, slog.String(ComponentKey, component))
	}
	if id := RequestID(ctx); id != "" {
		attrs = append(attrs, slog.String("request_id", Printable(id)))
	}
	if p := principal.From(ctx); p != nil && p.User != "" {
		attrs = append(attrs, slog.String("user", Printable(p.User)))
	}
	return attrs
}

// record writes r into the journal when it is of WARNING or above.
func (h *handler) record(ctx context.Context, r slog.Record, component string, attrs []slog.Attr) {
	to := h.levels.recorder.Load()
	if to == nil || r.Level < LevelWarning {
		return
	}
	e := &Entry{Kind: System, Level: LevelName(r.Level), Component: component, RequestID: RequestID(ctx)}
	if p := principal.From(ctx); p != nil {
		e.User, e.ClientID = p.User, p.ClientID
	}
	var text strings.Builder
	text.WriteString(r.Message)
	for _, set := range [][]slog.Attr{h.attrs, attrs} {
		for _, a := range set {
			switch a.Key {
			case "proxy":
				e.Proxy = a.Value.String()
			case "error", "err":
				e.Error = a.Value.String()
			default:
				text.WriteString(" " + a.Key + "=" + a.Value.String())
			}
		}
	}
	e.Message = text.String()
	(*to).Write(e)
}
