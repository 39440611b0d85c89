package api

import (
	"encoding/json"
	"net/http"
	"time"

	"gatehouse/internal/fault"
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
		for {
			select {
			case e, ok := <-events:
				if !ok {
					return nil
				}
				if err := write(e.Kind, e); err != nil {
					return err
				}
			case <-beat:
				if err := write("", nil); err != nil {
					return err
				}
			}
		}
	})
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
		return nil //nolint:nilerr // the client is gone
	}
	_ = body(write, ticker.C) // what fails here is the client's connection
	return nil
}
