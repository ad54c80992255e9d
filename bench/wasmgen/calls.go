package wasmgen

import "github.com/kitwork/kwnode/vm/wasm"

func (f *body) call() {
	if f.chance(60) {
		if f.chance(50) || !f.callLeaf() {
			f.direct(f.rng.IntN(f.bodies))
		}
		return
	}
	slot := f.rng.IntN(len(f.slots))
	index := f.funcs[f.slots[slot]]
	if f.chance(5) {
		index = uint32(f.rng.IntN(len(f.types)))
	}
	t := f.types[index]
	f.operands(t.Params)
	if f.chance(90) {
		f.i32(int32(slot))
	} else {
		f.small(minElems)
	}
	f.op(wasm.OpCallIndirect, uint64(index), 0)
	f.pop(len(t.Params))
	f.push(t.Results...)
}

// direct writes a call of function fn.
func (f *body) direct(fn int) {
	t := f.types[f.funcs[fn]]
	f.operands(t.Params)
	f.op(wasm.OpCall, uint64(fn))
	f.pop(len(t.Params))
	f.push(t.Results...)
}

// length pushes a number of bytes to fill or to copy: few, or more than half of a large memory.
func (f *body) length() {
	if f.pages > 1 && f.chance(40) {
		f.i32(int32(f.pages-1)<<16 - int32(f.rng.IntN(1000)))
		return
	}
	f.small(300)
}

// bulk writes an instruction on a range of memory or on tables.
func (f *body) bulk() {
	table := f.rng.IntN(len(f.tables))
	ref := f.tables[table]
	data := uint64(f.rng.IntN(f.datas))
	switch f.rng.IntN(14) {
	case 0:
		f.op(wasm.OpMemorySize, 0)
		f.push(wasm.I32)
	case 1:
		f.small(2)
		f.op(wasm.OpMemoryGrow, 0)
		f.push(wasm.I32)
	case 2:
		f.address()
		f.value(wasm.I32)
		f.pop(1)
		f.length()
		f.op(wasm.OpMemoryFill, 0)
	case 3:
		f.address()
		f.address()
		f.length()
		f.op(wasm.OpMemoryCopy, 0, 0)
	case 4:
		f.address()
		f.small(10)
		f.small(20)
		// Only the passive segments, the even ones: wazero 1.12 does not drop an active one when it was applied.
		f.op(wasm.OpMemoryInit, data&^1, 0)
	case 5:
		if f.chance(20) {
			f.op(wasm.OpDataDrop, data)
		}
	case 6:
		f.small(minElems)
		f.op(wasm.OpTableGet, uint64(table))
		f.push(ref)
	case 7:
		f.operands([]wasm.ValType{ref})
		f.op(wasm.OpLocalSet, f.scratch(ref))
		f.pop(1)
		f.small(minElems)
		f.op(wasm.OpLocalGet, f.scratch(ref))
		f.op(wasm.OpTableSet, uint64(table))
	case 8:
		f.op(wasm.OpTableSize, uint64(table))
		f.push(wasm.I32)
	case 9:
		f.operands([]wasm.ValType{ref})
		f.pop(1)
		f.small(3)
		f.op(wasm.OpTableGrow, uint64(table))
		f.push(wasm.I32)
	case 10:
		f.small(minElems)
		f.value(ref)
		f.pop(1)
		f.small(3)
		f.op(wasm.OpTableFill, uint64(table))
	case 11:
		for other, t := range f.tables {
			if t == ref {
				f.small(minElems / 2)
				f.small(minElems / 2)
				f.small(minElems / 2)
				f.op(wasm.OpTableCopy, uint64(table), uint64(other))
				return
			}
		}
	case 12:
		for i, t := range f.elems {
			if t == ref {
				f.small(minElems / 2)
				f.small(3)
				f.small(3)
				f.op(wasm.OpTableInit, uint64(firstElem+i), uint64(table))
				return
			}
		}
	default:
		if f.chance(20) {
			f.op(wasm.OpElemDrop, uint64(firstElem+f.rng.IntN(len(f.elems))))
		}
	}
}

func numbers(ts []wasm.ValType) (out []wasm.ValType) {
	for _, t := range ts {
		if t.IsNum() {
			out = append(out, t)
		}
	}
	return out
}

// entry writes the export of function fn: it fills up the fuel and calls fn. Arguments that aren't numbers
// are constants; results that are vectors go to memory, references nowhere.
func (g *gen) entry(fn uint32) (wasm.FuncType, []byte) {
	inner := g.types[g.funcs[fn]]
	t := wasm.FuncType{Params: numbers(inner.Params), Results: numbers(inner.Results)}
	f := g.newBody(t)
	first := uint64(len(f.locals))
	f.locals = append(f.locals, inner.Results...)
	f.i32(fuel)
	f.op(wasm.OpGlobalSet, 0)
	arg := uint64(0)
	for _, p := range inner.Params {
		if p.IsNum() {
			f.op(wasm.OpLocalGet, arg)
			arg++
		} else {
			f.b = f.constant(f.b, p)
		}
	}
	f.op(wasm.OpCall, uint64(fn))
	for i := len(inner.Results) - 1; i >= 0; i-- {
		f.op(wasm.OpLocalSet, first+uint64(i))
	}
	for i, r := range inner.Results {
		if r.IsNum() {
			f.op(wasm.OpLocalGet, first+uint64(i))
		} else if r == wasm.V128 {
			f.i32(int32(1<<16 - 16*(i+1)))
			f.op(wasm.OpLocalGet, first+uint64(i))
			f.op(wasm.OpV128Store, 0, 0)
		}
	}
	return t, f.bytes()
}

func (g *gen) globalsFunc() (t wasm.FuncType, code []byte) {
	f := g.newBody(t)
	for i, gt := range g.globals {
		f.op(wasm.OpGlobalGet, uint64(i))
		switch {
		case gt.IsNum():
			t.Results = append(t.Results, gt)
		case gt == wasm.V128:
			f.op(wasm.OpI64x2ExtractLane)
			f.b = append(f.b, 0)
			f.op(wasm.OpGlobalGet, uint64(i))
			f.op(wasm.OpI64x2ExtractLane)
			f.b = append(f.b, 1)
			t.Results = append(t.Results, wasm.I64, wasm.I64)
		default:
			f.op(wasm.OpRefIsNull)
			t.Results = append(t.Results, wasm.I32)
		}
	}
	return t, f.bytes()
}

// tablesFunc gives for each table its size, and in the bits of an i64 which of its first entries are null.
func (g *gen) tablesFunc() (t wasm.FuncType, code []byte) {
	f := g.newBody(t)
	for i := range g.tables {
		f.op(wasm.OpTableSize, uint64(i))
		f.b = append(f.b, byte(wasm.OpI64Const), 0)
		for slot := range int32(minElems) {
			f.b = append(f.b, byte(wasm.OpI64Const), 1, byte(wasm.OpI64Shl))
			f.i32(slot)
			f.op(wasm.OpTableGet, uint64(i))
			f.op(wasm.OpRefIsNull)
			f.op(wasm.OpI64ExtendI32U)
			f.op(wasm.OpI64Or)
		}
		t.Results = append(t.Results, wasm.I32, wasm.I64)
	}
	return t, f.bytes()
}
