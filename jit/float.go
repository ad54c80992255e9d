package jit

import (
	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
	"github.com/kitwork/kwnode/vm/wasm"
)

// nanWidth is the width of an operation's result if it may be a NaN that the
// processor made, 0 if the result is to be kept bit by bit.
func nanWidth(op code.Op) uint8 {
	if op >= code.BrBase {
		return 0
	}
	switch w := wasm.Op(op &^ code.KBit); {
	case w >= wasm.OpF32Ceil && w <= wasm.OpF32Max, w == wasm.OpF32DemoteF64,
		w >= wasm.OpF32ConvertI32S && w <= wasm.OpF32ConvertI64U:
		return 32
	case w >= wasm.OpF64Ceil && w <= wasm.OpF64Max, w == wasm.OpF64PromoteF32,
		w >= wasm.OpF64ConvertI32S && w <= wasm.OpF64ConvertI64U:
		return 64
	}
	return 0
}

// Floats are numbered abs neg ceil floor trunc nearest sqrt add sub mul div min
// max copysign, in both widths.
const (
	fAbs = iota
	fNeg
	fCeil
	fFloor
	fTrunc
	fNearest
	fSqrt
	fAdd
	fSub
	fMul
	fDiv
	fMin
	fMax
	fCopysign
)

// floatOps has each operation in single and double precision.
var floatOps = [...][2]Vec{
	fAdd: {VADDSS, VADDSD}, fSub: {VSUBSS, VSUBSD}, fMul: {VMULSS, VMULSD}, fDiv: {VDIVSS, VDIVSD},
	fSqrt: {VSQRTSS, VSQRTSD}, fMin: {VMINSS, VMINSD}, fMax: {VMAXSS, VMAXSD},
}

// rounding is the immediate of VROUND; bit 3 keeps it from raising inexact.
var rounding = [...]uint8{fNearest: 8, fFloor: 8 | 1, fCeil: 8 | 2, fTrunc: 8 | 3}

func (c *compiler) float(in instruction, op wasm.Op, constant bool) {
	double, i := 0, int(op-wasm.OpF32Abs)
	if op >= wasm.OpF64Abs {
		double, i = 1, int(op-wasm.OpF64Abs)
	}
	width := uint8(32 << double)
	switch i {
	case fAbs, fNeg, fCopysign:
		c.sign(in, i, width)
	case fCeil, fFloor, fTrunc, fNearest:
		x, _ := c.floatReg(in.b)
		d := c.floatDst(in.a, &place{x: x})
		c.b = VecRRRI(c.b, [2]Vec{VROUNDSS, VROUNDSD}[double], d, x, x, rounding[i])
		c.setFloat(in.a, d, width)
	case fSqrt:
		x, _ := c.floatReg(in.b)
		d := c.floatDst(in.a, &place{x: x})
		c.b = VecRRR(c.b, floatOps[fSqrt][double], d, x, x)
		c.setFloat(in.a, d, width)
	case fMin, fMax:
		c.minMax(in, i, double)
	default:
		x, _ := c.floatReg(in.b)
		var y place
		if p, ok := c.constantReg(in.pc); ok {
			y = place{x: Xmm(p.reg)}
		} else if constant {
			y = place{x: scratchX2}
			c.floatConst(scratchX2, c.f.Ins[in.pc+1])
		} else {
			y = c.floatAt(in.c)
		}
		d := c.floatDst(in.a, &place{x: x})
		if y.mem {
			c.b = VecRRM(c.b, floatOps[i][double], d, x, y.m)
		} else {
			c.b = VecRRR(c.b, floatOps[i][double], d, x, y.x)
		}
		c.setFloat(in.a, d, width)
	}
}

// sign works on the sign bit alone, so a NaN must be as the program made it.
func (c *compiler) sign(in instruction, i int, width uint8) {
	bit := uint64(1) << (width - 1)
	x := c.exactReg(in.b)
	if i == fCopysign {
		y := c.exactReg(in.c)
		c.floatConst(scratchX2, bit)
		c.b = VecRRR(c.b, VANDNPS, scratchX, scratchX2, x)
		c.b = VecRRR(c.b, VANDPS, scratchX2, scratchX2, y)
		d := c.floatDst(in.a, &place{x: x})
		c.b = VecRRR(c.b, VORPS, d, scratchX, scratchX2)
		c.setFloat(in.a, d, 0)
		return
	}
	c.floatConst(scratchX2, bit)
	d := c.floatDst(in.a, &place{x: x})
	if i == fAbs {
		c.b = VecRRR(c.b, VANDNPS, d, scratchX2, x)
	} else {
		c.b = VecRRR(c.b, VXORPS, d, scratchX2, x)
	}
	c.setFloat(in.a, d, 0)
}

// minMax: the instructions return their second operand for a NaN and for two
// zeros, so they are asked both ways. Or joins the two answers of a minimum:
// −0 wins and a NaN stays one. For a maximum, x−(x^y) of the joined answers
// makes +0 win.
func (c *compiler) minMax(in instruction, i, double int) {
	x, _ := c.floatReg(in.b)
	y, _ := c.floatReg(in.c)
	op := floatOps[i][double]
	c.b = VecRRR(c.b, op, scratchX, x, y)
	c.b = VecRRR(c.b, op, scratchX2, y, x)
	d := c.floatDst(in.a, &place{x: x})
	if i == fMin {
		c.b = VecRRR(c.b, VORPS, d, scratchX, scratchX2)
	} else {
		c.b = VecRRR(c.b, VXORPS, scratchX2, scratchX2, scratchX)
		c.b = VecRRR(c.b, VORPS, scratchX, scratchX, scratchX2)
		c.b = VecRRR(c.b, floatOps[fSub][double], d, scratchX, scratchX2)
	}
	c.setFloat(in.a, d, uint8(32<<double))
}

