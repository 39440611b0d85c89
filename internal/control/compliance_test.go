package control

import (
	"testing"

	"gatehouse/internal/fault"
)

func TestComplianceTestsAreBounded(t *testing.T) {
	var running tests
	release, err := running.take("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := running.take("a"); !fault.Is(err, fault.TooMany) {
		t.Errorf("the same host twice: %v", err)
	}
	for _, host := range []string{"b", "c", "d"} {
		if _, err := running.take(host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := running.take("e"); !fault.Is(err, fault.TooMany) {
		t.Errorf("one too many: %v", err)
	}
	release()
	if _, err := running.take("a"); err != nil {
		t.Errorf("after the end: %v", err)
	}
}
