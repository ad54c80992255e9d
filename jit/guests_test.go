package jit_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/kitwork/kwnode/vm"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests, 0 for a new one")

// final is all that must not depend on how a program was run.
type final struct {
	results, trap string
	gas           uint64
	hash          [32]byte
}

// TestGuestsAcrossTiers runs compiled C code straight in the interpreter, straight in the other tiers, and in random
// portions of gas between which it is frozen in one tier and thawed in another.
func TestGuestsAcrossTiers(t *testing.T) {
	c := newCompiler(t)
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	defer func() {
		if t.Failed() {
			t.Logf("replay with -seed %d", seed)
		}
	}()
	r := rand.New(rand.NewPCG(seed, 1))
	cfg := func(tier vm.Tier) vm.Config {
		return vm.Config{Limits: vm.Limits{MemoryPages: 64, Depth: 5000, Slots: 1 << 16}, Compiler: c, Tier: tier}
	}
	m, err := vm.Decode(read(t, "../vm/testdata/guests/c/bare.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	src := vm.Sources{Module: func([32]byte) (*vm.Module, error) { return m, nil }, Host: vm.Imports{}}
	for _, call := range []struct {
		name string
		arg  int32
	}{{"sort", 200}, {"fib", 15}, {"chain", 60}, {"matrix", 12}, {"deep", 700}, {"bulk", 3}} {
		boot := func(cfg vm.Config) *vm.Store {
			s := vm.NewStore(cfg)
			inst, err := s.Instantiate(m, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Start(inst, call.name, vm.I32(call.arg)); err != nil {
				t.Fatal(err)
			}
			return s
		}
		finish := func(s *vm.Store, portion func() uint64, next func() vm.Config) final {
			defer func() { s.Close() }()
			need := uint64(0)
			for {
				stop, err := s.Run(context.Background(), max(portion(), need))
				if err != nil {
					t.Fatal(err)
				}
				need = stop.Need
				if stop.Reason == vm.OutOfGas {
					b, err := s.Freeze(vm.FreezeOptions{})
					if err != nil {
						t.Fatal(err)
					}
					s.Close()
					if s, _, err = vm.Thaw(b, next(), src); err != nil {
						t.Fatal(err)
					}
					continue
				}
				f := final{gas: s.Gas()}
				for _, v := range stop.Results {
					f.results += v.String()
				}
				if stop.Trap != nil {
					f.trap = stop.Trap.Error() + vm.TraceString(stop.Trap.Trace)
				}
				if f.hash, err = s.StateHash(nil); err != nil {
					t.Fatal(err)
				}
				return f
			}
		}
		all := func() uint64 { return 1 << 40 }
		want := finish(boot(cfg(vm.TierInterp)), all, nil)
		for _, tier := range []vm.Tier{vm.TierJIT, vm.TierAuto} {
			if got := finish(boot(cfg(tier)), all, nil); got != want {
				t.Errorf("%s in tier %d: %+v, want %+v", call.name, tier, got, want)
			}
		}
		for range 3 {
			most := 2 + want.gas/40
			got := finish(boot(cfg(vm.TierJIT)), func() uint64 { return r.Uint64N(most) }, func() vm.Config { return cfg(vm.Tier(r.IntN(3))) })
			if got != want {
				t.Errorf("%s frozen on the way: %+v, want %+v", call.name, got, want)
			}
		}
	}
}
