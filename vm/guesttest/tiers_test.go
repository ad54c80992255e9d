package guesttest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
)

var seedFlag = flag.Uint64("seed", 0, "seed of TestTiers, 0 for a new one")

// kernelSizes are the kernels of the bench module whose size isn't 3: enough that each is frozen in the middle of its
// loops, and little enough for the interpreter.
var kernelSizes = map[string]int32{"bulk": 200, "fib": 1, "queens": 1, "shapes": 20, "maps": 1, "json": 1, "sort": 1, "matrix": 1,
	"indirect": 30, "chase": 1, "intloop": 20, "floatloop": 20, "nbody": 20, "simd": 20, "mandel": 8, "bigswitch": 20}

// kernels are the programs that the benchmarks run.
func kernels(t *testing.T) (all []guest) {
	t.Helper()
	for _, at := range []struct{ language, folder string }{{"c", "../../bench/kernels/wasm"}, {"rust", "../../bench/programs/rust"}} {
		files, err := filepath.Glob(filepath.Join(at.folder, "*.wasm"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no kernels in %s (%v); check the repository out whole", at.folder, err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".wasm")
			size, ok := kernelSizes[name]
			if !ok {
				size = 3
			}
			rel, err := filepath.Rel(guests, file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, guest{name: "kernel-" + at.language + "-" + name, file: rel, calls: []call{i32("run", size)}})
		}
	}
	goKernels := guest{name: "kernel-go", source: "../../../bench/programs/go", calls: []call{i32("_initialize")}}
	for i := range int32(6) {
		goKernels.calls = append(goKernels.calls, i32("run", i, 1))
	}
	return append(all, goKernels)
}

// TestTiers runs every guest and kernel interpreted, then straight in the other tiers, then in random portions of gas
// between which it is frozen in one tier and thawed in another: what it gives, its gas and its final state are the same.
func TestTiers(t *testing.T) {
	if !jit.Supported() {
		t.Skip("this machine has no compiled tier to compare")
	}
	c, err := jit.New(jit.DefaultMemory)
	if err != nil {
		t.Fatal(err)
	}
	c.Observe(func(e jit.Event) {
		if e.Err != nil {
			t.Errorf("stays interpreted: function %d %s: %v", e.Function, e.Name, e.Err)
		}
	})
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	in := func(tier vm.Tier) vm.Config {
		cfg := config
		cfg.Compiler, cfg.Tier = c, tier
		return cfg
	}
	freezes := 0
	for i, g := range append(kernels(t), list...) {
		t.Run(g.name, func(t *testing.T) {
			mod := load(t, &g)
			want := newMachine(t, mod, config, g.args, false).play(&g)
			if !strings.Contains(want.results, g.want) {
				t.Fatalf("%q isn't in what it gave:\n%s", g.want, want.results)
			}
			for _, tier := range []vm.Tier{vm.TierJIT, vm.TierAuto} {
				compare(t, fmt.Sprint("tier ", tier), newMachine(t, mod, in(tier), g.args, false).play(&g), want)
			}
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 2 {
				m := newMachine(t, mod, in(vm.Tier(r.IntN(3))), g.args, false)
				most := 2 + want.gas/20
				m.portion = func() uint64 { return r.Uint64N(most) }
				m.next = func() vm.Config { return in(vm.Tier(r.IntN(3))) }
				compare(t, fmt.Sprintf("frozen on the way, -seed %d", seed), m.play(&g), want)
				freezes += m.freezes
			}
		})
	}
	t.Logf("%d functions compiled, %d freezes", c.Stats().Functions, freezes)
}
