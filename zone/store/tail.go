package store

import (
	"sync"

	hraft "github.com/hashicorp/raft"
)

// tailBytes bounds the newest entries that a log keeps in memory.
const tailBytes = 1 << 20

// tail holds the newest entries of a log as they stand on the disk: Raft reads each one again right after it has stored it,
// for every follower and for the state machine.
type tail struct {
	mu      sync.Mutex
	entries []hraft.Log // Invariant: consecutive
	bytes   int
}

// get returns an entry that is held. Its Data belongs to all who have it: nobody changes it.
func (t *tail) get(index uint64) (hraft.Log, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.entries) == 0 || index < t.entries[0].Index || index-t.entries[0].Index >= uint64(len(t.entries)) {
		return hraft.Log{}, false
	}
	return t.entries[index-t.entries[0].Index], true
}

// put follows what was stored.
func (t *tail) put(entries []*hraft.Log) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range entries {
		if n := len(t.entries); n > 0 && e.Index != t.entries[n-1].Index+1 {
			t.entries, t.bytes = nil, 0
		}
		t.entries = append(t.entries, hraft.Log{Index: e.Index, Term: e.Term, Type: e.Type, Data: e.Data, Extensions: e.Extensions})
		t.bytes += len(e.Data) + len(e.Extensions)
	}
	drop := 0
	for drop < len(t.entries) && t.bytes > tailBytes {
		t.bytes -= len(t.entries[drop].Data) + len(t.entries[drop].Extensions)
		t.entries[drop] = hraft.Log{}
		drop++
	}
	t.entries = t.entries[drop:]
}

// clear forgets everything, because the log is about to lose entries.
func (t *tail) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries, t.bytes = nil, 0
}
