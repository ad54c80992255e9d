package testnet

import (
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/machine"
)

// Where all workers are busy, whoever watches a capsule is told its place among those that wait, and so is who lists them.
func TestPlaceInTheQueue(t *testing.T) {
	ctx, n, c := up(t, Options{Slots: 1, Policy: leisurely})
	becomes := func(id capsule.ID, want machine.Status) {
		t.Helper()
		waitFor(t, ctx, want.String(), func() bool {
			v, err := n.Voter(0).Query()
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			row, err := v.Capsule(id)
			return err == nil && row.Status == want
		})
	}
	busy, err := sdk.Start(ctx, c, programs.Primes, 1<<60, sdk.Gas(1<<40))
	if err != nil {
		t.Fatal(err)
	}
	becomes(busy.ID, machine.StatusRunning)
	var waiting []*sdk.Submission
	for range 3 {
		s, err := sdk.Start(ctx, c, programs.Count, programs.Order{Name: "queue", By: 1}, sdk.Keys("kv/count/*"))
		if err != nil {
			t.Fatal(err)
		}
		becomes(s.ID, machine.StatusReady)
		waiting = append(waiting, s)
	}
	if err := admin.Serve(admin.Config{Node: n.Voters[0], Zones: []capsule.ZoneID{n.Zone}}); err != nil {
		t.Fatal(err)
	}
	operator, err := admin.Dial(ctx, n.Voters[0].Addrs()[0], n.Root)
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	all := listed(t, ctx, n, operator)
	for i, s := range waiting {
		if got := all[s.ID].Place; got != i+1 {
			t.Errorf("capsule %d of those that wait is listed at place %d", i+1, got)
		}
	}
	if got := all[busy.ID].Place; got != 0 {
		t.Errorf("the one that runs is listed at place %d", got)
	}
	var places []uint64
	for e, err := range waiting[2].Watch(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != api.EventStatus || e.Text != machine.StatusReady.String() {
			continue
		}
		if places = append(places, e.N); len(places) == 1 {
			if err := busy.Cancel(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(places) == 0 || places[0] != 3 {
		t.Errorf("the third was told places %v, want 3 first", places)
	}
	if _, err := waiting[2].Await(ctx); err != nil {
		t.Error(err)
	}
}
