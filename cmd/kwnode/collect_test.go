package main

import (
	"math/rand/v2"
	"runtime"
	"testing"
)

// TestPace: a second with many collections is work at once; rest takes half a minute without one.
func TestPace(t *testing.T) {
	var p pace
	var u usage
	step := func(cycles uint64, percent int, changed bool) {
		t.Helper()
		u.cycles += cycles
		if got, c, _ := p.next(u); got != percent || c != changed {
			t.Fatalf("%d, %v after %d collections; want %d, %v", got, c, cycles, percent, changed)
		}
	}
	step(oftenCycles-1, percentAtRest, false)
	step(oftenCycles, percentAtWork, true)
	for range restAfter - 1 {
		step(0, percentAtWork, false)
	}
	step(oftenCycles, percentAtWork, false)
	for range restAfter - 1 {
		step(oftenCycles-1, percentAtWork, false)
	}
	step(0, percentAtRest, true)
	step(0, percentAtRest, false)
}

// TestPaceRoom: at work a heap grows by the room that there is for it, but by no less than at rest.
func TestPaceRoom(t *testing.T) {
	var p pace
	var u usage
	for _, c := range []struct {
		live    uint64
		percent int
		changed bool
	}{
		{live: 0, percent: percentAtWork, changed: true},
		{live: roomAtWork / 4, percent: percentAtWork},
		{live: roomAtWork / 2, percent: percentAtWork},
		{live: roomAtWork * 2 / 3, percent: 150, changed: true},
		{live: roomAtWork * 100 / 152, percent: 150},
		{live: roomAtWork * 100 / 144, percent: 144, changed: true},
		{live: roomAtWork, percent: percentAtRest, changed: true},
		{live: roomAtWork * 9, percent: percentAtRest},
		{live: roomAtWork / 3, percent: percentAtWork, changed: true},
	} {
		u.cycles += oftenCycles
		u.live = c.live
		if percent, changed, _ := p.next(u); percent != c.percent || changed != c.changed {
			t.Errorf("%d bytes alive: %d, changed: %v; want %d, %v", c.live, percent, changed, c.percent, c.changed)
		}
	}
}

// TestPaceRelease: memory is given back once when a node has nothing more to do, and again only when that is worth it.
func TestPaceRelease(t *testing.T) {
	var p pace
	u := usage{live: spareBytes * spareShare}
	second := func(allocated uint64) bool {
		u.allocated += allocated
		_, _, release := p.next(u)
		return release
	}
	busy := func() {
		t.Helper()
		for range 3 * idleAfter {
			if second(idleBytes + 1) {
				t.Fatal("memory is given back while the node works")
			}
		}
	}
	idle := func() {
		t.Helper()
		for i := range idleAfter - 1 {
			if second(0) {
				t.Fatalf("memory is given back after %d seconds", i+1)
			}
		}
		if !second(0) {
			t.Fatal("memory isn't given back when nothing is to do")
		}
	}
	busy()
	idle()
	for range 4 {
		if second(spareBytes / 4) {
			t.Fatal("memory is given back again for a little")
		}
	}
	if !second(1) {
		t.Fatal("what was allocated little by little isn't given back")
	}
	busy()
	idle()
	u.live *= 8
	for range 4 {
		if second(idleBytes) {
			t.Fatal("a large heap is collected for a little")
		}
	}
}

// TestMeter: the runtime has what pace is told: what was allocated, and what of it was alive at the last collection.
func TestMeter(t *testing.T) {
	const mib = 1 << 20
	m := newMeter()
	before := m.read()
	for range 64 {
		b := make([]byte, mib)
		b[rand.IntN(len(b))] = 1
	}
	kept := make([]byte, 16*mib)
	kept[rand.IntN(len(kept))] = 1
	runtime.GC()
	after := m.read()
	if got := after.allocated - before.allocated; got < 80*mib {
		t.Errorf("%d bytes allocated, want 80 MiB and more", got)
	}
	if after.live < 16*mib {
		t.Errorf("%d bytes alive, want 16 MiB and more", after.live)
	}
	if after.live >= after.allocated {
		t.Errorf("%d bytes alive of %d that were ever allocated", after.live, after.allocated)
	}
	runtime.KeepAlive(kept)
}
