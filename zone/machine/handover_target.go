package machine

import (
	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/zone/cert"
)

// What a capsule is told about a zone that turned it down. Source: kitwork.wit.
const (
	reasonDenied      = 2
	reasonTooLarge    = 4
	reasonUnreachable = 6
	reasonExhausted   = 7
)

// judged is an offer with what was found out about it.
type judged struct {
	t     *handover.Transfer
	offer *handover.Offer
	hash  capsule.Hash
	c     *capsule.Capsule
}

// runOffered decides about a hop that is offered to this zone, or whose source demands a final answer.
func runOffered(a *apply, p *prepared) (Result, *Refusal) {
	j := judged{t: p.body.(*handover.Transfer)}
	if len(j.t.Envelope) > capsule.MaxEnvelope || len(j.t.Inline) > MaxInline {
		return Result{}, refuse(CodeEncoding, "an envelope of %d bytes and %d of state; at most %d and %d", len(j.t.Envelope), len(j.t.Inline), capsule.MaxEnvelope, MaxInline)
	}
	var err error
	if j.offer, err = j.t.Parse(); err != nil {
		return Result{}, refuseErr(CodeEncoding, err)
	}
	o := j.offer
	res := Result{Capsule: o.Capsule}
	if o.Target != a.m.zone {
		return res, refuse(CodeZone, "offered to zone %s, this is %s", o.Target, a.m.zone)
	}
	j.hash = capsule.Sum(j.t.Offer)
	r := a.target(o.Capsule)
	if v := r.state().Standing(o.Hop, o.Expires, a.time); v != 0 {
		return a.again(&j, &r, v)
	}
	if j.c, err = capsule.Decode(j.t.Envelope); err != nil {
		return res, refuseErr(CodeEncoding, err)
	}
	if j.c.ID() != o.Capsule {
		return res, refuse(CodeLineage, "the envelope is of %s, the offer of %s", j.c.ID(), o.Capsule)
	}
	if err := j.t.Lineage.Released(o, &j.t.Released, j.c.Manifest().Home, a.trust); err != nil {
		return res, refusalFrom(err)
	}
	if a.outcome(handover.InSlot(o.Capsule, o.Hop)) != nil {
		return res, refuse(CodeLineage, "hop %d of %s was decided here already", o.Hop, o.Capsule)
	}
	if p.cmd.Kind == KindTombstone {
		next, _ := r.state().Cancel(o.Hop, o.Expires, a.time)
		a.saveTarget(o.Capsule, r.follow(untilEnd(next, j.c), o.Source, j.hash))
		a.refuseHop(&j, reasonUnreachable)
		return res, nil
	}
	return a.accept(&j, &r)
}

// again repeats an answer that stands.
func (a *apply) again(j *judged, r *TargetRow, v handover.Verdict) (Result, *Refusal) {
	o := j.offer
	res := Result{Capsule: o.Capsule, Repeated: true}
	if s := a.outcome(handover.InSlot(o.Capsule, o.Hop)); s != nil {
		if !s.answers(j.hash) {
			return a.twoOffers(j)
		}
		a.restate(handover.InSlot(o.Capsule, o.Hop), s)
		return res, nil
	}
	if v == handover.ExpiredNoRecord {
		a.certifyExpired(o, j.hash)
		return res, nil
	}
	// Below the mark, and never decided by itself: it is now.
	return a.passed(j, r)
}

// answers reports whether the outcome is the answer to an offer.
func (s *SlotRow) answers(offer capsule.Hash) bool {
	if s.Verdict != cert.Accepted && s.Verdict != cert.Tombstone {
		return false // the admission, at hop 0
	}
	ans, err := handover.ParseAnswer(s.Body)
	return err == nil && ans.Offer == offer
}

// passed refuses a hop that a later one has overtaken.
func (a *apply) passed(j *judged, r *TargetRow) (Result, *Refusal) {
	o := j.offer
	c, err := capsule.Decode(j.t.Envelope)
	if err != nil || c.ID() != o.Capsule {
		return Result{}, refuse(CodeEncoding, "no envelope of %s", o.Capsule)
	}
	if err := j.t.Lineage.Released(o, &j.t.Released, c.Manifest().Home, a.trust); err != nil {
		return Result{}, refusalFrom(err)
	}
	a.saveTarget(o.Capsule, r.follow(untilEnd(r.state(), c), o.Source, j.hash))
	a.refuseHop(j, reasonUnreachable)
	return Result{Capsule: o.Capsule}, nil
}

