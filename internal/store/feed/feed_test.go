package feed_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"gatehouse/internal/store/feed"
)

func keepAll(queue []int, v int) []int { return append(queue, v) }

// keepTwo lets the oldest go.
func keepTwo(queue []int, v int) []int {
	queue = append(queue, v)
	return queue[max(0, len(queue)-2):]
}

func TestReadersSeeEverythingInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hub feed.Hub[int]
		a := hub.Subscribe(t.Context(), keepAll, -1)
		b := hub.Subscribe(t.Context(), keepAll)
		for i := range 100 {
			hub.Publish(i)
		}
		if first := <-a; first != -1 {
			t.Fatalf("the reader's first is %d, want what it began with", first)
		}
		for i := range 100 {
			if x, y := <-a, <-b; x != i || y != i {
				t.Fatalf("got %d and %d, want %d", x, y, i)
			}
		}
		hub.Close()
	})
}

func TestSlowReaderLosesWhatItChose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hub feed.Hub[int]
		c := hub.Subscribe(t.Context(), keepTwo)
		hub.Publish(0)
		synctest.Wait() // 0 is on its way to the reader, out of the queue
		for i := 1; i < 10; i++ {
			hub.Publish(i) // does not wait
		}
		if got := []int{<-c, <-c, <-c}; !slices.Equal(got, []int{0, 8, 9}) {
			t.Fatalf("got %v", got)
		}
		hub.Close()
	})
}

func TestSubscriptionEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hub feed.Hub[int]
		ctx, cancel := context.WithCancel(t.Context())
		c := hub.Subscribe(ctx, keepAll, 1) // nobody reads it
		if hub.Idle() {
			t.Fatal("the hub says that nobody is there")
		}
		cancel()
		synctest.Wait()
		if v, open := <-c; open {
			t.Fatalf("got %d after the end", v)
		}
		if !hub.Idle() {
			t.Fatal("the hub keeps a reader who has gone")
		}
		hub.Publish(2)
		hub.Close()
	})
}

func TestCloseEndsReadersAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hub feed.Hub[int]
		before := hub.Subscribe(t.Context(), keepAll, 1)
		hub.Close()
		for range before { // what is there may still come
		}
		after := hub.Subscribe(t.Context(), keepAll, 1)
		if v, open := <-after; open {
			t.Fatalf("got %d from a closed hub", v)
		}
		hub.Close()
	})
}
