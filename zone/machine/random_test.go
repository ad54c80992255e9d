package machine

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

var seedFlag = flag.Uint64("seed", 0, "replay one seed of the random tests")

// player makes random commands, most of them sensible.
type player struct {
	*world
	r    *rand.Rand
	ids  []capsule.ID
	caps []*capsule.Capsule
	sent [][]byte
}

func (p *player) pick() capsule.ID { return p.ids[max(0, len(p.ids)-10)+p.r.IntN(min(10, len(p.ids)))] }

func (p *player) key() string { return fmt.Sprintf("orders/%d", p.r.IntN(6)) }

func (p *player) writes() []Write {
	var ws []Write
	for i := range 6 {
		k := fmt.Sprintf("orders/%d", i)
		switch p.r.IntN(6) {
		case 0:
			ws = append(ws, Write{Key: []byte(k), Delete: true})
		case 1, 2:
			ws = append(ws, put(k, fmt.Sprint(p.r.IntN(1000))))
		}
	}
	return ws
}

// command returns a random command, or nil when it has no sense now.
func (p *player) command() []byte {
	if p.r.IntN(3) > 0 {
		for range 8 { // look for one that runs: most others can only be refused
			if len(p.ids) == 0 {
				break
			}
			id := p.pick()
			if c, err := p.view().Capsule(id); err == nil && c.Status == StatusRunning {
				return p.randomCommit(id, c)
			}
		}
	}
	if len(p.sent) > 0 && p.r.IntN(12) == 0 {
		return p.sent[p.r.IntN(len(p.sent))] // a repetition, late or not
	}
	if len(p.ids) == 0 || p.r.IntN(7) == 0 {
		c := p.seal(func(m *capsule.Manifest) {
			m.Gas = uint64(1 + p.r.IntN(60_000))
			m.Expires = p.now + uint64(1+p.r.IntN(60_000))
			m.Limits.MemoryPages = uint32(p.r.IntN(16_500))
		})
		p.ids, p.caps = append(p.ids, c.ID()), append(p.caps, c)
		return must(NewAdmit(c.Bytes()))
	}
	id := p.pick()
	c, err := p.view().Capsule(id)
	switch p.r.IntN(18) {
	case 0, 1, 2, 3, 4, 14, 15, 16, 17:
		if err != nil || c.Status != StatusRunning {
			return nil
		}
		return p.randomCommit(id, c)
	case 5, 6:
		p.now += uint64(p.r.IntN(1500))
		return p.quorum(KindTick, &Tick{Scope: p.scope(), Epoch: p.epoch, At: p.now}, 2+p.r.IntN(3))
	case 7:
		if err != nil || c.Status != StatusRunning {
			return nil
		}
		return must(NewCheckpoint(p.workerOf(id), &Checkpoint{Scope: p.scope(), Segment: p.segment(id), Gas: uint64(p.r.IntN(30_000)), Saved: saved(fmt.Sprint("cp", p.r.IntN(3)))}))
	case 8:
		return p.renew()
	case 9:
		return must(NewCancel(p.author, &Cancel{Scope: p.scope(), Capsule: id, Envelope: p.caps[p.r.IntN(len(p.caps))].Bytes()}))
	case 10:
		p.nonce++
		var key [16]byte
		binary.BigEndian.PutUint64(key[8:], p.nonce)
		return must(NewTopUp(p.payer, key, &TopUp{Scope: p.scope(), Capsule: id, Units: uint64(p.r.IntN(50_000)), Expires: p.now + 10_000}))
	case 11, 12:
		if ws := p.writes(); len(ws) > 0 {
			return p.putCmd(p.owner, nil, ws...)
		}
	case 13:
		return p.rare(id)
	}
	return nil
}

