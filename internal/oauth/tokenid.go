package oauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// The id of an access token (jti) carries a mark that only we can make. Where so
// many forged tokens come from an address that RSA is not spent on its tokens any
// more, the mark tells those that we made: many people come from few addresses,
// and none of them is to wait because another one there forges. Whoever has a
// token can put its id on a forged one; that costs them a token, and us what a
// good one costs.
const (
	tokenIDRandom = 12
	tokenIDMark   = 12
)

func (s *Server) newTokenID() string {
	raw := make([]byte, tokenIDRandom, tokenIDRandom+tokenIDMark)
	_, _ = rand.Read(raw) // never fails
	return base64.RawURLEncoding.EncodeToString(append(raw, s.tokenMark(raw)...))
}

// ownTokenID reports whether we made an access token with this id.
func (s *Server) ownTokenID(id string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(id)
	return err == nil && len(raw) == tokenIDRandom+tokenIDMark && hmac.Equal(raw[tokenIDRandom:], s.tokenMark(raw[:tokenIDRandom]))
}

func (s *Server) tokenMark(random []byte) []byte {
	mac := hmac.New(sha256.New, s.keys.Load().refresh)
	mac.Write([]byte("access token id"))
	mac.Write(random)
	return mac.Sum(nil)[:tokenIDMark]
}
