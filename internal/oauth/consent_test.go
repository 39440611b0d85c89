package oauth

import (
	"testing"
	"time"
)

func TestConsentIsRememberedForHTTPSOnly(t *testing.T) {
	r := newRig(t)
	ctx, alice := t.Context(), person("alice")
	client := r.registered(appOrigin)
	p := Pending{Issuer: appOrigin, Host: "app.example.com", ClientID: client, RedirectURI: "https://client.example/cb", Resource: appOrigin, Scopes: []string{"user", "mcp"}}
	if r.Remembered(ctx, alice, p) {
		t.Error("before anything was approved")
	}
	if err := r.Remember(ctx, alice, p, []string{"user"}); err != nil {
		t.Fatal(err)
	}
	if r.Remembered(ctx, alice, p) {
		t.Error("a scope that was not approved")
	}
	if err := r.Remember(ctx, alice, p, []string{"mcp"}); err != nil {
		t.Fatal(err)
	}
	if !r.Remembered(ctx, alice, p) {
		t.Error("what was approved in two steps")
	}
	for name, change := range map[string]func(*Pending){
		"another person's": nil,
		"another redirect": func(p *Pending) { p.RedirectURI = "https://client.example/other" },
		"another resource": func(p *Pending) { p.Resource = mcpOrigin },
		"another issuer":   func(p *Pending) { p.Issuer = mcpOrigin },
		"another client":   func(p *Pending) { p.ClientID = r.registered(appOrigin) },
		"admin":            func(p *Pending) { p.Scopes = []string{"user", "admin"} },
		"a device":         func(p *Pending) { p.Device = "x" },
	} {
		q, who := p, alice
		if change == nil {
			who = person("bob")
		} else {
			change(&q)
		}
		if r.Remembered(ctx, who, q) {
			t.Errorf("%s: remembered", name)
		}
	}
	for _, uri := range []string{"http://127.0.0.1/cb", "com.example.app:/cb"} {
		q := p
		q.RedirectURI = uri
		if err := r.Remember(ctx, alice, q, q.Scopes); err != nil || r.Remembered(ctx, alice, q) {
			t.Errorf("%s: remembered, %v", uri, err)
		}
	}
	all, err := r.Consents(ctx, "github:alice")
	if err != nil || len(all) != 1 || len(all[0].Approvals) != 1 {
		t.Errorf("%+v %v", all, err)
	}
	row, err := r.clients.Get(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	row.Value.Name = "Somebody else"
	if _, err := r.clients.Put(ctx, client, row.Value, time.Hour); err != nil {
		t.Fatal(err)
	}
	if r.Remembered(ctx, alice, p) {
		t.Error("a changed registration")
	}
	if err := r.ForgetConsent(ctx, "github:alice", client); err != nil {
		t.Error(err)
	}
}
