package zone

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// onDisk makes everything durable as in production.
func onDisk(c *cluster) {
	c.disk, c.sync, c.records = true, true, make([]*cert.MemRecord, len(c.zones))
}

// BenchmarkCertifiedAdmissions is three voters in one process with fsync and 256 clients that each wait for a certificate.
func BenchmarkCertifiedAdmissions(b *testing.B) {
	c := newCluster(b, 3, onDisk)
	defer c.close()
	z := c.furnish()
	const clients = 256
	n := max(b.N, clients)
	cmds := make([][]byte, n)
	for i := range cmds {
		cmds[i] = must(machine.NewAdmit(c.seal(now()).Bytes()))
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	start := time.Now()
	for range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				c.ok(z, cmds[i])
			}
		}()
	}
	wg.Wait()
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "admissions/s")
}

// BenchmarkOneProposer is the latency from a command to its certificate, and of one raw entry beside it.
func BenchmarkOneProposer(b *testing.B) {
	c := newCluster(b, 3, onDisk)
	defer c.close()
	z := c.furnish()
	var admit, raw []time.Duration
	for b.Loop() {
		cmd := must(machine.NewAdmit(c.seal(now()).Bytes()))
		start := time.Now()
		c.ok(z, cmd)
		admit = append(admit, time.Since(start))
		start = time.Now()
		if _, _, err := z.node.Propose(nil); err != nil {
			b.Fatal(err)
		}
		raw = append(raw, time.Since(start))
	}
	p50 := func(d []time.Duration) float64 { slices.Sort(d); return float64(d[len(d)/2].Microseconds()) }
	b.ReportMetric(p50(admit), "certificate-p50-µs")
	b.ReportMetric(p50(raw), "entry-p50-µs")
}

// BenchmarkReplica is one replica's share of an admission once its signature is verified: Apply, the rows on the disk, the
// certificate's decision. Entries are of 64.
func BenchmarkReplica(b *testing.B) {
	const batch = 64
	c := newCluster(b, 1, onDisk)
	defer c.close()
	z := c.furnish()
	if err := z.node.Close(); err != nil { // the log is left out
		b.Fatal(err)
	}
	r := *z.replica
	r.after = func(*applied) {}
	at := now()
	index := r.Applied()
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += batch {
		b.StopTimer()
		cmds := make([][]byte, batch)
		for i := range cmds {
			cmds[i] = must(machine.NewAdmit(c.seal(at).Bytes()))
			if err := r.m.Prepare(cmds[i]); err != nil {
				b.Fatal(err)
			}
		}
		entry := must(machine.NewEntry(cmds...))
		index++
		b.StartTimer()
		out, err := r.Apply(index, entry)
		if err != nil {
			b.Fatal(err)
		}
		if res := &out.(*applied).out.Results[batch-1]; res.Refusal != nil {
			b.Fatal(res.Refusal)
		}
	}
}
