package machine

import (
	"errors"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/zone/cert"
)

// offer releases a capsule whose segment ended with the wish to go to target. If that can't be, it returns
// false and what the guest is told.
func (a *apply) offer(id capsule.ID, c *CapsuleRow, target capsule.ZoneID) (resume int32, ok bool) {
	if target == a.m.zone {
		return 0, false
	}
	p, _ := a.program(id)
	m, err := capsule.Decode(p.Envelope)
	if err != nil {
		a.fail(err)
		return 0, false
	}
	man := m.Manifest()
	peer, r := a.usablePeer(target)
	expires := min(man.Expires, sum(a.time, a.policy().Times.Offer))
	if r != nil || !man.Reaches(target) || expires <= a.time || len(a.lineage(id).Steps) >= handover.MaxSteps {
		return resumeUnreachable, false
	}
	src, err := handover.Source{Phase: handover.Running, Hop: c.Hop}.Release(expires)
	if err != nil {
		a.fail(err)
		return 0, false
	}
	c.Gas.Certificates += 2 // the release and its close
	credits, left := a.depart(c)
	o := &handover.Offer{
		V: handover.Version, Capsule: id, Hop: c.Hop, Source: a.m.zone, Target: target, Expires: src.Expires,
		Code: man.Code, Base: man.Base, State: c.Run.Saved.State, StateHash: c.Run.Saved.StateHash, StateSize: c.Run.Saved.Size,
		Credits: credits, Used: c.Gas.Used, Left: left, Charged: c.Gas.Paid,
	}
	b, err := o.Bytes()
	if err != nil {
		a.fail(err)
		return 0, false
	}
	peer.Sent = sum(peer.Sent, credits)
	a.savePeer(target, peer)
	save(a.state, outKey(id, c.Hop), OutRow{
		Offer: b, Hash: capsule.Sum(b), Target: target, Phase: src.Phase, Since: a.time, Expires: expires, Credits: credits,
	})
	a.setStatus(c, StatusOffered)
	a.decide(c, handover.OutSlot(id, c.Hop), cert.Released, o)
	a.effect(Effect{Kind: EffectOutbox, Capsule: id, N: uint64(c.Hop)})
	return 0, true
}

// depart settles what the stay has cost and takes the rest of the credits off the accounts, to travel. It
// returns them with the units that the author still allows.
func (a *apply) depart(c *CapsuleRow) (credits, left uint64) {
	g := &c.Gas
	left = g.left()
	due := sum(GasCost(g.Spent+g.Retry, g.Price.Gas), mulDivUp(uint64(g.Certificates), g.Price.Certificate, 1), g.Rent)
	var charged uint64
	for _, h := range append([]Hold{{Account: c.Payer, Amount: g.Hold}}, g.TopUps...) {
		part := min(due-charged, h.Amount)
		charged += part
		credits += h.Amount - part
		acc := a.account(h.Account)
		acc.Held -= h.Amount
		a.saveAccount(h.Account, acc)
	}
	a.burn(charged)
	t := a.totals()
	t.Sent += credits
	save(a.state, keyTotals, t)
	a.count(func(n *Counts) {
		n.UnitsSpent = sum(n.UnitsSpent, g.Spent)
		n.UnitsRetried = sum(n.UnitsRetried, g.Retry)
	})
	*g = GasState{Limit: left, Price: g.Price, Used: sum(g.Used, g.Spent, g.Retry), Paid: sum(g.Paid, charged)}
	return credits, left
}

// offerDue does what the time brings a capsule that is on its way.
func (a *apply) offerDue(id capsule.ID, c *CapsuleRow) {
	if a.time < a.wanted(c) {
		return
	}
	switch c.Status {
	case StatusOffered:
		a.ask(id, c)
	case StatusAsked:
		a.lose(id, c)
	case StatusLimbo:
		a.abandon(id, c)
	}
}

// step applies one transition of the source to the capsule's offer.
func (a *apply) step(id capsule.ID, c *CapsuleRow, status Status, fn func(handover.Source) (handover.Source, error)) {
	key := outKey(id, c.Hop)
	o, _ := load[OutRow](a.state, key)
	next, err := fn(handover.Source{Phase: o.Phase, Hop: c.Hop, Expires: o.Expires})
	if err != nil {
		a.fail(err)
		return
	}
	o.Phase = next.Phase
	save(a.state, key, o)
	if c.Status != status {
		a.setStatus(c, status)
	}
	a.effect(Effect{Kind: EffectOutbox, Capsule: id, N: uint64(c.Hop)})
}

// ask has the target say yes or no.
func (a *apply) ask(id capsule.ID, c *CapsuleRow) {
	if c.Status == StatusOffered {
		a.step(id, c, StatusAsked, handover.Source.Ask)
	}
}

