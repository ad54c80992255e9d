package diff

import (
	"github.com/kitwork/kwnode/vm/wasm"
)

// ExportGas is the global that Instrument adds.
const ExportGas = "instrumented gas"

// Instrument returns a module that does what m does and counts, in an exported global, the gas that m costs
// under the meter: the charge of each block as execution enters it, and of each sized instruction once its
// work is done. Any engine that runs it says what the right figure is, knowing nothing of gas.
//
// m must have a global section, as generated modules do.
func Instrument(m *wasm.Module) []byte {
	out := append([]byte{}, m.Bytes[:8]...)
	for pos := 8; pos < len(m.Bytes); {
		id := m.Bytes[pos]
		size, n := readU32(m.Bytes[pos+1:])
		content := m.Bytes[pos+1+n:][:size]
		pos += 1 + n + int(size)
		switch id {
		case 6: // global
			content = oneMore(content, []byte{byte(wasm.I64), 1, byte(wasm.OpI64Const), 0, byte(wasm.OpEnd)})
		case 7: // export
			entry := append(appendU32(nil, uint32(len(ExportGas))), ExportGas...)
			content = oneMore(content, appendU32(append(entry, byte(wasm.ExternGlobal)), uint32(len(m.Globals))))
		case 10: // code
			content = appendU32(nil, uint32(len(m.Code)))
			for i := range m.Code {
				body := instrumentBody(m, m.NumImportedFuncs+uint32(i))
				content = append(appendU32(content, uint32(len(body))), body...)
			}
		}
		out = append(appendU32(append(out, id), uint32(len(content))), content...)
	}
	return out
}

// instrumented is a body being copied with additions.
type instrumented struct {
	b     []byte
	gas   uint32 // index of the global
	n, r  uint32 // scratch locals: the size, and the result of a grow
	m     *wasm.Module
	start map[uint32]uint64 // charges of blocks by offset
}

func instrumentBody(m *wasm.Module, fn uint32) []byte {
	t, code := m.Func(fn)
	locals := m.AppendLocals(nil, fn)
	f := &instrumented{m: m, gas: uint32(len(m.Globals)), n: uint32(len(locals)), r: uint32(len(locals)) + 1, start: map[uint32]uint64{}}
	f.b = appendU32(f.b, uint32(len(locals)-len(t.Params)+2))
	for _, l := range append(locals[len(t.Params):], wasm.I32, wasm.I32) {
		f.b = append(f.b, 1, byte(l))
	}
	for b := range m.Blocks(fn) {
		f.start[b.Off] = b.Gas
	}
	f.start[code.Off] += wasm.EntryGas(t, code)
	var in wasm.Instr
	r := wasm.NewReader(m, code)
	for r.Next(&in) {
		if gas, ok := f.start[in.Off]; ok {
			f.op(wasm.OpGlobalGet, f.gas)
			f.i64(gas)
			f.op(wasm.OpI64Add)
			f.op(wasm.OpGlobalSet, f.gas)
		}
		original := m.Bytes[in.Off:in.Next]
		if _, live := f.start[in.Off]; live && wasm.Sized(in.Op) {
			f.sized(in.Op, original)
		} else {
			f.b = append(f.b, original...)
		}
	}
	return f.b
}

// sized writes a sized instruction, whose size is the top operand. What fails costs nothing for its size.
func (f *instrumented) sized(op wasm.Op, original []byte) {
	f.op(wasm.OpLocalTee, f.n)
	f.b = append(f.b, original...)
	grows := op == wasm.OpMemoryGrow || op == wasm.OpTableGrow
	if grows {
		f.op(wasm.OpLocalTee, f.r)
		f.b = append(f.b, byte(wasm.OpI32Const), 0x7f)
		f.op(wasm.OpI32Ne)
		f.b = append(f.b, byte(wasm.OpIf), 0x40)
	}
	f.op(wasm.OpGlobalGet, f.gas)
	f.op(wasm.OpLocalGet, f.n)
	f.op(wasm.OpI64ExtendI32U)
	switch op {
	case wasm.OpMemoryInit, wasm.OpMemoryCopy, wasm.OpMemoryFill:
		f.i64(wasm.BytesPerGas)
		f.op(wasm.OpI64DivU)
	case wasm.OpMemoryGrow:
		f.i64(wasm.GasPerPage)
		f.op(wasm.OpI64Mul)
	default:
		f.i64(wasm.GasPerElem)
		f.op(wasm.OpI64Mul)
	}
	f.op(wasm.OpI64Add)
	f.op(wasm.OpGlobalSet, f.gas)
	if grows {
		f.op(wasm.OpEnd)
		f.op(wasm.OpLocalGet, f.r)
	}
}

// op writes an instruction of one byte with at most one index.
func (f *instrumented) op(op wasm.Op, index ...uint32) {
	f.b = append(f.b, byte(op))
	for _, x := range index {
		f.b = appendU32(f.b, x)
	}
}

func (f *instrumented) i64(x uint64) {
	f.b = append(f.b, byte(wasm.OpI64Const))
	for x >= 64 {
		f.b = append(f.b, byte(x)|0x80)
		x >>= 7
	}
	f.b = append(f.b, byte(x))
}

// oneMore adds an entry to a section's content.
func oneMore(content, entry []byte) []byte {
	count, n := readU32(content)
	return append(append(appendU32(nil, count+1), content[n:]...), entry...)
}

func appendU32(b []byte, x uint32) []byte {
	for ; x >= 0x80; x >>= 7 {
		b = append(b, byte(x)|0x80)
	}
	return append(b, byte(x))
}

func readU32(b []byte) (x uint32, n int) {
	for {
		x |= uint32(b[n]&0x7f) << (7 * n)
		if n++; b[n-1] < 0x80 {
			return x, n
		}
	}
}
