package machine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// ident returns a fixed identity for a number.
func ident(n uint64) *capsule.Identity {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], n)
	return capsule.IdentityFromSeed(seed)
}

// idents returns identities n.. sorted by key, as voter and root lists are.
func idents(from uint64, n int) []*capsule.Identity {
	ids := make([]*capsule.Identity, n)
	for i := range ids {
		ids[i] = ident(from + uint64(i))
	}
	slices.SortFunc(ids, func(a, b *capsule.Identity) int {
		ka, kb := a.Key(), b.Key()
		return bytes.Compare(ka[:], kb[:])
	})
	return ids
}

func keysOf(ids []*capsule.Identity) []capsule.Key {
	ks := make([]capsule.Key, len(ids))
	for i, id := range ids {
		ks[i] = id.Key()
	}
	return ks
}

const start = 1_700_000_000_000 // ms

// world is a zone under test with everybody's keys.
type world struct {
	t       testing.TB
	m       *Machine
	tx      *MemTx
	index   uint64
	now     uint64
	gen     uint64
	epoch   uint64
	seq     uint64 // administration
	roots   []*capsule.Identity
	voters  []*capsule.Identity
	genesis *cert.Genesis
	raw     []byte
	zone    capsule.ZoneID
	author  *capsule.Identity
	owner   *capsule.Identity
	payer   *capsule.Identity
	workers []*capsule.Identity
	wseq    uint64
	nonce   uint64
	log     [][]byte
	last    Outcome
}

func newWorld(t testing.TB, voters int) *world {
	w := &world{
		t: t, tx: new(MemTx), roots: idents(100, 3), voters: idents(200, voters),
		author: ident(1), owner: ident(2), payer: ident(3), workers: idents(300, 3), now: start,
	}
	w.genesis = &cert.Genesis{
		V: cert.Version, Dev: voters < 3, Roots: keysOf(w.roots), Voters: keysOf(w.voters), MeterVersion: 1,
		Thresholds: cert.Thresholds{Policy: 2, Mint: 2, Membership: 2, Recover: 3},
	}
	var err error
	if w.raw, err = w.genesis.Bytes(); err != nil {
		t.Fatal(err)
	}
	w.zone = capsule.ZoneID(capsule.Sum(w.raw))
	w.m = New(w.zone, nil)
	return w
}

