package haproxytest_test

import (
	"net"
	"strings"
	"testing"

	"gatehouse/test/haproxytest"
)

func TestHAProxyListensWhenItIsStartedAndNotWhenItIsStopped(t *testing.T) {
	at := haproxytest.Address(t)
	s := haproxytest.Start(t, "frontend in\n  mode tcp\n  timeout client 5s\n  bind "+at)
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if got := s.Command(t, "show stat"); !strings.Contains(got, "in,FRONTEND") {
		t.Errorf("show stat: %s", got)
	}
	s.Stop()
	if c, err := net.Dial("tcp", at); err == nil {
		_ = c.Close()
		t.Error("HAProxy listens after it was stopped")
	}
}
