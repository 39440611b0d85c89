package control

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"gatehouse/internal/principal"
)

// Scope is what an operation needs of its caller.
type Scope string

// The scopes of operations. Admin holders have User too.
const (
	Public Scope = ""                  // anyone
	User   Scope = principal.ScopeUser // read: names, status and what is the caller's own
	Admin  Scope = principal.ScopeAdmin
)

// Operation is one thing that Gatehouse can be asked to do, the same through
// every door. Make them with New; they are safe for concurrent use.
type Operation struct {
	Name    string // verb_noun, unique: "create_proxy"
	Method  string // of the HTTP door
	Pattern string // of the HTTP door, as net/http has it: "/proxies/{hostname}"
	Scope   Scope
	Summary string // one sentence
	Status  int    // of success at the HTTP door: 200, or 201 for what creates
	Secret  bool   // it answers a secret: it needs a sign-in of the last ten minutes, and is no tool

	In, Out reflect.Type       // of the argument and the answer
	Input   *jsonschema.Schema // the argument as one flat object, path parameters included
	Output  *jsonschema.Schema

	decode func(json.RawMessage) (any, error)
	run    func(context.Context, any) (any, error)
	owner  *Control
}

// Nothing is the argument of operations that take none.
type Nothing struct{}

// Done is the answer of operations that have nothing to tell but that they did it.
type Done struct {
	Done bool `json:"done" jsonschema:"always true: a failure is an error"`
}

// op makes an operation of a method of Control. The argument's fields are the
// path parameters of the pattern, then the query (GET, DELETE) or the body.
func op[In, Out any](name, method, pattern string, scope Scope, summary string, fn func(context.Context, In) (Out, error)) *Operation {
	o := &Operation{
		Name: name, Method: method, Pattern: pattern, Scope: scope, Summary: summary, Status: http.StatusOK,
		In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out](),
		Input: inputSchema(reflect.TypeFor[In]()), Output: outputSchema(reflect.TypeFor[Out]()),
	}
	if strings.HasPrefix(name, "create_") {
		o.Status = http.StatusCreated
	}
	for _, param := range o.PathParams() {
		if !slices.Contains(o.Input.Required, param) {
			o.Input.Required = append(o.Input.Required, param)
		}
	}
	o.decode = func(raw json.RawMessage) (any, error) {
		var in In
		err := Decode(raw, &in)
		return in, err
	}
	o.run = func(ctx context.Context, in any) (any, error) {
		return fn(ctx, in.(In)) //nolint:forcetypeassert // Decode and the type of Run's callers make it so
	}
	return o
}

// answersSecret says so of an operation.
func (o *Operation) answersSecret() *Operation {
	o.Secret = true
	return o
}

// Changes reports whether the operation changes something: it is then audited.
// Some only ask, with more than a query should hold.
func (o *Operation) Changes() bool {
	return o.Method != http.MethodGet && o.Name != "explain_proxy" && o.Name != "validate_resource_token"
}

// Decode reads an argument, one flat JSON object, strictly.
func (o *Operation) Decode(raw json.RawMessage) (any, error) { return o.decode(raw) }

// Authorize is nil when the caller in ctx may run the operation. A refusal of one
// that changes something is written down.
func (o *Operation) Authorize(ctx context.Context) error {
	if err := o.owner.allow(ctx, o); err != nil {
		return o.owner.refused(ctx, o, err)
	}
	return nil
}

// Call decodes the argument, checks that the caller in ctx may, runs the
// operation, and writes it down when it changes something.
func (o *Operation) Call(ctx context.Context, raw json.RawMessage) (any, error) {
	if err := o.Authorize(ctx); err != nil {
		return nil, err
	}
	in, err := o.decode(raw)
	if err != nil {
		return nil, err
	}
	return o.Run(ctx, in)
}

// Run is Call with an argument of type In.
func (o *Operation) Run(ctx context.Context, in any) (any, error) {
	if err := o.Authorize(ctx); err != nil {
		return nil, err
	}
	if !o.Changes() {
		return o.run(ctx, in)
	}
	return o.owner.audited(ctx, o, in)
}

// PathParams are the names of the pattern's parameters, in order.
func (o *Operation) PathParams() []string {
	var params []string
	for part := range strings.SplitSeq(o.Pattern, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			params = append(params, strings.TrimSuffix(strings.TrimSuffix(name, "}"), "..."))
		}
	}
	return params
}

// HasBody reports whether arguments beside path parameters come in a body.
func (o *Operation) HasBody() bool {
	return slices.Contains([]string{http.MethodPost, http.MethodPut}, o.Method)
}

// Takes reports whether the argument has a field of that JSON name.
func (o *Operation) Takes(name string) bool { return o.field(name) != nil }
