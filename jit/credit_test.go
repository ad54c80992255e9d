package jit_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// loopOf is a function of two i32 that runs body in a loop as long as the second one, taken down by one each time, isn't
// zero, and gives its i64 local 2.
func loopOf(body asm) fn {
	return counted(append(append(asm{}.block(wasm.OpLoop), body...).get(1).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, 1).op(wasm.OpBrIf, 0), byte(wasm.OpEnd)))
}

// counted is a function of two i32 with an i64, two i32, an f64 as locals that gives the first.
func counted(body asm) fn {
	return fn{params: types(2, wasm.I32), results: types(1, wasm.I64), locals: []wasm.ValType{wasm.I64, wasm.I32, wasm.I32, wasm.F64},
		body: append(slices.Clone(body), asm{}.get(2)...)}
}

// add adds the i32 on top of the stack to local 2.
func (a asm) add() asm { return a.op(wasm.OpI64ExtendI32U).get(2).op(wasm.OpI64Add).set(2) }

// step takes local n up by k.
func (a asm) step(n uint64, k int32) asm { return a.get(n).i32(k).op(wasm.OpI32Add).set(n) }

// sweep is a function and what it is called with: the first argument decides where it traps, the second how long it runs.
type sweep struct {
	name   string
	f      fn
	starts []int32
}

