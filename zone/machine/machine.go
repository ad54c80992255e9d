package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/plant"
	"github.com/kitwork/kwnode/zone/cert"
)

// Errors of Apply. Each means that the replica must stop with its state as it was.
var (
	// ErrUnknownEntry: the log holds an entry that this binary does not know. Upgrade it; an entry is
	// never skipped, because others have applied it.
	ErrUnknownEntry = errors.New("the log holds an entry that this version does not know; upgrade this node")
	// ErrApplied: the index is not greater than the last applied one.
	ErrApplied = errors.New("the entry was applied before")
	// ErrConservation: credits would appear or vanish. It is a bug in this package.
	ErrConservation = errors.New("credits are not conserved")
)

// Machine applies the log of one zone. Its fields are caches of pure functions: two machines with
// different caches compute the same.
type Machine struct {
	zone     capsule.ZoneID
	verified *capsule.Cache
	memo     memo
	view     atomic.Pointer[view]
	own      *cert.Tracker               // see ownTracker; Apply alone uses it
	peers    map[capsule.ZoneID]heldPeer // see peerTracker; Apply alone uses it
	rows     *rowCache                   // nil before the first Apply, which alone uses it
}

// view is what the last Apply left that Prepare can use to check signatures ahead.
type view struct {
	genesis *cert.Genesis
	voters  cert.VoterSet
	time    uint64
}

// New returns a machine for zone. verified may be shared with everything else in the process; nil makes one of 8 MiB.
func New(zone capsule.ZoneID, verified *capsule.Cache) *Machine {
	if verified == nil {
		verified = capsule.NewCache(8 << 20)
	}
	return &Machine{zone: zone, verified: verified, memo: newMemo(), peers: map[capsule.ZoneID]heldPeer{}}
}

// Zone returns the zone whose log this machine applies.
func (m *Machine) Zone() capsule.ZoneID { return m.zone }

// apply is one Apply in progress.
type apply struct {
	*state
	m       *Machine
	index   uint64
	time    uint64
	chain   capsule.Hash
	genesis *cert.Genesis
	out     *Outcome
	oldest  struct { // see oldestLease
		known, exists bool
		index         uint64
	}
}

// Apply applies one entry at a log index. It depends on nothing but tx, index and entry. What a command did
// wrong stands in Outcome.Results. An error means that the replica must stop, and the shell drop tx: unless
// tx itself failed, nothing was written to it.
func (m *Machine) Apply(tx Tx, index uint64, entry []byte) (Outcome, error) {
	s := newState(tx, len(entry))
	head, founded := load[Head](s, keyHead)
	if s.err != nil {
		return Outcome{}, s.err
	}
	if founded && index <= head.Index {
		return Outcome{}, fmt.Errorf("%w: index %d, the state is at %d", ErrApplied, index, head.Index)
	}
	if m.rows != nil && founded && m.rows.head == head {
		s.cache = m.rows
	}
	a := &apply{state: s, m: m, index: index, time: head.Time, out: &Outcome{Zone: m.zone, Index: index, Previous: head.Chain}}
	a.chain = NextChain(head.Chain, index, entry)
	a.out.Chain = a.chain
	if founded {
		if err := a.loadGenesis(); err != nil {
			return Outcome{}, err
		}
	}
	if err := a.commands(entry); err != nil {
		return Outcome{}, err
	}
	if a.genesis == nil {
		a.out.Chain = head.Chain // refused before the zone exists: nothing to remember
		return *a.out, nil
	}
	if err := a.finish(); err != nil {
		return Outcome{}, err
	}
	return *a.out, nil
}

// NextChain returns the running hash after an entry.
func NextChain(prev capsule.Hash, index uint64, entry []byte) capsule.Hash {
	const tag = "kitwork/chain/v1\x00"
	h := capsule.Sum(entry)
	b := make([]byte, 0, len(tag)+2*len(h)+8)
	b = append(append(b, tag...), prev[:]...)
	b = binary.BigEndian.AppendUint64(b, index)
	return capsule.Sum(append(b, h[:]...))
}

