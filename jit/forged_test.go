package jit_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// TestForgedOperands changes what waits below a call that is inlined, in a continuation that stands in the callee: a
// constant, and a value that the loop keeps in a register. Nothing says that they are what the code put there, so both
// tiers must go on with what they find.
func TestForgedOperands(t *testing.T) {
	c := newCompiler(t)
	refused(t, c)
	const constant, factor = 0x1f3d5b79a8c6e4f2, 0x3b9aca07
	kept := asm{}.get(0).op(wasm.OpI64ExtendI32U).i64(factor).op(wasm.OpI64Mul)
	body := append(asm{}.i64(constant), kept...).get(0).get(2).op(wasm.OpCall, 0).op(wasm.OpI64Xor).op(wasm.OpI64Add).get(2).op(wasm.OpI64Add).set(2)
	leaf := fn{params: []wasm.ValType{wasm.I32, wasm.I64}, results: types(1, wasm.I64), body: asm{}.get(0).op(wasm.OpI64ExtendI32U).get(1).op(wasm.OpI64Add)}
	m, err := vm.Decode(module(leaf, loopOf(body)))
	if err != nil {
		t.Fatal(err)
	}
	const start = 77_777
	forged := map[uint64]int{constant: 0, start * factor: 0}
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
		for value := range forged {
			old, other := binary.LittleEndian.AppendUint64(nil, value), binary.LittleEndian.AppendUint64(nil, value+1)
			if !bytes.Contains(b, old) {
				continue
			}
			forged[value]++
			var ends []string
			for _, tier := range []vm.Tier{vm.TierInterp, vm.TierJIT} {
				s, _, err := vm.Thaw(bytes.Replace(b, old, other, 1), vm.Config{Compiler: c, Tier: tier}, vm.Sources{Module: func([32]byte) (*vm.Module, error) { return m, nil }})
				if err != nil {
					t.Fatal(err)
				}
				_, end := stand(t, s, 1<<40)
				ends = append(ends, end)
				s.Close()
			}
			if ends[0] != ends[1] {
				t.Errorf("limit %d, %#x changed:\ncompiled    %s\ninterpreted %s", limit, value, ends[1], ends[0])
			}
		}
	}
	for value, n := range forged {
		if n == 0 {
			t.Errorf("%#x was in no continuation", value)
		}
	}
}
