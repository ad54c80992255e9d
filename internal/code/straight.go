package code

import "github.com/kitwork/kwnode/vm/wasm"

// straight lowers an instruction that doesn't change the flow of control.
func (l *lowerer) straight() {
	in := &l.in
	op := in.Op
	switch {
	case op >= wasm.OpI32Load && op <= wasm.OpI64Load32U:
		l.load(op)
	case op >= wasm.OpI32Store && op <= wasm.OpI64Store32:
		l.store(op)
	case op == wasm.OpI32Eqz:
		l.eqz()
	case isCompare(op) && op != wasm.OpI64Eqz, op >= wasm.OpI32Add && op <= wasm.OpI32Rotr,
		op >= wasm.OpI64Add && op <= wasm.OpI64Rotr, op >= wasm.OpF32Add && op <= wasm.OpF32Copysign,
		op >= wasm.OpF64Add && op <= wasm.OpF64Copysign:
		l.binary(op)
	case truncates(op):
		l.rareUnary(op)
	case op >= wasm.OpI64Eqz && op <= wasm.OpI64Extend32S, op >= wasm.OpI32TruncSatF32S && op <= wasm.OpI64TruncSatF64U:
		l.unary(op)
	case op >= wasm.PrefixSIMD:
		l.vector(op)
	default:
		l.other(op)
	}
}

// truncates tells the conversions to integers that trap.
func truncates(op wasm.Op) bool {
	return op >= wasm.OpI32TruncF32S && op <= wasm.OpI32TruncF64U || op >= wasm.OpI64TruncF32S && op <= wasm.OpI64TruncF64U
}

func (l *lowerer) other(op wasm.Op) {
	in := &l.in
	switch op {
	case wasm.OpCall:
		l.call(in.X)
	case wasm.OpCallIndirect:
		l.callIndirect(in.X, in.Y)
	case wasm.OpDrop:
		l.pop()
	case wasm.OpSelect, wasm.OpSelectT:
		l.selectOne()
	case wasm.OpLocalGet:
		l.pushLazy(operand{kind: inLocal, typ: l.typs[in.X], slot: l.slot[in.X]})
	case wasm.OpLocalSet:
		l.setLocal(l.pop(), l.slot[in.X])
	case wasm.OpLocalTee:
		l.setLocal(l.pop(), l.slot[in.X])
		l.pushLazy(operand{kind: inLocal, typ: l.typs[in.X], slot: l.slot[in.X]})
	case wasm.OpGlobalGet:
		l.globalGet(in.X)
	case wasm.OpGlobalSet:
		l.globalSet(in.X)
	case wasm.OpMemorySize:
		home := l.push(wasm.I32)
		l.result(home, Word(MemSize, home, 0, 0))
	case wasm.OpI32Const:
		l.pushLazy(operand{kind: constant, typ: wasm.I32, lo: uint64(uint32(in.Const))})
	case wasm.OpI64Const:
		l.pushLazy(operand{kind: constant, typ: wasm.I64, lo: in.Const})
	case wasm.OpF32Const:
		l.pushLazy(operand{kind: constant, typ: wasm.F32, lo: in.Const})
	case wasm.OpF64Const:
		l.pushLazy(operand{kind: constant, typ: wasm.F64, lo: in.Const})
	case wasm.OpRefNull:
		l.pushLazy(operand{kind: constant, typ: in.Type})
	case wasm.OpRefIsNull:
		src := l.use(l.pop())
		home := l.push(wasm.I32)
		l.result(home, Word(Op(wasm.OpI64Eqz), home, src, 0))
	case wasm.OpRefFunc:
		home := l.push(wasm.FuncRef)
		l.result(home, Word(RareBase+Op(op), home, 0, 0), uint64(in.X))
	default:
		l.memoryOrTable(op)
	}
}

// memoryOrTable lowers what works on consecutive operands at home; A is the first of them and of the result.
func (l *lowerer) memoryOrTable(op wasm.Op) {
	in := &l.in
	pops, pushes := 3, wasm.ValType(0)
	switch op {
	case wasm.OpDataDrop, wasm.OpElemDrop:
		pops = 0
	case wasm.OpMemoryGrow:
		pops, pushes = 1, wasm.I32
	case wasm.OpTableGrow:
		pops, pushes = 2, wasm.I32
	case wasm.OpTableSize:
		pops, pushes = 0, wasm.I32
	case wasm.OpTableGet:
		pops, pushes = 1, l.m.Tables[in.X].Elem
	case wasm.OpTableSet:
		pops = 2
	}
	l.flush()
	for range pops {
		l.pop()
	}
	at := l.top
	if pushes != 0 {
		l.push(pushes)
		l.floor = len(l.stack)
	}
	l.emit(Word(RareBase+Op(op), at, 0, 0), uint64(in.X)|uint64(in.Y)<<32)
}

