package machine

import (
	"slices"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// What was decided about a capsule is remembered for Restate: its admission in its own row, the rest in tabSlots while it
// has a row, and in tabStray while it has none, or had none then.
//
// Invariant: there is a row in tabSlots if and only if there is a CapsuleRow with Slots set.

// slot names the outcome of capsule id.
func (r *SlotRow) slot(id capsule.ID) cert.Slot {
	return cert.Slot{Capsule: id, Hop: r.Hop, Segment: r.Segment, Phase: r.Phase}
}

// admission returns the outcome that c keeps itself, or nil.
func (c *CapsuleRow) admission() *SlotRow {
	if c.Admitted.At == 0 {
		return nil
	}
	return &SlotRow{Phase: cert.PhaseIn, Verdict: cert.Admitted, At: c.Admitted.At, Body: c.Admitted.Body}
}

// outcomes joins what is remembered in the three places, the newest last.
func outcomes(c *CapsuleRow, stray, slots SlotRows) []SlotRow {
	var all []SlotRow
	if c != nil {
		if r := c.admission(); r != nil {
			all = append(all, *r)
		}
	}
	return append(append(all, stray.Rows...), slots.Rows...)
}

// decide adds an outcome for the voters to certify and remembers it. c is the capsule's row, which the caller saves
// afterwards, or nil if it has none here. Outcomes at hop boundaries are kept all; of the others the newest.
func (a *apply) decide(c *CapsuleRow, slot cert.Slot, v cert.Verdict, body any) {
	b, err := capsule.Marshal(body)
	if err != nil {
		a.fail(err)
		return
	}
	a.certify(slot, v, b)
	if v == cert.Admitted {
		c.Admitted = Admission{At: a.index, Body: b}
		return
	}
	key := row(tabStray, slot.Capsule[:])
	if c != nil {
		key = row(tabSlots, slot.Capsule[:])
		if !c.Slots {
			a.fresh(key)
			c.Slots = true
		}
	}
	rows, _ := load[SlotRows](a.state, key)
	next := make([]SlotRow, 0, len(rows.Rows)+1)
	for _, r := range rows.Rows {
		boundary := r.Phase == cert.PhaseIn || r.Phase == cert.PhaseOut || r.Phase == cert.PhaseClose
		if r.Phase != slot.Phase || boundary && r.Hop != slot.Hop {
			next = append(next, r)
		}
	}
	next = append(next, SlotRow{Hop: slot.Hop, Segment: slot.Segment, Phase: slot.Phase, Verdict: v, At: a.index, Body: b})
	save(a.state, key, SlotRows{Rows: next})
}

func (a *apply) certify(slot cert.Slot, v cert.Verdict, body []byte) {
	a.out.Decisions = append(a.out.Decisions, cert.Decision{
		V: cert.Version, Zone: a.m.zone, Index: a.index, Chain: a.chain,
		Slot: slot, Verdict: v, Body: BodyHash(body),
	})
}

// BodyHash returns the hash that a Decision carries for the canonical bytes of its body.
func BodyHash(body []byte) capsule.Hash { return capsule.Sum(body) }

// outcome returns what was decided for a slot, if it is remembered.
func (a *apply) outcome(s cert.Slot) *SlotRow {
	c, ok := a.capsule(s.Capsule)
	if r := c.admission(); ok && r != nil && r.slot(s.Capsule) == s {
		return r
	}
	for _, tab := range []byte{tabSlots, tabStray} {
		if tab == tabSlots && !c.Slots {
			continue
		}
		rows, _ := load[SlotRows](a.state, row(tab, s.Capsule[:]))
		for i := range rows.Rows {
			if r := &rows.Rows[i]; r.slot(s.Capsule) == s {
				return r
			}
		}
	}
	return nil
}

// restate has an outcome that is remembered certified once more, at this entry.
func (a *apply) restate(s cert.Slot, r *SlotRow) {
	a.certify(s, r.Verdict, r.Body)
	c, ok := a.capsule(s.Capsule)
	if in := c.admission(); ok && in != nil && in.slot(s.Capsule) == s {
		c.Admitted.At = a.index
		save(a.state, row(tabCapsule, s.Capsule[:]), c)
		return
	}
	for _, tab := range []byte{tabSlots, tabStray} {
		key := row(tab, s.Capsule[:])
		rows, ok := load[SlotRows](a.state, key)
		i := slices.IndexFunc(rows.Rows, func(r SlotRow) bool { return r.slot(s.Capsule) == s })
		if !ok || i < 0 {
			continue
		}
		rows.Rows = slices.Clone(rows.Rows)
		rows.Rows[i].At = a.index
		save(a.state, key, rows)
		return
	}
}

// forgetOutcomes is for a capsule whose row goes. What was answered to another zone is said again as long as that zone may
// ask.
func (a *apply) forgetOutcomes(id capsule.ID, c *CapsuleRow) {
	slots, stray := row(tabSlots, id[:]), row(tabStray, id[:])
	if !a.has(row(tabTarget, id[:])) {
		a.delete(stray)
	} else {
		var mine SlotRows
		if c.Slots {
			mine, _ = load[SlotRows](a.state, slots)
		}
		old, _ := load[SlotRows](a.state, stray)
		save(a.state, stray, SlotRows{Rows: outcomes(c, old, mine)})
	}
	if c.Slots {
		a.delete(slots)
	}
}

// runRestate certifies an outcome again whose certificate was lost.
func runRestate(a *apply, p *prepared) (Result, *Refusal) {
	s := *p.body.(*cert.Slot)
	r := a.outcome(s)
	if r == nil {
		return Result{}, refuse(CodeUnknown, "no outcome for %s is remembered", s)
	}
	a.restate(s, r)
	return Result{Capsule: s.Capsule}, nil
}
