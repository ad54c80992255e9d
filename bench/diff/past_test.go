package diff

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/bench/wasmgen"
	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
)

// TestSeedsOfThePast keeps the modules that once found something, under their seeds:
//
//	1620744941285968917   a block that begins at a call: a frame before it was taken for one suspended in it
//	13126790758300036128  the result of a call, moved to another slot, was taken to be there already
func TestSeedsOfThePast(t *testing.T) {
	files, err := filepath.Glob("testdata/*.wasm")
	if err != nil || len(files) == 0 {
		t.Fatalf("no modules of the past (%v)", err)
	}
	configs := []vm.Config{{}}
	if c, err := jit.New(jit.DefaultMemory); err == nil {
		configs = append(configs, vm.Config{Compiler: c, Tier: vm.TierJIT})
	}
	for _, file := range files {
		seed, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(file), ".wasm"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		m := past(t, file)
		want, err := Trace(t.Context(), Ours{State: true}, m.Wasm, m, seed)
		if err != nil {
			t.Fatal(err)
		}
		for _, cfgs := range [][]vm.Config{configs[:1], configs} {
			for _, freezes := range []int{11, 40} {
				got, err := Trace(t.Context(), Ours{Configs: cfgs, State: true, Gas: 1 + seed%500, Freezes: freezes}, m.Wasm, m, seed)
				if err != nil {
					t.Fatal(err)
				}
				if d := Compare(got, want); d != "" {
					t.Errorf("seed %d, %d tiers, %d freezes: %v", seed, len(cfgs), freezes, d)
				}
			}
		}
	}
}

// past reads a module that the generator made. It calls its functions by the names that it gives them.
func past(t *testing.T, file string) *wasmgen.Module {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := vm.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	m := &wasmgen.Module{Wasm: b}
	for _, e := range decoded.Exports() {
		if len(e.Name) == 2 && e.Name[0] == 'f' {
			m.Calls = append(m.Calls, wasmgen.Call{Name: e.Name, Type: *e.Func})
		}
	}
	return m
}
