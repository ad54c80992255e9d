package wasmgen

import (
	"slices"

	"github.com/kitwork/kwnode/vm/wasm"
)

// opsGiving has the opcodes of fixed effect by their result type, those without a result under 0.
var opsGiving = func() map[wasm.ValType][]wasm.Op {
	giving := map[wasm.ValType][]wasm.Op{}
	for op := range wasm.Op(wasm.NumOps) {
		in := wasm.Info(op)
		if in == nil || in.Needs != 0 || op == wasm.OpNop {
			continue
		}
		if in.Imm != wasm.ImmNone && in.Imm < wasm.ImmMem8 {
			continue
		}
		if _, out, ok := op.Effect(); ok && len(out) == 1 {
			giving[out[0]] = append(giving[out[0]], op)
		} else if ok {
			giving[0] = append(giving[0], op)
		}
	}
	return giving
}()

// statement writes one step of a block. It is true if what follows in the block can't be reached.
func (f *body) statement() (left bool) {
	f.left--
	switch n := f.rng.IntN(100); {
	case n < 10:
		f.value(f.anyType())
	case n < 30:
		if ops := opsGiving[f.anyType()]; len(ops) > 0 {
			f.apply(pick(f.gen, ops))
		}
	case n < 42:
		f.apply(pick(f.gen, opsGiving[0]))
	case n < 50:
		if f.own() > 0 {
			f.discard()
		}
	case n < 54:
		f.tee()
	case n < 62:
		f.block()
	case n < 66:
		switch f.rng.IntN(3) {
		case 0:
			f.tight()
		case 1:
			f.strided()
		default:
			f.dispatch()
		}
	case n < 72:
		f.branchIf()
	case n < 76:
		f.selectOne()
	case n < 84:
		f.call()
	case n < 96:
		f.bulk()
	case n < 97:
		if f.chance(50) {
			f.op(wasm.OpNop)
		} else {
			f.pile()
		}
	default:
		return f.leave()
	}
	return false
}

// joins are operations on two numbers of each type whose NaNs, if there are any, are operands.
var joins = map[wasm.ValType]wasm.Op{wasm.I32: wasm.OpI32Add, wasm.I64: wasm.OpI64Xor, wasm.F32: wasm.OpF32Copysign, wasm.F64: wasm.OpF64Copysign, wasm.V128: wasm.OpI16x8Sub}

// pile has more operands wait than a compiler has registers for, most of them constants.
func (f *body) pile() {
	t := pick(f.gen, []wasm.ValType{wasm.I32, wasm.I64, wasm.F32, wasm.F64, wasm.V128})
	n := 12 + f.rng.IntN(24)
	for range n {
		if f.chance(80) {
			f.b = f.constant(f.b, t)
			f.push(t)
		} else {
			f.floorAt(func() { f.value(t) })
		}
	}
	for range n - 1 {
		f.op(joins[t])
	}
	f.pop(n - 1)
	f.discard()
}

func (f *body) tee() {
	if f.own() == 0 {
		return
	}
	if x, ok := f.find(f.locals, f.stack[len(f.stack)-1], len(f.typ.Params), len(f.typ.Params)+len(scratchTypes)); ok {
		f.op(wasm.OpLocalTee, x)
	}
}

func (f *body) selectOne() {
	t := f.anyType()
	f.operands([]wasm.ValType{t, t})
	if f.chance(40) {
		f.floorAt(func() { f.apply(pick(f.gen, comparisons)) })
	} else {
		f.value(wasm.I32)
	}
	f.pop(2)
	if t == wasm.FuncRef || t == wasm.ExternRef || f.chance(30) {
		f.op(wasm.OpSelectT, 1, uint64(t))
		return
	}
	f.op(wasm.OpSelect)
}

// blockType picks a block's type and writes nothing yet.
func (f *body) blockType() (encoded []byte, params, results []wasm.ValType) {
	switch f.rng.IntN(3) {
	case 0:
		return []byte{0x40}, nil, nil
	case 1:
		t := f.anyType()
		return []byte{byte(t)}, nil, []wasm.ValType{t}
	}
	i := f.rng.IntN(len(f.types))
	return sleb(nil, int64(i)), f.types[i].Params, f.types[i].Results
}

func (f *body) block() {
	if len(f.labels) > 6 {
		return
	}
	encoded, params, results := f.blockType()
	op := pick(f.gen, []wasm.Op{wasm.OpBlock, wasm.OpLoop, wasm.OpIf})
	f.operands(params)
	if op == wasm.OpIf {
		f.value(wasm.I32)
		f.pop(1)
	}
	f.op(op)
	f.b = append(f.b, encoded...)
	f.pop(len(params))
	l := label{types: results, base: len(f.stack)}
	if op == wasm.OpLoop {
		l = label{types: params, base: len(f.stack), loop: true}
	}
	f.labels = append(f.labels, l)
	f.push(params...)
	f.statements(results)
	if op == wasm.OpIf && (!slices.Equal(params, results) || f.chance(50)) {
		f.op(wasm.OpElse)
		f.stack = append(f.stack[:l.base], params...)
		f.statements(results)
	}
	if op == wasm.OpLoop && f.chance(70) {
		f.again()
	}
	f.op(wasm.OpEnd)
	f.labels = f.labels[:len(f.labels)-1]
}

