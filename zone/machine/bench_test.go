package machine

import (
	"fmt"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// BenchmarkAdmit measures one admission with its lease, in entries of 64, verified ahead or not. An author's
// signature verification alone is BenchmarkVerify.
func BenchmarkAdmit(b *testing.B) {
	for _, ahead := range []bool{true, false} {
		b.Run(fmt.Sprintf("prepared=%v", ahead), func(b *testing.B) {
			const batch = 64
			w := founded(b, 4000)
			w.register(1, 4000)
			w.admin(cert.OpCredit, &Credit{Account: w.author.Key(), Amount: 1 << 50})
			base := w.tx.Clone()
			var entries [][]byte
			for range 30 {
				var cmds [][]byte
				for range batch {
					cmds = append(cmds, must(NewAdmit(w.seal().Bytes())))
				}
				entries = append(entries, must(NewEntry(cmds...)))
			}
			b.ReportAllocs()
			b.ResetTimer()
			index := w.index
			for n := 0; n*batch < b.N; n++ {
				b.StopTimer()
				e := entries[n%len(entries)]
				if n%len(entries) == 0 {
					w.tx, index = base.Clone(), w.index
				}
				if cmds, _ := Commands(e); ahead {
					for _, c := range cmds {
						if err := w.m.Prepare(c); err != nil {
							b.Fatal(err)
						}
					}
				}
				index++
				b.StartTimer()
				out, err := w.m.Apply(w.tx, index, e)
				if err != nil || out.Results[batch-1].Refusal != nil {
					b.Fatal(err, out.Results[batch-1].Refusal)
				}
			}
		})
	}
}

func BenchmarkCommit(b *testing.B) {
	w := founded(b, 4000)
	w.admin(cert.OpCredit, &Credit{Account: w.author.Key(), Amount: 1 << 50})
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		id := w.admit()
		k := fmt.Sprintf("orders/%d", i%50)
		cmd := w.commitCmd(id, EndDone, func(c *Commit) {
			c.Reads, c.Writes = []Read{w.read(id, k)}, []Write{put(k, "value")}
		})
		_ = w.m.Prepare(cmd)
		w.index++
		entry := must(NewEntry(cmd))
		b.StartTimer()
		if out, err := w.m.Apply(w.tx, w.index, entry); err != nil || out.Results[0].Refusal != nil {
			b.Fatal(err, out.Results)
		}
	}
}

func BenchmarkTick(b *testing.B) {
	w := founded(b, 1)
	for b.Loop() {
		b.StopTimer()
		w.now++
		e := must(NewEntry(w.quorum(KindTick, &Tick{Scope: w.scope(), Epoch: w.epoch, At: w.now}, 3)))
		cmds, _ := Commands(e)
		_ = w.m.Prepare(cmds[0])
		w.index++
		b.StartTimer()
		if _, err := w.m.Apply(w.tx, w.index, e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	w := founded(b, 1)
	c := w.seal()
	p, sig := c.ManifestBytes(), c.Sig()
	for b.Loop() {
		if !capsule.VerifySig(w.author.Key(), capsule.KindManifest, p, sig) {
			b.Fatal("bad signature")
		}
	}
}

func BenchmarkStateHashRow(b *testing.B) {
	var h ltHash
	key, val := make([]byte, 33), make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		h.add(key, val)
	}
}
