package jit

import (
	"fmt"

	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
	"github.com/kitwork/kwnode/vm/wasm"
)

// width is the operand size of an integer operation.
func width(op wasm.Op) Width {
	switch {
	case op >= wasm.OpI64Clz && op <= wasm.OpI64Rotr, op >= wasm.OpI64Eqz && op <= wasm.OpI64GeU:
		return 8
	}
	return 4
}

// scalar translates an operation that has WebAssembly's own number.
func (c *compiler) scalar(in instruction) error {
	op := wasm.Op(in.op &^ code.KBit)
	constant := in.op&code.KBit != 0
	switch {
	case op == wasm.OpI32Eqz || op == wasm.OpI64Eqz:
		r := c.intReg(in.b, 8)
		c.b = TESTRR(c.b, width(op), r, r)
		c.setCond(in.a, E)
	case op >= wasm.OpI32Eq && op <= wasm.OpI64GeU:
		if !c.compareSelect(in, op, constant) {
			c.compareInt(in, op, constant)
		}
	case op >= wasm.OpF32Eq && op <= wasm.OpF64Ge:
		c.compareFloat(in, op)
	case op >= wasm.OpI32Clz && op <= wasm.OpI32Popcnt, op >= wasm.OpI64Clz && op <= wasm.OpI64Popcnt:
		c.countBits(in, op)
	case op >= wasm.OpI32Add && op <= wasm.OpI32Rotr, op >= wasm.OpI64Add && op <= wasm.OpI64Rotr:
		c.integer(in, op, constant)
	case op >= wasm.OpF32Abs && op <= wasm.OpF64Copysign:
		c.float(in, op, constant)
	case op >= wasm.OpI32WrapI64 && op <= wasm.OpI64Extend32S:
		c.convert(in, op)
	default:
		return fmt.Errorf("jit: function %d: unknown operation %#x at word %d", c.f.Index, in.op, in.pc)
	}
	return nil
}

// intConds are the conditions of eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s
// ge_u; the eleventh place is the other width's eqz.
var intConds = [...]Cond{E, NE, L, B, G, A, LE, BE, GE, AE, E}

func (c *compiler) setCond(slot uint16, cond Cond) {
	c.b = SETcc(c.b, cond, scratch)
	c.done() // the operands' registers may hold the result
	d := c.intDst(slot, nil)
	c.b = ExtendRR(c.b, false, 1, 4, d, scratch)
	c.setInt(slot, d)
}

// compareInt gives a slot the truth of a comparison. A register that is clear before takes one step less than one that
// is extended afterwards.
func (c *compiler) compareInt(in instruction, op wasm.Op, constant bool) {
	w, cond := width(op), intConds[(op-wasm.OpI32Eq)%11]
	x := c.intReg(in.b, w)
	var y place
	if !constant {
		y = c.intAt(in.c)
	}
	if int(in.a) < len(c.pinOf) || len(c.freeG) == 0 {
		c.compare(w, x, y, in, constant)
		c.setCond(in.a, cond)
		return
	}
	d := c.allocG()
	c.b = ALURR(c.b, XOR, 4, d, d)
	c.compare(w, x, y, in, constant)
	c.b = SETcc(c.b, cond, d)
	c.drop(in.a)
	c.setInt(in.a, d)
}

// compare sets the flags for a register and a place, or the instruction's constant.
func (c *compiler) compare(w Width, x Reg, y place, in instruction, constant bool) {
	switch {
	case constant:
		c.compareConst(w, x, in)
	case y.mem:
		c.b = ALURM(c.b, CMP, w, x, y.m)
	default:
		c.b = ALURR(c.b, CMP, w, x, y.reg)
	}
}

