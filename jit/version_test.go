package jit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// once is a loop whose addresses may be tested before it begins.
type once struct {
	sweep
	passes []int32 // first arguments with which the test succeeds, if there are 6 rounds,
	fails  []int32 // and with which it doesn't
}

// load32 adds what is at the address on the stack to local 2.
func (a asm) load32(off uint64) asm { return a.op(wasm.OpI32Load, 2, off).add() }

// less jumps back to a loop if local x is below y, or whatever else op compares.
func (a asm) less(x, y uint64, op wasm.Op) asm { return a.get(x).get(y).op(op).op(wasm.OpBrIf, 0) }

// upTo sets local 4 to local 0 and by times the second argument, and then repeats body until less(0, 4, op) doesn't hold.
func upTo(by, more int32, op wasm.Op, body asm) fn {
	b := asm{}.get(1).i32(by).op(wasm.OpI32Mul).get(0).op(wasm.OpI32Add).i32(more).op(wasm.OpI32Add).set(4).block(wasm.OpLoop)
	return counted(append(b, body...).less(0, 4, op).op(wasm.OpEnd))
}

// longs has an i64 as local 6 instead of the i32 that is local 0, and another one as local 7.
func longs(body asm) fn {
	f := counted(append(asm{}.get(0).op(wasm.OpI64ExtendI32U).set(6), body...))
	f.locals = append(f.locals, wasm.I64, wasm.I64)
	return f
}

const end = 65536 // of the memory

