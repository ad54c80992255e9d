package jit

import (
	"slices"

	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
	"github.com/kitwork/kwnode/vm/wasm"
)

// noSlot is the slot of a pin that holds no local.
const noSlot = 1<<16 - 1

// extend makes a chain of an instruction, or makes that of its first operand longer. What it computes doesn't trap and
// depends on nothing that changes in the loop.
func (p *planner) extend(in instruction) (node, bool) {
	c, op := p.c, in.op
	one := func(kind chainKind, s step) (node, bool) {
		return node{chain{kind: kind, n: 1, steps: [maxSteps]step{s}}, []uint32{in.pc}}, true
	}
	switch {
	case op == code.Const:
		return one(intChain, step{op: code.Const, k: uint64(in.imm())})
	case op == code.Const64:
		return one(intChain, step{op: code.Const, k: c.f.Ins[in.pc+1]})
	case op == code.GlobalGet:
		t := c.m.Globals[c.m.NumImportedGlobals+in.imm()].Type
		if p.globals[in.imm()] {
			return node{}, false
		}
		if c.isFloat(t) {
			return one(floatChain, step{op: op, k: uint64(in.imm())})
		}
		return one(intChain, step{op: op, k: uint64(in.imm())})
	case op == code.MemSize:
		return one(intChain, step{op: op})
	case op == code.RareBase+code.Op(wasm.OpV128Const):
		return one(vectorChain, step{op: op, k: c.f.Ins[in.pc+1], hi: c.f.Ins[in.pc+2]})
	case op >= code.RareBase:
		if l, ok := laneOps[wasm.Op(op-code.RareBase)]; ok && l.kind == 0 && !l.float && p.fixed(in.b) && c.s.float[in.b] == 0 {
			return one(vectorChain, step{op: op, local: in.b})
		}
		return node{}, false
	case op < 0x28 || op >= code.BrBase || isTruncSat(op):
		return node{}, false
	}
	return p.arithmetic(in, wasm.Op(op&^code.KBit), op&code.KBit != 0)
}

// arithmetic is extend for the scalar operations.
func (p *planner) arithmetic(in instruction, op wasm.Op, constant bool) (node, bool) {
	kind, from := intChain, intChain
	switch {
	case isFloatArith(op) || op == wasm.OpF32Sqrt || op == wasm.OpF64Sqrt:
		kind, from = floatChain, floatChain
	case isFromInt(op):
		kind = floatChain
	case !isIntStep(op):
		return node{}, false
	}
	s := step{op: code.Op(op)}
	x, ok := p.operand(in.b, from)
	if !ok {
		return node{}, false
	}
	switch {
	case isUnary(op):
	case constant:
		s.op, s.k = s.op|code.KBit, p.c.f.Ins[in.pc+1]
	default:
		y, there := p.operand(in.c, from)
		if there && !isLeaf1(y.chain) && isLeaf1(x.chain) && commutes(op) {
			x, y = y, x
		}
		if !there || !isLeaf1(y.chain) || takesShift(op) && y.chain.steps[0].op == code.Mov {
			return node{}, false
		}
		if l := y.chain.steps[0]; l.op == code.Mov {
			s.local = l.local
		} else {
			s.op, s.k = s.op|code.KBit, l.k
		}
		x.pcs = slices.Concat(y.pcs, x.pcs)
	}
	if x.chain.n == maxSteps || kind != from && (x.chain.n > 1 || x.chain.steps[0].op != code.Mov) {
		return node{}, false
	}
	x.chain.kind = kind
	x.chain.steps[x.chain.n] = s
	x.chain.n++
	x.pcs = append(slices.Clone(x.pcs), in.pc)
	return x, true
}

// operand is the chain that a slot holds: a local by itself is one of no instruction.
func (p *planner) operand(slot uint16, kind chainKind) (node, bool) {
	c := p.c
	if nd, ok := p.nodes[slot]; ok {
		if nd.chain.n == 1 && nd.chain.steps[0].op == code.Const {
			nd.chain.kind = kind
		}
		return nd, nd.chain.kind == kind
	}
	if int(slot) >= len(c.pinOf) || !p.fixed(slot) || (c.s.float[slot] != 0) != (kind == floatChain) {
		return node{}, false
	}
	return node{chain: chain{kind: kind, n: 1, steps: [maxSteps]step{{op: code.Mov, local: slot}}}}, true
}

