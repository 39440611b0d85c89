package handover

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// peerName is in the certificates that nodes show each other. It proves nothing.
const peerName = "node.gatehouse.internal"

// identity is how nodes prove to each other that they have the installation's
// key: all of them have one Ed25519 key that comes from it, and TLS 1.3 has both
// sides sign the handshake. Certificates are envelopes for the public key; each
// side wants to see exactly its own.
func identity(key []byte) (*tls.Config, error) {
	if len(key) != ed25519.SeedSize {
		return nil, fmt.Errorf("handover: the key has %d bytes, must have %d", len(key), ed25519.SeedSize)
	}
	private := ed25519.NewKeyFromSeed(key)
	public, _ := private.Public().(ed25519.PublicKey)
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: peerName}, DNSNames: []string{peerName},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(100, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, fmt.Errorf("handover: make a certificate: %w", err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: peerName, SessionTicketsDisabled: true,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
		ClientAuth:   tls.RequireAnyClientCert,
		// Chains and names prove nothing here; VerifyConnection compares the key, on both sides.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) != 1 {
				return errStranger
			}
			theirs, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
			if !ok || !public.Equal(theirs) {
				return errStranger
			}
			return nil
		},
	}, nil
}

var errStranger = errors.New("handover: the other side is no node of this installation (is SECRET_KEY the same?)")
