package acme

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"

	"gatehouse/internal/fault"
)

// RFC2136 sets records by dynamic updates (RFC 2136), signed with TSIG (RFC
// 8945) where a key is given.
type RFC2136 struct {
	Server        string // host:port of the zone's primary
	Zone          string // without a trailing dot; empty: asked for
	TSIGName      string // empty: updates are not signed
	TSIGSecret    string // base64
	TSIGAlgorithm string // "hmac-sha256" …
}

const (
	txtTTL      = 60 // seconds
	spreadEvery = time.Second
	spreadMost  = time.Minute // how long a zone's secondaries may take
)

// Set adds the record and waits until the zone's name servers tell it.
func (u RFC2136) Set(ctx context.Context, name, value string) error {
	rr := txt(name, value)
	zone, err := u.change(ctx, name, func(m *dns.Msg) { m.Insert([]dns.RR{rr}) })
	if err != nil {
		return err
	}
	return u.spread(ctx, zone, name, value)
}

// Remove takes the record away.
func (u RFC2136) Remove(ctx context.Context, name, value string) error {
	rr := txt(name, value)
	_, err := u.change(ctx, name, func(m *dns.Msg) { m.Remove([]dns.RR{rr}) })
	return err
}

func txt(name, value string) dns.RR {
	return &dns.TXT{Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: txtTTL}, Txt: []string{value}}
}

// change sends one update.
func (u RFC2136) change(ctx context.Context, name string, with func(*dns.Msg)) (zone string, err error) {
	if zone, err = u.zone(ctx, name); err != nil {
		return "", err
	}
	m := new(dns.Msg).SetUpdate(zone)
	with(m)
	answer, err := u.ask(ctx, m, u.Server)
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "the name server %s did not take the update of %s", u.Server, name)
	}
	if answer.Rcode != dns.RcodeSuccess {
		return "", fault.New(fault.Unavailable, "the name server %s refused the update of %s: %s%s", u.Server, name, dns.RcodeToString[answer.Rcode], u.help(answer.Rcode))
	}
	return zone, nil
}

func (u RFC2136) help(code int) string {
	switch code {
	case dns.RcodeNotAuth, dns.RcodeRefused:
		return ": see DNS_RFC2136_TSIG_NAME, _SECRET and _ALGORITHM, and whether that key may update the zone"
	case dns.RcodeNotZone:
		return ": see DNS_RFC2136_ZONE"
	}
	return ""
}

// ask sends a message, signed where there is a key, by TCP: answers are whole
// and their sender can't be forged easily.
func (u RFC2136) ask(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
	c := &dns.Client{Net: "tcp", Timeout: 10 * time.Second}
	if u.TSIGName != "" && server == u.Server {
		key := dns.CanonicalName(u.TSIGName)
		c.TsigSecret = map[string]string{key: u.TSIGSecret}
		m.SetTsig(key, dns.Fqdn(u.TSIGAlgorithm), 300, time.Now().Unix())
	}
	answer, _, err := c.ExchangeContext(ctx, m, server)
	return answer, err
}

// zone is the zone that a name lies in: as configured, else what the server says
// by its SOA record.
func (u RFC2136) zone(ctx context.Context, name string) (string, error) {
	if u.Zone != "" {
		zone := dns.CanonicalName(u.Zone)
		if !dns.IsSubDomain(zone, dns.CanonicalName(name)) {
			return "", fault.BadField("domains", "%s is not in the zone %s (DNS_RFC2136_ZONE)", strings.TrimSuffix(name, "."), u.Zone)
		}
		return zone, nil
	}
	for at := dns.CanonicalName(name); ; {
		soa, err := u.soa(ctx, at)
		if err != nil {
			return "", fault.Wrap(fault.Unavailable, err, "the name server %s did not say which zone %s lies in", u.Server, name)
		}
		if soa {
			return at, nil
		}
		next, end := dns.NextLabel(at, 0)
		if end || next >= len(at)-1 {
			return "", fault.New(fault.Unavailable, "the name server %s has no zone for %s: set DNS_RFC2136_ZONE", u.Server, name)
		}
		at = at[next:]
	}
}

// soa reports whether the server has a zone that begins at a name.
func (u RFC2136) soa(ctx context.Context, at string) (bool, error) {
	answer, err := u.ask(ctx, new(dns.Msg).SetQuestion(at, dns.TypeSOA), u.Server)
	if err != nil {
		return false, err
	}
	for _, rr := range answer.Answer {
		if soa, ok := rr.(*dns.SOA); ok && dns.CanonicalName(soa.Hdr.Name) == at {
			return true, nil
		}
	}
	return false, nil
}

// spread waits until the name servers of a zone tell a record. The one that was
// updated must; the others get a minute, for some never can be reached from here.
func (u RFC2136) spread(ctx context.Context, zone, name, value string) error {
	if err := u.await(ctx, u.Server, name, value); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, spreadMost)
	defer cancel()
	for _, server := range u.others(ctx, zone) {
		if err := u.await(ctx, server, name, value); err != nil && ctx.Err() != nil {
			return nil // the authority judges for itself
		}
	}
	return nil
}

// others are the zone's other name servers, as far as they can be found.
func (u RFC2136) others(ctx context.Context, zone string) []string {
	answer, err := u.ask(ctx, new(dns.Msg).SetQuestion(zone, dns.TypeNS), u.Server)
	if err != nil {
		return nil
	}
	primary, _, _ := net.SplitHostPort(u.Server)
	var servers []string
	for _, rr := range answer.Answer {
		ns, ok := rr.(*dns.NS)
		if !ok || strings.EqualFold(strings.TrimSuffix(ns.Ns, "."), strings.TrimSuffix(primary, ".")) {
			continue
		}
		addresses, err := net.DefaultResolver.LookupHost(ctx, strings.TrimSuffix(ns.Ns, "."))
		if err != nil || len(addresses) == 0 || addresses[0] == primary {
			continue
		}
		servers = append(servers, net.JoinHostPort(addresses[0], "53"))
	}
	return servers
}

// await asks one server until it tells a record.
func (u RFC2136) await(ctx context.Context, server, name, value string) error {
	tick := time.NewTicker(spreadEvery)
	defer tick.Stop()
	for {
		told, err := u.tells(ctx, server, name, value)
		if told {
			return nil
		}
		if err == nil {
			err = errors.New("the record is not there yet")
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(fault.Unavailable, err, "the name server %s does not tell the TXT record at %s", server, name)
		case <-tick.C:
		}
	}
}

func (u RFC2136) tells(ctx context.Context, server, name, value string) (bool, error) {
	answer, err := u.ask(ctx, new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeTXT), server)
	if err != nil {
		return false, fmt.Errorf("ask %s: %w", server, err)
	}
	for _, rr := range answer.Answer {
		if t, ok := rr.(*dns.TXT); ok && strings.Join(t.Txt, "") == value {
			return true, nil
		}
	}
	return false, nil
}
