package zone

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/internal/memnet"
	"github.com/kitwork/kwnode/zone/machine"
)

// writers put rows of their own through whichever voter runs, and remember what was acknowledged.
type writers struct {
	c          *cluster
	n          int
	zones      atomic.Pointer[[]*Zone] // that run
	generation atomic.Uint64
	stop       atomic.Bool
	wg         sync.WaitGroup

	mu    sync.Mutex // guards what follows
	acked map[string]ack
	wrong []string
}

type ack struct{ version, generation uint64 }

func newWriters(c *cluster, n int) *writers {
	w := &writers{c: c, n: n, acked: map[string]ack{}}
	w.through()
	for id := range n {
		w.wg.Go(func() { w.write(id) })
	}
	return w
}

// through lets the writers use the voters that run now.
func (w *writers) through() {
	var zs []*Zone
	for _, z := range w.c.zones {
		if z != nil {
			zs = append(zs, z)
		}
	}
	w.zones.Store(&zs)
}

func (w *writers) write(id int) {
	for n := 0; !w.stop.Load(); n++ {
		time.Sleep(time.Duration(5+3*id) * time.Millisecond)
		zs := *w.zones.Load()
		if len(zs) == 0 {
			continue
		}
		key, generation := fmt.Sprintf("orders/load/%d/%d", id, n), w.generation.Load()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		out, err := zs[n%len(zs)].Propose(ctx, w.c.dataIn(generation, machine.Write{Key: []byte(key), Value: []byte("v")}))
		cancel()
		w.mu.Lock()
		switch {
		case err != nil: // its outcome is unknown, or there was none
		case out.Result.Refusal == nil:
			w.acked[key] = ack{version: out.Result.N, generation: generation}
		case out.Result.Refusal.Code != machine.CodeGeneration:
			w.wrong = append(w.wrong, fmt.Sprintf("%s: %v", key, out.Result.Refusal))
		}
		w.mu.Unlock()
	}
}

// more waits until something that began after the call was acknowledged.
func (w *writers) more(what string) {
	w.c.t.Helper()
	count := func() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.acked) }
	n := count()
	waitFor(w.c.t, 30*time.Second, "a write to be acknowledged "+what, func() bool { return count() > n+w.n })
}

func (w *writers) halt() {
	w.stop.Store(true)
	w.wg.Wait()
}

// end stops the writers and compares each running voter with what they were told. It returns how much was acknowledged in
// each generation.
func (w *writers) end() map[uint64]int {
	w.c.t.Helper()
	w.halt()
	w.c.converge(20 * time.Second)
	for _, s := range w.wrong {
		w.c.t.Error(s)
	}
	for i, z := range w.c.zones {
		if z == nil {
			continue
		}
		v := must(z.Query())
		for key, a := range w.acked {
			if row, err := v.Get([]byte(key), 0); err != nil || row.Version != a.version {
				w.c.t.Errorf("voter %d: %s was acknowledged at %d, generation %d; it is at %d (%v)", i, key, a.version, a.generation, row.Version, err)
			}
		}
		if _, kept, err := v.ComputeStateHash(); err != nil || !kept {
			w.c.t.Errorf("voter %d: the state hash is not that of the rows: %v", i, err)
		}
		v.Close()
	}
	n := map[uint64]int{}
	for _, a := range w.acked {
		n[a.generation]++
	}
	return n
}

// Three of five voters burn down while clients write, the leader among them. What was acknowledged, four had signed, so that
// the more advanced of the two that are left has all of it, though the other lags behind. The roots make it go on with two
// new voters; the clients write all the time.
func TestRecoveryUnderLoad(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 5, func(c *cluster) {
			slow := c.voters[4].Key()
			c.net = memnet.New(func(_, to capsule.Key) time.Duration {
				if to == slow {
					return 20 * time.Millisecond
				}
				return time.Millisecond
			})
		})
		defer c.close()
		z := c.furnish()
		if z != c.zones[0] {
			if err := z.Transfer(c.voters[0].Key()); err != nil {
				t.Fatal(err)
			}
		}
		w := newWriters(c, 4)
		defer w.halt()
		w.more("at first")
		lost := c.voters[:3]
		for _, k := range keysOf(lost) { // at once, in the middle of whatever is on its way
			for _, o := range c.voters {
				c.net.Cut(k, o.Key())
				c.net.Cut(o.Key(), k)
			}
		}
		for i := range lost {
			c.stop(i)
		}
		c.net.Heal()
		w.through()
		waitFor(t, 30*time.Second, "the loss of the quorum to be noticed", func() bool { return (*w.zones.Load())[0].noQuorum() != nil })
		keep := 3
		if c.zones[4].replica.Applied() > c.zones[3].replica.Applied() {
			keep = 4
		}
		w.zones.Store(&[]*Zone{})
		st := c.zones[keep].Status()
		for i := range c.zones {
			c.stop(i)
		}
		survivor := c.config(keep)
		fresh := []*capsule.Identity{ident(301), ident(302)}
		voters := append(keysOf(fresh), c.voters[keep].Key())
		sortKeys(voters)
		act := c.act(cert.OpRecover, 0, &cert.Epoch{V: cert.Version, Number: 1, Voters: voters, RetainedIndex: st.Applied, RetainedChain: st.Chain})
		if err := Recover(survivor, act); err != nil {
			t.Fatal(err)
		}
		c.start(keep)
		for i, id := range fresh {
			c.voters[i], c.fs[i], *c.records[i] = id, newFS(), cert.MemRecord{}
			cfg := c.config(i)
			cfg.Dir += "-new"
			cfg.Contacts = []capsule.Key{c.voters[keep].Key()}
			c.zones[i] = must(Open(cfg))
		}
		w.through()
		waitFor(t, time.Minute, "the next generation", func() bool { return c.leader().Status().Generation == 1 })
		w.generation.Store(1)
		w.more("after the recovery")
		if n := w.end(); n[0] == 0 || n[1] == 0 {
			t.Fatalf("acknowledged by generation: %v", n)
		}
	})
}
