package journal

import (
	"fmt"
	"testing"
)

func TestOutcomesCountStoredAndPending(t *testing.T) {
	j, _ := open(t, &memLog{}, Options{})
	step := func(action, result, reason, message string) {
		j.Write(&Entry{Kind: OAuth, Action: action, AuthResult: result, AuthReason: reason, Message: message, Proxy: "app.example.com"})
	}
	for n := range 700 {
		step("token", "allowed", "", "refresh_token")
		step("register", "allowed", "", fmt.Sprintf("a client called %d", n))
		if n == 350 {
			if err := j.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	step("token", "denied", "refresh_reused", "words for the client")
	step("signin", "denied", "wrong_password", "")
	j.Write(&Entry{Kind: OAuth, Action: "token", AuthResult: "allowed", Message: "client_credentials", Proxy: "other.example.com"})
	j.Write(&Entry{Kind: Audit, Action: "token", AuthResult: "allowed"})
	for proxy, want := range map[string]map[Outcome]int64{
		"": {{"token", "allowed", "", "refresh_token"}: 700, {"register", "allowed", "", ""}: 700, {"token", "denied", "refresh_reused", ""}: 1,
			{"signin", "denied", "wrong_password", ""}: 1, {"token", "allowed", "", "client_credentials"}: 1},
		"other.example.com": {{"token", "allowed", "", "client_credentials"}: 1},
	} {
		got, err := j.Outcomes(t.Context(), Query{Kind: OAuth, Proxy: proxy}, "token")
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got.Counts) != fmt.Sprint(want) {
			t.Errorf("%q: got %v\nwant %v", proxy, got.Counts, want)
		}
		if got.Until.Sub(got.Since).Hours() < 23.9 {
			t.Errorf("the usual window is %v", got.Until.Sub(got.Since))
		}
	}
}

func TestDifferentOutcomesAreBounded(t *testing.T) {
	j, _ := open(t, &memLog{}, Options{})
	for n := range maxOutcomes + 50 {
		j.Write(&Entry{Kind: OAuth, Action: "token", AuthReason: fmt.Sprint(n)})
	}
	got, err := j.Outcomes(t.Context(), Query{Kind: OAuth})
	if err != nil || len(got.Counts) > maxOutcomes+1 || got.Counts[Outcome{Action: "other"}] != 50 {
		t.Errorf("%d different, %d others, %v", len(got.Counts), got.Counts[Outcome{Action: "other"}], err)
	}
}
