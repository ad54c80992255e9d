package jit

import (
	"fmt"
	"slices"

	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
	"github.com/kitwork/kwnode/vm/wasm"
)

// laneWidth is the width of the float lanes that an operation computes, 0 for
// everything that is kept bit by bit.
func laneWidth(op code.Op) uint8 {
	if op < code.RareBase {
		return 0
	}
	switch w := wasm.Op(op - code.RareBase); w {
	case wasm.OpF32x4Ceil, wasm.OpF32x4Floor, wasm.OpF32x4Trunc, wasm.OpF32x4Nearest, wasm.OpF32x4Sqrt,
		wasm.OpF32x4Add, wasm.OpF32x4Sub, wasm.OpF32x4Mul, wasm.OpF32x4Div, wasm.OpF32x4Min, wasm.OpF32x4Max,
		wasm.OpF32x4DemoteF64x2Zero, wasm.OpF32x4ConvertI32x4S, wasm.OpF32x4ConvertI32x4U:
		return 32
	case wasm.OpF64x2Ceil, wasm.OpF64x2Floor, wasm.OpF64x2Trunc, wasm.OpF64x2Nearest, wasm.OpF64x2Sqrt,
		wasm.OpF64x2Add, wasm.OpF64x2Sub, wasm.OpF64x2Mul, wasm.OpF64x2Div, wasm.OpF64x2Min, wasm.OpF64x2Max,
		wasm.OpF64x2PromoteLowF32x4, wasm.OpF64x2ConvertLowI32x4S, wasm.OpF64x2ConvertLowI32x4U:
		return 64
	}
	return 0
}

// canonicalLanes replaces each lane's NaN by the positive canonical one.
func (c *compiler) canonicalLanes(x Xmm, width uint8) {
	cmp, bits := VCMPPD, uint64(nan64)
	if width == 32 {
		cmp, bits = VCMPPS, nan32<<32|nan32
	}
	mask := scratchX
	if x == mask {
		mask = scratchX2
	}
	c.b = VecRRRI(c.b, cmp, mask, x, x, 3) // unordered
	c.b = VecRR(c.b, VPTEST, mask, mask)
	var back int
	c.jcc(NE, func() {
		c.b = VecRRR(c.b, VPANDN, x, mask, x)
		c.b = PUSH(c.b, scratch)
		c.b = MOVRI(c.b, scratch, bits)
		// The mask register becomes the NaNs that it selects.
		c.b = PUSH(c.b, scratch)
		c.b = PUSH(c.b, scratch)
		c.b = VecRRM(c.b, VPAND, mask, mask, Mem{Base: RSP})
		c.b = POP(c.b, scratch)
		c.b = POP(c.b, scratch)
		c.b = POP(c.b, scratch)
		c.b = VecRRR(c.b, VPOR, x, x, mask)
		c.b = JMP(c.b, 0)
		c.patch(len(c.b)-4, back)
	})
	back = len(c.b)
}

// vectorAt finds a vector operand and consumes it. Its lanes may be NaNs that
// aren't canonical, as nan says.
func (c *compiler) vectorAt(slot uint16) place {
	if i, ok := c.pinAt(slot); ok {
		c.needPin(i)
		at := place{x: Xmm(c.pins[i].reg)}
		if c.pins[i].lazy {
			at.nan = c.pins[i].width
		}
		return at
	}
	if t := c.find(slot); t != nil && t.kind == inVector {
		at := place{x: Xmm(t.reg), nan: t.nan}
		c.drop(slot)
		return at
	}
	return place{mem: true, m: home(slot)}
}

// vectorReg is vectorAt in a register, which the instruction may not change.
func (c *compiler) vectorReg(slot uint16) (Xmm, uint8) {
	p := c.vectorAt(slot)
	if !p.mem {
		return p.x, p.nan
	}
	x := c.holdX()
	c.b = VecRM(c.b, VMOVUPS, x, p.m)
	return x, 0
}