// tight writes a loop without anything in it that branches or calls, but for small functions, which runs some times, and may be passed by.
func (f *body) tight() {
	counter := uint64(len(f.typ.Params) + len(scratchTypes) - 1)
	optional := f.chance(60)
	if optional {
		f.value(wasm.I32)
		f.pop(1)
		f.op(wasm.OpIf)
		f.b = append(f.b, 0x40)
		f.labels = append(f.labels, label{base: len(f.stack)})
	}
	f.i32(int32(1 + f.rng.IntN(11)))
	f.op(wasm.OpLocalSet, counter)
	f.op(wasm.OpLoop)
	f.b = append(f.b, 0x40)
	f.labels = append(f.labels, label{base: len(f.stack), loop: true})
	for n := 1 + f.rng.IntN(3); n > 0; n-- {
		if f.chance(30) && f.callLeaf() {
			continue
		}
		if f.chance(40) {
			f.apply(pick(f.gen, opsGiving[0]))
		} else {
			f.apply(pick(f.gen, opsGiving[pick(f.gen, numTypes)]))
			f.discard()
		}
	}
	f.settle(nil)
	f.op(wasm.OpLocalGet, counter)
	f.i32(1)
	f.op(wasm.OpI32Sub)
	f.op(wasm.OpLocalTee, counter)
	if f.chance(30) {
		f.op(wasm.OpF64ConvertI32S)
		f.zero(wasm.F64)
		f.op(pick(f.gen, []wasm.Op{wasm.OpF64Ne, wasm.OpF64Gt}))
	}
	f.op(wasm.OpBrIf, 0)
	f.op(wasm.OpEnd)
	f.labels = f.labels[:len(f.labels)-1]
	if optional {
		f.op(wasm.OpEnd)
		f.labels = f.labels[:len(f.labels)-1]
	}
}

// again branches to the head of the loop that is about to end, as long as there is fuel.
func (f *body) again() {
	f.takeFuel()
	f.op(wasm.OpIf)
	f.b = append(f.b, 0x40)
	depth := len(f.stack)
	for _, t := range f.labels[len(f.labels)-1].types {
		f.value(t)
	}
	f.op(wasm.OpBr, 1)
	f.op(wasm.OpEnd)
	f.stack = f.stack[:depth]
}

// depth is the label operand that names labels[i].
func (f *body) depth(i int) uint64 { return uint64(len(f.labels) - 1 - i) }

func (f *body) branchIf() {
	i := f.rng.IntN(len(f.labels))
	f.operands(f.labels[i].types)
	f.value(wasm.I32)
	f.pop(1)
	if f.labels[i].loop {
		f.i32(0)
		f.op(wasm.OpI32Ne)
		f.takeFuel()
		f.op(wasm.OpI32And)
	}
	f.op(wasm.OpBrIf, f.depth(i))
}

// leave writes an unconditional branch, if there is a label for one.
func (f *body) leave() bool {
	var out []int // labels that lead forward
	for i := range f.labels {
		if !f.labels[i].loop {
			out = append(out, i)
		}
	}
	switch f.rng.IntN(8) {
	case 0:
		f.op(wasm.OpUnreachable)
	case 1:
		f.operands(f.typ.Results)
		f.op(wasm.OpReturn)
	case 2, 3, 4:
		i := pick(f.gen, out)
		f.operands(f.labels[i].types)
		f.op(wasm.OpBr, f.depth(i))
	default:
		f.branchTable(pick(f.gen, out))
	}
	return true
}

// branchTable may go to loops too, but falls to the default, which leads forward, when fuel is out.
func (f *body) branchTable(last int) {
	var same []int
	for i := range f.labels {
		if slices.Equal(f.labels[i].types, f.labels[last].types) {
			same = append(same, i)
		}
	}
	f.operands(f.labels[last].types)
	n := f.rng.IntN(6)
	f.small(int32(n + 2))
	f.takeFuel()
	f.i32(1)
	f.op(wasm.OpI32Sub)
	f.op(wasm.OpI32Or)
	f.op(wasm.OpBrTable, uint64(n))
	for range n {
		f.b = uleb(f.b, f.depth(pick(f.gen, same)))
	}
	f.b = uleb(f.b, f.depth(last))
}

// deadCode writes what is valid only because nothing reaches it: operands come from nowhere.
func (f *body) deadCode() {
	var have []wasm.ValType
	for range f.rng.IntN(5) {
		switch f.rng.IntN(6) {
		case 0:
			for range have {
				f.op(wasm.OpDrop)
			}
			f.op(wasm.OpReturn)
			have = nil
			continue
		case 1:
			if len(have) == 0 {
				f.op(wasm.OpSelect)
				f.op(wasm.OpDrop)
			}
			continue
		case 2:
			f.op(wasm.OpBlock)
			f.b = append(f.b, byte(wasm.I64), byte(wasm.OpUnreachable), byte(wasm.OpEnd))
			have = append(have, wasm.I64)
			continue
		}
		op := pick(f.gen, opsGiving[pick(f.gen, numTypes)])
		info := wasm.Info(op)
		in, results, _ := op.Effect()
		if n := min(len(in), len(have)); slices.Equal(have[len(have)-n:], in[len(in)-n:]) {
			have = have[:len(have)-n] // what is missing comes from nowhere
		} else {
			for range have {
				f.op(wasm.OpDrop)
			}
			have = nil
		}
		f.op(op)
		if _, ok := info.Imm.AccessLog2(); ok {
			f.b = append(f.b, 0, 0)
		}
		f.lanes(info.Imm)
		have = append(have, results...)
	}
	for range have {
		f.op(wasm.OpDrop)
	}
}
