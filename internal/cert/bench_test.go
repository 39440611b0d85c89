package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"runtime"
	"testing"
	"time"

	"gatehouse/internal/store"
)

// fill stores n certificates with a key each, as orders leave them.
func fill(b *testing.B, m *Manager, kv store.KV, n int) {
	b.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(365 * aDay), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		b.Fatal(err)
	}
	var writes []store.Write
	for i := range n {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		host := fmt.Sprintf("n%d.example.com", i)
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(int64(i + 2)), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(90 * aDay),
			DNSNames: []string{host}}, ca, key.Public(), caKey)
		if err != nil {
			b.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			b.Fatal(err)
		}
		o := Object{Name: NameFor(host), Domains: []string{host}, Source: SourceACME, Directory: m.opt.Directory, IssuedBy: m.opt.Directory, Status: Active, CreatedAt: now, ObtainedAt: now}
		o.hold(&bundle{chain: [][]byte{der, caDER}, leaf: leaf, key: key})
		o.Window = &Window{AskAgain: now.Add(aDay)}
		if err := m.shelf.seal(&o, key); err != nil {
			b.Fatal(err)
		}
		w, err := m.shelf.table.Write(o.Name, o, 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		if writes = append(writes, w); len(writes) == store.MaxCommit || i == n-1 {
			if _, err := kv.Commit(b.Context(), writes...); err != nil {
				b.Fatal(err)
			}
			writes = nil
		}
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// BenchmarkCertificates reports what many certificates cost: to load, in memory,
// at a look-up, at a whole handshake, and when one of them changes.
func BenchmarkCertificates(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		kv := realStore(b)
		m := nodeOn(b, kv)
		fill(b, m, kv, n)
		hosts := make([]Wanted, n)
		for i := range hosts {
			hosts[i].Name = fmt.Sprintf("n%d.example.com", i)
		}
		before, begin := heap(), time.Now()
		if err := m.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
		m.opt.Keeper.Want(hosts)
		m.hosts.Store(&hosts)
		loaded, each := time.Since(begin), float64(heap()-before)/float64(n)/1024
		name := hosts[n/2].Name
		b.Run(fmt.Sprintf("lookup/%d", n), func(b *testing.B) {
			hello := &tls.ClientHelloInfo{ServerName: name}
			b.ReportAllocs()
			for b.Loop() {
				if c, err := m.opt.Keeper.Get(hello); err != nil || c == nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(loaded.Milliseconds()), "ms-load")
			b.ReportMetric(each, "KiB-each")
		})
		b.Run(fmt.Sprintf("handshake/%d", n), func(b *testing.B) {
			server := &tls.Config{GetCertificate: m.opt.Keeper.Get, SessionTicketsDisabled: true}
			for b.Loop() {
				here, there := net.Pipe()
				done := make(chan error, 1)
				go func() { done <- tls.Server(there, server).Handshake() }()
				if err := tls.Client(here, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake(); err != nil {
					b.Fatal(err)
				}
				if err := <-done; err != nil {
					b.Fatal(err)
				}
				_, _ = here.Close(), there.Close()
			}
		})
		b.Run(fmt.Sprintf("change/%d", n), func(b *testing.B) {
			for b.Loop() { // as when an order ended: read one, index all
				m.mu.Lock()
				delete(m.served, NameFor(name))
				m.mu.Unlock()
				if err := m.apply(b.Context(), NameFor(name)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("wake/%d", n), func(b *testing.B) {
			for b.Loop() {
				m.agenda(time.Now())
				m.uncovered()
			}
		})
	}
}
