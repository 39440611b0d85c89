package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"gatehouse/internal/control"
)

//go:embed docs.html
var docsSource string

//go:embed docs.css
var docsStyle string

// page is a rendered document with the policy that lets its style in, and
// nothing else.
type page struct {
	body []byte
	csp  string
}

type (
	docsGroup struct {
		Noun string
		List []docsOperation
	}
	docsOperation struct {
		Name, Method, Pattern, Scope, Summary, Media string
		Fields                                       []docsField
	}
	docsField struct {
		Name, Type, Text string
		Required         bool
	}
)

// docsPage renders the list of operations once: the page needs no script.
func docsPage(operations []*control.Operation, extras []extra) (page, error) {
	t, err := template.New("docs").Parse(docsSource)
	if err != nil {
		return page{}, fmt.Errorf("docs: %w", err)
	}
	var b bytes.Buffer
	data := struct {
		Style  template.CSS
		Groups []docsGroup
	}{template.CSS(docsStyle), docsGroups(operations, extras)} //nolint:gosec // our own file, embedded
	if err := t.Execute(&b, data); err != nil {
		return page{}, fmt.Errorf("docs: %w", err)
	}
	sum := sha256.Sum256([]byte(docsStyle))
	csp := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return page{b.Bytes(), csp}, nil
}

func docsGroups(operations []*control.Operation, extras []extra) []docsGroup {
	var groups []docsGroup
	add := func(pattern string, o docsOperation) {
		name := noun(pattern)
		i := slices.IndexFunc(groups, func(g docsGroup) bool { return g.Noun == name })
		if i < 0 {
			groups, i = append(groups, docsGroup{Noun: name}), len(groups)
		}
		groups[i].List = append(groups[i].List, o)
	}
	for _, o := range operations {
		add(o.Pattern, docsOperation{Name: o.Name, Method: o.Method, Pattern: o.Pattern, Scope: scopeName(o.Scope), Summary: o.Summary, Fields: docsFields(o.Input)})
	}
	for _, e := range extras {
		add(e.pattern, docsOperation{Name: strings.Trim(e.pattern, "/"), Method: e.method, Pattern: e.pattern, Scope: scopeName(e.scope), Summary: e.summary, Media: e.media})
	}
	return groups
}

func docsFields(s *jsonschema.Schema) []docsField {
	var fields []docsField
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		types := p.Types
		if p.Type != "" {
			types = []string{p.Type}
		}
		fields = append(fields, docsField{Name: name, Type: strings.Join(types, " or "), Text: p.Description, Required: slices.Contains(s.Required, name)})
	}
	return fields
}

func scopeName(s control.Scope) string {
	if s == control.Public {
		return "public"
	}
	return string(s)
}

func (a *API) serveDocs(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Security-Policy", a.docs.csp)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(a.docs.body)))
	_, _ = w.Write(a.docs.body) // the client is gone: nobody is left to tell
	return nil
}
