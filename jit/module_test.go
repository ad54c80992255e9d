package jit_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// asm is a function's code being written.
type asm []byte

func (a asm) op(op wasm.Op, imm ...uint64) asm {
	switch {
	case op >= wasm.PrefixSIMD:
		a = binary.AppendUvarint(append(a, 0xfd), uint64(op-wasm.PrefixSIMD))
	case op >= wasm.PrefixMisc:
		a = binary.AppendUvarint(append(a, 0xfc), uint64(op-wasm.PrefixMisc))
	default:
		a = append(a, byte(op))
	}
	for _, x := range imm {
		a = binary.AppendUvarint(a, x)
	}
	return a
}

func (a asm) get(local uint64) asm { return a.op(wasm.OpLocalGet, local) }
func (a asm) set(local uint64) asm { return a.op(wasm.OpLocalSet, local) }

// block, loop and if begin a block without parameters; its result, if there is one, is t.
func (a asm) block(op wasm.Op, t ...wasm.ValType) asm {
	if len(t) == 0 {
		return append(a.op(op), 0x40)
	}
	return append(a.op(op), byte(t[0]))
}

func (a asm) i32(x int32) asm { return sleb(a.op(wasm.OpI32Const), int64(x)) }
func (a asm) i64(x int64) asm { return sleb(a.op(wasm.OpI64Const), x) }

func (a asm) f64(x float64) asm {
	return binary.LittleEndian.AppendUint64(a.op(wasm.OpF64Const), math.Float64bits(x))
}

func sleb(b []byte, x int64) []byte {
	for x < -64 || x > 63 {
		b = append(b, byte(x)|0x80)
		x >>= 7
	}
	return append(b, byte(x&0x7f))
}

// fn is a function of a test's module; body has no end.
type fn struct {
	params, results, locals []wasm.ValType
	body                    asm
}

// types is so many values of a type.
func types(n int, t wasm.ValType) []wasm.ValType {
	out := make([]wasm.ValType, n)
	for i := range out {
		out[i] = t
	}
	return out
}

// module exports its functions as f0, f1, ..., which are also the elements of its table, and has one to three pages of
// memory that hold their own byte offsets.
func module(fns ...fn) []byte {
	vec := func(n int, b []byte) []byte { return append(binary.AppendUvarint(nil, uint64(n)), b...) }
	sized := func(b, content []byte) []byte {
		return append(binary.AppendUvarint(b, uint64(len(content))), content...)
	}
	vals := func(b []byte, ts []wasm.ValType) []byte {
		b = binary.AppendUvarint(b, uint64(len(ts)))
		for _, t := range ts {
			b = append(b, byte(t))
		}
		return b
	}
	var types, funcs, exports, elems, bodies []byte
	for i, f := range fns {
		types = vals(vals(append(types, 0x60), f.params), f.results)
		funcs = binary.AppendUvarint(funcs, uint64(i))
		exports = sized(exports, fmt.Appendf(nil, "f%d", i))
		exports = binary.AppendUvarint(append(exports, byte(wasm.ExternFunc)), uint64(i))
		elems = binary.AppendUvarint(elems, uint64(i))
		var locals []byte
		for _, t := range f.locals {
			locals = append(locals, 1, byte(t))
		}
		bodies = sized(bodies, append(append(vec(len(f.locals), locals), f.body...), byte(wasm.OpEnd)))
	}
	data := make([]byte, 1<<16)
	for i := 0; i < len(data); i += 4 {
		binary.LittleEndian.PutUint32(data[i:], uint32(i))
	}
	n := len(fns)
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = sized(append(b, 1), vec(n, types))
	b = sized(append(b, 3), vec(n, funcs))
	b = sized(append(b, 4), vec(1, vec(0, binary.AppendUvarint([]byte{byte(wasm.FuncRef), 0}, uint64(n)))[1:]))
	b = sized(append(b, 5), []byte{1, 1, 1, 3})
	b = sized(append(b, 6), vec(1, append(asm{byte(wasm.I64), 1}.i64(5), byte(wasm.OpEnd))))
	b = sized(append(b, 7), vec(n, exports))
	b = sized(append(b, 9), vec(1, append([]byte{0, byte(wasm.OpI32Const), 0, byte(wasm.OpEnd)}, vec(n, elems)...)))
	b = sized(append(b, 10), vec(n, bodies))
	return sized(append(b, 11), vec(1, sized([]byte{0, byte(wasm.OpI32Const), 0, byte(wasm.OpEnd)}, data)))
}

// tiers calls an export of a module interpreted, and compiled twice, each in a new store: only the second time do compiled
// functions call each other directly. It compares what they give, with gas, and returns it: results as bits, or a trap.
func tiers(t *testing.T, c *jit.Compiler, b []byte, export string, args ...vm.Value) string {
	t.Helper()
	m, err := vm.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	var out [3]string
	var gas [3]uint64
	for i, tier := range []vm.Tier{vm.TierInterp, vm.TierJIT, vm.TierJIT} {
		s := vm.NewStore(vm.Config{Compiler: c, Tier: tier})
		inst, err := s.Instantiate(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(inst, export, args...); err != nil {
			t.Fatal(err)
		}
		stop, err := s.Run(t.Context(), 1<<40)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range stop.Results {
			out[i] += bits(v) + " "
		}
		if stop.Trap != nil {
			out[i] = "trap " + stop.Trap.Error() + vm.TraceString(stop.Trap.Trace)
		}
		gas[i] = s.Gas()
		s.Close()
	}
	for i := range out {
		if out[0] != out[i] || gas[0] != gas[i] {
			t.Errorf("%s%v: interpreted %s (gas %d), compiled %s (gas %d)", export, args, out[0], gas[0], out[i], gas[i])
		}
	}
	return out[2]
}

// bits is a value with its type, so that NaNs and what stands above 32 bits show.
func bits(v vm.Value) string {
	if v.Type == wasm.V128 {
		return fmt.Sprintf("%s:%016x%016x", v.Type, v.Hi, v.Lo)
	}
	return fmt.Sprintf("%s:%x", v.Type, v.Lo)
}
