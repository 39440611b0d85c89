package control

import (
	"context"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// CertificateManager keeps certificates; package cert has it.
type CertificateManager interface {
	List(ctx context.Context) ([]cert.Object, error)
	Object(ctx context.Context, name string) (cert.Object, error)
	Create(ctx context.Context, o cert.Object) (cert.Object, error)
	Upload(ctx context.Context, name, chainPEM, keyPEM, by string, fits func(cert.Object) error) (cert.Object, error)
	Renew(ctx context.Context, name string, force, unchecked bool) (cert.Object, error)
	Convert(ctx context.Context, name string) (cert.Object, error)
	Delete(ctx context.Context, name string) error
	Export(ctx context.Context, name string) (o cert.Object, key []byte, err error)
	Await(ctx context.Context, name string, version int64) (cert.Object, error)
	For(h cert.Wanted) (name, why string)
	State() (kept int, renewal string)
}

// CertificateView is a certificate that is kept: its names and how it stands, and
// for administrators all but its private key.
type CertificateView struct {
	Name    string   `json:"cert_name"`
	Domains []string `json:"domains"`
	Status  string   `json:"status" jsonschema:"pending, issuing, active, renewing or failed"`
	Source  string   `json:"source" jsonschema:"acme: obtained and renewed; upload: brought by people"`
	Staging bool     `json:"staging" jsonschema:"asked of an authority for trials, whom nobody trusts"`

	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	NextRenewal *time.Time `json:"next_renewal,omitempty"`
	Version     int64      `json:"version"`

	*CertificateDetails
}

// CertificateDetails is what administrators see of a certificate beside.
type CertificateDetails struct {
	Email       string       `json:"email,omitempty"`
	Directory   string       `json:"acme_directory_url,omitempty"`
	Challenge   string       `json:"challenge,omitempty" jsonschema:"empty: dns-01 for wildcards, http-01 for others"`
	KeyType     string       `json:"key_type"`
	Message     string       `json:"message,omitempty" jsonschema:"what happened last, in words"`
	Failures    int          `json:"failures" jsonschema:"tries that failed since the last success"`
	NextTry     *time.Time   `json:"next_try,omitempty" jsonschema:"not before, after a failure"`
	IssuedAt    *time.Time   `json:"issued_at,omitempty"`
	Fingerprint string       `json:"fingerprint_sha256,omitempty"`
	Serial      string       `json:"serial,omitempty"`
	Issuer      string       `json:"issuer,omitempty"`
	Trial       bool         `json:"trial" jsonschema:"the present certificate is of an authority for trials"`
	Window      *cert.Window `json:"renewal_window,omitempty" jsonschema:"when the authority wants it renewed"`
	Certificate string       `json:"certificate,omitempty" jsonschema:"the chain in PEM, the server's own first"`
	Hosts       []string     `json:"hosts" jsonschema:"hosts that are served with it"`
	CreatedBy   string       `json:"created_by,omitempty"`
	CreatedAt   time.Time    `json:"created_at"`
	UpdatedAt   time.Time    `json:"updated_at"`
}

// Tag is the version for the ETag header.
func (v CertificateView) Tag() int64 { return v.Version }

func (c *Control) certificateView(o cert.Object, full bool) CertificateView {
	v := CertificateView{Name: o.Name, Domains: none(o.Domains), Status: o.Status, Source: o.Source, Staging: o.Staging,
		ExpiresAt: moment(o.ExpiresAt), NextRenewal: moment(o.NextRenewal), Version: o.Version}
	if full {
		v.CertificateDetails = &CertificateDetails{
			Email: o.Email, Directory: o.Directory, Challenge: o.Challenge, KeyType: o.KeyType, Message: o.Message, Failures: o.Failures,
			NextTry: moment(o.NextTry), IssuedAt: moment(o.IssuedAt), Fingerprint: o.Fingerprint, Serial: o.Serial, Issuer: o.Issuer, Trial: o.Trial,
			Window: o.Window, Certificate: o.Chain, Hosts: c.hostsWith(o.Name), CreatedBy: o.CreatedBy, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
		}
	}
	return v
}

// auditCertificate is a certificate as the audit log keeps it.
func (c *Control) auditCertificate(o cert.Object) CertificateView {
	v := c.certificateView(o, true)
	v.CertificateDetails.Certificate = ""
	return v
}

// hostsWith are the hosts that name a certificate, or are served with it.
func (c *Control) hostsWith(name string) []string {
	hosts := []string{}
	for _, h := range c.world().Hosts() {
		p := &h.Proxy
		served := c.deps.Certificates != nil && p.EnableHTTPS && p.TLSMode == site.TLSTerminate && c.servedWith(p.Hostname, name)
		if p.CertName == name || served {
			hosts = append(hosts, p.Hostname)
		}
	}
	return hosts
}

func (c *Control) servedWith(hostname, name string) bool {
	served := c.deps.Certificates.Find(hostname)
	return served != nil && served.Object == name
}

// CertificateName is the argument of what concerns one certificate.
type CertificateName struct {
	Name string `json:"name" required:"true" jsonschema:"the certificate"`
}

// CreateCertificate is the argument of create_certificate and
// create_multi_domain_certificate.
type CreateCertificate struct {
	Name      string   `json:"cert_name" required:"true" jsonschema:"its name: a-z, 0-9, dot, underscore and hyphen"`
	Domain    string   `json:"domain,omitempty" jsonschema:"the name to certify, where it is one"`
	Domains   []string `json:"domains,omitempty" jsonschema:"the names to certify, 1 to 100; wildcards need dns-01"`
	Email     string   `json:"email,omitempty" jsonschema:"contact; ACME_EMAIL when not given"`
	Staging   bool     `json:"staging,omitempty" jsonschema:"ask ACME_STAGING_URL: for trials"`
	Directory string   `json:"acme_directory_url,omitempty" jsonschema:"the authority; ACME_DIRECTORY_URL when not given"`
	Challenge string   `json:"challenge,omitempty" jsonschema:"http-01, tls-alpn-01 or dns-01; when not given dns-01 for wildcards and http-01 for others"`
	KeyType   string   `json:"key_type,omitempty" jsonschema:"ecdsa-p256, ecdsa-p384, rsa-2048 or rsa-4096; CERT_KEY_TYPE when not given"`
	Unchecked bool     `json:"unchecked,omitempty" jsonschema:"ask the authority even where it would refuse, as far as can be seen from here"`
}

// UploadCertificate is the argument of upload_certificate.
type UploadCertificate struct {
	Name        string `json:"cert_name" required:"true" jsonschema:"its name: a-z, 0-9, dot, underscore and hyphen"`
	Certificate string `json:"certificate" required:"true" jsonschema:"the chain in PEM, the server's own first"`
	Key         string `json:"private_key" required:"true" jsonschema:"its key in PEM, not encrypted; write-only"`
}

// RenewCertificate is the argument of renew_certificate.
type RenewCertificate struct {
	Name      string `json:"name" required:"true" jsonschema:"the certificate"`
	Force     bool   `json:"force,omitempty" jsonschema:"now, although it is not due"`
	Unchecked bool   `json:"unchecked,omitempty" jsonschema:"ask the authority even where it would refuse, as far as can be seen from here"`
}

// DeleteCertificate is the argument of delete_certificate.
type DeleteCertificate struct {
	Name  string `json:"name" required:"true" jsonschema:"the certificate"`
	Force bool   `json:"force,omitempty" jsonschema:"although hosts are served with it"`
}

// CertificateStatusOf is the argument of get_certificate_status.
type CertificateStatusOf struct {
	Name  string `json:"name" required:"true" jsonschema:"the certificate"`
	Wait  bool   `json:"wait,omitempty" jsonschema:"answer when something has happened since the version given, or nothing is under way; within half a minute in any case"`
	Since int64  `json:"since,omitempty" jsonschema:"the version that the caller has seen"`
}

// CertificateStatus is how an order stands.
type CertificateStatus struct {
	Name    string      `json:"cert_name"`
	Domains []string    `json:"domains"`
	Status  string      `json:"status" jsonschema:"pending, issuing, active, renewing or failed"`
	Message string      `json:"message,omitempty" jsonschema:"what happened last, in words"`
	Settled bool        `json:"settled" jsonschema:"nothing is under way"`
	Steps   []cert.Step `json:"steps" jsonschema:"of the last order; for administrators"`
	NextTry *time.Time  `json:"next_try,omitempty"`
	Expires *time.Time  `json:"expires_at,omitempty"`
	Renewal *time.Time  `json:"next_renewal,omitempty"`
	Version int64       `json:"version"`
}

// ExportedCertificate is a certificate with its private key.
type ExportedCertificate struct {
	Name        string `json:"cert_name"`
	Certificate string `json:"certificate" jsonschema:"the chain in PEM, the server's own first"`
	Key         string `json:"private_key" jsonschema:"in PEM, PKCS #8"`
}

// ListCertificates answers the certificates that are kept, in name order.
func (c *Control) ListCertificates(ctx context.Context, in Paging) (Page[CertificateView], error) {
	objects, err := c.deps.Manager.List(ctx)
	if err != nil {
		return Page[CertificateView]{}, err
	}
	full := c.admin(ctx)
	return viewsOf(in, objects, all, func(o cert.Object) CertificateView {
		o.Chain = "" // a list of a thousand chains helps nobody
		return c.certificateView(o, full)
	}, func(v CertificateView) string { return v.Name })
}

// GetCertificate answers one certificate.
func (c *Control) GetCertificate(ctx context.Context, in CertificateName) (CertificateView, error) {
	o, err := c.deps.Manager.Object(ctx, in.Name)
	if err != nil {
		return CertificateView{}, err
	}
	return c.certificateView(o, c.admin(ctx)), nil
}

// CreateCertificate keeps a new certificate and has it obtained.
func (c *Control) CreateCertificate(ctx context.Context, in CreateCertificate) (CertificateView, error) {
	domains := in.Domains
	if in.Domain != "" {
		domains = append([]string{in.Domain}, domains...)
	}
	o, err := c.deps.Manager.Create(ctx, cert.Object{Name: in.Name, Domains: domains, Email: in.Email, Staging: in.Staging, Directory: in.Directory,
		Challenge: in.Challenge, KeyType: in.KeyType, Unchecked: in.Unchecked, CreatedBy: who(ctx)})
	if err != nil {
		return CertificateView{}, err
	}
	noted(ctx, cert.ObjectPrefix+o.Name, nil, c.auditCertificate(o))
	return c.certificateView(o, true), nil
}

// UploadCertificate keeps a certificate that people bring.
func (c *Control) UploadCertificate(ctx context.Context, in UploadCertificate) (CertificateView, error) {
	o, err := c.deps.Manager.Upload(ctx, in.Name, in.Certificate, in.Key, who(ctx), c.fitsHosts)
	if err != nil {
		return CertificateView{}, err
	}
	noted(ctx, cert.ObjectPrefix+o.Name, nil, c.auditCertificate(o))
	return c.certificateView(o, true), nil
}

// fitsHosts is an error when a host names a certificate that does not hold it: its
// successor must be for those hosts too.
func (c *Control) fitsHosts(o cert.Object) error {
	for _, h := range c.world().Hosts() {
		if p := &h.Proxy; p.CertName == o.Name && !o.Covers(p.Hostname) {
			return fault.BadField("certificate", "is not for %s, which names %q as its certificate", p.Hostname, o.Name)
		}
	}
	return nil
}

// RenewCertificate has a certificate renewed.
func (c *Control) RenewCertificate(ctx context.Context, in RenewCertificate) (CertificateView, error) {
	return c.changeCertificate(ctx, in.Name, func() (cert.Object, error) { return c.deps.Manager.Renew(ctx, in.Name, in.Force, in.Unchecked) })
}

// ConvertCertificate asks the production authority for what is one for trials.
func (c *Control) ConvertCertificate(ctx context.Context, in CertificateName) (CertificateView, error) {
	return c.changeCertificate(ctx, in.Name, func() (cert.Object, error) { return c.deps.Manager.Convert(ctx, in.Name) })
}

func (c *Control) changeCertificate(ctx context.Context, name string, change func() (cert.Object, error)) (CertificateView, error) {
	before, err := c.deps.Manager.Object(ctx, name)
	if err != nil {
		return CertificateView{}, err
	}
	after, err := change()
	if err != nil {
		return CertificateView{}, err
	}
	noted(ctx, cert.ObjectPrefix+name, c.auditCertificate(before), c.auditCertificate(after))
	return c.certificateView(after, true), nil
}

// DeleteCertificate removes a certificate that no host is served with, or with
// force any.
func (c *Control) DeleteCertificate(ctx context.Context, in DeleteCertificate) (Done, error) {
	o, err := c.deps.Manager.Object(ctx, in.Name)
	if err != nil {
		return Done{}, err
	}
	if hosts := c.hostsWith(o.Name); len(hosts) > 0 && !in.Force {
		return Done{}, fault.New(fault.Invalid, "the certificate %q is in use by %s: give the host another one first, or use force", o.Name, listed(hosts))
	}
	noted(ctx, cert.ObjectPrefix+o.Name, c.auditCertificate(o), nil)
	return Done{true}, c.deps.Manager.Delete(ctx, o.Name)
}

// listed names a few of many.
func listed(names []string) string {
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + " and others"
	}
	return strings.Join(names, ", ")
}

