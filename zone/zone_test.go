package zone

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// A capsule is admitted through every voter, and the certificate convinces somebody who has nothing but the genesis.
func TestAdmitIsCertified(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		c.furnish()
		c.register(c.leader(), 4)
		client := must(cert.NewTracker(c.raw))
		for i, z := range c.zones {
			cap := c.seal(now())
			start := time.Now()
			out := c.ok(z, must(machine.NewAdmit(cap.Bytes())))
			if d := time.Since(start); d > 100*time.Millisecond {
				t.Errorf("voter %d: certified after %v of virtual time", i, d)
			}
			if len(out.Certificates) != 2 {
				t.Fatalf("voter %d: %d certificates, want the admission's and the lease's", i, len(out.Certificates))
			}
			in := out.Certificates[0]
			if err := client.Verify(in); err != nil {
				t.Fatalf("voter %d: %v", i, err)
			}
			if in.Decision.Verdict != cert.Admitted || in.Decision.Slot.Capsule != cap.ID() {
				t.Fatalf("voter %d: certificate of %v", i, in.Decision)
			}
			again := c.ok(z, must(machine.NewAdmit(cap.Bytes())))
			if !again.Result.Repeated || len(again.Certificates) != 1 || again.Certificates[0].Decision.Body != in.Decision.Body {
				t.Fatalf("voter %d: the same capsule again: %+v", i, again)
			}
		}
		c.converge(5 * time.Second)
	})
}

// Commands that are proposed together stand in one entry in their order, through whichever voter: the last finds what those
// before it have done, and its outcome is told, whatever the state says to the others.
func TestProposedTogether(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		c.furnish()
		put := func(generation uint64, key, val string) []byte {
			return c.dataIn(generation, machine.Write{Key: []byte(key), Value: []byte(val)})
		}
		for i, z := range c.zones {
			ctx, cancel := c.ctx(10 * time.Second)
			out, err := z.Propose(ctx, put(0, "orders/1", "first"), put(7, "orders/2", "refused"), put(0, "orders/3", "second"), put(0, "orders/1", "last"))
			cancel()
			if err != nil || out.Result.Refusal != nil || out.Result.N != out.Index {
				t.Fatalf("voter %d: %+v %v", i, out, err)
			}
			v, err := z.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range map[string]string{"orders/1": "last", "orders/3": "second"} {
				if row, err := v.Get([]byte(key), 0); err != nil || string(row.Value) != want || row.Version != out.Index {
					t.Errorf("voter %d: %s is %q of entry %d (%v), want %q of entry %d", i, key, row.Value, row.Version, err, want, out.Index)
				}
			}
			if _, err := v.Get([]byte("orders/2"), 0); !errors.Is(err, machine.ErrNotFound) {
				t.Errorf("voter %d: a command of another generation was carried out: %v", i, err)
			}
			v.Close()
			if out, err = z.Propose(t.Context(), put(0, "orders/1", "x"), put(7, "orders/2", "refused")); err != nil || out.Result.Refusal == nil {
				t.Errorf("voter %d: the last is refused: %+v %v", i, out, err)
			}
			if _, err := z.Propose(t.Context()); err == nil {
				t.Errorf("voter %d: nothing was proposed, and no error came", i)
			}
		}
	})
}

func TestSegmentFromWarrantToResult(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		c.register(z, 1)
		for i, at := range c.zones {
			sub, err := at.Subscribe(c.worker.Key())
			if err != nil {
				t.Fatal(err)
			}
			cap := c.seal(now())
			c.ok(z, must(machine.NewAdmit(cap.Bytes())))
			e := <-sub.C
			for e.Capsule != cap.ID() {
				e = <-sub.C
			}
			w, lease, err := at.Warrant(t.Context(), e.Capsule)
			if err != nil || lease.Decision.Verdict != cert.Leased {
				t.Fatalf("voter %d: warrant %v %v", i, lease, err)
			}
			ended := make(chan *Result, 1)
			go func() {
				r, err := at.Await(t.Context(), cap.ID())
				if err != nil {
					t.Errorf("await: %v", err)
				}
				ended <- r
			}()
			commit := must(machine.NewCommit(c.worker, &machine.Commit{
				Scope: machine.NewScope(c.id, 0), Segment: w.Segment, Gas: 1000, End: machine.EndDone, Output: []byte("out"),
				Writes: []machine.Write{{Key: []byte("orders/1"), Value: []byte("v")}},
			}))
			out := c.ok(at, commit)
			r := <-ended
			if r == nil || r.Certificate.Decision.Verdict != cert.Finished || string(r.Output.Data) != "out" {
				t.Fatalf("voter %d: result %+v", i, r)
			}
			v, err := at.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if row, err := v.Get([]byte("orders/1"), 0); err != nil || string(row.Value) != "v" || v.Index() < out.Index {
				t.Fatalf("voter %d: read %v %v at %d", i, row, err, v.Index())
			}
			v.Close()
			sub.Close()
		}
	})
}

func waitedFor(z *Zone) int {
	z.hub.mu.Lock()
	defer z.hub.mu.Unlock()
	return len(z.hub.moves)
}

