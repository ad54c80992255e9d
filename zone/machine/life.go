package machine

import (
	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/zone/cert"
)

// EndBody is the content of the decision that ends a capsule.
type EndBody struct {
	_               struct{} `cbor:",toarray"`
	Status          Status
	Reason          Code
	Code            uint32
	Output          capsule.Hash // of the result, or of the message
	Spent, Retry    uint64
	Charged, Fee    uint64
	Refunded        uint64
	StateHash       capsule.Hash
	EventsPublished uint32
	Retries         Retries
}

// SegmentBody is the content of a Committed or Suspended decision.
type SegmentBody struct {
	_            struct{} `cbor:",toarray"`
	End          End
	Gas          uint64
	Spent, Retry uint64
	State        capsule.CID
	StateHash    capsule.Hash
	Due          uint64
	Target       capsule.ZoneID
	Events       uint32
}

// setStatus changes the status; state that was kept until now owes rent.
func (a *apply) setStatus(c *CapsuleRow, s Status) {
	if c.Status != 0 && c.Status != StatusRunning && !c.Status.Ended() {
		kept := c.Run.Saved.Size + c.Run.Check.Size
		c.Gas.Rent = sum(c.Gas.Rent, Rent(kept, a.time-c.Since, c.Gas.Price.Storage))
	}
	c.Status, c.Since = s, a.time
}

// ending is how a capsule ends.
type ending struct {
	status    Status
	verdict   cert.Verdict
	reason    Code // of the zone, or ""
	code      uint32
	output    []byte
	stateHash capsule.Hash
	events    uint32
	firstSeq  uint64
}

// end ends the capsule: lease, budget and everything that was kept for its execution. What remains until
// it is forgotten is the result and the proof that it was here.
func (a *apply) end(id capsule.ID, c *CapsuleRow, e ending) {
	a.unqueue(c)
	a.release(id, c, false)
	if c.Run.Pin != 0 {
		if c.Run.Pinned {
			a.unpinIndex(c.Run.Pin)
		}
		c.Gas.Spent += min(c.Run.Meter, c.Gas.left()) // run, saved, and never to be continued
		a.clearCheckpoint(id, c)
	}
	a.stopWaitingForLocks(id)
	a.setStatus(c, e.status)
	c.Gas.Certificates++
	s := a.settle(&c.Gas, c.Payer)
	save(a.state, row(tabOutput, id[:]), Output{
		Status: e.status, Reason: e.reason, Code: e.code, Data: e.output, Charged: sum(c.Gas.Paid, s.charged), Refunded: s.refunded, Fee: s.fee,
		Spent: sum(c.Gas.Used, c.Gas.Spent), Retry: c.Gas.Retry, Ended: a.time, EventsFirst: e.firstSeq, EventsPublished: e.events,
	})
	a.decide(c, cert.Slot{Capsule: id, Hop: c.Hop, Segment: c.Segment, Phase: cert.PhaseRun}, e.verdict, &EndBody{
		Status: e.status, Reason: e.reason, Code: e.code, Output: capsule.Sum(e.output),
		Spent: sum(c.Gas.Used, c.Gas.Spent), Retry: c.Gas.Retry, Charged: sum(c.Gas.Paid, s.charged), Fee: s.fee, Refunded: s.refunded,
		StateHash: e.stateHash, EventsPublished: e.events, Retries: a.takeRetries(id, c),
	})
	a.dropProgram(id, c)
	a.count(func(n *Counts) { n.Live--; n.Ended++ })
	a.effect(Effect{Kind: EffectEnded, Capsule: id})
}

// retried notes an attempt at the present segment that came to nothing.
func (a *apply) retried(id capsule.ID, c *CapsuleRow, cause RetryCause, worker capsule.Key, units uint64) {
	c.Run.Retried = true
	r, _ := load[Retries](a.state, row(tabRetries, id[:]))
	r.Count++
	if len(r.Last) == maxRetries {
		r.Last = r.Last[1:]
	}
	r.Last = append(r.Last, Retry{Segment: c.Segment, Cause: cause, Worker: worker, Units: units, At: a.time})
	save(a.state, row(tabRetries, id[:]), r)
}

// takeRetries returns what was noted, to become part of the capsule's end.
func (a *apply) takeRetries(id capsule.ID, c *CapsuleRow) Retries {
	if !c.Run.Retried {
		return Retries{}
	}
	r, _ := load[Retries](a.state, row(tabRetries, id[:]))
	a.delete(row(tabRetries, id[:]))
	c.Run.Retried = false
	return r
}

// dropProgram forgets what only the execution needed.
func (a *apply) dropProgram(id capsule.ID, c *CapsuleRow) {
	if p, ok := a.program(id); ok {
		m, err := capsule.Decode(p.Envelope)
		if err != nil {
			a.fail(err)
			return
		}
		a.unrefBlob(m.Manifest().Code)
		a.unrefBlob(m.Manifest().Base)
	}
	a.unrefSaved(&c.Run.Saved)
	for _, tab := range []byte{tabProgram, tabInline, tabCheck, tabJournal} {
		a.delete(row(tab, id[:]))
	}
	c.Run.Saved = SavedRow{}
}

// expire ends a capsule whose time is over.
func (a *apply) expire(id capsule.ID, c *CapsuleRow) {
	if k := c.Lease.Worker; !k.IsZero() {
		a.effect(Effect{Kind: EffectStop, Worker: k, Capsule: id, Lease: c.Lease.Number})
	}
	a.end(id, c, ending{status: StatusExpired, verdict: cert.Expired, reason: CodeExpired})
}