func (a *apply) loadGenesis() error {
	if v := a.m.view.Load(); v != nil {
		a.genesis = v.genesis
		return nil
	}
	b, _ := a.getRaw(keyGenesis)
	if a.err != nil {
		return a.err
	}
	g, zone, err := cert.ParseGenesis(b)
	if err != nil || zone != a.m.zone {
		return fmt.Errorf("the state is of zone %s, this machine is for %s (%v)", zone, a.m.zone, err)
	}
	a.genesis = g
	return nil
}

// commands applies what an entry holds. Bytes that are no entry of this version are refused as a whole,
// like any command: a leader that proposes garbage must not stop the zone. A higher version stops it.
func (a *apply) commands(entry []byte) error {
	const arrayMajor = 4
	if len(entry) >= 2 && entry[0]>>5 == arrayMajor && entry[1] != Version {
		return fmt.Errorf("%w: version %d at index %d", ErrUnknownEntry, entry[1], a.index)
	}
	var e Entry
	if r := decodeEntry(entry, &e); r != nil {
		a.out.Results = []Result{{Refusal: r}}
		return nil
	}
	for i, c := range e.Commands {
		p := a.m.prepared(c, place{a.index, i})
		if p.fatal != nil {
			return fmt.Errorf("%w: %v at index %d", ErrUnknownEntry, p.fatal, a.index)
		}
		res, err := a.command(p)
		if err != nil {
			return err
		}
		a.out.Results = append(a.out.Results, res)
	}
	return nil
}

func decodeEntry(b []byte, e *Entry) *Refusal {
	if len(b) > MaxEntry {
		return refuse(CodeEncoding, "an entry of %d bytes, at most %d", len(b), MaxEntry)
	}
	if err := capsule.Unmarshal(b, e); err != nil {
		return refuseErr(CodeEncoding, err)
	}
	if len(e.Commands) == 0 || len(e.Commands) > MaxCommands {
		return refuse(CodeEncoding, "an entry of %d commands, want 1 to %d", len(e.Commands), MaxCommands)
	}
	return nil
}

// command runs one command: all of it, or a refusal that leaves nothing.
func (a *apply) command(p *prepared) (Result, error) {
	mark, decisions, effects := a.mark(), len(a.out.Decisions), len(a.out.Effects)
	res, r := a.dispatch(p)
	if a.err != nil {
		return Result{}, fmt.Errorf("apply %s at index %d: %w", p.cmd.Kind, a.index, a.err)
	}
	if r != nil {
		a.rollback(mark)
		a.out.Decisions, a.out.Effects = a.out.Decisions[:decisions], a.out.Effects[:effects]
		a.oldest.known = false
		res = Result{Capsule: res.Capsule, Refusal: r}
	}
	res.Kind = p.cmd.Kind
	return res, nil
}

func (a *apply) dispatch(p *prepared) (Result, *Refusal) {
	if p.refusal != nil {
		return Result{}, p.refusal
	}
	k := &kinds[p.cmd.Kind]
	if a.genesis == nil && p.cmd.Kind != KindGenesis {
		return Result{}, refuse(CodeState, "the zone does not exist yet: its first command is its genesis")
	}
	if k.level > 0 && a.zoneRow().Feature < k.level {
		return Result{}, refuse(CodeFeature, "%s needs feature level %d", p.cmd.Kind, k.level)
	}
	if sc, ok := p.body.(scoped); ok {
		if r := a.checkScope(sc.scope()); r != nil {
			return Result{}, r
		}
	}
	if !k.keyed {
		return k.run(a, p)
	}
	key := row(tabIdem, p.cmd.Key[:])
	if old, ok := load[IdemRow](a.state, key); ok && !plant.ApplyTwice {
		if old.Command != p.hash {
			return Result{}, refuse(CodeReplay, "the key %x stands for another command", p.cmd.Key)
		}
		return Result{Repeated: true, Status: old.Result.Status, N: old.Result.N}, nil
	}
	res, r := k.run(a, p)
	if r == nil {
		until := sum(a.time, a.policy().Times.KeepKey)
		save(a.state, key, IdemRow{Command: p.hash, Expires: until, Result: storedResult{Status: res.Status, N: res.N}})
		a.setTimer(until, timerIdem, p.cmd.Key[:])
	}
	return res, r
}

