package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/cert"
	"gatehouse/internal/cert/acme"
	"gatehouse/internal/control"
)

// cert is the noun for certificates.
func (a *app) cert() *cobra.Command {
	return a.group("cert", "Certificates",
		a.certList(), a.certShow(), a.certCreate(), a.certStatus(), a.certRenew(), a.certConvert(), a.certUpload(), a.certExport(), a.certDelete())
}

// certificates completes names of certificates.
func (a *app) certificates() cobra.CompletionFunc { return a.names("list_certificates", "cert_name") }

func certView() render.View {
	return render.View{List: "items", Empty: "No certificates yet: a host with a public name gets one by itself.", Columns: []render.Column{
		{Title: "NAME", Field: "cert_name"}, {Title: "STATUS", Field: "status"}, {Title: "DOMAINS", Field: "domains"}, {Title: "SOURCE", Field: "source"},
		{Title: "EXPIRES", Field: "expires_at", As: render.When}, {Title: "RENEWAL", Field: "next_renewal", As: render.When},
		{Title: "STAGING", Field: "staging", As: render.YesNo}, {Title: "MESSAGE", Field: "message"},
	}}
}

func (a *app) certList() *cobra.Command {
	var in control.Paging
	c := a.command(verb{
		use: "list [flags]", short: "List the certificates", example: "  gatehouse cert list",
		run: func(ctx context.Context, _ []string) error { return a.list(ctx, "list_certificates", in, certView()) },
	})
	bindPaging(c.Flags(), &in)
	return c
}

func (a *app) certShow() *cobra.Command {
	return a.command(verb{
		use: "show NAME", short: "Show a certificate, without its private key", example: "  gatehouse cert show proxy-app-example-com",
		args: cobra.ExactArgs(1), complete: a.certificates(),
		run: func(ctx context.Context, args []string) error {
			return a.call(ctx, "get_certificate", control.CertificateName{Name: args[0]}, render.View{})
		},
	})
}

func (a *app) certCreate() *cobra.Command {
	var in control.CreateCertificate
	var wait bool
	challenge := &choice{words: []string{acme.HTTP01, acme.TLSALPN01, acme.DNS01}}
	keyType := &choice{words: []string{cert.ECDSAP256, cert.ECDSAP384, cert.RSA2048, cert.RSA4096}}
	c := a.command(verb{
		use: "create NAME DOMAIN[,DOMAIN...] [flags]", short: "Obtain a certificate from an authority, and renew it in time",
		long: "Asks the authority of ACME_DIRECTORY_URL for a certificate for all DOMAINs, whatever they are, and renews it in time.\n" +
			"Hosts whose names are in it are served with it.",
		example: "  gatehouse cert create example example.com,www.example.com --wait\n  gatehouse cert create wild '*.example.com' --challenge dns-01\n" +
			"  gatehouse cert create many a.example.com b.example.com c.example.com",
		args: cobra.MinimumNArgs(2), complete: cobra.NoFileCompletions,
		run: func(ctx context.Context, args []string) error {
			in.Name, in.Domains, in.Challenge, in.KeyType = args[0], commas(args[1:]), challenge.value, keyType.value
			operation := "create_certificate"
			if len(in.Domains) > 1 {
				operation = "create_multi_domain_certificate"
			}
			return a.certWork(ctx, operation, in, in.Name, wait)
		},
	})
	f := c.Flags()
	f.StringVar(&in.Email, "email", "", "contact address for the authority (default: ACME_EMAIL)")
	f.BoolVar(&in.Staging, "staging", false, "ask the authority for trials, ACME_STAGING_URL")
	f.StringVar(&in.Directory, "directory", "", "URL of another authority's directory")
	f.Var(challenge, "challenge", "how the names are proved: http-01, tls-alpn-01 or dns-01 (default: dns-01 for wildcards, else http-01)")
	f.Var(keyType, "key-type", "kind of the key: ecdsa-p256, ecdsa-p384, rsa-2048 or rsa-4096 (default: CERT_KEY_TYPE)")
	f.BoolVar(&in.Unchecked, "unchecked", false, "ask even where the authority would refuse, as far as can be seen from here")
	f.BoolVar(&wait, "wait", false, "show each step, and end when the certificate is there")
	return c
}

func (a *app) certStatus() *cobra.Command {
	var wait bool
	c := a.command(verb{
		use: "status NAME [flags]", short: "Show how the order for a certificate stands", example: "  gatehouse cert status example\n  gatehouse cert status example --wait",
		args: cobra.ExactArgs(1), complete: a.certificates(),
		run: func(ctx context.Context, args []string) error {
			if wait && !a.flags.dryRun {
				return a.certWait(ctx, args[0], 0)
			}
			return a.call(ctx, "get_certificate_status", control.CertificateStatusOf{Name: args[0], Wait: wait}, render.View{})
		},
	})
	c.Flags().BoolVar(&wait, "wait", false, "show each step, and end when nothing is under way any more")
	return c
}

func (a *app) certRenew() *cobra.Command {
	var in control.RenewCertificate
	var wait bool
	c := a.command(verb{
		use: "renew NAME [flags]", short: "Renew a certificate that is due, or with --force any", example: "  gatehouse cert renew example --force --wait",
		args: cobra.ExactArgs(1), complete: a.certificates(),
		run: func(ctx context.Context, args []string) error {
			in.Name = args[0]
			return a.certWork(ctx, "renew_certificate", in, in.Name, wait)
		},
	})
	bindForce(c.Flags(), &in.Force)
	c.Flags().Lookup("force").Usage = "now, although it is not due"
	c.Flags().BoolVar(&in.Unchecked, "unchecked", false, "ask even where the authority would refuse, as far as can be seen from here")
	c.Flags().BoolVar(&wait, "wait", false, "show each step, and end when the certificate is there")
	return c
}

func (a *app) certConvert() *cobra.Command {
	var wait bool
	c := a.command(verb{
		use: "convert-to-production NAME [flags]", short: "Ask the production authority for a certificate that is one for trials",
		example: "  gatehouse cert convert-to-production example --wait",
		args:    cobra.ExactArgs(1), complete: a.certificates(),
		run: func(ctx context.Context, args []string) error {
			return a.certWork(ctx, "convert_certificate", control.CertificateName{Name: args[0]}, args[0], wait)
		},
	})
	c.Flags().BoolVar(&wait, "wait", false, "show each step, and end when the certificate is there")
	return c
}

func (a *app) certDelete() *cobra.Command {
	var force bool
	c := a.command(verb{
		use: "delete NAME [flags]", short: "Remove a certificate", long: "Removes a certificate. One that hosts are served with is refused, unless --force says so.",
		example: "  gatehouse cert delete example --force",
		args:    cobra.ExactArgs(1), complete: a.certificates(),
		run: func(ctx context.Context, args []string) error {
			if err := a.confirm(ctx, force, "Remove the certificate "+args[0]+" and its private key?"); err != nil {
				return err
			}
			return a.call(ctx, "delete_certificate", control.DeleteCertificate{Name: args[0], Force: force}, done("the certificate "+args[0]+" is removed"))
		},
	})
	bindForce(c.Flags(), &force)
	return c
}
