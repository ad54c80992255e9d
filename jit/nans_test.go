package jit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// The locals of TestNaNsAreSeenBy: numbers that arithmetic made, in registers, and what is below the operands.
const (
	nanRounds uint64 = iota
	nanF32
	nanF64
	nan32x4
	nan64x2
	plain
	nanBelow
)

// vectorOfNaNs pushes lanes that arithmetic made, which the processor's own NaN would have another sign in.
func vectorOfNaNs(a asm, width int) asm {
	if width == 64 {
		return a.f64(-1).op(wasm.OpF64x2Splat).op(wasm.OpF64x2Sqrt)
	}
	return a.f64(-1).op(wasm.OpF32DemoteF64).op(wasm.OpF32x4Splat).op(wasm.OpF32x4Sqrt)
}

// nanOperand pushes an operand in one of five ways: on the stack or in a local, with lanes of 32 or 64 bits; or, if it
// is a vector, in a local that arithmetic never wrote.
func nanOperand(a asm, t wasm.ValType, how int) asm {
	local := how&2 != 0
	switch {
	case t == wasm.V128 && how == 4:
		return a.get(plain)
	case t == wasm.I32:
		return a.i32(5)
	case t == wasm.I64:
		return a.i64(5)
	case t == wasm.F32 && local:
		return a.get(nanF32)
	case t == wasm.F32:
		return a.f64(-1).op(wasm.OpF32DemoteF64).op(wasm.OpF32Sqrt)
	case t == wasm.F64 && local:
		return a.get(nanF64)
	case t == wasm.F64:
		return a.f64(-1).op(wasm.OpF64Sqrt)
	case local:
		return a.get(nan32x4 + uint64(how&1))
	}
	return vectorOfNaNs(a, 32<<(how&1))
}

// immediates are those of an operation on numbers and memory.
func (a asm) immediates(op wasm.Op) asm {
	imm := wasm.Info(op).Imm
	if _, memory := imm.AccessLog2(); memory {
		a = append(a, 0, 16)
	}
	switch {
	case imm >= wasm.ImmLane2 && imm <= wasm.ImmLane16, imm >= wasm.ImmMemLane8 && imm <= wasm.ImmMemLane64:
		return append(a, 1)
	case imm == wasm.ImmShuffle:
		return append(a, 0, 17, 2, 19, 4, 21, 6, 23, 8, 25, 10, 27, 12, 29, 14, 31)
	}
	return a
}

// nanFunction applies an operation in a loop, in which locals have registers, to NaNs and above so many others. It gives
// what the operation gives, and those.
func nanFunction(op wasm.Op, how [4]int, below int) fn {
	in, out, _ := op.Effect()
	a := asm{}.i32(2).set(nanRounds).block(wasm.OpLoop)
	a = nanOperand(a, wasm.F32, 0).set(nanF32)
	a = nanOperand(a, wasm.F64, 0).set(nanF64)
	a = vectorOfNaNs(a, 32).set(nan32x4)
	a = vectorOfNaNs(a, 64).set(nan64x2)
	a = a.i32(8).op(wasm.OpV128Load, 4, 4).set(plain)
	for i := range below {
		a = vectorOfNaNs(a, 32<<(i&1))
	}
	for i, t := range in {
		a = nanOperand(a, t, how[i])
	}
	a = a.op(op).immediates(op)
	for i, t := range out {
		if t == wasm.V128 {
			a = a.op(wasm.OpV128Not) // so that it is an operand first
		}
		a = a.set(nanBelow + 1 + uint64(i))
	}
	for range below {
		a = a.get(nanBelow).op(wasm.OpI32x4Add).set(nanBelow)
	}
	a = a.get(nanRounds).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, nanRounds).op(wasm.OpBrIf, 0).op(wasm.OpEnd).get(nanBelow)
	for i := range out {
		a = a.get(nanBelow + 1 + uint64(i))
	}
	return fn{
		results: append([]wasm.ValType{wasm.V128}, out...),
		locals:  append([]wasm.ValType{wasm.I32, wasm.F32, wasm.F64, wasm.V128, wasm.V128, wasm.V128, wasm.V128}, out...),
		body:    a,
	}
}

// TestNaNsAreSeenBy has every operation on numbers, lanes and memory see NaNs that arithmetic made, in whatever place a
// compiler leaves them as the processor made them: registers of locals, of operands, and of operands that have to go home
// in the middle of an instruction, since it needs theirs.
func TestNaNsAreSeenBy(t *testing.T) {
	c := newCompiler(t)
	seen := 0
	for op := range wasm.Op(wasm.NumOps) {
		in, out, fixed := op.Effect()
		info := wasm.Info(op)
		if !fixed || len(in) == 0 || strings.Contains(fmt.Sprint(in, out), "ref") || strings.Contains(info.Name, "memory.") || strings.Contains(info.Name, "table.") {
			continue
		}
		var fns []fn
		for _, how := range [][4]int{{0, 0, 0}, {1, 1, 1}, {2, 2, 2}, {3, 3, 3}, {4, 4, 4}, {0, 2, 4}, {1, 3, 1}, {2, 0, 2}, {3, 1, 4}, {4, 0, 4}} {
			for _, below := range []int{0, 3, 4} {
				fns = append(fns, nanFunction(op, how, below))
			}
		}
		b := module(fns...)
		m, err := vm.Decode(b)
		if err != nil {
			t.Fatalf("%s: %v", info.Name, err)
		}
		var stores [2]*vm.Store
		for i, tier := range []vm.Tier{vm.TierInterp, vm.TierJIT} {
			stores[i] = vm.NewStore(vm.Config{Compiler: c, Tier: tier})
			defer stores[i].Close()
			if _, err := stores[i].Instantiate(m, nil); err != nil {
				t.Fatalf("%s: %v", info.Name, err)
			}
		}
		for k := range fns {
			var got [2]string
			for i, s := range stores {
				if err := s.Start(s.Instances()[0], fmt.Sprintf("f%d", k)); err != nil {
					t.Fatalf("%s: %v", info.Name, err)
				}
				_, got[i] = stand(t, s, 1<<40)
			}
			if seen++; got[0] != got[1] {
				t.Errorf("%s, operands %d, %d below:\ncompiled    %s\ninterpreted %s", info.Name, k/3, []int{0, 3, 4}[k%3], got[1], got[0])
			}
		}
	}
	if seen < 5000 {
		t.Errorf("only %d cases", seen)
	}
}

// TestNaNsAreCopied has a local that only copies another one's lanes, in each order of the copy and the arithmetic, and
// with another copy between.
func TestNaNsAreCopied(t *testing.T) {
	c := newCompiler(t)
	for _, width := range []int{32, 64} {
		made := vectorOfNaNs(asm{}, width).set(2)
		copies := asm{}.get(3).set(4).get(2).set(3)
		expected := "v128:7fc000007fc000007fc000007fc00000"
		if width == 64 {
			expected = "v128:7ff80000000000007ff8000000000000"
		}
		for _, body := range []asm{slices.Concat(made, copies), slices.Concat(copies, made)} {
			a := asm{}.i32(5).set(0).block(wasm.OpLoop)
			a = append(a, body...).get(0).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, 0).op(wasm.OpBrIf, 0).op(wasm.OpEnd).get(4)
			f := fn{params: types(1, wasm.I32), results: types(1, wasm.V128), locals: append(types(1, wasm.I32), types(3, wasm.V128)...), body: a}
			want(t, fmt.Sprintf("lanes of %d bits", width), tiers(t, c, module(f), "f0", vm.I32(0)), expected)
		}
	}
}
