package site

import (
	"errors"
	"slices"
	"testing"
	"time"

	"gatehouse/internal/fault"
)

func TestGlobFitsWhatItSays(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		fits          bool
	}{
		{"*", "", true},
		{"*", "anything/at.all", true},
		{"read_*", "read_file", true},
		{"read_*", "read", false},
		{"read_*", "xread_file", false},
		{"*_file", "read_file", true},
		{"*_file", "read_files", false},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"get?", "gets", true},
		{"get?", "get", false},
		{"add", "add", true},
		{"add", "ADD", false},
		{"", "", true},
		{"", "x", false},
		{"**", "x", true},
	} {
		if got := Glob(c.pattern, c.name); got != c.fits {
			t.Errorf("Glob(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestRatesAreRead(t *testing.T) {
	calls, per, err := ParseRate("30/minute")
	if calls != 30 || per != time.Minute || err != nil {
		t.Errorf("30/minute is %d in %s, %v", calls, per, err)
	}
	for _, bad := range []string{"", "30", "0/minute", "-1/hour", "30/month", "030/minute", "+3/minute", "30/", "/minute", "100001/day", "1/minute/second"} {
		if _, _, err := ParseRate(bad); err == nil {
			t.Errorf("%q is taken for a rate", bad)
		}
	}
}

func TestRulesForToolsAreChecked(t *testing.T) {
	for field, rule := range map[string]MCPRule{
		"mcp_tools[0].tools":          {Action: "allow"},
		"mcp_tools[0].tools[0]":       {Tools: []string{"a b"}, Action: "allow"},
		"mcp_tools[0].action":         {Tools: []string{"*"}, Action: "permit"},
		"mcp_tools[0].requires_scope": {Tools: []string{"*"}, Action: "allow", RequiresScope: "unheard"},
		"mcp_tools[0].rate":           {Tools: []string{"*"}, Action: "allow", Rate: "many"},
		"mcp_tools[0].users[0]":       {Tools: []string{"*"}, Action: "deny", Users: []string{"*"}},
		"mcp_tools[0].scopes[0]":      {Tools: []string{"*"}, Action: "deny", Scopes: []string{"a b"}},
		"mcp_tools[0].clients[0]":     {Tools: []string{"*"}, Action: "deny", Clients: []string{""}},
	} {
		p := good()
		p.MCPTools = []MCPRule{rule}
		bad, _ := errors.AsType[*fault.Error](p.Validate(Ordinary))
		if bad == nil || !slices.ContainsFunc(bad.Fields, func(f fault.Field) bool { return f.Path == field }) {
			t.Errorf("%+v does not break %s: %v", rule, field, bad)
		}
	}
	p := good()
	p.MCPTools = []MCPRule{{Tools: []string{"read_*"}, Action: "allow", RequiresScope: "user", Rate: "10/second", Clients: []string{"https://*"}, Users: []string{"alice"}}, {Tools: []string{"*"}, Action: "deny"}}
	if err := p.Validate(Ordinary); err != nil {
		t.Errorf("good rules are refused: %v", err)
	}
}
