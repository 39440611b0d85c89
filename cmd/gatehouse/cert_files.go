package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
	"gatehouse/internal/fault"
)

// maxPEM is the most that is read of a file with a certificate or key.
const maxPEM = 256 << 10

func (a *app) certUpload() *cobra.Command {
	var chain, key string
	c := a.command(verb{
		use: "upload NAME --certificate FILE --key FILE", short: "Keep a certificate of one's own, with its key",
		long:    "Keeps the certificate chain and private key of two PEM files. A certificate that was uploaded before under that name is replaced.",
		example: "  gatehouse cert upload shop --certificate chain.pem --key key.pem",
		args:    cobra.ExactArgs(1), complete: a.certificates(),
		run: func(ctx context.Context, args []string) error {
			in := control.UploadCertificate{Name: args[0]}
			for _, file := range []struct {
				into       *string
				flag, path string
			}{{&in.Certificate, "certificate", chain}, {&in.Key, "key", key}} {
				text, err := a.readPEM(file.flag, file.path)
				if err != nil {
					return err
				}
				*file.into = text
			}
			return a.call(ctx, "upload_certificate", in, render.View{Say: func(o render.Object) string {
				return "the certificate " + o.Text("cert_name") + " is kept, for " + o.Text("domains") + ", until " + o.Text("expires_at")
			}})
		},
	})
	c.Flags().StringVar(&chain, "certificate", "", "PEM file with the chain, the server's own certificate first")
	c.Flags().StringVar(&key, "key", "", "PEM file with the private key, not encrypted")
	return c
}

func (a *app) readPEM(flag, path string) (string, error) {
	if path == "" {
		return "", usage("name the file with --%s FILE", flag)
	}
	text, err := a.readFile(path)
	if err != nil {
		return "", usage("--%s %s can't be read: %v", flag, path, err)
	}
	if len(text) > maxPEM {
		return "", usage("--%s %s is larger than %d KiB", flag, path, maxPEM>>10)
	}
	return string(text), nil
}

// certExport writes the chain to stdout, and the private key only where it is
// asked for by name.
func (a *app) certExport() *cobra.Command {
	var key bool
	var to string
	c := a.command(verb{
		use: "export NAME [flags]", short: "Print a certificate's chain, or with --private-key its key",
		long: "Prints the chain in PEM. With --private-key it prints the chain and the private key, which needs a sign-in of the last\n" +
			"ten minutes (or --local) and is written to the audit log; --output puts them into a file of mode 0600.",
		example: "  gatehouse cert export example > example.pem\n  gatehouse cert export example --private-key --output example-with-key.pem",
		args:    cobra.ExactArgs(1), complete: a.certificates(),
		run: func(ctx context.Context, args []string) error {
			operation := "get_certificate"
			if key {
				operation = "export_certificate"
			}
			conn, req, err := a.prepare(operation, control.CertificateName{Name: args[0]})
			if err != nil {
				return err
			}
			if a.flags.dryRun {
				return a.show(ctx, conn, req)
			}
			var answer json.RawMessage
			if err := conn.api.Do(ctx, req, &answer); err != nil {
				return err
			}
			return a.writePEM(answer, args[0], to)
		},
	})
	c.Flags().BoolVar(&key, "private-key", false, "print the private key too")
	c.Flags().StringVar(&to, "output", "", "file to write instead, made with mode 0600; it must not exist")
	return c
}

func (a *app) writePEM(answer json.RawMessage, name, to string) error {
	var c control.ExportedCertificate
	if err := json.Unmarshal(answer, &c); err != nil {
		return err
	}
	if c.Certificate == "" {
		return fault.New(fault.NotFound, "the certificate %q has not been issued yet: `gatehouse cert status %s` tells how it stands", name, name)
	}
	if to == "" {
		_, err := io.WriteString(a.out, c.Certificate+c.Key)
		return err
	}
	if err := a.writeFile(to, c.Certificate+c.Key); err != nil {
		return usage("--output %s can't be written: %v", to, err)
	}
	_, err := fmt.Fprintf(a.err, "written to %s\n", render.Clean(to))
	return err
}
