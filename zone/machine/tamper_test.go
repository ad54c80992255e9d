package machine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// TestBitFlips flips every bit of one command of each kind that somebody signs. None may pass as another
// command than the one that was signed.
func TestBitFlips(t *testing.T) {
	w := founded(t, 2)
	w.put(put("orders/1", "one"))
	running, idle := w.admit(), w.admit()
	w.register(1, 1)
	w.wseq++
	w.seq++
	for name, cmd := range map[string][]byte{
		"tick":     w.quorum(KindTick, &Tick{Scope: w.scope(), At: w.now + 5}, 3),
		"attest":   w.quorum(KindAttest, &Attest{Scope: w.scope(), Fact: FactHeld, Blob: capsule.RawCID([]byte("b")), Until: w.now + 5}, 3),
		"admin":    w.adminCmd(cert.OpCredit, w.seq, &Credit{Account: w.author.Key(), Amount: 5}, w.roots...),
		"register": must(NewRegister(w.workers[2], &Register{Scope: w.scope(), Sequence: w.wseq, Slots: 1, Pages: 1})),
		"renew":    must(NewRenew(w.workers[0], &Renew{Scope: w.scope(), Sequence: w.wseq, Keep: []LeaseRef{{Capsule: running, Number: 1}}})),
		"admit":    must(NewAdmit(w.seal().Bytes())),
		"commit": w.commitCmd(running, EndDone, func(c *Commit) {
			c.Reads, c.Writes = []Read{w.read(running, "orders/1")}, []Write{put("orders/1", "x")}
		}),
		"checkpoint": must(NewCheckpoint(w.workerOf(running), &Checkpoint{Scope: w.scope(), Segment: w.segment(running), Gas: 5, Saved: saved("s")})),
		"cancel":     must(NewCancel(w.author, &Cancel{Scope: w.scope(), Capsule: idle})),
		"topup":      must(NewTopUp(w.payer, [16]byte{1}, &TopUp{Scope: w.scope(), Capsule: idle, Units: 5, Expires: w.now + 5})),
		"revoke":     must(NewRevoke(w.owner, &RevokeGrant{Scope: w.scope(), Chain: w.grant()})),
		"namespace":  must(NewNamespace(w.owner, &Transfer{Scope: w.scope(), Namespace: "orders", Sequence: 1, To: w.author.Key()})),
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 1))
			// All bits take seconds for the long ones: every bit of the first 64 bytes, one of each later byte.
			for i := range len(cmd) * 8 {
				if i >= 512 && i%8 != r.IntN(8) {
					continue
				}
				flipped := bytes.Clone(cmd)
				flipped[i/8] ^= 1 << (i % 8)
				e := must(NewEntry(flipped))
				out, err := w.m.Apply(w.tx.Clone(), w.index+1, e)
				if err != nil {
					continue // an unknown version or kind
				}
				if res := out.Results[0]; res.Refusal == nil {
					t.Fatalf("bit %d of %d flipped, and the %s passes: %+v", i, 8*len(cmd), name, res)
				}
			}
			if out, err := w.m.Apply(w.tx.Clone(), w.index+1, must(NewEntry(cmd))); err != nil || out.Results[0].Refusal != nil {
				t.Fatalf("unchanged it is refused: %v %v", err, out.Results)
			}
		})
	}
}

// FuzzApply mutates entries on top of a state in which everything is alive.
func FuzzApply(f *testing.F) {
	w := founded(f, 2)
	w.put(put("orders/1", "one"))
	id := w.admit()
	w.wseq++
	seeds := [][]byte{
		w.quorum(KindTick, &Tick{Scope: w.scope(), At: w.now + 5}, 3),
		must(NewAdmit(w.seal().Bytes())),
		w.commitCmd(id, EndDone, func(c *Commit) { c.Scans = []ScanRead{w.scan(id, "orders/", "", 3)} }),
		must(NewRenew(w.workers[0], &Renew{Scope: w.scope(), Sequence: w.wseq, Keep: []LeaseRef{{Capsule: id, Number: 1}}})),
		must(NewRestate(cert.Slot{Capsule: id, Phase: cert.PhaseIn})),
		must(NewGenesis(w.raw)),
		w.putCmd(w.owner, nil, put("orders/1", "x")),
	}
	for _, s := range seeds {
		f.Add(must(NewEntry(s)))
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range [][]byte{b, must(NewEntry(b))} {
			tx := w.tx.Clone()
			out, err := New(w.zone, nil).Apply(tx, w.index+1, e)
			if err != nil {
				if !equalTx(tx, w.tx) {
					t.Fatal("a halt left writes")
				}
				continue
			}
			v := NewView(tx)
			if _, ok, err := v.ComputeStateHash(); !ok || err != nil {
				t.Fatalf("state hash: %v %v", ok, err)
			}
			if tot, _ := v.Totals(); !tot.conserved() {
				t.Fatalf("totals %+v", tot)
			}
			if len(out.Results) == 0 {
				t.Fatal("an entry without results")
			}
		}
	})
}