// isLeaf1 tells a local or a constant, which a step may have as its second operand.
func isLeaf1(x chain) bool {
	return x.n == 1 && (x.steps[0].op == code.Mov || x.steps[0].op == code.Const)
}

func isFloatArith(op wasm.Op) bool {
	return op >= wasm.OpF32Add && op <= wasm.OpF32Div || op >= wasm.OpF64Add && op <= wasm.OpF64Div
}

// isFromInt tells the conversions of an integer that are one instruction.
func isFromInt(op wasm.Op) bool {
	return op >= wasm.OpF32ConvertI32S && op <= wasm.OpF32ConvertI64S || op >= wasm.OpF64ConvertI32S && op <= wasm.OpF64ConvertI64S
}

// isIntStep tells the operations on integers that don't trap and need no certain register.
func isIntStep(op wasm.Op) bool {
	i := int(op - wasm.OpI32Add)
	if op >= wasm.OpI64Add && op <= wasm.OpI64Rotr {
		i = int(op - wasm.OpI64Add)
	} else if op < wasm.OpI32Add || op > wasm.OpI32Rotr {
		return op == wasm.OpI32WrapI64 || op == wasm.OpI64ExtendI32S || op >= wasm.OpI32Extend8S && op <= wasm.OpI64Extend32S
	}
	return i <= 2 || i >= 7 // divisions trap
}

// takesShift tells shifts, whose distance would have to be in a certain register.
func takesShift(op wasm.Op) bool {
	return op >= wasm.OpI32Shl && op <= wasm.OpI32Rotr || op >= wasm.OpI64Shl && op <= wasm.OpI64Rotr
}

func commutes(op wasm.Op) bool {
	switch op {
	case wasm.OpI32Add, wasm.OpI32Mul, wasm.OpI32And, wasm.OpI32Or, wasm.OpI32Xor,
		wasm.OpI64Add, wasm.OpI64Mul, wasm.OpI64And, wasm.OpI64Or, wasm.OpI64Xor:
		return true
	}
	return false
}

// takesFloats tells the operations that want a constant in a vector register.
func takesFloats(op code.Op) bool {
	switch {
	case op >= code.RareBase, isTruncSat(op):
		return false
	case op >= code.BrBase:
		op = op &^ (code.BrBase | code.BrKBase)
	}
	w := wasm.Op(op &^ code.KBit)
	return w >= wasm.OpF32Eq && w <= wasm.OpF64Ge || w >= wasm.OpF32Abs && w <= wasm.OpF64Copysign
}

// takesBigConst tells the operations that ask constantReg.
func takesBigConst(op wasm.Op) bool {
	switch op {
	case wasm.OpI64Add, wasm.OpI64Sub, wasm.OpI64And, wasm.OpI64Or, wasm.OpI64Xor, wasm.OpI64Mul:
		return true
	}
	return op >= wasm.OpI64Eq && op <= wasm.OpI64GeU
}

// cost is about how many instructions a chain takes, or what it takes as long as.
func (x *chain) cost() (n int) {
	for i, s := range x.steps[:x.n] {
		op := s.op &^ code.KBit
		switch w := wasm.Op(op); {
		case i == 0 && op == code.Mov:
		case i == 0 && op == code.Const:
			if x.kind == floatChain && s.k != 0 {
				n += 2
			}
		case i == 0 && s.op == code.RareBase+code.Op(wasm.OpV128Const):
			if s.k != s.hi || s.k != 0 && s.k != ^uint64(0) {
				n += 3
			}
		case i == 0 && s.op >= code.RareBase:
			n += 3
		case i == 0 && (op == code.GlobalGet || op == code.MemSize):
			n += 2
		case w == wasm.OpI32Mul || w == wasm.OpI64Mul || isFromInt(w):
			n += 3
		case w == wasm.OpF32Div || w == wasm.OpF64Div || w == wasm.OpF32Sqrt || w == wasm.OpF64Sqrt:
			n += 8
		case isFloatArith(w):
			n += 3
		default:
			n++
		}
	}
	return n
}

