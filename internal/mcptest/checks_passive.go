package mcptest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"unicode/utf8"
)

// passive is what all answers of a run showed beside what they were asked for.
type passive struct {
	mu       sync.Mutex
	messages int
	wrong    map[string]string // by check, the first that was seen
	events   map[string]bool   // ids of events
}

func passiveChecks() []check {
	seen := func(id string) func(context.Context, *run) outcome {
		return func(_ context.Context, r *run) outcome {
			r.seen.mu.Lock()
			defer r.seen.mu.Unlock()
			if why := r.seen.wrong[id]; why != "" {
				return breaks("%s", why)
			}
			return pass("%d messages", r.seen.messages)
		}
	}
	all := []check{
		{id: "protocol.envelope", category: Protocol, level: Must, ref: jsonRPC("5", "Response object"), text: `Every message is a JSON-RPC object with "jsonrpc": "2.0"`},
		{id: "protocol.result-or-error", category: Protocol, level: Must, ref: base("Responses"), text: "Every response has either a result or an error"},
		{id: "protocol.error-form", category: Protocol, level: Must, ref: refErrors(), text: "Every error has an integer code and a message"},
		{id: "protocol.response-id", category: Protocol, level: Must, ref: base("Responses"), text: "Every response has an id; null only to what could not be read"},
		{id: "protocol.utf8", category: Protocol, level: Must, ref: spec("", page{v2503, transports, "Transports"}, page{sessionless, transports, "Messages"}), text: "Messages are in UTF-8"},
		{id: "protocol.requests-on-streams", category: Protocol, level: Must, ref: refReceiving(), since: sessionless, text: "The server sends no requests on streams"},
		{id: "protocol.id-on-notifications", category: Protocol, level: Must, ref: base("Notifications"), text: "Notifications of the server have no id"},
		{id: "transport.event-ids", category: Transport, level: Must, ref: refResume(), before: sessionless, text: "The ids of events are unique over all streams"},
		{id: "transport.valid-json", category: Transport, level: Must, ref: refSending(), text: "What is sent as JSON is JSON, in events too"},
		{id: "security.stack-traces", category: Security, level: Should, ref: tools("Security Considerations"), text: "No answer shows a stack trace"},
	}
	for i := range all {
		all[i].run = seen(all[i].id)
	}
	return all
}

// observe looks at every answer of the endpoint.
func (r *run) observe(a *answer) {
	s := &r.seen
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrong == nil {
		s.wrong, s.events = map[string]string{}, map[string]bool{}
	}
	for i := range a.messages {
		s.messages++
		s.message(&a.messages[i])
	}
	if !utf8.Valid(a.body) && a.media == "application/json" {
		s.note("protocol.utf8", "a body is not")
	}
	if a.media == "application/json" && a.ended && len(a.body) > 0 && a.messages == nil && a.good() && a.asked.method != "OPTIONS" {
		s.note("transport.valid-json", "a body of the type application/json is none: "+quote(string(a.body[:min(len(a.body), 2*maxQuoted)])))
	}
	replayed := false
	for _, h := range a.asked.headers {
		replayed = replayed || h.name == "Last-Event-ID"
	}
	for _, e := range a.events {
		s.event(e, replayed)
	}
	for _, mark := range []string{"goroutine 1 [", "\ngoroutine ", "Traceback (most recent call last)", "    at Object.<anonymous>", "\tat java."} {
		if bytes.Contains(a.body, []byte(mark)) {
			s.note("security.stack-traces", "one does, with status "+fmt.Sprint(a.status))
		}
	}
}

func (s *passive) note(check, why string) {
	if s.wrong[check] == "" {
		s.wrong[check] = why
	}
}

func (s *passive) event(e event, replayed bool) {
	if e.hasID && e.id != "" && !replayed {
		if s.events[e.id] {
			s.note("transport.event-ids", "the id "+quote(e.id)+" came twice")
		}
		if len(s.events) < maxEvents {
			s.events[e.id] = true
		}
	}
	if e.hasData && e.data != "" && e.name != "endpoint" && !json.Valid([]byte(e.data)) {
		s.note("transport.valid-json", "the data of an event is none: "+quote(e.data))
	}
	if !utf8.ValidString(e.data) {
		s.note("protocol.utf8", "an event is not")
	}
}

func (s *passive) message(m *message) {
	switch {
	case m.fields == nil:
		s.note("protocol.envelope", "a message is no object: "+quote(string(m.raw)))
		return
	case m.version != "2.0":
		s.note("protocol.envelope", "jsonrpc is "+quote(string(m.fields["jsonrpc"])))
	}
	switch {
	case m.result != nil && m.failure != nil:
		s.note("protocol.result-or-error", "one has both")
	case m.method == "" && !m.response():
		s.note("protocol.result-or-error", "one has neither")
	}
	if f := m.failure; f != nil && (!integer(member(f.raw, "code")) || !isString(member(f.raw, "message"))) {
		s.note("protocol.error-form", "an error is "+quote(string(f.raw)))
	}
	if m.response() {
		switch {
		case m.id == nil && m.result != nil:
			s.note("protocol.response-id", "a result has none")
		case string(m.id) == "null" && m.result != nil:
			s.note("protocol.response-id", "a result has null")
		case m.id != nil && string(m.id) != "null" && !isString(m.id) && !integer(m.id):
			s.note("protocol.response-id", "it is "+quote(string(m.id)))
		}
	}
	if m.method != "" && m.id != nil {
		s.note("protocol.requests-on-streams", "it asks for "+quote(m.method))
		if len(m.method) > 14 && m.method[:14] == "notifications/" {
			s.note("protocol.id-on-notifications", quote(m.method)+" has one")
		}
	}
}

// integer reports a JSON integer.
func integer(raw json.RawMessage) bool {
	if len(raw) == 0 {
		return false
	}
	for i, c := range raw {
		if (c < '0' || c > '9') && (c != '-' || i > 0) {
			return false
		}
	}
	return true
}
