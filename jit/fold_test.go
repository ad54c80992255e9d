package jit_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// TestCompareAndSelect: every comparison of integers, of locals or with a constant, decides between two values that are
// locals, constants or sums, and its truth is right where it is kept.
func TestCompareAndSelect(t *testing.T) {
	c := newCompiler(t)
	truths := []func(x, y int64, ux, uy uint64) bool{
		func(x, y int64, _, _ uint64) bool { return x == y }, func(x, y int64, _, _ uint64) bool { return x != y },
		func(x, y int64, _, _ uint64) bool { return x < y }, func(_, _ int64, x, y uint64) bool { return x < y },
		func(x, y int64, _, _ uint64) bool { return x > y }, func(_, _ int64, x, y uint64) bool { return x > y },
		func(x, y int64, _, _ uint64) bool { return x <= y }, func(_, _ int64, x, y uint64) bool { return x <= y },
		func(x, y int64, _, _ uint64) bool { return x >= y }, func(_, _ int64, x, y uint64) bool { return x >= y },
	}
	values := []int64{0, 1, -1, 5, math.MaxInt32, math.MinInt32}
	for long, first := range []wasm.Op{wasm.OpI32Eq, wasm.OpI64Eq} {
		typ := []wasm.ValType{wasm.I32, wasm.I64}[long]
		for i, truth := range truths {
			op := first + wasm.Op(i)
			for _, k := range values {
				constant := asm{}.i32(int32(k))
				if typ == wasm.I64 {
					constant = asm{}.i64(k)
				}
				var fns []fn
				for _, y := range []asm{asm{}.get(1), constant} {
					compare := append(asm{}.get(0), y...).op(op)
					fns = append(fns,
						fn{results: types(1, wasm.I64), body: append(asm{}.i64(7).i64(-8), compare...).op(wasm.OpSelect)},
						fn{results: types(1, wasm.I64), locals: types(2, wasm.I64), body: append(asm{}.i64(7).set(2).i64(-8).set(3).get(2).get(3), compare...).op(wasm.OpSelect).set(3).get(3)},
						fn{results: types(1, wasm.I64), locals: types(2, wasm.I64), body: append(asm{}.i64(3).set(2).get(2).i64(4).op(wasm.OpI64Add).get(2).i64(-11).op(wasm.OpI64Add), compare...).op(wasm.OpSelect)},
						fn{results: types(1, wasm.I64), locals: types(1, wasm.I32), body: append(asm{}.i64(7).i64(-8), compare...).op(wasm.OpLocalTee, 2).op(wasm.OpSelect).get(2).op(wasm.OpI64ExtendI32U).i64(100).op(wasm.OpI64Mul).op(wasm.OpI64Add)},
					)
				}
				for i := range fns {
					fns[i].params = types(2, typ)
				}
				b := module(fns...)
				for _, x := range values {
					ux, uk := uint64(x), uint64(k)
					args := []vm.Value{vm.I64(x), vm.I64(k)}
					if typ == wasm.I32 {
						ux, uk = uint64(uint32(x)), uint64(uint32(k))
						args = []vm.Value{vm.I32(int32(x)), vm.I32(int32(k))}
					}
					expected, kept := int64(-8), int64(-8)
					if truth(x, k, ux, uk) {
						expected, kept = 7, 107
					}
					for i := range fns {
						if i%4 == 3 {
							expected, kept = kept, expected
						}
						want(t, fmt.Sprintf("form %d of %v: %d and %d", i, op, x, k), tiers(t, c, b, fmt.Sprintf("f%d", i), args...), fmt.Sprintf("i64:%x", uint64(expected)))
						if i%4 == 3 {
							expected, kept = kept, expected
						}
					}
				}
			}
		}
	}
}
