package vm

import (
	"slices"
	"testing"
)

// TestBitsetRuns compares runs with single members, at every edge of a word.
func TestBitsetRuns(t *testing.T) {
	for from := range uint32(200) {
		for to := from; to < 200; to++ {
			runs, single := bitset{1 << 5}, bitset{1 << 5}
			runs.addRun(from, to)
			for i := from; i < to; i++ {
				single.add(i)
			}
			if !slices.Equal(runs, single) {
				t.Fatalf("%d to %d: %x, want %x", from, to, runs, single)
			}
		}
	}
}
