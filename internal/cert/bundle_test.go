package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// chainOf is a certificate for names, the one that signed it, and its key, in PEM.
type chainOf struct{ leaf, ca, key string }

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// issue makes a certificate; change may spoil it.
func issue(t testing.TB, key crypto.Signer, from, to time.Time, change func(*x509.Certificate), names ...string) chainOf {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"}, NotBefore: from.Add(-time.Hour), NotAfter: to.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "a server"}, NotBefore: from, NotAfter: to, DNSNames: names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if change != nil {
		change(leaf)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return chainOf{pemOf("CERTIFICATE", der), pemOf("CERTIFICATE", caDER), pemOf("PRIVATE KEY", pkcs8)}
}

func TestUploadsAreCheckedAgainstEachOtherAndTheClock(t *testing.T) {
	now := time.Now()
	good := issue(t, nil, now.Add(-time.Hour), now.Add(aDay), nil, "a.example.com", "*.example.org")
	other := issue(t, nil, now.Add(-time.Hour), now.Add(aDay), nil, "a.example.com")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	odd, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made := func(key crypto.Signer, from, to time.Time, change func(*x509.Certificate), names ...string) [2]string {
		c := issue(t, key, from, to, change, names...)
		return [2]string{c.leaf, c.key}
	}
	for _, c := range []struct {
		what       string
		chain, key string
		words      string // empty: it is taken
	}{
		{"good", good.leaf + good.ca, good.key, ""},
		{"without its chain", good.leaf, good.key, ""},
		{"text around it", "# mine\n" + good.leaf + "\n\n", good.key, ""},
		{"wrong order", good.ca + good.leaf, good.key, "certificate 1 was not signed by the one after it"},
		{"another's chain", good.leaf + other.ca, good.key, "certificate 1 was not signed"},
		{"an authority's", good.ca, good.key, "is an authority's"},
		{"another's key", good.leaf, other.key, "private_key: does not belong"},
		{"nothing", "", "", "certificate: holds no certificate"},
		{"junk", "hello", "hello", "private_key: holds no private key"},
		{"junk inside", pemOf("CERTIFICATE", []byte("junk")), pemOf("PRIVATE KEY", []byte("junk")), "certificate 1 can't be read"},
		{"junk behind", good.leaf + "junk", good.key, "something behind"},
		{"key in the chain", good.leaf + good.key, good.key, "holds a PRIVATE KEY block"},
		{"encrypted key", good.leaf, pemOf("ENCRYPTED PRIVATE KEY", []byte("x")), "private_key: is encrypted"},
		{"old encrypted key", good.leaf, "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "private_key: is encrypted"},
		{"too much", strings.Repeat(good.leaf, 11), good.key, "more than 10"},
		{"too large", strings.Repeat("x", maxBundle+1), good.key, "at most 256 KiB"},
	} {
		_, err := readBundle(c.chain, c.key, now)
		if c.words == "" && err != nil || c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)) {
			t.Errorf("%s: want %q, got %v", c.what, c.words, err)
		}
		if err != nil && strings.Contains(err.Error(), "PRIVATE KEY-----") {
			t.Errorf("%s: the key is in the error", c.what)
		}
	}
	many := strings.Split(strings.Repeat("a.example.com ", maxUploadNames+1), " ")[:maxUploadNames+1]
	for words, pair := range map[string][2]string{
		"has expired on":               made(nil, now.Add(-2*time.Hour), now.Add(-time.Hour), nil, "a.example.com"),
		"is not valid before":          made(nil, now.Add(time.Hour), now.Add(aDay), nil, "a.example.com"),
		"names no host":                made(nil, now.Add(-time.Hour), now.Add(aDay), nil),
		"is not for servers":           made(nil, now.Add(-time.Hour), now.Add(aDay), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "a.example.com"),
		"is an RSA key of 1024 bits":   made(weak, now.Add(-time.Hour), now.Add(aDay), nil, "a.example.com"),
		"is on the curve P-224":        made(odd, now.Add(-time.Hour), now.Add(aDay), nil, "a.example.com"),
		"which is no hostname":         made(nil, now.Add(-time.Hour), now.Add(aDay), nil, "a b.example.com"),
		"names 201 hosts: at most 200": made(nil, now.Add(-time.Hour), now.Add(aDay), nil, many...),
	} {
		if _, err := readBundle(pair[0], pair[1], now); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("want %q, got %v", words, err)
		}
	}
}

func TestKeysOfAllUsualFormsAreRead(t *testing.T) {
	for _, kind := range []string{ECDSAP256, ECDSAP384, RSA2048} {
		key, err := generateKey(kind)
		if err != nil {
			t.Fatal(err)
		}
		if got := keyTypeOf(key.Public()); got != kind {
			t.Errorf("a key of kind %s is called %s", kind, got)
		}
		var own string
		switch k := key.(type) {
		case *ecdsa.PrivateKey:
			der, err := x509.MarshalECPrivateKey(k)
			if err != nil {
				t.Fatal(err)
			}
			own = pemOf("EC PARAMETERS", []byte{6, 8}) + pemOf("EC PRIVATE KEY", der)
		case *rsa.PrivateKey:
			own = pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k))
		}
		if _, err := readKey(own); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := generateKey("dsa"); err == nil {
		t.Error("a key of an unknown kind")
	}
}

func FuzzReadPEM(f *testing.F) {
	c := issue(f, nil, noon, noon.Add(aDay), nil, "a.example.com")
	f.Add(c.leaf+c.ca, c.key)
	f.Add(c.ca+c.leaf, "-----BEGIN PRIVATE KEY-----")
	f.Add("", pemOf("EC PARAMETERS", nil))
	f.Fuzz(func(t *testing.T, chain, key string) {
		b, err := readBundle(chain, key, noon.Add(time.Hour))
		if err == nil && (b.leaf == nil || b.key == nil || len(b.chain) == 0) {
			t.Error("half a bundle")
		}
	})
}
