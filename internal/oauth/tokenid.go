package oauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"sync"
)

// The id of an access token (jti) ends with a mark that only we can make. Where so
// many forged tokens come from an address that RSA is not spent on its tokens any
// more, the mark tells those that we made: many people come from few addresses,
// and none of them is to wait because another one there forges. Whoever has a
// token can put its id on forged ones, a few times: then that id tells nothing
// any more.
const tokenIDMark = 12 // bytes, 16 characters

func (s *Server) newTokenID() string {
	id := newID()
	return id + s.tokenMark(id)
}

// ownTokenID reports whether we made an access token with this id.
func (s *Server) ownTokenID(id string) bool {
	own := len(newIDSample)
	return len(id) > own && sameText(id[own:], s.tokenMark(id[:own]))
}

// likelyOurs reports whether a token with this id deserves a look although many
// forged ones came from where it comes from.
func (s *Server) likelyOurs(id string) bool {
	return s.ownTokenID(id) && !s.forged.many(id, forgedEach)
}

const (
	forgedEach = 8    // forged tokens under one id, in the time between two tidyings
	forgedMost = 4096 // names that are remembered
)

// forgeries counts forged tokens or assertions by what they claim to be. The zero
// value is ready.
type forgeries struct {
	mu sync.Mutex // guards by
	by map[string]int
}

// note counts one. When there are too many names one is forgotten: to have each its
// sender needs a token or client of ours.
func (f *forgeries) note(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = map[string]int{}
	}
	if _, known := f.by[id]; !known && len(f.by) >= forgedMost {
		for other := range f.by {
			delete(f.by, other)
			break
		}
	}
	f.by[id]++
}

// many reports whether there were so many under one name.
func (f *forgeries) many(id string, most int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.by[id] >= most
}

// forget begins anew.
func (f *forgeries) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.by)
}

func (s *Server) tokenMark(id string) string {
	mac := hmac.New(sha256.New, s.keys.Load().refresh)
	mac.Write([]byte("access token " + id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:tokenIDMark])
}
