package jit_test

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// The classes of bugs that compilers of WebAssembly had, each as a case of its own: what is expected is computed here,
// not by the other tier, which could be wrong in the same way.

const trapMemory = "out of bounds memory access"

// want fails unless both tiers gave what is expected: results as bits, or the beginning of a trap's text.
func want(t *testing.T, what, got, expected string) {
	t.Helper()
	if strings.TrimSpace(got) != expected && !(strings.HasPrefix(got, "trap ") && strings.Contains(got, expected)) {
		t.Errorf("%s: got %s, want %s", what, got, expected)
	}
}

// TestAddressWidth: an index has 32 bits and wraps as it is computed; with the offset it is 33 bits wide and doesn't.
func TestAddressWidth(t *testing.T) {
	c := newCompiler(t)
	i32 := types(1, wasm.I32)
	load := func(offset uint64, index asm) fn {
		return fn{params: i32, results: i32, body: index.op(wasm.OpI32Load, 2, offset)}
	}
	for _, test := range []struct {
		name  string
		index asm
		off   uint64
		arg   int32
		want  string
	}{
		{"index and offset pass 2^32", asm{}.get(0), 16, -8, trapMemory},
		{"index and largest offset", asm{}.get(0), math.MaxUint32, 1, trapMemory},
		{"largest index and offset", asm{}.get(0), math.MaxUint32, -1, trapMemory},
		{"offset beyond 31 bits", asm{}.get(0), 1 << 31, 0, trapMemory},
		{"last word", asm{}.get(0), 0, 65532, "i32:fffc"},
		{"a byte behind the last word", asm{}.get(0), 0, 65533, trapMemory},
		{"offset of the last word", asm{}.get(0), 65532, 0, "i32:fffc"},
		{"offset a byte behind", asm{}.get(0), 65533, 0, trapMemory},
		{"1,024 bytes before the end", asm{}.get(0), 1020, 64512, "i32:fffc"},
		{"1,023 bytes before the end", asm{}.get(0), 1020, 64513, trapMemory},
		{"a long way to the end", asm{}.get(0), 1024, 64508, "i32:fffc"},
		{"a byte more than that", asm{}.get(0), 1024, 64509, trapMemory},
		{"a sum wraps to 8", asm{}.get(0).i32(16).op(wasm.OpI32Add), 0, -8, "i32:8"},
		{"a sum of locals wraps", asm{}.get(0).get(0).op(wasm.OpI32Add), 0, math.MinInt32, "i32:0"},
		{"a difference wraps", asm{}.get(0).i32(4).op(wasm.OpI32Sub), 0, 0, trapMemory},
		{"a shift and a sum wrap", asm{}.get(0).i32(3).op(wasm.OpI32Shl).i32(12).op(wasm.OpI32Add), 0, 1 << 29, "i32:c"},
		{"a product wraps", asm{}.get(0).i32(8).op(wasm.OpI32Mul), 4, 1 << 29, "i32:4"},
		{"a negated index", asm{}.i32(0).get(0).op(wasm.OpI32Sub), 0, -64, "i32:40"},
		{"the upper half of 64 bits is cut", asm{}.get(0).op(wasm.OpI64ExtendI32S).i64(1<<32 | 32).op(wasm.OpI64Add).op(wasm.OpI32WrapI64), 0, 0, "i32:20"},
		{"a sign-extended byte is a large index", asm{}.get(0).op(wasm.OpI32Extend8S), 0, 0xff, trapMemory},
		{"a constant index", asm{}.i32(-4), 4, 0, trapMemory},
	} {
		want(t, test.name, tiers(t, c, module(load(test.off, test.index)), "f0", vm.I32(test.arg)), test.want)
	}
	// Neighbours whose one check stands for all: below and above the first, across the wrap, and a store among them
	// that must not be made visible before the one that traps.
	sum := func(at ...int32) asm {
		a := asm{}.i32(0)
		for _, d := range at {
			a = a.get(0).i32(d).op(wasm.OpI32Add).op(wasm.OpI32Load, 2, 0).op(wasm.OpI32Add)
		}
		return a
	}
	group := module(
		fn{params: i32, results: i32, body: sum(0, -4, 8)},
		fn{params: i32, results: i32, body: asm{}.get(0).i32(7).op(wasm.OpI32Store, 2, 0).get(0).i32(9).op(wasm.OpI32Store, 2, 4).get(0).op(wasm.OpI32Load, 2, 8)},
	)
	want(t, "a group inside", tiers(t, c, group, "f0", vm.I32(100)), fmt.Sprintf("i32:%x", 3*100+4))
	want(t, "a group whose lowest address wraps", tiers(t, c, group, "f0", vm.I32(0)), trapMemory)
	want(t, "a group whose highest address is outside", tiers(t, c, group, "f0", vm.I32(65528)), trapMemory)
	want(t, "a group at the end", tiers(t, c, group, "f0", vm.I32(65524)), fmt.Sprintf("i32:%x", 3*65524+4))
	want(t, "stores before the one that traps", tiers(t, c, group, "f1", vm.I32(65532)), trapMemory)
	want(t, "stores before a load that traps", tiers(t, c, group, "f1", vm.I32(65528)), trapMemory)
}

