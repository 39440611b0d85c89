package oauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// The id of an access token (jti) ends with a mark that only we can make. Where so
// many forged tokens come from an address that RSA is not spent on its tokens any
// more, the mark tells those that we made: many people come from few addresses,
// and none of them is to wait because another one there forges. Whoever has a
// token can put its id on a forged one; that costs them a token, and us what a
// good one costs.
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

func (s *Server) tokenMark(id string) string {
	mac := hmac.New(sha256.New, s.keys.Load().refresh)
	mac.Write([]byte("access token " + id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:tokenIDMark])
}
