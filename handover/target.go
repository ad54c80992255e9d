package handover

import (
	"errors"
	"fmt"

	"github.com/kitwork/kwnode/internal/plant"
)

var (
	// ErrPhase: the capsule is not in a phase that allows the step.
	ErrPhase = errors.New("handover: wrong phase")
	// ErrStale: the message is about a hop that is decided already. It may be
	// dropped; nothing is lost by it.
	ErrStale = errors.New("handover: stale")
	// ErrVerdict: the answer is none that the protocol knows.
	ErrVerdict = errors.New("handover: unknown verdict")
)

// MaxTaken bounds the accepted hops of one capsule that a zone remembers at a
// time. A hop beyond it is refused, which costs the capsule a retry and the
// zone no memory.
const MaxTaken = 256

// Taken is a hop that this zone has accepted.
type Taken struct {
	Hop     uint32
	Expires uint64
	// Closed: the source has acknowledged the acceptance, so it will never
	// ask about this hop again.
	Closed bool
}

// Target is what a zone remembers of the hops of one capsule that were
// offered to it.
type Target struct {
	// Next is one more than the highest hop decided here, zero when none was:
	// the high-water mark. A hop below it that is not in Taken is refused for
	// ever, which is how refusals cost no memory.
	Next uint32
	// Until is the latest expiry of every hop decided here, refusals included.
	//
	// Invariant: no hop decided here can be accepted at or after Until, with
	// or without this record.
	Until uint64
	// Taken ascends by Hop.
	//
	// Invariant: every accepted hop stands here until it is both closed and
	// expired.
	Taken []Taken
}

// Offer decides an offered hop at the zone's time now. fit says whether the
// zone would take the capsule: its checks of certificate, lineage, grants,
// gas and attestations, none of which matter for a hop that is decided or
// expired already. fresh is true only for the acceptance that makes this zone
// the owner, and false each time it is merely said again.
func (t Target) Offer(hop uint32, expires, now uint64, fit bool) (next Target, v Verdict, fresh bool) {
	if v := t.Standing(hop, expires, now); v != 0 {
		return t, v, false
	}
	if !fit || len(t.Taken) >= MaxTaken {
		return t.mark(hop, expires), Tombstone, false
	}
	t = t.mark(hop, expires)
	// The new hop is at or above the mark, so appending keeps the order.
	taken := make([]Taken, 0, len(t.Taken)+1)
	t.Taken = append(append(taken, t.Taken...), Taken{Hop: hop, Expires: expires})
	return t, Accepted, true
}

// Cancel decides a hop whose source asks for a final answer.
func (t Target) Cancel(hop uint32, expires, now uint64) (Target, Verdict) {
	if v := t.Standing(hop, expires, now); v != 0 {
		return t, v
	}
	return t.mark(hop, expires), Tombstone
}

// Standing returns the answer that hop has without deciding anything, or zero
// when it is still open here.
func (t Target) Standing(hop uint32, expires, now uint64) Verdict {
	for _, h := range t.Taken {
		if h.Hop == hop {
			return Accepted
		}
	}
	// Expiry comes before the mark: an accepted hop leaves Taken only after
	// it expired and its source closed it, and must not be called refused.
	if now >= expires {
		return ExpiredNoRecord
	}
	if hop < t.Next {
		return Tombstone
	}
	return 0
}

func (t Target) mark(hop uint32, expires uint64) Target {
	if !plant.ForgetMark {
		t.Next = max(t.Next, hop+1)
	}
	t.Until = max(t.Until, expires)
	return t
}

// Close records the source's certificate that it knows of the acceptance.
func (t Target) Close(hop uint32) (Target, error) {
	for i, h := range t.Taken {
		if h.Hop != hop {
			continue
		}
		if h.Closed {
			return t, fmt.Errorf("%w: hop %d is closed already", ErrStale, hop)
		}
		t.Taken = append([]Taken(nil), t.Taken...)
		t.Taken[i].Closed = true
		return t, nil
	}
	return t, fmt.Errorf("%w: close of hop %d, which is not held as accepted", ErrStale, hop)
}

// Forget drops what can no longer matter at the zone's time now: accepted hops
// that are closed and expired, and, when none is left and every hop decided
// here has expired, the mark itself. The zero Target needs no row.
func (t Target) Forget(now uint64) Target {
	var keep []Taken
	for _, h := range t.Taken {
		if !h.Closed || now < h.Expires {
			keep = append(keep, h)
		}
	}
	t.Taken = keep
	if len(keep) == 0 && now >= t.Until {
		return Target{}
	}
	return t
}

// IsZero reports whether there is nothing to remember.
func (t Target) IsZero() bool { return t.Next == 0 && t.Until == 0 && len(t.Taken) == 0 }
