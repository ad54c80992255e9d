package jit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// while is counted with a loop that isn't entered if the first argument is zero.
func while(body asm) fn {
	loop := append(append(asm{}.block(wasm.OpBlock).get(0).op(wasm.OpI32Eqz).op(wasm.OpBrIf, 0).block(wasm.OpLoop), body...).
		get(1).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, 1).op(wasm.OpBrIf, 0), byte(wasm.OpEnd), byte(wasm.OpEnd))
	return counted(loop.get(0).get(3).op(wasm.OpI32Xor).add())
}

// dispatch is a loop as Go's compiler makes it: local 3 says at which of three places it goes on, by a table at its
// start. A round passes first and second; local 1 is taken down, and at zero third ends the function.
func dispatch(first, second, third asm) fn {
	again := func(n int32) asm { return asm{}.i32(n).set(3).op(wasm.OpBr) }
	b := asm{}.block(wasm.OpLoop).block(wasm.OpBlock).block(wasm.OpBlock).block(wasm.OpBlock).get(3).op(wasm.OpBrTable, 2, 0, 1, 2).op(wasm.OpEnd)
	b = append(b, first...)
	b = append(b.op(wasm.OpEnd), second...)
	b = append(append(b.get(1).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, 1).block(wasm.OpIf), append(again(0), 2)...).op(wasm.OpEnd), append(again(2), 1)...)
	return counted(append(b.op(wasm.OpEnd), third...).op(wasm.OpEnd))
}

// many is a function of two i32 with ten i64 more, in which each of two loops has to do with half of them.
func many() fn {
	b := asm{}
	for k := range uint64(2) {
		b = b.i32(5).set(3).block(wasm.OpLoop)
		for i := range uint64(5) {
			x := 6 + 5*k + i
			b = b.get(x).get(6 + 5*k + (i+1)%5).op(wasm.OpI64Add).i64(int64(i) + 3).op(wasm.OpI64Mul).set(x)
		}
		b = b.get(0).op(wasm.OpI32Load, 2, 0).add().step(0, 4).get(3).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, 3).op(wasm.OpBrIf, 0).op(wasm.OpEnd)
	}
	for x := range uint64(10) {
		b = b.get(2).get(6 + x).op(wasm.OpI64Xor).set(2)
	}
	f := counted(b)
	f.locals = append(f.locals, types(10, wasm.I64)...)
	return f
}

// lanes pushes a vector.
func lanes(a asm) asm {
	return append(a.op(wasm.OpV128Const), slices.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 2)...)
}

// turns gives the i32 locals 0 and 3 other values.
func turns() asm { return asm{}.get(3).get(0).set(3).set(0) }