// holdX is a register for the rest of the instruction.
func (c *compiler) holdX() Xmm {
	x := c.allocX()
	c.heldX = append(c.heldX, x)
	return x
}

// exactVector is vectorReg with the lanes as the program may see them.
func (c *compiler) exactVector(slot uint16) Xmm {
	x, nan := c.vectorReg(slot)
	if nan == 0 {
		return x
	}
	if _, pinned := c.pinAt(slot); pinned {
		y := c.holdX()
		c.b = VecRR(c.b, VMOVAPS, y, x)
		x = y
	}
	c.canonicalLanes(x, nan)
	return x
}

// lanes is vectorReg for arithmetic on lanes of a width, to which other NaNs
// must be shown as they are.
func (c *compiler) lanes(slot uint16, width uint8) Xmm {
	if i, ok := c.pinAt(slot); ok && c.pins[i].lazy && c.pins[i].width != width {
		return c.exactVector(slot)
	}
	if t := c.find(slot); t != nil && t.nan != 0 && t.nan != width {
		return c.exactVector(slot)
	}
	x, _ := c.vectorReg(slot)
	return x
}

// vectorDst and setVector are as floatDst and setFloat.
func (c *compiler) vectorDst(slot uint16, reuse ...Xmm) Xmm {
	c.drop(slot)
	c.drop(slot + 1)
	if i, ok := c.pinAt(slot); ok {
		return Xmm(c.pins[i].reg)
	}
	if int(slot) < len(c.pinOf) {
		return scratchX
	}
	for _, x := range reuse {
		if i := slices.Index(c.heldX, x); i >= 0 {
			c.heldX = slices.Delete(c.heldX, i, i+1)
			return x
		}
	}
	return c.allocX()
}

func (c *compiler) setVector(slot uint16, x Xmm, nan uint8) {
	i, pinned := c.pinAt(slot)
	if !pinned && int(slot) >= len(c.pinOf) {
		c.temps = append(c.temps, temp{slot: slot, kind: inVector, reg: uint8(x), nan: nan})
		return
	}
	if nan != 0 && !(pinned && c.pins[i].lazy) {
		c.canonicalLanes(x, nan)
	}
	if !pinned {
		c.b = VecMR(c.b, VMOVUPSst, home(slot), x)
		return
	}
	c.written(i)
}

func (c *compiler) moveVector(dst, src uint16) {
	x, nan := c.vectorReg(src)
	d := c.vectorDst(dst, x)
	if d != x {
		c.b = VecRR(c.b, VMOVAPS, d, x)
	}
	c.setVector(dst, d, nan)
}

func (c *compiler) selectVector(in instruction, cond uint16) {
	x, y := c.exactVector(in.b), c.exactVector(in.c)
	r := c.intReg(cond, 4)
	c.b = VecRR(c.b, VMOVAPS, scratchX, x)
	c.b = TESTRR(c.b, 4, r, r)
	c.b = Jcc(c.b, NE, 0)
	keep := len(c.b)
	c.b = VecRR(c.b, VMOVAPS, scratchX, y)
	c.patch(keep-4, len(c.b))
	d := c.vectorDst(in.a, x, y)
	if d != scratchX {
		c.b = VecRR(c.b, VMOVAPS, d, scratchX)
	}
	c.setVector(in.a, d, 0)
}

// vectorConst builds a constant. It uses scratch.
func (c *compiler) vectorConst(x Xmm, lo, hi uint64) {
	switch {
	case lo == 0 && hi == 0:
		c.b = VecRRR(c.b, VPXOR, x, x, x)
	case lo == ^uint64(0) && hi == lo:
		c.b = VecRRR(c.b, VPCMPEQD, x, x, x)
	default:
		c.b = MOVRI(c.b, scratch, lo)
		c.b = VecRG(c.b, VMOVD, 8, x, scratch)
		if hi == lo {
			c.b = VecRRR(c.b, VPUNPCKLQDQ, x, x, x)
			return
		}
		c.b = MOVRI(c.b, scratch, hi)
		c.b = VecRRGI(c.b, VPINSRQ, x, x, scratch, 1)
	}
}

