package signin

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/fault"
)

func TestAttemptsAreBoundedPerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(3, 100)
		a := netip.MustParseAddr("192.0.2.1")
		for range 3 {
			if _, ok := l.take(a); !ok {
				t.Fatal("turned away too early")
			}
		}
		wait, ok := l.take(a)
		if ok || wait <= 0 || wait > 20*time.Second {
			t.Fatalf("the fourth: %v, %v", wait, ok)
		}
		if _, ok := l.take(netip.MustParseAddr("192.0.2.2")); !ok {
			t.Error("another address pays for it")
		}
		time.Sleep(wait)
		if _, ok := l.take(a); !ok {
			t.Error("still turned away after Retry-After")
		}
	})
}

func TestOneIPv6CustomerIsOneAddress(t *testing.T) {
	l := newLimiter(1, 100)
	l.take(netip.MustParseAddr("2001:db8::1"))
	if _, ok := l.take(netip.MustParseAddr("2001:db8::ffff:2")); ok {
		t.Error("the same /64 got a second allowance")
	}
	if _, ok := l.take(netip.MustParseAddr("2001:db8:0:1::1")); !ok {
		t.Error("another /64 was turned away")
	}
	if neighborhood(netip.MustParseAddr("::ffff:192.0.2.1")) != neighborhood(netip.MustParseAddr("192.0.2.1")) {
		t.Error("IPv4 in IPv6 is another address")
	}
}

func TestAttemptsAreBoundedInAll(t *testing.T) {
	l := newLimiter(10, 2)
	a := netip.MustParseAddr("192.0.2.1")
	for i := range 3 {
		if _, ok := l.take(a); ok != (i < 2) {
			t.Errorf("attempt %d: %v", i, ok)
		}
		a = a.Next()
	}
}

func TestAddressesDoNotPileUp(t *testing.T) {
	l := newLimiter(10, 10*maxAddresses)
	a := netip.MustParseAddr("10.0.0.0")
	for range maxAddresses + 100 {
		l.take(a)
		a = a.Next()
	}
	if len(l.by) > maxAddresses {
		t.Errorf("%d addresses are kept", len(l.by))
	}
}

func TestWrongPasswordsSlowTheAccountButNeverLockIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake()
		waited := func() time.Duration {
			begun := time.Now()
			if err := b.wait(t.Context(), "Alice"); err != nil {
				t.Fatal(err)
			}
			return time.Since(begun)
		}
		var got []time.Duration
		for range 20 {
			got = append(got, waited())
			b.note("alice", false)
		}
		if got[0] != 0 || got[2] != 0 || got[3] != slowStep || got[4] != 2*slowStep || got[19] != slowest {
			t.Errorf("waits: %v", got)
		}
		if err := b.wait(t.Context(), "bob"); err != nil {
			t.Error(err)
		}
		b.note("alice", true)
		if d := waited(); d != 0 {
			t.Errorf("after the right password still %v", d)
		}
	})
}

func TestSlownessIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake()
		for range 10 {
			b.note("alice", false)
		}
		time.Sleep(slowMemory + time.Second)
		if d := b.delay("alice"); d != 0 {
			t.Errorf("still %v", d)
		}
	})
}

func TestWaitingAttemptsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake()
		for range 10 {
			b.note("alice", false)
		}
		ctx, cancel := context.WithCancel(t.Context())
		for range maxDelayed {
			go func() { _ = b.wait(ctx, "alice") }()
		}
		synctest.Wait()
		if err := b.wait(ctx, "alice"); !fault.Is(err, fault.TooMany) {
			t.Errorf("got %v", err)
		}
		cancel()
		synctest.Wait()
		if b.waiting != 0 {
			t.Errorf("%d still counted", b.waiting)
		}
	})
}
