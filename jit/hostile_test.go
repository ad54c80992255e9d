package jit_test

import (
	"fmt"
	"os"
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

// TestManyOperands has more operands wait than a compiler keeps: constants, what a loop has in a register, and sums.
func TestManyOperands(t *testing.T) {
	c := newCompiler(t)
	refused(t, c)
	const x = 3
	for _, n := range []int{15, 16, 17, 18, 40, 100} {
		a, h := asm{}.i32(2).set(0).block(wasm.OpLoop), uint64(0)
		var waiting []uint64
		for i := range n {
			switch k := int64(i)<<33 + 5; i % 4 {
			case 0, 1:
				a, waiting = a.i64(k), append(waiting, uint64(k))
			case 2: // the loop doesn't change it
				a, waiting = a.get(1).i64(7).op(wasm.OpI64Mul).i64(9).op(wasm.OpI64Add), append(waiting, x*7+9)
			default:
				a, waiting = a.get(0).op(wasm.OpI64ExtendI32U).i64(k).op(wasm.OpI64Add), append(waiting, uint64(k)+1)
			}
		}
		for i := range waiting { // the last round's
			a = a.get(2).i64(31).op(wasm.OpI64Mul).op(wasm.OpI64Add).set(2)
			h = h*31 + waiting[len(waiting)-1-i]
		}
		a = a.get(0).i32(1).op(wasm.OpI32Eq).block(wasm.OpIf).op(wasm.OpElse).i64(0).set(2).op(wasm.OpEnd)
		a = append(a, again(0)...).get(2)
		f := fn{params: []wasm.ValType{wasm.I32, wasm.I64}, results: types(1, wasm.I64), locals: types(1, wasm.I64), body: a}
		want(t, fmt.Sprintf("%d operands", n), tiers(t, c, module(f), "f0", vm.I32(0), vm.I64(x)), fmt.Sprintf("i64:%x", h))
	}
}

// TestModuleShare: a module that has a hundred functions compiled gets code for some, and leaves room for another module's.
func TestModuleShare(t *testing.T) {
	const pages = 16
	c, err := jit.New(pages * os.Getpagesize())
	if err != nil {
		t.Skip(err)
	}
	refused, compiled := 0, 0
	c.Observe(func(e jit.Event) {
		switch {
		case e.Err == nil:
			compiled++
		case strings.Contains(e.Err.Error(), "share"):
			refused++
		default:
			t.Error(e.Err)
		}
	})
	fns := []fn{{body: times(100, func(i int) asm { return asm{}.op(wasm.OpCall, uint64(1+i)) })}}
	for range 100 {
		fns = append(fns, fn{locals: types(1, wasm.I32), body: append(asm{}.i32(3).set(0).block(wasm.OpLoop), again(0)...)})
	}
	greedy, modest := module(fns...), module(fns[1])
	want(t, "the greedy module", tiers(t, c, greedy, "f0"), "")
	if compiled > pages/2 || compiled < pages/4 || refused == 0 {
		t.Errorf("of %d pages for code a module has got code for %d functions; %d were refused", pages, compiled, refused)
	}
	before := compiled
	want(t, "the modest module", tiers(t, c, modest, "f0"), "")
	if compiled == before {
		t.Error("there is no room for another module's code")
	}
}

// TestManyLocals calls a function twice that finds its locals zero and leaves them otherwise, with as many as are cleared
// in each way, and the first or the last of them in registers. The code for 50,000 isn't longer than for 100.
func TestManyLocals(t *testing.T) {
	c := newCompiler(t)
	size, hundred := 0, 0
	c.Observe(func(e jit.Event) {
		if e.Err != nil {
			t.Errorf("function %d stays interpreted: %v", e.Function, e.Err)
		}
		if e.Function == 1 {
			size = e.CodeBytes
		}
	})
	const used = 24 // at each end, for which there are 17 registers at most
	for _, kinds := range [][]wasm.ValType{{wasm.I64}, {wasm.I64, wasm.F64, wasm.V128}} {
		for _, n := range []int{1, 13, 14, 15, 16, 17, 40, 45, 63, 64, 65, 66, 100, 10_000, 48_000} {
			for _, last := range []bool{false, true} {
				var locals []wasm.ValType
				sum, dirty := asm{}.i64(0), asm{}
				for i := range n {
					k, x := kinds[i%len(kinds)], uint64(1+i)
					locals = append(locals, k)
					if i >= used && i < n-used {
						continue
					}
					sum = number(sum.get(x), k).op(wasm.OpI64Add)
					for range 1 + 2*b2i(last == (i >= n/2)) {
						dirty = give(dirty, k, 7+i).set(x)
					}
				}
				callee := fn{params: types(1, wasm.I32), results: types(1, wasm.I64), locals: locals, body: slices.Concat(sum, dirty, sum).op(wasm.OpI64Sub)}
				// The selection leaves something in the register that clears.
				call := asm{}.f64(2.5).f64(1.5).op(wasm.OpGlobalGet, 0).op(wasm.OpI32WrapI64).op(wasm.OpSelect).op(wasm.OpI32TruncF64S).op(wasm.OpCall, 1)
				caller := fn{results: types(1, wasm.I64), body: slices.Concat(call, call).op(wasm.OpI64Sub)}
				want(t, fmt.Sprintf("%d locals of %v", n, kinds), tiers(t, c, module(caller, callee), "f0"), "i64:0")
				if n == 100 {
					hundred = size
				}
				if n > 100 && size > 2*hundred {
					t.Errorf("%d bytes of code for %d locals, %d for 100", size, n, hundred)
				}
			}
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
