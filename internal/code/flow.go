package code

import "github.com/kitwork/kwnode/vm/wasm"

// code lowers the instructions of a function's body. It decodes the frequent ones itself, the others with a reader.
func (l *lowerer) code(body *wasm.Body) {
	in := &l.in
	b, pos := l.m.Bytes[:body.End], int(body.Off)
	r := wasm.NewReader(l.m, body)
	for pos < len(b) {
		op := wasm.Op(b[pos])
		k := &rows[op]
		in.Off = uint32(pos)
		pos++
		var x uint32
		switch k.shape {
		case shapeLocalGet:
			x, pos = u32(b, pos)
			l.pushLazy(l.locals[x])
		case shapeLocalSet:
			x, pos = u32(b, pos)
			l.setLocal(l.pop(), l.locals[x].slot())
		case shapeLocalTee:
			x, pos = u32(b, pos)
			l.setLocal(l.pop(), l.locals[x].slot())
			l.pushLazy(l.locals[x])
		case shapeConst:
			var v int64
			v, pos = s64(b, pos)
			if op == wasm.OpI32Const {
				v = int64(uint32(v))
			}
			l.pushLazy(lazily(constant, k.result, 0, uint64(v)))
		case shapeBinary:
			l.binary(op, k)
		case shapeUnary:
			l.unary(op, k)
		case shapeRename:
			if o := l.pop(); o.kind() == atHome {
				l.push(k.result)
			} else {
				l.pushLazy(o.as(k.result))
			}
		case shapeLoad:
			_, pos = u32(b, pos)
			x, pos = u32(b, pos)
			l.load(op, k, x)
		case shapeStore:
			_, pos = u32(b, pos)
			x, pos = u32(b, pos)
			l.store(op, x)
		default:
			r.Seek(in.Off)
			r.Next(in)
			if !l.rest(&r) {
				return
			}
			pos = int(r.Pos())
			continue // rest has charged it
		}
		l.blocks[l.cur].charge += uint64(k.gas)
	}
}

// rest lowers the instruction that the reader has read. It is false at the function's end.
func (l *lowerer) rest(r *wasm.Reader) bool {
	in := &l.in
	op := in.Op
	k := &rows[op]
	if k.shape == shapeSized {
		// What is still to be done of such an instruction is in its operands, so that running out of gas, or of a
		// slice, in the middle of one is a stop at the start of its block.
		l.flush()
		l.beginBlock(in.Off)
	}
	l.blocks[l.cur].charge += uint64(k.gas)
	switch k.shape {
	case shapeControl:
		return l.control(op) || l.dead(r)
	case shapeVector:
		l.vector(op)
	case shapeUnary:
		l.unary(op, k)
	case shapeRareUnary:
		l.rareUnary(op, k)
	default:
		l.other(op)
	}
	return true
}

// control lowers what changes the flow of control. It is false if nothing reaches what follows.
func (l *lowerer) control(op wasm.Op) bool {
	in := &l.in
	switch op {
	case wasm.OpBlock:
		l.flush()
		l.open(wasm.OpBlock, l.newLabel())
	case wasm.OpLoop:
		l.flush()
		label := l.newLabel()
		l.bind(label, in.Next)
		l.open(wasm.OpLoop, label)
	case wasm.OpIf:
		l.openIf()
	case wasm.OpElse:
		l.elseArm(true)
	case wasm.OpEnd:
		return !l.end(true)
	case wasm.OpBrIf:
		l.brIf(in.X)
	case wasm.OpUnreachable:
		l.emit(uint64(Unreachable))
		return false
	case wasm.OpBr:
		l.br(in.X)
		return false
	case wasm.OpBrTable:
		l.brTable()
		return false
	case wasm.OpReturn:
		l.ret()
		return false
	}
	return true
}

// dead passes over code that nothing reaches. It is false at the function's end.
func (l *lowerer) dead(r *wasm.Reader) bool {
	for {
		l.cur = -1
		if !skip(r, &l.in) {
			return false
		}
		if l.in.Op == wasm.OpElse {
			l.elseArm(false)
			return true
		}
		if l.end(false) {
			return false
		}
		if l.cur >= 0 {
			return true
		}
	}
}

