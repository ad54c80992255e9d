package diff

import (
	"testing"

	"github.com/kitwork/kwnode/bench/wasmgen"
	"github.com/kitwork/kwnode/vm"
)

// TestSeedsOfThePast keeps the modules that once found something.
func TestSeedsOfThePast(t *testing.T) {
	for _, seed := range []uint64{
		1620744941285968917, // a block that begins at a call: a frame before it was taken for one suspended in it
	} {
		m := wasmgen.Generate(seed)
		want, err := Trace(t.Context(), Ours{State: true}, m.Wasm, m, seed)
		if err != nil {
			t.Fatal(err)
		}
		for _, freezes := range []int{11, 40} {
			frozen := Ours{Configs: []vm.Config{{}}, State: true, Gas: 1 + seed%500, Freezes: freezes}
			got, err := Trace(t.Context(), frozen, m.Wasm, m, seed)
			if err != nil {
				t.Fatal(err)
			}
			if d := Compare(got, want); d != "" {
				t.Errorf("seed %d, %d freezes: %v", seed, freezes, d)
			}
		}
	}
}
