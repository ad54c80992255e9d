package api

import (
	"fmt"

	"github.com/kitwork/kwnode/capsule"
)

// ProtoNote is how a worker tells a voter what happens in the capsules that it runs: Notes → Noted.
const ProtoNote = "/kitwork/note/1"

// Bounds of a Notes message: how many it has, and its bytes.
const (
	MaxNotes     = 64
	MaxNoteBytes = 256 << 10
)

// Notes are for whoever watches. They are the worker's word, certify nothing, and may be lost.
type Notes struct {
	_     struct{} `cbor:",toarray"`
	V     uint8
	Zone  capsule.ZoneID
	Notes []Note // at most MaxNotes
}

// Note is what happened under a lease.
type Note struct {
	_     struct{} `cbor:",toarray"`
	Lease LeaseRef
	Event WatchEvent // of a kind that workers tell, without Outcome, not Final
}

// Noted is the answer.
type Noted struct {
	_ struct{} `cbor:",toarray"`
	V uint8
}

// Check refuses what a worker has no business to say.
func (n *Notes) Check() error {
	if len(n.Notes) > MaxNotes {
		return fmt.Errorf("%d notes, at most %d", len(n.Notes), MaxNotes)
	}
	for i := range n.Notes {
		e := &n.Notes[i].Event
		if err := e.Check(); err != nil {
			return err
		}
		switch e.Kind {
		case EventLog, EventDenied, EventRetry, EventEmitted, EventGas:
		default:
			return fmt.Errorf("a note of kind %d", e.Kind)
		}
		if e.Final || len(e.Outcome) > 0 {
			return fmt.Errorf("a note that claims an end")
		}
	}
	return nil
}