var onces = []once{
	{sweep{"up", loopOf(asm{}.get(0).load32(0).step(0, 4)), []int32{0, end - 24, end - 28, end - 32, end - 20, end - 12, end - 4, end - 3, end, -4, -24}}, []int32{0, 4, end - 32}, []int32{end - 24, end - 4, -4, -1}},
	{sweep{"down", loopOf(asm{}.get(0).load32(0).step(0, -4)), []int32{20, 24, 28, 16, 8, 4, 3, 0, -1, end - 4, end - 3, end}}, []int32{28, 1000, end - 4}, []int32{20, 0, end - 3, -4}},
	{sweep{"stores, another offset", loopOf(asm{}.get(0).get(1).op(wasm.OpI32Store, 2, 8).get(0).load32(4).step(0, 4)), []int32{0, end - 12, end - 32, end - 36, end - 40, -8, -12}}, []int32{0, end - 40}, []int32{end - 28, -8}},
	{sweep{"a store before the trap", loopOf(asm{}.get(0).get(1).op(wasm.OpI32Store, 2, 0).get(0).i32(100).op(wasm.OpI32Add).load32(0).step(0, 4)), []int32{0, end - 104, end - 112, end - 128, end - 132}}, []int32{0, end - 132}, []int32{end - 120, -100}},
	{sweep{"below what is added", loopOf(asm{}.get(0).i32(-64).op(wasm.OpI32Add).load32(0).step(0, 4)), []int32{64, 60, 44, 40, 0, end + 64 - 32, end + 64 - 24, end + 64 - 4}}, []int32{64, end + 32}, []int32{60, 0, end + 60}},
	{sweep{"index times four", loopOf(asm{}.get(3).i32(2).op(wasm.OpI32Shl).get(0).op(wasm.OpI32Add).load32(0).step(3, 1)), []int32{0, end - 24, end - 28, end - 32, end - 4, -4, -24}}, []int32{0, end - 32}, []int32{end - 24, -4}},
	{sweep{"index times minus twelve", loopOf(asm{}.get(0).get(3).i32(12).op(wasm.OpI32Mul).op(wasm.OpI32Sub).load32(0).step(3, 1)), []int32{72, 60, 59, 48, 0, end - 4, end, end + 8, -4}}, []int32{84, 1000, end - 4}, []int32{60, end - 3, -4}},
	{sweep{"index times forty", loopOf(asm{}.get(3).i32(40).op(wasm.OpI32Mul).get(0).op(wasm.OpI32Add).load32(0).step(3, 2)), []int32{0, end - 404, end - 400, end - 484, end - 4}}, []int32{0, end - 564}, []int32{end - 400, -1}},
	{sweep{"two that move", loopOf(asm{}.get(0).get(3).op(wasm.OpI32Add).load32(0).step(0, 8).step(3, -4)), []int32{0, end - 4, end - 24, end - 28, end - 52, -4}}, []int32{24, end - 100}, []int32{0, end - 24}},
	{sweep{"two bases", loopOf(asm{}.get(0).load32(0).get(3).load32(0).step(0, 4).step(3, 64)), []int32{0, end - 24, end - 28, end - 32}}, []int32{0, end - 32}, []int32{end - 24}},
	{sweep{"bytes", loopOf(asm{}.get(0).op(wasm.OpI32Load8U, 0, 0).add().step(0, 1)), []int32{0, end - 6, end - 7, end - 8, end - 5, end - 1, end, -1, -6}}, []int32{0, end - 8}, []int32{end - 6, -1}},
	{sweep{"vectors", loopOf(asm{}.get(0).op(wasm.OpV128Load, 2, 0).op(wasm.OpI32x4ExtractLane, 1).add().step(0, 16)), []int32{0, end - 96, end - 112, end - 16, end - 15}}, []int32{0, end - 112}, []int32{end - 96}},
	{sweep{"constants as well", loopOf(asm{}.i32(end-8).load32(4).get(0).load32(0).i32(16).get(1).op(wasm.OpI32Store, 2, 0).step(0, 4)), []int32{0, end - 24, end - 32}}, []int32{0, end - 32}, []int32{end - 24}},
	{sweep{"a constant outside", loopOf(asm{}.get(0).load32(0).i32(end-3).load32(0).step(0, 4)), []int32{0, end - 4}}, nil, []int32{0, 4}},
	{sweep{"a large constant", loopOf(asm{}.get(0).load32(0).i32(-8).load32(4).step(0, 4)), []int32{0, end - 24}}, []int32{0, end - 32}, []int32{end - 24}},
	{sweep{"fixed bases", loopOf(asm{}.get(1).i32(1).op(wasm.OpI32And).block(wasm.OpIf).get(0).load32(8).op(wasm.OpElse).get(4).load32(0).op(wasm.OpEnd).step(3, 1).get(3).add()), []int32{0, end - 12, end - 11, end, -8}}, []int32{0, end - 12}, []int32{end - 11, -8}},
	{sweep{"fixed, then stored", loopOf(asm{}.get(0).get(1).op(wasm.OpI32Store, 2, 0).get(1).i32(3).op(wasm.OpI32Eq).block(wasm.OpIf).get(0).load32(100).op(wasm.OpEnd).step(3, 1)), []int32{0, end - 104, end - 103, end - 4, end - 3, -4}}, []int32{0, end - 104}, []int32{end - 103, -4}},
	{sweep{"until a pointer is there", upTo(8, 0, wasm.OpI32Ne, asm{}.get(0).load32(4).step(0, 8)), []int32{0, end - 48, end - 56, end - 40, -24}}, []int32{0, end - 56}, []int32{end - 48, -24}},
	{sweep{"a pointer that is never there", upTo(8, 3, wasm.OpI32Ne, asm{}.get(0).load32(4).step(0, 8)), []int32{end - 80}}, nil, []int32{0, end - 80}},
	{sweep{"until a lower one is there", upTo(-4, 0, wasm.OpI32Ne, asm{}.get(0).load32(0).step(0, -4)), []int32{1000, 24, 20, 28, 4, end - 4, end}}, []int32{1000, 28, end - 4}, []int32{20, end}},
	{sweep{"signed", upTo(1, 0, wasm.OpI32LtS, asm{}.get(0).load32(0).step(0, 1)), []int32{0, end - 8, end - 9, end - 10, end - 4, -3, -6}}, []int32{0, end - 10}, []int32{end - 8, -3}},
	{sweep{"signed, above", upTo(-1, 0, wasm.OpI32GtS, asm{}.get(0).load32(0).step(0, -1)), []int32{10, 6, 5, end - 4, end - 3}}, []int32{10, 7, end - 4}, []int32{5, end - 3}},
	{sweep{"at the end already", upTo(0, 0, wasm.OpI32LtS, asm{}.get(0).load32(0).step(0, 1)), []int32{0, end - 4}}, nil, []int32{0, 1000}},
	{sweep{"behind the end", upTo(-2, 0, wasm.OpI32LtS, asm{}.get(0).load32(0).step(0, 1)), []int32{100, end - 4}}, nil, []int32{100, 1000}},
	{sweep{"around", upTo(-2, 0, wasm.OpI32Ne, asm{}.get(0).load32(0).step(0, 1)), []int32{end - 30}}, nil, []int32{1000, end - 30}},
	{sweep{"the highest number", counted(asm{}.i32(0x7fffffff).set(3).block(wasm.OpLoop).get(0).load32(0).step(0, 4).step(3, 1).get(3).i32(0x7fffffff).op(wasm.OpI32LtS).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{end - 40}}, nil, []int32{0, end - 40}},
	{sweep{"while", counted(asm{}.block(wasm.OpBlock).block(wasm.OpLoop).get(3).get(1).op(wasm.OpI32GeU).op(wasm.OpBrIf, 1).step(3, 1).get(0).load32(0).step(0, 4).get(2).op(wasm.OpI32WrapI64).i32(1).op(wasm.OpI32And).block(wasm.OpIf).step(4, 3).op(wasm.OpEnd).
		op(wasm.OpBr, 0).op(wasm.OpEnd).op(wasm.OpEnd).get(4).add()), []int32{0, 1, end - 24, end - 28, end - 32, end - 12, -4}}, []int32{0, 1, end - 32}, []int32{end - 24, -4}},
	{sweep{"left early", counted(asm{}.block(wasm.OpBlock).block(wasm.OpLoop).get(0).load32(0).get(1).i32(3).op(wasm.OpI32Eq).op(wasm.OpBrIf, 1).step(0, 4).get(1).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, 1).op(wasm.OpBrIf, 0).op(wasm.OpEnd).op(wasm.OpEnd).get(1).add()), []int32{0, end - 12, end - 8, end - 20}}, []int32{0}, []int32{end - 8}},
	{sweep{"two ways back", counted(asm{}.block(wasm.OpBlock).block(wasm.OpLoop).get(3).get(1).op(wasm.OpI32Eq).op(wasm.OpBrIf, 1).step(3, 1).get(0).get(3).i32(2).op(wasm.OpI32Shl).op(wasm.OpI32Add).load32(0).get(3).i32(1).op(wasm.OpI32And).op(wasm.OpBrIf, 0).step(4, 1).op(wasm.OpBr, 0).op(wasm.OpEnd).op(wasm.OpEnd).get(4).add()), []int32{0, end - 28, end - 32, end - 8, -4, -8}}, []int32{0, end - 36, -4}, []int32{end - 28, -8}},
	{sweep{"step on one way only", loopOf(asm{}.get(0).load32(0).get(1).i32(1).op(wasm.OpI32And).block(wasm.OpIf).step(0, 4).op(wasm.OpEnd)), []int32{0, end - 12, end - 4, end - 28, -4}}, []int32{0, end - 32}, []int32{end - 24, -4}},
	{sweep{"below a number", counted(asm{}.block(wasm.OpLoop).get(0).load32(0).get(0).get(1).i32(5).op(wasm.OpI32Mul).op(wasm.OpI32Add).set(0).get(0).i32(1000).op(wasm.OpI32LtU).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{900, 999, 1000, end - 4, end - 3, -4}}, []int32{900, 999}, []int32{1000, -1}},
	{sweep{"below another one", upTo(40, 0, wasm.OpI32LtU, asm{}.get(0).load32(0).get(0).get(1).i32(3).op(wasm.OpI32Mul).op(wasm.OpI32Add).set(0)), []int32{0, end - 240, end - 243, end - 244, end - 100, end - 4, -100, -240, -241}}, []int32{0, end - 243}, []int32{end - 242, -100}},
	{sweep{"below, what it was and what it is", upTo(40, 0, wasm.OpI32LtU, asm{}.get(0).load32(0).get(0).get(1).i32(3).op(wasm.OpI32Mul).op(wasm.OpI32Add).set(0).get(0).load32(0)), []int32{0, end - 240, end - 265, end - 266, end - 4}}, []int32{0, end - 270}, []int32{end - 240}},
	{sweep{"below, times eight", counted(asm{}.block(wasm.OpLoop).get(3).i32(3).op(wasm.OpI32Shl).get(0).op(wasm.OpI32Add).load32(0).get(3).get(1).op(wasm.OpI32Add).set(3).i32(20).get(3).op(wasm.OpI32GtU).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{0, end - 156, end - 155, end - 100, -8}}, []int32{0, end - 156}, []int32{end - 155, -8}},
	{sweep{"below, changed elsewhere", counted(asm{}.block(wasm.OpLoop).get(0).i32(4).op(wasm.OpI32And).block(wasm.OpIf).step(0, 3000).get(0).load32(0).op(wasm.OpEnd).get(0).load32(0).get(0).get(1).i32(50).op(wasm.OpI32Mul).op(wasm.OpI32Add).set(0).get(0).i32(end-4).op(wasm.OpI32LtU).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{end - 8000, end - 1196}}, nil, nil},
	{sweep{"below, up to it", upTo(0, 217, wasm.OpI32LtU, asm{}.get(0).load32(0).get(0).get(1).i32(3).op(wasm.OpI32Mul).op(wasm.OpI32Add).set(0)), []int32{0, end - 219, end - 220}}, []int32{0, end - 220}, []int32{end - 219}},
	{sweep{"signed, by four", upTo(4, 0, wasm.OpI32LtS, asm{}.get(0).load32(0).step(0, 4)), []int32{0, end - 24, end - 32}}, []int32{0, end - 32}, []int32{end - 24}},
	{sweep{"signed, over it", upTo(4, 2, wasm.OpI32LtS, asm{}.get(0).load32(0).step(0, 4)), []int32{0, end - 24, end - 28, end - 32}}, nil, []int32{0, end - 32}},
	{sweep{"an index below zero", counted(asm{}.i32(-2).set(3).block(wasm.OpLoop).get(3).i32(2).op(wasm.OpI32Shl).get(0).op(wasm.OpI32Add).load32(0).step(3, 1).get(3).get(1).op(wasm.OpI32Ne).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{8, 7, 0, end - 24, end - 16}}, []int32{8, end - 40}, []int32{7, end - 20}},
	{sweep{"there, but for a step", counted(asm{}.get(1).set(3).block(wasm.OpLoop).step(3, 1).get(0).i32(8).op(wasm.OpI32And).block(wasm.OpIf).step(4, 1).op(wasm.OpEnd).get(0).load32(0).step(0, 4).get(3).get(1).op(wasm.OpI32Ne).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{end - 40}}, nil, []int32{0, end - 40}},
	{sweep{"i64, more than there is", longs(asm{}.get(1).op(wasm.OpI64ExtendI32U).i64(1<<61).op(wasm.OpI64Add).set(7).block(wasm.OpLoop).get(6).op(wasm.OpI32WrapI64).load32(0).get(6).i64(8).op(wasm.OpI64Add).set(6).get(7).i64(-1).op(wasm.OpI64Add).set(7).get(7).i64(0).op(wasm.OpI64Ne).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{end - 80}}, nil, []int32{0, end - 80}},
	{sweep{"i64, counted in 32", longs(asm{}.i32(-8).set(3).i64(1<<32+2).set(7).block(wasm.OpLoop).get(0).load32(0).step(0, 4).step(3, 1).get(3).op(wasm.OpI64ExtendI32U).get(7).op(wasm.OpI64Ne).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{end - 60}}, nil, nil},
	{sweep{"not counted every time", counted(asm{}.block(wasm.OpLoop).get(0).load32(0).step(0, 4).get(0).i32(8).op(wasm.OpI32And).block(wasm.OpIf).step(1, -1).op(wasm.OpEnd).get(1).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{0, end - 32, end - 44}}, nil, nil},
	{sweep{"not tested every time", counted(asm{}.block(wasm.OpBlock).block(wasm.OpLoop).get(0).load32(0).step(0, 4).step(1, -1).get(0).i32(8).op(wasm.OpI32And).block(wasm.OpIf).get(1).op(wasm.OpI32Eqz).op(wasm.OpBrIf, 2).op(wasm.OpEnd).op(wasm.OpBr, 0).op(wasm.OpEnd).op(wasm.OpEnd)), []int32{end - 32, end - 36}}, nil, nil},
	{sweep{"stepped twice", loopOf(asm{}.get(0).load32(0).step(0, 4).step(0, 8)), []int32{0, end - 32, end - 64, end - 76}}, nil, nil},
	{sweep{"counted twice", counted(asm{}.block(wasm.OpLoop).get(0).load32(0).step(0, 4).step(1, -1).get(1).i32(1).op(wasm.OpI32And).block(wasm.OpIf).step(1, 2).op(wasm.OpEnd).get(1).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{end - 32}}, nil, nil},
	{sweep{"a base that another local gives", counted(asm{}.block(wasm.OpLoop).get(4).load32(0).get(3).load32(0).step(3, 4).get(0).i32(end/2).op(wasm.OpI32Add).set(4).get(1).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, 1).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{0, end / 2, end/2 - 3}}, []int32{0, end / 2}, nil},
	{sweep{"up to the highest number and it", counted(asm{}.i32(0x7ffffffb).set(3).block(wasm.OpLoop).get(0).load32(0).step(0, 4).step(3, 1).get(3).i32(0x7fffffff).op(wasm.OpI32LeS).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{end - 60}}, nil, nil},
	{sweep{"the end moves", counted(asm{}.get(0).i32(12).op(wasm.OpI32Add).set(4).block(wasm.OpLoop).get(0).load32(0).step(0, 4).step(4, 2).get(0).get(4).op(wasm.OpI32Ne).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{0, end - 16, end - 24}}, nil, nil},
	{sweep{"i64 pointers", longs(asm{}.block(wasm.OpLoop).get(6).op(wasm.OpI32WrapI64).load32(0).get(6).i64(8).op(wasm.OpI64Add).set(6).get(7).i64(1).op(wasm.OpI64Add).set(7).get(7).get(1).op(wasm.OpI64ExtendI32U).op(wasm.OpI64LtS).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{0, end - 44, end - 52}}, []int32{0, end - 52}, []int32{end - 40}},
	{sweep{"i64 counted", longs(asm{}.get(1).op(wasm.OpI64ExtendI32U).set(7).block(wasm.OpLoop).get(6).op(wasm.OpI32WrapI64).load32(0).get(6).i64(8).op(wasm.OpI64Add).set(6).get(7).i64(-1).op(wasm.OpI64Add).set(7).get(7).i64(0).op(wasm.OpI64GtS).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{0, end - 44, end - 40, end - 52, end - 4, -8}}, []int32{0, end - 52}, []int32{end - 40, -8}},
	{sweep{"i64 far away", longs(asm{}.get(1).op(wasm.OpI64ExtendI32U).i64(1<<32).op(wasm.OpI64Add).set(7).block(wasm.OpLoop).get(6).op(wasm.OpI32WrapI64).load32(0).get(6).i64(8).op(wasm.OpI64Add).set(6).get(7).i64(-1).op(wasm.OpI64Add).set(7).get(7).i64(0).op(wasm.OpI64Ne).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{end - 80}}, nil, []int32{0, end - 80}},
	{sweep{"i64, only the low half", longs(asm{}.get(6).i64(1<<40).op(wasm.OpI64Add).set(6).block(wasm.OpLoop).get(6).op(wasm.OpI32WrapI64).load32(0).get(6).i64(1<<32+4).op(wasm.OpI64Add).set(6).get(1).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, 1).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{0, end - 24, end - 32, end - 4}}, []int32{0, end - 32}, []int32{end - 24}},
	{sweep{"nested, grown between", loopOf(asm{}.i32(2).set(3).i32(1).op(wasm.OpMemoryGrow, 0).op(wasm.OpDrop).block(wasm.OpLoop).get(0).load32(0).step(0, 4).get(3).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, 3).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{3*end - 8, 3*end - 20}}, []int32{0, end - 4, 2*end - 16}, []int32{3*end - 8}},
	{sweep{"dispatched", dispatch(asm{}.get(0).load32(0), asm{}.step(4, 1).get(4).add().step(0, 4), asm{}.get(4).add()), []int32{0, end - 4, end - 24, end - 32}}, []int32{0, end - 32}, []int32{end - 20, -4}},
	{sweep{"a division traps", loopOf(asm{}.get(0).get(1).op(wasm.OpI32Store, 2, 0).i32(100).get(1).i32(3).op(wasm.OpI32Sub).op(wasm.OpI32DivU).add().step(0, 4)), []int32{0, end - 16, end - 12, end - 32}}, []int32{0}, []int32{end - 4}},
}

// TestLoopsAreTestedOnce is TestEveryLimit for onces. Each has a copy without checks if the test may succeed.
func TestLoopsAreTestedOnce(t *testing.T) {
	c := newCompiler(t)
	copies := 0
	c.Observe(func(e jit.Event) {
		if e.Err != nil {
			t.Errorf("function %d stays interpreted: %v", e.Function, e.Err)
		}
		if e.Function == 1 {
			copies += e.Unchecked
		}
	})
	for _, p := range onces {
		before := copies
		everyLimit(t, c, []sweep{p.sweep})
		if tested := len(p.passes)+len(p.fails) > 0; tested != (copies > before) {
			t.Errorf("%s: has a copy without checks: %v", p.name, copies > before)
		}
	}
}

// TestWhichLoopsAreUnchecked has a loop trap whose test fails: where it must, and only there.
func TestWhichLoopsAreUnchecked(t *testing.T) {
	jit.RefuseChecks(t)
	c := newCompiler(t)
	for _, p := range onces {
		b := module(sweeps[0].f, p.f)
		for _, start := range slices.Concat(p.passes, p.fails) {
			o := run(t, b, vm.Config{Compiler: c, Tier: vm.TierJIT}, "f1", vm.I32(start), vm.I32(6))
			if failed := strings.Contains(o.trap, "unreachable"); failed != slices.Contains(p.fails, start) {
				t.Errorf("%s from %d: the test fails: %v", p.name, start, failed)
			}
		}
	}
}
