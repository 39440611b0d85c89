package store

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"gatehouse/internal/fault"
)

// Sealer keeps secrets unreadable at rest: AES-256-GCM under a key that is
// derived from SECRET_KEY. What is sealed for one purpose opens for no other, so
// that whoever can write to the store can't move a secret from one record to
// another. A sealed value is
//
//	0  format, 1
//	1  key id, 4 bytes
//	5  nonce, 12 bytes, random
//	17 ciphertext and tag
//
// with format, key id and purpose as additional data. A key seals up to 2^32
// values safely. A Sealer is safe for concurrent use.
type Sealer struct {
	keys []sealKey // the first seals, all open
}

type sealKey struct {
	id   [sealIDSize]byte
	aead cipher.AEAD
	root []byte // what Derive derives from
}

// KeySize is the length of a SECRET_KEY in bytes.
const KeySize = 32

const (
	sealFormat = 1
	sealIDSize = 4
	sealHead   = 1 + sealIDSize
)

// NewSealer makes a Sealer that seals under the first key and opens what any of
// them has sealed. To change SECRET_KEY put the new one in front, seal anew what
// is not Current, then take the old one away.
func NewSealer(keys ...[]byte) (*Sealer, error) {
	if len(keys) == 0 {
		return nil, fault.BadField("SECRET_KEY", "is missing")
	}
	s := &Sealer{keys: make([]sealKey, len(keys))}
	for i, key := range keys {
		if err := CheckSecretKey(key); err != nil {
			return nil, err
		}
		k, err := newSealKey(key)
		if err != nil {
			return nil, err
		}
		s.keys[i] = k
	}
	return s, nil
}

// CheckSecretKey is Invalid unless key can be a SECRET_KEY: 32 bytes that are not
// all the same.
func CheckSecretKey(key []byte) error {
	if len(key) != KeySize {
		return fault.BadField("SECRET_KEY", "is %d bytes long after decoding, must be exactly %d", len(key), KeySize)
	}
	if bytes.Count(key, key[:1]) == KeySize {
		return fault.BadField("SECRET_KEY", "is one byte %d times over: make a random one, for example with openssl rand -base64 32", KeySize)
	}
	return nil
}

// newSealKey derives what is needed from key, which so may serve other ends too.
func newSealKey(key []byte) (sealKey, error) {
	var k sealKey
	id, idErr := hkdf.Expand(sha256.New, key, "gatehouse seal key id", sealIDSize)
	var rootErr error
	k.root, rootErr = hkdf.Expand(sha256.New, key, "gatehouse derived keys", KeySize)
	secret, keyErr := hkdf.Expand(sha256.New, key, "gatehouse seal aes-256-gcm", KeySize)
	if err := errors.Join(idErr, rootErr, keyErr); err != nil {
		return k, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return k, err
	}
	copy(k.id[:], id)
	k.aead, err = cipher.NewGCMWithRandomNonce(block)
	return k, err
}

// Seal is plain unreadable and unchangeable without the key. purpose names the
// record that will hold it, its store key for instance.
func (s *Sealer) Seal(purpose string, plain []byte) []byte {
	k := s.keys[0]
	head := append([]byte{sealFormat}, k.id[:]...)
	return k.aead.Seal(head, nil, plain, additional(head, purpose))
}

// Derive is a key of 32 bytes for one purpose, the same wherever SECRET_KEY is.
func (s *Sealer) Derive(purpose string) []byte {
	key, err := hkdf.Expand(sha256.New, s.keys[0].root, purpose, KeySize)
	if err != nil { // the lengths are fixed: can't happen
		panic(err)
	}
	return key
}

// Open is what was sealed for purpose. The error, of kind Internal, tells a
// missing key from a value that was changed or belongs elsewhere.
func (s *Sealer) Open(purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < sealHead || sealed[0] != sealFormat {
		return nil, fault.New(fault.Internal, "the sealed %s is in no known format", purpose)
	}
	head, rest := sealed[:sealHead], sealed[sealHead:]
	known := false
	for _, k := range s.keys {
		if !bytes.Equal(k.id[:], head[1:]) {
			continue
		}
		known = true
		if plain, err := k.aead.Open(nil, nil, rest, additional(head, purpose)); err == nil {
			return plain, nil
		}
	}
	if !known {
		return nil, fault.New(fault.Internal, "the sealed %s needs the SECRET_KEY with id %s, which is not among those given", purpose, hex.EncodeToString(head[1:]))
	}
	return nil, fault.New(fault.Internal, "the sealed %s was changed, or was sealed for something else", purpose)
}

// Current reports whether sealed is under the key that seals now; if not it
// should be sealed anew.
func (s *Sealer) Current(sealed []byte) bool {
	return len(sealed) >= sealHead && sealed[0] == sealFormat && bytes.Equal(sealed[1:sealHead], s.keys[0].id[:])
}

func additional(head []byte, purpose string) []byte {
	return append(bytes.Clone(head), purpose...)
}
