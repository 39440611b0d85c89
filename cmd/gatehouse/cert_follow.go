package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
	"gatehouse/internal/fault"
)

// certWork asks for something that an authority takes its time for. With wait it
// shows each step and ends with what came of it.
func (a *app) certWork(ctx context.Context, operation string, argument any, name string, wait bool) error {
	conn, req, err := a.prepare(operation, argument)
	if err != nil {
		return err
	}
	if a.flags.dryRun || !wait {
		return a.send(ctx, conn, req, render.View{Say: func(o render.Object) string {
			return "the certificate " + o.Text("cert_name") + " is " + o.Text("status") + ": `gatehouse cert status " + o.Text("cert_name") + " --wait` follows it"
		}})
	}
	var asked control.CertificateView
	if err := conn.api.Do(ctx, req, &asked); err != nil {
		return err
	}
	return a.certWait(ctx, name, asked.Version)
}

// certWait follows an order and prints how it ended. A failure is one of this
// command too.
func (a *app) certWait(ctx context.Context, name string, since int64) error {
	answer, s, err := a.certFollow(ctx, name, since)
	if err != nil {
		return err
	}
	if failed := s.Message != "" && s.NextTry != nil; failed {
		return fault.New(fault.Unavailable, "%s; the next try is at %s", s.Message, s.NextTry.Local().Format(time.DateTime))
	}
	return a.print(answer, render.View{Say: func(o render.Object) string {
		return "the certificate " + o.Text("cert_name") + " is " + o.Text("status") + " until " + o.Text("expires_at")
	}})
}

// certFollow shows the steps of an order on stderr as they happen, until nothing
// is under way any more.
func (a *app) certFollow(ctx context.Context, name string, since int64) (answer json.RawMessage, s control.CertificateStatus, err error) {
	shown := time.Time{}
	for {
		conn, req, err := a.prepare("get_certificate_status", control.CertificateStatusOf{Name: name, Wait: true, Since: since})
		if err != nil {
			return nil, s, err
		}
		if err := conn.api.Do(ctx, req, &answer); err != nil {
			return nil, s, err
		}
		s = control.CertificateStatus{}
		if err := json.Unmarshal(answer, &s); err != nil {
			return nil, s, err
		}
		for _, step := range s.Steps {
			if step.At.After(shown) {
				shown = step.At
				a.certStep(step.At, step.Name, step.Domain+" "+step.Detail)
			}
		}
		if s.Settled {
			return answer, s, nil
		}
		since = s.Version
	}
}

func (a *app) certStep(at time.Time, name, text string) {
	_, _ = fmt.Fprintf(a.err, "%s  %-13s %s\n", at.Local().Format(time.TimeOnly), name, render.Clean(strings.TrimSpace(text)))
}

// commas splits arguments at their commas.
func commas(args []string) []string {
	var all []string
	for _, arg := range args {
		for part := range strings.SplitSeq(arg, ",") {
			if part = strings.TrimSpace(part); part != "" {
				all = append(all, part)
			}
		}
	}
	return all
}
