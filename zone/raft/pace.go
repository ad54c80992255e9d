package raft

import (
	"sync/atomic"

	hraft "github.com/hashicorp/raft"

	"github.com/kitwork/kwnode/zone/store"
)

const (
	// appendAtOnce is how many entries go to a follower in one request, and to the state machine as one batch.
	appendAtOnce = 16
	// maxBehind bounds the bytes of entries that wait in memory for the state machine, beside those of one request.
	maxBehind = 8 << 20
)

// pacedLog is the log as Raft has it. A follower stores entries faster than its state machine applies them, most of all when
// it has been away; Raft would hold up to 128 batches in memory. Here the next entries are not stored, and the leader not
// answered, until the state machine has come near.
type pacedLog struct {
	*store.Log
	n    *Node
	raft atomic.Pointer[hraft.Raft] // nil until it has started

	// Stored commands that the state machine had not seen, in order. Only Raft's main goroutine stores, and uses this.
	waiting []pacedEntry
}

type pacedEntry struct {
	index uint64
	bytes int
}

// StoreLog implements hraft.LogStore.
func (p *pacedLog) StoreLog(e *hraft.Log) error { return p.StoreLogs([]*hraft.Log{e}) }

// StoreLogs implements hraft.LogStore.
func (p *pacedLog) StoreLogs(entries []*hraft.Log) error {
	if r := p.raft.Load(); r != nil {
		p.pace(r.AppliedIndex())
	}
	if err := p.Log.StoreLogs(entries); err != nil {
		return err
	}
	for _, e := range entries {
		for n := len(p.waiting); n > 0 && p.waiting[n-1].index >= e.Index; n-- {
			p.waiting = p.waiting[:n-1] // a new leader has replaced it
		}
		if e.Type == hraft.LogCommand { // of others the state machine need not hear
			p.waiting = append(p.waiting, pacedEntry{e.Index, len(e.Data)})
		}
	}
	return nil
}

// pace waits until no more than maxBehind bytes of the entries up to handed are not applied. Those were given to the state
// machine's goroutine, which needs nothing of the caller's; for entries behind them this would wait for ever.
func (p *pacedLog) pace(handed uint64) {
	p.n.mu.Lock()
	seen := p.n.seen
	p.n.mu.Unlock()
	drop := 0
	for drop < len(p.waiting) && p.waiting[drop].index <= seen {
		drop++
	}
	p.waiting = append(p.waiting[:0], p.waiting[drop:]...)
	bytes := 0
	for _, e := range p.waiting {
		if e.index <= handed {
			bytes += e.bytes
		}
	}
	wait := uint64(0)
	for _, e := range p.waiting {
		if bytes <= maxBehind {
			break
		}
		bytes -= e.bytes
		wait = e.index
	}
	if wait != 0 {
		_ = p.n.WaitApplied(p.n.ctx, wait) // it fails when the voter stops: then the store does too
	}
}
