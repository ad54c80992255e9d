package code

import "github.com/kitwork/kwnode/vm/wasm"

// shape says how an opcode is lowered.
type shape uint8

const (
	shapeOther shape = iota // by an if or a switch of other or control
	shapeControl
	shapeLocalGet
	shapeLocalSet
	shapeLocalTee
	shapeConst // of an integer
	shapeBinary
	shapeUnary
	shapeRename // changes nothing but the type
	shapeRareUnary
	shapeLoad
	shapeStore
	shapeSized
	shapeVector
)

// row is what lowering needs of an opcode's row in the table.
type row struct {
	shape    shape
	result   wasm.ValType
	constant bool // there is a form with a constant as second operand
	gas      uint16
}

var rows = func() (all [wasm.NumOps]row) {
	for i := range all {
		op := wasm.Op(i)
		info := wasm.Info(op)
		if info == nil {
			continue
		}
		r := row{shape: shapeOf(op), constant: hasConstForm(op), gas: info.Gas}
		if _, results, ok := op.Effect(); ok && len(results) == 1 {
			r.result = results[0]
		}
		all[i] = r
	}
	return all
}()

func shapeOf(op wasm.Op) shape {
	switch {
	case wasm.Sized(op):
		return shapeSized
	case op >= wasm.PrefixSIMD:
		return shapeVector
	case op >= wasm.OpI32Load && op <= wasm.OpI64Load32U:
		return shapeLoad
	case op >= wasm.OpI32Store && op <= wasm.OpI64Store32:
		return shapeStore
	case op == wasm.OpI32Eqz:
		return shapeOther
	case isCompare(op) && op != wasm.OpI64Eqz, op >= wasm.OpI32Add && op <= wasm.OpI32Rotr,
		op >= wasm.OpI64Add && op <= wasm.OpI64Rotr, op >= wasm.OpF32Add && op <= wasm.OpF32Copysign,
		op >= wasm.OpF64Add && op <= wasm.OpF64Copysign:
		return shapeBinary
	case truncates(op):
		return shapeRareUnary
	case renames(op):
		return shapeRename
	case op >= wasm.OpI64Eqz && op <= wasm.OpI64Extend32S, op >= wasm.OpI32TruncSatF32S && op <= wasm.OpI64TruncSatF64U:
		return shapeUnary
	}
	switch op {
	case wasm.OpI32Const, wasm.OpI64Const:
		return shapeConst
	case wasm.OpLocalGet:
		return shapeLocalGet
	case wasm.OpLocalSet:
		return shapeLocalSet
	case wasm.OpLocalTee:
		return shapeLocalTee
	case wasm.OpNop, wasm.OpUnreachable, wasm.OpBlock, wasm.OpLoop, wasm.OpIf, wasm.OpElse, wasm.OpEnd, wasm.OpBr, wasm.OpBrIf,
		wasm.OpBrTable, wasm.OpReturn:
		return shapeControl
	}
	return shapeOther
}

// truncates tells the conversions to integers that trap.
func truncates(op wasm.Op) bool {
	return op >= wasm.OpI32TruncF32S && op <= wasm.OpI32TruncF64U || op >= wasm.OpI64TruncF32S && op <= wasm.OpI64TruncF64U
}

