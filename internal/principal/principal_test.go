package principal_test

import (
	"context"
	"testing"

	"gatehouse/internal/principal"
)

func TestAdminImpliesUserAndMCPAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		has  []string
		want string
		ok   bool
	}{
		{[]string{"admin"}, "admin", true},
		{[]string{"admin"}, "user", true},
		{[]string{"admin"}, "mcp", true},
		{[]string{"admin"}, "reports", false},
		{[]string{"user", "mcp"}, "admin", false},
		{[]string{"user"}, "mcp", false},
		{[]string{"Admin"}, "admin", false},
		{nil, "user", false},
	} {
		if got := (&principal.Principal{Scopes: c.has}).Has(c.want); got != c.ok {
			t.Errorf("%v has %s: %v, want %v", c.has, c.want, got, c.ok)
		}
	}
	var nobody *principal.Principal
	if nobody.Has("user") {
		t.Error("an anonymous caller has a scope")
	}
}

func TestContextCarriesThePrincipal(t *testing.T) {
	if principal.From(context.Background()) != nil {
		t.Error("a bare context names somebody")
	}
	p := &principal.Principal{User: "octocat"}
	if principal.From(principal.With(context.Background(), p)) != p {
		t.Error("the principal got lost")
	}
}
