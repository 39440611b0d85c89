package config

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// keyBytes is base64 in any of its usual alphabets, given decoded. size 0 takes
// any length from 1 on.
func keyBytes(size int) kind[Secret] {
	rule := "base64"
	if size > 0 {
		rule = fmt.Sprintf("%d random bytes in base64 (openssl rand -base64 %d)", size, size)
	}
	return kind[Secret]{rule, func(raw string) (Secret, error) {
		b, err := decodeBase64(raw)
		if err != nil || len(b) == 0 {
			return Secret{}, errForm
		}
		if size > 0 && len(b) != size {
			return Secret{}, fmt.Errorf("it has %d", len(b))
		}
		if size > 0 && bytes.Count(b, b[:1]) == size {
			return Secret{}, errors.New("it is one byte again and again")
		}
		return NewSecret(string(b)), nil
	}}
}

// decodeBase64 takes the standard and the URL alphabet, with and without padding,
// and passes over line breaks (base64 without -w0 wraps its output).
func decodeBase64(raw string) ([]byte, error) {
	s := strings.NewReplacer("-", "+", "_", "/", "\r", "", "\n", "", " ", "").Replace(raw)
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}

// minRSABits is the least that RFC 7518, section 3.3 allows for RS256.
const minRSABits = 2048

// signingKey is an RSA private key as PEM (PKCS #1 or #8) in base64.
func signingKey() kind[*rsa.PrivateKey] {
	return kind[*rsa.PrivateKey]{"an RSA private key of at least 2048 bits: its PEM file in base64 (base64 -w0 key.pem)", func(raw string) (*rsa.PrivateKey, error) {
		b, err := decodeBase64(raw)
		if err != nil {
			return nil, errors.New("it is not base64")
		}
		block, _ := pem.Decode(b)
		if block == nil {
			return nil, errors.New("it holds no PEM")
		}
		key, err := parseRSA(block)
		if err != nil {
			return nil, err
		}
		if bits := key.N.BitLen(); bits < minRSABits {
			return nil, fmt.Errorf("it has %d bits", bits)
		}
		return key, nil
	}}
}

func parseRSA(block *pem.Block) (*rsa.PrivateKey, error) {
	if block.Type == "RSA PRIVATE KEY" {
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("its PKCS #1 form is damaged or encrypted")
		}
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("its PEM is no unencrypted private key")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("it is a key of another kind")
	}
	return key, nil
}
