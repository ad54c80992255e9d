package jit_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// forgery is a value in a continuation, and what stands in its place then.
type forgery struct {
	name       string
	old, other []byte
}

func number64(x uint64) []byte { return binary.LittleEndian.AppendUint64(nil, x) }
func number32(x uint32) []byte { return binary.LittleEndian.AppendUint32(nil, x) }

// forge stops a program after every amount of gas that it may be given, changes a value in the continuation, and has both
// tiers go on from there: they must go on with what they find. Nothing says that it is what the code put there.
func forge(t *testing.T, c *jit.Compiler, start int32, values []forgery, fns ...fn) {
	t.Helper()
	m, err := vm.Decode(module(fns...))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for limit := uint64(0); ; limit++ {
		s := vm.NewStore(vm.Config{Compiler: c, Tier: vm.TierInterp})
		inst, err := s.Instantiate(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(inst, "f1", vm.I32(start), vm.I32(6)); err != nil {
			t.Fatal(err)
		}
		stop, _ := stand(t, s, limit)
		b, err := s.Freeze(vm.FreezeOptions{})
		s.Close()
		if stop.Reason != vm.OutOfGas {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if !bytes.Contains(b, v.old) {
				continue
			}
			found[v.name]++
			var ends []string
			for _, tier := range []vm.Tier{vm.TierInterp, vm.TierJIT} {
				s, _, err := vm.Thaw(bytes.Replace(b, v.old, v.other, 1), vm.Config{Compiler: c, Tier: tier}, vm.Sources{Module: func([32]byte) (*vm.Module, error) { return m, nil }})
				if err != nil {
					t.Fatal(err)
				}
				_, end := stand(t, s, 1<<40)
				ends = append(ends, end)
				s.Close()
			}
			if ends[0] != ends[1] {
				t.Errorf("%s, limit %d:\ncompiled    %s\ninterpreted %s", v.name, limit, ends[1], ends[0])
			}
		}
	}
	for _, v := range values {
		if found[v.name] == 0 {
			t.Errorf("%s: it is in no continuation", v.name)
		}
	}
}

// TestForgedOperands changes what waits below a call that is inlined while the callee runs: a constant, and a value that
// the loop has in a register.
func TestForgedOperands(t *testing.T) {
	c := newCompiler(t)
	refused(t, c)
	const constant, factor, start = 0x1f3d5b79a8c6e4f2, 0x3b9aca07, 77_777
	kept := asm{}.get(0).op(wasm.OpI64ExtendI32U).i64(factor).op(wasm.OpI64Mul)
	body := append(asm{}.i64(constant), kept...).get(0).get(2).op(wasm.OpCall, 0).op(wasm.OpI64Xor).op(wasm.OpI64Add).get(2).op(wasm.OpI64Add).set(2)
	leaf := fn{params: []wasm.ValType{wasm.I32, wasm.I64}, results: types(1, wasm.I64), body: asm{}.get(0).op(wasm.OpI64ExtendI32U).get(1).op(wasm.OpI64Add)}
	forge(t, c, start, []forgery{
		{"a constant", number64(constant), number64(constant + 1)},
		{"a value of a loop", number64(start * factor), number64(start*factor + 1)},
	}, leaf, loopOf(body))
}

// TestForgedNaNs changes locals that the code gives numbers and results of arithmetic alone into NaNs that no arithmetic
// makes: a program sees them until it computes with them.
func TestForgedNaNs(t *testing.T) {
	c := newCompiler(t)
	refused(t, c)
	// Nothing repeats in them, so that they stand in a compressed continuation as they are.
	const number, single, doubles, singles = 0x405edd2f1a9fbe77, 0x42f6e979, 0x4073c84b6d0e95a1, 0x3f9d7c12_41b30a8e
	lanesOf := func(a asm, lo, hi uint64) asm {
		return append(append(a.op(wasm.OpV128Const), number64(lo)...), number64(hi)...)
	}
	see := func(a asm) asm { return a.get(2).op(wasm.OpI64Add).i64(7).op(wasm.OpI64Rotl).set(2) }
	// In each round the locals are seen, and in the third one computed with.
	body := see(asm{}.get(5).op(wasm.OpI64ReinterpretF64))
	body = see(body.get(6).op(wasm.OpI32ReinterpretF32).op(wasm.OpI64ExtendI32U))
	body = see(append(body.get(7).op(wasm.OpI64x2ExtractLane), 0))
	body = see(append(body.get(8).op(wasm.OpI64x2ExtractLane), 0))
	body = body.get(1).i32(3).op(wasm.OpI32Eq).block(wasm.OpIf).
		get(5).f64(1.5).op(wasm.OpF64Mul).set(5).
		get(6).get(6).op(wasm.OpF32Mul).set(6).
		get(7).get(7).op(wasm.OpF64x2Mul).set(7).
		get(8).get(8).op(wasm.OpF32x4Mul).set(8).op(wasm.OpEnd)
	f := loopOf(body)
	f.locals = append(f.locals, wasm.F32, wasm.V128, wasm.V128)
	set := append(append(asm{}.op(wasm.OpF64Const), number64(number)...).set(5).op(wasm.OpF32Const), number32(single)...).set(6)
	set = lanesOf(set, doubles, 0x40291e5a77c3d6f4).set(7)
	set = lanesOf(set, singles, 0x42c8f1b53e60d927).set(8)
	f.body = append(set, f.body...)
	for _, other := range []struct {
		double uint64
		single uint32
	}{{0x7ff4000000001234, 0x7fa01234}, {0xfff8000000000000, 0xffc00000}, {0x7ff8000000000000, 0x7fc00000}} {
		forge(t, c, 5, []forgery{
			{"double", number64(number), number64(other.double)},
			{"single", number32(single), number32(other.single)},
			{"a double of two", number64(doubles), number64(other.double)},
			{"a single of four", number64(singles), number64(uint64(other.single)<<32 | 0x40000000)},
		}, fn{}, f)
	}
}