// kept are loops that keep something in a register of their own: a value that doesn't change in them, or a local.
var kept = []sweep{
	{"sum", loopOf(asm{}.get(0).i32(7).op(wasm.OpI32Mul).i32(9).op(wasm.OpI32Add).get(3).op(wasm.OpI32Xor).add().step(3, 1)), []int32{5, -1}},
	{"of two locals", loopOf(asm{}.get(0).get(4).op(wasm.OpI32Sub).i32(5).op(wasm.OpI32Rotl).get(3).op(wasm.OpI32Add).add().step(3, 3)), []int32{5}},
	{"a constant first", loopOf(asm{}.i32(100).get(0).op(wasm.OpI32Sub).get(3).op(wasm.OpI32Mul).add().step(3, 1)), []int32{5}},
	{"extended", loopOf(asm{}.get(0).op(wasm.OpI32Extend8S).op(wasm.OpI64ExtendI32S).i64(0x123456789abcd).op(wasm.OpI64Xor).get(2).op(wasm.OpI64Add).set(2)), []int32{0x7f, 0x1ff, -1}},
	{"wrapped", loopOf(asm{}.get(0).op(wasm.OpI64ExtendI32S).set(2).block(wasm.OpLoop).get(2).i64(-3).op(wasm.OpI64Mul).op(wasm.OpI32WrapI64).get(3).op(wasm.OpI32Add).set(4).step(3, 1).get(3).i32(3).op(wasm.OpI32LtU).op(wasm.OpBrIf, 0).op(wasm.OpEnd).
		get(4).add()), []int32{5, -7}},
	{"no round", while(asm{}.get(0).i32(7).op(wasm.OpI32Mul).i32(9).op(wasm.OpI32Sub).get(1).op(wasm.OpI32Xor).add()), []int32{0, 1, -4}},
	{"address, trap at once or never", loopOf(asm{}.get(0).i32(16).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 4).get(1).op(wasm.OpI32Mul).add()), []int32{0, 65536 - 24, 65536 - 23, -16, -17}},
	{"address, trap in some round", loopOf(asm{}.get(0).i32(3).op(wasm.OpI32Mul).get(3).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 0).add().step(3, 4)), []int32{0, 21844, 21840, 21843, 21841}},
	{"store there", loopOf(asm{}.get(0).i32(64).op(wasm.OpI32Add).get(1).op(wasm.OpI32Store, 2, 0).get(0).i32(3).op(wasm.OpI32Add).get(3).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 0).add().step(3, 61)), []int32{0, 65536 - 68, 65536 - 132}},
	{"the product traps in a division", loopOf(asm{}.i32(1000).get(0).i32(3).op(wasm.OpI32Mul).get(1).op(wasm.OpI32Sub).op(wasm.OpI32DivS).add()), []int32{0, 1, 2, 3}},
	{"changed in the loop around", loopOf(asm{}.i32(3).set(4).block(wasm.OpLoop).get(0).i32(5).op(wasm.OpI32Mul).i32(1).op(wasm.OpI32Add).get(4).op(wasm.OpI32Xor).add().step(4, -1).get(4).op(wasm.OpBrIf, 0).op(wasm.OpEnd).step(0, 1)), []int32{3}},
	{"changed, at the end", loopOf(asm{}.get(0).i32(5).op(wasm.OpI32Mul).i32(1).op(wasm.OpI32Add).get(3).op(wasm.OpI32Xor).add().get(1).i32(3).op(wasm.OpI32Eq).block(wasm.OpIf).step(0, 2).op(wasm.OpEnd).step(3, 1)), []int32{3}},
	{"locals change places", loopOf(append(asm{}.get(0).i32(5).op(wasm.OpI32Mul).add().block(wasm.OpLoop).get(3).i32(9).op(wasm.OpI32Mul).i32(7).op(wasm.OpI32Add).get(4).op(wasm.OpI32Xor).add().step(4, 1).get(4).i32(3).op(wasm.OpI32And).op(wasm.OpBrIf, 0).op(wasm.OpEnd), turns()...)), []int32{3}},
	{"global", loopOf(asm{}.op(wasm.OpGlobalGet, 0).get(2).op(wasm.OpI64Add).i64(3).op(wasm.OpI64Mul).set(2)), []int32{3}},
	{"changed, a global", loopOf(asm{}.op(wasm.OpGlobalGet, 0).get(2).op(wasm.OpI64Add).set(2).get(1).i32(3).op(wasm.OpI32Eq).block(wasm.OpIf).get(2).op(wasm.OpGlobalSet, 0).op(wasm.OpEnd)), []int32{3}},
	{"size", loopOf(asm{}.op(wasm.OpMemorySize, 0).get(0).op(wasm.OpI32Add).op(wasm.OpI32Load8U, 0, 0).op(wasm.OpMemorySize, 0).op(wasm.OpI32Add).add().step(0, 1)), []int32{0, 65531}},
	{"size, grown", loopOf(asm{}.op(wasm.OpMemorySize, 0).add().get(1).i32(4).op(wasm.OpI32Eq).block(wasm.OpIf).i32(1).op(wasm.OpMemoryGrow, 0).op(wasm.OpDrop).op(wasm.OpEnd).get(0).i32(65532).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 0).add()), []int32{0, 1, 4}},
	{"float", loopOf(asm{}.get(0).op(wasm.OpF64ConvertI32S).get(1).op(wasm.OpF64ConvertI32S).op(wasm.OpF64Div).get(5).op(wasm.OpF64Add).f64(1.25).op(wasm.OpF64Mul).set(5).get(5).op(wasm.OpI64ReinterpretF64).set(2)), []int32{5, 0}},
	{"nan", loopOf(asm{}.get(0).op(wasm.OpF64ConvertI32S).set(5).block(wasm.OpLoop).get(5).f64(-1).op(wasm.OpF64Mul).op(wasm.OpF64Sqrt).op(wasm.OpI64ReinterpretF64).get(2).op(wasm.OpI64Add).set(2).step(3, 1).get(3).i32(3).op(wasm.OpI32RemU).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{5, 0, -4}},
	{"float compared", loopOf(asm{}.get(1).op(wasm.OpF64ConvertI32S).f64(2.5).op(wasm.OpF64Lt).block(wasm.OpIf).step(3, 1).op(wasm.OpElse).step(3, 5).op(wasm.OpEnd).get(1).op(wasm.OpF64ConvertI32S).f64(0.1).op(wasm.OpF64Add).get(5).op(wasm.OpF64Add).op(wasm.OpLocalTee, 5).op(wasm.OpI64ReinterpretF64).get(3).op(wasm.OpI64ExtendI32U).op(wasm.OpI64Add).set(2)), []int32{5}},
	{"vector", loopOf(lanes(asm{}.get(0).op(wasm.OpI32x4Splat).get(3).op(wasm.OpI32x4Splat).op(wasm.OpI32x4Add)).op(wasm.OpI32x4Mul).op(wasm.OpI32x4ExtractLane, 2).add().step(3, 1)), []int32{5}},
	{"large constants", loopOf(asm{}.get(2).i64(0x9e3779b97f4a7c15 - 1<<64).op(wasm.OpI64Mul).i64(0x1234567890).op(wasm.OpI64Add).i64(-0x1234567890).op(wasm.OpI64Xor).set(2).get(2).i64(0x7000000000).op(wasm.OpI64GtS).get(3).op(wasm.OpI32Add).set(3).get(2).get(3).op(wasm.OpI64ExtendI32U).op(wasm.OpI64Sub).set(2)), []int32{5}},
	{"kept in a local", loopOf(asm{}.get(0).i32(7).op(wasm.OpI32Mul).i32(9).op(wasm.OpI32Add).set(4).get(4).add().get(4).get(3).op(wasm.OpI32Xor).add().step(3, 1)), []int32{5}},
	{"a call on one way", loopOf(asm{}.get(0).i32(7).op(wasm.OpI32Mul).i32(9).op(wasm.OpI32Add).get(3).op(wasm.OpI32Xor).add().get(1).i32(3).op(wasm.OpI32Eq).block(wasm.OpIf).get(0).i32(2).op(wasm.OpCall, 0).get(2).op(wasm.OpI64Add).set(2).op(wasm.OpEnd).step(3, 1)), []int32{4, 65536 - 4}},
	{"filled", loopOf(asm{}.get(0).i32(7).op(wasm.OpI32Mul).get(3).get(1).i32(40).op(wasm.OpI32Mul).op(wasm.OpMemoryFill, 0).get(0).i32(7).op(wasm.OpI32Mul).get(3).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 0).add().step(3, 1)), []int32{4, 9330, 9350}},
	{"copied over itself", loopOf(asm{}.get(0).i32(7).op(wasm.OpI32Mul).get(0).i32(3).op(wasm.OpI32Mul).i32(80).op(wasm.OpMemoryCopy, 0, 0).get(0).i32(7).op(wasm.OpI32Mul).get(3).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 0).add().step(3, 1)), []int32{4, 9330, 9362}},
	{"more locals than registers", many(), []int32{0, 65536 - 16, 65536 - 28}},
	{"dispatched", dispatch(asm{}.get(0).op(wasm.OpI32Load, 2, 0).add(), asm{}.get(4).get(1).op(wasm.OpI32Add).set(4).get(4).add().step(0, 4), asm{}.get(4).add()), []int32{0, 65536 - 4, 65536 - 16}},
	{"dispatched, a value", dispatch(asm{}.get(0).i32(7).op(wasm.OpI32Mul).get(1).op(wasm.OpI32Add).add(), asm{}.get(0).i32(7).op(wasm.OpI32Mul).get(4).op(wasm.OpI32Xor).set(4), asm{}.get(4).add()), []int32{3}},
	{"dispatched, a call", dispatch(asm{}.get(0).i32(2).op(wasm.OpCall, 0).get(2).op(wasm.OpI64Add).set(2), asm{}.get(0).i32(7).op(wasm.OpI32Mul).get(4).op(wasm.OpI32Xor).set(4), asm{}.get(4).add()), []int32{4, 65536 - 4}},
	{"dispatched, to a computed place", dispatch(asm{}.get(0).i32(7).op(wasm.OpI32Mul).get(1).op(wasm.OpI32Add).add().get(1).i32(1).op(wasm.OpI32GtU).block(wasm.OpIf).get(1).i32(1).op(wasm.OpI32Sub).set(1).i32(0).set(3).get(1).i32(1).op(wasm.OpI32ShrU).i32(1).op(wasm.OpI32And).i32(1).op(wasm.OpI32Add).set(3).op(wasm.OpBr, 3).op(wasm.OpEnd), asm{}.get(0).i32(7).op(wasm.OpI32Mul).get(4).op(wasm.OpI32Xor).set(4), asm{}.get(4).add()), []int32{3}},
	{"dispatched, beyond the table", dispatch(asm{}.get(0).i32(7).op(wasm.OpI32Mul).get(1).op(wasm.OpI32Add).add().get(1).i32(3).op(wasm.OpI32Eq).block(wasm.OpIf).i32(77).set(3).op(wasm.OpBr, 3).op(wasm.OpEnd), asm{}.get(0).i32(7).op(wasm.OpI32Mul).get(4).op(wasm.OpI32Xor).set(4), asm{}.get(4).add()), []int32{3}},
	{"dispatched, behind the machine", dispatch(asm{}.i32(0).op(wasm.OpMemoryGrow, 0).add().i32(1).set(3).op(wasm.OpBr, 2), asm{}.get(0).i32(7).op(wasm.OpI32Mul).get(4).op(wasm.OpI32Xor).set(4), asm{}.get(4).add()), []int32{4}},
	{"dispatched, in the loop", dispatch(asm{}.step(0, 1).block(wasm.OpLoop).get(0).i32(7).op(wasm.OpI32Mul).get(4).op(wasm.OpI32Xor).add().step(4, 1).get(4).i32(3).op(wasm.OpI32And).op(wasm.OpBrIf, 0).op(wasm.OpEnd), asm{}.step(0, 5), asm{}.get(0).add()), []int32{4}},
}