// TestBeyondTwoGigabytes has offsets that fit no signed 32 bits, up to the last byte of a memory that is a page longer
// than 2 GiB, of which only touched pages take any.
func TestBeyondTwoGigabytes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory is a copy here, so that 2 GiB take as much")
	}
	c := newCompiler(t)
	refused(t, c)
	const pages, end = 1<<15 + 1, 1<<31 + 1<<16
	i32 := types(1, wasm.I32)
	var fns []fn
	var sizes, offsets []uint64
	add := func(size, off uint64, result wasm.ValType, body asm) {
		fns = append(fns, fn{params: i32, results: []wasm.ValType{result}, body: body})
		sizes, offsets = append(sizes, size), append(offsets, off)
	}
	lane := append(lanes(asm{}.get(0)).op(wasm.OpV128Store32Lane, 2, 1<<31), 1)
	for _, off := range []uint64{1<<31 - 4, 1 << 31, 1<<31 + 5} {
		add(4, off, wasm.I32, asm{}.get(0).op(wasm.OpI32Load, 2, off))
		add(8, off, wasm.F64, asm{}.get(0).op(wasm.OpF64Load, 3, off))
		add(1, off, wasm.I64, asm{}.get(0).op(wasm.OpI64Load8S, 0, off))
		add(16, off, wasm.V128, asm{}.get(0).op(wasm.OpV128Load, 4, off))
		add(4, off, wasm.I32, asm{}.get(0).get(0).op(wasm.OpI32Store, 2, off).get(0).op(wasm.OpI32Load, 2, off))
	}
	add(4, 1<<31, wasm.I32, append(lane, asm{}.get(0).op(wasm.OpI32Load, 2, 1<<31)...))
	b := bytes.Replace(module(fns...), []byte{5, 4, 1, 1, 1, 3}, []byte{5, 5, 1, 0, 0x81, 0x80, 2}, 1)
	m, err := vm.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range fns {
		for _, beyond := range []uint64{0, 1, 1 << 16} {
			var got [2]string
			for k, tier := range []vm.Tier{vm.TierInterp, vm.TierJIT} {
				s := vm.NewStore(vm.Config{Compiler: c, Tier: tier, Limits: vm.Limits{MemoryPages: pages}})
				inst, err := s.Instantiate(m, nil)
				if err != nil {
					t.Fatal(err)
				}
				index := end - offsets[i] - sizes[i] + beyond
				if err := s.Start(inst, fmt.Sprintf("f%d", i), vm.I32(int32(index))); err != nil {
					t.Fatal(err)
				}
				stop, err := s.Run(t.Context(), 1<<40)
				if err != nil || (stop.Trap != nil) != (beyond > 0) {
					t.Errorf("function %d, tier %d, %d bytes beyond the end: trap %v, %v", i, tier, beyond, stop.Trap, err)
				}
				for _, v := range stop.Results {
					got[k] += bits(v)
				}
				s.Close()
			}
			if got[0] != got[1] {
				t.Errorf("function %d: interpreted %s, compiled %s", i, got[0], got[1])
			}
		}
	}
}