// compareSelect makes one conditional move of a comparison and the selection of an integer that consumes it.
func (c *compiler) compareSelect(in instruction, op wasm.Op, constant bool) bool {
	next := in.pc + in.size
	if int(in.a) < len(c.pinOf) || c.s.target[next] {
		return false
	}
	sel := decode(c.f.Ins, next)
	if sel.op != code.Select || uint16(c.f.Ins[next+1]) != in.a || sel.b == in.a || sel.c == in.a ||
		c.isFloatAt(sel.a) || c.isFloatAt(sel.b) || c.isFloatAt(sel.c) || c.isFloatAt(in.b) || !constant && c.isFloatAt(in.c) {
		return false
	}
	w := width(op)
	if constant {
		if _, ok := immediate(w, c.f.Ins[in.pc+1]); !ok {
			return false // it would need scratch
		}
	}
	c.toScratch(sel.c)
	x := c.intReg(sel.b, 8)
	p := c.intReg(in.b, w)
	var q place
	if !constant {
		q = c.intAt(in.c)
	}
	c.compare(w, p, q, in, constant)
	c.b = CMOVcc(c.b, intConds[(op-wasm.OpI32Eq)%11], 8, scratch, x)
	c.drop(in.a)
	c.done()
	c.fromScratch(sel.a)
	c.joined = sel.size
	return true
}

func (c *compiler) compareConst(w Width, x Reg, in instruction) {
	k := c.f.Ins[in.pc+1]
	imm, ok := immediate(w, k)
	switch {
	case !ok:
		if p, kept := c.constantReg(in.pc); kept {
			c.b = ALURR(c.b, CMP, w, x, Reg(p.reg))
			return
		}
		c.b = MOVRI(c.b, scratch, k)
		c.b = ALURR(c.b, CMP, w, x, scratch)
	case imm == 0:
		c.b = TESTRR(c.b, w, x, x)
	default:
		c.b = ALURI(c.b, CMP, w, x, imm)
	}
}

// immediate is a constant as a sign-extended 32-bit immediate, if it fits.
func immediate(w Width, k uint64) (int32, bool) {
	if w == 4 {
		return int32(uint32(k)), true
	}
	return int32(uint32(k)), int64(int32(uint32(k))) == int64(k)
}

// branch compares and jumps. Between copies of a loop's block it jumps out of the loop instead of back.
func (c *compiler) branch(in instruction) {
	w := c.f.Ins[in.pc+1]
	to, charge := in.pc+uint32(w), uint16(w>>32)
	taken, falls := c.dest(to, charge), in.pc+in.size
	k := in.op >= code.BrKBase
	op := wasm.Op(in.op - code.BrBase)
	if k {
		op = wasm.Op(in.op - code.BrKBase)
	}
	flip := Cond(0)
	if c.copies > 0 {
		to, charge, flip = falls, 0, 1
	}
	switch {
	case op == wasm.OpI32Eqz || op == wasm.OpI64Eqz:
		r := c.intReg(in.a, 8)
		c.sync(taken, falls)
		c.b = TESTRR(c.b, width(op), r, r)
		cond := E
		if k {
			cond = NE
		}
		c.jumpIf(cond^flip, to, charge)
	case op >= wasm.OpF32Eq:
		f := c.compareOperands(in.a, in.b, op, taken, falls)
		c.branchFloat(f.cond, k != (flip != 0), to, charge)
	case k:
		x := c.intReg(in.a, width(op))
		c.sync(taken, falls)
		imm := int32(in.imm())
		if imm == 0 {
			c.b = TESTRR(c.b, width(op), x, x)
		} else {
			c.b = ALURI(c.b, CMP, width(op), x, imm)
		}
		c.jumpIf(intConds[(op-wasm.OpI32Eq)%11]^flip, to, charge)
	default:
		x, y := c.intReg(in.a, width(op)), c.intAt(in.b)
		c.sync(taken, falls)
		if y.mem {
			c.b = ALURM(c.b, CMP, width(op), x, y.m)
		} else {
			c.b = ALURR(c.b, CMP, width(op), x, y.reg)
		}
		c.jumpIf(intConds[(op-wasm.OpI32Eq)%11]^flip, to, charge)
	}
}

// floatCond is how a comparison of floats reads the flags of UCOMIS. A NaN
// sets carry, zero and parity, so "above" is false for it; less-than swaps its
// operands to be one.
type floatCond struct {
	swap bool
	cond Cond
}

// eq ne lt gt le ge; equality needs the parity as well.
var floatConds = [...]floatCond{{false, E}, {false, NE}, {true, A}, {false, A}, {true, AE}, {false, AE}}

