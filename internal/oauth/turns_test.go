package oauth

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurnsAreTakenOneByOne: those who want one thing have it one after the other,
// whoever waits for another goes on, who gives up leaves the line, and nothing is
// remembered of a line that is empty.
func TestTurnsAreTakenOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines turns
		var all sync.WaitGroup
		began := time.Now()
		for range 5 {
			all.Go(func() {
				done, err := lines.take(t.Context(), "same")
				if err != nil {
					t.Error(err)
					return
				}
				defer done()
				time.Sleep(time.Second)
			})
		}
		synctest.Wait()
		if done, err := lines.take(t.Context(), "other"); err != nil || time.Since(began) > 0 {
			t.Errorf("another waited %v %v", time.Since(began), err)
		} else {
			done()
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := lines.take(impatient, "same"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who gave up got %v", err)
		}
		all.Wait()
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("five turns of a second took %v", took)
		}
		if len(lines.lines) > 0 {
			t.Errorf("%d lines are left", len(lines.lines))
		}
	})
}