// compute gives a pin its value. It needs no register but its own and those that are scratch, and every local may be
// where it happens to be.
func (c *compiler) compute(p *pin) {
	for i, s := range p.value.steps[:p.value.n] {
		switch {
		case i == 0 && p.value.kind == vectorChain:
			c.beginVector(Xmm(p.reg), s)
		case i == 0 && p.value.kind == floatChain:
			c.beginFloat(Xmm(p.reg), s)
		case i == 0:
			c.beginInt(Reg(p.reg), s)
		case p.value.kind == floatChain && isFromInt(wasm.Op(s.op)):
			// The only step behind a local.
			c.floatFrom(Xmm(p.reg), wasm.Op(s.op), p.value.steps[0].local)
		case p.value.kind == floatChain:
			c.stepFloat(Xmm(p.reg), s)
		default:
			c.stepInt(Reg(p.reg), s)
		}
	}
	if last := p.value.steps[p.value.n-1].op; p.value.kind == floatChain && last != code.Const && last != code.GlobalGet {
		if w := nanWidth(last); w != 0 {
			c.canonical(Xmm(p.reg), w)
		}
	}
}

// localAt is where a local is: in a register if it is there now, or at home.
func (c *compiler) localAt(slot uint16) place {
	for i := range c.pins {
		if p := &c.pins[i]; p.slot == slot && c.valid>>i&1 != 0 {
			return place{reg: Reg(p.reg), x: Xmm(p.reg)}
		}
	}
	return place{mem: true, m: home(slot)}
}

func (c *compiler) beginInt(r Reg, s step) {
	switch s.op {
	case code.Mov:
		c.load64(r, c.localAt(s.local), 8)
	case code.Const:
		c.b = MOVRI(c.b, r, s.k)
	case code.GlobalGet:
		c.b = MOVRM(c.b, 8, r, c.field(c.lay.Globals))
		c.b = MOVRM(c.b, 8, r, Mem{Base: r, Disp: int32(s.k) * 8})
	case code.MemSize:
		c.b = MOVRM(c.b, 8, r, c.field(c.lay.MemLen))
		c.b = ShiftRI(c.b, SHR, 8, r, 16)
	}
}

func (c *compiler) beginFloat(x Xmm, s step) {
	switch s.op {
	case code.Mov:
		if l := c.localAt(s.local); !l.mem && c.s.float[s.local] != 0 {
			c.b = VecRR(c.b, VMOVAPS, x, l.x)
		} else if l.mem {
			c.b = VecRM(c.b, VMOVSD, x, l.m)
		}
	case code.Const:
		c.floatConst(x, s.k)
	case code.GlobalGet:
		c.b = MOVRM(c.b, 8, scratch, c.field(c.lay.Globals))
		c.b = VecRM(c.b, VMOVSD, x, Mem{Base: scratch, Disp: int32(s.k) * 8})
	}
}

func (c *compiler) beginVector(x Xmm, s step) {
	op := wasm.Op(s.op - code.RareBase)
	if op == wasm.OpV128Const {
		c.vectorConst(x, s.k, s.hi)
		return
	}
	c.load64(scratch, c.localAt(s.local), 8)
	c.splat(x, scratch, laneOps[op].size)
}

func (c *compiler) floatFrom(x Xmm, op wasm.Op, local uint16) {
	cvt, i := VCVTSI2SS, op-wasm.OpF32ConvertI32S
	if op >= wasm.OpF64ConvertI32S {
		cvt, i = VCVTSI2SD, op-wasm.OpF64ConvertI32S
	}
	w := Width(8)
	if i == 0 {
		w = 4
	}
	c.load64(scratch, c.localAt(local), 8)
	c.b = VecRRR(c.b, VXORPS, x, x, x)
	c.b = VecRRG(c.b, cvt, w, x, x, scratch)
}