// vector translates an operation of the 0xFD prefix.
func (c *compiler) vector(in instruction, op wasm.Op) error {
	switch {
	case op == wasm.OpV128Const:
		d := c.vectorDst(in.a)
		c.vectorConst(d, c.f.Ins[in.pc+1], c.f.Ins[in.pc+2])
		c.setVector(in.a, d, 0)
	case c.vectorMemory(in, op), c.vectorBinary(in, op), c.vectorUnary(in, op), c.vectorLane(in, op),
		c.vectorCompare(in, op), c.vectorShift(in, op), c.vectorTest(in, op), c.vectorWiden(in, op), c.vectorOther(in, op):
	default:
		return fmt.Errorf("jit: function %d: unknown vector operation %#x at word %d", c.f.Index, op, in.pc)
	}
	return nil
}

// binaryOps are single instructions; swap exchanges the operands.
type binaryOp struct {
	op    Vec
	swap  bool
	float uint8 // width of the lanes, for arithmetic
}

var binaryOps = map[wasm.Op]binaryOp{
	wasm.OpI8x16Add: {VPADDB, false, 0}, wasm.OpI16x8Add: {VPADDW, false, 0}, wasm.OpI32x4Add: {VPADDD, false, 0}, wasm.OpI64x2Add: {VPADDQ, false, 0},
	wasm.OpI8x16Sub: {VPSUBB, false, 0}, wasm.OpI16x8Sub: {VPSUBW, false, 0}, wasm.OpI32x4Sub: {VPSUBD, false, 0}, wasm.OpI64x2Sub: {VPSUBQ, false, 0},
	wasm.OpI8x16AddSatS: {VPADDSB, false, 0}, wasm.OpI8x16AddSatU: {VPADDUSB, false, 0}, wasm.OpI16x8AddSatS: {VPADDSW, false, 0}, wasm.OpI16x8AddSatU: {VPADDUSW, false, 0},
	wasm.OpI8x16SubSatS: {VPSUBSB, false, 0}, wasm.OpI8x16SubSatU: {VPSUBUSB, false, 0}, wasm.OpI16x8SubSatS: {VPSUBSW, false, 0}, wasm.OpI16x8SubSatU: {VPSUBUSW, false, 0},
	wasm.OpI16x8Mul: {VPMULLW, false, 0}, wasm.OpI32x4Mul: {VPMULLD, false, 0}, wasm.OpI32x4DotI16x8S: {VPMADDWD, false, 0},
	wasm.OpI8x16MinS: {VPMINSB, false, 0}, wasm.OpI8x16MinU: {VPMINUB, false, 0}, wasm.OpI8x16MaxS: {VPMAXSB, false, 0}, wasm.OpI8x16MaxU: {VPMAXUB, false, 0},
	wasm.OpI16x8MinS: {VPMINSW, false, 0}, wasm.OpI16x8MinU: {VPMINUW, false, 0}, wasm.OpI16x8MaxS: {VPMAXSW, false, 0}, wasm.OpI16x8MaxU: {VPMAXUW, false, 0},
	wasm.OpI32x4MinS: {VPMINSD, false, 0}, wasm.OpI32x4MinU: {VPMINUD, false, 0}, wasm.OpI32x4MaxS: {VPMAXSD, false, 0}, wasm.OpI32x4MaxU: {VPMAXUD, false, 0},
	wasm.OpI8x16AvgrU: {VPAVGB, false, 0}, wasm.OpI16x8AvgrU: {VPAVGW, false, 0},
	wasm.OpV128And: {VPAND, false, 0}, wasm.OpV128Or: {VPOR, false, 0}, wasm.OpV128Xor: {VPXOR, false, 0}, wasm.OpV128Andnot: {VPANDN, true, 0},
	wasm.OpI8x16NarrowI16x8S: {VPACKSSWB, false, 0}, wasm.OpI8x16NarrowI16x8U: {VPACKUSWB, false, 0},
	wasm.OpI16x8NarrowI32x4S: {VPACKSSDW, false, 0}, wasm.OpI16x8NarrowI32x4U: {VPACKUSDW, false, 0},
	wasm.OpI8x16Eq: {VPCMPEQB, false, 0}, wasm.OpI16x8Eq: {VPCMPEQW, false, 0}, wasm.OpI32x4Eq: {VPCMPEQD, false, 0}, wasm.OpI64x2Eq: {VPCMPEQQ, false, 0},
	wasm.OpI8x16GtS: {VPCMPGTB, false, 0}, wasm.OpI16x8GtS: {VPCMPGTW, false, 0}, wasm.OpI32x4GtS: {VPCMPGTD, false, 0}, wasm.OpI64x2GtS: {VPCMPGTQ, false, 0},
	wasm.OpI8x16LtS: {VPCMPGTB, true, 0}, wasm.OpI16x8LtS: {VPCMPGTW, true, 0}, wasm.OpI32x4LtS: {VPCMPGTD, true, 0}, wasm.OpI64x2LtS: {VPCMPGTQ, true, 0},
	wasm.OpF32x4Add: {VADDPS, false, 32}, wasm.OpF32x4Sub: {VSUBPS, false, 32}, wasm.OpF32x4Mul: {VMULPS, false, 32}, wasm.OpF32x4Div: {VDIVPS, false, 32},
	wasm.OpF64x2Add: {VADDPD, false, 64}, wasm.OpF64x2Sub: {VSUBPD, false, 64}, wasm.OpF64x2Mul: {VMULPD, false, 64}, wasm.OpF64x2Div: {VDIVPD, false, 64},
	// The instructions return their second source unless the first is less,
	// which is the pseudo-minimum with its operands exchanged.
	wasm.OpF32x4Pmin: {VMINPS, true, 0}, wasm.OpF32x4Pmax: {VMAXPS, true, 0}, wasm.OpF64x2Pmin: {VMINPD, true, 0}, wasm.OpF64x2Pmax: {VMAXPD, true, 0},
}

