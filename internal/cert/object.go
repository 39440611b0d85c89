package cert

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"gatehouse/internal/cert/acme"
	"gatehouse/internal/fault"
)

// Object is a certificate that is kept under a name of its own: obtained from an
// authority and renewed, or uploaded. It stands in the store as cert:NAME.
type Object struct {
	Name      string   `json:"cert_name"`
	Domains   []string `json:"domains"`
	Source    string   `json:"source"` // SourceACME or SourceUpload
	Email     string   `json:"email,omitempty"`
	Directory string   `json:"acme_directory_url,omitempty"`
	Staging   bool     `json:"staging,omitempty"` // the authority is one for trials: nobody trusts it
	Challenge string   `json:"challenge,omitempty"`
	KeyType   string   `json:"key_type"`
	Unchecked bool     `json:"unchecked,omitempty"` // ask the authority whatever the pre-flight says

	Status   string    `json:"status"`
	Message  string    `json:"message,omitempty"` // what happened last, in words
	Steps    []Step    `json:"steps,omitempty"`   // of the last order
	Failures int       `json:"failures,omitempty"`
	NextTry  time.Time `json:"next_try,omitzero"` // not before
	Forced   bool      `json:"forced,omitempty"`  // renew now, whatever its age
	Early    int       `json:"early,omitempty"`   // renewals in a row that the authority's window alone asked for

	ObtainedAt  time.Time `json:"obtained_at,omitzero"` // by our clock; authorities date back
	IssuedAt    time.Time `json:"issued_at,omitzero"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
	NextRenewal time.Time `json:"next_renewal,omitzero"`
	Fingerprint string    `json:"fingerprint_sha256,omitempty"`
	Serial      string    `json:"serial,omitempty"`
	Issuer      string    `json:"issuer,omitempty"`
	IssuedBy    string    `json:"issued_by,omitempty"`      // the directory that the present certificate came from
	Trial       bool      `json:"trial,omitempty"`          // the present certificate is of an authority for trials
	Window      *Window   `json:"renewal_window,omitempty"` // what the authority last said

	Chain string `json:"chain,omitempty"`       // PEM, leaf first
	Key   []byte `json:"private_key,omitempty"` // PKCS #8, sealed for the record's place

	CreatedBy string    `json:"created_by,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Version   int64     `json:"-"`
}

// Step is one thing that was done for an order.
type Step struct {
	At     time.Time `json:"at"`
	Name   string    `json:"step"` // preflight, account, order, authorization, finalize, download
	Domain string    `json:"domain,omitempty"`
	Detail string    `json:"detail"`
}

// Window is when the authority wants a certificate renewed (RFC 9773).
type Window struct {
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
	Explanation string    `json:"explanation_url,omitempty"`
	AskAgain    time.Time `json:"ask_again"`
}

// Where objects come from.
const (
	SourceACME   = "acme"
	SourceUpload = "upload"
)

// How an object stands.
const (
	Pending  = "pending"  // nothing was tried yet
	Issuing  = "issuing"  // the first certificate is being obtained
	Active   = "active"   // it has a certificate
	Renewing = "renewing" // it has one, and the next is being obtained
	Failed   = "failed"   // it has none that is valid, and the last try failed
)

// Kinds of keys.
const (
	ECDSAP256 = "ecdsa-p256"
	ECDSAP384 = "ecdsa-p384"
	RSA2048   = "rsa-2048"
	RSA4096   = "rsa-4096"
)

const (
	maxDomains = 100
	maxName    = 128
	maxSteps   = 400 // of one order; the first go
)

var objectName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`)

// Normalize brings what people write into the form that is kept.
func (o *Object) Normalize() {
	o.Name = strings.ToLower(strings.TrimSpace(o.Name))
	var domains []string
	for _, d := range o.Domains {
		if d = normalDomain(d); !slices.Contains(domains, d) {
			domains = append(domains, d)
		}
	}
	o.Domains = domains
	o.Email = strings.TrimSpace(o.Email)
}

func normalDomain(d string) string {
	d = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(d), "."))
	rest, wild := strings.CutPrefix(d, "*.")
	if ascii, err := idna.Lookup.ToASCII(rest); err == nil {
		rest = ascii
	}
	if wild {
		return "*." + rest
	}
	return rest
}

// Validate reports which rules an object breaks that an authority is to be asked
// for. canDNS says whether DNS-01 challenges can be answered here.
func (o *Object) Validate(canDNS bool) error {
	var rules fault.Rules
	o.checkName(&rules)
	switch {
	case len(o.Domains) == 0:
		rules.Add("domains", "must hold at least one name")
	case len(o.Domains) > maxDomains:
		rules.Add("domains", "must hold at most %d names", maxDomains)
	}
	for i, d := range o.Domains {
		if why := checkDomain(d); why != "" {
			rules.Add(at("domains", i), "%s", why)
		}
	}
	o.checkChallenge(&rules, canDNS)
	if !slices.Contains([]string{ECDSAP256, ECDSAP384, RSA2048, RSA4096}, o.KeyType) {
		rules.Add("key_type", "must be %s, %s, %s or %s", ECDSAP256, ECDSAP384, RSA2048, RSA4096)
	}
	if why := checkDirectory(o.Directory); why != "" {
		rules.Add("acme_directory_url", "%s", why)
	}
	if why := checkEmail(o.Email); why != "" {
		rules.Add("email", "%s", why)
	}
	return rules.Err()
}

func (o *Object) checkName(rules *fault.Rules) {
	if !objectName.MatchString(o.Name) {
		rules.Add("cert_name", "must be 1 to 128 of a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit")
	}
}

func (o *Object) checkChallenge(rules *fault.Rules, canDNS bool) {
	wild := slices.ContainsFunc(o.Domains, func(d string) bool { return strings.HasPrefix(d, "*.") })
	switch o.Challenge {
	case "", acme.DNS01:
	case acme.HTTP01, acme.TLSALPN01:
		if wild {
			rules.Add("challenge", "a wildcard can be proved by dns-01 alone")
		}
		return
	default:
		rules.Add("challenge", "must be http-01, tls-alpn-01 or dns-01")
		return
	}
	if (wild || o.Challenge == acme.DNS01) && !canDNS {
		rules.Add("challenge", "dns-01, which wildcards need, is not set up here: set DNS_PROVIDER to rfc2136 or exec")
	}
}

// has reports whether an object has a certificate, valid or not.
func (o *Object) has() bool { return o.Chain != "" }

// Covers reports whether the object's names hold name, which may be a wildcard.
func (o *Object) Covers(name string) bool {
	return slices.ContainsFunc(o.Domains, func(d string) bool { return covers(d, name) })
}

// covers reports whether the certificate name d is for name (RFC 9525): a
// wildcard stands for one whole label.
func covers(d, name string) bool {
	if d == name {
		return true
	}
	parent, wild := strings.CutPrefix(d, "*.")
	label, rest, ok := strings.Cut(name, ".")
	return wild && ok && rest == parent && label != "*" && label != ""
}

// NameFor is the name of the object that a host gets by itself: proxy- and the
// hostname with dashes, cut where it is too long for a name.
func NameFor(hostname string) string {
	name := "proxy-" + strings.ReplaceAll(strings.Replace(hostname, "*", "wildcard", 1), ".", "-")
	if len(name) > maxName {
		return name[:maxName-9] + "-" + digest(hostname)[:8]
	}
	return name
}