// compareOperands emits UCOMIS for a comparison and returns its condition. Where it may jump to is given.
func (c *compiler) compareOperands(a, b uint16, op wasm.Op, to ...uint32) floatCond {
	ucomis, i := VUCOMISS, op-wasm.OpF32Eq
	if op >= wasm.OpF64Eq {
		ucomis, i = VUCOMISD, op-wasm.OpF64Eq
	}
	f := floatConds[i]
	if f.swap {
		a, b = b, a
	}
	x, _ := c.floatReg(a)
	y := c.floatAt(b)
	if len(to) > 0 {
		c.sync(to...)
	}
	if y.mem {
		c.b = VecRM(c.b, ucomis, x, y.m)
	} else {
		c.b = VecRR(c.b, ucomis, x, y.x)
	}
	return f
}

func (c *compiler) compareFloat(in instruction, op wasm.Op) {
	f := c.compareOperands(in.b, in.c, op)
	switch f.cond {
	case E: // equal and not unordered
		c.grab(RCX)
		c.b = SETcc(c.b, NP, scratch)
		c.b = SETcc(c.b, E, RCX)
		c.b = ALURR(c.b, AND, 4, scratch, RCX)
	case NE:
		c.grab(RCX)
		c.b = SETcc(c.b, P, scratch)
		c.b = SETcc(c.b, NE, RCX)
		c.b = ALURR(c.b, OR, 4, scratch, RCX)
	default:
		c.b = SETcc(c.b, f.cond, scratch)
	}
	c.done()
	d := c.intDst(in.a, nil)
	c.b = ExtendRR(c.b, false, 1, 4, d, scratch)
	c.setInt(in.a, d)
}

// branchFloat jumps if the comparison that set the flags holds, or doesn't.
func (c *compiler) branchFloat(cond Cond, negated bool, to uint32, charge uint16) {
	equal := cond == E && !negated || cond == NE && negated
	switch {
	case equal:
		c.b = Jcc(c.b, P, 0)
		over := len(c.b)
		c.jumpIf(E, to, charge)
		c.patch(over-4, len(c.b))
	case cond == E || cond == NE:
		c.jumpIf(P, to, charge)
		c.jumpIf(NE, to, charge)
	case negated:
		c.jumpIf(cond.Not(), to, charge)
	default:
		c.jumpIf(cond, to, charge)
	}
}

func (c *compiler) countBits(in instruction, op wasm.Op) {
	w := width(op)
	x := c.intReg(in.b, w)
	d := c.intDst(in.a, &place{reg: x})
	switch op {
	case wasm.OpI32Clz, wasm.OpI64Clz:
		c.b = LZCNT(c.b, w, d, x)
	case wasm.OpI32Ctz, wasm.OpI64Ctz:
		c.b = TZCNT(c.b, w, d, x)
	default:
		c.b = POPCNT(c.b, w, d, x)
	}
	c.setInt(in.a, d)
}

// integer translates add to rotr. The operations are numbered add sub mul
// div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr.
func (c *compiler) integer(in instruction, op wasm.Op, constant bool) {
	w := width(op)
	i := op - wasm.OpI32Add
	if w == 8 {
		i = op - wasm.OpI64Add
	}
	switch i {
	case 0, 1, 7, 8, 9:
		alu := [...]ALU{0: ADD, 1: SUB, 7: AND, 8: OR, 9: XOR}[i]
		if constant {
			c.aluConst(in, alu, w, c.f.Ins[in.pc+1])
		} else {
			c.alu(in, alu, w)
		}
	case 2:
		c.multiply(in, w, constant)
	case 3, 4, 5, 6:
		c.divide(in, w, i == 3 || i == 5, i >= 5)
	case 10, 11, 12:
		c.shift(in, [...]Shift{10: SHL, 11: SAR, 12: SHR}[i], w, constant)
	default:
		c.rotate(in, [...]Shift{13: ROL, 14: ROR}[i], w, constant)
	}
}

