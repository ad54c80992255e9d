package machine

import (
	"errors"
	"slices"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/zone/cert"
)

// The journeys between whole zones are tested in package handover; here stands what one zone does by itself.

// pinned returns a zone that has pinned another one, and that one's voter.
func pinned(t *testing.T) (w *world, peer capsule.ZoneID, raw []byte, voter *capsule.Identity) {
	w = founded(t, 4)
	voter = ident(900)
	g := &cert.Genesis{
		V: cert.Version, Dev: true, Roots: []capsule.Key{ident(901).Key()}, Voters: []capsule.Key{voter.Key()}, MeterVersion: 1,
		Thresholds: cert.Thresholds{Policy: 1, Mint: 1, Membership: 1, Recover: 1},
	}
	raw = must(g.Bytes())
	w.admin(cert.OpPeer, &Peer{Genesis: raw, Cap: 1 << 40})
	return w, capsule.ZoneID(capsule.Sum(raw)), raw, voter
}

// certify is the other zone's certificate of anything.
func certify(t testing.TB, zone capsule.ZoneID, voter *capsule.Identity, slot cert.Slot, v cert.Verdict, body []byte) cert.Certificate {
	t.Helper()
	d := cert.Decision{V: cert.Version, Zone: zone, Index: 1, Slot: slot, Verdict: v, Body: capsule.Sum(body)}
	b, err := cert.NewBatch([]cert.Decision{d})
	if err != nil {
		t.Fatal(err)
	}
	q := &cert.Quorate{Statement: cert.Statement{V: cert.Version, Zone: zone, Index: 1, Root: b.Root()}}
	q.Sigs = []cert.IndexSig{{Sig: voter.Sign(cert.KindStatement, must(q.Statement.Payload()))}}
	c, err := b.Certificate(0, q)
	if err != nil {
		t.Fatal(err)
	}
	return *c
}

