package code

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/kitwork/kwnode/vm/wasm"
)

// modules calls fn for the guests and test modules that the vm folder holds.
func modules(t *testing.T, fn func(name string, m *wasm.Module)) {
	t.Helper()
	var files []string
	for _, pattern := range []string{"guests/*/*.wasm", "wat/*.wasm"} {
		got, err := filepath.Glob(filepath.Join("..", "..", "vm", "testdata", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, got...)
	}
	if len(files) == 0 {
		t.Fatal("no modules to test with")
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wasm.Decode(b, 0)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		fn(filepath.Base(f), m)
	}
}

func keyOf(i uint32) uint64 { return uint64(i) }

// eachFunc lowers every function.
func eachFunc(t *testing.T, fn func(name string, m *wasm.Module, f *Func)) {
	modules(t, func(name string, m *wasm.Module) {
		for i := range m.Code {
			f, err := Lower(m, m.NumImportedFuncs+uint32(i), keyOf)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			fn(name, m, f)
		}
	})
}

// TestBlocks compares the charges with the meter's own division into blocks.
func TestBlocks(t *testing.T) {
	eachFunc(t, func(name string, m *wasm.Module, f *Func) {
		want := map[uint32]uint64{}
		first := true
		typ, body := m.Func(f.Index)
		for b := range m.Blocks(f.Index) {
			if first {
				b.Gas += wasm.EntryGas(typ, body)
				first = false
			}
			if b.Gas > 0 {
				want[b.Off] = b.Gas
			}
		}
		got := map[uint32]uint64{}
		for _, b := range f.Blocks {
			if gas := f.Ins[b.PC] >> 32; gas > 0 {
				got[b.Off] = gas
			}
		}
		for off, gas := range want {
			if got[off] != gas {
				t.Fatalf("%s: function %d, block at %#x: charge %d, the meter says %d", name, f.Index, off, got[off], gas)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%s: function %d has %d blocks, the meter says %d", name, f.Index, len(got), len(want))
		}
	})
}

// TestWellFormed checks what the interpreter relies on without looking: slots lie in the frame, jumps lead to blocks, and
// a jump carries exactly its target's charge.
func TestWellFormed(t *testing.T) {
	eachFunc(t, func(name string, m *wasm.Module, f *Func) {
		bad := func(pc uint32, why string) {
			t.Fatalf("%s: function %d, word %d (%#x): %s", name, f.Index, pc, f.Ins[pc], why)
		}
		charge := map[uint32]uint64{} // of the block that goes on at a word
		stops := map[uint32]bool{}
		for _, b := range f.Blocks {
			charge[b.PC+1] = f.Ins[b.PC] >> 32
			stops[b.PC] = true
		}
		jump := func(pc, to uint32, carried uint64) {
			if to == 0 || to >= uint32(len(f.Ins))-1 {
				bad(pc, "jumps out of the function")
			}
			if want, paid := charge[to]; paid && want != carried && carried != 0 {
				bad(pc, "carries another charge than its target's")
			} else if !paid && carried != 0 {
				bad(pc, "pays for no block")
			} else if paid && carried == 0 && want != 0 {
				bad(pc, "enters a block without paying")
			}
		}
		for pc := uint32(0); pc < uint32(len(f.Ins))-1; {
			w := f.Ins[pc]
			op, a, _, c := Fields(w)
			size := Size(op, uint32(w>>32))
			switch {
			case op == Br:
				jump(pc, pc+uint32(w>>32), uint64(a))
			case op == BrTable:
				for i := uint32(1); i < size; i++ {
					e := f.Ins[pc+i]
					jump(pc, pc+uint32(e), e>>32)
				}
			case op >= BrBase && op < RareBase:
				imm := f.Ins[pc+1]
				jump(pc, pc+uint32(imm), imm>>32&0xffff)
				if fall := imm >> 48; fall != 0 && (!stops[pc+2] || f.Ins[pc+2]>>32 != fall) {
					bad(pc, "the block behind it costs something else")
				}
				if Op(f.Ins[pc+2]&0xffff) != Charge && Plain(Op(f.Ins[pc+2])) != Charge {
					bad(pc, "steps over an instruction")
				}
			case op == Return0, op == Return1, op == ReturnN:
				if uint32(c) != f.Header {
					bad(pc, "returns through another header")
				}
			}
			if op != Br && op != Charge && uint32(a) >= f.Frame && op != Call && op != CallHost && op != CallIndir && op < RareBase {
				bad(pc, "slot beyond the frame")
			}
			pc += size
		}
	})
}

// TestFusedIsTheSame checks that fusing changes nothing but the number of the first instruction.
func TestFusedIsTheSame(t *testing.T) {
	fused := 0
	eachFunc(t, func(name string, m *wasm.Module, f *Func) {
		for pc := uint32(0); pc < uint32(len(f.Ins))-1; {
			w := f.Ins[pc]
			op, _, _, _ := Fields(w)
			if op != Op(w) {
				fused++
			}
			pc += Size(op, uint32(w>>32))
		}
	})
	if fused < 1000 {
		t.Errorf("only %d sequences were fused", fused)
	}
	seen := map[Op]bool{}
	for _, f := range fusions {
		if seen[f.op] {
			t.Errorf("two fusions have the number %#x", f.op)
		}
		seen[f.op] = true
	}
}

// TestOffsets finds the WebAssembly instruction of every safepoint by lowering again.
func TestOffsets(t *testing.T) {
	eachFunc(t, func(name string, m *wasm.Module, f *Func) {
		for i, c := range f.Calls {
			off, ok := OffsetOf(m, f.Index, keyOf, c.PC)
			if !ok || off != c.Off {
				t.Fatalf("%s: function %d: call at word %d is at %#x, not %#x", name, f.Index, c.PC, c.Off, off)
			}
			if i > 4 {
				break
			}
		}
		for _, b := range f.Blocks {
			if pc, ok := f.BlockAt(b.Off); !ok || pc != b.PC {
				t.Fatalf("block at %#x isn't found", b.Off)
			}
			if off, ok := f.BlockOff(b.PC); !ok || off != b.Off {
				t.Fatalf("block at word %d isn't found", b.PC)
			}
		}
	})
}

// TestEmptyBlocksAreFoundAtOnce has loops begin at one place, each inside the other and jumped to from its end. Whoever
// looks for the block of one finds it in one step afterwards, so that all jumps together take no more than a few each.
func TestEmptyBlocksAreFoundAtOnce(t *testing.T) {
	const loops = 300
	var body []byte
	for range loops {
		body = append(body, byte(wasm.OpLoop), 0x40)
	}
	for range loops {
		body = append(body, byte(wasm.OpI32Const), 0, byte(wasm.OpBrIf), 0, byte(wasm.OpEnd))
	}
	body = append(append([]byte{0}, body...), byte(wasm.OpEnd))
	b := []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a")
	sized := binary.AppendUvarint(nil, uint64(len(body)))
	b = append(binary.AppendUvarint(b, uint64(1+len(sized)+len(body))), 1)
	m, err := wasm.Decode(append(append(b, sized...), body...), 0)
	if err != nil {
		t.Fatal(err)
	}
	var l lowerer
	if _, ok := l.run(m, 0, keyOf, false); !ok {
		t.Fatal("not lowered")
	}
	jumps := 0
	for _, x := range l.fixups {
		if x.kind != fixCond {
			continue
		}
		jumps++
		if to := l.blocks[l.labels[x.label]].alias; to >= 0 && l.blocks[to].alias >= 0 {
			t.Fatalf("the block of label %d is two steps away or more", x.label)
		}
	}
	if jumps != loops {
		t.Fatalf("%d jumps back, want %d", jumps, loops)
	}
}
