package api

import (
	"encoding/json"
	"net/http"
	"time"

	"gatehouse/internal/control"
	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
)

// heartbeat is how often a silent stream says that it lives.
const heartbeat = 15 * time.Second

// events streams what control.Events tells.
func (a *API) events(w http.ResponseWriter, r *http.Request) error {
	events, err := a.control.Events(r.Context())
	if err != nil {
		return err
	}
	return stream(a, w, r, func(write func(kind string, data any) error, beat <-chan time.Time) error {
		return relay(events, beat, write, func(e control.Event) string { return e.Kind })
	})
}

// follow streams the entries that match the query, which is that of get_logs.
func (a *API) follow(w http.ResponseWriter, r *http.Request) error {
	search := a.control.Operation("get_logs")
	raw, err := arguments(w, r, search)
	if err != nil {
		return err
	}
	in, err := search.Decode(raw)
	if err != nil {
		return err
	}
	entries, err := a.control.FollowLogs(r.Context(), in.(journal.Query)) //nolint:forcetypeassert // the argument of get_logs
	if err != nil {
		return err
	}
	return stream(a, w, r, func(write func(kind string, data any) error, beat <-chan time.Time) error {
		return relay(entries, beat, write, func(*journal.Entry) string { return "log" })
	})
}

// relay writes what comes, and heartbeats between, until the channel is closed
// or the client gone.
func relay[T any](items <-chan T, beat <-chan time.Time, write func(kind string, data any) error, kind func(T) string) error {
	for {
		select {
		case item, ok := <-items:
			if !ok {
				return nil
			}
			if err := write(kind(item), item); err != nil {
				return err
			}
		case <-beat:
			if err := write("", nil); err != nil {
				return err
			}
		}
	}
}

// stream answers with server-sent events until body returns. An error before the
// first byte becomes a problem document; later the stream just ends.
func stream(a *API, w http.ResponseWriter, r *http.Request, body func(write func(kind string, data any) error, beat <-chan time.Time) error) error {
	select {
	case a.streams <- struct{}{}:
		defer func() { <-a.streams }()
	default:
		return &fault.Error{Kind: fault.Unavailable, Public: "too many streams are open", RetryAfter: 10 * time.Second}
	}
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	write := func(kind string, data any) error {
		message := []byte(":\n\n")
		if kind != "" {
			raw, err := json.Marshal(data)
			if err != nil {
				return err
			}
			message = append(append([]byte("event: "+kind+"\ndata: "), raw...), "\n\n"...)
		}
		_ = out.SetWriteDeadline(time.Now().Add(heartbeat)) // not every writer has one
		if _, err := w.Write(message); err != nil {
			return err
		}
		return out.Flush()
	}
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	if err := write("", nil); err != nil {
		return nil // the client is gone
	}
	_ = body(write, ticker.C) // what fails here is the client's connection
	return nil
}
