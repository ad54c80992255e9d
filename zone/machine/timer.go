package machine

import (
	"encoding/binary"

	"github.com/kitwork/kwnode/capsule"
)

// Kinds of timers, the byte after the time in a row of tabTimer.
const (
	timerCapsule   = 1 + iota // capsule ID
	timerIdem                 // idempotency key
	timerRevoked              // grant hash
	timerNamespace            // name
	timerBlob                 // codec, digest
	timerLock                 // capsule ID
	timerWorker               // key
	timerTarget               // capsule ID
)

// maxDue bounds the timers that one tick runs. When more are due, the deadline stays in the past and the
// next tick goes on.
const maxDue = 4096

func timerKey(at uint64, kind byte, name []byte) []byte {
	return row(tabTimer, be64(at), []byte{kind}, name)
}

func (a *apply) setTimer(at uint64, kind byte, name []byte) { a.setRaw(timerKey(at, kind, name), nil) }

// deadline returns when the next timer is due, or 0.
func (a *apply) deadline() uint64 {
	k, ok := a.first([]byte{tabTimer})
	if !ok {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(k)[1:])
}

// runTimers does what is due at the present time.
func (a *apply) runTimers() {
	var due []string
	a.scan([]byte{tabTimer}, nil, func(k string, _ []byte) bool {
		if binary.BigEndian.Uint64([]byte(k)[1:]) > a.time {
			return false
		}
		due = append(due, k)
		return len(due) < maxDue
	})
	for _, k := range due {
		if !a.has([]byte(k)) {
			continue // moved by an earlier one
		}
		a.delete([]byte(k))
		name := []byte(k)[1+8+1:]
		switch k[1+8] {
		case timerCapsule:
			a.capsuleDue(capsule.ID(name))
		case timerIdem:
			a.delete(row(tabIdem, name))
		case timerRevoked:
			a.delete(row(tabRevoked, name))
		case timerNamespace:
			a.collectRent(string(name))
		case timerBlob:
			a.blobDue(capsule.CID{Codec: capsule.Codec(name[0]), Digest: capsule.Hash(name[1:])})
		case timerLock:
			a.lockDue(capsule.ID(name))
		case timerWorker:
			a.workerDue(capsule.Key(name))
		case timerTarget:
			a.targetDue(capsule.ID(name))
		}
	}
}

// capsuleDue does what the time brings a capsule: expiry, a lost lease, waking, being forgotten.
func (a *apply) capsuleDue(id capsule.ID) {
	c, ok := a.capsule(id)
	if !ok {
		return
	}
	c.Due = 0
	switch {
	case c.Status.Ended():
		if a.time >= a.forgetAt(&c) {
			a.forget(id, &c)
			return
		}
	case c.Status >= StatusOffered:
		a.offerDue(id, &c)
	case a.time >= c.Expires:
		a.expire(id, &c)
	case c.Status == StatusRunning && a.time >= c.Lease.Expires:
		a.suspect(c.Lease.Worker)
		a.effect(Effect{Kind: EffectStop, Worker: c.Lease.Worker, Capsule: id, Lease: c.Lease.Number})
		a.loseLease(id, &c, CauseLost)
		a.requeue(id, &c)
	case c.Status == StatusSleeping && a.time >= c.Wake:
		a.requeue(id, &c)
	}
	a.saveCapsule(id, c)
}

// wanted returns when the capsule needs the time next.
func (a *apply) wanted(c *CapsuleRow) uint64 {
	switch {
	case c.Status.Ended():
		return a.forgetAt(c)
	case c.Status == StatusOffered:
		return sum(c.Since, a.policy().Times.Ask)
	case c.Status == StatusAsked:
		return sum(c.Since, a.policy().Times.Silence)
	case c.Status == StatusLimbo:
		return c.Wake
	case c.Status == StatusRunning:
		return min(c.Lease.Expires, c.Expires)
	case c.Status == StatusSleeping:
		return min(c.Wake, c.Expires)
	}
	return c.Expires
}

func (a *apply) forgetAt(c *CapsuleRow) uint64 {
	return sum(max(c.Expires, c.Since), a.policy().Times.KeepResult)
}

// saveCapsule writes the row and moves its timer. A running capsule's timer may stand too early: renewals
// come often, and it is cheaper to look once in vain than to move it every time.
func (a *apply) saveCapsule(id capsule.ID, c CapsuleRow) {
	want := a.wanted(&c)
	lazy := c.Status == StatusRunning && c.Due != 0 && c.Due <= want
	if want != c.Due && !lazy {
		if c.Due != 0 {
			a.delete(timerKey(c.Due, timerCapsule, id[:]))
		}
		if want != 0 {
			// Invariant: a capsule has one timer row, at c.Due, so none is at another time.
			a.set(a.fresh(timerKey(want, timerCapsule, id[:])), cellValue{val: []byte{}, ok: true})
		}
		c.Due = want
	}
	save(a.state, row(tabCapsule, id[:]), c)
}

func (a *apply) capsule(id capsule.ID) (CapsuleRow, bool) {
	return load[CapsuleRow](a.state, row(tabCapsule, id[:]))
}

func (a *apply) program(id capsule.ID) (ProgramRow, bool) {
	return load[ProgramRow](a.state, row(tabProgram, id[:]))
}
