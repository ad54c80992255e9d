package handover_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// The tests of this file's package run whole zones as nothing but their state machines. A zone's voters sign what
// their log decides; everything else (movers, workers, the network between zones) is played by a test, at its worst.

const epochMs = 1_700_000_000_000

func ident(name string) *capsule.Identity {
	return capsule.IdentityFromSeed([32]byte(capsule.Sum([]byte(name))))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// site is one zone.
type site struct {
	t       testing.TB
	name    string
	id      capsule.ZoneID
	raw     []byte
	genesis *cert.Genesis
	root    *capsule.Identity
	voter   *capsule.Identity
	worker  *capsule.Identity
	m       *machine.Machine
	tx      *machine.MemTx
	index   uint64
	now     uint64
	admin   uint64
	wseq    uint64
	certs   map[cert.Slot]cert.Certificate
	log     [][]byte
}

// world is some sites that have pinned each other, and an author with credits at the first.
type world struct {
	t      testing.TB
	sites  []*site
	author *capsule.Identity
	nonce  uint64
	// granting changes what a site grants the author, and says who grants it; nil is to leave it to the site's root.
	granting func(s *site, g *capsule.Grant) *capsule.Identity
}

func newWorld(t testing.TB, n int, policy func(*machine.Policy)) *world {
	w := &world{t: t, author: ident("author")}
	for i := range n {
		w.sites = append(w.sites, newSite(t, fmt.Sprintf("z%d", i), policy))
	}
	for _, s := range w.sites {
		for _, o := range w.sites {
			if o != s {
				s.act(cert.OpPeer, &machine.Peer{Genesis: o.raw, Cap: 1 << 40})
			}
		}
		s.act(cert.OpCredit, &machine.Credit{Account: w.author.Key(), Amount: 1 << 40})
		s.act(cert.OpNamespace, &machine.GiveNamespace{Name: "log", Owner: w.author.Key(), Quota: 1 << 30})
	}
	return w
}

func newSite(t testing.TB, name string, policy func(*machine.Policy)) *site {
	s := &site{
		t: t, name: name, root: ident(name + " root"), voter: ident(name + " voter"), worker: ident(name + " worker"),
		tx: new(machine.MemTx), now: epochMs, certs: map[cert.Slot]cert.Certificate{},
	}
	// One voter: these tests are about what zones decide, and a quorum of more makes the same certificates.
	s.genesis = &cert.Genesis{
		V: cert.Version, Dev: true, Roots: []capsule.Key{s.root.Key()}, Voters: []capsule.Key{s.voter.Key()}, MeterVersion: 1,
		Thresholds: cert.Thresholds{Policy: 1, Mint: 1, Membership: 1, Recover: 1},
	}
	s.raw = must(s.genesis.Bytes())
	s.id = capsule.ZoneID(capsule.Sum(s.raw))
	s.m = machine.New(s.id, nil)
	s.do(must(machine.NewGenesis(s.raw)))
	s.tick(1)
	p := machine.DefaultPolicy()
	p.OpenWorkers = true
	p.Price = machine.Price{Gas: 1_000_000, Certificate: 1, FreeRefund: 1000}
	if policy != nil {
		policy(&p)
	}
	s.act(cert.OpPolicy, &p)
	s.register()
	return s
}

func (s *site) register() {
	s.wseq++
	s.do(must(machine.NewRegister(s.worker, &machine.Register{Scope: s.scope(), Sequence: s.wseq, Slots: 64, Pages: 1 << 16})))
}

func (s *site) scope() machine.Scope { return machine.NewScope(s.id, 0) }

func (s *site) view() machine.View { return machine.NewView(s.tx) }

// try applies one command as an entry, and certifies what it decided.
func (s *site) try(cmd []byte) machine.Result {
	s.t.Helper()
	entry := must(machine.NewEntry(cmd))
	s.index++
	out, err := s.m.Apply(s.tx, s.index, entry)
	if err != nil {
		s.t.Fatalf("%s halts at index %d: %v", s.name, s.index, err)
	}
	s.log = append(s.log, entry)
	if len(out.Decisions) > 0 {
		b, st, err := out.Batch()
		if err != nil {
			s.t.Fatal(err)
		}
		q := &cert.Quorate{Statement: st, Sigs: []cert.IndexSig{{Sig: s.voter.Sign(cert.KindStatement, must(st.Payload()))}}}
		for i := range out.Decisions {
			c := must(b.Certificate(i, q))
			if old, ok := s.certs[c.Decision.Slot]; ok && old.Decision.Contradicts(&c.Decision) {
				s.t.Fatalf("%s contradicts itself about %s: %s, then %s", s.name, c.Decision.Slot, old.Decision.Verdict, c.Decision.Verdict)
			}
			s.certs[c.Decision.Slot] = *c
		}
	}
	return out.Results[0]
}

func (s *site) do(cmd []byte) machine.Result {
	s.t.Helper()
	r := s.try(cmd)
	if r.Refusal != nil {
		s.t.Fatalf("%s: %s: %v", s.name, r.Kind, r.Refusal)
	}
	return r
}

func (s *site) tick(ms uint64) {
	s.t.Helper()
	s.now += ms
	p := must(capsule.Marshal(&machine.Tick{Scope: s.scope(), At: s.now}))
	s.do(must(machine.NewQuorum(machine.KindTick, p, []cert.IndexSig{{Sig: s.voter.Sign(machine.KindTick.SigKind(), p)}})))
}

func (s *site) act(op cert.Op, body any) {
	s.t.Helper()
	s.admin++
	a := &cert.Admin{V: cert.Version, Zone: s.id, Sequence: s.admin, Op: op, Body: must(capsule.Marshal(body))}
	s.do(must(machine.NewAdmin(must(cert.SignAdmin(s.genesis, a, s.root)))))
}

func (w *world) site(id capsule.ZoneID) *site {
	for _, s := range w.sites {
		if s.id == id {
			return s
		}
	}
	w.t.Fatalf("no zone %s", id)
	return nil
}

// seal makes a capsule that may use log/ in every zone.
func (w *world) seal(home int, gas uint64, change ...func(*capsule.Manifest)) *capsule.Capsule {
	w.nonce++
	m := &capsule.Manifest{
		Home: w.sites[home].id, Code: capsule.RawCID([]byte("code")), Entry: "run", Gas: gas, MaxPrice: 1 << 40,
		Expires: w.sites[home].now + 6*3_600_000, MeterVersion: 1, Limits: capsule.Limits{MemoryPages: 1, StateBytes: 1 << 12},
	}
	binary.BigEndian.PutUint64(m.Nonce[:], w.nonce)
	var chains []capsule.Chain
	for _, s := range w.sites {
		m.Itinerary = append(m.Itinerary, capsule.Stop{Name: s.name, Zone: s.id})
		m.Needs = append(m.Needs, capsule.Need{Zone: s.id, Resource: "kv/log/*", Ability: capsule.Read | capsule.Write})
		g := capsule.Grant{
			Audience: w.author.Key(), Subject: s.id, Gas: 1 << 50, NotBefore: 1, Expires: epochMs * 2,
			Caps: []capsule.Cap{{Resource: "kv/log/*", Ability: capsule.Read | capsule.Write}},
		}
		by := s.root
		if w.granting != nil {
			by = w.granting(s, &g)
		}
		chains = append(chains, must(by.Delegate(nil, g)))
	}
	for _, f := range change {
		f(m)
	}
	return must(capsule.Seal(w.author, m, chains))
}

// transfer assembles what the source of an offer sends, as a mover does.
func (s *site) transfer(id capsule.ID, hop uint32) *handover.Transfer {
	v := s.view()
	o, err := v.Offered(id, hop)
	if err != nil {
		s.t.Fatal(err)
	}
	env, err := v.Envelope(id)
	if err != nil {
		return nil // it is over
	}
	inline, err := v.Continuation(id)
	if err != nil {
		s.t.Fatal(err)
	}
	l := must(v.Lineage(id))
	s.fill(id, &l, must(capsule.Decode(env)).Manifest().Home)
	return &handover.Transfer{
		Envelope: env, Offer: o.Offer, Released: s.certs[handover.OutSlot(id, hop)], Lineage: l, Inline: inline,
	}
}

// fill adds this zone's own certificates to a lineage.
func (s *site) fill(id capsule.ID, l *handover.Lineage, home capsule.ZoneID) {
	if home == s.id {
		l.Admitted = s.certs[handover.InSlot(id, 0)]
	}
	for i := range l.Steps {
		x := &l.Steps[i]
		if x.Offer.Source == s.id {
			x.Released = s.certs[handover.OutSlot(id, x.Offer.Hop)]
		}
		if x.Offer.Target == s.id {
			x.Answered = s.certs[handover.InSlot(id, x.Offer.Hop)]
		}
	}
}

// answer is what a target sends back after a decision.
func (s *site) answer(id capsule.ID, hop uint32, offer []byte) []byte {
	x := s.answered(id, hop, offer)
	if x == nil {
		return nil
	}
	return must(machine.NewAnswer(x))
}

func (s *site) answered(id capsule.ID, hop uint32, offer []byte) *machine.Answered {
	c, ok := s.certs[handover.InSlot(id, hop)]
	if !ok {
		return nil
	}
	x := &machine.Answered{Capsule: id, Hop: hop, Certificate: c}
	slots, _ := s.view().Slots(id)
	for _, r := range slots {
		if r.Hop == hop && r.Phase == cert.PhaseIn && r.Verdict == c.Decision.Verdict {
			x.Answer = r.Body
		}
	}
	if c.Decision.Verdict == cert.ExpiredNoRecord {
		x.Answer = must((&handover.Answer{V: 1, Offer: capsule.Sum(offer), Verdict: handover.ExpiredNoRecord, Reason: 6}).Bytes())
	}
	return x
}

// state is what the program of these tests carries: which of its steps it does next, and an amount.
type state struct {
	_     struct{} `cbor:",toarray"`
	Step  uint32
	Carry int64
}

// job is a capsule with its program: what a step does in a zone. It returns the new state, the writes and where it goes;
// nil ends the program.
type job struct {
	id  capsule.ID
	run func(s *site, st state, resume int32, read func(key string) int64, write func(key string, v int64)) (state, *site)
}

// attempt runs the segment that is leased and returns the commit, which nobody has sent yet.
func (s *site) attempt(j *job) []byte {
	v := s.view()
	wr, err := v.Warrant(j.id)
	if err != nil {
		return nil
	}
	var st state
	if !wr.Fresh {
		if err := capsule.Unmarshal(wr.Inline, &st); err != nil {
			s.t.Fatal(err)
		}
	}
	c := &machine.Commit{Scope: s.scope(), Segment: wr.Segment, Gas: min(10, wr.Units), Saved: machine.Saved{Inline: []byte{}}}
	read := func(key string) int64 {
		r, err := v.Get([]byte("log/"+key), wr.Index)
		if errors.Is(err, machine.ErrNotFound) {
			c.Reads = append(c.Reads, machine.Read{Key: []byte("log/" + key)})
			return 0
		}
		if err != nil {
			s.t.Fatal(err)
		}
		c.Reads = append(c.Reads, machine.Read{Key: r.Key, Version: r.Version, Hash: capsule.Sum(r.Value)})
		return int64(binary.BigEndian.Uint64(r.Value))
	}
	write := func(key string, n int64) {
		c.Writes = append(c.Writes, machine.Write{Key: []byte("log/" + key), Value: binary.BigEndian.AppendUint64(nil, uint64(n))})
	}
	next, to := j.run(s, st, wr.Resume, read, write)
	if to == nil {
		c.End = machine.EndDone
	} else {
		b := must(capsule.Marshal(&next))
		c.End, c.Target = machine.EndGoto, to.id
		c.Saved = machine.Saved{State: capsule.RawCID(b), StateHash: capsule.Sum(b), Size: uint64(len(b)), Inline: b}
	}
	return must(machine.NewCommit(s.worker, c))
}

func (s *site) get(key string) int64 {
	r, err := s.view().Get([]byte("log/"+key), 0)
	if err != nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(r.Value))
}