// forget removes the last trace of a capsule. Its expiry has passed, so it can't be admitted again.
func (a *apply) forget(id capsule.ID, c *CapsuleRow) {
	for _, tab := range []byte{tabCapsule, tabOutput, tabLineage} {
		a.delete(row(tab, id[:]))
	}
	a.takeRetries(id, c)
	for _, k := range a.keys(row(tabSource, id[:]), nil, handover.MaxSteps+1) {
		a.delete([]byte(k))
	}
	a.forgetOutcomes(id, c)
	// A capsule of another home can have the same author and nonce as one of ours.
	nonce := row(tabNonce, c.Author[:], c.Nonce[:])
	if v, ok := a.getRaw(nonce); ok && string(v) == string(id[:]) {
		a.delete(nonce)
	}
}

// runCancel ends a capsule on its author's word. One that runs ends at its next boundary: the worker is
// told, and what it has used is charged.
func runCancel(a *apply, p *prepared) (Result, *Refusal) {
	t := p.body.(*Cancel)
	c, ok := a.capsule(t.Capsule)
	if !ok {
		return a.cancelUnseen(t, p.signer)
	}
	if c.Author != p.signer {
		return Result{}, refuse(CodeSignature, "only the author can cancel %s", t.Capsule)
	}
	res := Result{Capsule: t.Capsule, Status: c.Status}
	switch {
	case c.Status == StatusCancelled || c.CancelAsked:
		res.Repeated = true
		return res, nil
	case c.Status.Ended():
		return res, refuse(CodeState, "the capsule is %s", c.Status)
	}
	c.CancelAsked = true
	if c.Status >= StatusOffered {
		a.ask(t.Capsule, &c) // if it comes back, it ends
	} else if c.Status == StatusRunning {
		a.effect(Effect{Kind: EffectStop, Worker: c.Lease.Worker, Capsule: t.Capsule, Lease: c.Lease.Number})
	} else {
		a.end(t.Capsule, &c, ending{status: StatusCancelled, verdict: cert.Cancelled})
	}
	a.saveCapsule(t.Capsule, c)
	res.Status = c.Status
	return res, nil
}

// cancelUnseen bars a capsule that has not arrived. The envelope proves that the signer wrote it.
func (a *apply) cancelUnseen(t *Cancel, signer capsule.Key) (Result, *Refusal) {
	res := Result{Capsule: t.Capsule}
	if len(t.Envelope) == 0 {
		return res, refuse(CodeUnknown, "no capsule %s here; attach its envelope to bar its admission", t.Capsule)
	}
	c, err := capsule.Verify(t.Envelope, a.time, a.m.verified)
	if err != nil {
		return res, refusalOf(err)
	}
	m := c.Manifest()
	switch {
	case c.ID() != t.Capsule || m.Author != signer:
		return res, refuse(CodeSignature, "the envelope is not the signer's capsule %s", t.Capsule)
	case m.Home != a.m.zone:
		return res, refuse(CodeZone, "the capsule's home is %s, this is %s", m.Home, a.m.zone)
	case m.Expires-a.time > a.policy().Times.MaxExpiry:
		return res, refuse(CodeLimit, "expires in %d ms, at most %d", m.Expires-a.time, a.policy().Times.MaxExpiry)
	}
	nonce := row(tabNonce, m.Author[:], m.Nonce[:])
	if a.has(nonce) {
		return res, refuse(CodeReplay, "the author has used this nonce for another capsule")
	}
	// A tombstone costs the author what an admission's certificate would, so that it can't fill the state.
	if r := a.pay(m.Payer, a.policy().Price.Certificate); r != nil {
		return res, r
	}
	a.setRaw(nonce, t.Capsule[:])
	cr := CapsuleRow{Author: m.Author, Payer: m.Payer, Nonce: m.Nonce, Status: StatusCancelled, Since: a.time, Expires: m.Expires}
	a.decide(&cr, cert.Slot{Capsule: t.Capsule, Phase: cert.PhaseIn}, cert.Tombstone, &EndBody{Status: StatusCancelled})
	a.saveCapsule(t.Capsule, cr)
	res.Status = StatusCancelled
	return res, nil
}

// runTopUp adds units from the signer's account, and wakes a capsule that was suspended for lack of them.
func runTopUp(a *apply, p *prepared) (Result, *Refusal) {
	t := p.body.(*TopUp)
	c, ok := a.capsule(t.Capsule)
	res := Result{Capsule: t.Capsule, Status: c.Status}
	switch {
	case !ok:
		return res, refuse(CodeUnknown, "no capsule %s here", t.Capsule)
	case c.Status.Ended() || c.Status >= StatusOffered:
		return res, refuse(CodeState, "the capsule is %s", c.Status)
	case t.Units == 0 || t.Units > maxAmount-c.Gas.Limit:
		return res, refuse(CodeLimit, "%d units on top of %d", t.Units, c.Gas.Limit)
	case len(c.Gas.TopUps) >= maxTopUps:
		return res, refuse(CodeLimit, "%d top-ups, at most %d", len(c.Gas.TopUps), maxTopUps)
	}
	if r := a.checkOnce(p, t.Key, t.Expires); r != nil {
		return res, r
	}
	amount := GasCost(t.Units, c.Gas.Price.Gas)
	if r := a.hold(p.signer, amount); r != nil {
		return res, r
	}
	c.Gas.Limit += t.Units
	tops := append([]Hold(nil), c.Gas.TopUps...)
	c.Gas.TopUps = append(tops, Hold{Account: p.signer, Amount: amount})
	if c.Status == StatusSuspended {
		a.requeue(t.Capsule, &c)
	}
	a.saveCapsule(t.Capsule, c)
	res.Status = c.Status
	return res, nil
}

// maxTopUps bounds a capsule's row.
const maxTopUps = 64