// TestDivisionByConstants: the processor's own division faults where WebAssembly traps, and faults where it doesn't.
func TestDivisionByConstants(t *testing.T) {
	c := newCompiler(t)
	xs := []int64{0, 1, -1, 2, -2, 7, -7, 100, math.MaxInt32, math.MinInt32, math.MinInt32 + 1, math.MaxUint32, math.MaxInt64, math.MinInt64, math.MinInt64 + 1,
		6, 9, 99, 639, 640, 641, 642, 1<<40 - 1, 1 << 40, -1<<40 - 1, 0x7ffffffffffffffe}
	ks := []int64{0, 1, -1, 2, -2, 3, 4, 5, 7, 10, 1000, 64, 1 << 20, 1 << 30, -1 << 30, math.MinInt32, math.MaxInt32, 1 << 40, math.MinInt64, math.MaxInt64,
		641, 6700417, -641, 1<<31 + 1, 1<<32 - 1, 1<<32 + 1, math.MinInt64 + 1, -3, -1 << 40}
	for i, k := range ks {
		var fns []fn
		for op := wasm.OpI32DivS; op <= wasm.OpI32RemU; op++ {
			fns = append(fns, fn{params: types(1, wasm.I32), results: types(1, wasm.I32), body: asm{}.get(0).i32(int32(k)).op(op)})
		}
		for op := wasm.OpI64DivS; op <= wasm.OpI64RemU; op++ {
			fns = append(fns, fn{params: types(1, wasm.I64), results: types(1, wasm.I64), body: asm{}.get(0).i64(k).op(op)})
		}
		b := module(fns...)
		for _, x := range xs {
			for op := range 8 {
				value, expected := vm.I64(x), ""
				if op < 4 {
					value, expected = vm.I32(int32(x)), divide32(op, int32(x), int32(k))
				} else {
					expected = divide64(op-4, x, k)
				}
				want(t, fmt.Sprintf("operation %d, %d by constant %d (%d)", op, x, i, k), tiers(t, c, b, fmt.Sprintf("f%d", op), value), expected)
			}
		}
	}
}

// divide32 and divide64 are div_s div_u rem_s rem_u.
func divide32(op int, x, y int32) string {
	switch {
	case y == 0:
		return "integer divide by zero"
	case op == 0 && x == math.MinInt32 && y == -1:
		return "integer overflow"
	}
	r := [...]func() uint32{
		func() uint32 { return uint32(x / y) }, func() uint32 { return uint32(x) / uint32(y) },
		func() uint32 { return uint32(x % y) }, func() uint32 { return uint32(x) % uint32(y) },
	}[op]()
	return fmt.Sprintf("i32:%x", r)
}

func divide64(op int, x, y int64) string {
	switch {
	case y == 0:
		return "integer divide by zero"
	case op == 0 && x == math.MinInt64 && y == -1:
		return "integer overflow"
	}
	r := [...]func() uint64{
		func() uint64 { return uint64(x / y) }, func() uint64 { return uint64(x) / uint64(y) },
		func() uint64 { return uint64(x % y) }, func() uint64 { return uint64(x) % uint64(y) },
	}[op]()
	return fmt.Sprintf("i64:%x", r)
}

