package testnet

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/p2p/sim"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/machine"
)

// A capsule sleeps, and everything stops. The voters alone come back: nobody asks them for anything, no worker registers or
// renews, and so no command brings the zone a new time. It wakes at its time all the same, to the second, and goes on when
// there is a worker. The net runs on virtual time.
func TestSleepIsDurable(t *testing.T) {
	const nap, dark = 10 * time.Minute, time.Minute
	virtual(t, func(t *testing.T) {
		_, n, c := up(t, Options{Sim: sim.New(1, sim.Link{Delay: time.Millisecond}), Interp: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		s, err := sdk.Start(ctx, c, programs.Nap, nap, sdk.Lifetime(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, ctx, "its sleep", func() bool { return statusOf(t, n, s.ID) == machine.StatusSleeping })
		due := time.Now().Add(nap)
		if err := n.Workers[0].Close(); err != nil {
			t.Fatal(err)
		}
		n.Workers = nil
		for _, v := range n.Voters {
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(dark)
		for i, v := range n.Voters {
			if n.Voters[i], err = n.launch(n.configs[v]); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Until(due.Add(-time.Second)))
		if got := statusOf(t, n, s.ID); got != machine.StatusSleeping {
			t.Fatalf("a second before its time it is %s", got)
		}
		time.Sleep(2 * time.Second)
		if got := statusOf(t, n, s.ID); got != machine.StatusReady {
			t.Fatalf("a second after its time it is %s", got)
		}
		if err := n.AddWorker(ctx, "late"); err != nil {
			t.Fatal(err)
		}
		res, err := s.Await(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if slept, err := sdk.Decode[time.Duration](res); err != nil || slept < nap {
			t.Errorf("it says that it slept %v, want %v (%v)", slept, nap, err)
		}
	})
}

// alone marks a process that runs one test.
const alone = "KWNODE_TEST_ALONE"

// virtual runs a test on virtual time, in a process of its own: coders that package vm keeps for reuse hold channels, and one
// that was made in a bubble may not be used outside of it, nor in the next.
func virtual(t *testing.T, fn func(t *testing.T)) {
	t.Helper()
	if os.Getenv(alone) != "" {
		bubble.Test(t, fn)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), alone+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// statusOf is how a capsule stands in the first voter's state; nothing, if it isn't known there.
func statusOf(t *testing.T, n *Net, id capsule.ID) machine.Status {
	t.Helper()
	v, err := n.Voter(0).Query()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	row, err := v.Capsule(id)
	if err != nil && !errors.Is(err, machine.ErrNotFound) {
		t.Fatal(err)
	}
	return row.Status
}
