package zone

import (
	"errors"
	"testing"
)

// TestProposalsAreBounded: what waits for an entry has a bound in bytes, and room again once an entry has taken it.
func TestProposalsAreBounded(t *testing.T) {
	var p proposer
	cmd := make([]byte, 64<<10)
	fill := func() (n int) {
		t.Helper()
		for ; ; n++ {
			switch err := p.enqueue(&proposal{cmds: [][]byte{cmd}, size: len(cmd)}); {
			case errors.Is(err, ErrBusy):
				return n
			case err != nil:
				t.Fatal(err)
			}
			if n > maxQueue {
				t.Fatal("nothing bounds the queue")
			}
		}
	}
	if n := fill(); n*len(cmd) > maxQueueBytes || (n+1)*len(cmd) <= maxQueueBytes {
		t.Fatalf("%d proposals of %d bytes wait, the bound is %d", n, len(cmd), maxQueueBytes)
	}
	took := len(p.take())
	if n := fill(); took == 0 || n != took {
		t.Fatalf("room for %d after %d were taken", n, took)
	}
	for len(p.take()) > 0 {
	}
	if p.bytes != 0 {
		t.Fatalf("%d bytes are counted in an empty queue", p.bytes)
	}
	big := make([]byte, maxQueueBytes+1)
	if err := p.enqueue(&proposal{cmds: [][]byte{big}, size: len(big)}); err != nil {
		t.Fatalf("one large proposal in an empty queue: %v", err)
	}
}