// twoOffers deals with a source that released one hop twice. If the certificate of the first is at hand, the
// two are evidence.
func (a *apply) twoOffers(j *judged) (Result, *Refusal) {
	o := j.offer
	l := a.lineage(o.Capsule)
	for i := range l.Steps {
		s := &l.Steps[i]
		if s.Offer.Hop != o.Hop || s.Offer.Source != o.Source {
			continue
		}
		peer, ok := a.peer(o.Source)
		if !ok || peer.Frozen {
			break
		}
		if r := a.freeze(o.Source, peer, &cert.Evidence{A: s.Released, B: j.t.Released}); r == nil {
			return Result{Capsule: o.Capsule}, nil
		}
	}
	return Result{Capsule: o.Capsule}, refuse(CodeLineage, "hop %d of %s was decided here by another offer", o.Hop, o.Capsule)
}

// accept takes the capsule over, or turns it down for good. What only is not there yet, such as a state
// that no voter holds so far, decides nothing.
func (a *apply) accept(j *judged, r *TargetRow) (Result, *Refusal) {
	o := j.offer
	res := Result{Capsule: o.Capsule}
	cr, rights, reason, wait := a.fit(j)
	if wait != nil {
		return res, wait
	}
	next, v, fresh := r.state().Offer(o.Hop, o.Expires, a.time, reason == 0)
	if v != handover.Accepted {
		next = untilEnd(next, j.c)
	}
	a.saveTarget(o.Capsule, r.follow(next, o.Source, j.hash))
	if v != handover.Accepted || !fresh {
		if reason == 0 {
			reason = reasonUnreachable
		}
		a.refuseHop(j, reason)
		return res, nil
	}
	a.settleOwn(j)
	a.receive(j, cr, rights)
	res.Status = StatusReady
	return res, nil
}

// untilEnd has the refusal of a hop remembered as long as c may travel: the refusal stays in its lineage, and whoever asked
// about the hop in its offer's name after that had expired would otherwise be told, and certified, that nothing was decided.
func untilEnd(t handover.Target, c *capsule.Capsule) handover.Target {
	t.Until = max(t.Until, c.Manifest().Expires)
	return t
}

// refuseHop certifies that the hop will never be accepted here.
func (a *apply) refuseHop(j *judged, reason uint8) {
	id := j.offer.Capsule
	ans := &handover.Answer{V: handover.Version, Offer: j.hash, Verdict: handover.Tombstone, Reason: reason}
	if c, ok := a.capsule(id); ok {
		a.decide(&c, handover.InSlot(id, j.offer.Hop), cert.Tombstone, ans)
		save(a.state, row(tabCapsule, id[:]), c)
	} else {
		a.decide(nil, handover.InSlot(id, j.offer.Hop), cert.Tombstone, ans)
	}
}

