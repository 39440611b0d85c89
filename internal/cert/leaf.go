package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"time"
)

// Kinds of certificate, as the status of a proxy names them.
const (
	KindLocal      = "local_ca"    // signed by the local CA
	KindSelfSigned = "self_signed" // until a public name has its own
	KindIssued     = "acme"        // obtained from an authority
	KindUploaded   = "upload"      // brought by people
)

// Served is a certificate with its key, ready for handshakes. It is immutable.
type Served struct {
	Kind    string // one of the constants above
	Object  string // the certificate object that it is of; empty: none
	Staging bool   // of an authority for trials
	Public  bool   // the system's authorities vouch for it

	tls   *tls.Certificate
	due   time.Time // when it is renewed
	below *minted   // for a wildcard that clients refuse: the names below it
}

// Leaf is the certificate itself.
func (s *Served) Leaf() *x509.Certificate { return s.tls.Leaf }

// Fingerprint is the SHA-256 of the certificate, in hex.
func (s *Served) Fingerprint() string { return fingerprint(s.tls.Leaf) }

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// backdate lets machines whose clock is a little behind accept what was just made.
const backdate = time.Hour

// template is what every server certificate has in common. The subject is for
// people only; clients go by the subject alternative name.
func template(name string, now time.Time, lifetime time.Duration) *x509.Certificate {
	t := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Gatehouse"}},
		DNSNames:              []string{name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(lifetime - backdate),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if len(name) <= 64 { // the most that RFC 5280 allows a common name
		t.Subject.CommonName = name
	}
	return t
}

// newKey is a fresh P-256 key with the identifier of its public half (RFC 7093, method 1).
func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	id, err := keyID(&key.PublicKey)
	return key, id, err
}

func keyID(key *ecdsa.PublicKey) ([]byte, error) {
	point, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(point)
	return sum[:20], nil
}

// served is a signed certificate, parsed back, with the rest of its chain.
func served(kind string, der []byte, key *ecdsa.PrivateKey, rest ...[]byte) (*Served, error) {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	lifetime := leaf.NotAfter.Sub(leaf.NotBefore)
	return &Served{
		Kind: kind,
		tls:  &tls.Certificate{Certificate: append([][]byte{der}, rest...), PrivateKey: key, Leaf: leaf},
		due:  leaf.NotAfter.Add(-lifetime / 3),
	}, nil
}

// selfSigned is the source for names that nobody signs for, or not yet. It
// stands outside the local CA: who trusts that one does not trust these.
type selfSigned struct{ lifetime time.Duration }

// Speaks is true: any certificate is better than none.
func (selfSigned) Speaks(string) bool { return true }

// Make signs a certificate with its own key.
func (s selfSigned) Make(name string, now time.Time) (*Served, error) {
	key, id, err := newKey()
	if err != nil {
		return nil, err
	}
	t := template(name, now, s.lifetime)
	t.SubjectKeyId, t.AuthorityKeyId = id, id
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return served(KindSelfSigned, der, key)
}
