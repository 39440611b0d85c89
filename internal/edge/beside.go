package edge

import (
	"net"
	"net/http"
	"strings"
	"time"

	"gatehouse/internal/fault"
)

// Strict puts the strict check of the data path in front of a server beside it,
// such as the API's direct door: heads and chunk lines that two programs could
// read differently never reach its parser. It takes the server's ConnContext and
// wraps its Handler, and gives the listener to serve.
func Strict(server *http.Server, l net.Listener, headTimeout time.Duration) net.Listener {
	server.ConnContext = withInfo
	server.Handler = sound(server.Handler)
	return &strictListener{l, headTimeout}
}

type strictListener struct {
	net.Listener
	headTimeout time.Duration
}

func (l *strictListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newStrictConn(c, &connInfo{}, l.headTimeout), nil
}

// sound answers what the check refused, and lets all else through.
func sound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := infoFrom(r.Context())
		if info == nil || info.strict == nil || info.served.Add(1) > info.strict.passed.Load() {
			panic(http.ErrAbortHandler) // a message that the check did not see
		}
		if !strings.HasPrefix(r.Method, refusedMark) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close")
		bad := info.strict.bad
		fault.NewProblem(bad.status, "malformed", "This is not a valid HTTP/1 message: "+bad.rule+".").WriteTo(w)
	})
}
