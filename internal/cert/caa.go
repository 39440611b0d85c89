package cert

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// forbidden says that the CAA records of a name (RFC 8659) do not admit the
// authority; empty where they do, there are none, or none can be read: an
// authority looks for itself.
func (p *Preflight) forbidden(ctx context.Context, name string, wild bool, ids []string) string {
	server := p.caaServer()
	if server == "" || len(ids) == 0 {
		return ""
	}
	for at := dns.CanonicalName(name); at != "."; {
		records, err := caaAt(ctx, server, at)
		if err != nil {
			return ""
		}
		if len(records) > 0 {
			return admitted(records, ids, name, strings.TrimSuffix(at, "."), wild)
		}
		next, end := dns.NextLabel(at, 0)
		if end {
			break
		}
		at = at[next:]
	}
	return ""
}

func admitted(records []*dns.CAA, ids []string, name, at string, wild bool) string {
	tag := "issue"
	if wild && slices.ContainsFunc(records, func(r *dns.CAA) bool { return strings.EqualFold(r.Tag, "issuewild") }) {
		tag = "issuewild"
	}
	var named []string
	for _, r := range records {
		if !strings.EqualFold(r.Tag, tag) {
			continue
		}
		issuer, _, _ := strings.Cut(r.Value, ";")
		issuer = strings.ToLower(strings.TrimSpace(issuer))
		switch {
		case slices.Contains(ids, issuer):
			return ""
		case issuer == "":
			issuer = "nobody"
		}
		if !slices.Contains(named, issuer) {
			named = append(named, issuer)
		}
	}
	if len(named) == 0 {
		return "" // records of other kinds only
	}
	return fmt.Sprintf("the CAA record at %s lets only %s certify %s: add %s %q", at, strings.Join(named, " and "), name, tag, ids[0])
}

func caaAt(ctx context.Context, server, at string) ([]*dns.CAA, error) {
	m := new(dns.Msg).SetQuestion(at, dns.TypeCAA)
	m.RecursionDesired = true
	answer, _, err := (&dns.Client{Timeout: 3 * time.Second}).ExchangeContext(ctx, m, server)
	if err == nil && answer.Truncated {
		answer, _, err = (&dns.Client{Net: "tcp", Timeout: 3 * time.Second}).ExchangeContext(ctx, m, server)
	}
	if err != nil {
		return nil, err
	}
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("%s", dns.RcodeToString[answer.Rcode])
	}
	var records []*dns.CAA
	for _, rr := range answer.Answer {
		if r, ok := rr.(*dns.CAA); ok {
			records = append(records, r)
		}
	}
	return records, nil
}

// caaServer is the DNS server to ask: Go's own resolver knows no CAA.
func (p *Preflight) caaServer() string {
	if p.Resolver != "" {
		return p.Resolver
	}
	c, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil || len(c.Servers) == 0 {
		return ""
	}
	server := c.Servers[0]
	if strings.Contains(server, ":") {
		server = "[" + server + "]"
	}
	return server + ":" + c.Port
}
