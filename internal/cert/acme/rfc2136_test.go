package acme

import (
	"context"
	"encoding/base64"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// zone is a name server for example.com that takes signed updates.
type zone struct {
	mu      sync.Mutex
	txt     map[string][]string
	rcode   int  // of updates
	hidden  bool // what was updated is not told
	address string
}

const tsigKey = "gatehouse."

var tsigSecret = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))

func serveZone(t *testing.T) *zone {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z := &zone{txt: map[string][]string{}, address: l.Addr().String()}
	s := &dns.Server{Listener: l, Handler: z, TsigSecret: map[string]string{tsigKey: tsigSecret},
		MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.ActivateAndServe() }()
	t.Cleanup(func() { _ = s.Shutdown(); <-done })
	return z
}

func (z *zone) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	a := new(dns.Msg).SetReply(m)
	defer func() { _ = w.WriteMsg(a) }()
	if m.Opcode == dns.OpcodeUpdate {
		switch {
		case m.IsTsig() == nil || w.TsigStatus() != nil:
			a.Rcode = dns.RcodeRefused
		case z.rcode != 0:
			a.Rcode = z.rcode
		default:
			z.update(m.Ns)
		}
		if sig := m.IsTsig(); sig != nil && w.TsigStatus() == nil {
			a.SetTsig(sig.Hdr.Name, sig.Algorithm, 300, time.Now().Unix())
		}
		return
	}
	q := m.Question[0]
	switch {
	case q.Qtype == dns.TypeSOA && q.Name == "example.com.":
		rr, _ := dns.NewRR("example.com. 60 IN SOA ns.example.com. x.example.com. 1 1 1 1 1")
		a.Answer = append(a.Answer, rr)
	case q.Qtype == dns.TypeTXT && !z.hidden:
		for _, v := range z.txt[q.Name] {
			a.Answer = append(a.Answer, txt(q.Name, v))
		}
	}
}

func (z *zone) update(rrs []dns.RR) {
	for _, rr := range rrs {
		t, ok := rr.(*dns.TXT)
		if !ok {
			continue
		}
		name, value := t.Hdr.Name, strings.Join(t.Txt, "")
		if t.Hdr.Class == dns.ClassINET {
			z.txt[name] = append(z.txt[name], value)
			continue
		}
		var kept []string
		for _, v := range z.txt[name] {
			if v != value {
				kept = append(kept, v)
			}
		}
		z.txt[name] = kept
	}
}

func (z *zone) has(name string) string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return strings.Join(z.txt[name], " ")
}

func (z *zone) updater() RFC2136 {
	return RFC2136{Server: z.address, TSIGName: "gatehouse", TSIGSecret: tsigSecret, TSIGAlgorithm: "hmac-sha256"}
}

func TestDynamicUpdateSetsAndRemovesOneValue(t *testing.T) {
	z := serveZone(t)
	const name = "_acme-challenge.a.b.example.com."
	for _, u := range []RFC2136{z.updater(), func() RFC2136 { u := z.updater(); u.Zone = "example.com"; return u }()} {
		for _, v := range []string{"one", "two"} { // a name and its wildcard have values there at once
			if err := u.Set(t.Context(), name, v); err != nil {
				t.Fatal(err)
			}
		}
		if got := z.has(name); got != "one two" {
			t.Errorf("it has %q", got)
		}
		if err := u.Remove(t.Context(), name, "one"); err != nil {
			t.Fatal(err)
		}
		if got := z.has(name); got != "two" {
			t.Errorf("it has %q", got)
		}
		if err := u.Remove(t.Context(), name, "two"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDynamicUpdatesThatFailSayWhatToLookAt(t *testing.T) {
	z := serveZone(t)
	const name = "_acme-challenge.a.example.com."
	unsigned, wrong, elsewhere, away := z.updater(), z.updater(), z.updater(), z.updater()
	unsigned.TSIGName = ""
	wrong.TSIGSecret = base64.StdEncoding.EncodeToString([]byte("another secret of thirty-two by."))
	elsewhere.Zone = "example.org"
	away.Server = "127.0.0.1:1"
	for _, c := range []struct {
		what  string
		u     RFC2136
		name  string
		words string
	}{
		{"unsigned", unsigned, name, "refused the update of " + name + ": REFUSED: see DNS_RFC2136_TSIG_NAME"},
		{"wrong secret", wrong, name, "DNS_RFC2136_TSIG_NAME|did not take the update"},
		{"other zone", elsewhere, name, "is not in the zone example.org (DNS_RFC2136_ZONE)"},
		{"no zone", z.updater(), "_acme-challenge.a.example.net.", "has no zone for _acme-challenge.a.example.net.: set DNS_RFC2136_ZONE"},
		{"away", away, name, "did not say which zone"},
	} {
		err := c.u.Set(t.Context(), c.name, "v")
		if err == nil {
			t.Errorf("%s: no error", c.what)
			continue
		}
		ok := false
		for w := range strings.SplitSeq(c.words, "|") {
			ok = ok || strings.Contains(err.Error(), w)
		}
		if !ok || strings.Contains(err.Error(), tsigSecret) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	z.mu.Lock()
	z.hidden = true
	z.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if err := z.updater().Set(ctx, name, "v"); err == nil || !strings.Contains(err.Error(), "does not tell the TXT record at "+name) {
		t.Errorf("a record that is not told: %v", err)
	}
}
