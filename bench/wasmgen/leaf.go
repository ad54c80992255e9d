package wasmgen

import "github.com/kitwork/kwnode/vm/wasm"

// Small functions of one block: an engine may put them in the place of their calls.

// leafType is a type of few numbers, with at most one result.
func (g *gen) leafType() uint32 {
	var t wasm.FuncType
	for range g.rng.IntN(4) {
		t.Params = append(t.Params, pick(g, numTypes))
	}
	if g.chance(85) {
		t.Results = append(t.Results, pick(g, numTypes))
	}
	return g.typeIndex(t)
}

// leaf is such a function being written.
type leaf struct {
	*gen
	b      []byte
	locals []wasm.ValType // with the parameters
	ops    int            // that may still be written
}

func (g *gen) leafBody(t wasm.FuncType) []byte {
	f := &leaf{gen: g, locals: append([]wasm.ValType(nil), t.Params...), ops: 2 + g.rng.IntN(9)}
	for range g.rng.IntN(4) {
		f.locals = append(f.locals, pick(g, numTypes))
	}
	for n := g.rng.IntN(4); n > 0; n-- {
		f.statement()
	}
	for _, r := range t.Results {
		f.value(r)
	}
	b := appendLocals(nil, f.locals[len(t.Params):])
	return append(append(b, f.b...), byte(wasm.OpEnd))
}

func (f *leaf) op(op wasm.Op, imm ...uint64) {
	f.b = appendOp(f.b, op)
	for _, x := range imm {
		f.b = uleb(f.b, x)
	}
}

// statement writes a local, a global, or memory.
func (f *leaf) statement() {
	t := pick(f.gen, numTypes)
	switch f.rng.IntN(3) {
	case 0:
		for i, u := range f.locals {
			if u == t {
				f.value(t)
				f.op(wasm.OpLocalSet, uint64(i))
				return
			}
		}
	case 1:
		for i, u := range f.globals {
			if i > 0 && u == t {
				f.value(t)
				f.op(wasm.OpGlobalSet, uint64(i))
				return
			}
		}
	default:
		f.address()
		f.value(t)
		f.op(storeOf[t], 0, uint64(f.rng.IntN(64)))
	}
}

// address pushes an address in the first page, at times one anywhere.
func (f *leaf) address() {
	f.value(wasm.I32)
	if f.chance(95) {
		f.b = sleb(append(f.b, byte(wasm.OpI32Const)), 0x7fff)
		f.op(wasm.OpI32And)
	}
}

// leafOps are the operations of leaves by what they give, none of which makes a NaN whose bits are open.
var leafOps = func() map[wasm.ValType][]wasm.Op {
	ops := map[wasm.ValType][]wasm.Op{}
	for op := wasm.OpI32Eqz; op <= wasm.OpI64Extend32S; op++ {
		_, out, _ := op.Effect()
		if _, open := openNaN[op]; !open && !(op >= wasm.OpI32TruncF32S && op <= wasm.OpI32TruncF64U) && !(op >= wasm.OpI64TruncF32S && op <= wasm.OpI64TruncF64U) {
			ops[out[0]] = append(ops[out[0]], op)
		}
	}
	return ops
}()

var loadOf = map[wasm.ValType]wasm.Op{wasm.I32: wasm.OpI32Load, wasm.I64: wasm.OpI64Load, wasm.F32: wasm.OpF32Load, wasm.F64: wasm.OpF64Load}

// value pushes a value.
func (f *leaf) value(t wasm.ValType) {
	f.ops--
	switch n := f.rng.IntN(10); {
	case n < 4 && f.ops > 0:
		op := pick(f.gen, leafOps[t])
		in, _, _ := op.Effect()
		for _, u := range in {
			f.value(u)
		}
		f.soften(op)
		f.op(op)
		return
	case n < 5 && f.ops > 0:
		f.address()
		f.op(loadOf[t], 0, uint64(pick(f.gen, []int{0, 3, 65536})))
		return
	case n < 6 && f.ops > 0:
		f.value(t)
		f.value(t)
		f.value(wasm.I32)
		f.op(wasm.OpSelect)
		return
	case n < 9:
		var at []int
		for i, u := range f.locals {
			if u == t {
				at = append(at, i)
			}
		}
		if len(at) > 0 {
			f.op(wasm.OpLocalGet, uint64(pick(f.gen, at)))
			return
		}
	}
	for i, u := range f.globals {
		if i > 0 && u == t && f.chance(50) {
			f.op(wasm.OpGlobalGet, uint64(i))
			return
		}
	}
	f.b = f.constant(f.b, t)
}

// soften keeps most divisions by zero from ending the program.
func (f *leaf) soften(op wasm.Op) {
	switch {
	case f.chance(5):
	case op >= wasm.OpI32DivS && op <= wasm.OpI32RemU:
		f.b = append(f.b, byte(wasm.OpI32Const), 1, byte(wasm.OpI32Or))
	case op >= wasm.OpI64DivS && op <= wasm.OpI64RemU:
		f.b = append(f.b, byte(wasm.OpI64Const), 1, byte(wasm.OpI64Or))
	}
}

// callLeaf writes a call of a small function, if there is one.
func (f *body) callLeaf() bool {
	if len(f.leaves) == 0 {
		return false
	}
	f.direct(pick(f.gen, f.leaves))
	return true
}
