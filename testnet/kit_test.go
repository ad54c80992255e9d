package testnet

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/sdk/build"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/api"
)

// Every call of package kit does in a zone what it does natively.
func TestEachCall(t *testing.T) {
	const rows = 200 // more than a page
	local := kit.NewLocal("home")
	want, err := kit.Run(local, programs.Each, rows)
	if err != nil {
		t.Fatal(err)
	}
	if len(want.All) != rows-1 || !slices.Equal(want.Late, []string{"note/198 39204", "note/199 39601"}) || !want.Gone || want.Zone != "home" {
		t.Fatalf("natively: %+v", want)
	}
	ctx, n, c := up(t, Options{})
	s, err := sdk.Start(ctx, c, programs.Each, rows, sdk.Gas(1e9), sdk.Keys("kv/note/*"), sdk.Keys("event/each"), sdk.Stop("home", n.Zone))
	if err != nil {
		t.Fatal(err)
	}
	var log []string
	var emitted []sdk.Event
	for e, err := range s.Watch(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		switch e.Kind {
		case api.EventLog:
			log = append(log, e.Text)
		case api.EventEmitted:
			emitted = append(emitted, e)
		}
	}
	res, err := s.Await(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sdk.Decode[programs.Calls](res)
	if err != nil {
		t.Fatal(err)
	}
	for where, c := range map[string]programs.Calls{"natively": want, "in the zone": got} {
		if c.Slept < 20*kit.Millisecond || len(c.Random) != 16 || bytes.Equal(c.Random, make([]byte, 16)) || c.Gas[0] <= c.Gas[1] {
			t.Errorf("%s: slept %d ns, drew %x, gas %d", where, c.Slept, c.Random, c.Gas)
		}
	}
	if got.Gas[0] > 1e9 || got.Gas[0]-got.Gas[1] > res.Bill.Spent {
		t.Errorf("gas went from %d to %d, limited to 1e9; the bill says %d", got.Gas[0], got.Gas[1], res.Bill.Spent)
	}
	got.Slept, got.Random, got.Gas = want.Slept, want.Random, want.Gas
	if !reflect.DeepEqual(got, want) {
		t.Errorf("in the zone: %+v\nnatively: %+v", got, want)
	}
	if e := local.Events(); len(e) != 1 || len(emitted) != 1 || emitted[0].Text != e[0].Topic || !bytes.Equal(emitted[0].Data, e[0].Data) {
		t.Errorf("emitted %+v, natively %+v", emitted, e)
	}
	if lines := local.Log(); len(lines) != 1 || !slices.ContainsFunc(log, func(s string) bool { return strings.Contains(s, lines[0].Message) }) {
		t.Errorf("logged %q, natively %+v", log, lines)
	}
}

// A function that looks at what it has left ends with a result, and not suspended; with more it does more. The options of Run
// reach the build and the manifest.
func TestThrifty(t *testing.T) {
	const reserve = 2_000_000
	ctx, _, c := up(t, Options{})
	var stages []string
	limits := capsule.Limits{MemoryPages: 256}
	last := 0
	for _, gas := range []uint64{6_000_000, 12_000_000} {
		s, err := sdk.Start(ctx, c, programs.Thrifty, uint64(reserve), sdk.Gas(gas), sdk.Keys("kv/note/thrifty"), sdk.Limits(limits),
			sdk.OnBuild(func(p build.Progress) { stages = append(stages, p.Stage) }))
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.Await(ctx)
		if err != nil {
			t.Fatal(err)
		}
		rounds, err := sdk.Decode[int](res)
		if err != nil || rounds <= last {
			t.Errorf("with %d units: %d rounds, %d with fewer (%v)", gas, rounds, last, err)
		}
		if spent := res.Bill.Spent; spent > gas || spent < gas-2*reserve {
			t.Errorf("of %d units %d were spent, and %d were to be left", gas, spent, reserve)
		}
		last = rounds
	}
	stages = slices.DeleteFunc(stages, func(s string) bool { return s != "done" })
	if len(stages) != 2 {
		t.Errorf("of two builds %d were told to be done", len(stages))
	}
	// What fits into the memory that a capsule has unless its author says otherwise doesn't fit into a quarter of it.
	_, err := sdk.Run(ctx, c, programs.Carry, programs.Load{Bytes: 20 << 20}, sdk.Limits(limits), sdk.Gas(1e10))
	var failed *sdk.Failed
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "out of memory") {
		t.Errorf("20 MiB in %d pages: %v", limits.MemoryPages, err)
	}
}

// Natively too.
func TestThriftyLocally(t *testing.T) {
	zone := kit.NewLocal("home")
	zone.SetGas(10_000)
	if rounds, err := kit.Run(zone, programs.Thrifty, 5_000); err != nil || rounds != 5 {
		t.Errorf("%d rounds, %v", rounds, err)
	}
}
