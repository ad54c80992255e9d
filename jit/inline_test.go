package jit_test

import (
	"fmt"
	"testing"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// leaves are functions of an i32 and an i64 that give an i64, small enough to be inlined, each with the arguments to begin
// with: those it is called with are the first one up to three more.
var leaves = []struct {
	name   string
	locals []wasm.ValType
	body   asm
	starts []int32
}{
	{"sum", nil, asm{}.get(0).op(wasm.OpI64ExtendI32U).get(1).op(wasm.OpI64Add), []int32{5, -1}},
	{"second", nil, asm{}.get(1), []int32{5}},
	{"first", nil, asm{}.get(0).op(wasm.OpI64ExtendI32S), []int32{-9}},
	{"constant", nil, asm{}.i64(77), []int32{5}},
	{"square", nil, asm{}.get(1).get(1).op(wasm.OpI64Mul).get(0).get(0).op(wasm.OpI32Mul).op(wasm.OpI64ExtendI32S).op(wasm.OpI64Sub).get(1).op(wasm.OpI64Xor), []int32{5, -70}},
	{"parameter written", nil, asm{}.get(0).i32(3).op(wasm.OpI32Shl).op(wasm.OpLocalTee, 0).op(wasm.OpI64ExtendI32U).get(0).op(wasm.OpI64ExtendI32S).get(1).op(wasm.OpI64Mul).op(wasm.OpI64Add), []int32{5}},
	{"swapped", []wasm.ValType{wasm.I64}, asm{}.get(1).set(2).get(0).op(wasm.OpI64ExtendI32U).set(1).get(1).get(2).op(wasm.OpI64Sub).get(1).op(wasm.OpI64Rotl), []int32{5}},
	{"locals", []wasm.ValType{wasm.I32, wasm.I64, wasm.F64}, asm{}.get(3).get(2).op(wasm.OpI64ExtendI32U).op(wasm.OpI64Add).i64(9).set(3).get(3).op(wasm.OpI64Mul).
		get(0).op(wasm.OpF64ConvertI32S).op(wasm.OpLocalTee, 4).get(4).op(wasm.OpF64Mul).op(wasm.OpI64ReinterpretF64).op(wasm.OpI64Xor).get(1).op(wasm.OpI64Add), []int32{5}},
	{"nan", []wasm.ValType{wasm.F64}, asm{}.get(2).get(2).op(wasm.OpF64Div).op(wasm.OpLocalTee, 2).op(wasm.OpI64ReinterpretF64).get(2).op(wasm.OpF64Neg).op(wasm.OpI64ReinterpretF64).op(wasm.OpI64Add), []int32{5}},
	{"load", nil, asm{}.get(0).op(wasm.OpI64Load, 3, 0).get(0).op(wasm.OpI64Load32U, 2, 8).op(wasm.OpI64Xor), []int32{0, 65536 - 8, 65536 - 11, 65536 - 13, -4}},
	{"store, then trap", nil, asm{}.get(0).i32(60000).op(wasm.OpI32Sub).get(1).op(wasm.OpI64Store, 3, 0).get(0).op(wasm.OpI64Load, 3, 0), []int32{60016, 65536 - 8, 65536 - 11}},
	{"divide", nil, asm{}.i64(1000).get(0).op(wasm.OpI64ExtendI32S).op(wasm.OpI64DivS), []int32{1, 0, -1, -2, -4}},
	{"overflow", nil, asm{}.i32(-1 << 31).get(0).op(wasm.OpI32RemS).op(wasm.OpI64ExtendI32S).i64(-1 << 63).get(0).op(wasm.OpI64ExtendI32S).op(wasm.OpI64DivS).op(wasm.OpI64Add), []int32{1, -2, -4}},
	{"select", nil, asm{}.get(1).i64(8).get(0).i32(6).op(wasm.OpI32LtS).op(wasm.OpSelect).get(0).op(wasm.OpI64ExtendI32U).op(wasm.OpI64Sub), []int32{4}},
	{"large constant", nil, asm{}.get(1).i64(0x123456789ab).op(wasm.OpI64Xor).i64(0xba987654321).op(wasm.OpI64Add).i64(-0xfedcba987654).op(wasm.OpI64Mul), []int32{4}},
	{"shifted and added", nil, asm{}.get(0).i32(2).op(wasm.OpI32Shl).get(0).op(wasm.OpI32Add).op(wasm.OpI64ExtendI32U).get(1).i64(3).op(wasm.OpI64Shl).get(1).op(wasm.OpI64Add).op(wasm.OpI64Xor), []int32{5, -3}},
	{"grown memory", nil, asm{}.op(wasm.OpMemorySize, 0).op(wasm.OpI64ExtendI32U).get(1).op(wasm.OpI64Add), []int32{4}},
}

// callers are functions of two i32, the first argument and the number of rounds, that call function 0 in a loop and give
// an i64. Locals 2 is an i64, 3 an i32.
var callers = []struct {
	name string
	f    fn
}{
	{"locals", loopOf(asm{}.get(0).get(2).op(wasm.OpCall, 0).get(2).op(wasm.OpI64Add).set(2).step(0, 1))},
	{"computed", loopOf(asm{}.get(0).i32(0).op(wasm.OpI32Add).get(2).i64(3).op(wasm.OpI64Mul).op(wasm.OpCall, 0).set(2).step(0, 1))},
	{"constants", loopOf(asm{}.i32(7).i64(-5).op(wasm.OpCall, 0).get(2).op(wasm.OpI64Add).set(2))},
	{"a local and a constant", loopOf(asm{}.get(0).i64(3).op(wasm.OpCall, 0).get(2).op(wasm.OpI64Add).set(2).step(0, 1))},
	{"operands below", loopOf(asm{}.get(2).i64(4).get(2).i64(5).op(wasm.OpI64Mul).get(0).get(2).op(wasm.OpCall, 0).op(wasm.OpI64Xor).op(wasm.OpI64Add).op(wasm.OpI64Sub).set(2).step(0, 1))},
	{"a float below", loopOf(asm{}.get(1).op(wasm.OpF64ConvertI32S).f64(0.5).op(wasm.OpF64Mul).get(0).get(2).op(wasm.OpCall, 0).op(wasm.OpF64ConvertI64S).op(wasm.OpF64Add).op(wasm.OpI64ReinterpretF64).set(2).step(0, 1))},
	{"beside what is kept", loopOf(asm{}.get(0).i32(7).op(wasm.OpI32Mul).i32(9).op(wasm.OpI32Add).get(1).op(wasm.OpI32Add).get(2).op(wasm.OpCall, 0).i64(0x1234567890).op(wasm.OpI64Xor).i64(0x2345678901).op(wasm.OpI64Add).i64(0x3456789012).op(wasm.OpI64Mul).i64(0x1234567890).op(wasm.OpI64Xor).i64(0x2345678901).op(wasm.OpI64Add).set(2))},
	{"before what is kept", loopOf(asm{}.get(2).i64(0x1234567890).op(wasm.OpI64Xor).i64(0x2345678901).op(wasm.OpI64Add).i64(0x3456789012).op(wasm.OpI64Mul).i64(0x1234567890).op(wasm.OpI64Xor).i64(0x2345678901).op(wasm.OpI64Add).set(2).get(0).get(2).op(wasm.OpCall, 0).set(2))},
	{"twice", loopOf(asm{}.get(0).get(2).op(wasm.OpCall, 0).set(2).get(0).get(2).op(wasm.OpCall, 0).get(2).op(wasm.OpI64Sub).set(2).step(0, 1))},
	{"nested", loopOf(asm{}.get(0).get(0).i64(11).op(wasm.OpCall, 0).op(wasm.OpCall, 0).set(2).step(0, 1))},
	{"dropped", loopOf(asm{}.get(0).get(2).op(wasm.OpCall, 0).op(wasm.OpDrop).get(0).add().step(0, 1))},
	{"trap before and after", loopOf(asm{}.get(0).op(wasm.OpI32Load, 2, 6).add().get(0).get(2).op(wasm.OpCall, 0).set(2).get(0).op(wasm.OpI32Load, 2, 9).add().step(0, 1))},
	{"in an arm", loopOf(asm{}.get(1).i32(1).op(wasm.OpI32And).block(wasm.OpIf).get(0).get(2).op(wasm.OpCall, 0).set(2).op(wasm.OpElse).step(3, 1).get(3).add().op(wasm.OpEnd).step(0, 1))},
	{"before a block", loopOf(asm{}.get(0).i32(65535).op(wasm.OpI32And).i32(0).i32(0).get(0).get(2).op(wasm.OpCall, 0).set(2).op(wasm.OpMemoryFill, 0).step(0, 1))},
	{"dropped before a block", loopOf(asm{}.get(0).i32(65535).op(wasm.OpI32And).i32(0).i32(0).get(0).get(2).op(wasm.OpCall, 0).op(wasm.OpDrop).op(wasm.OpMemoryFill, 0).step(0, 1))},
	{"behind what is charged by size", loopOf(asm{}.get(0).i32(65535).op(wasm.OpI32And).i32(0).i32(9).op(wasm.OpMemoryFill, 0).get(0).get(2).op(wasm.OpCall, 0).set(2).step(0, 1))},
	{"beside an indirect call", loopOf(asm{}.get(0).i32(1).i32(2).op(wasm.OpCallIndirect, 1, 0).get(2).op(wasm.OpI64Add).set(2).get(0).get(2).op(wasm.OpCall, 0).set(2).step(0, 1))},
	{"where an operand was left", loopOf(asm{}.get(0).get(1).op(wasm.OpI32Add).op(wasm.OpDrop).i32(3).get(2).op(wasm.OpCall, 0).get(2).op(wasm.OpI64Add).set(2))},
	{"behind another call", loopOf(asm{}.get(0).i32(1).op(wasm.OpCall, 2).get(2).op(wasm.OpI64Add).set(2).get(0).get(2).op(wasm.OpCall, 0).set(2).step(0, 1))},
	{"beside another call", loopOf(asm{}.get(0).get(2).op(wasm.OpCall, 0).set(2).get(0).i32(1).op(wasm.OpCall, 2).get(2).op(wasm.OpI64Add).set(2).step(0, 1))},
}

// TestInlinedIsAsCalled stops loops that call small functions after every amount of gas, and at every limit of depth and
// of slots, in both tiers, and goes on in the other tier.
func TestInlinedIsAsCalled(t *testing.T) {
	c := newCompiler(t)
	inlined, stops := 0, 0
	c.Observe(func(e jit.Event) {
		inlined += len(e.Inlined)
		if e.Err != nil {
			t.Errorf("function %d stays interpreted: %v", e.Function, e.Err)
		}
	})
	other := loopOf(asm{}.get(0).add().step(0, 1))
	for _, l := range leaves {
		leaf := fn{params: []wasm.ValType{wasm.I32, wasm.I64}, results: types(1, wasm.I64), locals: l.locals, body: l.body}
		for _, caller := range callers {
			m, err := vm.Decode(module(leaf, caller.f, other))
			if err != nil {
				t.Fatalf("%s, %s: %v", l.name, caller.name, err)
			}
			for i, start := range l.starts {
				begin := func(tier vm.Tier, limits vm.Limits) *vm.Store {
					s := vm.NewStore(vm.Config{Compiler: c, Tier: tier, Limits: limits})
					inst, err := s.Instantiate(m, nil)
					if err != nil {
						t.Fatal(err)
					}
					if err := s.Start(inst, "f1", vm.I32(start), vm.I32(5)); err != nil {
						t.Fatal(err)
					}
					return s
				}
				same := func(what string, gas uint64, limits vm.Limits) vm.Stop {
					interp, native := begin(vm.TierInterp, limits), begin(vm.TierJIT, limits)
					defer interp.Close()
					defer native.Close()
					what = fmt.Sprintf("%s, called with %s, from %d, %s", l.name, caller.name, start, what)
					stop, want := stand(t, interp, gas)
					if _, got := stand(t, native, gas); got != want {
						t.Fatalf("%s:\ncompiled    %s\ninterpreted %s", what, got, want)
					}
					stops++
					if stop.Reason == vm.OutOfGas && gas%5 == 0 {
						crossed(t, c, m, interp, native, what)
					}
					return stop
				}
				for gas := uint64(0); ; gas++ {
					if i > 0 {
						gas += 2
					}
					if same(fmt.Sprint("gas ", gas), gas, vm.Limits{}).Reason != vm.OutOfGas {
						break
					}
				}
				interp, native := begin(vm.TierInterp, vm.Limits{}), begin(vm.TierJIT, vm.Limits{})
				for gas, steps := uint64(0), 0; ; steps++ {
					stop, want := stand(t, interp, gas)
					if _, got := stand(t, native, gas); got != want {
						t.Fatalf("%s, called with %s, from %d, step %d:\ncompiled    %s\ninterpreted %s", l.name, caller.name, start, steps, got, want)
					}
					if gas = stop.Need; stop.Reason != vm.OutOfGas {
						break
					}
				}
				interp.Close()
				native.Close()
				for depth := range uint32(4) {
					same(fmt.Sprint("depth ", depth), 1<<30, vm.Limits{Depth: depth + 1})
				}
				for slots := range uint32(40) {
					same(fmt.Sprint("slots ", slots), 1<<30, vm.Limits{Slots: slots + 1})
				}
			}
		}
	}
	t.Logf("%d calls were inlined, %d stops", inlined, stops)
	if want := len(leaves) * (len(callers) - 4); inlined < want {
		t.Errorf("%d calls were inlined, of at least %d", inlined, want)
	}
}
