package cert

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"time"
)

const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	caLast       = 180 * 24 * time.Hour // a CA with less left is replaced
	leafLifetime = 90 * 24 * time.Hour
)

// authority is the local CA. Its constraints are critical: a client that does
// not understand them refuses the CA instead of ignoring them, so that whoever
// trusts it lets it speak for local names and private addresses and nothing else.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// newAuthority makes a CA.
func newAuthority(now time.Time) (*authority, error) {
	key, id, err := newKey()
	if err != nil {
		return nil, err
	}
	t := constrained()
	t.Subject = pkix.Name{Organization: []string{"Gatehouse"}, CommonName: "Gatehouse local CA " + hex.EncodeToString(id[:4])}
	t.NotBefore, t.NotAfter = now.Add(-backdate), now.Add(caLifetime)
	t.SubjectKeyId, t.AuthorityKeyId = id, id
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return openAuthority(der, key)
}

// constrained is the template of a CA that signs server certificates for local
// names and addresses only, and no further CA. The other kinds of name that a
// certificate can hold are pinned to one that never exists (RFC 6761).
func constrained() *x509.Certificate {
	return &x509.Certificate{
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         localSuffixes(),
		PermittedIPRanges:           localRanges(),
		PermittedEmailAddresses:     []string{"invalid"},
		PermittedURIDomains:         []string{"invalid"},
	}
}

// openAuthority puts a CA together and checks that it is one of ours: what has
// no critical constraints must never be handed to anyone to trust.
func openAuthority(der []byte, key *ecdsa.PrivateKey) (*authority, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	switch {
	case !c.IsCA || !c.MaxPathLenZero:
		return nil, errors.New("it is no CA, or one that may sign further CAs")
	case !c.PermittedDNSDomainsCritical || len(c.PermittedDNSDomains) == 0 || len(c.PermittedIPRanges) == 0:
		return nil, errors.New("it has no critical name constraints")
	case !key.PublicKey.Equal(c.PublicKey):
		return nil, errors.New("certificate and key do not belong together")
	}
	for _, d := range c.PermittedDNSDomains {
		if !Local(d) {
			return nil, errors.New("its constraints permit names that are not local")
		}
	}
	return &authority{cert: c, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

func (a *authority) fingerprint() string { return fingerprint(a.cert) }

// ending reports whether a has so little time left that leaves would be cut short.
func (a *authority) ending(now time.Time) bool { return a.cert.NotAfter.Sub(now) < caLast }

// Speaks is true for what a's own constraints permit.
func (a *authority) Speaks(name string) bool { return under(name, a.cert.PermittedDNSDomains) }

// Make signs a certificate for name with a key of its own.
func (a *authority) Make(name string, now time.Time) (*Served, error) {
	key, id, err := newKey()
	if err != nil {
		return nil, err
	}
	t := template(name, now, leafLifetime)
	t.SubjectKeyId = id
	if t.NotAfter.After(a.cert.NotAfter) {
		t.NotAfter = a.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	s, err := served(KindLocal, der, key, a.cert.Raw)
	if err == nil && tooWide(name) {
		s.below = &minted{from: a}
	}
	return s, err
}