// sweeps are loops whose blocks are copied, or pay for others.
var sweeps = []sweep{
	{"load", loopOf(asm{}.get(0).op(wasm.OpI32Load, 2, 0).add().step(0, 4)), []int32{0, 65536 - 4, 65536 - 8, 65536 - 12, 65536 - 16, 65536 - 20, 65536 - 36, -4}},
	{"two loads", loopOf(asm{}.get(0).op(wasm.OpI32Load, 2, 0).get(0).op(wasm.OpI32Load, 2, 16).op(wasm.OpI32Xor).add().step(0, 4)), []int32{0, 65536 - 24, 65536 - 28, 65536 - 32, 65536 - 36, 65536 - 60}},
	{"store, then trap", loopOf(asm{}.get(0).get(1).op(wasm.OpI32Store, 2, 0).get(0).i32(4).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 0).add().step(0, 4)), []int32{256, 65536 - 8, 65536 - 16, 65536 - 20, 65536 - 24}},
	{"downwards", loopOf(asm{}.get(0).op(wasm.OpI32Load, 2, 0).add().get(0).op(wasm.OpI32Load, 2, 0).add().step(0, -4)), []int32{16, 20, 12, 8, 4, 3, 0, 65536 + 4, 65536 - 4}},
	{"downwards, behind", loopOf(asm{}.get(0).i32(24).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 4).add().get(0).i32(24).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 4).add().step(0, -16)), []int32{8, 24, -8, -24, -28, 65536 - 32}},
	{"passes by zero", loopOf(asm{}.get(0).i32(16).op(wasm.OpI32Add).get(1).op(wasm.OpI32Store, 2, 0).get(0).i32(20).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 0).add().step(0, 4)), []int32{-16, -12, -20, -4, 65536 - 40}},
	{"wide", loopOf(asm{}.get(0).op(wasm.OpI32Load, 2, 0).add().get(0).op(wasm.OpI32Load, 2, 0).add().step(0, 2000)), []int32{0, 65536 - 4, 65536 - 2004, 65536 - 4004, 65536 - 6004, 65536 - 10004}},
	{"base and index", loopOf(asm{}.get(3).i32(2).op(wasm.OpI32Shl).get(0).op(wasm.OpI32Add).get(1).op(wasm.OpI32Store, 2, 0).get(3).i32(2).op(wasm.OpI32Shl).get(0).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 4).add().step(3, 1)), []int32{0, 65536 - 8, 65536 - 12, 65536 - 20, 65536 - 28, -8}},
	{"base and index go on", loopOf(asm{}.get(0).get(3).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 0).add().get(0).get(3).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 0).add().step(3, 4).step(0, 8)), []int32{0, 65536 - 4, 65536 - 8, 65536 - 16, 65536 - 20, 65536 - 40, -4}},
	{"another base", loopOf(asm{}.get(0).get(3).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 0).add().get(0).get(3).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 0).add().get(1).i32(2).op(wasm.OpI32And).i32(8).op(wasm.OpI32Mul).set(3)), []int32{0, 65536 - 4, 65536 - 16, 65536 - 20}},
	{"base changes", loopOf(asm{}.get(0).op(wasm.OpI32Load, 2, 0).add().get(0).i32(3).op(wasm.OpI32Mul).i32(1).op(wasm.OpI32Add).set(0)), []int32{1, 65536 - 4, 21845, 7281, 2427, 809}},
	{"grows", loopOf(asm{}.get(1).i32(4).op(wasm.OpI32Eq).op(wasm.OpMemoryGrow, 0).op(wasm.OpDrop).get(0).op(wasm.OpI32Load, 2, 0).add().step(0, 4)), []int32{0, 65536 - 4, 65536 - 8, 65536 - 12}},
	{"divide", loopOf(asm{}.i32(1000).get(0).op(wasm.OpI32DivS).add().step(0, 1)), []int32{1, 0, -1, -2, -3, -4, -5}},
	{"overflow", loopOf(asm{}.i32(-1<<31).get(0).op(wasm.OpI32DivS).add().step(0, -1)), []int32{0, 1, 2, 3, 4}},
	{"truncate", loopOf(asm{}.get(0).op(wasm.OpF64ConvertI32S).f64(1e9).op(wasm.OpF64Mul).op(wasm.OpI32TruncF64S).add().step(0, 1)), []int32{-2, -1, 0, 1, 2, 3}},
	{"saturate", loopOf(asm{}.get(0).op(wasm.OpF64ConvertI32S).f64(1e9).op(wasm.OpF64Mul).op(wasm.OpI32TruncSatF64S).add().step(0, 1)), []int32{-4, 1}},
	{"nan compared", counted(asm{}.block(wasm.OpLoop).step(0, 1).get(0).add().get(0).op(wasm.OpF64ConvertI32S).op(wasm.OpLocalTee, 5).f64(9).op(wasm.OpF64Ne).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{8, 7, 6, 5, 4, 3, 2, 1}},
	{"float below", counted(asm{}.block(wasm.OpLoop).step(0, 1).get(0).add().get(0).op(wasm.OpF64ConvertI32S).f64(9).op(wasm.OpF64Lt).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{8, 7, 6, 5, 4, 3, 2, 1}},
	{"float equal", counted(asm{}.block(wasm.OpLoop).step(0, 1).get(0).add().get(0).i32(3).op(wasm.OpI32ShrU).op(wasm.OpF64ConvertI32S).f64(1).op(wasm.OpF64Eq).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{16, 14, 13, 12, 11, 10, 9, 8}},
	// if (start & n) a cheap arm, else a dear one that may trap; both go on
	{"arms", loopOf(asm{}.get(0).get(1).op(wasm.OpI32And).block(wasm.OpIf).step(3, 1).op(wasm.OpElse).
		get(3).i32(7).op(wasm.OpI32Mul).i32(3).op(wasm.OpI32Xor).set(3).i32(100).get(1).i32(5).op(wasm.OpI32Sub).op(wasm.OpI32DivU).add().op(wasm.OpEnd).get(3).add()), []int32{0, 1, 2, 5, -1}},
	{"no else", loopOf(asm{}.get(0).get(1).op(wasm.OpI32And).block(wasm.OpIf).get(0).op(wasm.OpI32Load, 2, 0).add().step(3, 1).op(wasm.OpEnd).get(3).add()), []int32{0, 1, 2, 65533, 65534, 65535}},
	{"unreachable", loopOf(asm{}.get(0).get(1).op(wasm.OpI32Eq).block(wasm.OpIf).step(3, 1).op(wasm.OpUnreachable).op(wasm.OpEnd).step(3, 3).get(3).add()), []int32{0, 1, 3, 6}},
	{"while", counted(asm{}.block(wasm.OpBlock).block(wasm.OpLoop).get(3).get(1).op(wasm.OpI32GeU).op(wasm.OpBrIf, 1).step(3, 1).get(0).op(wasm.OpI32Load, 2, 0).add().step(0, 4).
		get(3).i32(6).op(wasm.OpI32Eq).op(wasm.OpBrIf, 1).op(wasm.OpBr, 0).op(wasm.OpEnd).op(wasm.OpEnd).step(3, 1).get(3).add()), []int32{0, 65536 - 8, 65536 - 12}},
	{"table", loopOf(asm{}.block(wasm.OpBlock).block(wasm.OpBlock).block(wasm.OpBlock).get(1).get(0).op(wasm.OpI32Add).i32(3).op(wasm.OpI32And).
		op(wasm.OpBrTable, 2, 0, 1, 2).op(wasm.OpEnd).step(3, 1).op(wasm.OpBr, 1).op(wasm.OpEnd).get(3).i32(5).op(wasm.OpI32Mul).i32(9).op(wasm.OpI32Xor).set(3).i32(8).get(1).i32(2).op(wasm.OpI32Sub).op(wasm.OpI32DivU).add().op(wasm.OpEnd).get(3).add()), []int32{0, 1, 2, 3}},
	{"nested", loopOf(asm{}.i32(3).set(3).block(wasm.OpLoop).get(0).op(wasm.OpI32Load, 2, 0).add().step(0, 4).get(3).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, 3).op(wasm.OpBrIf, 0).op(wasm.OpEnd)), []int32{0, 65536 - 4, 65536 - 16, 65536 - 20, 65536 - 32}},
	{"call", loopOf(asm{}.get(0).i32(1).op(wasm.OpI32And).block(wasm.OpIf).get(0).i32(3).op(wasm.OpCall, 0).get(2).op(wasm.OpI64Add).set(2).op(wasm.OpElse).step(3, 1).op(wasm.OpEnd).get(3).add().step(0, 1)), []int32{0, 1, 65536 - 4, 65536 - 9}},
	{"call, no else", loopOf(asm{}.get(0).i32(1).op(wasm.OpI32And).block(wasm.OpIf).get(0).i32(3).op(wasm.OpCall, 0).get(2).op(wasm.OpI64Add).set(2).op(wasm.OpEnd).get(3).add().step(0, 1)), []int32{0, 1, 65536 - 4, 65536 - 9}},
	{"one way a loop", counted(asm{}.block(wasm.OpBlock).block(wasm.OpBlock).get(0).i32(1).op(wasm.OpI32And).op(wasm.OpBrIf, 0).
		block(wasm.OpLoop).get(0).op(wasm.OpI32Load, 2, 0).add().step(0, 4).get(1).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, 1).op(wasm.OpBrIf, 0).op(wasm.OpEnd).
		op(wasm.OpBr, 1).op(wasm.OpEnd).get(0).op(wasm.OpI32Load, 2, 0).add().step(0, 1).get(0).op(wasm.OpI32Load, 2, 0).add().op(wasm.OpEnd)), []int32{0, 1, 65536 - 8, 65533}},
	// if (start & 1) a loop of one block; what follows is paid for on the other way to it
	{"loop, then paid", counted(asm{}.get(0).i32(1).op(wasm.OpI32And).block(wasm.OpIf).block(wasm.OpLoop).get(0).op(wasm.OpI32Load, 2, 0).add().step(0, 4).get(1).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, 1).op(wasm.OpBrIf, 0).op(wasm.OpEnd).op(wasm.OpEnd).
		get(3).i32(5).op(wasm.OpI32Mul).i32(9).op(wasm.OpI32Xor).set(3).get(0).op(wasm.OpI32Load, 2, 0).add().get(0).i32(5).op(wasm.OpI32Mul).i32(9).op(wasm.OpI32Xor).i32(7).op(wasm.OpI32Mul).i32(12).op(wasm.OpI32Rotl).i32(7).op(wasm.OpI32Mul).i32(12).op(wasm.OpI32Rotl).
		i32(7).op(wasm.OpI32Mul).i32(12).op(wasm.OpI32Rotl).i32(7).op(wasm.OpI32Mul).i32(12).op(wasm.OpI32Rotl).i32(7).op(wasm.OpI32Mul).i32(12).op(wasm.OpI32Rotl).add()), []int32{0, 1, 65536 - 9}},
	{"partly paid", loopOf(asm{}.block(wasm.OpBlock).block(wasm.OpBlock).get(0).i32(1).op(wasm.OpI32And).block(wasm.OpIf).step(3, 1).op(wasm.OpBr, 1).op(wasm.OpEnd).
		get(0).get(1).op(wasm.OpI32And).i32(2).op(wasm.OpI32And).op(wasm.OpBrIf, 1).op(wasm.OpEnd).get(0).op(wasm.OpI32Load, 2, 0).add().step(3, 5).op(wasm.OpEnd).get(3).add()), []int32{0, 1, 2, 65534, 65533}},
	{"back by a jump", counted(asm{}.step(3, 2).block(wasm.OpLoop).step(3, 1).get(1).block(wasm.OpIf).get(1).i32(1).op(wasm.OpI32Sub).set(1).get(0).op(wasm.OpI32Load, 2, 0).add().step(0, 4).
		op(wasm.OpBr, 1).op(wasm.OpEnd).op(wasm.OpEnd).get(3).add()), []int32{0, 65536 - 8}},
	{"size", loopOf(asm{}.get(0).i32(9).get(1).i32(8).op(wasm.OpI32Mul).op(wasm.OpMemoryFill, 0).get(0).op(wasm.OpI32Load, 2, 0).add().step(0, 16)), []int32{0, 65536 - 20, 65536 - 36}},
}

