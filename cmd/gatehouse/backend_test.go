package main

import (
	"strings"
	"testing"
)

func TestAProgramThatIsNotThereIsWarnedOf(t *testing.T) {
	h := newHome(t)
	const warning = "warning: there is no program"
	if r := h.run("backend", "add", "gone", "--", "/no/such/program"); r.code != 0 || !strings.Contains(r.err, warning+" /no/such/program") {
		t.Errorf("exit %d, said %q", r.code, r.err)
	}
	if r := h.run("backend", "add", "there", "--", "/bin/cat"); r.code != 0 || strings.Contains(r.err, warning) {
		t.Errorf("exit %d, said %q", r.code, r.err)
	}
}

func TestAWrongWayToRunNamesItsFlag(t *testing.T) {
	r := newHome(t).run("backend", "add", "x", "--processes", "twice", "--", "/bin/cat")
	if r.code != exitUsage || !strings.Contains(r.err, `--processes "twice": is session or shared`) {
		t.Errorf("exit %d, said %q", r.code, r.err)
	}
}
