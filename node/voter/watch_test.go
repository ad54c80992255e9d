package voter

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/machine"
)

func numbered(n int) (id capsule.ID) {
	binary.BigEndian.PutUint64(id[:], uint64(n)+1)
	return id
}

// held counts what a voter keeps of events, and checks that it counts the same.
func (w *watches) held(t *testing.T) int {
	t.Helper()
	sum := 0
	for _, h := range w.m {
		own := 0
		for i := range h.events {
			own += eventSize(&h.events[i])
		}
		if own != h.bytes {
			t.Fatalf("%d bytes of events, counted as %d", own, h.bytes)
		}
		sum += own
	}
	if sum != w.bytes || len(w.keys) != len(w.m) {
		t.Fatalf("%d bytes of %d capsules, counted as %d of %d", sum, len(w.m), w.bytes, len(w.keys))
	}
	return sum
}

// However much guests log, and however many there are, a voter keeps a bounded part of it.
func TestWatchesAreBounded(t *testing.T) {
	w := newWatches()
	large := api.WatchEvent{Kind: api.EventLog, Text: strings.Repeat("x", api.MaxEventText), Data: make([]byte, api.MaxEventData)}
	for i := range 40 {
		for range 2 * maxEvents {
			w.add(numbered(i), large)
		}
		if n := w.m[numbered(i)].bytes; n > maxHistoryBytes {
			t.Fatalf("%d bytes of one capsule", n)
		}
	}
	if n := w.held(t); n > maxWatchBytes || n < maxWatchBytes/2 {
		t.Fatalf("%d bytes of large events", n)
	}
	for i := range 3 * maxWatched {
		w.add(numbered(i), api.WatchEvent{Kind: api.EventLog, Text: "x"})
	}
	if n := w.held(t); n > maxWatchBytes || len(w.m) != maxWatched {
		t.Fatalf("%d bytes of %d capsules", n, len(w.m))
	}
}

// What somebody watches is not forgotten, so that events go on from the number that was read last; what was told before may
// be, if all that is left is watched.
func TestWatchedIsNotForgotten(t *testing.T) {
	w := newWatches()
	id := numbered(0)
	if r := w.refusal(id); r != nil {
		t.Fatalf("a capsule that nothing was heard of was refused: %v", r)
	}
	leave := w.read(id)
	w.add(id, api.WatchEvent{Kind: api.EventLog, Text: "first"})
	for i := range 2 * maxWatched {
		w.add(numbered(i+1), api.WatchEvent{Kind: api.EventLog, Text: strings.Repeat("x", api.MaxEventText)})
	}
	w.add(id, api.WatchEvent{Kind: api.EventLog, Text: "second"})
	if events, _ := w.after(id, 1); len(events) != 1 || events[0].Text != "second" || events[0].Sequence != 2 {
		t.Fatalf("after the first: %+v", events)
	}
	leave()
	for i := range 2 * maxWatched {
		w.add(numbered(i+1), api.WatchEvent{Kind: api.EventLog, Text: "x"})
	}
	if w.m[id] != nil {
		t.Fatal("nobody watches it, and it is kept")
	}
	w.held(t)

	// All that there is is watched: the events of each go, but for the last.
	w = newWatches()
	for i := range 64 {
		defer w.read(numbered(i))()
		for range maxEvents {
			w.add(numbered(i), api.WatchEvent{Kind: api.EventLog, Text: strings.Repeat("x", api.MaxEventText), Data: make([]byte, 4096)})
		}
	}
	if n := w.held(t); n > maxWatchBytes+64*(8192+128) {
		t.Fatalf("%d bytes", n)
	}
	for i := range 64 {
		if events, _ := w.after(numbered(i), 0); len(events) == 0 || events[len(events)-1].Sequence != maxEvents || !slices.IsSortedFunc(events, func(a, b api.WatchEvent) int { return int(a.Sequence) - int(b.Sequence) }) {
			t.Fatalf("capsule %d: %d events", i, len(events))
		}
	}
}

// Who waits in a queue is told at first, and whenever it has half as many before it.
func TestPlacesAreToldNowAndThen(t *testing.T) {
	w := newWatches()
	id := numbered(0)
	row := &machine.CapsuleRow{Status: machine.StatusReady}
	var told []uint64
	for place := uint64(100); place > 0; place-- {
		if status, _ := w.changed(id, row, place); status {
			told = append(told, place)
		}
	}
	if want := []uint64{100, 50, 25, 12, 6, 3, 1}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	row.Status = machine.StatusRunning
	if status, _ := w.changed(id, row, 0); !status {
		t.Error("the end of waiting is not told")
	}
	if status, _ := w.changed(id, row, 0); status {
		t.Error("nothing is told as a change")
	}
}

// Who waits is counted once for all who watch: again when the state has moved on and somebody is new, or the count is old.
func TestQueueIsCountedForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd = 50
		var q queue
		index, last, counts := uint64(7), crowd, 0
		count := func() (map[capsule.ID]uint64, uint64, error) {
			counts++
			places := map[capsule.ID]uint64{}
			for i := range last {
				places[numbered(i)] = uint64(i + 1)
			}
			return places, index, nil
		}
		all := func(when string, at uint64, want int) {
			t.Helper()
			var wg sync.WaitGroup
			for i := range last {
				wg.Go(func() {
					if got := q.place(numbered(i), at, count); got != uint64(i+1) {
						t.Errorf("%s: place %d, want %d", when, got, i+1)
					}
				})
			}
			wg.Wait()
			if counts != want {
				t.Errorf("%s: counted %d times, want %d", when, counts, want)
			}
		}
		all("at first", 7, 1)
		time.Sleep(time.Hour)
		all("while nothing changes", 7, 1)
		index = 9
		all("an old count", 8, 2)
		time.Sleep(placesAge / 2)
		all("a fresh one", 10, 2)
		last, index = crowd+1, 11
		all("with one more", 11, 3)
		if got := q.place(numbered(crowd+1), 11, count); got != 0 || counts != 3 {
			t.Errorf("one that doesn't wait is at place %d after %d counts", got, counts)
		}
	})
}