// stand is what can be seen of a program that stopped.
func stand(t *testing.T, s *vm.Store, gas uint64) (vm.Stop, string) {
	t.Helper()
	stop, err := s.Run(t.Context(), gas)
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.StateHash(nil)
	if err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%v, used %d, in all %d, needs %d, state %x", stop.Reason, stop.Used, s.Gas(), stop.Need, h[:4])
	for _, v := range stop.Results {
		out += " " + bits(v)
	}
	if stop.Trap != nil {
		out += " trap " + stop.Trap.Error() + vm.TraceString(stop.Trap.Trace)
	}
	return stop, out
}

// TestEveryLimit stops loops after every amount of gas that they may be given, in both tiers, and goes on from there in
// the other tier: what can be seen of them is the same wherever they stop, gas and state hash included.
func TestEveryLimit(t *testing.T) {
	c := newCompiler(t)
	c.Observe(func(e jit.Event) {
		if e.Err != nil {
			t.Errorf("function %d stays interpreted: %v", e.Function, e.Err)
		}
	})
	everyLimit(t, c, sweeps)
}

func everyLimit(t *testing.T, c *jit.Compiler, all []sweep) {
	t.Helper()
	stops := 0
	for _, p := range all {
		m, err := vm.Decode(module(sweeps[0].f, p.f))
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		for i, start := range p.starts {
			rounds := []int32{6, 1, 4} // loops of one block have four copies of it
			if i > 0 {
				rounds = rounds[:1]
			}
			for _, times := range rounds {
				begin := func(tier vm.Tier) *vm.Store {
					s := vm.NewStore(vm.Config{Compiler: c, Tier: tier})
					inst, err := s.Instantiate(m, nil)
					if err != nil {
						t.Fatal(err)
					}
					if err := s.Start(inst, "f1", vm.I32(start), vm.I32(times)); err != nil {
						t.Fatal(err)
					}
					return s
				}
				for limit := uint64(0); ; limit++ {
					interp, native := begin(vm.TierInterp), begin(vm.TierJIT)
					want, wanted := stand(t, interp, limit)
					_, got := stand(t, native, limit)
					if got != wanted {
						t.Fatalf("%s from %d, %d times, limit %d:\ncompiled    %s\ninterpreted %s", p.name, start, times, limit, got, wanted)
					}
					stops++
					if want.Reason == vm.OutOfGas && limit%7 == uint64(times) {
						crossed(t, c, m, interp, native, fmt.Sprintf("%s from %d, %d times, limit %d", p.name, start, times, limit))
					}
					interp.Close()
					native.Close()
					if want.Reason != vm.OutOfGas {
						break
					}
				}
			}
		}
	}
	t.Logf("%d stops", stops)
}

// crossed freezes two programs that stand at the same place and has each go on to the end in the other one's tier.
func crossed(t *testing.T, c *jit.Compiler, m *vm.Module, interp, native *vm.Store, what string) {
	t.Helper()
	ends := map[string]bool{}
	for tier, s := range map[vm.Tier]*vm.Store{vm.TierJIT: interp, vm.TierInterp: native} {
		b, err := s.Freeze(vm.FreezeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s, _, err := vm.Thaw(b, vm.Config{Compiler: c, Tier: tier}, vm.Sources{Module: func([32]byte) (*vm.Module, error) { return m, nil }})
		if err != nil {
			t.Fatal(err)
		}
		_, end := stand(t, s, 1<<40)
		ends[end] = true
		s.Close()
	}
	if len(ends) != 1 {
		t.Errorf("%s, goes on to different ends: %v", what, ends)
	}
}
