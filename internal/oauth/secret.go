package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
)

// secretBytes is the strength of everything that opens something: 256 bits.
const secretBytes = 32

// newSecret is a fresh random value for the outside: a code, a handle, a token.
func newSecret() string { return randomText(secretBytes) }

// newID is a fresh random name: unique and unguessable, but no credential. It
// never begins with a hyphen: people give ids to commands, which would take it
// for a flag.
func newID() string {
	for {
		if id := randomText(16); id[0] != '-' {
			return id
		}
	}
}

func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: the runtime ends the process instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// hashed is the form in which a secret from outside is stored and looked up.
func hashed(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// sameSecret compares a presented secret with a stored hash in constant time.
func sameSecret(presented, storedHash string) bool {
	return sameText(hashed(presented), storedHash) && storedHash != ""
}

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
