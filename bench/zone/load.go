package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/raft"
)

// spent is what a stretch of work took.
type spent struct {
	n         int
	wall, cpu time.Duration
}

// rate is per second of the clock; free is what all cores would do if they had nothing else to do.
func (s spent) rate() float64  { return float64(s.n) / s.wall.Seconds() }
func (s spent) free() float64  { return float64(s.n) * cores / s.cpu.Seconds() }
func (s spent) each() float64  { return float64(s.cpu.Microseconds()) / float64(s.n) }
func (s spent) busy() float64  { return s.cpu.Seconds() / s.wall.Seconds() }
func best(a, b spent) spent    { return pick(a, b, a.n == 0 || b.n > 0 && b.rate() > a.rate()) }
func leanest(a, b spent) spent { return pick(a, b, a.n == 0 || b.n > 0 && b.each() < a.each()) }
func pick(a, b spent, b2 bool) spent {
	if b2 {
		return b
	}
	return a
}

// crowd calls fn n times from many goroutines.
func crowd(n, goroutines int, fn func(i int) error) (spent, error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	var first atomic.Pointer[error]
	start, cpu := time.Now(), processTime()
	for range goroutines {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && first.Load() == nil; i = next.Add(1) - 1 {
				if err := fn(int(i)); err != nil {
					first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	s := spent{n, time.Since(start), processTime() - cpu}
	if err := first.Load(); err != nil {
		return s, *err
	}
	return s, nil
}

// verification is one author's signature check by crypto/ed25519, the work that every voter has to do for every admission
// of an author whom it does not know yet.
func verification(c *capsule.Capsule, n int) (time.Duration, error) {
	message := append([]byte("kitwork/manifest/v1\x00"), c.ManifestBytes()...)
	sig, key := c.Sig(), c.Manifest().Author
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := cpuTime()
	for range n {
		if !ed25519.Verify(key[:], message, sig[:]) {
			return 0, fmt.Errorf("the signature is bad")
		}
	}
	return (cpuTime() - start) / time.Duration(n), nil
}

// beside starts a zone and the raw library next to it, with their logs in one folder.
func beside(ctx context.Context, o *options, row string) (*bed, *rawRaft, error) {
	dir, err := subdir(o, row)
	if err != nil {
		return nil, nil, err
	}
	b, err := newBed(ctx, dir, raft.Timing{})
	if err != nil {
		return nil, nil, err
	}
	r, err := newRaw(ctx, dir)
	if err != nil {
		b.close()
		return nil, nil, err
	}
	return b, r, nil
}

// gcAtWork is about the percentage that `kwnode start` gives the collector while a voter is at work: up to 200, for 64 MB a node.
const gcAtWork = 200

func throughputRow(ctx context.Context, o *options) ([]line, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(gcAtWork))
	b, r, err := beside(ctx, o, "throughput")
	if err != nil {
		return nil, err
	}
	defer b.close()
	defer r.close()
	var ours, raw, oursLean, rawLean spent
	var entries uint64
	verify := time.Hour
	for i := range o.rounds + 1 {
		cmds, err := b.seals(o.admissions)
		if err != nil {
			return nil, err
		}
		_, c, err := b.seal()
		if err != nil {
			return nil, err
		}
		v, err := verification(c, 2000)
		if err != nil {
			return nil, err
		}
		leader, err := b.leader(ctx)
		if err != nil {
			return nil, err
		}
		if i == 1 {
			startProfile()
		}
		runtime.GC()
		before := b.zones[leader].Status().Applied
		a, err := crowd(len(cmds), o.proposers, func(i int) error {
			_, err := propose(ctx, b.zones[leader], cmds[i])
			return err
		})
		if err != nil {
			return nil, err
		}
		if i == 1 {
			stopProfile()
		}
		lead, err := r.leader(ctx)
		if err != nil {
			return nil, err
		}
		entry := make([]byte, 256)
		e, err := crowd(o.admissions, o.proposers, func(int) error { return lead.Apply(entry, 10*time.Second).Error() })
		if err != nil {
			return nil, err
		}
		if i == 0 {
			continue // warm caches and connections
		}
		entries += b.zones[leader].Status().Applied - before
		verify = min(verify, v)
		ours, raw = best(ours, a), best(raw, e)
		oursLean, rawLean = leanest(oursLean, a), leanest(rawLean, e)
	}
	limit := cores / (voters * verify.Seconds())
	return []line{
		{fmt.Sprintf("one author verification, %.0f cores", cores), "", fmt.Sprintf("%.1f µs: at most %.0f admissions/s with %d voters", float64(verify.Nanoseconds())/1e3, limit, voters)},
		{fmt.Sprintf("certified admissions/s, %d proposers, best of %d rounds", o.proposers, o.rounds), fmt.Sprintf("≥ %.0f (0.7 of the limit)", 0.7*limit),
			fmt.Sprintf("%.0f by the clock (%.2f of the limit, %.2f cores busy), %.0f in an entry", ours.rate(), ours.rate()/limit, ours.busy(), float64(o.rounds*o.admissions)/float64(entries))},
		{"the same by CPU time, had the cores nothing else to do", "", fmt.Sprintf("%.0f (%.2f of the limit): %.0f µs an admission", oursLean.free(), oursLean.free()/limit, oursLean.each())},
		{"raw raft applies/s, 256 B entries", "", fmt.Sprintf("%.0f by the clock; %.0f µs of CPU each", raw.rate(), rawLean.each())},
	}, nil
}

func latencyRow(ctx context.Context, o *options) ([]line, error) {
	b, r, err := beside(ctx, o, "latency")
	if err != nil {
		return nil, err
	}
	defer b.close()
	defer r.close()
	leader, err := b.leader(ctx)
	if err != nil {
		return nil, err
	}
	lead, err := r.leader(ctx)
	if err != nil {
		return nil, err
	}
	var admits, raws []time.Duration
	entry := make([]byte, 256)
	startProfile()
	for range o.samples {
		cmd, _, err := b.seal()
		if err != nil {
			return nil, err
		}
		start := time.Now()
		if _, err := propose(ctx, b.zones[leader], cmd); err != nil {
			return nil, err
		}
		admits = append(admits, time.Since(start))
		start = time.Now()
		if err := lead.Apply(entry, 10*time.Second).Error(); err != nil {
			return nil, err
		}
		raws = append(raws, time.Since(start))
	}
	a, e := p50(admits), p50(raws)
	return []line{{"one proposer: admit → certificate, p50", "≤ 3 × one raw apply",
		fmt.Sprintf("%.2f ms; one raw apply %.2f ms: %.1f ×", ms(a), ms(e), float64(a)/float64(e))}}, nil
}

func p50(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// failoverRow kills the leader and waits for the next certified decision through another voter. The killed one comes back
// before the next round.
func failoverRow(ctx context.Context, o *options) ([]line, error) {
	dir, err := subdir(o, "failover")
	if err != nil {
		return nil, err
	}
	b, err := newBed(ctx, dir, raft.Timing{Heartbeat: 250 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	defer b.close()
	var took []time.Duration
	for range o.kills {
		i, err := b.leader(ctx)
		if err != nil {
			return nil, err
		}
		other := b.zones[(i+1)%voters]
		cmd, _, err := b.seal()
		if err != nil {
			return nil, err
		}
		start := time.Now()
		dead := make(chan error, 1)
		go func() { dead <- b.kill(i) }()
		if _, err := propose(ctx, other, cmd); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
		if err := <-dead; err != nil {
			return nil, err
		}
		if err := b.start(i); err != nil {
			return nil, err
		}
		if err := b.caughtUp(ctx); err != nil {
			return nil, err
		}
	}
	mid := p50(took)
	return []line{{fmt.Sprintf("leader killed → next certified decision, heartbeat 250 ms, p50 of %d", o.kills), "≤ 1 s",
		fmt.Sprintf("%.0f ms (%.0f to %.0f)", ms(mid), ms(took[0]), ms(took[len(took)-1]))}}, nil
}

// caughtUp waits until all voters have applied the same entry and sign.
func (b *bed) caughtUp(ctx context.Context) error {
	for ctx.Err() == nil {
		lead, err := b.leader(ctx)
		if err != nil {
			return err
		}
		want, even := b.zones[lead].Status(), true
		for _, z := range b.zones {
			st := z.Status()
			even = even && st.Applied == want.Applied && st.Signed == want.Applied && st.Leader == want.Self
		}
		if even {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ctx.Err()
}