// lose gives up hope. The offer stays, and so do its credits, unless the manifest says otherwise.
func (a *apply) lose(id capsule.ID, c *CapsuleRow) {
	a.step(id, c, StatusLimbo, handover.Source.Lose)
	p, _ := a.program(id)
	m, err := capsule.Decode(p.Envelope)
	if err != nil {
		a.fail(err)
		return
	}
	c.Wake = 0
	if m.Manifest().Silence == capsule.Abandon {
		c.Wake = max(a.time+1, c.Expires)
	}
}

// abandon writes a capsule off whose target stays silent. If the target has it, it runs there.
func (a *apply) abandon(id capsule.ID, c *CapsuleRow) {
	save(a.state, row(tabOutput, id[:]), Output{
		Status: StatusAbandoned, Charged: c.Gas.Paid, Spent: c.Gas.Used, Ended: a.time,
	})
	a.leave(id, c, StatusAbandoned, cert.Abandoned, &EndBody{
		Status: StatusAbandoned, Output: capsule.Sum(nil), Spent: c.Gas.Used, Charged: c.Gas.Paid,
	})
}

// leave ends the capsule's stay.
func (a *apply) leave(id capsule.ID, c *CapsuleRow, s Status, v cert.Verdict, body any) {
	key := outKey(id, c.Hop)
	o, _ := load[OutRow](a.state, key)
	o.Phase = handover.Closed
	save(a.state, key, o)
	a.setStatus(c, s)
	a.decide(c, cert.Slot{Capsule: id, Hop: c.Hop, Phase: cert.PhaseClose}, v, body)
	a.dropProgram(id, c)
	a.takeRetries(id, c)
	a.delete(row(tabLineage, id[:]))
	a.count(func(n *Counts) { n.Live-- })
	a.effect(Effect{Kind: EffectOutbox, Capsule: id, N: uint64(c.Hop)})
	a.effect(Effect{Kind: EffectEnded, Capsule: id})
}

// runAnswer takes the target's decision.
func runAnswer(a *apply, p *prepared) (Result, *Refusal) {
	x := p.body.(*Answered)
	res := Result{Capsule: x.Capsule}
	o, ok := load[OutRow](a.state, outKey(x.Capsule, x.Hop))
	c, known := a.capsule(x.Capsule)
	if !ok || !known {
		return res, refuse(CodeUnknown, "hop %d of %s is not on offer here", x.Hop, x.Capsule)
	}
	res.Status = c.Status
	ans, err := handover.ParseAnswer(x.Answer)
	if err != nil {
		return res, refuseErr(CodeEncoding, err)
	}
	if ans.Offer != o.Hash {
		return res, refuse(CodeLineage, "the answer is to another offer of hop %d", x.Hop)
	}
	if o.Phase == handover.Closed || c.Hop != x.Hop {
		res.Repeated = true
		return res, nil
	}
	if err := handover.CheckAnswer(ans, x.Answer, &x.Certificate, o.Target, x.Capsule, x.Hop, a.trust); err != nil {
		return res, refusalFrom(err)
	}
	a.answered(x.Capsule, &c, &o, ans, &x.Certificate)
	a.saveCapsule(x.Capsule, c)
	res.Status = c.Status
	return res, nil
}

// answered applies a verified answer.
func (a *apply) answered(id capsule.ID, c *CapsuleRow, o *OutRow, ans *handover.Answer, answered *cert.Certificate) {
	next, err := handover.Source{Phase: o.Phase, Hop: c.Hop, Expires: o.Expires}.Answer(c.Hop, ans.Verdict)
	if err != nil {
		if !errors.Is(err, handover.ErrStale) {
			a.fail(err)
		}
		return
	}
	if next.Phase == handover.Closed {
		a.leave(id, c, StatusGone, cert.Closed, &CloseBody{Offer: o.Hash, Credits: o.Credits})
		return
	}
	offer, err := handover.ParseOffer(o.Offer)
	if err != nil {
		a.fail(err)
		return
	}
	a.saveLineage(id, a.lineage(id), handover.Step{Offer: *offer, Answer: *ans, Answered: *answered})
	a.delete(outKey(id, c.Hop))
	a.comeBack(c, o)
	c.Hop, c.Segment = next.Hop, 0
	c.Run.Resume = -int32(ans.Reason)
	a.requeue(id, c)
}

// comeBack takes the credits of an offer that was turned down back into the books.
func (a *apply) comeBack(c *CapsuleRow, o *OutRow) {
	peer, _ := a.peer(o.Target)
	peer.Sent -= min(peer.Sent, o.Credits)
	a.savePeer(o.Target, peer)
	t := a.totals()
	t.Sent -= o.Credits
	save(a.state, keyTotals, t)
	acc := a.account(c.Payer)
	acc.Held += o.Credits
	a.saveAccount(c.Payer, acc)
	c.Gas.Hold, c.Gas.Certificates = o.Credits, 1
	c.Gas.Reserve = min(a.reserve(c.Gas.Price, c.StateBytes, c.Expires), o.Credits)
	c.Gas.Limit = min(c.Gas.Limit, handover.Units(o.Credits, c.Gas.Reserve, c.Gas.Price.Gas))
}