// skip passes over dead code to the else or end that closes the innermost open block.
func skip(r *wasm.Reader, in *wasm.Instr) bool {
	depth := 0
	for r.Next(in) {
		switch in.Op {
		case wasm.OpBlock, wasm.OpLoop, wasm.OpIf:
			depth++
		case wasm.OpElse:
			if depth == 0 {
				return true
			}
		case wasm.OpEnd:
			if depth == 0 {
				return true
			}
			depth--
		}
	}
	return false
}

// open pushes a control entry; its parameters are on the stack, at home.
func (l *lowerer) open(op wasm.Op, label int32) *control {
	params, results := l.m.BlockType(l.in.Block)
	l.ctl = append(l.ctl, control{op: op, height: len(l.stack) - len(params), params: params, results: results,
		label: label, elseLabel: -1})
	return &l.ctl[len(l.ctl)-1]
}

func (l *lowerer) openIf() {
	c := l.condition()
	l.flush()
	f := l.open(wasm.OpIf, l.newLabel())
	f.elseLabel = l.newLabel()
	l.branch(c, false, f.elseLabel)
	l.fallInto(l.in.Next)
}

func (l *lowerer) elseArm(live bool) {
	c := &l.ctl[len(l.ctl)-1]
	if live {
		l.flush()
		l.jump(c.label)
		c.jumped = true
		l.cur = -1
	}
	l.reset(c.height, c.params)
	l.bind(c.elseLabel, l.in.Next)
	c.elseLabel = -1
}

// reset makes the stack the given height with values of the types on top, all at home.
func (l *lowerer) reset(height int, types []wasm.ValType) {
	for len(l.stack) > height {
		l.pop()
	}
	for _, t := range types {
		l.push(t)
	}
	l.floor = len(l.stack)
	l.last = -1
}

// end closes the innermost block and reports whether that was the function. live says whether execution falls into it;
// l.cur tells the same of what follows.
func (l *lowerer) end(live bool) bool {
	c := l.ctl[len(l.ctl)-1]
	if c.op == wasm.OpEnd {
		if live {
			l.ret()
		}
		return true
	}
	l.ctl = l.ctl[:len(l.ctl)-1]
	missing := c.elseLabel >= 0 // an if without else: the condition's branch ends here
	if c.op == wasm.OpLoop || !c.jumped && !missing {
		return false
	}
	if live {
		l.flush()
	}
	l.reset(c.height, c.results)
	l.bind(c.label, l.in.Next)
	if missing {
		l.labels[c.elseLabel] = l.cur
	}
	return false
}

// fallInto starts the block that follows a conditional branch.
func (l *lowerer) fallInto(off uint32) {
	if l.noCarry {
		l.ins = append(l.ins, uint64(Charge))
	}
	l.cur = -1
	l.beginBlock(off)
}

// condition is what a branch decides on: a comparison taken out of the code, or a slot.
type condition struct {
	op   Op // a comparison, or I32Eqz
	not  bool
	a, b uint16
	k    bool
	imm  uint32
}

// condition pops the operand on top. If the instruction just emitted computed it by a comparison, that is removed, for
// the branch will do it.
func (l *lowerer) condition() condition {
	o := l.pop()
	if o.kind() == atHome && l.last >= 0 && l.lastDst == o.home() {
		w := l.ins[l.last]
		op, _, b, c := Fields(w)
		base := op &^ KBit
		switch {
		case op >= BrBase || !isCompare(wasm.Op(base)):
		case op == base:
			l.ins = l.ins[:l.last]
			l.last = -1
			return condition{op: base, a: b, b: c}
		default:
			k := l.ins[l.last+1]
			if imm, ok := shortImm(wasm.Op(base), k); ok {
				l.ins = l.ins[:l.last]
				l.last = -1
				return condition{op: base, a: b, k: true, imm: imm}
			}
		}
	}
	return condition{op: Op(wasm.OpI32Eqz), not: true, a: l.use(o)}
}

