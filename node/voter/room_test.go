package voter

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/semaphore"
)

// TestRoom: never more than there is, in order, and whoever gives up leaves nothing behind.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := semaphore.NewWeighted(10)
		var mu sync.Mutex // two may be let in at once; everybody else looks when all wait
		in := map[string]error{}
		take := func(name string, bytes int64) (cancel func()) {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				err := r.Acquire(ctx, bytes)
				mu.Lock()
				defer mu.Unlock()
				in[name] = err
			}()
			synctest.Wait()
			return cancel
		}
		want := func(names ...string) {
			t.Helper()
			synctest.Wait()
			for _, n := range names {
				if err, ok := in[n]; !ok || err != nil {
					t.Fatalf("%s is not in: %v, all %v", n, err, in)
				}
			}
			if len(in) != len(names) {
				t.Fatalf("in are %v, want %v", in, names)
			}
		}
		take("six", 6)
		take("all", 10)
		take("one", 1)
		want("six") // one would fit, but it isn't its turn
		r.Release(6)
		want("six", "all")
		cancel := take("two", 2)
		take("three", 3)
		cancel()
		synctest.Wait()
		if err := in["two"]; !errors.Is(err, context.Canceled) {
			t.Fatalf("who gave up got %v", err)
		}
		delete(in, "two")
		r.Release(10)
		want("six", "all", "one", "three")
		take("the rest", 6)
		want("six", "all", "one", "three", "the rest")
	})
}

// TestRoomIsWholeAgain: whatever order turns and patience end in, everything that was taken comes back.
func TestRoomIsWholeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := semaphore.NewWeighted(10)
		for range 200 {
			if err := r.Acquire(t.Context(), 10); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if r.Acquire(ctx, 7) == nil {
					r.Release(7)
				}
			}()
			synctest.Wait()
			cancel()
			r.Release(10) // and its turn comes, mostly before it has left the queue
			synctest.Wait()
			if !r.TryAcquire(10) {
				t.Fatal("not all is left, or somebody waits")
			}
			r.Release(10)
		}
	})
}
