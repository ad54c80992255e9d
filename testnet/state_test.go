package testnet

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// checkpointed reports a capsule's row once it was saved in the middle of its segment.
func checkpointed(t *testing.T, n *Net, id capsule.ID) (machine.CapsuleRow, bool) {
	t.Helper()
	v, err := n.Voter(0).Query()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	row, err := v.Capsule(id)
	return row, err == nil && row.Run.Meter > 0
}

// tally starts a capsule that reads, writes, computes for a second or so, and reads and writes again.
func tally(t *testing.T, ctx context.Context, c *sdk.Client) *sdk.Submission {
	t.Helper()
	s, err := sdk.Start(ctx, c, programs.Tally, programs.Ledger{Name: "hits", Below: 800_000}, sdk.Gas(1<<40), sdk.Keys("kv/count/*"), sdk.Need("event/tally", capsule.Emit))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// startTally starts one and waits until it was saved in the middle.
func startTally(t *testing.T, ctx context.Context, n *Net, c *sdk.Client) (*sdk.Submission, capsule.Key) {
	t.Helper()
	s := tally(t, ctx, c)
	var worker capsule.Key
	waitFor(t, ctx, "a checkpoint", func() bool {
		row, ok := checkpointed(t, n, s.ID)
		worker = row.Lease.Worker
		return ok && !worker.IsZero()
	})
	return s, worker
}

// onceTallied checks that everything that the capsule did took effect, once.
func onceTallied(t *testing.T, ctx context.Context, n *Net, s *sdk.Submission) *sdk.Result {
	t.Helper()
	res, err := s.Await(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const primes = 63951
	if got, err := sdk.Decode[int64](res); err != nil || got != primes+11_000_000 {
		t.Errorf("%d, want %d (%v)", got, primes+11_000_000, err)
	}
	if len(res.Events) != 1 {
		t.Errorf("%d events, want 1", len(res.Events))
	}
	v, err := n.Voter(0).Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, err := v.Get([]byte("count/hits"), v.Index()); err != nil {
		t.Error(err)
	}
	return res
}

// A worker that dies after the segment has read and written costs time only: the successor has its checkpoint with the
// reads and the writes that wait.
func TestWorkerDiesWithEffects(t *testing.T) {
	ctx, n, c := up(t, Options{Interp: true, Workers: 2})
	began := time.Now()
	s, _ := startTally(t, ctx, n, c)
	whole := onceTallied(t, ctx, n, s)
	unbroken := time.Since(began)
	if _, err := sdk.Run(ctx, c, programs.Reset, "hits", sdk.Keys("kv/count/*")); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	s, first := startTally(t, ctx, n, c)
	row, _ := checkpointed(t, n, s.ID)
	saved := row.Run.Meter
	if row.Run.Check.Journal.IsZero() {
		t.Error("the checkpoint has no journal")
	}
	died := time.Now()
	n.Workers = slices.DeleteFunc(n.Workers, func(w *node.Node) bool {
		runs := len(w.Workers()[0].Status().Running) > 0
		if runs {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		}
		return runs
	})
	waitFor(t, ctx, "a successor", func() bool {
		row, _ := checkpointed(t, n, s.ID)
		return !row.Lease.Worker.IsZero() && row.Lease.Worker != first
	})
	t.Logf("succeeded after %v", time.Since(died))
	broken := onceTallied(t, ctx, n, s)
	if broken.Bill.Spent != whole.Bill.Spent || broken.Bill.Retry != 0 || broken.Retries.Count == 0 {
		t.Errorf("charged %d units and %d again after %+v, want %d, as without the death, and what was tried in vain itemised", broken.Bill.Spent, broken.Bill.Retry, broken.Retries, whole.Bill.Spent)
	}
	by := ""
	for e, err := range s.Watch(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Kind == api.EventLease:
			by = e.Text
		case e.Kind == api.EventGas && by != "" && by != first.String() && e.N < saved:
			t.Errorf("the successor was at %d units, and %d had been saved: it began anew", e.N, saved)
		}
	}
	t.Logf("it took %v, %v without the death", time.Since(began), unbroken)
}

var deathSeed = flag.Uint64("deaths", 0, "replay one seed of TestWorkerDiesAnywhere")

// Whenever a worker dies, from before it has the capsule until after its end, the next one comes to the same result, effects
// and charge.
func TestWorkerDiesAnywhere(t *testing.T) {
	seed := *deathSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d; replay with -deaths", seed)
	moments := rand.New(rand.NewPCG(seed, 0))
	ctx, n, c := up(t, Options{Interp: true})
	s := tally(t, ctx, c)
	began := time.Now()
	whole := onceTallied(t, ctx, n, s)
	unbroken := time.Since(began)
	const deaths = 2
	for i := range deaths {
		if err := n.AddWorker(ctx, fmt.Sprintf("worker-%d", i)); err != nil {
			t.Fatal(err)
		}
		if _, err := sdk.Run(ctx, c, programs.Reset, "hits", sdk.Keys("kv/count/*")); err != nil {
			t.Fatal(err)
		}
		moment := time.Duration((float64(i) + moments.Float64()) / deaths * float64(unbroken))
		s := tally(t, ctx, c)
		<-time.After(moment)
		// Both may have it: only the one that runs it dies, or the one that waits.
		dies := max(0, slices.IndexFunc(n.Workers, func(w *node.Node) bool { return len(w.Workers()[0].Status().Running) > 0 }))
		if err := n.Workers[dies].Close(); err != nil {
			t.Error(err)
		}
		n.Workers = slices.Delete(n.Workers, dies, dies+1)
		broken := onceTallied(t, ctx, n, s)
		t.Logf("died after %v: %d units, retries %+v", moment, broken.Bill.Spent, broken.Retries)
		if broken.Bill.Spent != whole.Bill.Spent || broken.Bill.Retry != 0 {
			t.Errorf("seed %d: a worker's death after %v: charged %d units and %d again, want %d", seed, moment, broken.Bill.Spent, broken.Bill.Retry, whole.Bill.Spent)
		}
	}
}

// Draining a worker moves what it runs in the middle of its loop. The result is that of an unmoved run, to the unit.
func TestDrain(t *testing.T) {
	ctx, n, c := up(t, Options{Interp: true})
	s, _ := startTally(t, ctx, n, c)
	unmoved := onceTallied(t, ctx, n, s)
	for name, drain := range map[string]func(capsule.Key){
		"by its node": func(capsule.Key) {
			for _, w := range n.Workers {
				if len(w.Workers()[0].Status().Running) > 0 {
					if err := w.Workers()[0].Drain(ctx); err != nil {
						t.Fatal(err)
					}
					return
				}
			}
			t.Fatal("nobody runs it")
		},
		"by the roots": func(k capsule.Key) {
			if err := n.Admin(ctx, cert.OpWorker, &machine.SetWorker{Worker: k, Drain: true}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if err := n.AddWorker(ctx, name); err != nil {
			t.Fatal(err)
		}
		if _, err := sdk.Run(ctx, c, programs.Reset, "hits", sdk.Keys("kv/count/*")); err != nil {
			t.Fatal(err)
		}
		s, first := startTally(t, ctx, n, c)
		drain(first)
		waitFor(t, ctx, "another worker", func() bool {
			row, _ := checkpointed(t, n, s.ID)
			if row.Status.Ended() {
				t.Fatalf("%s: it ended where it was", name)
			}
			return !row.Lease.Worker.IsZero() && row.Lease.Worker != first
		})
		moved := onceTallied(t, ctx, n, s)
		if moved.Bill.Spent != unmoved.Bill.Spent || moved.Bill.Retry != 0 {
			t.Errorf("%s: %d units and %d again, unmoved %d", name, moved.Bill.Spent, moved.Bill.Retry, unmoved.Bill.Spent)
		}
	}
}

// asleep waits until the zone has put a capsule to sleep, and returns its state.
func asleep(t *testing.T, ctx context.Context, n *Net, id capsule.ID) (state capsule.CID) {
	t.Helper()
	waitFor(t, ctx, "its sleep", func() bool {
		v, err := n.Voter(0).Query()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		row, err := v.Capsule(id)
		if err != nil || row.Status != machine.StatusSleeping {
			return false
		}
		state = row.Run.Saved.State
		return true
	})
	return state
}

// A megabyte of live state sleeps, and wakes on another worker than the one that made it.
func TestLargeStateSleeps(t *testing.T) {
	ctx, n, c := up(t, Options{})
	s, err := sdk.Start(ctx, c, programs.Carry, programs.Load{Bytes: 1 << 20, Nap: 1500 * time.Millisecond}, sdk.Gas(1<<40))
	if err != nil {
		t.Fatal(err)
	}
	state := asleep(t, ctx, n, s.ID)
	if err := n.Workers[0].Close(); err != nil {
		t.Fatal(err)
	}
	n.Workers = nil
	if err := n.AddWorker(ctx, "successor"); err != nil {
		t.Fatal(err)
	}
	res, err := s.Await(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := sdk.Decode[string](res); err != nil || got != ": 1048576 bytes" {
		t.Errorf("%q (%v)", got, err)
	}
	v, err := n.Voter(0).Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if b, err := v.Blob(state); err == nil && b.Refs > 0 {
		t.Errorf("the state of a capsule that is over is still referred to: %+v", b)
	}
}

// A megabyte of live state travels to another zone and back, made here or already in what the client hands in.
func TestLargeStateTravels(t *testing.T) {
	ctx, nets, c := zones(t, "home", "eu")
	options := []sdk.Option{sdk.Gas(1 << 40), sdk.Home(nets[0].Zone), sdk.Stop("home", nets[0].Zone), sdk.Stop("eu", nets[1].Zone)}
	for _, early := range []bool{false, true} {
		start := time.Now()
		s, err := sdk.Start(ctx, c, programs.Carry, programs.Load{Bytes: 1 << 20, Early: early, Stops: []string{"eu", "home"}}, options...)
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.Await(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := sdk.Decode[string](res); err != nil || got != "home eu home: 1048576 bytes" {
			t.Errorf("%q (%v)", got, err)
		}
		r, err := s.Receipt(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if j, err := r.Verify(); err != nil || j.End.Hop != 2 {
			t.Errorf("receipt: %+v, %v", j, err)
		}
		t.Logf("early %v: %v", early, time.Since(start))
	}
}

// Every node is stopped and started again in turn, under capsules that run, sleep and have written. None is lost, and each
// does everything once.
func TestRollingRestart(t *testing.T) {
	ctx, n, c := up(t, Options{Interp: true, Workers: 2, Slots: 8})
	const running, asleep = 4, 2
	var all []*sdk.Submission
	for i := range running {
		s, err := sdk.Start(ctx, c, programs.Tally, programs.Ledger{Name: fmt.Sprint(i), Below: 400_000}, sdk.Gas(1<<40), sdk.Keys("kv/count/*"), sdk.Need("event/tally", capsule.Emit))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	for range asleep {
		s, err := sdk.Start(ctx, c, programs.Carry, programs.Load{Bytes: 1 << 18, Nap: 4 * time.Second}, sdk.Gas(1<<40))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	waitFor(t, ctx, "all of them to run", func() bool {
		for _, s := range all[:running] {
			if _, ok := checkpointed(t, n, s.ID); !ok {
				return false
			}
		}
		return true
	})
	for _, x := range slices.Concat(n.Workers, n.Voters) {
		if err := n.Restart(ctx, x); err != nil {
			t.Fatal(err)
		}
		waitFor(t, ctx, "the zone's leader and workers", func() bool {
			s := n.Voter(0).Status()
			return !s.Leader.IsZero() && s.Applied > 0
		})
	}
	units := map[uint64]bool{}
	for i, s := range all {
		res, err := s.Await(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if i >= running {
			continue
		}
		const primes = 33860
		if got, err := sdk.Decode[int64](res); err != nil || got != primes+11_000_000 || len(res.Events) != 1 {
			t.Errorf("%d with %d events (%v)", got, len(res.Events), err)
		}
		units[res.Bill.Spent] = true
	}
	if len(units) != 1 {
		t.Errorf("the same work cost %v units", units)
	}
}
