package client

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"gatehouse/internal/control"
	"gatehouse/internal/fault"
)

// Operations are the server's operations, from the same list that the server
// runs: its method and path, and which fields of an argument stand where.
type Operations map[string]*control.Operation

// NewOperations reads the list.
func NewOperations() Operations {
	byName := Operations{}
	for _, op := range control.Declared() {
		byName[op.Name] = op
	}
	return byName
}

// Request is the request for the operation called name with its argument
// struct: fields that the path names go there, if_match becomes a header, the
// rest the query or the body.
func (o Operations) Request(name string, argument any) (Request, error) {
	op, known := o[name]
	if !known {
		return Request{}, fault.New(fault.Internal, "there is no operation %s", name)
	}
	fields, err := flatten(argument)
	if err != nil {
		return Request{}, err
	}
	r := Request{Method: op.Method, Path: op.Pattern, IfMatch: take(fields, "if_match")}
	for _, p := range op.PathParams() {
		r.Path = strings.Replace(r.Path, "{"+p+"}", Segment(take(fields, p)), 1)
	}
	switch {
	case op.HasBody():
		r.Body = fields
	case len(fields) > 0:
		r.Query = make(url.Values, len(fields))
		for field := range fields {
			r.Query.Set(field, text(fields[field]))
		}
	}
	return r, nil
}

func flatten(argument any) (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	if argument == nil {
		return fields, nil
	}
	// omitempty as encoding/json has it, so that a zero is not sent
	raw, err := jsonv2.Marshal(argument, jsonv1.OmitEmptyWithLegacySemantics(true))
	if err == nil {
		err = json.Unmarshal(raw, &fields)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the argument can't be written as JSON")
	}
	return fields, nil
}

// take removes a field and gives its text.
func take(fields map[string]json.RawMessage, name string) string {
	raw := fields[name]
	delete(fields, name)
	return text(raw)
}

// text is a value as a path or a query has it.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, ",")
	}
	return string(raw)
}

// Get is a request of what is no operation, such as a stream.
func Get(path string, query url.Values) Request {
	return Request{Method: http.MethodGet, Path: path, Query: query}
}
