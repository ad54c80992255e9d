package main

import "testing"

// TestPace: a second with many collections is work at once; rest takes half a minute without one.
func TestPace(t *testing.T) {
	var p pace
	step := func(cycles uint64, percent int, changed bool) {
		t.Helper()
		if got, c := p.next(cycles); got != percent || c != changed {
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
