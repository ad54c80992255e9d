package wasmgen

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/kitwork/kwnode/vm/wasm"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "first seed; 0 picks one")
	countFlag = flag.Int("modules", 2000, "how many modules to generate; with 300, one run in twenty misses an opcode")
)

// TestModulesAreValid: every module passes validation, equal seeds give equal modules, and together they
// use nearly every opcode.
func TestModulesAreValid(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	used := map[wasm.Op]int{}
	for i := range uint64(*countFlag) {
		if b := GenerateOpen(seed + i).Wasm; !bytes.Equal(b, GenerateOpen(seed+i).Wasm) {
			t.Fatalf("seed %d, open: two runs give two modules", seed+i)
		} else if _, err := wasm.Decode(b, 0); err != nil {
			t.Fatalf("seed %d, open: %v", seed+i, err)
		}
		g := Generate(seed + i)
		m, err := wasm.Decode(g.Wasm, 0)
		if err != nil {
			t.Fatalf("seed %d: %v", seed+i, err)
		}
		if !bytes.Equal(g.Wasm, Generate(seed+i).Wasm) {
			t.Fatalf("seed %d: two runs give two modules", seed+i)
		}
		var in wasm.Instr
		for j := range m.Code {
			r := wasm.NewReader(m, &m.Code[j])
			for r.Next(&in) {
				used[in.Op]++
			}
		}
	}
	for op := range wasm.Op(wasm.NumOps) {
		if in := wasm.Info(op); in != nil && in.Needs == 0 && used[op] == 0 {
			t.Errorf("%s was never used", in.Name)
		}
	}
}
