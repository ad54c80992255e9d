package machine

import (
	"fmt"

	"github.com/kitwork/kwnode/capsule"
)

// MaxJournal bounds a journal in bytes: all that a commit may read, and what a worker holds back.
const MaxJournal = 8 << 20

// Journal is what a segment had read and held back when it was saved in its middle. Whoever continues it repeats none of
// that: the commit at the segment's end checks the reads and applies the rest, as if one worker had done it all.
type Journal struct {
	_      struct{} `cbor:",toarray"`
	V      uint8
	Reads  []Read
	Scans  []ScanRead
	Writes []Write // Invariant: ascending by key, each once
	Events []Event
}

// Bytes returns the canonical encoding.
func (j *Journal) Bytes() ([]byte, error) {
	j.V = Version
	b, err := capsule.Marshal(j)
	if err == nil && len(b) > MaxJournal {
		err = fmt.Errorf("a journal of %d bytes, at most %d", len(b), MaxJournal)
	}
	return b, err
}

// ParseJournal decodes a journal and holds it to the bounds of a commit.
func ParseJournal(b []byte) (*Journal, error) {
	if len(b) > MaxJournal {
		return nil, fmt.Errorf("a journal of %d bytes, at most %d", len(b), MaxJournal)
	}
	j := new(Journal)
	if err := capsule.Unmarshal(b, j); err != nil {
		return nil, fmt.Errorf("decode journal: %w", err)
	}
	if j.V != Version {
		return nil, fmt.Errorf("journal has version %d, want %d", j.V, Version)
	}
	if err := checkReads(j.Reads, j.Scans); err != nil {
		return nil, err
	}
	if err := checkWrites(j.Writes); err != nil {
		return nil, err
	}
	return j, checkEvents(j.Events)
}

func checkEvents(events []Event) error {
	if len(events) > MaxEvents {
		return fmt.Errorf("%d events, at most %d", len(events), MaxEvents)
	}
	for i := range events {
		if e := &events[i]; len(e.Data) > MaxEvent || len(e.Topic) == 0 || len(e.Topic) > capsule.MaxResource {
			return fmt.Errorf("event %d: a topic of %d bytes and data of %d; at most %d and %d", i, len(e.Topic), len(e.Data), capsule.MaxResource, MaxEvent)
		}
	}
	return nil
}