func (p *player) rare(id capsule.ID) []byte {
	switch p.r.IntN(4) {
	case 0:
		return must(NewRestate(cert.Slot{Capsule: id, Segment: uint32(p.r.IntN(3)), Phase: cert.Phase(1 + p.r.IntN(6))}))
	case 1:
		p.wseq++
		i := p.r.IntN(len(p.workers))
		return must(NewRegister(p.workers[i], &Register{Scope: p.scope(), Sequence: p.wseq, Slots: uint32(p.r.IntN(4)), Pages: 1 << 16, Drain: p.r.IntN(4) == 0, Began: p.r.IntN(4) == 0}))
	case 2:
		return p.quorum(KindAttest, &Attest{Scope: p.scope(), Fact: FactHeld, Blob: capsule.RawCID([]byte{byte(p.r.IntN(3))}), Until: p.now + uint64(p.r.IntN(40_000))}, 3)
	default:
		pol := DefaultPolicy()
		pol.OpenWorkers, pol.Price.Gas, pol.Bounds.Queue = true, uint64(p.r.IntN(2000)), uint32(p.r.IntN(30))
		pol.Times.KeepResult, pol.Times.KeepEvent = 20_000, 20_000
		return p.adminCmd(cert.OpPolicy, p.adminSeq()+1, &pol, p.roots...)
	}
}

func (p *player) adminSeq() uint64 { z, _ := p.view().Zone(); return z.AdminSequence }

func (p *player) renew() []byte {
	w := p.workers[p.r.IntN(len(p.workers))]
	p.wseq++
	rn := &Renew{Scope: p.scope(), Sequence: p.wseq}
	_ = p.view().Held(w.Key(), func(id capsule.ID) {
		ref := LeaseRef{Capsule: id, Number: p.capsule(id).Lease.Number}
		if p.r.IntN(5) == 0 {
			rn.Drop = append(rn.Drop, ref)
		} else {
			rn.Keep = append(rn.Keep, ref)
		}
	})
	return must(NewRenew(w, rn))
}

func (p *player) randomCommit(id capsule.ID, c CapsuleRow) []byte {
	end := End(1 + p.r.IntN(int(endEnd)-1))
	return p.commitCmd(id, end, func(t *Commit) {
		t.Gas = min(c.Run.Meter+uint64(p.r.IntN(20_000)), c.Gas.left()+uint64(p.r.IntN(20)/19))
		for range p.r.IntN(3) {
			t.Reads = append(t.Reads, p.read(id, p.key()))
		}
		if p.r.IntN(3) == 0 {
			t.Scans = append(t.Scans, p.scan(id, "orders/", "", p.r.IntN(8)))
		}
		if end.effects() {
			t.Writes = p.writes()
			for range p.r.IntN(2) {
				t.Events = append(t.Events, Event{Topic: "news", Data: []byte("x")})
			}
		}
		t.Due = p.now + uint64(p.r.IntN(5000))
		if !end.ends() {
			t.Saved = saved(fmt.Sprint("s", p.r.IntN(3)))
			if p.r.IntN(6) == 0 {
				t.Saved = Saved{State: capsule.RawCID([]byte{byte(p.r.IntN(3))}), Size: 30_000}
			}
		}
	})
}

// play runs a random log of entries and returns the world after it.
func play(t *testing.T, seed uint64, entries int, each func(w *world)) *world {
	p := &player{world: founded(t, 3), r: rand.New(rand.NewPCG(seed, 1))}
	p.register(1, 2)
	for range entries {
		var cmds [][]byte
		for range 1 + p.r.IntN(4) {
			if c := p.command(); c != nil {
				cmds = append(cmds, c)
				p.sent = append(p.sent, c)
			}
		}
		if len(cmds) == 0 {
			continue
		}
		p.apply(cmds...)
		each(p.world)
	}
	return p.world
}

// TestRandom plays random logs: the books balance after every entry, and replicas that prepare, that
// restart, and that do neither, agree on everything.
func TestRandom(t *testing.T) {
	seeds := uint64(6)
	first := uint64(1)
	if *seedFlag != 0 {
		first, seeds = *seedFlag, 1
	}
	codes := map[Code]int{}
	verdicts := map[cert.Verdict]int{}
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			var outs []Outcome
			n := 0
			w := play(t, seed, 250, func(w *world) {
				outs = append(outs, w.last)
				for _, r := range w.last.Results {
					if r.Refusal != nil {
						codes[r.Refusal.Code]++
					} else {
						codes["ok"]++
					}
				}
				for _, d := range w.last.Decisions {
					verdicts[d.Verdict]++
				}
				if n++; n%8 == 0 {
					w.checkState()
				}
				w.checkFree()
			})
			w.checkState()
			replay(t, w, outs, seed)
		})
	}
	t.Logf("results %v", codes)
	t.Logf("verdicts %v", verdicts)
}