func (c *compiler) convert(in instruction, op wasm.Op) {
	switch op {
	case wasm.OpI32WrapI64:
		c.extend(in, false, 4, 4)
	case wasm.OpI64ExtendI32S, wasm.OpI64Extend32S:
		c.extend(in, true, 4, 8)
	case wasm.OpI64ExtendI32U:
		c.extend(in, false, 4, 8)
	case wasm.OpI32Extend8S:
		c.extend(in, true, 1, 4)
	case wasm.OpI32Extend16S:
		c.extend(in, true, 2, 4)
	case wasm.OpI64Extend8S:
		c.extend(in, true, 1, 8)
	case wasm.OpI64Extend16S:
		c.extend(in, true, 2, 8)
	case wasm.OpF32DemoteF64, wasm.OpF64PromoteF32:
		x, _ := c.floatReg(in.b)
		d := c.floatDst(in.a, &place{x: x})
		if op == wasm.OpF64PromoteF32 {
			c.b = VecRRR(c.b, VCVTSS2SD, d, x, x)
			c.setFloat(in.a, d, 64)
			return
		}
		// The upper bits come from the first source: they must be clean.
		c.b = VecRRR(c.b, VXORPS, scratchX2, scratchX2, scratchX2)
		c.b = VecRRR(c.b, VCVTSD2SS, d, scratchX2, x)
		c.setFloat(in.a, d, 32)
	case wasm.OpI32ReinterpretF32, wasm.OpI64ReinterpretF64, wasm.OpF32ReinterpretI32, wasm.OpF64ReinterpretI64:
		c.move(in.a, in.b)
	default:
		c.fromInt(in, op)
	}
}

func (c *compiler) extend(in instruction, signed bool, from, w Width) {
	x := c.intAt(in.b)
	d := c.intDst(in.a, &x)
	if x.mem {
		c.b = ExtendRM(c.b, signed, from, w, d, x.m)
	} else if from == 4 && !signed {
		c.b = MOVRR(c.b, 4, d, x.reg)
	} else {
		c.b = ExtendRR(c.b, signed, from, w, d, x.reg)
	}
	c.setInt(in.a, d)
}

// fromInt makes floats. The numbers are f32: i32_s i32_u i64_s i64_u demote,
// f64: i32_s i32_u i64_s i64_u promote.
func (c *compiler) fromInt(in instruction, op wasm.Op) {
	cvt, i, add := VCVTSI2SS, op-wasm.OpF32ConvertI32S, VADDSS
	if op >= wasm.OpF64ConvertI32S {
		cvt, i, add = VCVTSI2SD, op-wasm.OpF64ConvertI32S, VADDSD
	}
	w := Width(8)
	if i == 0 {
		w = 4
	}
	r := c.intReg(in.b, 8)
	d := c.floatDst(in.a, nil)
	c.b = VecRRR(c.b, VXORPS, d, d, d)
	if i != 3 {
		c.b = VecRRG(c.b, cvt, w, d, d, r)
		c.setFloat(in.a, d, 0)
		return
	}
	c.b = TESTRR(c.b, 8, r, r)
	var back int
	c.jcc(S, func() {
		// Half of it, with the lost bit kept for rounding, and twice the result.
		c.b = PUSH(c.b, r)
		c.b = MOVRR(c.b, 8, scratch, r)
		c.b = ShiftRI(c.b, SHR, 8, scratch, 1)
		c.b = ALURI(c.b, AND, 4, r, 1)
		c.b = ALURR(c.b, OR, 8, scratch, r)
		c.b = POP(c.b, r)
		c.b = VecRRG(c.b, cvt, 8, d, d, scratch)
		c.b = VecRRR(c.b, add, d, d, d)
		c.b = JMP(c.b, 0)
		c.patch(len(c.b)-4, back)
	})
	c.b = VecRRG(c.b, cvt, 8, d, d, r)
	back = len(c.b)
	c.setFloat(in.a, d, 0)
}

// truncate makes integers, of 64 bits if long. The instruction says
// "indefinite" for whatever it can't represent; the interpreter then decides
// about a trap, saturation, or one of the few values that look so but aren't.
func (c *compiler) truncate(in instruction, long, unsigned, double bool) {
	w := Width(4)
	if long {
		w = 8
	}
	if w == 4 && unsigned {
		c.grab(RCX)
	}
	// The way out stores the operand and what else isn't home. It is taken
	// after registers changed hands for the last time.
	var operand []temp
	if t := c.find(in.b); t != nil {
		operand = append(operand, *t)
	}
	x, _ := c.floatReg(in.b)
	before, out := c.snapshot(operand...), c.out(&c.exitStep, in.pc)
	giveUp := func() {
		before()
		out()
	}
	cvt := VCVTTSS2SI
	if double {
		cvt = VCVTTSD2SI
	}
	switch {
	case w == 4 && unsigned:
		c.b = VecGR(c.b, cvt, 8, scratch, x)
		c.b = MOVRR(c.b, 4, RCX, scratch)
		c.b = ALURR(c.b, CMP, 8, RCX, scratch)
		c.jcc(NE, giveUp)
	case unsigned:
		c.b = VecGR(c.b, cvt, 8, scratch, x)
		c.b = TESTRR(c.b, 8, scratch, scratch)
		c.jcc(S, giveUp)
	default:
		c.b = VecGR(c.b, cvt, w, scratch, x)
		c.b = ALURI(c.b, CMP, w, scratch, 1) // overflows for the smallest number alone
		c.jcc(O, giveUp)
	}
	c.done()
	d := c.intDst(in.a, nil)
	if d != scratch {
		c.b = MOVRR(c.b, w, d, scratch)
	}
	c.setInt(in.a, d)
}