// founded is a zone with time, credits, a namespace "orders" and one worker of slots.
func founded(t testing.TB, slots uint32) *world {
	w := newWorld(t, 4)
	w.ok(must(NewGenesis(w.raw)))
	w.tick(0)
	w.admin(cert.OpCredit, &Credit{Account: w.author.Key(), Amount: 1_000_000_000})
	w.admin(cert.OpCredit, &Credit{Account: w.owner.Key(), Amount: 1_000_000})
	w.admin(cert.OpCredit, &Credit{Account: w.payer.Key(), Amount: 1_000_000_000})
	w.admin(cert.OpNamespace, &GiveNamespace{Name: "orders", Owner: w.owner.Key(), Quota: 10_000})
	pol := DefaultPolicy()
	pol.OpenWorkers = true
	w.admin(cert.OpPolicy, &pol)
	if slots > 0 {
		w.register(0, slots)
	}
	return w
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// codes is every code of this package.
var codes = []Code{
	CodeEncoding, CodeSignature, CodeZone, CodeGeneration, CodeSequence, CodeReplay, CodeUnknown,
	CodeExists, CodeExpired, CodeTime, CodeMeter, CodePrice, CodeFunds, CodeHeldCap, CodeGrant,
	CodeRevoked, CodeCapacity, CodeLimit, CodeBlob, CodeState, CodeLease, CodeGas, CodeDenied,
	CodeNamespace, CodeQuota, CodeLocked, CodeConflict, CodePeer, CodeLineage, CodeFeature,
}

// reached counts refusals over all tests of a run.
var reached = map[Code]int{}

// TestMain fails a full run in which some refusal was never reached.
func TestMain(m *testing.M) {
	code := m.Run()
	if f := flag.Lookup("test.run"); code == 0 && f.Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == "" {
		for _, c := range codes {
			if reached[c] == 0 {
				fmt.Printf("FAIL: no test reaches the refusal %q\n", c)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// apply applies commands as one entry and checks the state hash against a full count.
func (w *world) apply(cmds ...[]byte) Outcome {
	w.t.Helper()
	out, err := w.try(cmds...)
	if err != nil {
		w.t.Fatalf("index %d: %v", w.index, err)
	}
	return out
}

func (w *world) try(cmds ...[]byte) (Outcome, error) {
	w.t.Helper()
	entry := must(NewEntry(cmds...))
	w.index++
	out, err := w.m.Apply(w.tx, w.index, entry)
	if err == nil {
		w.log = append(w.log, entry)
		w.last = out
		for _, r := range out.Results {
			if r.Refusal != nil {
				reached[r.Refusal.Code]++
			}
		}
	}
	return out, err
}

// ok applies one command that must not be refused.
func (w *world) ok(cmd []byte) Result {
	w.t.Helper()
	r := w.apply(cmd).Results[0]
	if r.Refusal != nil {
		w.t.Fatalf("index %d: %s: %v", w.index, r.Kind, r.Refusal)
	}
	return r
}

// refused applies one command that must be refused with a code, and leave no trace but the log's.
func (w *world) refused(code Code, cmd []byte) {
	w.t.Helper()
	r := w.apply(cmd).Results[0]
	if r.Refusal == nil {
		w.t.Fatalf("index %d: %s passed, want refusal %q", w.index, r.Kind, code)
	}
	if r.Refusal.Code != code {
		w.t.Fatalf("index %d: %s: %v, want refusal %q", w.index, r.Kind, r.Refusal, code)
	}
}

func (w *world) view() View { return NewView(w.tx) }

func (w *world) scope() Scope { return NewScope(w.zone, w.gen) }

func (w *world) set() *cert.VoterSet {
	return &cert.VoterSet{Zone: w.zone, Generation: w.gen, Epoch: w.epoch, Keys: keysOf(w.voters)}
}

func (w *world) quorum(k Kind, payload any, n int) []byte {
	p := must(capsule.Marshal(payload))
	var sigs []cert.IndexSig
	for i := range n {
		sigs = append(sigs, cert.IndexSig{Pos: uint8(i), Sig: w.voters[i].Sign(k.SigKind(), p)})
	}
	return must(NewQuorum(k, p, sigs))
}

// tick moves the time by ms.
func (w *world) tick(ms uint64) Outcome {
	w.t.Helper()
	w.now += ms
	w.ok(w.quorum(KindTick, &Tick{Scope: w.scope(), Epoch: w.epoch, At: w.now}, w.set().Quorum()))
	return w.last
}

func (w *world) adminCmd(op cert.Op, seq uint64, body any, roots ...*capsule.Identity) []byte {
	a := &cert.Admin{V: cert.Version, Zone: w.zone, Generation: w.gen, Sequence: seq, Op: op, Body: must(capsule.Marshal(body))}
	s, err := cert.SignAdmin(w.genesis, a, roots...)
	if err != nil {
		w.t.Fatal(err)
	}
	return must(NewAdmin(s))
}

func (w *world) admin(op cert.Op, body any) {
	w.t.Helper()
	w.seq++
	w.ok(w.adminCmd(op, w.seq, body, w.roots...))
}

func (w *world) register(i int, slots uint32) {
	w.t.Helper()
	w.wseq++
	w.ok(must(NewRegister(w.workers[i], &Register{Scope: w.scope(), Sequence: w.wseq, Slots: slots, Pages: 1 << 16})))
}

// grant returns a chain from the owner of "orders" to the author.
func (w *world) grant() capsule.Chain {
	c, err := w.owner.Delegate(nil, capsule.Grant{
		Audience: w.author.Key(), Subject: w.zone, Gas: 1 << 40, NotBefore: 1, Expires: start + 100*3_600_000,
		Caps: []capsule.Cap{{Resource: "kv/orders/*", Ability: capsule.Read | capsule.Write | capsule.Delete}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) rootGrant(caps ...capsule.Cap) capsule.Chain {
	c, err := w.roots[0].Delegate(nil, capsule.Grant{
		Audience: w.author.Key(), Subject: w.zone, Gas: 1 << 40, NotBefore: 1, Expires: start + 100*3_600_000, Caps: caps,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// seal returns a capsule that may read, write and delete under kv/orders/ and emit under event/news.
func (w *world) seal(change ...func(*capsule.Manifest)) *capsule.Capsule {
	w.t.Helper()
	w.nonce++
	m := &capsule.Manifest{
		Home: w.zone, Code: capsule.RawCID([]byte("code")), Entry: "run", Input: []byte("in"), Gas: 1_000_000, MaxPrice: 1 << 40,
		Expires: start + 3_600_000, MeterVersion: 1, Limits: capsule.Limits{MemoryPages: 16, StateBytes: 1 << 16},
		Needs: []capsule.Need{
			{Zone: w.zone, Resource: "kv/orders/*", Ability: capsule.Read | capsule.Write | capsule.Delete},
			{Zone: w.zone, Resource: "event/news", Ability: capsule.Emit},
		},
	}
	binary.BigEndian.PutUint64(m.Nonce[:], w.nonce)
	for _, f := range change {
		f(m)
	}
	c, err := capsule.Seal(w.author, m, []capsule.Chain{w.grant(), w.rootGrant(capsule.Cap{Resource: "event/news", Ability: capsule.Emit})})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// admit admits a capsule and returns its ID.
func (w *world) admit(change ...func(*capsule.Manifest)) capsule.ID {
	w.t.Helper()
	c := w.seal(change...)
	w.ok(must(NewAdmit(c.Bytes())))
	return c.ID()
}

func (w *world) capsule(id capsule.ID) CapsuleRow {
	w.t.Helper()
	c, err := w.view().Capsule(id)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// worker returns the identity that leases the capsule.
func (w *world) workerOf(id capsule.ID) *capsule.Identity {
	w.t.Helper()
	k := w.capsule(id).Lease.Worker
	for _, x := range w.workers {
		if x.Key() == k {
			return x
		}
	}
	w.t.Fatalf("capsule is %s, leased by %s", w.capsule(id).Status, k)
	return nil
}

func (w *world) segment(id capsule.ID) Segment {
	c := w.capsule(id)
	return Segment{Capsule: id, Hop: c.Hop, Segment: c.Segment, Lease: c.Lease.Number}
}

// commitCmd is a commit by the lease's holder.
func (w *world) commitCmd(id capsule.ID, end End, change ...func(*Commit)) []byte {
	w.t.Helper()
	c := &Commit{Scope: w.scope(), Segment: w.segment(id), Gas: 1000, End: end}
	if !end.ends() {
		c.Saved = saved("state " + id.String())
	}
	if end == EndDone {
		c.Output = []byte("out")
	}
	for _, f := range change {
		f(c)
	}
	return must(NewCommit(w.workerOf(id), c))
}

func saved(s string) Saved {
	return Saved{State: capsule.RawCID([]byte(s)), StateHash: capsule.Sum([]byte(s)), Size: uint64(len(s)), Inline: []byte(s)}
}

// read returns a Read of a key as it is at the capsule's lease.
func (w *world) read(id capsule.ID, key string) Read {
	w.t.Helper()
	r, err := w.view().Get([]byte(key), w.capsule(id).Lease.Index)
	if errors.Is(err, ErrNotFound) {
		return Read{Key: []byte(key)}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return Read{Key: []byte(key), Version: r.Version, Hash: capsule.Sum(r.Value)}
}

func (w *world) scan(id capsule.ID, prefix, after string, limit int) ScanRead {
	w.t.Helper()
	rows, more, err := w.view().Scan([]byte(prefix), []byte(after), w.capsule(id).Lease.Index, limit, 1<<20)
	if err != nil {
		w.t.Fatal(err)
	}
	s := ScanRead{Prefix: []byte(prefix), After: []byte(after), Rows: uint32(len(rows))}
	for _, r := range rows {
		s.Hash = ScanHash(s.Hash, r.Key, r.Version, r.Value)
		if more {
			s.Last = r.Key
		}
	}
	return s
}

func put(key, val string) Write { return Write{Key: []byte(key), Value: []byte(val)} }

// put writes as the namespace's owner.
func (w *world) put(writes ...Write) {
	w.t.Helper()
	w.ok(w.putCmd(w.owner, nil, writes...))
}

func (w *world) putCmd(id *capsule.Identity, chain capsule.Chain, writes ...Write) []byte {
	w.nonce++
	var key [16]byte
	binary.BigEndian.PutUint64(key[:], w.nonce)
	return must(NewData(id, key, &Data{Scope: w.scope(), Expires: w.now + 60_000, Writes: writes, Chain: chain}))
}

func (w *world) get(key string) string {
	w.t.Helper()
	r, err := w.view().Get([]byte(key), 0)
	if errors.Is(err, ErrNotFound) {
		return ""
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return string(r.Value)
}

// status fails unless the capsule stands where it should.
func (w *world) status(id capsule.ID, want Status) CapsuleRow {
	w.t.Helper()
	c := w.capsule(id)
	if c.Status != want {
		w.t.Fatalf("capsule is %s, want %s", c.Status, want)
	}
	return c
}

// checkState verifies the books and the state hash from all rows.
func (w *world) checkState() {
	w.t.Helper()
	v := w.view()
	if _, ok, err := v.ComputeStateHash(); err != nil || !ok {
		w.t.Fatalf("index %d: the kept state hash is not that of the rows (%v)", w.index, err)
	}
	t, err := v.Totals()
	if err != nil {
		w.t.Fatal(err)
	}
	var av, held uint64
	if err := v.Accounts(capsule.Key{}, 1<<30, func(_ capsule.Key, a Account) { av += a.Available; held += a.Held }); err != nil {
		w.t.Fatal(err)
	}
	if av != t.Available || held != t.Held || !t.conserved() {
		w.t.Fatalf("index %d: accounts hold %d + %d, totals say %+v", w.index, av, held, t)
	}
	var live uint64
	slots := 0
	if err := v.Capsules(capsule.ID{}, 1<<30, func(id capsule.ID, c CapsuleRow) {
		if _, ok, _ := v.tx.Get(row(tabSlots, id[:])); ok != c.Slots {
			w.t.Fatalf("index %d: outcomes of %s are there: %v, its row says %v", w.index, id, ok, c.Slots)
		} else if ok {
			slots++
		}
		live += c.Gas.Hold
		for _, h := range c.Gas.TopUps {
			live += h.Amount
		}
	}); err != nil {
		w.t.Fatal(err)
	}
	if err := v.tx.Scan([]byte{tabSlots}, nil, func(_, _ []byte) bool { slots--; return true }); err != nil || slots != 0 {
		w.t.Fatalf("index %d: %d capsules without outcomes that they say they have (%v)", w.index, slots, err)
	}
	if live != held {
		w.t.Fatalf("index %d: capsules hold %d credits, accounts %d", w.index, live, held)
	}
}