// fit finds out whether this zone would run the capsule. wait is a reason to ask again later.
func (a *apply) fit(j *judged) (cr CapsuleRow, rights Rights, reason uint8, wait *Refusal) {
	o, m := j.offer, j.c.Manifest()
	peer, r := a.usablePeer(o.Source)
	if r != nil {
		return cr, rights, 0, r
	}
	if old, ok := a.capsule(o.Capsule); ok && !a.away(j, &old) {
		return cr, rights, 0, refuse(CodeState, "the capsule is here, and %s", old.Status)
	}
	c, err := capsule.VerifyIn(a.m.zone, j.t.Envelope, a.time, a.m.verified)
	if r := refusalOf(err); err != nil && r.Code != Code(capsule.CodeGrantTime) && r.Code != CodeExpired {
		// Its signatures are beside what was certified: whoever brought it may have broken them.
		return cr, rights, 0, r
	} else if err != nil {
		return cr, rights, reasonDenied, nil
	}
	if !m.Reaches(a.m.zone) || o.Code != m.Code || o.Base != m.Base || o.Expires > m.Expires {
		return cr, rights, reasonDenied, nil
	}
	if r := a.checkManifest(m); r != nil {
		return cr, rights, reasonFor(r.Code), nil
	}
	if o.StateSize > m.Limits.StateBytes || o.State.IsZero() {
		return cr, rights, reasonTooLarge, nil
	}
	if rights, r = a.rights(c); r != nil {
		return cr, rights, reasonDenied, nil
	}
	owed := sum(peer.Received, o.Credits)
	if owed > sum(peer.Sent, peer.Cap) || o.Credits > a.policy().Bounds.Held-min(a.totals().Held, a.policy().Bounds.Held) {
		return cr, rights, reasonExhausted, nil
	}
	price := a.policy().Price
	reserve := a.reserve(price, m.Limits.StateBytes, m.Expires)
	units := min(handover.Units(o.Credits, reserve, price.Gas), o.Left)
	if units == 0 || units < m.MinUnits {
		return cr, rights, reasonExhausted, nil
	}
	if len(j.t.Inline) == 0 {
		b, ok := a.blob(o.State)
		if !ok || b.Keep < sum(a.time, a.policy().Times.BlobMargin) || b.Fits != m.Code {
			return cr, rights, 0, refuse(CodeBlob, "no fresh attestation that the state %s is held and fits the code", o.State)
		}
	}
	return CapsuleRow{
		Author: m.Author, Payer: m.Payer, Nonce: m.Nonce, Since: a.time, Expires: m.Expires, Hop: o.Hop + 1, In: o.Hop,
		Pages: max(m.Limits.MemoryPages, 1), StateBytes: m.Limits.StateBytes,
		Gas: GasState{
			Limit: units, Price: price, Hold: o.Credits, Reserve: reserve, Certificates: 1, Used: o.Used, Paid: o.Charged,
		},
	}, rights, 0, nil
}

func reasonFor(c Code) uint8 {
	switch c {
	case CodeLimit:
		return reasonTooLarge
	case CodePrice:
		return reasonExhausted
	}
	return reasonUnreachable
}

// away reports whether a capsule that was here before is not any more, as the lineage proves for one whose
// answer has not come yet.
func (a *apply) away(j *judged, c *CapsuleRow) bool {
	switch c.Status {
	case StatusGone, StatusAbandoned:
		return true
	case StatusOffered, StatusAsked, StatusLimbo:
		return a.stepHere(j, c) != nil
	}
	return false
}

// stepHere returns the step of the lineage by which this zone's own offer was accepted.
func (a *apply) stepHere(j *judged, c *CapsuleRow) *handover.Step {
	out, ok := load[OutRow](a.state, outKey(j.offer.Capsule, c.Hop))
	for i := range j.t.Lineage.Steps {
		s := &j.t.Lineage.Steps[i]
		if ok && s.Offer.Hop == c.Hop && s.Answer.Offer == out.Hash && s.Answer.Verdict == handover.Accepted {
			return s
		}
	}
	return nil
}

// settleOwn takes the answer to this zone's own offer from the lineage of a capsule that comes back before
// that answer does.
func (a *apply) settleOwn(j *judged) {
	id := j.offer.Capsule
	c, ok := a.capsule(id)
	if !ok || c.Status.Ended() {
		return
	}
	s := a.stepHere(j, &c)
	out, _ := load[OutRow](a.state, outKey(id, c.Hop))
	a.answered(id, &c, &out, &s.Answer, &s.Answered)
	a.saveCapsule(id, c)
}

