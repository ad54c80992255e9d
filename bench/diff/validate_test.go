package diff

import (
	"bytes"
	"context"
	"encoding/binary"
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
	if overlongOpcode(m) {
		return true // the encoding is legal, but wazero takes the byte after the prefix for the whole
	}
	if err := Validate(context.Background(), b); err != nil {
		t.Errorf("accepted, but wazero says: %v\n%x", err, b)
	}
	return true
}

// overlongOpcode reports whether an instruction's number after its prefix, fc or fd, is longer than it has to be:
// fd ea 00 is f32x4.nearest as much as fd 6a is.
func overlongOpcode(m *wasm.Module) bool {
	for i := range m.Code {
		r := wasm.NewReader(m, &m.Code[i])
		var in wasm.Instr
		for r.Next(&in) {
			if in.Op < wasm.PrefixMisc {
				continue
			}
			var enc [binary.MaxVarintLen32]byte
			n := binary.PutUvarint(enc[:], uint64(in.Op&0xff))
			if !bytes.HasPrefix(m.Bytes[in.Off+1:], enc[:n]) {
				return true
			}
		}
	}
	return false
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

// TestOverlongOpcode holds the exception of mustAgree to exactly the encodings that it is about.
func TestOverlongOpcode(t *testing.T) {
	body := func(op ...byte) []byte { // (func (v128.const 0) op (drop))
		code := append([]byte{0x00, 0xfd, 0x0c, 18: 0}, op...)
		code = append(code, 0x1a, 0x0b)
		b := []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a")
		b = append(b, byte(len(code)+2), 1, byte(len(code)))
		return append(b, code...)
	}
	for _, c := range []struct {
		op       []byte
		overlong bool
	}{
		{[]byte{0xfd, 0x6a}, false},
		{[]byte{0xfd, 0xea, 0x00}, true},
		{[]byte{0xfd, 0xea, 0x80, 0x00}, true},
		{[]byte{0xfd, 0xe0, 0x01}, false}, // f32x4.abs, two bytes at least
		{[]byte{0xfd, 0xe0, 0x81, 0x00}, true},
		{[]byte{0xfd, 0x1f, 0x00, 0xfc, 0x00}, false}, // f32x4.extract_lane 0, i32.trunc_sat_f32_s
		{[]byte{0xfd, 0x1f, 0x00, 0xfc, 0x80, 0x00}, true},
	} {
		m, err := wasm.Decode(body(c.op...), 0)
		if err != nil {
			t.Fatalf("% x: %v", c.op, err)
		}
		if got := overlongOpcode(m); got != c.overlong {
			t.Errorf("% x: overlong %v, want %v", c.op, got, c.overlong)
		}
	}
}
