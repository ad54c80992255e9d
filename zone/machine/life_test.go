package machine

import (
	"errors"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

func TestLife(t *testing.T) {
	w := founded(t, 2)
	id := w.admit()
	out := w.last
	if got := out.Results[0]; got.Status != StatusRunning || got.Repeated {
		t.Fatalf("admission: %+v", got)
	}
	if len(out.Decisions) != 2 || out.Decisions[0].Verdict != cert.Admitted || out.Decisions[1].Verdict != cert.Leased {
		t.Fatalf("decisions %+v", out.Decisions)
	}
	if len(out.Effects) != 2 || out.Effects[0].Kind != EffectKeep || out.Effects[1].Kind != EffectDeliver || out.Effects[1].Worker != w.workers[0].Key() {
		t.Fatalf("effects %+v", out.Effects)
	}
	if c := w.capsule(id); c.Run.Seed != SegmentSeed(out.Chain, id, 0, 0) || c.Run.Clock != w.now {
		t.Fatalf("the first lease's seed does not follow from its entry: %+v", c.Run)
	}
	w.checkState()
	cmd := w.commitCmd(id, EndDone, func(c *Commit) {
		c.Reads = []Read{w.read(id, "orders/1")}
		c.Writes = []Write{put("orders/1", "one")}
		c.Events = []Event{{Topic: "news", Data: []byte("hello")}}
	})
	w.ok(cmd)
	if r := w.ok(cmd); !r.Repeated {
		t.Fatal("a commit that came twice was not recognised")
	}
	w.status(id, StatusDone)
	if got := w.get("orders/1"); got != "one" {
		t.Fatalf("orders/1 = %q", got)
	}
	o, err := w.view().Output(id)
	if err != nil || string(o.Data) != "out" || o.Charged == 0 || o.EventsPublished != 1 || o.Spent < 1000 {
		t.Fatalf("output %+v, %v", o, err)
	}
	if c, _ := w.view().Counts(); c.Live != 0 || c.FreeSlots != 2 || c.Ended != 1 {
		t.Fatalf("counts %+v", c)
	}
	w.checkState()
	w.tick(2 * 3_600_000)
	w.tick(2 * 3_600_000)
	if _, err := w.view().Capsule(id); !errors.Is(err, ErrNotFound) {
		t.Fatal("the capsule is remembered for ever")
	}
	w.checkState()
}

func TestCertifiedOutcome(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	w.ok(w.commitCmd(id, EndDone))
	batch, st, err := w.last.Batch()
	if err != nil {
		t.Fatal(err)
	}
	p := must(st.Payload())
	q := &cert.Quorate{Statement: st}
	for i := range w.set().Quorum() {
		q.Sigs = append(q.Sigs, cert.IndexSig{Pos: uint8(i), Sig: w.voters[i].Sign(cert.KindStatement, p)})
	}
	c, err := batch.Certificate(0, q)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(w.set()); err != nil {
		t.Fatal(err)
	}
	slots, _ := w.view().Slots(id)
	body := slots[len(slots)-1].Body
	var end EndBody
	if BodyHash(body) != c.Decision.Body || capsule.Unmarshal(body, &end) != nil || end.Output != capsule.Sum([]byte("out")) {
		t.Fatalf("the body is not what was certified: %+v", end)
	}
	// The certificate was lost: the same outcome comes again under a new index.
	w.tick(10)
	w.ok(must(NewRestate(c.Decision.Slot)))
	d := w.last.Decisions[0]
	if d.Contradicts(&c.Decision) || d.Verdict != cert.Finished || d.Body != c.Decision.Body || d.Index == c.Decision.Index {
		t.Fatalf("restated %+v", d)
	}
	w.refused(CodeUnknown, must(NewRestate(cert.Slot{Capsule: id, Segment: 9, Phase: cert.PhaseRun})))
}

// end is the body of the decision that ended a capsule.
func (w *world) end(id capsule.ID) (end EndBody) {
	w.t.Helper()
	rows, err := w.view().Slots(id)
	if err == nil && len(rows) > 0 {
		err = capsule.Unmarshal(rows[len(rows)-1].Body, &end)
	}
	if err != nil || end.Status == 0 {
		w.t.Fatalf("capsule %s has no end: %+v, %v", id, rows, err)
	}
	return end
}

func TestAdmitTwice(t *testing.T) {
	w := founded(t, 2)
	c := w.seal()
	cmd := must(NewAdmit(c.Bytes()))
	out := w.apply(cmd, cmd)
	if out.Results[0].Refusal != nil || out.Results[1].Refusal != nil || !out.Results[1].Repeated {
		t.Fatalf("results %+v", out.Results)
	}
	held := w.capsule(c.ID()).Gas.Hold
	w.ok(cmd)
	if acc, _ := w.view().Account(w.author.Key()); acc.Held != held {
		t.Fatalf("held %d, want %d", acc.Held, held)
	}
	// The same nonce under another manifest is another capsule by the same promise: refused.
	w.nonce--
	other := w.seal(func(m *capsule.Manifest) { m.Gas++ })
	w.refused(CodeReplay, must(NewAdmit(other.Bytes())))
	w.checkState()
}

func TestAdmitRefused(t *testing.T) {
	w := founded(t, 1)
	admit := func(change func(*capsule.Manifest)) []byte { return must(NewAdmit(w.seal(change).Bytes())) }
	for code, cmd := range map[Code][]byte{
		CodeZone: admit(func(m *capsule.Manifest) {
			m.Home = capsule.ZoneID{9}
			m.Itinerary = []capsule.Stop{{Name: "here", Zone: w.zone}}
		}),
		"not_yet":    admit(func(m *capsule.Manifest) { m.NotBefore = start + 1000 }),
		CodeExpired:  admit(func(m *capsule.Manifest) { m.Expires = start }),
		CodeMeter:    admit(func(m *capsule.Manifest) { m.MeterVersion = 2 }),
		CodePrice:    admit(func(m *capsule.Manifest) { m.MaxPrice = DefaultPolicy().Price.Gas - 1 }),
		CodeLimit:    admit(func(m *capsule.Manifest) { m.Limits.MemoryPages = DefaultPolicy().Bounds.Pages + 1 }),
		CodeFunds:    admit(func(m *capsule.Manifest) { m.Gas = 1 << 40 }),
		CodeEncoding: must(NewAdmit([]byte("garbage"))),
	} {
		before, _ := w.view().Totals()
		w.refused(code, cmd)
		if after, _ := w.view().Totals(); after != before {
			t.Errorf("%s: the refusal moved credits: %+v, %+v", code, before, after)
		}
	}
	c := w.seal()
	env := append([]byte(nil), c.Bytes()...)
	sig := c.Sig()
	i := strings.Index(string(env), string(sig[:]))
	env[i] ^= 1
	w.refused(Code(capsule.CodeSignature), must(NewAdmit(env)))

	// A chain that starts at nobody with authority.
	stranger := ident(77)
	chain, err := stranger.Delegate(nil, capsule.Grant{
		Audience: w.author.Key(), Subject: w.zone, Gas: 1 << 40, Expires: start + 3_600_000,
		Caps: []capsule.Cap{{Resource: "kv/orders/*", Ability: capsule.Read}},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := *c.Manifest()
	m.Nonce[15], m.Needs = 9, []capsule.Need{{Zone: w.zone, Resource: "kv/orders/*", Ability: capsule.Read}}
	sealed, err := capsule.Seal(w.author, &m, []capsule.Chain{chain})
	if err != nil {
		t.Fatal(err)
	}
	w.refused(CodeGrant, must(NewAdmit(sealed.Bytes())))

	// The authority of one chain does not lend itself to what only another, a stranger's, permits.
	little := w.rootGrant(capsule.Cap{Resource: "kv/orders/small", Ability: capsule.Read})
	m.Nonce[15]++
	for _, chains := range [][]capsule.Chain{{little, chain}, {chain, little}} {
		if sealed, err = capsule.Seal(w.author, &m, chains); err != nil {
			t.Fatal(err)
		}
		w.refused(CodeGrant, must(NewAdmit(sealed.Bytes())))
	}
	w.checkState()
}

func TestPayer(t *testing.T) {
	w := founded(t, 1)
	spend, err := w.payer.Delegate(nil, capsule.Grant{
		Audience: w.author.Key(), Subject: w.zone, Gas: 1 << 30, Expires: start + 3_600_000,
		Caps: []capsule.Cap{{Resource: capsule.ResourceAccount, Ability: capsule.Spend}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.nonce++
	m := &capsule.Manifest{
		Home: w.zone, Code: capsule.RawCID([]byte("code")), Entry: "run", Gas: 1_000_000, MaxPrice: 1 << 40,
		Expires: start + 3_600_000, MeterVersion: 1, Payer: w.payer.Key(), Nonce: [16]byte{1},
	}
	c, err := capsule.Seal(w.author, m, []capsule.Chain{spend})
	if err != nil {
		t.Fatal(err)
	}
	w.ok(must(NewAdmit(c.Bytes())))
	if acc, _ := w.view().Account(w.payer.Key()); acc.Held == 0 {
		t.Fatal("the payer's account holds nothing")
	}
	w.ok(must(NewRevoke(w.payer, &RevokeGrant{Scope: w.scope(), Chain: spend})))
	m.Nonce[0] = 2
	if c, err = capsule.Seal(w.author, m, []capsule.Chain{spend}); err != nil {
		t.Fatal(err)
	}
	w.refused(CodeRevoked, must(NewAdmit(c.Bytes())))
	w.checkState()
}

func TestQueue(t *testing.T) {
	w := founded(t, 1)
	pol := DefaultPolicy()
	pol.OpenWorkers, pol.Bounds.Queue = true, 2
	w.admin(cert.OpPolicy, &pol)
	a, b, c := w.admit(), w.admit(), w.admit()
	if r := w.last.Results[0]; r.Status != StatusReady || r.N != 2 {
		t.Fatalf("third admission %+v, want place 2", r)
	}
	w.refused(CodeCapacity, must(NewAdmit(w.seal().Bytes())))
	w.status(a, StatusRunning)
	w.ok(w.commitCmd(a, EndDone))
	w.status(b, StatusRunning)
	w.status(c, StatusReady)
	w.register(1, 4)
	w.status(c, StatusRunning)
	if w.workerOf(c) != w.workers[1] {
		t.Fatal("leased to a worker without room")
	}
	w.checkState()
}

func TestLeaseLost(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	stale := w.commitCmd(id, EndDone, func(c *Commit) { c.Writes = []Write{put("orders/1", "stale")} })
	seed := w.capsule(id).Run.Seed
	lease := DefaultPolicy().Times.Lease
	w.tick(lease / 2)
	w.wseq++
	w.ok(must(NewRenew(w.workers[0], &Renew{Scope: w.scope(), Sequence: w.wseq, Keep: []LeaseRef{{Capsule: id, Number: 1}}})))
	w.tick(lease - 1)
	w.status(id, StatusRunning)
	w.tick(1)
	w.status(id, StatusReady)
	if c, _ := w.view().Counts(); c.FreeSlots != 0 {
		t.Fatal("a silent worker still counts as free")
	}
	w.register(1, 1)
	c := w.status(id, StatusRunning)
	if c.Lease.Number != 2 || c.Run.Seed != seed || c.Gas.Spent+c.Gas.Retry != 0 {
		t.Fatalf("second lease %+v, seed %s, want %s, and nothing charged", c.Lease, c.Run.Seed, seed)
	}
	w.refused(CodeLease, stale)
	w.refused(CodeLease, must(NewCommit(w.workers[0], &Commit{Scope: w.scope(), Segment: w.segment(id), End: EndDone})))
	if w.get("orders/1") != "" {
		t.Fatal("a worker without lease wrote")
	}
	// Being told that it lost, the first worker comes back and gets work again.
	w.wseq++
	w.ok(must(NewRenew(w.workers[0], &Renew{Scope: w.scope(), Sequence: w.wseq, Keep: []LeaseRef{{Capsule: id, Number: 1}}})))
	if e := w.last.Effects[0]; e.Kind != EffectStop || e.Lease != 1 {
		t.Fatalf("effects %+v", w.last.Effects)
	}
	if c, _ := w.view().Counts(); c.FreeSlots != 1 {
		t.Fatal("the worker that is back is not free")
	}
	w.wseq++
	w.ok(must(NewRenew(w.workers[1], &Renew{Scope: w.scope(), Sequence: w.wseq, Drop: []LeaseRef{{Capsule: id, Number: 2}}})))
	if w.workerOf(id) == nil || w.capsule(id).Lease.Number != 3 {
		t.Fatal("a dropped lease was not given on")
	}
	// Why each attempt ended is certified with the result, and the work is charged once.
	r, err := w.view().Retries(id)
	if err != nil || r.Count != 2 {
		t.Fatalf("retries %+v, %v", r, err)
	}
	gas := w.capsule(id).Gas.Limit / 2
	w.ok(w.commitCmd(id, EndDone, func(c *Commit) { c.Gas = gas }))
	end := w.end(id)
	if len(end.Retries.Last) != 2 || end.Retries.Last[0].Cause != CauseLost || end.Retries.Last[0].Worker != w.workers[0].Key() ||
		end.Retries.Last[1].Cause != CauseReturned || end.Retries.Last[1].Worker != w.workers[1].Key() {
		t.Fatalf("retries %+v", end.Retries)
	}
	if end.Spent < gas || end.Spent > gas+10_000 || end.Retry != 0 {
		t.Fatalf("%d units spent, %d for retries, of one attempt with %d", end.Spent, end.Retry, gas)
	}
	if r, err := w.view().Retries(id); err != nil || r.Count != 0 {
		t.Fatalf("retries of an ended capsule are kept: %+v, %v", r, err)
	}
	w.checkState()
}

// TestRestartedWorker: a worker that begins anew before its lease runs out has lost the attempt. It is itemised, nothing is
// charged for it, and what was saved stays; a worker that only registers again keeps what it holds.
func TestRestartedWorker(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	register := func(began bool) []byte {
		w.wseq++
		cmd := must(NewRegister(w.workers[0], &Register{Scope: w.scope(), Sequence: w.wseq, Slots: 1, Pages: 1 << 16, Began: began}))
		w.ok(cmd)
		return cmd
	}
	register(false)
	if c := w.status(id, StatusRunning); c.Lease.Number != 1 {
		t.Fatalf("lease %+v after the worker registered again", c.Lease)
	}
	stale := w.commitCmd(id, EndDone)
	w.ok(must(NewCheckpoint(w.workerOf(id), &Checkpoint{Scope: w.scope(), Segment: w.segment(id), Gas: 1000, Saved: saved("checkpoint")})))
	begun := register(true)
	// Its answer was lost, and it is told again: the leases that it has got since are not of another life.
	if r := w.ok(begun); !r.Repeated {
		t.Fatalf("told twice: %+v", r)
	}
	c := w.status(id, StatusRunning)
	if c.Lease.Number != 2 || c.Lease.Worker != w.workers[0].Key() || c.Run.Meter != 1000 || c.Gas.Spent+c.Gas.Retry != 0 {
		t.Fatalf("lease %+v, saved at %d units, charged %+v", c.Lease, c.Run.Meter, c.Gas)
	}
	w.refused(CodeLease, stale)
	w.ok(w.commitCmd(id, EndDone, func(c *Commit) { c.Gas = 2000 }))
	end := w.end(id)
	if end.Retries.Count != 1 || end.Retries.Last[0].Cause != CauseRestarted || end.Retries.Last[0].Worker != w.workers[0].Key() || end.Retry != 0 {
		t.Fatalf("retries %+v, %d units of them", end.Retries, end.Retry)
	}
	if end.Spent < 2000 || end.Spent > 12_000 {
		t.Fatalf("%d units spent of one attempt with 2000", end.Spent)
	}
	w.checkState()
}

func TestSleep(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	due := w.now + 10_000
	w.ok(w.commitCmd(id, EndSleep, func(c *Commit) {
		c.Due = due
		c.Writes = []Write{put("orders/1", "before")}
	}))
	w.status(id, StatusSleeping)
	if w.last.Deadline != due {
		t.Fatalf("deadline %d, want %d", w.last.Deadline, due)
	}
	if w.get("orders/1") != "before" {
		t.Fatal("the segment before the sleep had no effect")
	}
	w.tick(9_999)
	w.status(id, StatusSleeping)
	w.tick(1)
	c := w.status(id, StatusRunning)
	if c.Segment != 1 || c.Run.Fresh || c.Run.Clock != due {
		t.Fatalf("woke as %+v", c.Run)
	}
	wr, err := w.view().Warrant(id)
	if err != nil || string(wr.Inline) != "state "+id.String() || wr.Segment.Segment != 1 {
		t.Fatalf("warrant %+v, %v", wr, err)
	}
	w.ok(w.commitCmd(id, EndDone))
	w.checkState()
}

func TestExpiry(t *testing.T) {
	w := founded(t, 1)
	running, waiting := w.admit(), w.admit()
	w.tick(3_600_000)
	w.status(running, StatusExpired)
	w.status(waiting, StatusExpired)
	acc, _ := w.view().Account(w.author.Key())
	if acc.Held != 0 {
		t.Fatalf("%d credits are held for nobody", acc.Held)
	}
	w.checkState()
}

func TestDryAndTopUp(t *testing.T) {
	w := founded(t, 1)
	id := w.admit(func(m *capsule.Manifest) { m.Gas = 5_000 })
	w.refused(CodeGas, w.commitCmd(id, EndDone, func(c *Commit) { c.Gas = 5_001 }))
	w.ok(w.commitCmd(id, EndDry, func(c *Commit) { c.Gas = 5_000 }))
	w.status(id, StatusSuspended)
	if v := w.last.Decisions[0].Verdict; v != cert.Suspended {
		t.Fatalf("verdict %s", v)
	}
	var key [16]byte
	key[0] = 1
	top := must(NewTopUp(w.payer, key, &TopUp{Scope: w.scope(), Capsule: id, Units: 50_000, Expires: w.now + 1000}))
	w.ok(top)
	if r := w.ok(top); !r.Repeated {
		t.Fatal("a top-up counted twice")
	}
	c := w.status(id, StatusRunning)
	if c.Gas.Limit != 55_000 || c.Run.Meter != 5_000 || c.Gas.Spent != 0 {
		t.Fatalf("budget %+v, meter %d", c.Gas, c.Run.Meter)
	}
	wr, err := w.view().Warrant(id)
	if err != nil || wr.Meter != 5_000 || string(wr.Inline) != "state "+id.String() {
		t.Fatalf("warrant %+v, %v", wr, err)
	}
	w.ok(w.commitCmd(id, EndDone, func(c *Commit) { c.Gas = 20_000 }))
	o, _ := w.view().Output(id)
	if o.Spent != 20_000+unitsCommit {
		t.Fatalf("spent %d units, want the segment's 20000 once and the commit's %d", o.Spent, unitsCommit)
	}
	w.refused(CodeState, must(NewTopUp(w.payer, [16]byte{2}, &TopUp{Scope: w.scope(), Capsule: id, Units: 1, Expires: w.now + 1000})))
	w.checkState()
}

func TestDryAndAbandoned(t *testing.T) {
	w := founded(t, 1)
	id := w.admit(func(m *capsule.Manifest) { m.Gas = 5_000 })
	w.ok(w.commitCmd(id, EndDry, func(c *Commit) { c.Gas = 5_000 }))
	w.tick(3_600_000)
	w.status(id, StatusExpired)
	if o, _ := w.view().Output(id); o.Spent != 5_000 {
		t.Fatalf("spent %d: the units that it ran were not charged", o.Spent)
	}
	w.checkState()
}

func TestCheckpoint(t *testing.T) {
	w := founded(t, 1)
	w.put(put("orders/1", "one"))
	id := w.admit()
	index := w.capsule(id).Lease.Index
	cp := func(gas uint64) []byte {
		return must(NewCheckpoint(w.workerOf(id), &Checkpoint{Scope: w.scope(), Segment: w.segment(id), Gas: gas, Saved: saved("checkpoint")}))
	}
	w.ok(cp(7_000))
	w.refused(CodeSequence, cp(6_000))
	w.put(put("orders/2", "two"))
	w.tick(DefaultPolicy().Times.Lease)
	w.status(id, StatusReady)
	w.put(put("orders/3", "three"))
	w.register(1, 1)
	c := w.status(id, StatusRunning)
	if c.Lease.Index != index || c.Run.Meter != 7_000 {
		t.Fatalf("the successor reads at %d from %d units, want %d and 7000", c.Lease.Index, c.Run.Meter, index)
	}
	w.ok(w.commitCmd(id, EndDone, func(c *Commit) {
		c.Gas = 9_000
		c.Reads = []Read{w.read(id, "orders/1")}
	}))
	if o, _ := w.view().Output(id); o.Spent != 9_000+unitsCommit+unitsItem+3*unitsByte || o.Retry != 0 {
		t.Fatalf("spent %d, retry %d", o.Spent, o.Retry)
	}
	w.checkState()
}

// A suspended capsule does not keep old values readable; when they are gone, it runs again from its start.
func TestCheckpointCollected(t *testing.T) {
	w := founded(t, 1)
	w.put(put("orders/1", "one"))
	id := w.admit(func(m *capsule.Manifest) { m.Gas = 20_000 })
	w.ok(w.commitCmd(id, EndDry, func(c *Commit) { c.Gas = 8_000 }))
	w.put(put("orders/1", "changed"))
	w.ok(must(NewTopUp(w.payer, [16]byte{1}, &TopUp{Scope: w.scope(), Capsule: id, Units: 50_000, Expires: w.now + 1000})))
	c := w.status(id, StatusRunning)
	if c.Run.Meter != 0 || c.Gas.Retry != 8_000 || c.Lease.Index != w.index {
		t.Fatalf("meter %d, retry %d, index %d of %d", c.Run.Meter, c.Gas.Retry, c.Lease.Index, w.index)
	}
	w.checkState()
}

func TestCancel(t *testing.T) {
	w := founded(t, 1)
	running, waiting := w.admit(), w.admit()
	cancel := func(id capsule.ID, by *capsule.Identity) []byte {
		return must(NewCancel(by, &Cancel{Scope: w.scope(), Capsule: id}))
	}
	w.refused(CodeSignature, cancel(waiting, w.owner))
	w.ok(cancel(waiting, w.author))
	w.status(waiting, StatusCancelled)
	w.refused(CodeState, w.commitCmd(running, EndCancel))
	w.ok(cancel(running, w.author))
	w.status(running, StatusRunning)
	if w.last.Effects[0].Kind != EffectStop {
		t.Fatalf("effects %+v", w.last.Effects)
	}
	w.ok(w.commitCmd(running, EndCancel, func(c *Commit) { c.Gas = 77 }))
	w.status(running, StatusCancelled)
	if o, _ := w.view().Output(running); o.Spent < 77 {
		t.Fatalf("output %+v", o)
	}
	// Cancelling what has not arrived bars it, and only its author can.
	c := w.seal()
	w.refused(CodeUnknown, cancel(c.ID(), w.author))
	w.refused(CodeSignature, must(NewCancel(w.owner, &Cancel{Scope: w.scope(), Capsule: c.ID(), Envelope: c.Bytes()})))
	w.ok(must(NewCancel(w.author, &Cancel{Scope: w.scope(), Capsule: c.ID(), Envelope: c.Bytes()})))
	if v := w.last.Decisions[0]; v.Verdict != cert.Tombstone || v.Slot.Capsule != c.ID() {
		t.Fatalf("decision %+v", v)
	}
	if r := w.ok(must(NewAdmit(c.Bytes()))); !r.Repeated || r.Status != StatusCancelled {
		t.Fatalf("admission after the tombstone: %+v", r)
	}
	w.checkState()
	w.tick(2*3_600_000 + 1)
	w.checkState()
}

func TestTrapDropsWrites(t *testing.T) {
	w := founded(t, 1)
	for _, end := range []End{EndFail, EndTrap} {
		id := w.admit()
		r := w.apply(w.commitCmd(id, end, func(c *Commit) { c.Writes = []Write{put("orders/1", "x")} })).Results[0]
		if r.Refusal == nil || r.Refusal.Code != CodeEncoding {
			t.Fatalf("a trap with writes: %+v", r)
		}
		w.ok(w.commitCmd(id, end, func(c *Commit) { c.Code, c.Output = 7, []byte("at main.go:3") }))
		o, _ := w.view().Output(id)
		if w.status(id, StatusFailed); o.Code != 7 || string(o.Data) != "at main.go:3" {
			t.Fatalf("output %+v", o)
		}
	}
	w.checkState()
}

func TestGotoWithoutHandover(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	w.ok(w.commitCmd(id, EndGoto, func(c *Commit) { c.Target = capsule.ZoneID{5} }))
	if c := w.status(id, StatusRunning); c.Segment != 1 || c.Run.Resume != resumeUnreachable {
		t.Fatalf("segment %d resumes with %d", c.Segment, c.Run.Resume)
	}
}
