package cert

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"gatehouse/internal/cert/acme"
	"gatehouse/internal/fault"
)

// Preflight looks, before an authority is asked, whether it would refuse: whether
// names lead anywhere, lead here, and may be certified by it. It says what is
// wrong in words, which an authority often does not, and costs none of what it
// allows.
type Preflight struct {
	Answers  *acme.Answers // to be found again at the other end
	Resolver string        // host:port of a DNS server; empty: the system's
	HTTPPort int           // where we listen: an authority on this machine looks there

	// Identities are the names by which the authority at a directory stands in
	// CAA records; none: they are not looked at.
	Identities func(ctx context.Context, directory string) []string
}

const (
	preflightPatience = 15 * time.Second
	preflightAtOnce   = 10
	identityPatience  = 5 * time.Second
)

// Check is an error that says which names an authority would refuse, and why.
func (p *Preflight) Check(ctx context.Context, directory, challenge string, domains []string) error {
	ids := p.identities(ctx, directory)
	ctx, cancel := context.WithTimeout(ctx, preflightPatience)
	defer cancel()
	from := p.vantage(ctx, directory)
	found := make([]string, len(domains))
	group := new(errgroup.Group)
	group.SetLimit(preflightAtOnce)
	for i, d := range domains {
		group.Go(func() error {
			found[i] = p.look(ctx, d, challenge, ids, from)
			return nil
		})
	}
	_ = group.Wait() // each says what it found, none fails
	found = slices.DeleteFunc(found, func(s string) bool { return s == "" })
	if len(found) == 0 {
		return nil
	}
	more := ""
	if len(found) > 5 {
		more = fmt.Sprintf("; and %d more names", len(found)-5)
		found = found[:5]
	}
	return fault.New(fault.Unavailable, "the authority was not asked, for it would refuse: %s%s", strings.Join(found, "; "), more)
}

// identities are the names of the authority in CAA records. One that does not
// answer soon has none: that it does not will be told when it is asked itself.
func (p *Preflight) identities(ctx context.Context, directory string) []string {
	if p.Identities == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, identityPatience)
	defer cancel()
	return p.Identities(ctx, directory)
}

// look says what is wrong with one name; empty: nothing that can be seen.
func (p *Preflight) look(ctx context.Context, domain, challenge string, ids []string, from vantage) string {
	name, wild := strings.CutPrefix(domain, "*.")
	if why := p.forbidden(ctx, name, wild, ids); why != "" {
		return why
	}
	if wild || challenge == acme.DNS01 {
		return "" // nothing has to lead here
	}
	addresses, err := p.addresses(ctx, name)
	switch {
	case err != nil:
		return fmt.Sprintf("%s does not resolve (%s): make an A or AAAA record that leads to this machine", name, dnsWords(err))
	case len(addresses) == 0:
		return name + " has no address: make an A or AAAA record that leads to this machine"
	case from == internet && !slices.ContainsFunc(addresses, public):
		return fmt.Sprintf("%s leads to %s, which no authority on the internet can reach (if the world is told another address, ask without this check)", name, addresses[0])
	}
	if challenge == acme.TLSALPN01 {
		return ""
	}
	return p.reach(ctx, name, addresses, from)
}

// reach asks a name for something that only we can answer.
func (p *Preflight) reach(ctx context.Context, name string, addresses []netip.Addr, from vantage) string {
	port := "80"
	if from == here {
		port = strconv.Itoa(p.HTTPPort)
	}
	path, want := p.Answers.Probe(time.Now())
	var why string
	for _, a := range addresses {
		if a.Is6() && !haveIPv6() {
			continue // can't be told from here
		}
		got, err := p.fetch(ctx, name, net.JoinHostPort(a.String(), port), path)
		switch {
		case err != nil:
			why = fmt.Sprintf("%s leads to %s, where port %s can't be reached (%s): let it through to Gatehouse", name, a, port, dialWords(err))
		case got != want:
			why = fmt.Sprintf("%s leads to %s, where something else answers on port %s", name, a, port)
		default:
			return ""
		}
	}
	if why != "" {
		why += " (if this machine can't reach its own public address, ask without this check)"
	}
	return why
}

func (p *Preflight) fetch(ctx context.Context, name, address, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+name+path, nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	return string(body), err
}

func (p *Preflight) addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	all, err := p.resolver().LookupNetIP(ctx, "ip", name)
	for i := range all {
		all[i] = all[i].Unmap()
	}
	return all, err
}

func (p *Preflight) resolver() *net.Resolver {
	if p.Resolver == "" {
		return net.DefaultResolver
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, p.Resolver)
	}}
}

// vantage is where an authority looks from.
type vantage int

const (
	internet vantage = iota
	inside           // of a private network
	here             // on this machine: it looks at the port that we listen on
)

// vantage tells by an authority's own address where it looks from.
func (p *Preflight) vantage(ctx context.Context, directory string) vantage {
	u, err := url.Parse(directory)
	if err != nil {
		return internet
	}
	host := u.Hostname()
	addresses := make([]netip.Addr, 1)
	if addresses[0], err = netip.ParseAddr(host); err != nil {
		addresses, _ = p.addresses(ctx, host) // none: it will not answer either
	}
	switch {
	case host == "localhost" || slices.ContainsFunc(addresses, netip.Addr.IsLoopback):
		return here
	case len(addresses) > 0 && !slices.ContainsFunc(addresses, public):
		return inside
	}
	return internet
}

func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate()
}
