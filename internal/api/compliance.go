package api

import (
	"net/http"
	"time"

	"gatehouse/internal/control"
	"gatehouse/internal/fault"
	"gatehouse/internal/mcptest"
)

// testMCP tests a host's MCP endpoint and streams each result as it comes: events
// called result, then one called report, or error when no test was possible.
func (a *API) testMCP(w http.ResponseWriter, r *http.Request) error {
	in, err := testArguments(w, r)
	if err != nil {
		return err
	}
	test, err := a.control.PrepareTest(r.Context(), in)
	if err != nil {
		return err
	}
	began := false
	err = stream(a, w, r, func(write func(kind string, data any) error, _ <-chan time.Time) error {
		began = true
		var gone error
		report, err := test.Run(r.Context(), func(res mcptest.Result) {
			if gone == nil {
				gone = write("result", res)
			}
		})
		switch {
		case gone != nil || r.Context().Err() != nil:
			return gone // nobody is left to tell
		case err != nil:
			return write("error", fault.ProblemOf(err))
		}
		return write("report", report)
	})
	if !began {
		test.Drop()
	}
	return err
}

func testArguments(w http.ResponseWriter, r *http.Request) (in control.TestMCPServer, err error) {
	body, err := readBody(w, r, true)
	if err != nil {
		return in, err
	}
	if r.URL.RawQuery != "" {
		return in, fault.New(fault.Malformed, "the arguments of a test stand in the body")
	}
	if err := control.Decode(body, &in); err != nil {
		return in, err
	}
	if name := r.PathValue("hostname"); in.Hostname != "" && in.Hostname != name {
		return in, fault.BadField("hostname", "must be that of the path, or be left out")
	}
	in.Hostname = r.PathValue("hostname")
	return in, nil
}
