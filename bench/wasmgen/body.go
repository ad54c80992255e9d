package wasmgen

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/kitwork/kwnode/vm/wasm"
)

// body is a function being written. stack has the types of the operands as validation sees them.
type body struct {
	*gen
	b      []byte
	typ    wasm.FuncType
	locals []wasm.ValType // parameters, scratch locals, others
	stack  []wasm.ValType
	labels []label
	floor  int      // operands that an unfinished expression waits for end here
	nested int      // depth of expressions inside one another
	masked []uint64 // locals that held an address when they were written last, or did once
	left   int      // instructions that may still be made up
}

type label struct {
	types []wasm.ValType // what a branch carries
	loop  bool
	base  int // operands below the block
}

// maxOperands bounds how many operands of a block are piled up.
const maxOperands = 10

func (g *gen) newBody(t wasm.FuncType) *body {
	f := &body{gen: g, typ: t}
	f.locals = append(f.locals, t.Params...)
	f.locals = append(f.locals, scratchTypes...)
	f.labels = []label{{types: t.Results}}
	return f
}

// The last two of them are the cursor of loops that go through memory, and the counter of tight loops.
var scratchTypes = []wasm.ValType{wasm.I32, wasm.I64, wasm.F32, wasm.F64, wasm.V128, wasm.FuncRef, wasm.ExternRef, wasm.I32, wasm.I32}

// scratch is a local of type t that no random instruction uses.
func (f *body) scratch(t wasm.ValType) uint64 {
	return uint64(len(f.typ.Params) + slices.Index(scratchTypes, t))
}

// bytes is the finished body.
func (f *body) bytes() []byte {
	b := appendLocals(nil, f.locals[len(f.typ.Params):])
	return append(append(b, f.b...), byte(wasm.OpEnd))
}

func (f *body) op(op wasm.Op, imm ...uint64) {
	f.b = appendOp(f.b, op)
	for _, x := range imm {
		f.b = uleb(f.b, x)
	}
}

func (f *body) i32(x int32) { f.b = sleb(append(f.b, byte(wasm.OpI32Const)), int64(x)) }

func (f *body) push(ts ...wasm.ValType) { f.stack = append(f.stack, ts...) }

func (f *body) pop(n int) { f.stack = f.stack[:len(f.stack)-n] }

// own is how many operands of the innermost block may be used: those above the floor.
func (f *body) own() int { return len(f.stack) - max(f.floor, f.labels[len(f.labels)-1].base) }

// randomBody writes function fn.
func (g *gen) randomBody(fn uint32) []byte {
	f := g.newBody(g.types[g.funcs[fn]])
	more := g.rng.IntN(6)
	if g.chance(3) {
		more = 15 + g.rng.IntN(80) // compiled code clears many otherwise
	}
	for range more {
		f.locals = append(f.locals, g.anyType())
	}
	f.left = 20 + g.rng.IntN(150)
	// Without fuel, return zeros.
	f.takeFuel()
	f.op(wasm.OpI32Eqz)
	f.op(wasm.OpIf)
	f.b = append(f.b, 0x40)
	for _, t := range f.typ.Results {
		f.zero(t)
	}
	f.op(wasm.OpReturn)
	f.op(wasm.OpEnd)
	f.statements(f.typ.Results)
	return f.bytes()
}

// takeFuel pushes 1 and takes a unit of fuel, or pushes 0 if there is none. The operand isn't counted in stack.
func (f *body) takeFuel() {
	f.op(wasm.OpGlobalGet, 0)
	f.i32(0)
	f.op(wasm.OpI32GtS)
	f.op(wasm.OpIf)
	f.b = append(f.b, byte(wasm.I32))
	f.op(wasm.OpGlobalGet, 0)
	f.i32(-1)
	f.op(wasm.OpI32Add)
	f.op(wasm.OpGlobalSet, 0)
	f.i32(1)
	f.op(wasm.OpElse)
	f.i32(0)
	f.op(wasm.OpEnd)
}

func (f *body) zero(t wasm.ValType) {
	switch t {
	case wasm.I32, wasm.I64:
		f.b = append(f.b, byte(wasm.OpI32Const)+byte(wasm.I32-t), 0)
	case wasm.F32:
		f.b = append(f.b, byte(wasm.OpF32Const), 0, 0, 0, 0)
	case wasm.F64:
		f.b = append(f.b, byte(wasm.OpF64Const), 0, 0, 0, 0, 0, 0, 0, 0)
	case wasm.V128:
		f.b = append(appendOp(f.b, wasm.OpV128Const), make([]byte, 16)...)
	default:
		f.b = append(f.b, byte(wasm.OpRefNull), byte(t))
	}
}