// other lowers the instructions that have no shape in common with others.
func (l *lowerer) other(op wasm.Op) {
	in := &l.in
	switch op {
	case wasm.OpCall:
		l.call(in.X)
	case wasm.OpCallIndirect:
		l.callIndirect(in.X, in.Y)
	case wasm.OpI32Eqz:
		l.eqz()
	case wasm.OpDrop:
		l.pop()
	case wasm.OpSelect, wasm.OpSelectT:
		l.selectOne()
	case wasm.OpGlobalGet:
		l.globalGet(in.X)
	case wasm.OpGlobalSet:
		l.globalSet(in.X)
	case wasm.OpMemorySize:
		home := l.push(wasm.I32)
		l.result(home, Word(MemSize, home, 0, 0))
	case wasm.OpF32Const:
		l.pushLazy(lazily(constant, wasm.F32, 0, in.Const))
	case wasm.OpF64Const:
		l.pushLazy(lazily(constant, wasm.F64, 0, in.Const))
	case wasm.OpRefNull:
		l.pushLazy(lazily(constant, in.Type, 0, 0))
	case wasm.OpRefIsNull:
		src := l.use(l.pop())
		home := l.push(wasm.I32)
		l.result(home, Word(Op(wasm.OpI64Eqz), home, src, 0))
	case wasm.OpRefFunc:
		home := l.push(wasm.FuncRef)
		l.result2(home, Word(RareBase+Op(op), home, 0, 0), uint64(in.X))
	default:
		l.memoryOrTable(op)
	}
}