// FuzzPayload signs arbitrary payloads properly, so that the handlers see them.
func FuzzPayload(f *testing.F) {
	w := founded(f, 2)
	w.put(put("orders/1", "one"))
	id := w.admit()
	w.wseq++
	add := func(k Kind, v any) { f.Add(uint8(k), must(capsule.Marshal(v))) }
	add(KindCommit, &Commit{
		Scope: w.scope(), Segment: w.segment(id), Gas: 5, End: EndSleep, Saved: saved("x"), Due: w.now + 5,
		Reads: []Read{w.read(id, "orders/1")}, Scans: []ScanRead{w.scan(id, "orders/", "", 3)}, Writes: []Write{put("orders/1", "x")},
		Events: []Event{{Topic: "news", Data: []byte("x")}},
	})
	add(KindCheckpoint, &Checkpoint{Scope: w.scope(), Segment: w.segment(id), Gas: 5, Saved: saved("x")})
	add(KindRenew, &Renew{Scope: w.scope(), Sequence: w.wseq, Drop: []LeaseRef{{Capsule: id, Number: 1}}})
	add(KindRegister, &Register{Scope: w.scope(), Sequence: w.wseq, Slots: 1})
	add(KindCancel, &Cancel{Scope: w.scope(), Capsule: id})
	add(KindTopUp, &TopUp{Scope: w.scope(), Key: [16]byte{7}, Capsule: id, Units: 5, Expires: w.now + 5})
	add(KindRevoke, &RevokeGrant{Scope: w.scope(), Chain: w.grant()})
	add(KindTick, &Tick{Scope: w.scope(), At: w.now + 5})
	add(KindAttest, &Attest{Scope: w.scope(), Fact: FactHeld, Blob: capsule.RawCID([]byte("b")), Until: w.now + 5})
	pol := DefaultPolicy()
	add(KindAdmin, &cert.Admin{V: 1, Zone: w.zone, Sequence: w.seq + 1, Op: cert.OpPolicy, Body: must(capsule.Marshal(&pol))})
	add(KindAdmin, &cert.Admin{V: 1, Zone: w.zone, Sequence: w.seq + 1, Op: cert.OpEpoch, Body: must(capsule.Marshal(&cert.Epoch{V: 1, Number: 1, Voters: keysOf(w.voters)}))})
	add(KindData, &Data{Scope: w.scope(), Key: [16]byte{7}, Expires: w.now + 5, Writes: []Write{put("orders/1", "x")}})
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte) {
		k := Kind(kind)
		var cmd []byte
		switch k {
		case KindTick, KindAttest:
			var sigs []cert.IndexSig
			for i, v := range w.voters {
				sigs = append(sigs, cert.IndexSig{Pos: uint8(i), Sig: v.Sign(k.SigKind(), payload)})
			}
			cmd = must(NewQuorum(k, payload, sigs))
		case KindAdmin:
			s := &cert.SignedAdmin{Payload: payload}
			for i, v := range w.roots {
				s.Roots = append(s.Roots, cert.IndexSig{Pos: uint8(i), Sig: v.Sign(cert.KindAdmin, payload)})
			}
			for i, v := range w.voters {
				s.Voters = append(s.Voters, cert.IndexSig{Pos: uint8(i), Sig: v.Sign(cert.KindEpoch, payload)})
			}
			cmd = must(NewAdmin(s))
		default:
			by, key := w.workers[0], [16]byte{}
			if k == KindData || k == KindTopUp {
				key[0] = 7
			}
			if k == KindData || k == KindRevoke {
				by = w.owner
			}
			cmd = must(bodyCommand(k, key, &Signed{Signer: by.Key(), Payload: payload, Sig: by.Sign(k.SigKind(), payload)}))
		}
		tx := w.tx.Clone()
		out, err := New(w.zone, nil).Apply(tx, w.index+1, must(NewEntry(cmd)))
		if err != nil {
			return
		}
		v := &world{t: t, tx: tx, index: w.index + 1}
		v.checkState()
		v.checkFree()
		_ = fmt.Sprint(out)
	})
}