// Anybody may ask for the end of any capsule as often as they like: nothing is left of those who have gone, or were answered.
func TestAwaitLeavesNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for n := range 10 {
			wg.Go(func() {
				if _, err := z.Await(ctx, capsule.ID{byte(n / 2), 1}); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a capsule that nobody knows: %v", err)
				}
			})
		}
		synctest.Wait()
		if n := waitedFor(z); n != 5 {
			t.Errorf("%d capsules are waited for, want 5", n)
		}
		wg.Wait()
		cap := c.seal(now())
		c.ok(z, must(machine.NewAdmit(cap.Bytes())))
		c.ok(z, must(machine.NewCancel(c.author, &machine.Cancel{Scope: machine.NewScope(c.id, 0), Capsule: cap.ID()})))
		for range 3 {
			if r, err := z.Await(t.Context(), cap.ID()); err != nil || r.Certificate.Decision.Verdict != cert.Cancelled {
				t.Fatalf("the end: %+v %v", r, err)
			}
		}
		if n := waitedFor(z); n != 0 {
			t.Errorf("%d capsules are waited for by nobody", n)
		}
	})
}

// A lease that nobody renews ends by itself: the zone moves its time when a deadline is due, and stands still when idle.
func TestDeadlinesMoveTime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		c.register(z, 1)
		cap := c.seal(now())
		c.ok(z, must(machine.NewAdmit(cap.Bytes())))
		time.Sleep(5 * time.Second)
		v := must(z.Query())
		row, err := v.Capsule(cap.ID())
		v.Close()
		if err != nil || row.Status == machine.StatusRunning && row.Lease.Number == 1 {
			t.Fatalf("the lease of a silent worker holds: %+v %v", row.Lease, err)
		}
	})
}

func TestRestartKeepsEverything(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		cap := c.seal(now())
		first := c.ok(z, must(machine.NewAdmit(cap.Bytes())))
		for i := range c.zones {
			c.stop(i)
		}
		for i := range c.zones {
			c.start(i)
		}
		z = c.leader()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		got, err := z.Certificate(ctx, cert.Slot{Capsule: cap.ID(), Phase: cert.PhaseIn})
		if err != nil || got.Decision.Body != first.Certificates[0].Decision.Body {
			t.Fatalf("certificate after a restart: %v %v", got, err)
		}
		c.ok(z, must(machine.NewAdmit(c.seal(now()).Bytes())))
		c.converge(5 * time.Second)
	})
}

func TestRefusalsCostNoEntry(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		before := z.replica.Applied()
		cmd := c.data(machine.Write{Key: []byte("orders/a"), Value: []byte("b")})
		cmd[len(cmd)-3] ^= 1
		for i, at := range c.zones {
			out, err := at.Propose(t.Context(), cmd)
			if err != nil || out.Result.Refusal == nil {
				t.Fatalf("voter %d: %+v %v", i, out, err)
			}
		}
		if z.replica.Applied() != before {
			t.Fatal("a command that its bytes condemn went into the log")
		}
	})
}

// Old certificates are removed; an outcome that is asked for afterwards is restated.
func TestPrunedOutcomeIsRestated(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		cap := c.seal(now())
		first := c.ok(z, must(machine.NewAdmit(cap.Bytes())))
		if err := z.certs.prune(first.Index+1, 1000); err != nil {
			t.Fatal(err)
		}
		slot := cert.Slot{Capsule: cap.ID(), Phase: cert.PhaseIn}
		if _, ok, err := z.certs.slot(slot); ok || err != nil {
			t.Fatalf("not pruned: %v %v", ok, err)
		}
		got, err := z.Certificate(t.Context(), slot)
		if err != nil || got.Decision.Body != first.Certificates[0].Decision.Body || got.Decision.Index <= first.Index {
			t.Fatalf("restated: %+v %v", got, err)
		}
	})
}

// Who waits for a capsule hears of a suspension when it is applied, on every voter.
func TestMoved(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		c.register(z, 1)
		sub, err := z.Subscribe(c.worker.Key())
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		cap := c.seal(now())
		c.ok(z, must(machine.NewAdmit(cap.Bytes())))
		e := <-sub.C
		for e.Capsule != cap.ID() {
			e = <-sub.C
		}
		w, _, err := z.Warrant(t.Context(), cap.ID())
		if err != nil {
			t.Fatal(err)
		}
		var waits []<-chan struct{}
		for _, at := range c.zones {
			moved, leave := at.Moved(cap.ID())
			defer leave()
			select {
			case <-moved:
				t.Fatal("moved before anything happened")
			default:
			}
			waits = append(waits, moved)
		}
		c.ok(z, must(machine.NewCommit(c.worker, &machine.Commit{
			Scope: machine.NewScope(c.id, 0), Segment: w.Segment, Gas: w.Units, End: machine.EndDry,
			Saved: machine.Saved{State: capsule.RawCID([]byte("s")), Inline: []byte("s"), Size: 1},
		})))
		for i, moved := range waits {
			select {
			case <-moved:
			case <-time.After(5 * time.Second):
				t.Errorf("voter %d told nobody of the suspension", i)
			}
		}
	})
}