// hasConstForm tells the binary operations with a constant form; a division by a constant isn't frequent enough.
func hasConstForm(op wasm.Op) bool {
	switch {
	case op >= wasm.OpI32DivS && op <= wasm.OpI32RemU, op >= wasm.OpI64DivS && op <= wasm.OpI64RemU:
		return false
	case op >= wasm.OpF32Eq && op <= wasm.OpF64Ge:
		return false
	}
	return op <= wasm.OpI64Rotr || op >= wasm.OpF64Add && op <= wasm.OpF64Div
}

func commutes(op wasm.Op) bool {
	switch op {
	case wasm.OpI32Add, wasm.OpI32Mul, wasm.OpI32And, wasm.OpI32Or, wasm.OpI32Xor,
		wasm.OpI64Add, wasm.OpI64Mul, wasm.OpI64And, wasm.OpI64Or, wasm.OpI64Xor, wasm.OpF64Add, wasm.OpF64Mul:
		return true
	}
	return false
}

func (l *lowerer) binary(op wasm.Op) {
	y, x := l.pop(), l.pop()
	if x.kind == constant && y.kind != constant && hasConstForm(op) {
		home := x.home
		if commutes(op) {
			x, y = y, x
		} else if isCompare(op) {
			x, y, op = y, x, swapped(op)
		}
		x.home, y.home = home, home // only the constant could still be written home, and it won't be
	}
	_, results, _ := op.Effect()
	if y.kind == constant && hasConstForm(op) {
		a := l.use(x)
		home := l.push(results[0])
		l.result(home, Word(Op(op)|KBit, home, a, 0), y.lo)
		return
	}
	// Both homes are still reserved while constants are written to them.
	a, b := l.use(x), l.use(y)
	home := l.push(results[0])
	l.result(home, Word(Op(op), home, a, b))
}

func (l *lowerer) unary(op wasm.Op) {
	x := l.pop()
	_, results, _ := op.Effect()
	switch op {
	case wasm.OpI64ExtendI32U, wasm.OpI32ReinterpretF32, wasm.OpI64ReinterpretF64,
		wasm.OpF32ReinterpretI32, wasm.OpF64ReinterpretI64:
		// Slots hold 32-bit values with the upper half clear, so these change nothing but the type.
		switch x.kind {
		case atHome:
			l.push(results[0])
		default:
			x.typ = results[0]
			l.pushLazy(x)
		}
		return
	}
	a := l.use(x)
	home := l.push(results[0])
	l.result(home, Word(Op(op), home, a, 0))
}

// eqz inverts a comparison that was just made, or makes one.
func (l *lowerer) eqz() {
	o := l.pop()
	if o.kind == atHome && l.last >= 0 && l.lastDst == o.home {
		op := wasm.Op(Op(l.ins[l.last]) &^ KBit)
		if Op(l.ins[l.last]) < BrBase && op > wasm.OpI32Eqz && op <= wasm.OpI64GeU && op != wasm.OpI64Eqz {
			k := Op(l.ins[l.last]) & KBit
			l.ins[l.last] = l.ins[l.last]&^0xffff | uint64(Op(inverse(op))|k)
			l.push(wasm.I32)
			return
		}
	}
	a := l.use(o)
	home := l.push(wasm.I32)
	l.result(home, Word(Op(wasm.OpI32Eqz), home, a, 0))
}

func (l *lowerer) rareUnary(op wasm.Op) {
	a := l.use(l.pop())
	_, results, _ := op.Effect()
	home := l.push(results[0])
	l.result(home, Word(RareBase+Op(op), home, a, 0), 0)
}

func (l *lowerer) load(op wasm.Op) {
	addr := l.use(l.pop())
	_, results, _ := op.Effect()
	home := l.push(results[0])
	if l.in.Offset <= 0xffff {
		l.result(home, Word(Op(op), home, addr, uint16(l.in.Offset)))
	} else {
		l.result(home, Word(Op(op)|KBit, home, addr, 0), uint64(l.in.Offset))
	}
}