// receive writes the rows of a capsule that this zone owns from now on.
func (a *apply) receive(j *judged, c CapsuleRow, rights Rights) {
	o, id := j.offer, j.offer.Capsule
	if old, ok := a.capsule(id); ok {
		c.Due = old.Due
		c.Lease.Number = old.Lease.Number
		c.Admitted, c.Slots = old.Admitted, old.Slots
	}
	c.Run.Saved = a.keepSaved(&Saved{State: o.State, StateHash: o.StateHash, Size: o.StateSize, Inline: j.t.Inline}, tabInline, id)
	save(a.state, row(tabProgram, id[:]), ProgramRow{Envelope: j.t.Envelope, Rights: rights})
	m := j.c.Manifest()
	if nonce := row(tabNonce, m.Author[:], m.Nonce[:]); m.Home == a.m.zone && !a.has(nonce) {
		a.setRaw(nonce, id[:]) // a recovery went back behind its admission
	}
	a.refBlob(m.Code)
	a.refBlob(m.Base)
	acc := a.account(c.Payer)
	acc.Held += o.Credits
	a.saveAccount(c.Payer, acc)
	t := a.totals()
	t.Received += o.Credits
	save(a.state, keyTotals, t)
	peer, _ := a.peer(o.Source)
	peer.Received = sum(peer.Received, o.Credits)
	a.savePeer(o.Source, peer)
	a.count(func(n *Counts) { n.Live++ })

	ans := &handover.Answer{V: handover.Version, Offer: j.hash, Verdict: handover.Accepted, Price: c.Gas.Price.Gas, Units: c.Gas.Limit}
	a.saveLineage(id, j.t.Lineage, handover.Step{Offer: *o, Released: j.t.Released, Answer: *ans})
	a.decide(&c, handover.InSlot(id, o.Hop), cert.Accepted, ans)
	a.requeue(id, &c)
	a.saveCapsule(id, c)
}

// runExpired answers about an offer whose time is over and of which nothing is held. It needs no proof that
// the offer was ever made: the answer is true of any.
func runExpired(a *apply, p *prepared) (Result, *Refusal) {
	o := p.body.(*handover.Offer)
	b, err := o.Bytes()
	if err != nil {
		return Result{}, refuseErr(CodeEncoding, err)
	}
	if o, err = handover.ParseOffer(b); err != nil {
		return Result{}, refuseErr(CodeEncoding, err)
	}
	res := Result{Capsule: o.Capsule}
	if o.Target != a.m.zone {
		return res, refuse(CodeZone, "offered to zone %s, this is %s", o.Target, a.m.zone)
	}
	r := a.target(o.Capsule)
	v := r.state().Standing(o.Hop, o.Expires, a.time)
	// What was decided for the slot stays what its newest certificate says.
	if v != handover.ExpiredNoRecord || a.outcome(handover.InSlot(o.Capsule, o.Hop)) != nil {
		return res, refuse(CodeState, "the offer has not expired without a record here")
	}
	a.certifyExpired(o, capsule.Sum(b))
	return res, nil
}

// ExpiredAnswer is the body of the decision that nothing is held of an offer whose time is over.
func ExpiredAnswer(offer capsule.Hash) ([]byte, error) {
	return (&handover.Answer{V: handover.Version, Offer: offer, Verdict: handover.ExpiredNoRecord, Reason: reasonUnreachable}).Bytes()
}

// certifyExpired leaves no row: anybody may ask about anything.
func (a *apply) certifyExpired(o *handover.Offer, hash capsule.Hash) {
	b, err := ExpiredAnswer(hash)
	if err != nil {
		a.fail(err)
		return
	}
	a.certify(handover.InSlot(o.Capsule, o.Hop), cert.ExpiredNoRecord, b)
}

// runClosed takes the source's word that it will not ask about an accepted hop again.
func runClosed(a *apply, p *prepared) (Result, *Refusal) {
	x := p.body.(*Closed)
	res := Result{Capsule: x.Capsule}
	r := a.target(x.Capsule)
	taken := r.taken(x.Hop)
	if taken == nil {
		res.Repeated = true
		return res, nil
	}
	d := &x.Certificate.Decision
	if d.Zone != taken.Source || d.Slot != (cert.Slot{Capsule: x.Capsule, Hop: x.Hop, Phase: cert.PhaseClose}) ||
		d.Verdict != cert.Closed && d.Verdict != cert.Abandoned {
		return res, refuse(CodeLineage, "%s of %s by %s is not the end of hop %d", d.Verdict, d.Slot, d.Zone, x.Hop)
	}
	if taken.Closed {
		res.Repeated = true
		return res, nil
	}
	if err := a.trust(&x.Certificate); err != nil {
		return res, refusalFrom(err)
	}
	next, err := r.state().Close(x.Hop)
	if err != nil {
		a.fail(err)
		return res, nil
	}
	a.saveTarget(x.Capsule, r.follow(next.Forget(a.time), capsule.ZoneID{}, capsule.Hash{}))
	return res, nil
}
