package handover

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"

	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// noteHeader carries the envelope. It is believed on connections between nodes
// alone: there is no other way to receive.
const noteHeader = "Gatehouse-Handover"

// maxNote bounds what is said of a caller: some hundreds of groups.
const maxNote = 64 << 10

// envelope is what the edge and the gate of one node found, for another.
type envelope struct {
	RequestID string               `json:"request_id"`
	Name      string               `json:"name"` // the hostname asked for
	Path      string               `json:"path"` // as it came
	Origin    string               `json:"origin"`
	SignIn    string               `json:"sign_in"`
	Secure    bool                 `json:"secure"`
	Client    netip.Addr           `json:"client"`
	Peer      netip.Addr           `json:"peer"`
	Loopback  bool                 `json:"loopback"`
	Trusted   bool                 `json:"trusted"`
	Step      int                  `json:"step"`
	Reason    string               `json:"reason"`
	ByCookie  bool                 `json:"by_cookie"`
	Principal *principal.Principal `json:"principal"` // nil: anonymous
}

func seal(v *site.Visit, who *principal.Principal) (string, error) {
	text, err := json.Marshal(envelope{
		RequestID: v.RequestID, Name: v.Name, Path: v.Path.Raw, Origin: v.Origin, SignIn: v.SignIn, Secure: v.Secure,
		Client: v.Client, Peer: v.Peer, Loopback: v.Loopback, Trusted: v.Trusted,
		Step: v.Verdict.Step, Reason: v.Verdict.Reason, ByCookie: v.Verdict.ByCookie, Principal: who,
	})
	if err != nil {
		return "", err
	}
	note := base64.RawURLEncoding.EncodeToString(text)
	if len(note) > maxNote {
		return "", fmt.Errorf("what is known of the caller takes %d bytes, more than %d", len(note), maxNote)
	}
	return note, nil
}

func open(note string) (e envelope, err error) {
	if len(note) > maxNote {
		return e, fmt.Errorf("the envelope is larger than %d bytes", maxNote)
	}
	text, err := base64.RawURLEncoding.DecodeString(note)
	if err != nil {
		return e, err
	}
	return e, json.Unmarshal(text, &e)
}

// visit is the visit as this node sees it: host, route and target are its own.
// nil: the host is not served here, or the path leads nowhere.
func (e *envelope) visit(w *site.World, method string) *site.Visit {
	host := w.Find(e.Name)
	if host == nil || !host.Proxy.Enabled {
		return nil
	}
	path := site.ParsePath(e.Path)
	route, gone := host.Match(method, path)
	if gone {
		return nil
	}
	return &site.Visit{
		RequestID: e.RequestID, Host: host, Name: e.Name, Route: route, Path: path, Origin: e.Origin, SignIn: e.SignIn, Secure: e.Secure,
		Client: e.Client, Peer: e.Peer, Loopback: e.Loopback, Trusted: e.Trusted,
		Verdict: site.Verdict{Outcome: site.Allow, Step: e.Step, Reason: e.Reason, ByCookie: e.ByCookie, Principal: e.Principal},
	}
}