// statements writes the inside of the innermost block and leaves its results, with no end.
func (f *body) statements(results []wasm.ValType) {
	for n := 1 + f.rng.IntN(12); n > 0 && f.left > 0; n-- {
		if f.statement() {
			f.deadCode()
			f.stack = append(f.stack[:f.labels[len(f.labels)-1].base], results...)
			return
		}
		for f.own() > maxOperands {
			f.discard()
		}
	}
	f.settle(results)
}

// settle leaves exactly the given operands in the innermost block.
func (f *body) settle(want []wasm.ValType) {
	base := f.labels[len(f.labels)-1].base
	keep := 0
	for keep < len(want) && base+keep < len(f.stack) && f.stack[base+keep] == want[keep] {
		keep++
	}
	for f.own() > keep {
		f.discard()
	}
	for _, t := range want[keep:] {
		f.value(t)
	}
}

// discard takes the top operand, and mostly keeps it somewhere where the outcome shows it.
func (f *body) discard() {
	t := f.stack[len(f.stack)-1]
	f.pop(1)
	switch f.rng.IntN(4) {
	case 0:
		if x, ok := f.find(f.locals, t, len(f.typ.Params), len(f.typ.Params)+len(scratchTypes)); ok {
			f.op(wasm.OpLocalSet, x)
			return
		}
	case 1:
		if x, ok := f.find(f.globals, t, 0, 1); ok {
			f.op(wasm.OpGlobalSet, x)
			return
		}
	case 2:
		if t != wasm.FuncRef && t != wasm.ExternRef {
			f.op(wasm.OpLocalSet, f.scratch(t))
			f.address()
			f.op(wasm.OpLocalGet, f.scratch(t))
			f.op(storeOf[t], 0, uint64(f.rng.IntN(64)))
			return
		}
	}
	f.op(wasm.OpDrop)
}

var storeOf = map[wasm.ValType]wasm.Op{wasm.I32: wasm.OpI32Store, wasm.I64: wasm.OpI64Store, wasm.F32: wasm.OpF32Store,
	wasm.F64: wasm.OpF64Store, wasm.V128: wasm.OpV128Store}

