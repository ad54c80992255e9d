package diff

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/kitwork/kwnode/bench/wasmgen"
	"github.com/kitwork/kwnode/vm/wasm"
)

// mustAgree fails if wasm.Decode accepts what wazero refuses. The other direction isn't asked, for our
// limits are narrower.
func mustAgree(t *testing.T, b []byte) (accepted bool) {
	t.Helper()
	m, err := wasm.Decode(b, 0)
	if err != nil {
		return false
	}
	if _, named := m.CustomSection("name"); named {
		return true // wazero refuses a module for broken names, which are no part of validation
	}
	if err := Validate(context.Background(), b); err != nil {
		t.Errorf("accepted, but wazero says: %v\n%x", err, b)
	}
	return true
}

// FuzzValidate looks for modules that only we accept. Run it with -fuzzminimizetime 5x: wazero takes other
// paths at each run, so that the fuzzer never finishes making an input smaller.
func FuzzValidate(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(wasmgen.Generate(seed).Wasm)
	}
	f.Fuzz(func(t *testing.T, b []byte) { mustAgree(t, b) })
}

// TestDamagedModules changes bytes of random modules: most are refused then, and what is still accepted must
// be valid for wazero too.
func TestDamagedModules(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	accepted, all := 0, 0
	for i := range uint64(50) {
		b := wasmgen.Generate(seed + i).Wasm
		for range 60 {
			damaged := bytes.Clone(b)
			for range 1 + rng.IntN(2) {
				damaged[8+rng.IntN(len(b)-8)] = byte(rng.Uint32())
			}
			all++
			if mustAgree(t, damaged) {
				accepted++
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
	t.Logf("%d of %d damaged modules are valid", accepted, all)
	if accepted == 0 {
		t.Error("no damaged module was valid: nothing was compared")
	}
}
