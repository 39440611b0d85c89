package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"gatehouse/internal/control"
)

// The parts of an OpenAPI 3.1 document that we write.
type (
	document struct {
		OpenAPI    string                           `json:"openapi"`
		Info       info                             `json:"info"`
		Paths      map[string]map[string]*operation `json:"paths"`
		Components components                       `json:"components"`
	}
	info struct {
		Title       string `json:"title"`
		Version     string `json:"version"`
		Description string `json:"description"`
	}
	components struct {
		Schemas         map[string]*jsonschema.Schema `json:"schemas"`
		SecuritySchemes map[string]any                `json:"securitySchemes"`
		Responses       map[string]response           `json:"responses"`
	}
	operation struct {
		ID         string                `json:"operationId"`
		Summary    string                `json:"summary"`
		Tags       []string              `json:"tags"`
		Security   []map[string][]string `json:"security"`
		Parameters []parameter           `json:"parameters,omitempty"`
		Body       *requestBody          `json:"requestBody,omitempty"`
		Responses  map[string]response   `json:"responses"`
	}
	parameter struct {
		Name        string             `json:"name"`
		In          string             `json:"in"`
		Required    bool               `json:"required"`
		Description string             `json:"description,omitempty"`
		Schema      *jsonschema.Schema `json:"schema"`
	}
	requestBody struct {
		Required bool             `json:"required"`
		Content  map[string]media `json:"content"`
	}
	media struct {
		Schema any `json:"schema"`
	}
	response struct {
		Ref         string           `json:"$ref,omitempty"`
		Description string           `json:"description,omitempty"`
		Content     map[string]media `json:"content,omitempty"`
	}
)

// openAPI describes operations and extras. The schemas are those that the
// operations decode by.
func openAPI(operations []*control.Operation, extras []extra) ([]byte, error) {
	problem, err := jsonschema.For[problemShape](nil)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	doc := document{OpenAPI: "3.1.0", Info: info{Title: "Gatehouse", Version: "1", Description: "Everything that Gatehouse can be asked to do."},
		Paths: map[string]map[string]*operation{}}
	doc.Components = components{
		Schemas:         map[string]*jsonschema.Schema{"Problem": problem},
		SecuritySchemes: map[string]any{"bearer": map[string]string{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
		Responses:       map[string]response{"Problem": {Description: "a refusal or failure (RFC 9457)", Content: problemMedia()}},
	}
	for _, o := range operations {
		put(doc.Paths, o.Pattern, o.Method, describe(o))
	}
	for _, e := range extras {
		d, err := describeExtra(e)
		if err != nil {
			return nil, err
		}
		put(doc.Paths, e.pattern, e.method, d)
	}
	return json.Marshal(doc)
}

// problemShape is fault.Problem with what a reader of the document needs said.
type problemShape struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail,omitempty" jsonschema:"one sentence that says what to do"`
	Code      string `json:"code,omitempty" jsonschema:"short machine-readable name"`
	RequestID string `json:"request_id,omitempty" jsonschema:"to find the request in the log"`
	Errors    []struct {
		Location string `json:"location" jsonschema:"the field"`
		Message  string `json:"message" jsonschema:"the rule that it breaks"`
	} `json:"errors,omitempty"`
}

func problemMedia() map[string]media {
	return map[string]media{"application/problem+json": {map[string]string{"$ref": "#/components/schemas/Problem"}}}
}

func put(paths map[string]map[string]*operation, pattern, method string, o *operation) {
	if paths[pattern] == nil {
		paths[pattern] = map[string]*operation{}
	}
	paths[pattern][strings.ToLower(method)] = o
}

func describe(o *control.Operation) *operation {
	d := &operation{ID: o.Name, Summary: o.Summary, Tags: []string{noun(o.Pattern)}, Security: security(o.Scope), Responses: responses(strconv.Itoa(o.Status), "application/json", o.Output)}
	inPath := o.PathParams()
	body := o.Input.CloneSchemas()
	body.Properties = maps.Clone(o.Input.Properties)
	body.Required = slices.Clone(o.Input.Required)
	for _, name := range slices.Sorted(maps.Keys(o.Input.Properties)) {
		where := ""
		switch {
		case slices.Contains(inPath, name):
			where = "path"
		case name == "if_match":
			where = "header"
		case !o.HasBody():
			where = "query"
		}
		if where == "" {
			continue
		}
		d.Parameters = append(d.Parameters, parameterOf(name, where, o.Input))
		delete(body.Properties, name)
		body.Required = slices.DeleteFunc(body.Required, func(s string) bool { return s == name })
	}
	if o.HasBody() && len(body.Properties) > 0 {
		d.Body = &requestBody{Required: len(body.Required) > 0, Content: map[string]media{"application/json": {body}}}
	}
	return d
}

func parameterOf(name, where string, input *jsonschema.Schema) parameter {
	schema := input.Properties[name]
	p := parameter{Name: name, In: where, Required: where == "path" || slices.Contains(input.Required, name), Description: schema.Description, Schema: schema}
	if where == "header" {
		p.Name = "If-Match"
	}
	return p
}

func describeExtra(e extra) (*operation, error) {
	name := strings.NewReplacer("/", " ", ".", " ", "{", "", "}", "", "-", "_").Replace(e.pattern)
	d := &operation{ID: strings.ToLower(e.method) + "_" + strings.Join(strings.Fields(name), "_"), Summary: e.summary, Tags: []string{noun(e.pattern)}, Security: security(e.scope),
		Responses: responses("200", e.media, &jsonschema.Schema{})}
	for part := range strings.SplitSeq(e.pattern, "/") {
		if name, is := strings.CutPrefix(part, "{"); is {
			d.Parameters = append(d.Parameters, parameter{Name: strings.TrimSuffix(name, "}"), In: "path", Required: true, Schema: &jsonschema.Schema{Type: "string"}})
		}
	}
	if e.body == nil {
		return d, nil
	}
	schema, err := jsonschema.ForType(e.body, nil)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	for _, p := range d.Parameters {
		delete(schema.Properties, p.Name)
		schema.Required = slices.DeleteFunc(schema.Required, func(s string) bool { return s == p.Name })
	}
	d.Body = &requestBody{Content: map[string]media{"application/json": {schema}}}
	return d, nil
}

func responses(status, contentType string, schema *jsonschema.Schema) map[string]response {
	return map[string]response{
		status:    {Description: "done", Content: map[string]media{contentType: {schema}}},
		"default": {Ref: "#/components/responses/Problem"},
	}
}

func security(s control.Scope) []map[string][]string {
	if s == control.Public {
		return []map[string][]string{}
	}
	return []map[string][]string{{"bearer": {string(s)}}}
}

// noun is the first segment of a pattern: what its operations are about.
func noun(pattern string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(pattern, "/"), "/")
	return strings.TrimSuffix(first, ".json")
}

func (a *API) serveOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(a.openapi)))
	_, _ = w.Write(a.openapi) // the client is gone: nobody is left to tell
	return nil
}