func (c *compiler) vectorBinary(in instruction, op wasm.Op) bool {
	b, ok := binaryOps[op]
	if !ok {
		return false
	}
	operand := func(slot uint16) Xmm {
		if b.float != 0 {
			return c.lanes(slot, b.float)
		}
		return c.exactVector(slot)
	}
	x, y := operand(in.b), operand(in.c)
	d := c.vectorDst(in.a, x, y)
	if b.swap {
		x, y = y, x
	}
	c.b = VecRRR(c.b, b.op, d, x, y)
	c.setVector(in.a, d, b.float)
	return true
}

// unaryOps are single instructions with one source.
var unaryOps = map[wasm.Op]binaryOp{
	wasm.OpI8x16Abs: {op: VPABSB}, wasm.OpI16x8Abs: {op: VPABSW}, wasm.OpI32x4Abs: {op: VPABSD},
	wasm.OpI16x8ExtendLowI8x16S: {op: VPMOVSXBW}, wasm.OpI16x8ExtendLowI8x16U: {op: VPMOVZXBW},
	wasm.OpI32x4ExtendLowI16x8S: {op: VPMOVSXWD}, wasm.OpI32x4ExtendLowI16x8U: {op: VPMOVZXWD},
	wasm.OpI64x2ExtendLowI32x4S: {op: VPMOVSXDQ}, wasm.OpI64x2ExtendLowI32x4U: {op: VPMOVZXDQ},
	wasm.OpF32x4ConvertI32x4S: {op: VCVTDQ2PS}, wasm.OpF64x2ConvertLowI32x4S: {op: VCVTDQ2PD},
	wasm.OpF32x4Sqrt: {op: VSQRTPS, float: 32}, wasm.OpF64x2Sqrt: {op: VSQRTPD, float: 64},
}