// TestCopysignWidth: the sign of a single is bit 31 of a register of 128 bits, and NaNs keep their bits.
func TestCopysignWidth(t *testing.T) {
	c := newCompiler(t)
	f32, f64 := types(2, wasm.F32), types(2, wasm.F64)
	b := module(
		fn{params: f32, results: types(1, wasm.F32), body: asm{}.get(0).get(1).op(wasm.OpF32Copysign)},
		fn{params: f64, results: types(1, wasm.F64), body: asm{}.get(0).get(1).op(wasm.OpF64Copysign)},
		// Through the integers, whose upper half must be clean.
		fn{params: f32, results: types(1, wasm.I64), body: asm{}.get(0).get(1).op(wasm.OpF32Copysign).op(wasm.OpI32ReinterpretF32).op(wasm.OpI64ExtendI32U)},
		// In a local that has a register.
		fn{params: f64, results: types(1, wasm.I64), locals: types(1, wasm.F64),
			body: asm{}.get(0).set(2).get(2).get(1).op(wasm.OpF64Copysign).set(2).get(2).get(2).op(wasm.OpF64Neg).op(wasm.OpF64Copysign).op(wasm.OpI64ReinterpretF64)},
	)
	single := []uint32{0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7fa00001, 0xffffffff, 1, 0x807fffff}
	double := []uint64{0, 1 << 63, 0x3ff0000000000000, 0xbff0000080000000, 0x7ff0000000000000, 0x7ff8000000000000, 0xfff4000000000001, 1<<64 - 1, 1, 0x7fffffff80000000}
	for _, x := range single {
		for _, y := range single {
			r := x&^(1<<31) | y&(1<<31)
			args := []vm.Value{{Type: wasm.F32, Lo: uint64(x)}, {Type: wasm.F32, Lo: uint64(y)}}
			want(t, "f32.copysign", tiers(t, c, b, "f0", args...), fmt.Sprintf("f32:%x", r))
			want(t, "f32.copysign as an integer", tiers(t, c, b, "f2", args...), fmt.Sprintf("i64:%x", r))
		}
	}
	for _, x := range double {
		for _, y := range double {
			r := x&^(1<<63) | y&(1<<63)
			args := []vm.Value{{Type: wasm.F64, Lo: x}, {Type: wasm.F64, Lo: y}}
			want(t, "f64.copysign", tiers(t, c, b, "f1", args...), fmt.Sprintf("f64:%x", r))
			want(t, "f64.copysign of a local", tiers(t, c, b, "f3", args...), fmt.Sprintf("i64:%x", r^1<<63))
		}
	}
}