func (c *compiler) aluConst(in instruction, alu ALU, w Width, k uint64) {
	x := c.intAt(in.b)
	imm, fits := immediate(w, k)
	d := c.intDst(in.a, &x)
	switch {
	case !fits:
		if p, ok := c.constantReg(in.pc); ok {
			c.load64(d, x, w)
			c.b = ALURR(c.b, alu, w, d, Reg(p.reg))
			break
		}
		if d == scratch {
			// scratch is the result: the constant needs another register.
			r := c.allocG()
			c.heldG = append(c.heldG, r)
			c.load64(d, x, w)
			c.b = MOVRI(c.b, r, k)
			c.b = ALURR(c.b, alu, w, d, r)
			break
		}
		c.load64(d, x, w)
		c.b = MOVRI(c.b, scratch, k)
		c.b = ALURR(c.b, alu, w, d, scratch)
	case (alu == ADD || alu == SUB && imm != -1<<31) && !x.mem && x.reg != d:
		if alu == SUB {
			imm = -imm
		}
		c.b = LEA(c.b, w, d, Mem{Base: x.reg, Disp: imm})
	default:
		c.load64(d, x, w)
		c.b = ALURI(c.b, alu, w, d, imm)
	}
	c.setInt(in.a, d)
}

// load64 brings an operand into a register.
func (c *compiler) load64(d Reg, x place, w Width) {
	switch {
	case x.mem:
		c.b = MOVRM(c.b, w, d, x.m)
	case x.reg != d:
		c.b = MOVRR(c.b, w, d, x.reg)
	}
}

func (c *compiler) alu(in instruction, alu ALU, w Width) {
	x, y := c.intAt(in.b), c.intAt(in.c)
	d := c.intDst(in.a, &x)
	switch {
	case !y.mem && y.reg == d && (x.mem || x.reg != d):
		if alu != SUB { // the others commute
			c.aluPlace(alu, w, d, x)
			break
		}
		c.load64(scratch, x, w)
		c.b = ALURR(c.b, SUB, w, scratch, y.reg)
		c.b = MOVRR(c.b, w, d, scratch)
	case alu == ADD && !x.mem && !y.mem && x.reg != d && x.reg != RSP && y.reg != RSP:
		c.b = LEA(c.b, w, d, Mem{Base: x.reg, Index: y.reg, Scale: 1})
	default:
		c.load64(d, x, w)
		c.aluPlace(alu, w, d, y)
	}
	c.setInt(in.a, d)
}

func (c *compiler) aluPlace(alu ALU, w Width, d Reg, y place) {
	if y.mem {
		c.b = ALURM(c.b, alu, w, d, y.m)
	} else {
		c.b = ALURR(c.b, alu, w, d, y.reg)
	}
}

func (c *compiler) multiply(in instruction, w Width, constant bool) {
	if constant {
		k := c.f.Ins[in.pc+1]
		x := c.intReg(in.b, w)
		d := c.intDst(in.a, &place{reg: x})
		if imm, ok := immediate(w, k); ok {
			c.b = IMULRI(c.b, w, d, x, imm)
		} else if p, ok := c.constantReg(in.pc); ok {
			c.load64(d, place{reg: x}, w)
			c.b = IMULRR(c.b, w, d, Reg(p.reg))
		} else {
			c.b = MOVRI(c.b, scratch, k)
			c.b = IMULRR(c.b, w, scratch, x)
			if d != scratch {
				c.b = MOVRR(c.b, w, d, scratch)
			}
		}
		c.setInt(in.a, d)
		return
	}
	x, y := c.intAt(in.b), c.intAt(in.c)
	d := c.intDst(in.a, &x)
	if !y.mem && y.reg == d {
		x, y = y, x
	}
	c.load64(d, x, w)
	if y.mem {
		c.b = IMULRM(c.b, w, d, y.m)
	} else {
		c.b = IMULRR(c.b, w, d, y.reg)
	}
	c.setInt(in.a, d)
}