// offered admits a capsule that may go to the peer, and has it go.
func (w *world) offered(peer capsule.ZoneID, change ...func(*capsule.Manifest)) (capsule.ID, OutRow) {
	w.t.Helper()
	id := w.admit(append(change, func(m *capsule.Manifest) {
		m.Itinerary = []capsule.Stop{{Name: "there", Zone: peer}}
	})...)
	w.ok(w.commitCmd(id, EndGoto, func(c *Commit) { c.Target, c.Writes = peer, []Write{put("orders/left", "yes")} }))
	w.status(id, StatusOffered)
	o, err := w.view().Offered(id, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	w.checkState()
	return id, o
}

func (w *world) answerCmd(id capsule.ID, o *OutRow, zone capsule.ZoneID, voter *capsule.Identity, v handover.Verdict) []byte {
	a := &handover.Answer{V: 1, Offer: o.Hash, Verdict: v}
	verdict := cert.Accepted
	if v == handover.Accepted {
		a.Units = 1
	} else {
		a.Reason, verdict = 7, cert.Tombstone
	}
	b := must(a.Bytes())
	return must(NewAnswer(&Answered{Capsule: id, Answer: b, Certificate: certify(w.t, zone, voter, handover.InSlot(id, 0), verdict, b)}))
}

func TestReleaseAndReturn(t *testing.T) {
	w, peer, _, voter := pinned(t)
	before, _ := w.view().Account(w.author.Key())
	id, o := w.offered(peer)
	if w.get("orders/left") != "yes" {
		t.Error("what the segment wrote before it left is not kept")
	}
	if acc, _ := w.view().Account(w.author.Key()); acc.Held != 0 {
		t.Errorf("%d credits are held for a capsule that is on its way", acc.Held)
	}
	other := *w
	other.zone[3] ^= 1
	w.refused(CodeLineage, w.answerCmd(id, &OutRow{Hash: capsule.Sum(nil)}, peer, voter, handover.Accepted))
	w.refused(CodeSignature, w.answerCmd(id, &o, peer, ident(902), handover.Accepted))
	w.refused(CodeLineage, w.answerCmd(id, &o, other.zone, voter, handover.Accepted))
	w.ok(w.answerCmd(id, &o, peer, voter, handover.Tombstone))
	c := w.status(id, StatusRunning)
	if c.Hop != 1 || c.Segment != 0 || c.Run.Resume != -7 {
		t.Errorf("hop %d segment %d resumes with %d", c.Hop, c.Segment, c.Run.Resume)
	}
	w.checkState()
	w.ok(w.commitCmd(id, EndDone))
	w.checkState()
	if after, _ := w.view().Account(w.author.Key()); after.Available >= before.Available || after.Held != 0 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if p, err := w.view().Peer(peer); err != nil || p.Sent != 0 {
		t.Errorf("%d credits count as sent (%v)", p.Sent, err)
	}
}

func TestReleaseAccepted(t *testing.T) {
	w, peer, _, voter := pinned(t)
	id, o := w.offered(peer)
	w.ok(w.answerCmd(id, &o, peer, voter, handover.Accepted))
	w.status(id, StatusGone)
	w.checkState()
	if r := w.ok(w.answerCmd(id, &o, peer, voter, handover.Tombstone)); !r.Repeated {
		t.Error("a second, different answer changed something")
	}
	w.status(id, StatusGone)
	if n, _ := w.view().Counts(); n.Live != 0 {
		t.Errorf("%d capsules live here", n.Live)
	}
	w.tick(24 * 3_600_000)
	if _, err := w.view().Capsule(id); !errors.Is(err, ErrNotFound) {
		t.Errorf("a capsule that is gone is remembered for ever (%v)", err)
	}
	if _, err := w.view().Offered(id, 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("its offer is remembered for ever (%v)", err)
	}
	w.checkState()
}

func TestSilence(t *testing.T) {
	w, peer, _, voter := pinned(t)
	hold, o := w.offered(peer)
	abandon, _ := w.offered(peer, func(m *capsule.Manifest) { m.Silence = capsule.Abandon })
	times := DefaultPolicy().Times
	w.tick(times.Ask + 1)
	w.status(hold, StatusAsked)
	w.tick(times.Silence + 1)
	w.status(hold, StatusLimbo)
	w.status(abandon, StatusLimbo)
	w.tick(3_600_000)
	w.status(hold, StatusLimbo)
	w.status(abandon, StatusAbandoned)
	w.checkState()
	// The answer may come at any later time.
	w.ok(w.answerCmd(hold, &o, peer, voter, handover.Accepted))
	w.status(hold, StatusGone)
	w.checkState()
}

func TestCancelOnTheWay(t *testing.T) {
	w, peer, _, voter := pinned(t)
	id, o := w.offered(peer)
	w.ok(must(NewCancel(w.author, &Cancel{Scope: w.scope(), Capsule: id})))
	w.status(id, StatusAsked)
	w.ok(w.answerCmd(id, &o, peer, voter, handover.Tombstone))
	w.status(id, StatusCancelled)
	w.checkState()
}

func TestPeerEvidence(t *testing.T) {
	w, peer, raw, voter := pinned(t)
	id, o := w.offered(peer)
	slot := handover.InSlot(capsule.ID{9}, 3)
	yes, no := certify(t, peer, voter, slot, cert.Accepted, []byte("a")), certify(t, peer, voter, slot, cert.Tombstone, []byte("b"))
	none := certify(t, peer, voter, slot, cert.ExpiredNoRecord, []byte("c"))
	evidence := func(a, b cert.Certificate) []byte { return must(NewPeerEvidence(&cert.Evidence{A: a, B: b})) }
	w.refused(CodeLineage, evidence(yes, yes))
	w.refused(CodeLineage, evidence(yes, none))
	w.refused(CodeSignature, evidence(yes, certify(t, peer, ident(902), slot, cert.Tombstone, []byte("b"))))
	if out := w.apply(evidence(yes, no)); out.Results[0].Refusal != nil || !slices.ContainsFunc(out.Effects, func(e Effect) bool { return e.Kind == EffectFrozen && e.Zone == peer }) {
		t.Fatalf("%+v", out)
	}
	if p, err := w.view().Peer(peer); err != nil || !p.Frozen || len(p.Evidence) == 0 {
		t.Errorf("frozen %v with %d bytes of evidence (%v)", p.Frozen, len(p.Evidence), err)
	}
	w.refused(CodePeer, w.answerCmd(id, &o, peer, voter, handover.Accepted))
	w.status(id, StatusOffered)
	w.admin(cert.OpPeer, &Peer{Genesis: raw, Cap: 1 << 40})
	w.ok(w.answerCmd(id, &o, peer, voter, handover.Accepted))
	w.checkState()
}
