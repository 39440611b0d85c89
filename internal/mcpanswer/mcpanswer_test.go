package mcpanswer_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/mcpanswer"
)

func TestErrorsOfTheSDKGetTheFormOfJSONRPC(t *testing.T) {
	server := mcp.NewServer(&mcp.Implementation{Name: "t", Version: "1"}, nil)
	web := httptest.NewServer(mcpanswer.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})))
	defer web.Close()
	for body, want := range map[string]string{
		`{"jsonrpc":"2.0","id":"a","method":"no/such"}`:                 `200 {"error":{"code":-32601,"message":"there is no such method here"},"id":"a","jsonrpc":"2.0"}`,
		`{"jsonrpc":"2.0","id":7,"method":"notifications/initialized"}`: `400 {"error":{"code":-32600,"message":"invalid request: unexpected id for \"notifications/initialized\""},"id":7,"jsonrpc":"2.0"}`,
		`{"jsonrpc":"2.0","id":8,"method":"ping"}`:                      `200 event: message` + "\n" + `data: {"jsonrpc":"2.0","id":8,"result":{}}`,
		`{"jsonrpc":"2.0","method":"no/such"}`:                          `400 JSON RPC not handled: "no/such" unsupported`,
		`no json`:                                                       `400 malformed payload: `,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, web.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if got := strings.Fields(res.Status)[0] + " " + strings.TrimSpace(string(text)); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
		if res.Header.Get("X-Accel-Buffering") != "no" {
			t.Error("X-Accel-Buffering is missing")
		}
	}
}
