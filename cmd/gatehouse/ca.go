package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/internal/api/listenfile"
	"gatehouse/internal/config"
)

// ca is about the local certificate authority.
func (a *app) ca() *cobra.Command {
	return a.group("ca", "The local certificate authority", a.caExport())
}

func (a *app) caExport() *cobra.Command {
	var set settings
	c := a.server(verb{
		use: "export [flags]", short: "Print the local CA's certificate",
		long:    "Prints the certificate that HTTPS for local names (localhost, .test, .internal …) is signed by, as PEM,\nso that curl, Node and browsers on this machine can trust it. It can speak for such names only.",
		example: "  gatehouse ca export > gatehouse-ca.pem\n  curl --cacert gatehouse-ca.pem https://app.localhost:8443/\n  NODE_EXTRA_CA_CERTS=gatehouse-ca.pem node client.js",
		run: func(context.Context, []string) error {
			settings, err := config.LoadClient(a.source(set.given()))
			if err != nil {
				return err
			}
			pem, err := listenfile.ReadCA(settings.DataDir)
			if err == nil {
				_, err = a.out.Write(pem)
			}
			return err
		},
	})
	set.only(c.Flags(), "DATA_DIR")
	return c
}
