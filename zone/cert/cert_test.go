package cert

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kitwork/kwnode/capsule"
)

func idents(from uint64, n int) []*capsule.Identity {
	ids := make([]*capsule.Identity, n)
	for i := range ids {
		var seed [32]byte
		binary.BigEndian.PutUint64(seed[:], from+uint64(i))
		ids[i] = capsule.IdentityFromSeed(seed)
	}
	slices.SortFunc(ids, func(a, b *capsule.Identity) int {
		ka, kb := a.Key(), b.Key()
		return bytes.Compare(ka[:], kb[:])
	})
	return ids
}

func keys(ids []*capsule.Identity) []capsule.Key {
	var ks []capsule.Key
	for _, id := range ids {
		ks = append(ks, id.Key())
	}
	return ks
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type zone struct {
	genesis       *Genesis
	raw           []byte
	roots, voters []*capsule.Identity
	set           VoterSet
}

func newZone(voters int) *zone {
	z := &zone{roots: idents(1, 3), voters: idents(100, voters)}
	z.genesis = &Genesis{
		V: Version, Dev: voters < 3, Roots: keys(z.roots), Voters: keys(z.voters), MeterVersion: 1,
		Thresholds: Thresholds{Policy: 1, Mint: 2, Membership: 2, Recover: 3},
	}
	z.raw = must(z.genesis.Bytes())
	z.set = z.genesis.VoterSet(capsule.ZoneID(capsule.Sum(z.raw)))
	return z
}

func (z *zone) decisions(n int, index uint64) []Decision {
	ds := make([]Decision, n)
	for i := range ds {
		ds[i] = Decision{
			V: Version, Zone: z.set.Zone, Generation: z.set.Generation, Epoch: z.set.Epoch, Index: index, Time: 1000 + index,
			Slot:    Slot{Capsule: capsule.ID(capsule.Sum([]byte{byte(i), byte(i >> 8)})), Segment: 3, Phase: PhaseRun},
			Verdict: Committed, Chain: chainAt(index), Body: capsule.Sum([]byte{byte(i)}),
		}
	}
	return ds
}

func chainAt(index uint64) capsule.Hash {
	return capsule.Sum(binary.BigEndian.AppendUint64([]byte("chain"), index))
}

func (z *zone) statement(b *Batch, index uint64) Statement {
	return Statement{
		V: Version, Zone: z.set.Zone, Generation: z.set.Generation, Epoch: z.set.Epoch, Index: index, Time: 1000 + index,
		Chain: chainAt(index), Root: b.Root(), State: capsule.Sum([]byte("state")),
	}
}

func (z *zone) sign(st Statement, voters ...int) *Quorate {
	p := must(st.Payload())
	q := &Quorate{Statement: st}
	for _, i := range voters {
		q.Sigs = append(q.Sigs, IndexSig{Pos: uint8(i), Sig: z.voters[i].Sign(KindStatement, p)})
	}
	return q
}

func (z *zone) certificate(n, i int, voters ...int) *Certificate {
	b := must(NewBatch(z.decisions(n, 7)))
	return must(b.Certificate(i, z.sign(z.statement(b, 7), voters...)))
}

func TestQuorum(t *testing.T) {
	want := map[int][2]int{1: {0, 1}, 2: {0, 2}, 3: {0, 2}, 4: {1, 3}, 5: {1, 4}, 6: {1, 4}, 7: {2, 5}, 8: {2, 6}, 9: {2, 6}}
	for n := 1; n <= MaxVoters; n++ {
		f, q := Faults(n), Quorum(n)
		if want[n] != [2]int{f, q} {
			t.Errorf("n=%d: f=%d t=%d, want %v", n, f, q, want[n])
		}
		if n >= 3*f+1 && 2*q-n < f+1 {
			t.Errorf("n=%d: two quorums of %d share only %d voters, of which %d may lie", n, q, 2*q-n, f)
		}
		if n-f < q {
			t.Errorf("n=%d: %d liars could stop certification", n, f)
		}
	}
}

func TestCertificate(t *testing.T) {
	z := newZone(4)
	for _, n := range []int{1, 2, 3, 5, 8, 13, 64, 100} {
		b := must(NewBatch(z.decisions(n, 7)))
		q := z.sign(z.statement(b, 7), 0, 2, 3)
		for i := range n {
			c := must(b.Certificate(i, q))
			if err := c.Verify(&z.set); err != nil {
				t.Fatalf("%d of %d: %v", i, n, err)
			}
			back := must(ParseCertificate(must(c.Bytes())))
			if err := back.Verify(&z.set); err != nil {
				t.Fatalf("%d of %d decoded: %v", i, n, err)
			}
		}
	}
	if _, err := NewBatch(make([]Decision, MaxBatch+1)); err == nil {
		t.Fatal("a batch beyond the bound")
	}
}

func TestCertificateRefused(t *testing.T) {
	z := newZone(4)
	other := newZone(3)
	for name, c := range map[string]*Certificate{
		"too few":      z.certificate(5, 2, 0, 1),
		"one twice":    z.certificate(5, 2, 0, 0, 1),
		"out of order": z.certificate(5, 2, 2, 1, 0),
		"no signature": z.certificate(5, 2),
	} {
		if err := c.Verify(&z.set); !errors.Is(err, ErrSignatures) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := z.certificate(5, 2, 0, 1, 2)
	if err := c.Verify(&other.set); err == nil {
		t.Error("verified for another zone")
	}
	next := z.set
	next.Epoch++
	if err := c.Verify(&next); !errors.Is(err, ErrEpoch) {
		t.Errorf("another epoch: %v", err)
	}
	// A decision that was not in the batch, under a batch that was signed.
	b := must(NewBatch(z.decisions(5, 7)))
	forged := *c
	forged.Decision.Verdict = Finished
	if err := forged.Verify(&z.set); err == nil {
		t.Error("a decision outside the batch")
	}
	moved := *c
	moved.Path = b.Path(3)
	if err := moved.Verify(&z.set); err == nil {
		t.Error("another decision's path")
	}
	// An inner node must not pass for a leaf of a smaller tree.
	small := *c
	small.Path = Path{Leaf: 0, Count: 1}
	if err := small.Verify(&z.set); err == nil {
		t.Error("a shortened path")
	}
}

func TestBitFlips(t *testing.T) {
	z := newZone(4)
	raw := must(z.certificate(5, 2, 0, 1, 2).Bytes())
	for bit := range len(raw) * 8 {
		b := bytes.Clone(raw)
		b[bit/8] ^= 1 << (bit % 8)
		if c, err := ParseCertificate(b); err == nil && c.Verify(&z.set) == nil {
			t.Fatalf("bit %d of %d flipped, and the certificate still holds", bit, len(raw)*8)
		}
	}
}

func TestGenesis(t *testing.T) {
	z := newZone(4)
	if _, id, err := ParseGenesis(z.raw); err != nil || id != z.set.Zone {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Genesis){
		"version":       func(g *Genesis) { g.V = 2 },
		"no root":       func(g *Genesis) { g.Roots = nil },
		"doubled voter": func(g *Genesis) { g.Voters = append(slices.Clone(g.Voters[:1]), g.Voters...) },
		"unsorted":      func(g *Genesis) { g.Voters = []capsule.Key{g.Voters[1], g.Voters[0], g.Voters[2]} },
		"two voters":    func(g *Genesis) { g.Voters = g.Voters[:2] },
		"threshold 0":   func(g *Genesis) { g.Thresholds.Mint = 0 },
		"threshold 4":   func(g *Genesis) { g.Thresholds.Recover = 4 },
		"weak voter":    func(g *Genesis) { g.Voters = append([]capsule.Key{{}}, g.Voters...) },
		"ten voters":    func(g *Genesis) { g.Voters = keys(idents(50, 10)) },
	} {
		g := *z.genesis
		change(&g)
		if g.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := g.Bytes(); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

// epoch returns the act that brings voters as epoch n.
func (z *zone) epoch(t *testing.T, op Op, set VoterSet, n uint64, voters []*capsule.Identity, roots []*capsule.Identity, signers ...*capsule.Identity) *SignedAdmin {
	t.Helper()
	e := &Epoch{V: Version, Number: n, Voters: keys(voters)}
	if op == OpRecover {
		e.RetainedIndex, e.RetainedChain = 50, chainAt(50)
	}
	a := &Admin{V: Version, Zone: set.Zone, Generation: set.Generation, Sequence: n, Op: op, Body: must(capsule.Marshal(e))}
	s, err := SignAdmin(z.genesis, a, roots...)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range signers {
		if err := s.SignEpoch(&set, v); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestEpochs(t *testing.T) {
	z := newZone(4)
	tr := must(NewTracker(z.raw))
	five := idents(100, 5)
	good := z.epoch(t, OpEpoch, z.set, 1, five, z.roots[:2], z.voters[:3]...)

	for name, s := range map[string]*SignedAdmin{
		"one root":     z.epoch(t, OpEpoch, z.set, 1, five, z.roots[:1], z.voters[:3]...),
		"two voters":   z.epoch(t, OpEpoch, z.set, 1, five, z.roots[:2], z.voters[:2]...),
		"skips one":    z.epoch(t, OpEpoch, z.set, 2, five, z.roots[:2], z.voters[:3]...),
		"not an epoch": must(SignAdmin(z.genesis, &Admin{V: Version, Zone: z.set.Zone, Sequence: 1, Op: OpPolicy, Body: []byte{}}, z.roots...)),
	} {
		if err := tr.Follow(s); err == nil {
			t.Errorf("%s: followed", name)
		}
	}
	if err := tr.Follow(good); err != nil {
		t.Fatal(err)
	}
	if err := tr.Follow(good); err != nil {
		t.Fatalf("the same epoch again: %v", err)
	}
	if n := tr.Newest(); n.Epoch != 1 || len(n.Keys) != 5 {
		t.Fatalf("newest %+v", n)
	}
	// A certificate of the old epoch still verifies; one signed by retired keys as the new epoch doesn't.
	c := z.certificate(5, 2, 0, 1, 2)
	if err := tr.Verify(c); err != nil {
		t.Fatal(err)
	}
	z.set = tr.Newest()
	if err := tr.Verify(z.certificate(5, 2, 0, 1, 2)); err == nil {
		t.Fatal("three of the old four passed for four of five")
	}

	path := filepath.Join(t.TempDir(), "anchor")
	if err := tr.Save(path); err != nil {
		t.Fatal(err)
	}
	back := must(LoadTracker(path))
	if n := back.Newest(); n.Epoch != 1 || back.Zone() != tr.Zone() || back.Time() != tr.Time() {
		t.Fatalf("loaded %+v", n)
	}
}

// Each operator signs on a machine of his own; the parts are joined.
func TestMerge(t *testing.T) {
	z := newZone(4)
	part := func(root int, voter int) *SignedAdmin {
		return z.epoch(t, OpEpoch, z.set, 1, idents(100, 5), z.roots[root:root+1], z.voters[voter])
	}
	s := part(2, 3)
	for _, p := range []*SignedAdmin{part(0, 1), part(0, 0), part(2, 3)} {
		if err := s.Merge(p); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.Roots) != 2 || len(s.Voters) != 3 {
		t.Fatalf("%d root and %d voter signatures", len(s.Roots), len(s.Voters))
	}
	next, e, err := s.Next(z.genesis, &z.set)
	if err != nil || next.Epoch != 1 || len(e.Voters) != 5 {
		t.Fatal(next, err)
	}
	if err := s.Merge(z.epoch(t, OpEpoch, z.set, 2, idents(100, 5), z.roots[:1])); err == nil {
		t.Fatal("signatures of another act were joined")
	}
	if _, err := SignAdmin(z.genesis, &Admin{}, z.voters[0]); err == nil {
		t.Fatal("signed without a root key")
	}
	if err := s.SignEpoch(&z.set, z.roots[0]); err == nil {
		t.Fatal("a root signed as voter")
	}
}

func TestSetVerify(t *testing.T) {
	z := newZone(4)
	p := []byte("payload")
	var sigs []IndexSig
	for i, v := range z.voters {
		if err := z.set.VerifyQuorum("test", p, sigs); (err == nil) != (i >= z.set.Quorum()) {
			t.Fatalf("%d signatures: %v", i, err)
		}
		if z.set.VerifyAll("test", p, sigs) == nil {
			t.Fatalf("%d of 4 are all", i)
		}
		sigs = append(sigs, IndexSig{Pos: uint8(i), Sig: v.Sign("test", p)})
	}
	if err := z.set.VerifyAll("test", p, sigs); err != nil {
		t.Fatal(err)
	}
	if z.set.VerifyQuorum("other", p, sigs) == nil {
		t.Fatal("a signature of another kind counts")
	}
	sigs[3].Sig[0] ^= 1
	if z.set.VerifyQuorum("test", p, sigs) == nil {
		t.Fatal("an invalid signature beside a quorum passes")
	}
}

func TestRecovery(t *testing.T) {
	z := newZone(4)
	tr := must(NewTracker(z.raw))
	late := z.certificate(1, 0, 0, 1, 2)
	late.Decision.Index = 51
	b := must(NewBatch([]Decision{late.Decision}))
	st := z.statement(b, 7)
	st.Index = 51
	late = must(b.Certificate(0, z.sign(st, 0, 1, 2)))
	early := z.certificate(1, 0, 0, 1, 2)

	rec := z.epoch(t, OpRecover, z.set, 1, idents(500, 3), z.roots)
	if err := tr.Follow(rec); err == nil {
		t.Fatal("a recovery was followed without the operator's word")
	}
	if err := tr.AcceptRecovery(z.epoch(t, OpRecover, z.set, 1, idents(500, 3), z.roots[:2])); err == nil {
		t.Fatal("two roots recovered a zone that wants three")
	}
	if err := tr.Verify(late); err != nil {
		t.Fatal(err)
	}
	if err := tr.AcceptRecovery(rec); err != nil {
		t.Fatal(err)
	}
	if n := tr.Newest(); n.Generation != 1 || n.Epoch != 1 {
		t.Fatalf("newest %+v", n)
	}
	if err := tr.Verify(early); err != nil {
		t.Fatalf("a certificate that was retained: %v", err)
	}
	if err := tr.Verify(late); !errors.Is(err, ErrEpoch) {
		t.Fatalf("a certificate from beyond what was retained: %v", err)
	}
}

func TestEvidence(t *testing.T) {
	z := newZone(4)
	tr := must(NewTracker(z.raw))
	a := z.certificate(3, 1, 0, 1, 2)
	d := a.Decision
	d.Verdict = Failed
	b := must(NewBatch([]Decision{d}))
	other := must(b.Certificate(0, z.sign(z.statement(b, 7), 1, 2, 3)))
	if err := tr.Freeze(&Evidence{A: *a, B: *a}); err == nil {
		t.Fatal("a certificate contradicts itself")
	}
	d.Verdict, d.Index, d.Time, d.Epoch = a.Decision.Verdict, 99, 99, 0
	restated := must(NewBatch([]Decision{d}))
	st := z.statement(restated, 7)
	st.Index, st.Time = 99, 99
	if err := tr.Freeze(&Evidence{A: *a, B: *must(restated.Certificate(0, z.sign(st, 1, 2, 3)))}); err == nil {
		t.Fatal("a restated outcome froze the zone")
	}
	if err := tr.Freeze(&Evidence{A: *a, B: *other}); err != nil {
		t.Fatal(err)
	}
	if err := tr.Verify(a); !errors.Is(err, ErrFrozen) {
		t.Fatalf("after evidence: %v", err)
	}
	back := must(ParseTracker(must(tr.Bytes())))
	if !back.Frozen() || back.Evidence().B.Decision.Verdict != Failed {
		t.Fatal("the evidence was not kept")
	}
}

func TestCollector(t *testing.T) {
	z := newZone(4)
	c := NewCollector(z.set, 0)
	b := must(NewBatch(z.decisions(3, 7)))
	st := z.statement(b, 7)
	vote := func(i int, st Statement) *Vote {
		return &Vote{Statement: st, Voter: uint8(i), Sig: z.voters[i].Sign(KindStatement, must(st.Payload()))}
	}
	lie := st
	lie.Root = capsule.Sum([]byte("lie"))
	if q, _, err := c.Add(vote(0, lie)); q != nil || err != nil {
		t.Fatal(q, err)
	}
	forged := vote(1, st)
	forged.Voter = 2
	if _, _, err := c.Add(forged); !errors.Is(err, ErrSignatures) {
		t.Fatalf("a vote in another's name: %v", err)
	}
	for i := 1; i < 3; i++ {
		if q, _, err := c.Add(vote(i, st)); q != nil || err != nil {
			t.Fatalf("voter %d: %v %v", i, q, err)
		}
	}
	_, ev, err := c.Add(vote(0, st))
	if err != nil || ev == nil {
		t.Fatalf("a second, different vote: %v %v", ev, err)
	}
	if err := ev.Verify(z.voters[0].Key()); err != nil {
		t.Fatal(err)
	}
	if ev.Verify(z.voters[1].Key()) == nil {
		t.Fatal("evidence against the wrong voter")
	}
	if len(c.Split(7)) != 2 {
		t.Fatal("the split was not seen")
	}
	q, _, err := c.Add(vote(3, st))
	if err != nil || q == nil {
		t.Fatal("no quorum of three honest votes", err)
	}
	if err := q.Verify(&z.set); err != nil {
		t.Fatal(err)
	}
	cert := must(b.Certificate(1, q))
	if err := cert.Verify(&z.set); err != nil {
		t.Fatal(err)
	}
	if q, _, _ := c.Add(vote(3, st)); q != nil {
		t.Fatal("one index completed twice")
	}
	c.Forget(7)
	if q, _, err := c.Add(vote(1, st)); q != nil || err != nil {
		t.Fatal(q, err)
	}
	if _, _, err := c.Add(vote(1, z.statement(b, 8+collectorWindow))); err == nil {
		t.Fatal("a vote far ahead took memory")
	}
}

func TestDescriptor(t *testing.T) {
	z := newZone(4)
	d := &Descriptor{V: Version, Zone: z.set.Zone, Voters: keys(z.voters), At: 100, Expires: 200}
	s := &SignedDescriptor{Payload: must(capsule.Marshal(d))}
	for i := range 3 {
		if _, err := s.Verify(&z.set, 150); err == nil {
			t.Fatalf("%d signatures passed", i)
		}
		if err := s.Sign(&z.set, z.voters[2-i]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Verify(&z.set, 150); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(&z.set, 200); err == nil {
		t.Fatal("an expired descriptor")
	}
}

func FuzzCertificate(f *testing.F) {
	z := newZone(4)
	f.Add(must(z.certificate(5, 2, 0, 1, 2).Bytes()))
	f.Add(must(capsule.Marshal(&Vote{})))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseCertificate(b); err == nil {
			if again := must(c.Bytes()); !bytes.Equal(again, b) {
				t.Fatal("two encodings of one certificate")
			}
			_ = c.Verify(&z.set)
		}
		if q, err := ParseQuorate(b); err == nil {
			_ = q.Verify(&z.set)
		}
		_, _, _ = ParseGenesis(b)
		_, _ = ParseTracker(b)
		var s SignedAdmin
		if capsule.Unmarshal(b, &s) == nil {
			_, _, _ = s.Next(z.genesis, &z.set)
		}
		var d SignedDescriptor
		if capsule.Unmarshal(b, &d) == nil {
			_, _ = d.Verify(&z.set, 1)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	z := newZone(4)
	c := z.certificate(256, 100, 0, 1, 2)
	for b.Loop() {
		if err := c.Verify(&z.set); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBatch(b *testing.B) {
	z := newZone(4)
	ds := z.decisions(256, 7)
	for b.Loop() {
		must(NewBatch(ds))
	}
}

// TestTrackerRemembersQuorums: the outcomes of one log entry cost one verification of their signatures, and nothing that was
// not verified passes for one of them.
func TestTrackerRemembersQuorums(t *testing.T) {
	z := newZone(4)
	tr := must(NewTracker(z.raw))
	b := must(NewBatch(z.decisions(5, 7)))
	q := z.sign(z.statement(b, 7), 0, 1, 2)
	for i := range 5 {
		if err := tr.Verify(must(b.Certificate(i, q))); err != nil {
			t.Fatal(err)
		}
	}
	if err := must(ParseTracker(must(tr.Bytes()))).Verify(must(b.Certificate(3, q))); err != nil {
		t.Errorf("one that was stored: %v", err)
	}
	for i := range q.Sigs {
		bad := must(b.Certificate(1, q))
		bad.Sigs = slices.Clone(q.Sigs)
		bad.Sigs[i].Sig[40] ^= 1
		for range 2 { // a refusal is not remembered as anything else
			if tr.Verify(bad) == nil {
				t.Errorf("signature %d was altered and passed", i)
			}
		}
	}
	// With other keys no signature holds, but these have.
	for i, k := range keys(idents(500, 4)) {
		tr.state.Sets[0].Keys[i] = k
	}
	if err := tr.Verify(must(b.Certificate(2, q))); err != nil {
		t.Errorf("verified again: %v", err)
	}
	for i := range uint64(maxHeld + 1) {
		other := must(NewBatch(z.decisions(1, 100+i)))
		if tr.Verify(must(other.Certificate(0, z.sign(z.statement(other, 100+i), 0, 1, 2)))) == nil {
			t.Fatal("a quorum of strangers passed")
		}
	}
}