// roundOps have the rounding mode as an immediate.
var roundOps = map[wasm.Op]struct {
	op    Vec
	mode  uint8
	float uint8
}{
	wasm.OpF32x4Nearest: {VROUNDPS, 8, 32}, wasm.OpF32x4Floor: {VROUNDPS, 9, 32}, wasm.OpF32x4Ceil: {VROUNDPS, 10, 32}, wasm.OpF32x4Trunc: {VROUNDPS, 11, 32},
	wasm.OpF64x2Nearest: {VROUNDPD, 8, 64}, wasm.OpF64x2Floor: {VROUNDPD, 9, 64}, wasm.OpF64x2Ceil: {VROUNDPD, 10, 64}, wasm.OpF64x2Trunc: {VROUNDPD, 11, 64},
}

// maskOps combine their operand with a constant.
var maskOps = map[wasm.Op]struct {
	op  Vec
	bit uint64 // both halves of the constant, which is the first source
}{
	wasm.OpF32x4Abs: {VANDNPS, 1<<63 | 1<<31}, wasm.OpF32x4Neg: {VXORPS, 1<<63 | 1<<31},
	wasm.OpF64x2Abs: {VANDNPS, 1 << 63}, wasm.OpF64x2Neg: {VXORPS, 1 << 63},
	wasm.OpV128Not:  {VPXOR, ^uint64(0)},
	wasm.OpI8x16Neg: {VPSUBB, 0}, wasm.OpI16x8Neg: {VPSUBW, 0}, wasm.OpI32x4Neg: {VPSUBD, 0}, wasm.OpI64x2Neg: {VPSUBQ, 0},
	wasm.OpI16x8ExtaddPairwiseI8x16S: {VPMADDUBSW, 0x0101010101010101},
}

func (c *compiler) vectorUnary(in instruction, op wasm.Op) bool {
	if u, ok := unaryOps[op]; ok {
		var x Xmm
		if u.float != 0 {
			x = c.lanes(in.b, u.float)
		} else {
			x = c.exactVector(in.b)
		}
		d := c.vectorDst(in.a, x)
		c.b = VecRR(c.b, u.op, d, x)
		c.setVector(in.a, d, u.float)
		return true
	}
	if r, ok := roundOps[op]; ok {
		x := c.lanes(in.b, r.float)
		d := c.vectorDst(in.a, x)
		c.b = VecRRI(c.b, r.op, d, x, r.mode)
		c.setVector(in.a, d, r.float)
		return true
	}
	if m, ok := maskOps[op]; ok {
		x := c.exactVector(in.b)
		c.vectorConst(scratchX2, m.bit, m.bit)
		d := c.vectorDst(in.a, x)
		c.b = VecRRR(c.b, m.op, d, scratchX2, x)
		c.setVector(in.a, d, 0)
		return true
	}
	return false
}

// comparisons that take more than one instruction.
type vectorComparison struct {
	eq, gt Vec // of the lane's width
	ext    Vec // unsigned minimum or maximum, for unsigned ones
	swap   bool
	invert bool
}

