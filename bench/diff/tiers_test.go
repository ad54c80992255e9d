package diff

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/kitwork/kwnode/bench/wasmgen"
	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
)

// TestTiers runs random modules interpreted, compiled, and in small portions of gas between which they are frozen in
// one tier and thawed in the other: results, traps with their stack traces, memory, the gas of every call and the hash
// of the whole state must be the same. Every second module sees NaNs as they are made.
func TestTiers(t *testing.T) {
	if !jit.Supported() {
		t.Skip("this machine has no compiled tier to compare")
	}
	c, err := jit.New(jit.DefaultMemory)
	if err != nil {
		t.Fatal(err)
	}
	inlined, unchecked := 0, 0
	c.Observe(func(e jit.Event) {
		inlined, unchecked = inlined+len(e.Inlined), unchecked+e.Unchecked
		if e.Err != nil {
			t.Errorf("function %d stays interpreted: %v", e.Function, e.Err)
		}
	})
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d, %d modules", seed, *countFlag)
	interp, native := vm.Config{}, vm.Config{Compiler: c, Tier: vm.TierJIT}
	limits := vm.Limits{Depth: 30, Slots: 2000} // so that some recursions end at them
	steps, traps := 0, map[string]int{}
	for i := range *countFlag {
		interp.Limits, native.Limits = vm.Limits{}, vm.Limits{}
		if i%4 == 0 {
			interp.Limits, native.Limits = limits, limits
		}
		generate := wasmgen.Generate
		if (seed+i)%2 == 1 {
			generate = wasmgen.GenerateOpen
		}
		m := generate(seed + i)
		want, err := Trace(t.Context(), Ours{Configs: []vm.Config{interp}, State: true}, m.Wasm, m, seed+i)
		if err != nil {
			t.Fatalf("seed %d: %v", seed+i, err)
		}
		for _, e := range []Ours{
			{Configs: []vm.Config{native}, State: true},
			{Configs: []vm.Config{native, interp}, State: true, Gas: 1 + (seed+i)%500, Freezes: 40},
		} {
			got, err := Trace(t.Context(), e, m.Wasm, m, seed+i)
			if err != nil {
				t.Fatalf("seed %d: %v", seed+i, err)
			}
			if d := Compare(got, want); d != "" {
				if *keepFlag != "" {
					if err := os.WriteFile(*keepFlag, m.Wasm, 0o644); err != nil {
						t.Error(err)
					}
				}
				t.Fatalf("seed %d, ours is compiled, theirs interpreted: %s", seed+i, d)
			}
		}
		for _, s := range want {
			steps++
			traps[s.Trap]++
		}
	}
	t.Logf("%d calls agree in all tiers, by trap: %v; %d were inlined, %d loops have a copy without checks", steps, traps, inlined, unchecked)
	if *countFlag >= 1000 && (inlined == 0 || unchecked == 0) {
		t.Error("no call was inlined, or every loop checks its addresses")
	}
}