// TestLoopsKeepValues is TestEveryLimit for kept.
func TestLoopsKeepValues(t *testing.T) {
	c := newCompiler(t)
	found := map[uint32]int{}
	c.Observe(func(e jit.Event) {
		if e.Err != nil {
			t.Errorf("function %d stays interpreted: %v", e.Function, e.Err)
		}
		found[e.Function] += min(1, e.Kept)
	})
	for _, p := range kept {
		before := found[1]
		everyLimit(t, c, []sweep{p})
		if changes := strings.Contains(p.name, "changed, ") || p.name == "dispatched" || p.name == "dispatched, a call" || p.name == "dispatched, behind the machine"; (found[1] == before) != changes {
			t.Errorf("%s: a register is kept for it: %v", p.name, changes)
		}
	}
}

// TestDispatchedByAnOperand has the number by which a loop's table goes on be its parameter: what a call gave, inlined or
// not, where a constant was its argument before; or one of many operands that are moved together, where another one was.
func TestDispatchedByAnOperand(t *testing.T) {
	c := newCompiler(t)
	refused(t, c)
	typed := func(a asm, op wasm.Op, n byte) asm { return append(a.op(op), n) }
	program := func(params byte, again func(a asm, n int32, depth uint64) asm) asm {
		b := typed(times(int(params), func(int) asm { return asm{}.i32(0) }), wasm.OpLoop, params)
		b = typed(typed(typed(b, wasm.OpBlock, params), wasm.OpBlock, params), wasm.OpBlock, params).op(wasm.OpBrTable, 2, 0, 1, 2).op(wasm.OpEnd)
		b = again(b.step(1, 1), 1, 2).op(wasm.OpEnd)
		b = again(b.step(1, 10), 2, 1).op(wasm.OpEnd)
		return b.step(1, 100).op(wasm.OpEnd).get(1)
	}
	byCall := func(a asm, n int32, depth uint64) asm { return a.i32(n-1).op(wasm.OpCall, 0).op(wasm.OpBr, depth) }
	byMove := func(a asm, n int32, depth uint64) asm {
		a = a.i32(77)
		for range 8 {
			a = a.i32(0)
		}
		return a.i32(n).op(wasm.OpCall, 10).op(wasm.OpBr, depth)
	}
	small := asm{}.get(0).i32(1).op(wasm.OpI32Add)
	for name, p := range map[string]struct{ callee, body asm }{
		"an inlined call":  {small, program(1, byCall)},
		"a call":           {append(asm{}.get(0).block(wasm.OpIf).op(wasm.OpEnd), small...), program(1, byCall)},
		"operands at once": {small, program(9, byMove)},
	} {
		fns := []fn{{params: types(1, wasm.I32), results: types(1, wasm.I32), body: p.callee}}
		for n := 1; n < 10; n++ { // a type for each number of parameters
			fns = append(fns, fn{params: types(n, wasm.I32)})
		}
		fns = append(fns, fn{}, fn{params: types(1, wasm.I32), results: types(1, wasm.I32), locals: types(1, wasm.I32), body: p.body})
		m, err := vm.Decode(module(fns...))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, tier := range []vm.Tier{vm.TierInterp, vm.TierJIT, vm.TierJIT} {
			s := vm.NewStore(vm.Config{Compiler: c, Tier: tier})
			inst, err := s.Instantiate(m, nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := s.Start(inst, "f11", vm.I32(0)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if stop, out := stand(t, s, 10_000); stop.Reason != vm.Done || stop.Results[0].I32() != 111 {
				t.Errorf("%s, tier %d: %s, want 111", name, tier, out)
			}
			s.Close()
		}
	}
}
