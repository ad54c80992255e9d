package diff

import (
	"flag"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/kitwork/kwnode/bench/wasmgen"
	"github.com/kitwork/kwnode/vm/wasm"
)

var (
	seedFlag   = flag.Uint64("seed", 0, "seed of the first module; 0 picks one")
	countFlag  = flag.Uint64("modules", 1000, "how many modules to compare")
	keepFlag   = flag.String("keep", "", "write a module that differs to this file")
	oracleFlag = flag.String("oracle", "interpreter", "which wazero to compare with: interpreter or compiler")
)

// TestAgainstWazero runs random modules here, and instrumented on wazero: results, traps, memory and the
// gas of every call must be the same. Every third module runs here in small portions of gas, and is frozen
// and thawed between some of them.
//
// To see one again: -seed N -modules 1 -keep FILE.
func TestAgainstWazero(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d, %d modules", seed, *countFlag)
	var steps, traps int
	var gas uint64
	for i := range *countFlag {
		m := wasmgen.Generate(seed + i)
		decoded, err := wasm.Decode(m.Wasm, 0)
		if err != nil {
			t.Fatalf("seed %d: %v", seed+i, err)
		}
		theirs, err := Trace(t.Context(), Wazero{Compiler: *oracleFlag == "compiler"}, Instrument(decoded), m, seed+i)
		if err != nil {
			t.Fatalf("seed %d: wazero: %v", seed+i, err)
		}
		var engine Ours
		if i%3 == 0 {
			engine = Ours{Gas: 1 + (seed+i)%1000, Freezes: 6}
		}
		ours, err := Trace(t.Context(), engine, m.Wasm, m, seed+i)
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
		gas += ours[len(ours)-1].Gas
	}
	t.Logf("%d calls agree, %d of them trap; %d units of gas", steps, traps, gas)
}