// books verifies that credits are conserved over all zones: what left one and did not arrive is on offer.
func (w *world) books() error {
	var sent, received, flying uint64
	for _, s := range w.sites {
		t := must(s.view().Totals())
		if t.Available+t.Held+t.Burned+t.Sent != t.Minted+t.Received {
			return fmt.Errorf("%s: %+v", s.name, t)
		}
		sent += t.Sent
		received += t.Received
		var fail error
		err := s.view().Outbox(capsule.ID{}, 0, 1<<20, func(id capsule.ID, hop uint32, o machine.OutRow) {
			r, err := w.site(o.Target).view().Target(id)
			if err != nil && !errors.Is(err, machine.ErrNotFound) {
				fail = err
			}
			for _, k := range r.Taken {
				if k.Hop == hop && k.Offer == o.Hash {
					return
				}
			}
			if o.Phase != handover.Closed {
				flying += o.Credits
			}
		})
		if err = errors.Join(err, fail); err != nil {
			return err
		}
	}
	if sent != received+flying {
		return fmt.Errorf("%d credits left zones, %d arrived and %d are on offer", sent, received, flying)
	}
	return nil
}

// net holds messages that are under way. Each is a delivery that may happen at any time, several times, or never.
type net struct {
	rng  *rand.Rand
	bag  []func()
	loss float64
}