// checkFree verifies the index of free workers and the counts against the rows.
func (w *world) checkFree() {
	w.t.Helper()
	v := w.view()
	n, _ := v.Counts()
	var free, used, live, queued uint32
	_ = v.Workers(capsule.Key{}, 1000, func(_ capsule.Key, r WorkerRow) { free += r.free(); used += r.Used })
	var running uint32
	var garbage uint64
	_ = w.tx.Scan([]byte{tabGarbage}, nil, func(_, _ []byte) bool { garbage++; return true })
	if garbage != n.Garbage {
		w.t.Fatalf("index %d: %d rows wait for collection, counted are %d", w.index, garbage, n.Garbage)
	}
	_ = v.Capsules(capsule.ID{}, 1<<30, func(id capsule.ID, c CapsuleRow) {
		if !c.Status.Ended() {
			live++
		}
		if c.Status == StatusRunning {
			running++
		}
		if c.Status == StatusReady {
			queued++
		}
		if _, ok, _ := w.tx.Get(row(tabNonce, c.Author[:], c.Nonce[:])); !ok {
			w.t.Fatalf("index %d: capsule %s has no nonce", w.index, id)
		}
		if g := &c.Gas; g.Spent+g.Retry > g.Limit {
			w.t.Fatalf("capsule %s spent %d + %d of %d", id, g.Spent, g.Retry, g.Limit)
		}
		if c.Status == StatusRunning && c.Lease.Index < n.Floor {
			w.t.Fatalf("index %d: a lease reads at %d, below the floor %d", w.index, c.Lease.Index, n.Floor)
		}
	})
	if n.FreeSlots != free || running != used || n.Live != live || n.Queued != queued {
		w.t.Fatalf("index %d: counts %+v; rows say free %d, live %d, queued %d, running %d of %d used", w.index, n, free, live, queued, running, used)
	}
}

// replay applies w's log in three other ways and compares.
func replay(t *testing.T, w *world, outs []Outcome, seed uint64) {
	plain, prepared, restarted := New(w.zone, nil), New(w.zone, nil), New(w.zone, nil)
	txs := []*MemTx{{}, {}, {}}
	r := rand.New(rand.NewPCG(seed, 2))
	skip := len(w.log) - len(outs)
	for i, e := range w.log {
		cmds, err := Commands(e)
		if err != nil {
			t.Fatal(err)
		}
		for j := range cmds {
			_ = prepared.Prepare(cmds[len(cmds)-1-j])
		}
		if r.IntN(5) == 0 {
			restarted = New(w.zone, nil)
		}
		var states []capsule.Hash
		for k, m := range []*Machine{plain, prepared, restarted} {
			out, err := m.Apply(txs[k], uint64(i+1), e)
			if err != nil {
				t.Fatal(err)
			}
			states = append(states, out.State)
			if i >= skip {
				sameOutcome(t, &outs[i-skip], &out)
			}
		}
		if states[0] != states[1] || states[0] != states[2] {
			t.Fatalf("entry %d: the replicas differ", i+1)
		}
	}
	for k, tx := range txs {
		if !equalTx(w.tx, tx) {
			t.Fatalf("replica %d has other rows", k)
		}
	}
}

func sameOutcome(t *testing.T, a, b *Outcome) {
	t.Helper()
	if a.Chain != b.Chain || a.State != b.State || a.Deadline != b.Deadline || fmt.Sprint(a.Decisions) != fmt.Sprint(b.Decisions) ||
		fmt.Sprint(a.Effects) != fmt.Sprint(b.Effects) || fmt.Sprint(a.Results) != fmt.Sprint(b.Results) {
		t.Fatalf("index %d:\n%+v\n%+v", a.Index, a, b)
	}
}
