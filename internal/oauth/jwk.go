package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Keys that clients sign their assertions with (RFC 7517).

// clientAlgs are the algorithms of client assertions: asymmetric ones alone.
func clientAlgs() []string { return []string{"RS256", "PS256", "ES256", "EdDSA"} }

const (
	maxKeys     = 50   // of one set
	leastModule = 2048 // bits of an RSA key
	mostModule  = 8192 // bits; larger ones cost too much to check
)

// clientKey is one public key of a client.
type clientKey struct {
	id  string
	alg string // the only algorithm that it is for; empty: any of its kind
	key crypto.PublicKey
}

// clientJWK are the members of a key that count here (RFC 7518, section 6; RFC 8037).
type clientJWK struct {
	Type  string   `json:"kty"`
	ID    string   `json:"kid"`
	Alg   string   `json:"alg"`
	Use   string   `json:"use"`
	Ops   []string `json:"key_ops"`
	Curve string   `json:"crv"`
	N     string   `json:"n"`
	E     string   `json:"e"`
	X     string   `json:"x"`
	Y     string   `json:"y"`
	D     string   `json:"d"` // private: never to be shown to anybody
	K     string   `json:"k"` // symmetric
}

// readKeys reads a set of keys and says what is wrong with it; empty: nothing.
// Keys that are of no use here are passed over. A set with a private or a
// symmetric key is refused: its owner does not know what they are showing.
func readKeys(raw []byte) (keys []clientKey, wrong string) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := jsonv2.Unmarshal(raw, &set); err != nil || set.Keys == nil {
		return nil, "must be a JSON Web Key Set: an object with keys"
	}
	if len(set.Keys) > maxKeys {
		return nil, "must hold at most 50 keys"
	}
	for _, text := range set.Keys {
		var k clientJWK
		if err := jsonv2.Unmarshal(text, &k); err != nil {
			continue // of a kind that we do not know
		}
		if k.D != "" || k.K != "" || k.Type == "oct" {
			return nil, "must hold public keys only"
		}
		if key := k.public(); key != nil {
			keys = append(keys, clientKey{k.ID, k.Alg, key})
		}
	}
	if len(keys) == 0 {
		return nil, "must hold a signing key for RS256, PS256, ES256 or EdDSA"
	}
	return keys, ""
}

// public is the key, or nil where it is none that may sign assertions.
func (k *clientJWK) public() crypto.PublicKey {
	if (k.Use != "" && k.Use != "sig") || (len(k.Ops) > 0 && !slices.Contains(k.Ops, "verify")) || (k.Alg != "" && !slices.Contains(clientAlgs(), k.Alg)) {
		return nil
	}
	switch k.Type {
	case "RSA":
		return k.rsa()
	case "EC":
		return k.ec()
	case "OKP":
		if x, err := base64.RawURLEncoding.DecodeString(k.X); err == nil && k.Curve == "Ed25519" && len(x) == ed25519.PublicKeySize {
			return ed25519.PublicKey(x)
		}
	}
	return nil
}

func (k *clientJWK) rsa() crypto.PublicKey {
	n, err1 := base64.RawURLEncoding.DecodeString(k.N)
	e, err2 := base64.RawURLEncoding.DecodeString(k.E)
	if err1 != nil || err2 != nil || len(e) > 4 || len(n) > mostModule/8+1 {
		return nil
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if bits := key.N.BitLen(); bits < leastModule || bits > mostModule || key.E < 3 || key.E > 1<<31-1 || key.E%2 == 0 {
		return nil
	}
	return key
}

func (k *clientJWK) ec() crypto.PublicKey {
	x, err1 := base64.RawURLEncoding.DecodeString(k.X)
	y, err2 := base64.RawURLEncoding.DecodeString(k.Y)
	if err1 != nil || err2 != nil || k.Curve != "P-256" || len(x) != 32 || len(y) != 32 {
		return nil
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil { // no point of the curve
		return nil
	}
	return key
}

// fits reports whether the key is of the kind that an algorithm takes.
func (k *clientKey) fits(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	switch k.key.(type) {
	case *rsa.PublicKey:
		return alg == "RS256" || alg == "PS256"
	case *ecdsa.PublicKey:
		return alg == "ES256"
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}