var vectorComparisons = map[wasm.Op]vectorComparison{
	wasm.OpI8x16Ne: {eq: VPCMPEQB, invert: true}, wasm.OpI16x8Ne: {eq: VPCMPEQW, invert: true}, wasm.OpI32x4Ne: {eq: VPCMPEQD, invert: true}, wasm.OpI64x2Ne: {eq: VPCMPEQQ, invert: true},
	wasm.OpI8x16LeS: {gt: VPCMPGTB, invert: true}, wasm.OpI16x8LeS: {gt: VPCMPGTW, invert: true}, wasm.OpI32x4LeS: {gt: VPCMPGTD, invert: true}, wasm.OpI64x2LeS: {gt: VPCMPGTQ, invert: true},
	wasm.OpI8x16GeS: {gt: VPCMPGTB, swap: true, invert: true}, wasm.OpI16x8GeS: {gt: VPCMPGTW, swap: true, invert: true}, wasm.OpI32x4GeS: {gt: VPCMPGTD, swap: true, invert: true}, wasm.OpI64x2GeS: {gt: VPCMPGTQ, swap: true, invert: true},
	wasm.OpI8x16LeU: {eq: VPCMPEQB, ext: VPMINUB}, wasm.OpI16x8LeU: {eq: VPCMPEQW, ext: VPMINUW}, wasm.OpI32x4LeU: {eq: VPCMPEQD, ext: VPMINUD},
	wasm.OpI8x16GeU: {eq: VPCMPEQB, ext: VPMAXUB}, wasm.OpI16x8GeU: {eq: VPCMPEQW, ext: VPMAXUW}, wasm.OpI32x4GeU: {eq: VPCMPEQD, ext: VPMAXUD},
	wasm.OpI8x16GtU: {eq: VPCMPEQB, ext: VPMINUB, invert: true}, wasm.OpI16x8GtU: {eq: VPCMPEQW, ext: VPMINUW, invert: true}, wasm.OpI32x4GtU: {eq: VPCMPEQD, ext: VPMINUD, invert: true},
	wasm.OpI8x16LtU: {eq: VPCMPEQB, ext: VPMAXUB, invert: true}, wasm.OpI16x8LtU: {eq: VPCMPEQW, ext: VPMAXUW, invert: true}, wasm.OpI32x4LtU: {eq: VPCMPEQD, ext: VPMAXUD, invert: true},
}

// floatComparisons have a predicate as an immediate: 0 equal, 1 less, 2 less
// or equal, 4 not equal; a NaN is only not equal.
var floatComparisons = map[wasm.Op]struct {
	op   Vec
	pred uint8
	swap bool
}{
	wasm.OpF32x4Eq: {VCMPPS, 0, false}, wasm.OpF32x4Ne: {VCMPPS, 4, false}, wasm.OpF32x4Lt: {VCMPPS, 1, false}, wasm.OpF32x4Le: {VCMPPS, 2, false}, wasm.OpF32x4Gt: {VCMPPS, 1, true}, wasm.OpF32x4Ge: {VCMPPS, 2, true},
	wasm.OpF64x2Eq: {VCMPPD, 0, false}, wasm.OpF64x2Ne: {VCMPPD, 4, false}, wasm.OpF64x2Lt: {VCMPPD, 1, false}, wasm.OpF64x2Le: {VCMPPD, 2, false}, wasm.OpF64x2Gt: {VCMPPD, 1, true}, wasm.OpF64x2Ge: {VCMPPD, 2, true},
}

func (c *compiler) vectorCompare(in instruction, op wasm.Op) bool {
	if f, ok := floatComparisons[op]; ok {
		x, y := c.exactVector(in.b), c.exactVector(in.c)
		if f.swap {
			x, y = y, x
		}
		d := c.vectorDst(in.a, x, y)
		c.b = VecRRRI(c.b, f.op, d, x, y, f.pred)
		c.setVector(in.a, d, 0)
		return true
	}
	v, ok := vectorComparisons[op]
	if !ok {
		return false
	}
	x, y := c.exactVector(in.b), c.exactVector(in.c)
	a, b := x, y
	if v.swap {
		a, b = b, a
	}
	switch {
	case v.ext != 0: // x ≤ y exactly if min(x, y) = x
		c.b = VecRRR(c.b, v.ext, scratchX, x, y)
		c.b = VecRRR(c.b, v.eq, scratchX, scratchX, x)
	case v.eq != 0:
		c.b = VecRRR(c.b, v.eq, scratchX, a, b)
	default:
		c.b = VecRRR(c.b, v.gt, scratchX, a, b)
	}
	d := c.vectorDst(in.a, x, y)
	if v.invert {
		c.b = VecRRR(c.b, VPCMPEQD, scratchX2, scratchX2, scratchX2)
		c.b = VecRRR(c.b, VPXOR, d, scratchX, scratchX2)
	} else if d != scratchX {
		c.b = VecRR(c.b, VMOVAPS, d, scratchX)
	}
	c.setVector(in.a, d, 0)
	return true
}
