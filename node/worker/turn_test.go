package worker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// No more segments run than there are turns, one that waits for data lets another run, and only running is counted.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := make(chan struct{}, 2)
		var mu sync.Mutex // guards running and most
		running, most := 0, 0
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			running += n
			most = max(most, running)
		}
		run := func(s *turn) {
			if err := s.begin(t.Context()); err != nil {
				t.Error(err)
				return
			}
			count(1)
			time.Sleep(time.Second)
			count(-1)
			s.end()
		}
		segments := make([]*turn, 5)
		began, done := time.Now(), make(chan struct{})
		for i := range segments {
			segments[i] = &turn{all: all}
			go func() {
				defer func() { done <- struct{}{} }()
				run(segments[i])
				time.Sleep(10 * time.Second) // what it waits for is nobody's turn
				run(segments[i])
			}()
		}
		for range segments {
			<-done
		}
		// Five, two at a time, take three seconds each way; the waits lie beside each other.
		if took := time.Since(began); most != 2 || took < 13*time.Second || took > 16*time.Second {
			t.Errorf("%d at a time, all in %s", most, took)
		}
		for _, s := range segments {
			if s.held || s.ran != 2*time.Second {
				t.Errorf("a segment that ran for 2 s has %s, and a turn: %v", s.ran, s.held)
			}
		}
		if len(all) != 0 {
			t.Errorf("%d turns were not given back", len(all))
		}
	})
}

func TestTurnIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := make(chan struct{}, 1)
		first, second := &turn{all: all}, &turn{all: all}
		if err := first.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		lost := errors.New("the lease is lost")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(lost) })
		if err := second.begin(ctx); !errors.Is(err, lost) || second.held {
			t.Fatalf("its turn came: %v, %v", second.held, err)
		}
		second.end() // gives nothing back that it has not
		if len(all) != 1 {
			t.Fatal("the other's turn was ended")
		}
		first.end()
		first.end()
		if err := second.begin(t.Context()); err != nil || first.held {
			t.Fatalf("after the first ended: %v", err)
		}
	})
}
