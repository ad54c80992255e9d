package diff

import (
	"flag"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/kitwork/kwnode/bench/wasmgen"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "seed of the first module; 0 picks one")
	countFlag = flag.Uint64("modules", 1000, "how many modules to compare")
	keepFlag  = flag.String("keep", "", "write a module that differs to this file")
)

// TestAgainstWazero runs random modules here and on wazero. To see one again: -seed N -modules 1 -keep file.
func TestAgainstWazero(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d, %d modules", seed, *countFlag)
	var steps, traps int
	for i := range *countFlag {
		m := wasmgen.Generate(seed + i)
		theirs, err := Trace(t.Context(), Wazero{}, m, seed+i)
		if err != nil {
			t.Fatalf("seed %d: wazero: %v", seed+i, err)
		}
		ours, err := Trace(t.Context(), Ours{}, m, seed+i)
		if err != nil {
			t.Fatalf("seed %d: %v", seed+i, err)
		}
		if d := Compare(ours, theirs); d != "" {
			if *keepFlag != "" {
				if err := os.WriteFile(*keepFlag, m.Wasm, 0o644); err != nil {
					t.Error(err)
				}
			}
			t.Fatalf("seed %d: %s", seed+i, d)
		}
		for _, s := range ours {
			steps++
			if s.Trap != "" {
				traps++
			}
		}
	}
	t.Logf("%d calls agree, %d of them trap", steps, traps)
}
