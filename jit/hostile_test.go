package jit_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// times repeats a piece of code.
func times(n int, piece func(i int) asm) (a asm) {
	for i := range n {
		a = append(a, piece(i)...)
	}
	return a
}

// again goes back to the innermost loop as long as the local, taken down by one, isn't zero, and ends it.
func again(local uint64) asm {
	return asm{}.get(local).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, local).op(wasm.OpBrIf, 0).op(wasm.OpEnd)
}

// hostile are functions of two i32, and as many locals as are said, that take a compiler more than their length lets expect
// if it looks at some part of them again for each other part.
var hostile = []struct {
	name   string
	body   func(n int) asm
	locals func(n int) int
}{
	{name: "constants wait", body: func(n int) asm {
		return append(times(n, func(i int) asm { return asm{}.i32(int32(i)) }), times(n, func(int) asm { return asm{}.get(0).op(wasm.OpI32Add).set(0) })...)
	}},
	{name: "values of a loop wait", body: func(n int) asm {
		b := append(asm{}.block(wasm.OpLoop), times(n, func(int) asm { return asm{}.get(1).i32(3).op(wasm.OpI32Mul).i32(9).op(wasm.OpI32Add) })...)
		return append(append(b, times(n, func(int) asm { return asm{}.get(0).op(wasm.OpI32Xor).set(0) })...), again(0)...)
	}},
	{name: "loops around a long body", body: func(n int) asm {
		b := times(100, func(int) asm { return asm{}.block(wasm.OpLoop).get(0).i32(1).op(wasm.OpI32Add).set(0) })
		b = append(b, times(n, func(i int) asm {
			return asm{}.get(1).i32(77).op(wasm.OpI32Mul).i32(int32(i)).op(wasm.OpI32Xor).get(0).op(wasm.OpI32Add).set(0)
		})...)
		return append(b, times(100, func(int) asm { return again(0) })...)
	}},
	{name: "loops inside one another", body: func(n int) asm {
		b := times(n, func(int) asm { return asm{}.block(wasm.OpLoop).get(0).i32(1).op(wasm.OpI32Add).set(0) })
		return append(b, times(n, func(int) asm { return again(0) })...)
	}},
	{name: "loops in a row", body: func(n int) asm {
		return times(n, func(int) asm { return append(asm{}.block(wasm.OpLoop), again(0)...) })
	}},
	{name: "loops through memory, each with a local", body: func(n int) asm {
		return times(n, func(i int) asm {
			x := uint64(2 + i)
			return append(asm{}.block(wasm.OpLoop).get(x).op(wasm.OpI32Load, 2, 0).op(wasm.OpDrop).step(x, 4), again(0)...)
		})
	}, locals: func(n int) int { return n }},
	{name: "blocks inside one another, and a table to each, some ten times", body: func(n int) asm {
		to := []uint64{uint64(10*n - 1)}
		for i := range 10 * n {
			to = append(to, uint64(min(i, n-1)))
		}
		b := times(n, func(int) asm { return asm{}.block(wasm.OpBlock) }).get(0).op(wasm.OpBrTable, to...)
		return append(b, times(n, func(int) asm { return asm{}.op(wasm.OpEnd).step(0, 1) })...)
	}},
	{name: "conditions inside one another", body: func(n int) asm {
		return append(times(n, func(int) asm { return asm{}.get(0).block(wasm.OpIf).step(0, 1) }), times(n, func(int) asm { return asm{}.op(wasm.OpEnd).step(0, 1) })...)
	}},
	{name: "conversions that may trap, under what waits", body: func(n int) asm {
		b := times(200, func(i int) asm { return asm{}.i64(int64(i) << 40) })
		b = append(b, times(n, func(int) asm { return asm{}.get(0).op(wasm.OpF64ConvertI32S).op(wasm.OpI32TruncF64S).set(0) })...)
		return append(b, times(200, func(int) asm { return asm{}.op(wasm.OpDrop) })...)
	}},
	{name: "calls", body: func(n int) asm {
		return times(n, func(int) asm {
			return asm{}.get(0).block(wasm.OpIf).get(0).get(1).op(wasm.OpCall, 0).set(0).op(wasm.OpEnd)
		})
	}},
}

// TestHostileCode compiles functions that are made to be slow to compile: they are compiled, what waits in registers or
// as constants is bounded, and memory grows with their length.
func TestHostileCode(t *testing.T) {
	callee := fn{params: types(2, wasm.I32), results: types(1, wasm.I32), body: asm{}.get(0).get(1).op(wasm.OpI32Add)}
	var last jit.Event
	c := newCompiler(t)
	c.Observe(func(e jit.Event) {
		if e.Function == 1 {
			last = e
		}
	})
	compile := func(name string, f fn) (allocated uint64) {
		m, err := vm.Decode(module(callee, f))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s := vm.NewStore(vm.Config{Compiler: c, Tier: vm.TierJIT})
		defer s.Close()
		inst, err := s.Instantiate(m, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := s.Start(inst, "f1", vm.I32(1), vm.I32(1)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := s.Run(t.Context(), 100); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	function := func(i, n int) fn {
		h := hostile[i]
		f := fn{params: types(2, wasm.I32), body: h.body(n)}
		if h.locals != nil {
			f.locals = types(h.locals(n), wasm.I32)
		}
		return f
	}
	for i, h := range hostile {
		if compile(h.name, function(i, 300)); last.Err != nil {
			t.Errorf("%s: %v", h.name, last.Err)
		}
	}
	jit.WithoutChecks(t)
	for i, h := range hostile {
		f := function(i, 6000)
		allocated := compile(h.name, f)
		if last.Err != nil {
			t.Errorf("%s: %v", h.name, last.Err)
		}
		t.Logf("%s: %d bytes, %d allocated", h.name, len(f.body), allocated)
		if most := uint64(600 * len(f.body)); allocated > most {
			t.Errorf("%s: %d bytes of code take %d of memory to compile, more than %d", h.name, len(f.body), allocated, most)
		}
	}
	long := fn{params: types(2, wasm.I32), body: slices.Repeat(asm{}.get(0).get(1).op(wasm.OpI32Add).set(0), jit.MaxWords)}
	compile("too long", long)
	if last.Err == nil || !strings.Contains(last.Err.Error(), "too long") {
		t.Errorf("a function of more than %d words: %v", jit.MaxWords, last.Err)
	}
}