// find picks an index of type t outside of [from, to).
func (f *body) find(ts []wasm.ValType, t wasm.ValType, from, to int) (uint64, bool) {
	var at []int
	for i, u := range ts {
		if u == t && (i < from || i >= to) {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return 0, false
	}
	return uint64(pick(f.gen, at)), true
}

// address pushes an address in the first page, seldom one anywhere; it isn't counted in stack.
func (f *body) address() {
	if f.chance(1) {
		f.b = f.constant(f.b, wasm.I32)
		return
	}
	if len(f.masked) > 0 && f.chance(40) {
		f.op(wasm.OpLocalGet, pick(f.gen, f.masked))
		return
	}
	if x, ok := f.find(f.locals, wasm.I32, len(f.typ.Params), len(f.typ.Params)+len(scratchTypes)); ok && f.chance(50) {
		f.op(wasm.OpLocalGet, x)
		f.i32(pick(f.gen, []int32{0x7fff, 0x7fff, 0xff, 0xfff8}))
		f.op(wasm.OpI32And)
		switch f.rng.IntN(6) {
		case 0:
			// What follows has the same address, and mostly only if nobody wrote the local.
			f.op(wasm.OpLocalTee, x)
			f.masked = append(f.masked, x)
		case 1: // an element of an array
			f.i32(int32(f.rng.IntN(4)))
			f.op(wasm.OpI32Shl)
			f.i32(pick(f.gen, []int32{0, 16, 1000, -64}))
			f.op(wasm.OpI32Add)
		}
		return
	}
	f.i32(int32(f.rng.IntN(1<<16 - 128)))
}

// small pushes a number below n, seldom any number; it isn't counted in stack.
func (f *body) small(n int32) {
	if f.chance(1) {
		f.b = f.constant(f.b, wasm.I32)
		return
	}
	if x, ok := f.find(f.locals, wasm.I32, len(f.typ.Params), len(f.typ.Params)+len(scratchTypes)); ok && f.chance(50) {
		f.op(wasm.OpLocalGet, x)
		f.i32(n)
		f.op(wasm.OpI32RemU)
		return
	}
	f.i32(int32(f.rng.IntN(int(n))))
}

// value pushes a value of type t.
func (f *body) value(t wasm.ValType) {
	f.left--
	f.nested++
	floor := f.floor
	f.floor = len(f.stack)
	defer func() { f.nested, f.floor = f.nested-1, floor }()
	switch n := f.rng.IntN(10); {
	case n < 3:
		if x, ok := f.find(f.locals, t, len(f.typ.Params), len(f.typ.Params)+len(scratchTypes)); ok {
			f.op(wasm.OpLocalGet, x)
			f.push(t)
			return
		}
	case n < 4:
		if x, ok := f.find(f.globals, t, 0, 1); ok {
			f.op(wasm.OpGlobalGet, x)
			f.push(t)
			return
		}
	case n < 7 && f.nested < 4 && f.left > 0:
		if ops := opsGiving[t]; len(ops) > 0 {
			f.apply(pick(f.gen, ops))
			return
		}
	}
	switch {
	case t == wasm.FuncRef && f.chance(60):
		f.op(wasm.OpRefFunc, uint64(f.rng.IntN(f.bodies)))
	default:
		f.b = f.constant(f.b, t)
	}
	f.push(t)
}

// comparisons give an i32.
var comparisons = func() (ops []wasm.Op) {
	for op := wasm.OpI32Eqz; op <= wasm.OpF64Ge; op++ {
		ops = append(ops, op)
	}
	return ops
}()

// floorAt writes an expression that uses no operand which is there already.
func (f *body) floorAt(write func()) {
	floor := f.floor
	f.floor = len(f.stack)
	write()
	f.floor = floor
}

// operands makes the top of the stack match, by what is there if that fits.
func (f *body) operands(ts []wasm.ValType) {
	for keep := min(len(ts), f.own()); keep > 0; keep-- {
		if slices.Equal(f.stack[len(f.stack)-keep:], ts[:keep]) {
			ts = ts[keep:]
			break
		}
	}
	for _, t := range ts {
		f.value(t)
	}
}

// apply writes an instruction of fixed effect with its operands.
func (f *body) apply(op wasm.Op) {
	in, out, _ := op.Effect()
	info := wasm.Info(op)
	access, isAccess := info.Imm.AccessLog2()
	switch {
	case isAccess && len(in) == 2:
		f.operands(in[1:])
		f.op(wasm.OpLocalSet, f.scratch(in[1]))
		f.address()
		f.op(wasm.OpLocalGet, f.scratch(in[1]))
		f.pop(1)
	case isAccess:
		f.address()
	default:
		f.operands(in)
		f.soften(op, in)
		f.pop(len(in))
	}
	f.op(op)
	if isAccess {
		f.b = uleb(f.b, uint64(f.rng.IntN(int(access)+1)))
		f.b = uleb(f.b, uint64(pick(f.gen, []int{0, 0, 0, 1, 4, 100, 65536})*f.rng.IntN(2)))
	}
	f.lanes(info.Imm)
	f.push(out...)
	f.canonical(op)
}

// soften keeps most divisions by zero and conversions out of range from ending the program.
func (f *body) soften(op wasm.Op, in []wasm.ValType) {
	name := wasm.Info(op).Name
	if f.chance(4) {
		return
	}
	switch {
	case strings.Contains(name, ".div_") && op <= wasm.OpI64RemU && f.chance(40), strings.Contains(name, ".rem_") && f.chance(40):
		// By a constant: the divisor that is there is dropped.
		f.op(wasm.OpDrop)
		if in[1] == wasm.I32 {
			f.i32(int32(f.divisor()))
		} else {
			f.b = sleb(append(f.b, byte(wasm.OpI64Const)), f.divisor())
		}
	case strings.Contains(name, ".div_"), strings.Contains(name, ".rem_"):
		if in[1] == wasm.I32 {
			f.i32(1)
			f.op(wasm.OpI32Or)
		} else {
			f.b = append(f.b, byte(wasm.OpI64Const), 1, byte(wasm.OpI64Or))
		}
	case strings.Contains(name, ".trunc_f") && op < wasm.PrefixMisc:
		x := f.scratch(in[0])
		if in[0] == wasm.F32 {
			f.op(wasm.OpF32Abs)
			f.op(wasm.OpLocalTee, x)
			f.b = append(f.b, byte(wasm.OpF32Const), 0, 0, 0x20, 0x41) // 10
			f.op(wasm.OpLocalGet, x)
			f.b = append(f.b, byte(wasm.OpF32Const), 0, 0, 0, 0x47) // 32768
			f.op(wasm.OpF32Lt)
		} else {
			f.op(wasm.OpF64Abs)
			f.op(wasm.OpLocalTee, x)
			f.b = append(f.b, byte(wasm.OpF64Const), 0, 0, 0, 0, 0, 0, 0x24, 0x40)
			f.op(wasm.OpLocalGet, x)
			f.b = append(f.b, byte(wasm.OpF64Const), 0, 0, 0, 0, 0, 0, 0xe0, 0x40)
			f.op(wasm.OpF64Lt)
		}
		f.op(wasm.OpSelect)
	}
}

// divisor is a constant, seldom zero.
func (f *body) divisor() int64 {
	switch f.rng.IntN(4) {
	case 0:
		return int64(f.rng.IntN(40)) - 12
	case 1:
		return 1 << f.rng.IntN(64)
	case 2:
		return int64(f.bits(wasm.I64))
	}
	return pick(f.gen, []int64{3, 5, 7, 10, 60, 100, 641, 1000, 1e9, 6700417, 1<<31 - 1, -10, -1})
}

// lanes writes lane immediates.
func (f *body) lanes(imm wasm.ImmKind) {
	n := 0
	switch {
	case imm >= wasm.ImmLane2 && imm <= wasm.ImmLane16:
		n = 2 << (imm - wasm.ImmLane2)
	case imm >= wasm.ImmMemLane8 && imm <= wasm.ImmMemLane64:
		n = 16 >> (imm - wasm.ImmMemLane8)
	case imm == wasm.ImmShuffle:
		for range 16 {
			f.b = append(f.b, byte(f.rng.IntN(32)))
		}
	}
	if n > 0 {
		f.b = append(f.b, byte(f.rng.IntN(n)))
	}
}

// openNaN has the opcodes whose NaN results may be any NaN.
var openNaN = func() map[wasm.Op]wasm.ValType {
	open := map[wasm.Op]wasm.ValType{}
	for op := range wasm.Op(wasm.NumOps) {
		in := wasm.Info(op)
		if in == nil {
			continue
		}
		shape, rest, _ := strings.Cut(in.Name, ".")
		verb, _, _ := strings.Cut(rest, "_")
		if !slices.Contains([]string{"ceil", "floor", "trunc", "nearest", "sqrt", "add", "sub", "mul", "div", "min", "max", "demote", "promote"}, verb) {
			continue
		}
		switch shape {
		case "f32", "f32x4":
			open[op] = wasm.F32
		case "f64", "f64x2":
			open[op] = wasm.F64
		}
	}
	return open
}()

// canonical replaces a NaN on top of the stack by the canonical one, where op may have given any.
func (f *body) canonical(op wasm.Op) {
	t, open := openNaN[op]
	if !open || f.open {
		return
	}
	if op >= wasm.PrefixSIMD {
		x := f.scratch(wasm.V128)
		eq, nan := wasm.OpF32x4Eq, uint64(0x7fc000007fc00000)
		if t == wasm.F64 {
			eq, nan = wasm.OpF64x2Eq, 0x7ff8000000000000
		}
		f.op(wasm.OpLocalTee, x)
		f.op(wasm.OpV128Const)
		f.b = binary.LittleEndian.AppendUint64(f.b, nan)
		f.b = binary.LittleEndian.AppendUint64(f.b, nan)
		f.op(wasm.OpLocalGet, x)
		f.op(wasm.OpLocalGet, x)
		f.op(eq)
		f.op(wasm.OpV128Bitselect)
		return
	}
	x := f.scratch(t)
	f.op(wasm.OpLocalTee, x)
	eq := wasm.OpF32Eq
	if t == wasm.F32 {
		f.b = binary.LittleEndian.AppendUint32(append(f.b, byte(wasm.OpF32Const)), 0x7fc00000)
	} else {
		f.b = binary.LittleEndian.AppendUint64(append(f.b, byte(wasm.OpF64Const)), 0x7ff8000000000000)
		eq = wasm.OpF64Eq
	}
	f.op(wasm.OpLocalGet, x)
	f.op(wasm.OpLocalGet, x)
	f.op(eq)
	f.op(wasm.OpSelect)
}
