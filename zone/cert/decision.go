package cert

import (
	"fmt"

	"github.com/kitwork/kwnode/capsule"
)

// Phase says which of a capsule's outcomes a slot is about.
type Phase uint8

const (
	// PhaseIn is the beginning of a hop: admission at hop 0, acceptance or its refusal later.
	PhaseIn Phase = 1 + iota
	// PhaseRun is the end of a segment.
	PhaseRun
	// PhaseOut is the release towards another zone.
	PhaseOut
	// PhaseClose is the source's end of a hop, after the target's answer.
	PhaseClose
	// PhaseLease is the warrant for a segment: what every worker that leases it must run, and its seed.
	PhaseLease
	// PhasePause counts suspensions in Slot.Segment: a suspended segment goes on later under its own
	// number, so the pause needs a slot beside it.
	PhasePause
	phaseEnd
)

var phaseNames = [...]string{PhaseIn: "in", PhaseRun: "run", PhaseOut: "out", PhaseClose: "close", PhaseLease: "lease", PhasePause: "pause"}

// String returns the phase's name.
func (p Phase) String() string {
	if p == 0 || p >= phaseEnd {
		return fmt.Sprintf("phase(%d)", uint8(p))
	}
	return phaseNames[p]
}

// Slot names one outcome in the life of a capsule. A zone decides each slot once, for ever.
type Slot struct {
	_            struct{} `cbor:",toarray"`
	Capsule      capsule.ID
	Hop, Segment uint32
	Phase        Phase
}

// String returns capsule/hop/segment/phase.
func (s Slot) String() string {
	return fmt.Sprintf("%s/%d/%d/%s", s.Capsule, s.Hop, s.Segment, s.Phase)
}

// Verdict is what was decided for a slot.
type Verdict uint8

// Verdicts. Their numbers are signed: append only.
const (
	Admitted Verdict = 1 + iota
	Refused
	Leased
	Committed // the segment ended and its writes hold; the capsule goes on
	Finished  // the capsule ended with a result
	Failed    // the capsule ended with an error of its own, a trap or a revoked right
	Suspended
	Cancelled
	Expired
	Released
	Accepted
	Tombstone
	ExpiredNoRecord
	Closed
	Abandoned
	verdictEnd
)

var verdictNames = [...]string{
	Admitted: "admitted", Refused: "refused", Leased: "leased", Committed: "committed", Finished: "finished",
	Failed: "failed", Suspended: "suspended", Cancelled: "cancelled", Expired: "expired", Released: "released",
	Accepted: "accepted", Tombstone: "tombstone", ExpiredNoRecord: "expired, no record", Closed: "closed",
	Abandoned: "abandoned",
}

// String returns the verdict in words.
func (v Verdict) String() string {
	if v == 0 || v >= verdictEnd {
		return fmt.Sprintf("verdict(%d)", uint8(v))
	}
	return verdictNames[v]
}

// Decision is one outcome of a zone. Body is the hash of what the verdict needs; who wants the content
// asks for it and compares.
type Decision struct {
	_                 struct{} `cbor:",toarray"`
	V                 uint8
	Zone              capsule.ZoneID
	Generation, Epoch uint64
	Index, Time       uint64 // log index, zone milliseconds
	Slot              Slot
	Verdict           Verdict
	Chain             capsule.Hash // running hash over all entries up to and including Index
	Body              capsule.Hash
}

// Check verifies what a decoder cannot: version and the ranges of the enumerations.
func (d *Decision) Check() error {
	switch {
	case d.V != Version:
		return fmt.Errorf("decision has version %d, want %d", d.V, Version)
	case d.Slot.Phase == 0 || d.Slot.Phase >= phaseEnd:
		return fmt.Errorf("decision has the unknown phase %d", d.Slot.Phase)
	case d.Verdict == 0 || d.Verdict >= verdictEnd:
		return fmt.Errorf("decision has the unknown verdict %d", d.Verdict)
	}
	return nil
}

// Contradicts reports whether both decide the same slot of the same zone differently. When they were
// made, under which epoch and at which index does not count: a restated outcome is the same outcome.
// ExpiredNoRecord says only that nothing is held about an offer whose time is over. That is true of an
// offer that was never seen, of one that was decided and has been forgotten since, and of a forged one, so
// it contradicts nothing.
func (d *Decision) Contradicts(o *Decision) bool {
	if d.Verdict == ExpiredNoRecord || o.Verdict == ExpiredNoRecord {
		return false
	}
	return d.Zone == o.Zone && d.Slot == o.Slot && (d.Verdict != o.Verdict || d.Body != o.Body)
}

// Statement is what a voter signs about one log index: the log up to there, the state after it, and the
// decisions that it made.
type Statement struct {
	_                 struct{} `cbor:",toarray"`
	V                 uint8
	Zone              capsule.ZoneID
	Generation, Epoch uint64
	Index, Time       uint64
	Chain             capsule.Hash
	Root              capsule.Hash // Merkle root over the decisions; zero when there are none
	State             capsule.Hash // logical state hash after Index
}

// Payload returns the bytes that are signed.
func (s *Statement) Payload() ([]byte, error) { return capsule.Marshal(s) }

// covers reports whether d belongs to the log position of s.
func (s *Statement) covers(d *Decision) bool {
	return d.V == s.V && d.Zone == s.Zone && d.Generation == s.Generation && d.Epoch == s.Epoch &&
		d.Index == s.Index && d.Time == s.Time && d.Chain == s.Chain
}