// memoryOrTable lowers what works on consecutive operands at home; A is the first of them and of the result.
func (l *lowerer) memoryOrTable(op wasm.Op) {
	in := &l.in
	pops, pushes := 3, wasm.ValType(0)
	second := uint32(0) // what names two things has a second index
	switch op {
	case wasm.OpMemoryInit, wasm.OpMemoryCopy, wasm.OpTableInit, wasm.OpTableCopy:
		second = in.Y
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
	l.emit2(Word(RareBase+Op(op), at, 0, 0), uint64(in.X)|uint64(second)<<32)
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

func (l *lowerer) binary(op wasm.Op, k *row) {
	y, x := l.pop(), l.pop()
	if k.constant {
		if x.kind() == constant && y.kind() != constant {
			// Only the constant could still be written home, and it won't be.
			home := x.home()
			if commutes(op) {
				x, y = y.at(home), x
			} else if isCompare(op) {
				x, y, op = y.at(home), x, swapped(op)
			}
		}
		if y.kind() == constant {
			a := l.use(x)
			home := l.push(k.result)
			l.result2(home, Word(Op(op)|KBit, home, a, 0), y.value)
			return
		}
	}
	// Both homes are still reserved while constants are written to them.
	a, b := l.use(x), l.use(y)
	home := l.push(k.result)
	l.result(home, Word(Op(op), home, a, b))
}

func (l *lowerer) unary(op wasm.Op, k *row) {
	a := l.use(l.pop())
	home := l.push(k.result)
	l.result(home, Word(Op(op), home, a, 0))
}

// renames tells the operations that change nothing but the type: slots hold 32-bit values with the upper half clear.
func renames(op wasm.Op) bool {
	switch op {
	case wasm.OpI64ExtendI32U, wasm.OpI32ReinterpretF32, wasm.OpI64ReinterpretF64, wasm.OpF32ReinterpretI32, wasm.OpF64ReinterpretI64:
		return true
	}
	return false
}

// eqz inverts a comparison that was just made, or makes one.
func (l *lowerer) eqz() {
	o := l.pop()
	if o.kind() == atHome && l.last >= 0 && l.lastDst == o.home() {
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

func (l *lowerer) rareUnary(op wasm.Op, k *row) {
	a := l.use(l.pop())
	home := l.push(k.result)
	l.result2(home, Word(RareBase+Op(op), home, a, 0), 0)
}

func (l *lowerer) load(op wasm.Op, k *row, offset uint32) {
	addr := l.use(l.pop())
	home := l.push(k.result)
	if offset <= 0xffff {
		l.result(home, Word(Op(op), home, addr, uint16(offset)))
	} else {
		l.result2(home, Word(Op(op)|KBit, home, addr, 0), uint64(offset))
	}
}

func (l *lowerer) store(op wasm.Op, offset uint32) {
	v, addr := l.pop(), l.pop()
	a, b := l.use(addr), l.use(v)
	if offset <= 0xffff {
		l.emit(Word(Op(op), a, b, uint16(offset)))
	} else {
		l.emit2(Word(Op(op)|KBit, a, b, 0), uint64(offset))
	}
}

func (l *lowerer) selectOne() {
	c, y, x := l.pop(), l.pop(), l.pop()
	xs, ys, cs := l.use(x), l.use(y), l.use(c)
	home := l.push(x.typ())
	op := Select
	if x.typ() == wasm.V128 {
		op = RareBase + Op(wasm.OpSelect)
	}
	l.result2(home, Word(op, home, xs, ys), uint64(cs))
}

// slowGlobal tells the globals that aren't one slot in the instance's own array.
func (l *lowerer) slowGlobal(i uint32) bool {
	return i < l.m.NumImportedGlobals || l.m.Globals[i].Type == wasm.V128
}

func (l *lowerer) globalGet(i uint32) {
	home := l.push(l.m.Globals[i].Type)
	if l.slowGlobal(i) {
		l.result2(home, Word(RareBase+Op(wasm.OpGlobalGet), home, 0, 0), uint64(i))
	} else {
		l.result(home, Wide(GlobalGet, home, i-l.m.NumImportedGlobals))
	}
}

func (l *lowerer) globalSet(i uint32) {
	src := l.use(l.pop())
	if l.slowGlobal(i) {
		l.emit2(Word(RareBase+Op(wasm.OpGlobalSet), src, 0, 0), uint64(i))
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
	l.calls = append(l.calls, Safepoint{l.in.Off, uint32(len(l.ins))})
	l.emit2(Word(op, base, 0, 0), uint64(fn))
	l.results(t)
}

func (l *lowerer) callIndirect(typ, table uint32) {
	index := l.pop()
	slot := l.use(index)
	t := &l.m.Types[typ]
	l.flush()
	base := l.args(t)
	l.calls = append(l.calls, Safepoint{l.in.Off, uint32(len(l.ins))})
	l.emit2(Word(CallIndir, base, slot, uint16(table)), l.sig(typ))
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
		l.pushLazy(lazily(constant, wasm.V128, 0, uint64(len(l.vectors))))
		l.vectors = append(l.vectors, [2]uint64{in.Const, in.Hi})
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
	rest := uint64(src[2]) << 32
	imm := in.Info().Imm
	if _, ok := imm.AccessLog2(); ok {
		rest |= uint64(in.Offset)
	}
	if imm >= wasm.ImmMemLane8 && imm <= wasm.ImmLane16 {
		rest |= uint64(in.Lane) << 48
	}
	if len(results) == 0 {
		l.emit2(Word(RareBase+Op(op), 0, src[0], src[1]), rest)
		return
	}
	home := l.push(results[0])
	l.result2(home, Word(RareBase+Op(op), home, src[0], src[1]), rest)
	if op == wasm.OpI8x16Shuffle {
		l.ins = append(l.ins, in.Const, in.Hi)
	}
}

// u32 reads an unsigned LEB128 number of validated code, and returns where it ends.
func u32(b []byte, pos int) (uint32, int) {
	if x := b[pos]; x < 0x80 {
		return uint32(x), pos + 1
	}
	return longU32(b, pos)
}

func longU32(b []byte, pos int) (x uint32, end int) {
	for shift := 0; ; shift += 7 {
		y := b[pos]
		pos++
		x |= uint32(y&0x7f) << shift
		if y < 0x80 {
			return x, pos
		}
	}
}

// s64 reads a signed LEB128 number of validated code, and returns where it ends.
func s64(b []byte, pos int) (int64, int) {
	if x := b[pos]; x < 0x80 {
		return int64(int8(x<<1)) >> 1, pos + 1
	}
	return longS64(b, pos)
}

func longS64(b []byte, pos int) (int64, int) {
	var x uint64
	for shift := 0; ; {
		y := b[pos]
		pos++
		x |= uint64(y&0x7f) << shift
		shift += 7
		if y < 0x80 {
			if y&0x40 != 0 && shift < 64 {
				x |= ^uint64(0) << shift
			}
			return int64(x), pos
		}
	}
}
