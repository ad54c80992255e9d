package testnet

import (
	"runtime"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
)

// Guests that never end have every processor that the voters have, in the voters' own process, and the garbage collector
// has to stop them like everybody else. The zone keeps its leader, and goes on to decide and to certify. The heartbeat is
// long so that only a guest that doesn't let go can cost the leader its office, not a machine that is busy with other things.
func TestGuestsCauseNoElection(t *testing.T) {
	guests := runtime.GOMAXPROCS(0) + 1
	ctx, n, c := up(t, Options{Slots: uint32(guests) + 1, Timing: raft.Timing{Heartbeat: 5 * time.Second}, Policy: leisurely})
	var running []*sdk.Submission
	for range guests {
		s, err := sdk.Start(ctx, c, programs.Primes, 1<<60, sdk.Gas(1<<40))
		if err != nil {
			t.Fatal(err)
		}
		running = append(running, s)
	}
	// works reports whether a guest has run for a while, and still holds the lease that it began with.
	works := func(id capsule.ID) bool {
		v, err := n.Voter(0).Query()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		row, err := v.Capsule(id)
		return err == nil && row.Status == machine.StatusRunning && row.Lease.Number == 1 && row.Run.Meter > 0
	}
	type office struct {
		leader capsule.Key
		term   uint64
	}
	offices := func() (all []office) {
		for i := range n.Voters {
			st := n.Voter(i).Status()
			all = append(all, office{st.Leader, st.Term})
		}
		return all
	}
	var before []office
	waitFor(t, ctx, "one leader", func() bool {
		before = offices()
		return !before[0].leader.IsZero() && before[1] == before[0] && before[2] == before[0]
	})
	for _, s := range running {
		waitFor(t, ctx, "a guest at work", func() bool { return works(s.ID) })
	}
	for i := range int64(5) {
		got, err := sdk.Run(ctx, c, programs.Count, programs.Order{Name: "load", By: 1}, sdk.Keys("kv/count/*"))
		if err != nil || got != i+1 {
			t.Fatalf("counted %d, want %d: %v", got, i+1, err)
		}
		runtime.GC()
	}
	for i, s := range running {
		if !works(s.ID) {
			t.Errorf("guest %d has lost its lease", i)
		}
	}
	for i, o := range offices() {
		if o != before[i] {
			t.Errorf("voter %d follows %s in term %d, and %s in term %d before", i, o.leader, o.term, before[i].leader, before[i].term)
		}
	}
}
