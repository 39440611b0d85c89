package fault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/internal/fault"
)

func TestProblemNeverShowsTheCause(t *testing.T) {
	cause := errors.New("password=hunter2 refused by 10.0.0.5")
	for _, err := range []error{
		cause,
		fault.Wrap(fault.Unavailable, cause, "the store is away: try again"),
		fmt.Errorf("saving: %w", fault.Wrap(fault.Internal, cause, "that did not work")),
	} {
		w := httptest.NewRecorder()
		fault.ProblemOf(err).WriteTo(w)
		if strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%v showed its cause: %s", err, w.Body)
		}
	}
}

func TestProblemNamesEachFieldAndRule(t *testing.T) {
	var rules fault.Rules
	rules.Add("target_url", "is required")
	rules.Add("targets[1].weight", "is between 1 and %d", 1000)
	w := httptest.NewRecorder()
	fault.ProblemOf(fmt.Errorf("create: %w", rules.Err())).WriteTo(w)
	if w.Code != http.StatusUnprocessableEntity || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", w.Code, w.Header())
	}
	var p fault.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Errors) != 2 || p.Errors[1] != (fault.Field{Path: "targets[1].weight", Rule: "is between 1 and 1000"}) {
		t.Errorf("errors: %+v", p.Errors)
	}
	if p.Detail != "target_url: is required; targets[1].weight: is between 1 and 1000" {
		t.Errorf("detail: %s", p.Detail)
	}
}

func TestNoBrokenRuleIsNoError(t *testing.T) {
	var rules fault.Rules
	if err := rules.Err(); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestKindSurvivesWrapping(t *testing.T) {
	for kind := fault.Internal; kind <= fault.Malformed; kind++ {
		err := fmt.Errorf("outer: %w", fault.New(kind, "text"))
		if !fault.Is(err, kind) || fault.ProblemOf(err).Status != kind.Status() {
			t.Errorf("%v got lost", kind)
		}
	}
	if fault.Is(nil, fault.Internal) {
		t.Error("no error is of a kind")
	}
}
