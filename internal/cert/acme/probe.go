package acme

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"
)

const (
	probeMark = "probe-"
	probeLife = time.Minute
	probeSeal = "acme:probe" // what the tokens are sealed for
)

// Probe begins a check of whether a name reaches us over plain HTTP: for a
// minute path answers with body, on every node, for the token holds, sealed,
// what the answer is made of. Nobody else can make a token or tell its answer.
func (a *Answers) Probe(now time.Time) (path, body string) {
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, 24), uint64(now.Unix()))
	plain = plain[:24]
	_, _ = rand.Read(plain[8:]) // never fails: the runtime ends the process instead
	return HTTP01Path + probeMark + base64.RawURLEncoding.EncodeToString(a.sealer.Seal(probeSeal, plain)), probeAnswer(plain)
}

// probed is the answer to a token of Probe's, of any node.
func (a *Answers) probed(token string, now time.Time) (string, bool) {
	text, ok := strings.CutPrefix(token, probeMark)
	if !ok {
		return "", false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return "", false
	}
	plain, err := a.sealer.Open(probeSeal, sealed)
	if err != nil || len(plain) != 24 {
		return "", false
	}
	age := now.Sub(time.Unix(int64(binary.BigEndian.Uint64(plain)), 0))
	if age.Abs() > probeLife {
		return "", false
	}
	return probeAnswer(plain), true
}

func probeAnswer(plain []byte) string {
	sum := sha256.Sum256(plain)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
