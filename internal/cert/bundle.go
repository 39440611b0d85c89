package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatehouse/internal/fault"
)

// bundle is a certificate with its chain and key, read and found to fit together.
type bundle struct {
	chain [][]byte // DER, leaf first
	leaf  *x509.Certificate
	above []*x509.Certificate // the chain without the leaf; perhaps unset
	key   crypto.Signer
}

const (
	maxBundle = 256 << 10 // bytes of PEM
	maxChain  = 10        // certificates

	maxUploadNames = 200 // each is a write of the commit that keeps them
)

// readChain reads a chain in PEM and checks its order: each certificate is signed
// by the next.
func readChain(text string) (chain [][]byte, leaf *x509.Certificate, err error) {
	chain, certs, err := parseChain(text)
	if err != nil {
		return nil, nil, err
	}
	for i := range certs[1:] {
		if err := certs[i].CheckSignatureFrom(certs[i+1]); err != nil {
			return nil, nil, fmt.Errorf("certificate %d was not signed by the one after it: the server's own comes first, then the chain in order", i+1)
		}
	}
	return chain, certs[0], nil
}

// parseChain reads a chain in PEM, at least one certificate.
func parseChain(text string) (chain [][]byte, certs []*x509.Certificate, err error) {
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, nil, fmt.Errorf("holds a %s block: it takes certificates only", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("certificate %d can't be read", len(certs)+1)
		}
		if certs = append(certs, c); len(certs) > maxChain {
			return nil, nil, fmt.Errorf("holds more than %d certificates", maxChain)
		}
		chain = append(chain, block.Bytes)
	}
	if len(certs) == 0 {
		return nil, nil, errors.New("holds no certificate in PEM")
	}
	if strings.TrimSpace(string(rest)) != "" {
		return nil, nil, errors.New("has something behind its last certificate that is no PEM")
	}
	return chain, certs, nil
}

// readKey reads a private key in PEM.
func readKey(text string) (crypto.Signer, error) {
	block, rest := pem.Decode([]byte(text))
	for block != nil && block.Type == "EC PARAMETERS" { // openssl ecparam puts it in front
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("holds no private key in PEM")
	}
	if strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "" {
		return nil, errors.New("is encrypted: decrypt it first, for example with openssl pkey")
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
		return nil, errors.New("is of a kind that can't sign")
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return nil, errors.New("can't be read: it must be an RSA, ECDSA or Ed25519 key")
}

// readBundle reads an uploaded certificate and key and checks them against each
// other and the clock.
func readBundle(chainPEM, keyPEM string, now time.Time) (*bundle, error) {
	var rules fault.Rules
	if len(chainPEM) > maxBundle || len(keyPEM) > maxBundle {
		return nil, fault.New(fault.TooLarge, "certificate and key may each have at most %d KiB", maxBundle>>10)
	}
	chain, leaf, err := readChain(chainPEM)
	if err != nil {
		rules.Add("certificate", "%v", err)
	}
	key, err := readKey(keyPEM)
	if err != nil {
		rules.Add("private_key", "%v", err)
	}
	if leaf != nil {
		checkLeaf(leaf, now, &rules)
	}
	if leaf != nil && key != nil {
		checkKey(leaf, key, &rules)
	}
	if err := rules.Err(); err != nil {
		return nil, err
	}
	return &bundle{chain: chain, leaf: leaf, key: key}, nil
}

// checkLeaf checks what a server's own certificate must be.
func checkLeaf(leaf *x509.Certificate, now time.Time, rules *fault.Rules) {
	switch {
	case leaf.IsCA:
		rules.Add("certificate", "the first one is an authority's, not a server's: the server's own comes first")
	case now.After(leaf.NotAfter):
		rules.Add("certificate", "has expired on %s", leaf.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		rules.Add("certificate", "is not valid before %s", leaf.NotBefore.UTC().Format(time.DateTime))
	case len(leaf.DNSNames) == 0:
		rules.Add("certificate", "names no host as a subject alternative name, which clients go by")
	case len(leaf.DNSNames) > maxUploadNames:
		rules.Add("certificate", "names %d hosts: at most %d", len(leaf.DNSNames), maxUploadNames)
	case len(leaf.ExtKeyUsage) > 0 && !hasServerAuth(leaf):
		rules.Add("certificate", "is not for servers (extended key usage)")
	}
	for _, d := range leaf.DNSNames {
		if !isHostname(normalDomain(d)) {
			rules.Add("certificate", "names %q, which is no hostname", d)
			return
		}
	}
}

// isHostname reports whether d is a hostname, perhaps a wildcard or one label.
func isHostname(d string) bool {
	d = strings.TrimPrefix(d, "*.")
	if len(d) > 253 {
		return false
	}
	for label := range strings.SplitSeq(d, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

// checkKey checks that a key is the certificate's, and one that clients take.
func checkKey(leaf *x509.Certificate, key crypto.Signer, rules *fault.Rules) {
	if !sameKey(leaf, key) {
		rules.Add("private_key", "does not belong to the certificate")
	}
	switch k := key.Public().(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			rules.Add("private_key", "is an RSA key of %d bits: clients refuse those under 2048", k.N.BitLen())
		}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P224() {
			rules.Add("private_key", "is on the curve P-224, which TLS does not have: use P-256 or P-384")
		}
	}
}

func hasServerAuth(leaf *x509.Certificate) bool {
	for _, u := range leaf.ExtKeyUsage {
		if u == x509.ExtKeyUsageServerAuth || u == x509.ExtKeyUsageAny {
			return true
		}
	}
	return false
}

func sameKey(leaf *x509.Certificate, key crypto.Signer) bool {
	public, ok := key.Public().(interface{ Equal(x crypto.PublicKey) bool })
	return ok && public.Equal(leaf.PublicKey)
}

// served is b for handshakes.
func (b *bundle) served(kind string, staging bool) *Served {
	return &Served{Kind: kind, Staging: staging,
		tls: &tls.Certificate{Certificate: b.chain, PrivateKey: b.key, Leaf: b.leaf}}
}

// encode is a chain in PEM.
func encode(chain [][]byte) string {
	var b strings.Builder
	for _, der := range chain {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return b.String()
}
