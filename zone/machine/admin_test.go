package machine

import (
	"bytes"
	"errors"
	"maps"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

func TestGenesis(t *testing.T) {
	w := newWorld(t, 4)
	w.refused(CodeState, w.quorum(KindTick, &Tick{Scope: w.scope(), At: 1}, 3))
	if w.tx.Len() != 0 || !w.last.Chain.IsZero() {
		t.Fatal("a zone that does not exist keeps rows")
	}
	other := *w.genesis
	other.Nonce[0]++
	w.refused(CodeZone, must(NewGenesis(must(other.Bytes()))))
	w.refused(CodeEncoding, must(NewGenesis([]byte("garbage"))))
	w.ok(must(NewGenesis(w.raw)))
	if r := w.ok(must(NewGenesis(w.raw))); !r.Repeated {
		t.Fatal("founded twice")
	}
	w.refused(CodeExists, must(NewGenesis(must(other.Bytes()))))
	if _, err := New(capsule.ZoneID{1}, nil).Apply(w.tx, w.index+1, must(NewEntry(must(NewGenesis(w.raw))))); err == nil {
		t.Fatal("a machine of another zone applied to this state")
	}
	w.checkState()
}

func TestTick(t *testing.T) {
	w := founded(t, 1)
	tick := func(at uint64, n int) []byte {
		return w.quorum(KindTick, &Tick{Scope: w.scope(), Epoch: w.epoch, At: at}, n)
	}
	w.refused(CodeTime, tick(w.now, 3))
	w.refused(CodeTime, tick(w.now-1, 3))
	w.refused(CodeSignature, tick(w.now+1, 2))
	w.refused(CodeSignature, tick(w.now+1, 0))
	w.refused(CodeGeneration, w.quorum(KindTick, &Tick{Scope: w.scope(), Epoch: 1, At: w.now + 1}, 3))
	w.refused(CodeZone, w.quorum(KindTick, &Tick{Scope: NewScope(capsule.ZoneID{1}, 0), At: w.now + 1}, 3))
	// A quorum's signature of something else is none of a tick.
	p := must(capsule.Marshal(&Tick{Scope: w.scope(), At: w.now + 1}))
	var sigs []cert.IndexSig
	for i, v := range w.voters {
		sigs = append(sigs, cert.IndexSig{Pos: uint8(i), Sig: v.Sign(KindAttest.SigKind(), p)})
	}
	w.refused(CodeSignature, must(NewQuorum(KindTick, p, sigs)))
	w.ok(tick(w.now+1, 3))
	if h, _ := w.view().Head(); h.Time != w.now+1 {
		t.Fatalf("time %d", h.Time)
	}
}

func TestAdmin(t *testing.T) {
	w := founded(t, 1)
	credit := &Credit{Account: w.author.Key(), Amount: 5}
	next := w.seq + 1
	w.refused(CodeSignature, w.adminCmd(cert.OpCredit, next, credit, w.roots[0]))
	w.refused(CodeSequence, w.adminCmd(cert.OpCredit, next+1, credit, w.roots...))
	w.refused(CodeSequence, w.adminCmd(cert.OpCredit, next-1, credit, w.roots...))
	w.refused(CodeLimit, w.adminCmd(cert.OpCredit, next, &Credit{Account: w.author.Key(), Amount: 1 << 62}, w.roots...))
	w.refused(CodeEncoding, w.adminCmd(cert.OpCredit, next, &Credit{Amount: 5}, w.roots...))
	w.refused(CodeEncoding, w.adminCmd(cert.OpPolicy, next, &Policy{V: Version}, w.roots...))
	w.refused(CodeEncoding, w.adminCmd(cert.OpNamespace, next, &GiveNamespace{Name: "Bad/", Owner: w.owner.Key()}, w.roots...))
	w.refused(CodeFeature, w.adminCmd(cert.OpFeature, next, &SetFeature{Level: MaxFeature + 1}, w.roots...))
	w.refused(CodeEncoding, w.adminCmd(cert.OpPeer, next, &Peer{}, w.roots...))
	w.refused(CodePeer, w.adminCmd(cert.OpPeer, next, &Peer{Genesis: w.raw}, w.roots...))
	z := *w
	z.zone[0] ^= 1
	w.refused(CodeEncoding, z.adminCmd(cert.OpCredit, next, credit, w.roots...))
	before, _ := w.view().Account(w.author.Key())
	w.ok(w.adminCmd(cert.OpCredit, next, credit, w.roots[1:]...))
	// The same act again, by whatever roots, has happened; another under its number must not.
	if r := w.ok(w.adminCmd(cert.OpCredit, next, credit, w.roots...)); !r.Repeated || r.N != next {
		t.Fatalf("repeated: %+v", r)
	}
	w.refused(CodeSequence, w.adminCmd(cert.OpCredit, next, &Credit{Account: w.author.Key(), Amount: 6}, w.roots...))
	if after, err := w.view().Account(w.author.Key()); err != nil || after.Available != before.Available+5 {
		t.Fatalf("%d credits became %d", before.Available, after.Available)
	}
	w.checkState()
}

func TestFeature(t *testing.T) {
	w := founded(t, 1)
	level := &Attest{Scope: w.scope(), Fact: FactSupports, Until: MaxFeature + 1}
	w.refused(CodeSignature, w.quorum(KindAttest, level, 3)) // a quorum is not all
	w.ok(w.quorum(KindAttest, level, 4))
	before := w.tx.Clone()
	w.seq++
	_, err := w.try(w.adminCmd(cert.OpFeature, w.seq, &SetFeature{Level: MaxFeature + 1}, w.roots...))
	if !errors.Is(err, ErrUnknownEntry) {
		t.Fatalf("an old binary went on past a level that it does not know: %v", err)
	}
	if !equalTx(before, w.tx) {
		t.Fatal("the halt left writes")
	}
}

func equalTx(a, b *MemTx) bool { return maps.EqualFunc(a.rows, b.rows, bytes.Equal) }

func TestUnknownHalts(t *testing.T) {
	w := founded(t, 1)
	before := w.tx.Clone()
	for name, entry := range map[string][]byte{
		"entry version":       must(capsule.Marshal(&Entry{V: 2, Commands: [][]byte{{1}}})),
		"command version":     must(NewEntry(must(capsule.Marshal(&Command{V: 2, Kind: KindTick, Body: []byte{}})))),
		"kind":                must(NewEntry(must(capsule.Marshal(&Command{V: 1, Kind: kindEnd, Body: []byte{}})))),
		"kind after the last": must(NewEntry(must(capsule.Marshal(&Command{V: 1, Kind: kindEnd, Body: []byte{}})))),
		"after a good one": must(NewEntry(w.quorum(KindTick, &Tick{Scope: w.scope(), At: w.now + 5}, 3),
			must(capsule.Marshal(&Command{V: 1, Kind: 0, Body: []byte{}})))),
	} {
		if _, err := w.m.Apply(w.tx, w.index+1, entry); !errors.Is(err, ErrUnknownEntry) {
			t.Errorf("%s: %v", name, err)
		}
		if !equalTx(before, w.tx) {
			t.Fatalf("%s: the halt left writes", name)
		}
	}
	if _, err := w.m.Apply(w.tx, w.index, must(NewEntry(must(NewGenesis(w.raw))))); !errors.Is(err, ErrApplied) {
		t.Errorf("an index twice: %v", err)
	}
	// Garbage is refused, not halted on: a leader must not be able to stop the zone with it.
	out, err := w.m.Apply(w.tx, w.index+1, []byte("garbage"))
	if err != nil || out.Results[0].Refusal == nil || out.Chain == out.Previous {
		t.Fatalf("garbage: %+v, %v", out, err)
	}
}

func TestEpoch(t *testing.T) {
	w := founded(t, 1)
	five := idents(200, 5)
	e := &cert.Epoch{V: cert.Version, Number: 1, Voters: keysOf(five)}
	act := func(seq uint64, op cert.Op, e *cert.Epoch, signers int, roots ...*capsule.Identity) []byte {
		a := &cert.Admin{V: cert.Version, Zone: w.zone, Generation: w.gen, Sequence: seq, Op: op, Body: must(capsule.Marshal(e))}
		s, err := cert.SignAdmin(w.genesis, a, roots...)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range w.voters[:signers] {
			if err := s.SignEpoch(w.set(), v); err != nil {
				t.Fatal(err)
			}
		}
		return must(NewAdmin(s))
	}
	next := w.seq + 1
	w.refused(CodeSignature, act(next, cert.OpEpoch, e, 2, w.roots...))
	w.refused(CodeSignature, act(next, cert.OpEpoch, e, 3, w.roots[0]))
	w.refused(CodeGeneration, act(next, cert.OpEpoch, &cert.Epoch{V: 1, Number: 2, Voters: e.Voters}, 3, w.roots...))
	w.refused(CodeEncoding, act(next, cert.OpEpoch, &cert.Epoch{V: 1, Number: 1, Voters: e.Voters[:2]}, 3, w.roots...))
	old := w.quorum(KindTick, &Tick{Scope: w.scope(), At: w.now + 1}, 3)
	w.ok(act(next, cert.OpEpoch, e, 3, w.roots...))
	if w.last.Effects[0].Kind != EffectMembers || w.last.Epoch != 1 {
		t.Fatalf("outcome %+v", w.last)
	}
	w.refused(CodeGeneration, old)
	w.voters, w.epoch, w.seq = five, 1, next
	w.refused(CodeSignature, w.quorum(KindTick, &Tick{Scope: w.scope(), Epoch: 1, At: w.now + 1}, 3))
	w.tick(1)

	// A client follows what the zone keeps.
	tr, err := cert.NewTracker(w.raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.view().Epochs(0, 10, func(_ uint64, s cert.SignedAdmin) {
		if err := tr.Follow(&s); err != nil {
			t.Fatal(err)
		}
	}); err != nil || tr.Newest().Epoch != 1 {
		t.Fatalf("the tracker is at %d: %v", tr.Newest().Epoch, err)
	}

	// Recovery: k roots, a retained log, a new generation. Leases end with the old one.
	id := w.admit()
	three := idents(600, 3)
	head, _ := w.view().Head()
	rec := &cert.Epoch{V: cert.Version, Number: 2, Voters: keysOf(three), RetainedIndex: head.Index, RetainedChain: head.Chain}
	next++
	cmd := act(next, cert.OpRecover, rec, 0, w.roots...)
	stale := w.commitCmd(id, EndDone)
	w.ok(cmd)
	if w.last.Generation != 1 || w.last.Epoch != 2 {
		t.Fatalf("outcome %+v", w.last)
	}
	w.refused(CodeGeneration, stale)
	w.gen, w.epoch, w.voters, w.seq = 1, 2, three, next
	if c := w.status(id, StatusRunning); c.Lease.Number != 2 {
		t.Fatalf("the lease of the old generation lives: %+v", c.Lease)
	}
	w.refused(CodeSequence, act(next+1, cert.OpRecover, &cert.Epoch{V: 1, Number: 3, Voters: keysOf(three), RetainedIndex: 1}, 0, w.roots...))
	w.tick(5)
	w.ok(w.commitCmd(id, EndDone))
	w.checkState()
}

func TestWorkerGrant(t *testing.T) {
	w := founded(t, 0)
	pol := DefaultPolicy()
	w.admin(cert.OpPolicy, &pol)
	k := w.workers[0]
	reg := func(chain capsule.Chain) []byte {
		w.wseq++
		return must(NewRegister(k, &Register{Scope: w.scope(), Sequence: w.wseq, Slots: 1, Pages: 100, Chain: chain}))
	}
	delegate := func(by *capsule.Identity, to capsule.Key, resource string) capsule.Chain {
		c, err := by.Delegate(nil, capsule.Grant{
			Audience: to, Subject: w.zone, Expires: start + 3_600_000, Caps: []capsule.Cap{{Resource: resource, Ability: capsule.Write}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	w.refused(CodeGrant, reg(nil))
	w.refused(CodeGrant, reg(delegate(w.owner, k.Key(), ResourceWorker)))
	w.refused(CodeGrant, reg(delegate(w.roots[0], w.owner.Key(), ResourceWorker)))
	w.refused(CodeGrant, reg(delegate(w.roots[0], k.Key(), "kv/orders/*")))
	chain := delegate(w.roots[0], k.Key(), ResourceWorker)
	w.ok(reg(chain))
	w.wseq--
	if r := w.ok(reg(chain)); !r.Repeated {
		t.Errorf("the same command again: %+v", r)
	}
	w.wseq -= 2
	w.refused(CodeSequence, reg(chain))
	w.wseq++
	w.refused(CodeUnknown, must(NewRenew(w.workers[1], &Renew{Scope: w.scope(), Sequence: 1})))
	id := w.admit()
	w.status(id, StatusRunning)
	w.ok(must(NewRevoke(w.roots[0], &RevokeGrant{Scope: w.scope(), Chain: chain})))
	w.status(id, StatusReady)
	w.refused(CodeRevoked, reg(chain))
	w.wseq++
	w.refused(CodeGrant, must(NewRenew(k, &Renew{Scope: w.scope(), Sequence: w.wseq})))
	w.checkFree()

	// A right that ends by itself ends the work too.
	k = w.workers[2]
	short, err := w.roots[1].Delegate(nil, capsule.Grant{
		Audience: k.Key(), Subject: w.zone, Expires: w.now + 1_000, Caps: []capsule.Cap{{Resource: ResourceWorker, Ability: capsule.Write}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.ok(reg(short))
	w.status(id, StatusRunning)
	w.tick(1_000)
	w.status(id, StatusReady)
	w.checkFree()
	// Workers that are gone are forgotten.
	w.tick(DefaultPolicy().Times.MaxExpiry)
	if n, _ := w.view().Counts(); n.Workers != 0 {
		t.Fatalf("%d workers are remembered for ever", n.Workers)
	}
	w.checkState()
	k = w.workers[0]
	pol.Bounds.Workers = 1
	pol.OpenWorkers = true
	w.admin(cert.OpPolicy, &pol)
	w.ok(reg(nil))
	k = w.workers[1]
	w.refused(CodeCapacity, reg(nil))
	w.checkState()
}

func TestDrain(t *testing.T) {
	w := founded(t, 2)
	a := w.admit()
	w.wseq++
	w.ok(must(NewRegister(w.workers[0], &Register{Scope: w.scope(), Sequence: w.wseq, Slots: 2, Pages: 1 << 16, Drain: true})))
	b := w.admit()
	w.status(a, StatusRunning)
	w.status(b, StatusReady)
	w.ok(w.commitCmd(a, EndYield))
	w.status(a, StatusReady)
	w.register(1, 2)
	w.status(a, StatusRunning)
	w.status(b, StatusRunning)
	w.checkState()
}

func TestMemoryFits(t *testing.T) {
	w := founded(t, 0)
	w.wseq++
	w.ok(must(NewRegister(w.workers[0], &Register{Scope: w.scope(), Sequence: w.wseq, Slots: 4, Pages: 40})))
	pages := func(n uint32) func(*capsule.Manifest) {
		return func(m *capsule.Manifest) { m.Limits.MemoryPages = n }
	}
	big, large, small := w.admit(pages(30)), w.admit(pages(20)), w.admit(pages(10))
	w.status(big, StatusRunning)
	w.status(large, StatusReady)
	w.status(small, StatusRunning)
	w.ok(w.commitCmd(big, EndDone))
	w.status(large, StatusRunning)
	w.checkState()
}

func TestNamespaces(t *testing.T) {
	w := founded(t, 1)
	w.put(put("orders/1", "one"))
	w.refused(CodeDenied, w.putCmd(w.author, nil, put("orders/1", "x")))
	w.refused(CodeDenied, w.putCmd(w.owner, nil, put("other/1", "x")))
	w.ok(w.putCmd(w.author, w.grant(), put("orders/2", "x")))
	w.refused(CodeGrant, w.putCmd(w.payer, w.grant(), put("orders/2", "x")))
	w.refused(CodeQuota, w.putCmd(w.owner, nil, put("orders/3", string(make([]byte, 10_000)))))
	cmd := w.putCmd(w.owner, nil, put("orders/4", "x"))
	w.ok(cmd)
	if r := w.ok(cmd); !r.Repeated {
		t.Fatal("a write happened twice")
	}
	var x Command
	if err := capsule.Unmarshal(cmd, &x); err != nil {
		t.Fatal(err)
	}
	x.Key[0] ^= 1
	w.refused(CodeReplay, must(capsule.Marshal(&x))) // the same signed request, repeated under another key
	w.refused(CodeReplay, must(NewData(w.owner, [16]byte{}, &Data{Scope: w.scope(), Expires: w.now + 1, Writes: []Write{put("orders/5", "")}})))
	w.refused(CodeExpired, must(NewData(w.owner, [16]byte{1}, &Data{Scope: w.scope(), Expires: w.now, Writes: []Write{put("orders/5", "")}})))
	w.refused(CodeTime, must(NewData(w.owner, [16]byte{1}, &Data{Scope: w.scope(), Expires: w.now + 1<<40, Writes: []Write{put("orders/5", "")}})))
	w.nonce-- // the key of the last write
	w.refused(CodeReplay, w.putCmd(w.owner, nil, put("orders/5", "other")))
	w.refused(CodeConflict, must(NewData(w.owner, [16]byte{2}, &Data{
		Scope: w.scope(), Expires: w.now + 1, Writes: []Write{put("orders/1", "")}, Reads: []Read{{Key: []byte("orders/1")}},
	})))

	give := func(by *capsule.Identity, seq uint64, to capsule.Key) []byte {
		return must(NewNamespace(by, &Transfer{Scope: w.scope(), Namespace: "orders", Sequence: seq, To: to}))
	}
	w.refused(CodeSignature, give(w.author, 1, w.author.Key()))
	w.refused(CodeSequence, give(w.owner, 2, w.author.Key()))
	w.ok(give(w.owner, 1, w.author.Key()))
	// Whoever did not learn the outcome says the same again.
	if r := w.ok(give(w.owner, 1, w.author.Key())); !r.Repeated || r.N != 1 {
		t.Fatalf("repeated: %+v", r)
	}
	w.refused(CodeSignature, give(w.owner, 1, w.payer.Key()))
	w.refused(CodeSignature, give(w.owner, 2, w.owner.Key()))
	w.refused(CodeDenied, w.putCmd(w.owner, nil, put("orders/1", "x")))
	w.ok(w.putCmd(w.author, nil, put("orders/1", "x")))
	w.checkState()
}

func TestRent(t *testing.T) {
	w := founded(t, 1)
	poor := ident(55)
	w.admin(cert.OpCredit, &Credit{Account: poor.Key(), Amount: 1_500})
	w.admin(cert.OpNamespace, &GiveNamespace{Name: "rented", Owner: poor.Key(), Quota: 1 << 20})
	if acc, _ := w.view().Account(poor.Key()); acc.Available != 500 {
		t.Fatalf("account %+v after an hour's rent of 1000", acc)
	}
	w.ok(w.putCmd(poor, nil, put("rented/1", "x")))
	w.tick(3_600_000)
	w.refused(CodeNamespace, w.putCmd(poor, nil, put("rented/2", "x")))
	w.ok(w.putCmd(poor, nil, Write{Key: []byte("rented/1"), Delete: true}))
	w.admin(cert.OpCredit, &Credit{Account: poor.Key(), Amount: 5_000})
	w.tick(3_600_000)
	w.ok(w.putCmd(poor, nil, put("rented/2", "x")))
	w.checkState()
}

func TestHeldCap(t *testing.T) {
	w := founded(t, 1)
	pol := DefaultPolicy()
	pol.OpenWorkers, pol.Bounds.Held = true, 1500
	w.admin(cert.OpPolicy, &pol)
	w.admit()
	w.refused(CodeHeldCap, must(NewAdmit(w.seal().Bytes())))
	w.checkState()
}

func TestRefundFee(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	hold := w.capsule(id).Gas.Hold
	w.ok(must(NewCancel(w.author, &Cancel{Scope: w.scope(), Capsule: id})))
	w.ok(w.commitCmd(id, EndCancel, func(c *Commit) { c.Gas = 0 }))
	o, _ := w.view().Output(id)
	if o.Fee == 0 || o.Charged+o.Fee+o.Refunded != hold {
		t.Fatalf("of %d: charged %d, fee %d, refunded %d", hold, o.Charged, o.Fee, o.Refunded)
	}
	w.checkState()
}

func TestPolicyCheck(t *testing.T) {
	ok := DefaultPolicy()
	if err := ok.check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Policy){
		"version":    func(p *Policy) { p.V++ },
		"price":      func(p *Policy) { p.Price.Storage = 1<<40 + 1 },
		"share":      func(p *Policy) { p.Price.FreeRefund = 1001 },
		"held":       func(p *Policy) { p.Bounds.Held = 1 << 62 },
		"no capsule": func(p *Policy) { p.Bounds.Live = 0 },
		"lease":      func(p *Policy) { p.Times.Lease = 99 },
		"rent":       func(p *Policy) { p.Times.Rent = 1 },
		"period":     func(p *Policy) { p.Times.KeepEvent = 1 << 60 },
	} {
		p := DefaultPolicy()
		if change(&p); p.check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestView(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	v := w.view()
	if b, err := v.Genesis(); err != nil || !bytes.Equal(b, w.raw) {
		t.Fatal("genesis", err)
	}
	if s, err := v.Voters(); err != nil || s.Zone != w.zone || len(s.Keys) != 4 {
		t.Fatal("voters", err)
	}
	if p, err := v.Policy(); err != nil || !p.OpenWorkers {
		t.Fatal("policy", err)
	}
	if at, err := v.Deadline(); err != nil || at != w.last.Deadline || at == 0 {
		t.Fatal("deadline", at, err)
	}
	if h, err := v.StateHash(); err != nil || h != w.last.State {
		t.Fatal("state hash", err)
	}
	if c, ok := v.ChainAt(w.index); !ok || c != w.last.Chain {
		t.Fatal("chain")
	}
	if c, ok := v.ChainAt(w.index - 1); !ok || c != w.last.Previous {
		t.Fatal("chain before")
	}
	if _, ok := v.ChainAt(w.index + 1); ok {
		t.Fatal("the chain of an entry to come")
	}
	if r, err := v.Rights(id); err != nil || Permits(r.Caps, ResourceData, []byte("orders/\x00")) != capsule.Read|capsule.Write|capsule.Delete {
		t.Fatal("rights", err)
	}
	var names []string
	if err := v.Namespaces("", 10, func(n string, _ NamespaceRow) { names = append(names, n) }); err != nil || len(names) != 1 || names[0] != "orders" {
		t.Fatal("namespaces", names, err)
	}
	if _, err := v.Warrant(capsule.ID{}); !errors.Is(err, ErrNotFound) {
		t.Fatal("a warrant for nothing", err)
	}
}
