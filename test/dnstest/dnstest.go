// Package dnstest is a name server for tests, whose answers may change from one
// question to the next.
package dnstest

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Server answers A and AAAA questions over UDP on loopback.
type Server struct {
	Address string // host:port, as DNS_RESOLVER takes it

	mu    sync.Mutex
	names map[string][][]netip.Addr // what is answered, in turn; the last stays
	asked map[string]int            // questions by name
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: conn.LocalAddr().String(), names: map[string][][]netip.Addr{}, asked: map[string]int{}}
	done := make(chan struct{})
	go func() { defer close(done); s.serve(conn) }()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return s
}

// Set makes name have these addresses from now on. Several lists are answered in
// turn, one for each lookup of IPv4 and of IPv6 addresses; the last one stays.
func (s *Server) Set(name string, answers ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name] = nil
	for _, list := range answers {
		var all []netip.Addr
		for a := range strings.FieldsSeq(list) {
			all = append(all, netip.MustParseAddr(a))
		}
		s.names[name] = append(s.names[name], all)
	}
	s.asked = map[string]int{}
}

func (s *Server) serve(conn net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return // closed
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		if out, err := s.answer(m); err == nil {
			_, _ = conn.WriteTo(out, from) // who asked is gone: nobody is left to tell
		}
	}
}

func (s *Server) answer(m dnsmessage.Message) ([]byte, error) {
	q := m.Questions[0]
	addrs, known := s.addresses(q)
	reply := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true, RecursionDesired: m.RecursionDesired}, Questions: m.Questions}
	if !known {
		reply.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addrs {
		h := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, Type: q.Type}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return reply.Pack()
}

func (s *Server) addresses(q dnsmessage.Question) ([]netip.Addr, bool) {
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	s.mu.Lock()
	defer s.mu.Unlock()
	turns, known := s.names[name]
	if len(turns) == 0 {
		return nil, known
	}
	key := name + " " + q.Type.String()
	turn := min(s.asked[key], len(turns)-1)
	s.asked[key]++
	return turns[turn], true
}
