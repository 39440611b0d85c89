package acme

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// Probe begins a check of whether a name reaches us over plain HTTP: until end is
// called, path answers with body there. Nobody else can know the body before.
func (a *Answers) Probe() (path, body string, end func()) {
	var raw [16]byte
	_, _ = rand.Read(raw[:])
	token := "probe-" + base64.RawURLEncoding.EncodeToString(raw[:])
	sum := sha256.Sum256(raw[:])
	body = base64.RawURLEncoding.EncodeToString(sum[:])
	a.mu.Lock()
	a.probes[token] = body
	a.mu.Unlock()
	return HTTP01Path + token, body, func() {
		a.mu.Lock()
		delete(a.probes, token)
		a.mu.Unlock()
	}
}

func (a *Answers) probed(token string) (string, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	body, ok := a.probes[token]
	return body, ok
}