// TestPackedFields: slots, offsets, immediates, distances and charges that don't fit the fields in which smaller ones
// are kept.
func TestPackedFields(t *testing.T) {
	c := newCompiler(t)
	// A frame of 65,535 slots, the most there may be. A value goes from its one end to the other and stays there, in a
	// register that a call makes go home.
	many := append(append(types(1, wasm.I64), types(32_764, wasm.V128)...), wasm.I64)
	last := uint64(len(many))
	body := asm{}.get(0).op(wasm.OpCall, 1).set(1).get(0).i64(5).op(wasm.OpI64Add).set(last)
	for range 3 {
		body = body.get(last).get(1).op(wasm.OpCall, 1).set(1).get(last).op(wasm.OpI64Mul).set(last)
	}
	b := module(fn{params: types(1, wasm.I64), results: types(1, wasm.I64), locals: many, body: body.get(1).get(last).op(wasm.OpI64Add)},
		fn{params: types(1, wasm.I64), results: types(1, wasm.I64), body: asm{}.get(0).i64(1).op(wasm.OpI64Add)})
	// 11 squared three times is 11^8.
	want(t, "a frame of 65,535 slots", tiers(t, c, b, "f0", vm.I64(6)), fmt.Sprintf("i64:%x", 214358881+10))

	// Vectors at the far end of a frame.
	b = module(fn{params: types(1, wasm.I32), results: types(1, wasm.V128), locals: types(30_000, wasm.V128),
		body: asm{}.get(0).op(wasm.OpI32x4Splat).set(30_000).get(30_000).get(29_999).op(wasm.OpI32x4Add)})
	want(t, "vectors beyond slot 32,768", tiers(t, c, b, "f0", vm.I32(-3)), "v128:fffffffdfffffffdfffffffdfffffffd")

	// Offsets of 16 bits stand in the instruction, wider ones behind it.
	for _, off := range []uint64{0xfffc, 0xffff, 0x10000, 0x10001, 0x1fffc, 0x20000} {
		b = module(fn{params: types(1, wasm.I32), results: types(1, wasm.I64),
			body: asm{}.i32(1).op(wasm.OpMemoryGrow, 0).op(wasm.OpDrop).get(0).i64(-2).op(wasm.OpI64Store, 0, off).get(0).op(wasm.OpI64Load, 0, off)})
		expected := "i64:fffffffffffffffe"
		if off+8 > 0x20000 {
			expected = trapMemory
		}
		want(t, fmt.Sprintf("offset %#x", off), tiers(t, c, b, "f0", vm.I32(0)), expected)
	}

	// Immediates beyond a sign-extended 32 bits.
	for _, k := range []int64{math.MaxInt32, math.MaxInt32 + 1, math.MinInt32, math.MinInt32 - 1, 1 << 40, math.MaxUint32, math.MinInt64, math.MaxInt64} {
		b = module(
			fn{params: types(1, wasm.I64), results: types(1, wasm.I64), body: asm{}.get(0).i64(k).op(wasm.OpI64Add).i64(k).op(wasm.OpI64Xor).i64(k).op(wasm.OpI64Mul).i64(k).op(wasm.OpI64Sub)},
			fn{params: types(1, wasm.I64), results: types(1, wasm.I32), body: asm{}.get(0).i64(k).op(wasm.OpI64LtS)},
			fn{params: types(1, wasm.I64), results: types(1, wasm.I32), body: asm{}.get(0).i64(k).op(wasm.OpI64LtU).block(wasm.OpIf, wasm.I32).i32(1).op(wasm.OpElse).i32(0).op(wasm.OpEnd)},
		)
		for _, x := range []int64{0, 1, -1, k, k - 1, k + 1} {
			want(t, "arithmetic with an immediate", tiers(t, c, b, "f0", vm.I64(x)), fmt.Sprintf("i64:%x", uint64(((x+k)^k)*k-k)))
			want(t, "comparison with an immediate", tiers(t, c, b, "f1", vm.I64(x)), fmt.Sprintf("i32:%x", truth(x < k)))
			want(t, "branch on an immediate", tiers(t, c, b, "f2", vm.I64(x)), fmt.Sprintf("i32:%x", truth(uint64(x) < uint64(k))))
		}
	}

	// A block that costs more than 65,535 units, and jumps over more code than 16 bits count.
	long := asm{}.get(0).block(wasm.OpIf)
	for range 70_000 {
		long = long.get(1).i32(3).op(wasm.OpI32Add).set(1)
	}
	b = module(fn{params: types(1, wasm.I32), results: types(1, wasm.I32), locals: types(1, wasm.I32), body: long.op(wasm.OpEnd).get(1)})
	want(t, "into a block of 280,000 instructions", tiers(t, c, b, "f0", vm.I32(1)), fmt.Sprintf("i32:%x", 210_000))
	want(t, "over it", tiers(t, c, b, "f0", vm.I32(0)), "i32:0")
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestLargeTable: a br_table of 20,000 entries over 300 blocks, and indices that are negative or just outside.
func TestLargeTable(t *testing.T) {
	c := newCompiler(t)
	const blocks, entries = 300, 20_000
	a := asm{}
	for range blocks {
		a = a.block(wasm.OpBlock)
	}
	a = a.get(0).op(wasm.OpBrTable, entries)
	target := func(i int) int { return i * 7 % (blocks - 1) }
	for i := range entries {
		a = asm(append(a, uleb(target(i))...))
	}
	a = asm(append(a, uleb(blocks-1)...)) // the default
	for i := range blocks {
		a = a.op(wasm.OpEnd).i32(int32(i)).op(wasm.OpReturn)
	}
	b := module(fn{params: types(1, wasm.I32), results: types(1, wasm.I32), body: a.op(wasm.OpUnreachable)})
	for _, i := range []int64{0, 1, 2, 255, 256, 299, 300, 4095, 19_998, 19_999, 20_000, 20_001, math.MaxInt32, math.MinInt32, -1} {
		expected := blocks - 1
		if i >= 0 && i < entries {
			expected = target(int(i))
		}
		want(t, fmt.Sprintf("index %d", i), tiers(t, c, b, "f0", vm.I32(int32(i))), fmt.Sprintf("i32:%x", expected))
	}
}

func uleb(n int) []byte { return asm{}.op(wasm.OpNop, uint64(n))[1:] }

// TestCallWithManyResults: 60 results of all types arrive in order while operands of all types and locals in every
// register wait behind the call, which is direct or indirect.
func TestCallWithManyResults(t *testing.T) {
	c := newCompiler(t)
	kinds := []wasm.ValType{wasm.I32, wasm.I64, wasm.F64, wasm.V128, wasm.F32}
	var results []wasm.ValType
	for range 12 {
		results = append(results, kinds...)
	}
	// Twelve locals of each type are used often enough for registers, in the caller and, with other values, in the callee.
	var locals []wasm.ValType
	caller, callee := asm{}, asm{}
	for i, k := range kinds {
		locals = append(locals, types(12, k)...)
		for j := range 12 {
			caller = give(caller, k, 1000+12*i+j).set(uint64(1 + 12*i + j))
			callee = give(callee, k, 7).set(uint64(12*i + j)).get(uint64(12*i + j)).set(uint64(12*i + j))
		}
	}
	calleeLocals := locals
	for i, r := range results {
		callee = give(callee, r, 100+i)
	}
	base := uint64(1 + len(locals))
	locals = append(locals, results...)
	locals = append(locals, wasm.I64)
	sum := base + uint64(len(results))
	for _, indirect := range []bool{false, true} {
		a := append(asm{}, caller...)
		for i, k := range kinds { // operands that wait
			a = give(a, k, 500+i)
		}
		if indirect {
			a = a.i32(1).op(wasm.OpCallIndirect, 1, 0)
		} else {
			a = a.op(wasm.OpCall, 1)
		}
		for i := len(results) - 1; i >= 0; i-- {
			a = a.set(base + uint64(i))
		}
		h := uint64(0)
		mix := func(k wasm.ValType, n int) {
			a = number(a, k).get(sum).i64(31).op(wasm.OpI64Mul).op(wasm.OpI64Add).set(sum)
			h = h*31 + uint64(n)
		}
		for i := len(kinds) - 1; i >= 0; i-- {
			mix(kinds[i], 500+i)
		}
		for i, k := range results {
			a = a.get(base + uint64(i))
			mix(k, 100+i)
		}
		for i, k := range kinds {
			for j := range 12 {
				a = a.get(uint64(1 + 12*i + j))
				mix(k, 1000+12*i+j)
			}
		}
		b := module(fn{params: types(1, wasm.I32), results: types(1, wasm.I64), locals: locals, body: a.get(sum)}, fn{results: results, locals: calleeLocals, body: callee})
		want(t, fmt.Sprintf("indirect %v", indirect), tiers(t, c, b, "f0", vm.I32(0)), fmt.Sprintf("i64:%x", h))
	}
}

// give pushes a number as a type.
func give(a asm, t wasm.ValType, n int) asm {
	switch t {
	case wasm.I32:
		return a.i32(int32(n))
	case wasm.I64:
		return a.i64(int64(n))
	case wasm.F32:
		return a.i32(int32(n)).op(wasm.OpF32ConvertI32S)
	case wasm.F64:
		return a.f64(float64(n))
	}
	return a.i64(int64(n)).op(wasm.OpI64x2Splat)
}

// number turns what give pushed into an i64.
func number(a asm, t wasm.ValType) asm {
	switch t {
	case wasm.I32:
		return a.op(wasm.OpI64ExtendI32U)
	case wasm.F32:
		return a.op(wasm.OpI64TruncSatF32S)
	case wasm.F64:
		return a.op(wasm.OpI64TruncSatF64S)
	case wasm.V128:
		return append(a.op(wasm.OpI64x2ExtractLane), 1)
	}
	return a
}