func (c *compiler) stepFloat(x Xmm, s step) {
	op, double := wasm.Op(s.op&^code.KBit), 0
	i := int(op - wasm.OpF32Abs)
	if op >= wasm.OpF64Abs {
		double, i = 1, int(op-wasm.OpF64Abs)
	}
	v := floatOps[i][double]
	switch {
	case isUnary(op):
		c.b = VecRRR(c.b, v, x, x, x)
	case s.op&code.KBit != 0:
		c.floatConst(scratchX, s.k)
		c.b = VecRRR(c.b, v, x, x, scratchX)
	default:
		if l := c.localAt(s.local); l.mem {
			c.b = VecRRM(c.b, v, x, x, l.m)
		} else {
			c.b = VecRRR(c.b, v, x, x, l.x)
		}
	}
}

func (c *compiler) stepInt(r Reg, s step) {
	op := wasm.Op(s.op &^ code.KBit)
	w := width(op)
	switch op {
	case wasm.OpI32WrapI64:
		c.b = MOVRR(c.b, 4, r, r)
		return
	case wasm.OpI64ExtendI32S, wasm.OpI64Extend32S:
		c.b = ExtendRR(c.b, true, 4, 8, r, r)
		return
	case wasm.OpI32Extend8S, wasm.OpI32Extend16S, wasm.OpI64Extend8S, wasm.OpI64Extend16S:
		from, to := Width(1), Width(4)
		if op == wasm.OpI32Extend16S || op == wasm.OpI64Extend16S {
			from = 2
		}
		if op >= wasm.OpI64Extend8S {
			to = 8
		}
		c.b = ExtendRR(c.b, true, from, to, r, r)
		return
	}
	i := op - wasm.OpI32Add
	if w == 8 {
		i = op - wasm.OpI64Add
	}
	y := place{reg: scratch}
	switch {
	case s.op&code.KBit == 0:
		y = c.localAt(s.local)
	case i >= 10:
		shift := [...]Shift{SHL, SAR, SHR, ROL, ROR}[i-10]
		c.b = ShiftRI(c.b, shift, w, r, uint8(s.k)&uint8(w*8-1))
		return
	default:
		c.b = MOVRI(c.b, scratch, s.k)
	}
	switch {
	case i != 2:
		c.aluPlace([...]ALU{0: ADD, 1: SUB, 7: AND, 8: OR, 9: XOR}[i], w, r, y)
	case y.mem:
		c.b = IMULRM(c.b, w, r, y.m)
	default:
		c.b = IMULRR(c.b, w, r, y.reg)
	}
}

// useHoisted gives an instruction's slot what was computed before the loop.
func (c *compiler) useHoisted(in instruction, i int) {
	c.needPin(i)
	p := &c.pins[i]
	t := temp{slot: in.a, reg: p.reg, held: true}
	switch {
	case p.vector:
		t.kind = inVector
	case p.float:
		t.kind = inXmm
	}
	if int(in.a) >= len(c.pinOf) {
		c.drop(in.a)
		if p.vector {
			c.drop(in.a + 1)
		}
		c.temps = append(c.temps, t)
		return
	}
	switch {
	case p.vector:
		d := c.vectorDst(in.a)
		c.b = VecRR(c.b, VMOVAPS, d, Xmm(p.reg))
		c.setVector(in.a, d, 0)
	case p.float:
		d := c.floatDst(in.a, nil)
		c.b = VecRR(c.b, VMOVAPS, d, Xmm(p.reg))
		c.setFloat(in.a, d, 0)
	default:
		d := c.intDst(in.a, nil)
		c.b = MOVRR(c.b, 8, d, Reg(p.reg))
		c.setInt(in.a, d)
	}
}

// constantReg is a register with the constant of an instruction's second operand, if a loop keeps it.
func (c *compiler) constantReg(pc uint32) (*pin, bool) {
	h := c.hoistAt(pc)
	if h&hoistedConst == 0 {
		return nil, false
	}
	i := int(h &^ hoistedConst)
	c.needPin(i)
	return &c.pins[i], true
}
