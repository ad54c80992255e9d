package raft

import (
	"testing"

	hraft "github.com/hashicorp/raft"
)

// TestCommitFor: a follower is never told to commit what the append has not compared: it may hold entries of a leader that
// was deposed there, and would commit them.
func TestCommitFor(t *testing.T) {
	entries := []*hraft.Log{{Index: 8}, {Index: 9}}
	for _, c := range []struct {
		prev      uint64
		entries   []*hraft.Log
		committed uint64
		want      uint64
	}{
		{prev: 7, committed: 5, want: 5},
		{prev: 7, committed: 7, want: 7},
		{prev: 7, committed: 12, want: 7},
		{prev: 7, entries: entries, committed: 7, want: 7},
		{prev: 7, entries: entries, committed: 9, want: 9},
		{prev: 7, entries: entries, committed: 12, want: 9},
		{committed: 3, want: 0},
	} {
		req := &hraft.AppendEntriesRequest{PrevLogEntry: c.prev, Entries: c.entries}
		if got := commitFor(req, c.committed); got != c.want {
			t.Errorf("%d committed, an append of %d entries behind %d: %d, want %d", c.committed, len(c.entries), c.prev, got, c.want)
		}
	}
}