// statusPatience is how long a question with wait is held.
const statusPatience = 25 * time.Second

// CertificateStatus answers how the order for a certificate stands.
func (c *Control) CertificateStatus(ctx context.Context, in CertificateStatusOf) (CertificateStatus, error) {
	var o cert.Object
	var err error
	if in.Wait {
		held, cancel := context.WithTimeout(ctx, statusPatience)
		defer cancel()
		o, err = c.deps.Manager.Await(held, in.Name, in.Since)
	} else {
		o, err = c.deps.Manager.Object(ctx, in.Name)
	}
	if err != nil {
		return CertificateStatus{}, err
	}
	s := CertificateStatus{Name: o.Name, Domains: none(o.Domains), Status: o.Status, Settled: o.Settled(), Steps: []cert.Step{},
		Expires: moment(o.ExpiresAt), Renewal: moment(o.NextRenewal), Version: o.Version}
	if c.admin(ctx) {
		s.Message, s.NextTry, s.Steps = o.Message, moment(o.NextTry), append(s.Steps, o.Steps...)
	}
	return s, nil
}

// ExportCertificate answers a certificate with its private key.
func (c *Control) ExportCertificate(ctx context.Context, in CertificateName) (ExportedCertificate, error) {
	o, key, err := c.deps.Manager.Export(ctx, in.Name)
	if err != nil {
		return ExportedCertificate{}, err
	}
	noted(ctx, cert.ObjectPrefix+o.Name, nil, map[string]string{"exported": "certificate and private key", "fingerprint_sha256": o.Fingerprint})
	return ExportedCertificate{Name: o.Name, Certificate: o.Chain, Key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))}, nil
}

// checkCertificate checks the certificate that a host names.
func (c *Control) checkCertificate(ctx context.Context, broken *fault.Rules, p site.Proxy) error {
	o, err := c.deps.Manager.Object(ctx, p.CertName)
	switch {
	case fault.Is(err, fault.NotFound):
		broken.Add("cert_name", "names no certificate that is kept here")
	case err != nil:
		return err
	case !o.Covers(p.Hostname):
		broken.Add("cert_name", "names a certificate for %s, not for %s", listed(slices.Clone(o.Domains)), p.Hostname)
	}
	return nil
}