func isCompare(op wasm.Op) bool { return op >= wasm.OpI32Eqz && op <= wasm.OpF64Ge }

func shortImm(op wasm.Op, k uint64) (uint32, bool) {
	if op <= wasm.OpI32GeU {
		return uint32(k), true
	}
	return uint32(k), uint64(int64(int32(uint32(k)))) == k
}

// branch emits a jump to the label that is taken if the condition is sense. A block, or a step over one word, follows.
func (l *lowerer) branch(c condition, sense bool, label int32) {
	at := uint32(len(l.ins))
	l.fixups = append(l.fixups, fixup{at, label, fixCond}, fixup{at, int32(len(l.blocks)), fixFall})
	l.branchTo(c, sense)
}

func (l *lowerer) branchTo(c condition, sense bool) {
	op := wasm.Op(c.op)
	invert := c.not == sense
	switch {
	case op == wasm.OpI32Eqz || op == wasm.OpI64Eqz:
		base := BrBase
		if invert {
			base = BrKBase
		}
		l.emit2(Word(base+c.op, c.a, 0, 0), 0)
	case op >= wasm.OpF32Eq:
		base := BrBase
		if invert {
			base = BrKBase
		}
		l.emit2(Word(base+c.op, c.a, c.b, 0), 0)
	default:
		if invert {
			op = inverse(op)
		}
		if c.k {
			l.emit2(Wide(BrKBase+Op(op), c.a, c.imm), 0)
		} else {
			l.emit2(Word(BrBase+Op(op), c.a, c.b, 0), 0)
		}
	}
	l.last = -1
}

// inverse is the comparison of integers that holds exactly if op doesn't. Within a type they are numbered
// eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u.
func inverse(op wasm.Op) wasm.Op {
	base := wasm.OpI32Eq
	if op >= wasm.OpI64Eq {
		base = wasm.OpI64Eq
	}
	return base + [...]wasm.Op{1, 0, 8, 9, 6, 7, 4, 5, 2, 3}[op-base]
}

// swapped is the comparison that holds for (y, x) exactly if op holds for (x, y).
func swapped(op wasm.Op) wasm.Op {
	switch {
	case op >= wasm.OpF64Eq:
		return wasm.OpF64Eq + [...]wasm.Op{0, 1, 3, 2, 5, 4}[op-wasm.OpF64Eq]
	case op >= wasm.OpF32Eq:
		return wasm.OpF32Eq + [...]wasm.Op{0, 1, 3, 2, 5, 4}[op-wasm.OpF32Eq]
	}
	base := wasm.OpI32Eq
	if op >= wasm.OpI64Eq {
		base = wasm.OpI64Eq
	}
	return base + [...]wasm.Op{0, 1, 4, 5, 2, 3, 8, 9, 6, 7}[op-base]
}

// target returns the control entry of a branch depth and the types that a branch to it carries.
func (l *lowerer) target(depth uint32) (*control, []wasm.ValType) {
	c := &l.ctl[len(l.ctl)-1-int(depth)]
	if c.op == wasm.OpLoop {
		return c, c.params
	}
	c.jumped = true
	return c, c.results
}

// base is the slot where the values of a branch to c belong.
func (l *lowerer) base(c *control) uint16 {
	if c.height < len(l.stack) {
		return l.stack[c.height].home()
	}
	return l.top
}

// inPlace reports whether the top n operands already stand where a branch to c wants them.
func (l *lowerer) inPlace(c *control, n int) bool { return n == 0 || len(l.stack)-n == c.height }

// moveMany is how many slots in a row are worth an instruction that moves them all. It bounds the code that a branch
// becomes, since a label may have a thousand values.
const moveMany = 8

