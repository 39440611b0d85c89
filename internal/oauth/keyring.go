package oauth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// keyBits is the size of the signing keys that we make, and the least that is
// taken from outside.
const keyBits = 2048

// keyring holds every secret that the authorization server keeps for itself:
// the keys that sign tokens, the one that seals session cookies and the one that
// authenticates refresh tokens. A keyring is immutable; a change makes a new one.
type keyring struct {
	record  keyringRecord
	version int64 // of the stored record
	signing []signingKey
	byID    map[string]*rsa.PublicKey
	cookie  cipher.AEAD
	refresh []byte
}

// signingKey signs from a moment on, until the next one does.
type signingKey struct {
	id      string
	private *rsa.PrivateKey
	from    time.Time
	made    time.Time
}

// keyringRecord is the keyring at rest, before it is sealed.
type keyringRecord struct {
	Cookie   []byte      `json:"cookie_key"`
	Refresh  []byte      `json:"refresh_key"`
	Signing  []keyRecord `json:"signing_keys"` // in the order in which they sign
	Imported []string    `json:"imported,omitempty"`
}

type keyRecord struct {
	ID        string    `json:"kid"`
	Private   []byte    `json:"pkcs8"`
	CreatedAt time.Time `json:"created_at"`
	SignsFrom time.Time `json:"signs_from"`
}

// newKeyringRecord makes all keys afresh, with first as signing key when given.
func newKeyringRecord(first *rsa.PrivateKey, now time.Time) (keyringRecord, error) {
	rec := keyringRecord{Cookie: make([]byte, 32), Refresh: make([]byte, 32)}
	_, _ = rand.Read(rec.Cookie)
	_, _ = rand.Read(rec.Refresh)
	if first != nil {
		return rec, rec.take(first, now)
	}
	_, err := rec.generate(now, now)
	return rec, err
}

// generate adds a new signing key that signs from the moment given, and answers
// its id.
func (rec *keyringRecord) generate(now, from time.Time) (id string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return "", fmt.Errorf("generate a signing key: %w", err)
	}
	return thumbprint(&key.PublicKey), rec.add(key, now, from)
}

// take adds a key from outside and remembers that it did, so that a key which
// was rotated away is not taken a second time.
func (rec *keyringRecord) take(key *rsa.PrivateKey, now time.Time) error {
	if key.N.BitLen() < keyBits {
		return fmt.Errorf("the signing key to import has %d bits; at least %d are needed", key.N.BitLen(), keyBits)
	}
	rec.Imported = append(rec.Imported, thumbprint(&key.PublicKey))
	return rec.add(key, now, now)
}

func (rec *keyringRecord) add(key *rsa.PrivateKey, now, from time.Time) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode a signing key: %w", err)
	}
	rec.Signing = append(rec.Signing, keyRecord{ID: thumbprint(&key.PublicKey), Private: der, CreatedAt: now, SignsFrom: from})
	slices.SortStableFunc(rec.Signing, func(a, b keyRecord) int { return a.SignsFrom.Compare(b.SignsFrom) })
	return nil
}

// open makes the usable keyring from its record.
func (rec keyringRecord) open(version int64) (*keyring, error) {
	ring := &keyring{record: rec, version: version, refresh: rec.Refresh, byID: map[string]*rsa.PublicKey{}}
	if len(rec.Cookie) != 32 || len(rec.Refresh) != 32 || len(rec.Signing) == 0 {
		return nil, errors.New("the stored keys are not complete")
	}
	for _, k := range rec.Signing {
		parsed, err := x509.ParsePKCS8PrivateKey(k.Private)
		if err != nil {
			return nil, fmt.Errorf("signing key %s: %w", k.ID, err)
		}
		private, ok := parsed.(*rsa.PrivateKey)
		if !ok || private.N.BitLen() < keyBits || thumbprint(&private.PublicKey) != k.ID {
			return nil, fmt.Errorf("signing key %s is not the RSA key that its id names", k.ID)
		}
		ring.signing = append(ring.signing, signingKey{id: k.ID, private: private, from: k.SignsFrom, made: k.CreatedAt})
		ring.byID[k.ID] = &private.PublicKey
	}
	block, err := aes.NewCipher(rec.Cookie)
	if err != nil {
		return nil, err
	}
	ring.cookie, err = cipher.NewGCM(block)
	return ring, err
}

// signer is the key that signs at this moment: the newest whose time has come.
func (ring *keyring) signer(now time.Time) signingKey {
	best := ring.signing[0]
	for _, k := range ring.signing[1:] {
		if !k.from.After(now) && !k.from.Before(best.from) {
			best = k
		}
	}
	return best
}

// retired is the record without the keys whose last token has expired, and
// whether there were any.
func (ring *keyring) retired(now time.Time, life time.Duration) (keyringRecord, bool) {
	rec := ring.record
	rec.Signing = nil
	for i, k := range ring.record.Signing {
		if i+1 < len(ring.record.Signing) && ring.record.Signing[i+1].SignsFrom.Add(life+time.Hour).Before(now) {
			continue
		}
		rec.Signing = append(rec.Signing, k)
	}
	return rec, len(rec.Signing) != len(ring.record.Signing)
}

// jwk is a public key as RFC 7517 writes it.
type jwk struct {
	Type      string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	Modulus   string `json:"n"`
	Exponent  string `json:"e"`
}

// jwks are all public keys: current, next and previous.
func (ring *keyring) jwks() []jwk {
	set := make([]jwk, len(ring.signing))
	for i, k := range ring.signing {
		n, e := numbers(&k.private.PublicKey)
		set[i] = jwk{Type: "RSA", Use: "sig", Algorithm: "RS256", ID: k.id, Modulus: n, Exponent: e}
	}
	return set
}

// thumbprint is the RFC 7638 name of a public key.
func thumbprint(key *rsa.PublicKey) string {
	n, e := numbers(key)
	canonical, _ := json.Marshal(struct { // members in the order that the RFC demands
		E   string `json:"e"`
		Kty string `json:"kty"`
		N   string `json:"n"`
	}{e, "RSA", n})
	sum := sha256.Sum256(canonical)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func numbers(key *rsa.PublicKey) (n, e string) {
	return base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
		base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())
}
