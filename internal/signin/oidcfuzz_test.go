package signin

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzOIDCClaims: whatever a provider says, somebody's name is their subject or an
// address that it vouches for, and no two subjects share a name by accident.
func FuzzOIDCClaims(f *testing.F) {
	for _, seed := range []string{
		`{"sub":"s-1","email":"alice@example.com","email_verified":true,"groups":["staff"]}`,
		`{"sub":"s-1","email":"alice@example.com","email_verified":"true","groups":"staff"}`,
		`{"sub":"s-1","email":"id.example#s@x.y","email_verified":true,"groups":7}`,
		`{"sub":"a#b@c","email":"local:admin@x","email_verified":true}`, `{"sub":"","groups":null}`, `[]`, `{"sub":"s","preferred_username":"root","name":"\u202egnp"}`,
	} {
		f.Add(seed)
	}
	o := &oidcProvider{app: OIDCApp{Issuer: "https://id.example"}}
	f.Fuzz(func(t *testing.T, text string) {
		var c claims
		if json.Unmarshal([]byte(text), &c) != nil || !isSubject(c.Subject) {
			return
		}
		p := o.person(&c, []string{"staff", "oidc:ops"})
		if p.Subject != "oidc:id.example#"+c.Subject {
			t.Errorf("subject %q", p.Subject)
		}
		if p.User != p.Subject && (p.Email == "" || !strings.EqualFold(p.User, "oidc:"+p.Email) || strings.ContainsAny(p.User[len("oidc:"):], "#:/, *") || p.User != strings.ToLower(p.User)) {
			t.Errorf("name %q of %q with address %q", p.User, p.Subject, p.Email)
		}
		if p.Email != "" && string(c.Verified) != "true" && string(c.Verified) != `"true"` {
			t.Errorf("an address that nobody verified: %q", p.Email)
		}
		for _, g := range p.Groups {
			if g != "staff" && g != "oidc:ops" {
				t.Errorf("a group that no policy names: %q", g)
			}
		}
		if strings.ContainsAny(p.Name, "\u202e\n") || len([]rune(p.Name)) > 64 {
			t.Errorf("display name %q", p.Name)
		}
	})
}