// divide uses RAX and RDX, as the instruction does.
func (c *compiler) divide(in instruction, w Width, signed, rest bool) {
	if c.divideConst(in, w, signed, rest) {
		return
	}
	y := c.intReg(in.c, w)
	c.grab(RDX)
	if y == RDX {
		y = c.allocG()
		c.heldG = append(c.heldG, y)
		c.b = MOVRR(c.b, w, y, RDX)
	}
	x := c.intAt(in.b)
	c.load64(RAX, x, w)
	c.b = TESTRR(c.b, w, y, y)
	c.trap(E, code.NativeTrapDivideByZero, in.pc)
	var back int
	if signed {
		overflows := c.out(&c.trapAt[code.NativeTrapOverflow], in.pc)
		c.b = ALURI(c.b, CMP, w, y, -1)
		c.jcc(E, func() {
			if rest {
				c.b = MOVRI(c.b, RDX, 0)
				c.b = JMP(c.b, 0)
				c.patch(len(c.b)-4, back)
				return
			}
			// x / -1 is -x, and overflows for the smallest x alone.
			c.b = UnaryR(c.b, NEG, w, RAX)
			c.b = Jcc(c.b, NO, 0)
			c.patch(len(c.b)-4, back)
			overflows()
		})
		c.b = CQO(c.b, w)
		c.b = UnaryR(c.b, IDIV, w, y)
	} else {
		c.b = ALURR(c.b, XOR, 4, RDX, RDX)
		c.b = UnaryR(c.b, DIV, w, y)
	}
	back = len(c.b)
	d := c.intDst(in.a, &place{reg: RDX}) // held since grab
	from := RAX
	if rest {
		from = RDX
	}
	if d != from {
		c.b = MOVRR(c.b, w, d, from)
	}
	c.setInt(in.a, d)
}

func (c *compiler) shift(in instruction, op Shift, w Width, constant bool) {
	if constant {
		n := uint8(c.f.Ins[in.pc+1]) & uint8(w*8-1)
		if op == SHL && c.shiftAdd(in, w, n) {
			return
		}
		x := c.intAt(in.b)
		d := c.intDst(in.a, &x)
		c.load64(d, x, w)
		c.b = ShiftRI(c.b, op, w, d, n)
		c.setInt(in.a, d)
		return
	}
	x, n := c.intReg(in.b, w), c.intReg(in.c, w)
	d := c.intDst(in.a, &place{reg: x})
	c.b = ShiftX(c.b, op, w, d, x, n)
	c.setInt(in.a, d)
}

// shiftAdd makes one LEA of a shift by 1 to 3 and the addition that consumes
// it, as for an array's element.
func (c *compiler) shiftAdd(in instruction, w Width, n uint8) bool {
	next := in.pc + in.size
	if n == 0 || n > 3 || int(in.a) < len(c.pinOf) || c.s.target[next] {
		return false
	}
	add := decode(c.f.Ins, next)
	op, constant := wasm.Op(add.op&^code.KBit), add.op&code.KBit != 0
	if add.op >= code.BrBase || w == 4 && op != wasm.OpI32Add || w == 8 && op != wasm.OpI64Add {
		return false
	}
	at := Mem{Base: NoBase, Scale: 1 << n}
	if constant {
		imm, ok := immediate(w, c.f.Ins[next+1])
		if !ok || add.b != in.a {
			return false
		}
		at.Disp = imm
	} else if other := add.b + add.c - in.a; add.b != in.a && add.c != in.a || other == in.a {
		return false
	} else {
		at.Base = c.intReg(other, w)
	}
	x := c.intReg(in.b, w)
	at.Index = x
	c.drop(in.a)
	d := c.intDst(add.a, &place{reg: x})
	c.b = LEA(c.b, w, d, at)
	c.setInt(add.a, d)
	c.joined = add.size
	return true
}

func (c *compiler) rotate(in instruction, op Shift, w Width, constant bool) {
	if constant {
		x := c.intAt(in.b)
		d := c.intDst(in.a, &x)
		c.load64(d, x, w)
		c.b = ShiftRI(c.b, op, w, d, uint8(c.f.Ins[in.pc+1])&uint8(w*8-1))
		c.setInt(in.a, d)
		return
	}
	x := c.intAt(in.b)
	n := c.intReg(in.c, w)
	c.load64(scratch, x, w)
	if n != RCX {
		c.grab(RCX)
		c.b = MOVRR(c.b, w, RCX, n)
	}
	c.b = ShiftRCL(c.b, op, w, scratch)
	c.done()
	d := c.intDst(in.a, nil)
	if d != scratch {
		c.b = MOVRR(c.b, w, d, scratch)
	}
	c.setInt(in.a, d)
}
