package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gatehouse/internal/store"
)

func TestSecretIsMaskedHoweverItIsPrinted(t *testing.T) {
	const text = "hunter2hunter2"
	type holder struct {
		Name  string
		Token store.Secret
		Many  map[string]store.Secret
	}
	h := holder{"n", text, map[string]store.Secret{"k": text}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%20s"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", h.Token, h, &h)
	}
	fmt.Fprintln(&out, h.Token, h, []store.Secret{text}, fmt.Errorf("bad %w %v", fmt.Errorf("x"), h.Token))
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("m", "token", h.Token, "holder", h)
	}
	body, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(body)
	for _, seen := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("%X", text)} {
		if strings.Contains(out.String(), seen) {
			t.Fatalf("the secret shows as %s in:\n%s", seen, out.String())
		}
	}
	if !strings.Contains(string(body), store.Masked) {
		t.Fatalf("JSON has no mask: %s", body)
	}
	if h.Token.Reveal() != text {
		t.Fatal("Reveal does not")
	}
}

func TestEmptySecretShowsThatItIsUnset(t *testing.T) {
	if got := fmt.Sprintf("%v|%s", store.Secret(""), store.Secret("")); got != "|" {
		t.Fatalf("got %q", got)
	}
}

func TestSecretDecodes(t *testing.T) {
	var got struct{ Token store.Secret }
	if err := json.Unmarshal([]byte(`{"Token":"abc"}`), &got); err != nil || got.Token.Reveal() != "abc" {
		t.Fatalf("got %q, %v", got.Token.Reveal(), err)
	}
}
