package machine

import (
	"encoding/binary"
	"errors"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/zone/cert"
)

// Answered brings the target's decision on an offer back to the zone that made it.
type Answered struct {
	_           struct{} `cbor:",toarray"`
	Capsule     capsule.ID
	Hop         uint32
	Answer      []byte // encoding of a handover.Answer
	Certificate cert.Certificate
}

// Closed tells a target that the source knows of its acceptance.
type Closed struct {
	_           struct{} `cbor:",toarray"`
	Capsule     capsule.ID
	Hop         uint32
	Certificate cert.Certificate
}

// CloseBody is the content of a Closed decision.
type CloseBody struct {
	_       struct{} `cbor:",toarray"`
	Offer   capsule.Hash
	Credits uint64 // that left for good
}

// OutRow is a hop that this zone has offered. While it is not decided, and after that until its capsule is forgotten,
// whoever leads tells the target what it has to know.
type OutRow struct {
	_       struct{} `cbor:",toarray"`
	Offer   []byte   // encoding of a handover.Offer
	Hash    capsule.Hash
	Target  capsule.ZoneID
	Phase   handover.Phase
	Since   uint64 // zone time of the offer
	Expires uint64 // of the offer, by the target's time
	Credits uint64
}

// TargetRow is what this zone has decided about hops that were offered to it.
//
// Invariant: Due is the time of the row's one timer, or 0.
type TargetRow struct {
	_     struct{} `cbor:",toarray"`
	Next  uint32
	Until uint64
	Taken []TakenRow
	Due   uint64
}

// TakenRow is an accepted hop.
type TakenRow struct {
	_       struct{} `cbor:",toarray"`
	Hop     uint32
	Expires uint64
	Closed  bool
	Source  capsule.ZoneID
	Offer   capsule.Hash
}

func (r *TargetRow) state() handover.Target {
	t := handover.Target{Next: r.Next, Until: r.Until}
	for _, k := range r.Taken {
		t.Taken = append(t.Taken, handover.Taken{Hop: k.Hop, Expires: k.Expires, Closed: k.Closed})
	}
	return t
}

// follow takes over what a transition left. A hop that is new in it was offered by source.
func (r *TargetRow) follow(t handover.Target, source capsule.ZoneID, offer capsule.Hash) TargetRow {
	next := TargetRow{Next: t.Next, Until: t.Until, Due: r.Due}
	for _, k := range t.Taken {
		row := TakenRow{Hop: k.Hop, Expires: k.Expires, Closed: k.Closed, Source: source, Offer: offer}
		if old := r.taken(k.Hop); old != nil {
			row.Source, row.Offer = old.Source, old.Offer
		}
		next.Taken = append(next.Taken, row)
	}
	return next
}

func (r *TargetRow) taken(hop uint32) *TakenRow {
	for i := range r.Taken {
		if r.Taken[i].Hop == hop {
			return &r.Taken[i]
		}
	}
	return nil
}

func outKey(id capsule.ID, hop uint32) []byte {
	return row(tabSource, id[:], binary.BigEndian.AppendUint32(nil, hop))
}

func (a *apply) target(id capsule.ID) TargetRow {
	r, _ := load[TargetRow](a.state, row(tabTarget, id[:]))
	return r
}

// saveTarget writes the row, or deletes it when there is nothing to remember, and moves its timer: it is of
// use once every accepted hop is closed and expired.
func (a *apply) saveTarget(id capsule.ID, r TargetRow) {
	if r.Due != 0 {
		a.delete(timerKey(r.Due, timerTarget, id[:]))
		r.Due = 0
	}
	state := r.state()
	if state.IsZero() {
		a.delete(row(tabTarget, id[:]))
		if !a.has(row(tabCapsule, id[:])) {
			a.delete(row(tabStray, id[:]))
		}
		return
	}
	r.Due = r.Until
	for _, k := range r.Taken {
		if !k.Closed {
			r.Due = 0
		}
	}
	if r.Due != 0 {
		a.setTimer(r.Due, timerTarget, id[:])
	}
	save(a.state, row(tabTarget, id[:]), r)
}

// targetDue forgets what can no longer matter.
func (a *apply) targetDue(id capsule.ID) {
	r := a.target(id)
	r.Due = 0
	a.saveTarget(id, r.follow(r.state().Forget(a.time), capsule.ZoneID{}, capsule.Hash{}))
}

// lineage returns the certificates that lead here. Those of decisions of this very zone are blank: Apply
// never sees them, and whoever needs the whole asks the zone for them.
func (a *apply) lineage(id capsule.ID) handover.Lineage {
	l, ok := load[handover.Lineage](a.state, row(tabLineage, id[:]))
	if !ok {
		return handover.Lineage{}
	}
	return l
}

func (a *apply) saveLineage(id capsule.ID, l handover.Lineage, step handover.Step) {
	steps := make([]handover.Step, 0, len(l.Steps)+1)
	l.Steps = append(append(steps, l.Steps...), step)
	save(a.state, row(tabLineage, id[:]), l)
}

// refusalFrom turns an error of verifying certificates into a refusal.
func refusalFrom(err error) *Refusal {
	var own *Refusal
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, cert.ErrEpoch):
		return refuseErr(CodeGeneration, err)
	case errors.Is(err, cert.ErrSignatures):
		return refuseErr(CodeSignature, err)
	}
	return refuseErr(CodeLineage, err)
}

func handoverCommand(k Kind, body any) ([]byte, error) { return bodyCommand(k, [16]byte{}, body) }

// NewAccept asks for a decision on an offer.
func NewAccept(t *handover.Transfer) ([]byte, error) { return handoverCommand(KindAccept, t) }

// NewTombstone demands a final answer to an offer: what is not accepted yet never will be.
func NewTombstone(t *handover.Transfer) ([]byte, error) { return handoverCommand(KindTombstone, t) }

// NewExpiredNoRecord asks about an offer whose time is over.
func NewExpiredNoRecord(o *handover.Offer) ([]byte, error) {
	return handoverCommand(KindExpiredNoRecord, o)
}

// NewAnswer brings an answer back.
func NewAnswer(x *Answered) ([]byte, error) { return handoverCommand(KindAnswer, x) }

// NewClosed tells the target that its acceptance is known.
func NewClosed(x *Closed) ([]byte, error) { return handoverCommand(KindClosed, x) }

// NewPeerEpoch brings another zone's next voter set.
func NewPeerEpoch(x *PeerEpoch) ([]byte, error) { return handoverCommand(KindPeerEpoch, x) }

// NewPeerEvidence brings two certificates by which another zone contradicts itself.
func NewPeerEvidence(e *cert.Evidence) ([]byte, error) { return handoverCommand(KindPeerEvidence, e) }
