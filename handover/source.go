package handover

import "fmt"

// Phase is where a capsule stands for the zone that owns, or owned, it.
type Phase uint8

const (
	// Running: this zone owns the capsule and may execute it.
	Running Phase = iota + 1
	// Offered: the lease is fenced and the capsule is on offer to Target.
	Offered
	// Asked: the target has been asked to give a final answer.
	Asked
	// Limbo: the target was asked and stays silent. Nothing times out from
	// here: only the target's certificate can tell who owns the capsule.
	Limbo
	// Closed: the target accepted. This zone will never execute this hop again.
	Closed
)

func (p Phase) String() string {
	switch p {
	case Running:
		return "running"
	case Offered:
		return "offered"
	case Asked:
		return "asked"
	case Limbo:
		return "limbo"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// Verdict is the target's one answer to one hop.
type Verdict uint8

const (
	// Accepted: the target owns the capsule and executes hop+1.
	Accepted Verdict = iota + 1
	// Tombstone: the target will never accept this hop. It is committed, so
	// it also beats an offer that is still on its way.
	Tombstone
	// ExpiredNoRecord: the target's time is past the hop's expiry and it has
	// no record of the hop, so it never did and never will accept it.
	ExpiredNoRecord
)

func (v Verdict) String() string {
	switch v {
	case Accepted:
		return "accepted"
	case Tombstone:
		return "tombstone"
	case ExpiredNoRecord:
		return "expired, no record"
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// Source is what a zone remembers of the latest hop at which it owned a
// capsule.
type Source struct {
	Phase Phase
	// Hop is the hop that this zone executes or has released. Whoever goes on
	// does so at Hop+1, so that a number is never used twice.
	Hop uint32
	// Expires is the released hop's expiry in the target's time.
	//
	// Invariant: zero exactly while Running.
	Expires uint64
}

// Release puts the capsule on offer until expires, in the target's time. The
// caller fences the lease in the same entry.
func (s Source) Release(expires uint64) (Source, error) {
	if s.Phase != Running {
		return s, fmt.Errorf("%w: release of a capsule that is %v", ErrPhase, s.Phase)
	}
	if expires == 0 {
		return s, fmt.Errorf("%w: an offer must expire", ErrPhase)
	}
	return Source{Phase: Offered, Hop: s.Hop, Expires: expires}, nil
}

// Ask demands a final answer. It changes nothing about who may execute: an
// offer that was asked about can still be accepted.
func (s Source) Ask() (Source, error) {
	switch s.Phase {
	case Offered, Asked, Limbo:
		if s.Phase == Offered {
			s.Phase = Asked
		}
		return s, nil
	}
	return s, fmt.Errorf("%w: ask about a capsule that is %v", ErrPhase, s.Phase)
}

// Lose records that the target stays silent.
func (s Source) Lose() (Source, error) {
	if s.Phase != Asked {
		return s, fmt.Errorf("%w: limbo for a capsule that is %v", ErrPhase, s.Phase)
	}
	s.Phase = Limbo
	return s, nil
}

// Answer applies the target's certified verdict on hop. A verdict on another
// hop, or one that arrives again, changes nothing and returns ErrStale.
func (s Source) Answer(hop uint32, v Verdict) (Source, error) {
	if s.Phase == Running || s.Phase == Closed || hop != s.Hop {
		return s, fmt.Errorf("%w: %v of hop %d while hop %d is %v", ErrStale, v, hop, s.Hop, s.Phase)
	}
	switch v {
	case Accepted:
		s.Phase = Closed
		return s, nil
	case Tombstone, ExpiredNoRecord:
		return Source{Phase: Running, Hop: s.Hop + 1}, nil
	}
	return s, fmt.Errorf("%w: %v", ErrVerdict, v)
}