func (n *net) send(fn func()) {
	if n.rng.Float64() < n.loss {
		return
	}
	n.bag = append(n.bag, fn)
}

// deliver makes one message arrive. It may stay in the bag, to arrive again.
func (n *net) deliver() {
	if len(n.bag) == 0 {
		return
	}
	i := n.rng.IntN(len(n.bag))
	fn := n.bag[i]
	if n.rng.Float64() > n.loss/2 {
		n.bag[i] = n.bag[len(n.bag)-1]
		n.bag = n.bag[:len(n.bag)-1]
	}
	fn()
}

// drive is one look of a mover at a zone's outbox: everything that it might send goes under way.
func (w *world) drive(n *net, s *site) {
	type item struct {
		id  capsule.ID
		hop uint32
		o   machine.OutRow
	}
	var items []item
	if err := s.view().Outbox(capsule.ID{}, 0, 1<<20, func(id capsule.ID, hop uint32, o machine.OutRow) {
		items = append(items, item{id, hop, o})
	}); err != nil {
		w.t.Fatal(err)
	}
	for _, it := range items {
		t := w.site(it.o.Target)
		if it.o.Phase == handover.Closed {
			if r, err := t.view().Target(it.id); err != nil || !pending(r, it.hop) {
				continue
			}
			c := s.certs[cert.Slot{Capsule: it.id, Hop: it.hop, Phase: cert.PhaseClose}]
			cmd := must(machine.NewClosed(&machine.Closed{Capsule: it.id, Hop: it.hop, Certificate: c}))
			n.send(func() { t.try(cmd) })
			continue
		}
		tr := s.transfer(it.id, it.hop)
		make := machine.NewAccept
		if it.o.Phase != handover.Offered {
			make = machine.NewTombstone
		}
		cmd := must(make(tr))
		n.send(func() {
			if r := t.try(cmd); r.Refusal != nil {
				if n.loss == 0 {
					w.t.Logf("%s of hop %d: %v", r.Kind, it.hop, r.Refusal)
				}
				return
			}
			if back := t.answer(it.id, it.hop, it.o.Offer); back != nil {
				n.send(func() { s.try(back) })
			}
		})
	}
}

func pending(r machine.TargetRow, hop uint32) bool {
	for _, k := range r.Taken {
		if k.Hop == hop && !k.Closed {
			return true
		}
	}
	return false
}

// replay applies a zone's log to a new machine and compares.
func (s *site) replay() error {
	m, tx := machine.New(s.id, nil), new(machine.MemTx)
	for i, e := range s.log {
		if _, err := m.Apply(tx, uint64(i+1), e); err != nil {
			return err
		}
	}
	a, b := must(machine.NewView(tx).StateHash()), must(s.view().StateHash())
	if !bytes.Equal(a[:], b[:]) {
		return errors.New("a second replica ends in another state")
	}
	if _, ok, err := s.view().ComputeStateHash(); !ok || err != nil {
		return fmt.Errorf("the kept state hash is not that of the rows (%v)", err)
	}
	return nil
}