func (l *lowerer) store(op wasm.Op) {
	v, addr := l.pop(), l.pop()
	a, b := l.use(addr), l.use(v)
	if l.in.Offset <= 0xffff {
		l.emit(Word(Op(op), a, b, uint16(l.in.Offset)))
	} else {
		l.emit(Word(Op(op)|KBit, a, b, 0), uint64(l.in.Offset))
	}
}

func (l *lowerer) selectOne() {
	c, y, x := l.pop(), l.pop(), l.pop()
	xs, ys, cs := l.use(x), l.use(y), l.use(c)
	home := l.push(x.typ)
	op := Select
	if x.typ == wasm.V128 {
		op = RareBase + Op(wasm.OpSelect)
	}
	l.result(home, Word(op, home, xs, ys), uint64(cs))
}

// slowGlobal tells the globals that aren't one slot in the instance's own array.
func (l *lowerer) slowGlobal(i uint32) bool {
	return i < l.m.NumImportedGlobals || l.m.Globals[i].Type == wasm.V128
}

func (l *lowerer) globalGet(i uint32) {
	home := l.push(l.m.Globals[i].Type)
	if l.slowGlobal(i) {
		l.result(home, Word(RareBase+Op(wasm.OpGlobalGet), home, 0, 0), uint64(i))
	} else {
		l.result(home, Wide(GlobalGet, home, i-l.m.NumImportedGlobals))
	}
}

func (l *lowerer) globalSet(i uint32) {
	src := l.use(l.pop())
	if l.slowGlobal(i) {
		l.emit(Word(RareBase+Op(wasm.OpGlobalSet), src, 0, 0), uint64(i))
	} else {
		l.emit(Wide(GlobalSet, src, i-l.m.NumImportedGlobals))
	}
}

func (l *lowerer) call(fn uint32) {
	op := Call
	if fn < l.m.NumImportedFuncs {
		op = CallHost
	}
	t := &l.m.Types[l.m.FuncTypes[fn]]
	l.flush()
	base := l.args(t)
	l.fn.Calls = append(l.fn.Calls, Safepoint{l.in.Off, uint32(len(l.ins))})
	l.emit(Word(op, base, 0, 0), uint64(fn))
	l.results(t)
}

func (l *lowerer) callIndirect(typ, table uint32) {
	index := l.pop()
	slot := l.use(index)
	t := &l.m.Types[typ]
	l.flush()
	base := l.args(t)
	l.fn.Calls = append(l.fn.Calls, Safepoint{l.in.Off, uint32(len(l.ins))})
	l.emit(Word(CallIndir, base, slot, uint16(table)), l.sig(typ))
	l.results(t)
}

// args pops the arguments, which are at home, and returns the slot where the callee's frame begins.
func (l *lowerer) args(t *wasm.FuncType) uint16 {
	for range t.Params {
		l.pop()
	}
	return l.top
}

func (l *lowerer) results(t *wasm.FuncType) {
	for _, r := range t.Results {
		l.push(r)
	}
	l.floor = len(l.stack)
}

// vector lowers the 0xFD operations. Their instruction is two words: A, B, C are the destination and two operands, the
// low half of the second word is the memory offset and the third operand or lane is above it. A shuffle's lane numbers
// and a constant are two words more.
func (l *lowerer) vector(op wasm.Op) {
	in := &l.in
	if op == wasm.OpV128Const {
		l.pushLazy(operand{kind: constant, typ: wasm.V128, lo: in.Const, hi: in.Hi})
		return
	}
	params, results, _ := op.Effect()
	var src [3]uint16
	n := len(params)
	var ops [3]operand
	for i := n - 1; i >= 0; i-- {
		ops[i] = l.pop()
	}
	for i := range n {
		src[i] = l.use(ops[i])
	}
	words := []uint64{0, uint64(in.Offset) | uint64(src[2])<<32 | uint64(in.Lane)<<48}
	if op == wasm.OpI8x16Shuffle {
		words = append(words, in.Const, in.Hi)
	}
	if len(results) == 0 {
		words[0] = Word(RareBase+Op(op), 0, src[0], src[1])
		l.emit(words...)
		return
	}
	home := l.push(results[0])
	words[0] = Word(RareBase+Op(op), home, src[0], src[1])
	l.result(home, words...)
}