func (a *apply) checkScope(s Scope) *Refusal {
	switch {
	case s.V != Version:
		return refuse(CodeEncoding, "payload version %d, want %d", s.V, Version)
	case s.Zone != a.m.zone:
		return refuse(CodeZone, "signed for zone %s, this is %s", s.Zone, a.m.zone)
	case s.Generation != a.zoneRow().Generation:
		return refuse(CodeGeneration, "signed for generation %d, the zone is at %d", s.Generation, a.zoneRow().Generation)
	}
	return nil
}

// finish does what follows from the commands together, checks the books and writes everything.
func (a *apply) finish() error {
	a.placeReady()
	a.collectVersions()
	a.fillResults()
	z, v := a.zoneRow(), a.voters()
	head := Head{Index: a.index, Time: a.time, Chain: a.chain}
	save(a.state, keyHead, head)
	save(a.state, row(tabChain, be64(a.index%chainWindow)), ChainRow{Index: a.index, Chain: a.chain})
	a.out.Generation, a.out.Epoch, a.out.Time = z.Generation, v.Epoch, a.time
	a.out.Deadline = a.deadline()
	for i := range a.out.Decisions {
		d := &a.out.Decisions[i]
		d.Generation, d.Epoch, d.Time = z.Generation, v.Epoch, a.time
	}
	t := a.totals()
	if !t.conserved() {
		a.fail(fmt.Errorf("%w at index %d: %+v", ErrConservation, a.index, t))
	}
	if a.err != nil {
		return a.err
	}
	h, err := a.hash()
	if err != nil {
		return err
	}
	if err := a.flush(&h); err != nil {
		return err
	}
	if err := a.tx.Set(keyHash, h.bytes()); err != nil {
		return fmt.Errorf("write state hash: %w", err)
	}
	a.out.State = h.digest()
	if a.cache == nil {
		a.cache = newRowCache()
	}
	a.remember(a.cache)
	a.cache.head, a.cache.hash = head, h
	a.m.rows = a.cache
	a.m.view.Store(&view{genesis: a.genesis, voters: v, time: a.time})
	return nil
}

// hash returns the accumulator of the state hash as of the last entry.
func (a *apply) hash() (h ltHash, err error) {
	if a.cache != nil {
		return a.cache.hash, nil
	}
	acc, _, err := a.tx.Get(keyHash)
	if err != nil {
		return h, fmt.Errorf("read state hash: %w", err)
	}
	return h, h.load(acc)
}

// fillResults adds what is known only after waiting capsules were placed. A place in the queue counts the
// sequences from the first that waits: it may be too high by those who left, never too low.
func (a *apply) fillResults() {
	var first uint64
	if a.counts().Queued > 0 {
		if k, ok := a.first([]byte{tabReady}); ok {
			first = binary.BigEndian.Uint64([]byte(k)[1:])
		}
	}
	for i := range a.out.Results {
		r := &a.out.Results[i]
		if r.Refusal != nil || r.Capsule.IsZero() {
			continue
		}
		if c, ok := a.capsule(r.Capsule); ok {
			r.Status = c.Status
			if r.Kind.Admits() && c.Queue > 0 {
				r.N = c.Queue - first + 1
			}
		}
	}
}

// Single rows. Every zone has them from its genesis on.

func (a *apply) zoneRow() Zone         { v, _ := load[Zone](a.state, keyZone); return v }
func (a *apply) policy() Policy        { v, _ := load[Policy](a.state, keyPolicy); return v }
func (a *apply) voters() cert.VoterSet { v, _ := load[cert.VoterSet](a.state, keyVoters); return v }
func (a *apply) totals() Totals        { v, _ := load[Totals](a.state, keyTotals); return v }
func (a *apply) counts() Counts        { v, _ := load[Counts](a.state, keyCounts); return v }

// count changes the row of sizes and sequences.
func (a *apply) count(change func(*Counts)) {
	c := a.counts()
	change(&c)
	save(a.state, keyCounts, c)
}

func (a *apply) effect(e Effect) { a.out.Effects = append(a.out.Effects, e) }
