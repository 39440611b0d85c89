// Package localauth is how the machine's administrator proves itself to the API
// without an account: a key in the data folder that only its owner may read, and
// that never travels. The command line signs each request with it (HMAC-SHA256
// over method, path with query, hash of the body, time and a nonce); the server
// checks the signature, that it is fresh, and that it was not seen before.
//
// Who may present a signature, loopback peers alone, is package api's rule.
package localauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/fault"
)

// Scheme is the authentication scheme of a signed request:
//
//	Authorization: Gatehouse-Local time=1767225600, nonce=…, signature=…
const Scheme = "Gatehouse-Local"

// Window is how far the time of a signature may lie from the server's.
const Window = 30 * time.Second

const (
	keyFile   = "local.key"
	keySize   = 32
	nonceSize = 16
	maxNonces = 10000 // signatures that are remembered at once
)

// Path is the key's file in the data folder.
func Path(dataDir string) string { return filepath.Join(dataDir, keyFile) }

// Key signs and checks. It prints as nothing but its kind.
type Key struct{ secret []byte }

// String never shows the key.
func (Key) String() string { return "local key" }

// GoString never shows the key.
func (Key) GoString() string { return "local key" }

// Sign puts the proof on r; body is what will be sent with it.
func (k Key) Sign(r *http.Request, body []byte, now time.Time) {
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails: the runtime ends the process instead
	p := proof{time: strconv.FormatInt(now.Unix(), 10), nonce: base64.RawURLEncoding.EncodeToString(nonce)}
	p.signature = base64.RawURLEncoding.EncodeToString(k.mac(r, body, p))
	r.Header.Set("Authorization", p.header())
}

// mac is the signature over everything that makes the request what it is. The
// parts can't run into each other: none holds a line break.
func (k Key) mac(r *http.Request, body []byte, p proof) []byte {
	sum := sha256.Sum256(body)
	h := hmac.New(sha256.New, k.secret)
	for _, part := range []string{"gatehouse local 1", r.Method, r.URL.RequestURI(), hex.EncodeToString(sum[:]), p.time, p.nonce} {
		_, _ = h.Write([]byte(part + "\n")) // a hash takes everything
	}
	return h.Sum(nil)
}

// proof is the content of the header.
type proof struct{ time, nonce, signature string }

func (p proof) header() string {
	return Scheme + " time=" + p.time + ", nonce=" + p.nonce + ", signature=" + p.signature
}

// Presented reports whether r carries a signature, good or not.
func Presented(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, Scheme)
}

var errForm = fault.New(fault.Unauthenticated, "the local signature can't be read")

func parse(r *http.Request) (proof, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 || len(values[0]) > 512 {
		return proof{}, errForm
	}
	_, rest, _ := strings.Cut(values[0], " ")
	var p proof
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		into, ok := map[string]*string{"time": &p.time, "nonce": &p.nonce, "signature": &p.signature}[name]
		if !ok || *into != "" || value == "" {
			return proof{}, errForm
		}
		*into = value
	}
	if p.time == "" || p.nonce == "" || p.signature == "" || len(p.nonce) > 64 {
		return proof{}, errForm
	}
	return p, nil
}
