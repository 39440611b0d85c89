package test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"time"
)

// A forged token begins as alice's own, for app.localhost. Rows change header
// or claims; the server's own key signs it where a row does not say otherwise,
// so that what is changed is all that is wrong with it.

type members map[string]any // nil: without it

// forge is a token with changes, signed as the server would.
func (st *stage) forge(head, claims members) string {
	st.t.Helper()
	text := st.unsigned(head, claims)
	return text + "." + rs256(text, st.key)
}

// unsigned is the first two parts of a token with changes.
func (st *stage) unsigned(head, claims members) string {
	st.t.Helper()
	h, c, _ := parts(st.t, st.model())
	return segmentOf(h, head) + "." + segmentOf(c, claims)
}

// model is a good token of alice's.
func (st *stage) model() string {
	st.t.Helper()
	if st.good == "" {
		st.good = st.tokens(st.app, nil).Access
	}
	return st.good
}

func segmentOf(base map[string]any, changes members) string {
	for name, value := range changes {
		if value == nil {
			delete(base, name)
			continue
		}
		base[name] = value
	}
	b, err := json.Marshal(base)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// assertion is what a client would sign to prove itself at app.localhost.
func (st *stage) assertion(head, claims members) string {
	now := time.Now().Unix()
	return segmentOf(map[string]any{"typ": "JWT"}, head) + "." + segmentOf(map[string]any{"iss": st.vault.id, "sub": st.vault.id, "aud": st.vault.issuer, "jti": random(), "iat": now, "exp": now + 60}, claims)
}

func rs256(text string, key *rsa.PrivateKey) string {
	sum := sha256.Sum256([]byte(text))
	return signature(rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]))
}

func hs256(text string, key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func signature(b []byte, err error) string {
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func publicPEM(key *rsa.PrivateKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