// carry moves the top operands to where a branch to c wants them. Sources are never below their destinations, so going
// upwards overwrites nothing that is still needed.
func (l *lowerer) carry(c *control, n int) {
	at := len(l.stack) - n
	dst := l.base(c)
	if l.floor > at {
		// Those below the floor are at home, one behind the other.
		from, to := l.stack[at].home(), l.top
		if l.floor < len(l.stack) {
			to = l.stack[l.floor].home()
		}
		if to-from >= moveMany {
			if from != dst {
				l.emit2(Word(MoveN, dst, from, 0), uint64(to-from))
			}
			dst += to - from
			at = l.floor
		}
	}
	for i := at; i < len(l.stack); i++ {
		o := l.stack[i]
		l.write(dst, o)
		dst += uint16(o.typ().Slots())
	}
	l.last = -1
}

// pay charges for what a branch carries.
func (l *lowerer) pay(label []wasm.ValType) { l.blocks[l.cur].charge += wasm.CarryGas(label) }

func (l *lowerer) br(depth uint32) {
	c, types := l.target(depth)
	l.pay(types)
	if c.op == wasm.OpEnd {
		l.ret()
		return
	}
	l.carry(c, len(types))
	l.jump(c.label)
}

func (l *lowerer) brIf(depth uint32) {
	cond := l.condition()
	l.flush()
	c, types := l.target(depth)
	l.pay(types)
	if c.op != wasm.OpEnd && l.inPlace(c, len(types)) {
		l.branch(cond, true, c.label)
		l.fallInto(l.in.Next)
		return
	}
	// The way out needs moves: branch around them if the condition is false.
	around := l.newLabel()
	at := uint32(len(l.ins))
	l.fixups = append(l.fixups, fixup{at, around, fixCond})
	l.branchTo(cond, false)
	l.emit(uint64(Charge)) // stepped over
	if c.op == wasm.OpEnd {
		l.ret()
	} else {
		l.carry(c, len(types))
		l.jump(c.label)
	}
	l.cur = -1
	l.bind(around, l.in.Next)
}

func (l *lowerer) brTable() {
	index := l.pop()
	slot := l.use(index)
	l.flush()
	table := uint32(len(l.ins))
	n := l.in.X
	l.emit(Wide(BrTable, slot, n))
	stubs := map[uint32]int32{}
	ts := l.m.Targets(&l.in)
	for depth, ok := ts.Next(); ok; depth, ok = ts.Next() {
		c, types := l.target(depth)
		if uint32(len(l.ins)) == table+1 {
			l.pay(types) // all labels have as many slots
		}
		label := c.label
		if c.op == wasm.OpEnd || !l.inPlace(c, len(types)) {
			if label, ok = stubs[depth]; !ok {
				label = l.newLabel()
				stubs[depth] = label
			}
		}
		l.fixups = append(l.fixups, fixup{uint32(len(l.ins)), label, fixTable})
		l.tables = append(l.tables, table)
		l.ins = append(l.ins, 0)
	}
	l.last = -1
	ts = l.m.Targets(&l.in)
	for depth, ok := ts.Next(); ok; depth, ok = ts.Next() {
		label, need := stubs[depth]
		if !need {
			continue
		}
		delete(stubs, depth)
		// A stub is no block: entering it costs nothing. It is entered one word behind, as a paid block would be.
		l.cur = -1
		l.blocks = append(l.blocks, block{pc: uint32(len(l.ins)) - 1, alias: -1, off: noOffset})
		l.labels[label] = int32(len(l.blocks) - 1)
		c, types := l.target(depth)
		if c.op == wasm.OpEnd {
			l.ret()
		} else {
			l.carry(c, len(types))
			l.jump(c.label)
		}
	}
}

// noOffset marks a label that is no block and has no Charge word.
const noOffset = ^uint32(0)

// ret returns the operands on top.
func (l *lowerer) ret() {
	f := l.fn
	types := l.ctl[0].results
	h := uint16(f.Header)
	switch {
	case f.Results == 0:
		l.emit(Word(Return0, 0, 0, h))
	case f.Results == 1:
		l.emit(Word(Return1, l.use(l.stack[len(l.stack)-1]), 0, h))
	default:
		l.flush()
		l.emit(Word(ReturnN, l.stack[len(l.stack)-len(types)].home(), uint16(f.Results), h))
	}
	l.last = -1
}
