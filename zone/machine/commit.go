package machine

import (
	"errors"
	"fmt"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// What a commit costs beyond the segment's own gas, in units: the zone repeats its reads and keeps its
// writes on every replica.
const (
	unitsCommit = 10_000
	unitsItem   = 1_000 // each read, scan, row under a scan, write, event
	unitsByte   = 10    // each byte read, written or emitted
)

// conflictsToLock is how often a segment loses before its read set is locked for it.
const conflictsToLock = 3

// Results of the host call that ended a segment, as the guest sees them. Source: kitwork.wit, errors are
// −(number+1).
const resumeUnreachable = -6

func (c *Commit) check() error {
	if err := checkReads(c.Reads, c.Scans); err != nil {
		return err
	}
	if err := checkWrites(c.Writes); err != nil {
		return err
	}
	if err := checkEvents(c.Events); err != nil {
		return err
	}
	switch {
	case c.End == 0 || c.End >= endEnd:
		return fmt.Errorf("unknown end of segment %d", c.End)
	case len(c.Output) > MaxOutput:
		return fmt.Errorf("a result of %d bytes, at most %d; put larger ones into a row or a blob", len(c.Output), MaxOutput)
	case !c.End.effects() && len(c.Writes)+len(c.Events) > 0:
		return errors.New("writes or events of a segment that has no effect")
	case c.End.ends() && (c.Saved.Size > 0 || !c.Saved.State.IsZero()):
		return errors.New("a continuation of a capsule that is over")
	case c.End != EndDry && !c.Saved.Journal.IsZero():
		return errors.New("a journal of a segment that is over")
	case c.Gas > maxAmount || c.Due > maxAmount:
		return errors.New("an amount is not below 2^62")
	}
	return c.Saved.check()
}

func (c *Checkpoint) check() error {
	if c.Gas > maxAmount {
		return errors.New("an amount is not below 2^62")
	}
	return c.Saved.check()
}

func (s *Saved) check() error {
	switch {
	case len(s.Inline) > MaxInline:
		return fmt.Errorf("%d bytes inline, at most %d; upload them as a blob", len(s.Inline), MaxInline)
	case len(s.Inline) > 0 && (capsule.RawCID(s.Inline) != s.State || s.Size != uint64(len(s.Inline))):
		return errors.New("the inline bytes are not those that the continuation names")
	case len(s.Entries) > MaxInline:
		return fmt.Errorf("a journal of %d bytes inline, at most %d; upload it as a blob", len(s.Entries), MaxInline)
	case len(s.Entries) > 0 && capsule.RawCID(s.Entries) != s.Journal:
		return errors.New("the inline journal is not the one that is named")
	case s.Size > maxAmount:
		return errors.New("a size is not below 2^62")
	}
	return nil
}

// fenced returns the capsule if worker k holds the lease that s names, for the segment that s names.
func (a *apply) fenced(k capsule.Key, s *Segment) (CapsuleRow, *Refusal) {
	c, ok := a.capsule(s.Capsule)
	switch {
	case !ok:
		return c, refuse(CodeUnknown, "no capsule %s here", s.Capsule)
	case !c.LeasedTo(k, s.Lease):
		return c, refuse(CodeLease, "lease %d of %s has ended; drop the attempt", s.Lease, s.Capsule)
	case c.Hop != s.Hop || c.Segment != s.Segment:
		return c, refuse(CodeLease, "segment %d/%d of %s, it is at %d/%d", s.Hop, s.Segment, s.Capsule, c.Hop, c.Segment)
	}
	return c, nil
}

// runCommit ends a segment: all of it becomes visible, or nothing.
func runCommit(a *apply, p *prepared) (Result, *Refusal) {
	t := p.body.(*Commit)
	id := t.Segment.Capsule
	res := Result{Capsule: id}
	c, r := a.fenced(p.signer, &t.Segment)
	if r != nil {
		if a.committedBefore(&c, &t.Segment) {
			return Result{Capsule: id, Status: c.Status, Repeated: true}, nil
		}
		return res, r
	}
	if left := c.Gas.left(); t.Gas > left {
		return res, refuse(CodeGas, "%d units used, %d are left", t.Gas, left)
	}
	program, _ := a.program(id)
	rights := program.Rights
	if r := checkCommitRights(t, &rights); r != nil {
		return res, r
	}
	if r := a.checkEnd(t, &c); r != nil {
		return res, r
	}
	if r := a.checkLocks(t.Writes, id); r != nil {
		return res, r
	}
	if r := a.checkRights(&rights); r != nil {
		// The worker did its part; it is the capsule that may not go on.
		a.charge(&c, t, 0)
		a.closeMeter(id, &c)
		a.end(id, &c, ending{status: StatusFailed, verdict: cert.Failed, reason: r.Code})
		a.saveCapsule(id, c)
		return res, nil
	}
	rd := reader{apply: a}
	holds := rd.holds(t.Reads, t.Scans)
	if rd.tooLarge() {
		return res, refuse(CodeLimit, "the rows read have more than %d bytes", maxReadBytes)
	}
	overhead := commitUnits(t, &rd)
	if !holds || c.Lease.Index < a.counts().Floor {
		a.conflict(id, &c, t, overhead)
		a.saveCapsule(id, c)
		res.Refusal = refuse(CodeConflict, "what the segment read has changed")
		return res, nil
	}
	a.charge(&c, t, overhead)
	if t.End != EndDry {
		a.closeMeter(id, &c)
	}
	a.commit(id, &c, t)
	a.saveCapsule(id, c)
	return res, nil
}

// committedBefore reports whether the refused commit is one that was applied already under its lease.
func (a *apply) committedBefore(c *CapsuleRow, s *Segment) bool {
	if c.Lease.Number != s.Lease {
		return false
	}
	r := a.outcome(cert.Slot{Capsule: s.Capsule, Hop: s.Hop, Segment: s.Segment, Phase: cert.PhaseRun})
	return r != nil && (r.Verdict == cert.Committed || r.Verdict == cert.Finished || r.Verdict == cert.Failed)
}

// checkCommitRights verifies that everything read, written and emitted lies inside the capsule's rights. A
// worker enforces them while it runs; this is what holds if it lies.
func checkCommitRights(t *Commit, r *Rights) *Refusal {
	for i := range t.Reads {
		if k := t.Reads[i].Key; Permits(r.Caps, ResourceData, k)&capsule.Read == 0 {
			return refuse(CodeDenied, "the capsule may not read the key %q", k)
		}
	}
	for i := range t.Scans {
		if k := t.Scans[i].Prefix; !PermitsScan(r.Caps, k) {
			return refuse(CodeDenied, "the capsule may not scan %q", k)
		}
	}
	for i := range t.Writes {
		w := &t.Writes[i]
		if ab := abilityOf(w); Permits(r.Caps, ResourceData, w.Key)&ab == 0 {
			return refuse(CodeDenied, "the capsule may not %s the key %q", ab, w.Key)
		}
	}
	for i := range t.Events {
		if topic := t.Events[i].Topic; Permits(r.Caps, ResourceEvent, []byte(topic))&capsule.Emit == 0 {
			return refuse(CodeDenied, "the capsule may not emit under %q", topic)
		}
	}
	return nil
}

// checkEnd verifies what the kind of end demands.
func (a *apply) checkEnd(t *Commit, c *CapsuleRow) *Refusal {
	if t.End == EndCancel && !c.CancelAsked {
		return refuse(CodeState, "nobody asked to cancel %s", t.Segment.Capsule)
	}
	if t.End.ends() {
		return nil
	}
	return a.checkSaved(&t.Saved, c.StateBytes)
}

func commitUnits(t *Commit, r *reader) uint64 {
	items := r.rows + uint64(len(t.Scans)+len(t.Writes)+len(t.Events))
	size := r.bytes
	for i := range t.Writes {
		size += uint64(len(t.Writes[i].Key) + len(t.Writes[i].Value))
	}
	for i := range t.Events {
		size += uint64(len(t.Events[i].Data))
	}
	return unitsCommit + unitsItem*items + unitsByte*size
}

// charge spends the segment's gas. Overhead beyond the reservation is waived: the guest could not know it.
func (a *apply) charge(c *CapsuleRow, t *Commit, overhead uint64) {
	c.Gas.Spent += min(sum(t.Gas, overhead), c.Gas.left())
}

// closeMeter forgets a checkpoint whose units are part of what was charged.
func (a *apply) closeMeter(id capsule.ID, c *CapsuleRow) {
	if c.Run.Pin != 0 {
		a.clearCheckpoint(id, c)
	}
}

// commit applies a segment whose reads hold.
func (a *apply) commit(id capsule.ID, c *CapsuleRow, t *Commit) {
	slot := cert.Slot{Capsule: id, Hop: c.Hop, Segment: c.Segment, Phase: cert.PhaseRun}
	mark := a.mark()
	if r := a.writeAll(t.Writes); r != nil {
		a.rollback(mark)
		a.end(id, c, ending{status: StatusFailed, verdict: cert.Failed, reason: r.Code})
		return
	}
	first := a.publish(slot, t.Events)
	switch {
	case t.End == EndDone:
		a.end(id, c, ending{
			status: StatusDone, verdict: cert.Finished, output: t.Output, stateHash: t.Saved.StateHash,
			events: uint32(len(t.Events)), firstSeq: first,
		})
	case t.End == EndFail || t.End == EndTrap:
		reason := Code("fail")
		if t.End == EndTrap {
			reason = "trap"
		}
		a.end(id, c, ending{status: StatusFailed, verdict: cert.Failed, reason: reason, code: t.Code, output: t.Output})
	case t.End == EndCancel:
		a.end(id, c, ending{status: StatusCancelled, verdict: cert.Cancelled})
	case t.End == EndDry:
		a.suspendDry(id, c, t)
	default:
		a.nextSegment(id, c, t, slot)
	}
}

// nextSegment moves the capsule past a boundary.
func (a *apply) nextSegment(id capsule.ID, c *CapsuleRow, t *Commit, slot cert.Slot) {
	a.release(id, c, false)
	a.unrefSaved(&c.Run.Saved)
	c.Run.Saved = a.keepSaved(&t.Saved, tabInline, id)
	c.Run.Fresh, c.Run.Conflicts, c.Run.Seed, c.Run.Clock, c.Run.Resume = false, 0, capsule.Hash{}, 0, 0
	a.decide(c, slot, cert.Committed, &SegmentBody{
		End: t.End, Gas: t.Gas, Spent: c.Gas.Spent, Retry: c.Gas.Retry, State: t.Saved.State, StateHash: t.Saved.StateHash,
		Due: t.Due, Target: t.Target, Events: uint32(len(t.Events)),
	})
	c.Segment++
	switch {
	case t.End == EndGoto && !c.CancelAsked:
		if resume, ok := a.offer(id, c, t.Target); !ok {
			c.Run.Resume = resume
			a.requeue(id, c)
		}
	case t.End == EndSleep && !c.CancelAsked && t.Due > a.time:
		c.Wake = t.Due
		a.setStatus(c, StatusSleeping)
	default:
		a.requeue(id, c)
	}
}

// suspendDry keeps a segment that ran out of gas as a checkpoint. Its meter stays open: the units are
// charged when the segment ends.
func (a *apply) suspendDry(id capsule.ID, c *CapsuleRow, t *Commit) {
	c.Gas.Spent -= min(c.Gas.Spent, t.Gas) // charge has spent them
	if c.Run.Pin != 0 {
		a.unrefSaved(&c.Run.Check)
	}
	c.Run.Check = a.keepSaved(&t.Saved, tabCheck, id)
	c.Run.Meter, c.Run.Pin = t.Gas, c.Lease.Index
	a.release(id, c, false)
	a.suspend(id, c, t)
}

func (a *apply) suspend(id capsule.ID, c *CapsuleRow, t *Commit) {
	if c.CancelAsked {
		a.end(id, c, ending{status: StatusCancelled, verdict: cert.Cancelled})
		return
	}
	a.setStatus(c, StatusSuspended)
	slot := cert.Slot{Capsule: id, Hop: c.Hop, Segment: c.Run.Pauses, Phase: cert.PhasePause}
	c.Run.Pauses++
	a.decide(c, slot, cert.Suspended, &SegmentBody{
		End: t.End, Gas: t.Gas, Spent: c.Gas.Spent, Retry: c.Gas.Retry, State: c.Run.Check.State, StateHash: c.Run.Check.StateHash,
	})
}

// conflict charges the attempt as retry and runs the segment again, with the same worker if it has not
// given it up; after the third loss under a lock.
func (a *apply) conflict(id capsule.ID, c *CapsuleRow, t *Commit, overhead uint64) {
	units := min(sum(t.Gas, overhead), c.Gas.left())
	c.Gas.Retry += units
	c.Run.Conflicts = min(c.Run.Conflicts+1, 200)
	k := c.Lease.Worker
	a.retried(id, c, CauseConflict, k, units)
	a.release(id, c, false)
	a.closeMeter(id, c)
	switch {
	case c.CancelAsked:
		a.end(id, c, ending{status: StatusCancelled, verdict: cert.Cancelled})
		return
	case c.Gas.left() == 0:
		a.suspend(id, c, t)
		return
	}
	if c.Run.Conflicts >= conflictsToLock && !a.lockReads(id, c, t) {
		return
	}
	a.setStatus(c, StatusReady)
	if w, ok := a.worker(k); ok && w.free() > 0 && w.Pages-w.UsedPages >= c.Pages {
		a.lease(id, c, k)
		return
	}
	a.requeue(id, c)
}

// publish puts events into the outbox and returns the first's sequence.
func (a *apply) publish(slot cert.Slot, events []Event) uint64 {
	if len(events) == 0 {
		return 0
	}
	first := a.counts().Event + 1
	for i := range events {
		save(a.state, row(tabEvent, be64(first+uint64(i))), EventRow{Slot: slot, N: uint32(i), At: a.time, Event: events[i]})
	}
	last := first + uint64(len(events)) - 1
	a.count(func(n *Counts) { n.Event = last })
	a.effect(Effect{Kind: EffectEvent, Capsule: slot.Capsule, N: last})
	return first
}

// expireEvents drops the oldest events when their time in the outbox is over.
func (a *apply) expireEvents() {
	keep := a.policy().Times.KeepEvent
	for _, k := range a.keys([]byte{tabEvent}, nil, maxDue) {
		e, _ := load[EventRow](a.state, []byte(k))
		if sum(e.At, keep) > a.time {
			return
		}
		a.delete([]byte(k))
	}
}

// runCheckpoint saves a running segment. Nothing takes effect and nothing is charged yet.
func runCheckpoint(a *apply, p *prepared) (Result, *Refusal) {
	t := p.body.(*Checkpoint)
	id := t.Segment.Capsule
	res := Result{Capsule: id}
	c, r := a.fenced(p.signer, &t.Segment)
	if r != nil {
		return res, r
	}
	switch left := c.Gas.left(); {
	case t.Gas > left:
		return res, refuse(CodeGas, "%d units used, %d are left", t.Gas, left)
	case c.Run.Pin != 0 && t.Gas < c.Run.Meter:
		return res, refuse(CodeSequence, "a checkpoint at %d units after one at %d", t.Gas, c.Run.Meter)
	}
	if r := a.checkSaved(&t.Saved, c.StateBytes); r != nil {
		return res, r
	}
	if c.Run.Pin != 0 {
		a.unrefSaved(&c.Run.Check)
	}
	c.Run.Check = a.keepSaved(&t.Saved, tabCheck, id)
	c.Run.Meter, c.Run.Pin = t.Gas, c.Lease.Index
	a.saveCapsule(id, c)
	res.Status = c.Status
	return res, nil
}
