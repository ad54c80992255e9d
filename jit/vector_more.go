package jit

import (
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
	"github.com/kitwork/kwnode/vm/wasm"
)

// vectorLoads are loads of a whole vector or of half of one that is widened.
var vectorLoads = map[wasm.Op]struct {
	op   Vec
	size Width
}{
	wasm.OpV128Load: {VMOVUPS, 16}, wasm.OpV128Load32Zero: {VMOVSS, 4}, wasm.OpV128Load64Zero: {VMOVSD, 8},
	wasm.OpV128Load8x8S: {VPMOVSXBW, 8}, wasm.OpV128Load8x8U: {VPMOVZXBW, 8},
	wasm.OpV128Load16x4S: {VPMOVSXWD, 8}, wasm.OpV128Load16x4U: {VPMOVZXWD, 8},
	wasm.OpV128Load32x2S: {VPMOVSXDQ, 8}, wasm.OpV128Load32x2U: {VPMOVZXDQ, 8},
	wasm.OpV128Load64Splat: {VMOVDDUP, 8},
}

var laneSize = map[wasm.Op]Width{
	wasm.OpV128Load8Splat: 1, wasm.OpV128Load16Splat: 2, wasm.OpV128Load32Splat: 4,
	wasm.OpV128Load8Lane: 1, wasm.OpV128Load16Lane: 2, wasm.OpV128Load32Lane: 4, wasm.OpV128Load64Lane: 8,
	wasm.OpV128Store8Lane: 1, wasm.OpV128Store16Lane: 2, wasm.OpV128Store32Lane: 4, wasm.OpV128Store64Lane: 8,
}

var (
	insertLane  = [...]Vec{1: VPINSRB, 2: VPINSRW, 4: VPINSRD, 8: VPINSRQ}
	extractLane = [...]Vec{1: VPEXTRB, 2: VPEXTRW, 4: VPEXTRD, 8: VPEXTRQ}
)

func (c *compiler) vectorMemory(in instruction, op wasm.Op) bool {
	w := c.f.Ins[in.pc+1]
	off, lane := uint64(uint32(w)), uint8(w>>48)
	if _, _, _, ok := accessOf(c.f.Ins, in); !ok {
		return false
	}
	c.keep(in.c)
	if l, ok := vectorLoads[op]; ok {
		m := c.effective(in.b, off, l.size, in.pc)
		d := c.vectorDst(in.a)
		c.b = VecRM(c.b, l.op, d, m)
		c.setVector(in.a, d, 0)
		return true
	}
	switch op {
	case wasm.OpV128Store:
		x := c.exactVector(in.c)
		m := c.effective(in.b, off, 16, in.pc)
		c.b = VecMR(c.b, VMOVUPSst, m, x)
	case wasm.OpV128Load8Splat, wasm.OpV128Load16Splat, wasm.OpV128Load32Splat:
		size := laneSize[op]
		m := c.effective(in.b, off, size, in.pc)
		c.loadScalar(scratch, m, size)
		d := c.vectorDst(in.a)
		c.splat(d, scratch, size)
		c.setVector(in.a, d, 0)
	case wasm.OpV128Load8Lane, wasm.OpV128Load16Lane, wasm.OpV128Load32Lane, wasm.OpV128Load64Lane:
		size := laneSize[op]
		x := c.exactVector(in.c)
		m := c.effective(in.b, off, size, in.pc)
		c.loadScalar(scratch, m, size)
		d := c.vectorDst(in.a, x)
		c.b = VecRRGI(c.b, insertLane[size], d, x, scratch, lane)
		c.setVector(in.a, d, 0)
	case wasm.OpV128Store8Lane, wasm.OpV128Store16Lane, wasm.OpV128Store32Lane, wasm.OpV128Store64Lane:
		size := laneSize[op]
		x := c.exactVector(in.c)
		m := c.effective(in.b, off, size, in.pc)
		if m.Scale != 0 && m.Index == scratch {
			// The address is in scratch: the lane needs another register.
			r := c.allocG()
			c.heldG = append(c.heldG, r)
			c.b = VecG2I(c.b, extractLane[size], r, x, lane)
			c.b = MOVMR(c.b, size, m, r)
			return true
		}
		c.b = VecG2I(c.b, extractLane[size], scratch, x, lane)
		c.b = MOVMR(c.b, size, m, scratch)
	default:
		return false
	}
	return true
}

func (c *compiler) loadScalar(d Reg, m Mem, size Width) {
	if size < 4 {
		c.b = ExtendRM(c.b, false, size, 4, d, m)
	} else {
		c.b = MOVRM(c.b, size, d, m)
	}
}

// splat fills every lane with a register's low bytes. It uses scratchX2.
func (c *compiler) splat(d Xmm, r Reg, size Width) {
	c.b = VecRG(c.b, VMOVD, max(4, size), d, r)
	switch size {
	case 1:
		c.b = VecRRR(c.b, VPXOR, scratchX2, scratchX2, scratchX2)
		c.b = VecRRR(c.b, VPSHUFB, d, d, scratchX2)
	case 2:
		c.b = VecRRI(c.b, VPSHUFLW, d, d, 0)
		c.b = VecRRI(c.b, VPSHUFD, d, d, 0)
	case 4:
		c.b = VecRRI(c.b, VPSHUFD, d, d, 0)
	case 8:
		c.b = VecRRR(c.b, VPUNPCKLQDQ, d, d, d)
	}
}

// laneOps are splats, extractions and replacements.
var laneOps = map[wasm.Op]struct {
	size   Width
	signed bool
	float  bool
	kind   uint8 // 0 splat, 1 extract, 2 replace
}{
	wasm.OpI8x16Splat: {1, false, false, 0}, wasm.OpI16x8Splat: {2, false, false, 0}, wasm.OpI32x4Splat: {4, false, false, 0},
	wasm.OpI64x2Splat: {8, false, false, 0}, wasm.OpF32x4Splat: {4, false, true, 0}, wasm.OpF64x2Splat: {8, false, true, 0},
	wasm.OpI8x16ExtractLaneS: {1, true, false, 1}, wasm.OpI8x16ExtractLaneU: {1, false, false, 1},
	wasm.OpI16x8ExtractLaneS: {2, true, false, 1}, wasm.OpI16x8ExtractLaneU: {2, false, false, 1},
	wasm.OpI32x4ExtractLane: {4, false, false, 1}, wasm.OpI64x2ExtractLane: {8, false, false, 1},
	wasm.OpF32x4ExtractLane: {4, false, true, 1}, wasm.OpF64x2ExtractLane: {8, false, true, 1},
	wasm.OpI8x16ReplaceLane: {1, false, false, 2}, wasm.OpI16x8ReplaceLane: {2, false, false, 2}, wasm.OpI32x4ReplaceLane: {4, false, false, 2},
	wasm.OpI64x2ReplaceLane: {8, false, false, 2}, wasm.OpF32x4ReplaceLane: {4, false, true, 2}, wasm.OpF64x2ReplaceLane: {8, false, true, 2},
}

func (c *compiler) vectorLane(in instruction, op wasm.Op) bool {
	l, ok := laneOps[op]
	if !ok {
		return false
	}
	lane := uint8(c.f.Ins[in.pc+1] >> 48)
	switch l.kind {
	case 0:
		if l.float {
			x := c.exactReg(in.b)
			d := c.vectorDst(in.a, x)
			if l.size == 4 {
				c.b = VecRRI(c.b, VPSHUFD, d, x, 0)
			} else {
				c.b = VecRRR(c.b, VPUNPCKLQDQ, d, x, x)
			}
			c.setVector(in.a, d, 0)
			return true
		}
		r := c.intReg(in.b, 8)
		d := c.vectorDst(in.a)
		c.splat(d, r, l.size)
		c.setVector(in.a, d, 0)
	case 1:
		x := c.exactVector(in.b)
		if l.float && l.size == 8 {
			d := c.floatDst(in.a, &place{x: x})
			if lane == 1 {
				c.b = VecRRR(c.b, VPUNPCKHQDQ, d, x, x)
			} else if d != x {
				c.b = VecRR(c.b, VMOVAPS, d, x)
			}
			c.setFloat(in.a, d, 0)
			return true
		}
		c.b = VecG2I(c.b, extractLane[l.size], scratch, x, lane)
		if l.float {
			d := c.floatDst(in.a, &place{x: x})
			c.b = VecRG(c.b, VMOVD, 4, d, scratch)
			c.setFloat(in.a, d, 0)
			return true
		}
		d := c.intDst(in.a, nil)
		switch {
		case l.signed:
			c.b = ExtendRR(c.b, true, l.size, 4, d, scratch)
		case d != scratch:
			c.b = MOVRR(c.b, max(4, l.size), d, scratch)
		}
		c.setInt(in.a, d)
	default:
		x := c.exactVector(in.b)
		var r Reg
		if l.float {
			y := c.exactReg(in.c)
			r = scratch
			c.b = VecG2(c.b, VMOVDst, l.size, r, y)
		} else {
			r = c.intReg(in.c, 8)
		}
		d := c.vectorDst(in.a, x)
		c.b = VecRRGI(c.b, insertLane[l.size], d, x, r, lane)
		c.setVector(in.a, d, 0)
	}
	return true
}

// vectorShifts shift all lanes by one count.
var vectorShifts = map[wasm.Op]struct {
	op   Vec
	bits uint8
}{
	wasm.OpI16x8Shl: {VPSLLW, 16}, wasm.OpI16x8ShrS: {VPSRAW, 16}, wasm.OpI16x8ShrU: {VPSRLW, 16},
	wasm.OpI32x4Shl: {VPSLLD, 32}, wasm.OpI32x4ShrS: {VPSRAD, 32}, wasm.OpI32x4ShrU: {VPSRLD, 32},
	wasm.OpI64x2Shl: {VPSLLQ, 64}, wasm.OpI64x2ShrU: {VPSRLQ, 64}, wasm.OpI64x2ShrS: {0, 64},
	wasm.OpI8x16Shl: {0, 8}, wasm.OpI8x16ShrS: {0, 8}, wasm.OpI8x16ShrU: {0, 8},
}

func (c *compiler) vectorShift(in instruction, op wasm.Op) bool {
	s, ok := vectorShifts[op]
	if !ok {
		return false
	}
	x := c.exactVector(in.b)
	if t := c.find(in.c); t != nil && t.kind == isConst {
		c.b = MOVRI(c.b, scratch, t.value&uint64(s.bits-1))
		c.drop(in.c)
	} else {
		r := c.intReg(in.c, 4)
		c.b = MOVRR(c.b, 4, scratch, r)
		c.b = ALURI(c.b, AND, 4, scratch, int32(s.bits-1))
	}
	c.b = VecRG(c.b, VMOVD, 4, scratchX2, scratch)
	switch {
	case s.op != 0:
		d := c.vectorDst(in.a, x)
		c.b = VecRRR(c.b, s.op, d, x, scratchX2)
		c.setVector(in.a, d, 0)
	case s.bits == 64:
		// The shifted sign bit m extends itself: (x >>u n ^ m) − m.
		m := c.holdX()
		c.vectorConst(scratchX, 1<<63, 1<<63)
		c.b = VecRRR(c.b, VPSRLQ, m, scratchX, scratchX2)
		c.b = VecRRR(c.b, VPSRLQ, scratchX, x, scratchX2)
		c.b = VecRRR(c.b, VPXOR, scratchX, scratchX, m)
		d := c.vectorDst(in.a, x)
		c.b = VecRRR(c.b, VPSUBQ, d, scratchX, m)
		c.setVector(in.a, d, 0)
	default:
		c.shiftBytes(in, op, x)
	}
	return true
}

// shiftBytes shifts lanes of 8 bits in lanes of 16, each byte in the upper half
// for a shift to the right. The count is in scratchX2.
func (c *compiler) shiftBytes(in instruction, op wasm.Op, x Xmm) {
	t := c.holdX()
	shift := VPSRLW
	switch op {
	case wasm.OpI8x16Shl:
		// Even and odd bytes apart; what crosses into the neighbour is masked.
		c.b = VecRRR(c.b, VPSLLW, t, x, scratchX2)
		c.b = VecShift(c.b, VPSLLWI, t, t, 8)
		c.b = VecShift(c.b, VPSRLWI, t, t, 8) // even bytes shifted, clean
		c.b = VecShift(c.b, VPSRLWI, scratchX, x, 8)
		c.b = VecRRR(c.b, VPSLLW, scratchX, scratchX, scratchX2)
		c.b = VecShift(c.b, VPSLLWI, scratchX, scratchX, 8) // odd bytes shifted
		d := c.vectorDst(in.a, x)
		c.b = VecRRR(c.b, VPOR, d, t, scratchX)
		c.setVector(in.a, d, 0)
		return
	case wasm.OpI8x16ShrS:
		shift = VPSRAW
	}
	c.b = VecShift(c.b, VPSLLWI, t, x, 8)
	c.b = VecRRR(c.b, shift, t, t, scratchX2)
	c.b = VecShift(c.b, VPSRLWI, t, t, 8) // even bytes
	c.b = VecRRR(c.b, shift, scratchX, x, scratchX2)
	c.b = VecShift(c.b, VPSRLWI, scratchX, scratchX, 8)
	c.b = VecShift(c.b, VPSLLWI, scratchX, scratchX, 8) // odd bytes
	d := c.vectorDst(in.a, x)
	c.b = VecRRR(c.b, VPOR, d, t, scratchX)
	c.setVector(in.a, d, 0)
}

func (c *compiler) vectorTest(in instruction, op wasm.Op) bool {
	switch op {
	case wasm.OpV128AnyTrue:
		x := c.exactVector(in.b)
		c.b = VecRR(c.b, VPTEST, x, x)
		c.setCond(in.a, NE)
	case wasm.OpI8x16AllTrue, wasm.OpI16x8AllTrue, wasm.OpI32x4AllTrue, wasm.OpI64x2AllTrue:
		eq := map[wasm.Op]Vec{wasm.OpI8x16AllTrue: VPCMPEQB, wasm.OpI16x8AllTrue: VPCMPEQW, wasm.OpI32x4AllTrue: VPCMPEQD, wasm.OpI64x2AllTrue: VPCMPEQQ}[op]
		x := c.exactVector(in.b)
		c.b = VecRRR(c.b, VPXOR, scratchX, scratchX, scratchX)
		c.b = VecRRR(c.b, eq, scratchX, scratchX, x)
		c.b = VecRR(c.b, VPTEST, scratchX, scratchX)
		c.setCond(in.a, E)
	case wasm.OpI8x16Bitmask, wasm.OpI16x8Bitmask, wasm.OpI32x4Bitmask, wasm.OpI64x2Bitmask:
		x := c.exactVector(in.b)
		d := c.intDst(in.a, nil)
		switch op {
		case wasm.OpI8x16Bitmask:
			c.b = VecGR(c.b, VPMOVMSKB, 4, d, x)
		case wasm.OpI16x8Bitmask:
			c.b = VecRRR(c.b, VPACKSSWB, scratchX, x, x)
			c.b = VecGR(c.b, VPMOVMSKB, 4, d, scratchX)
			c.b = ExtendRR(c.b, false, 1, 4, d, d)
		case wasm.OpI32x4Bitmask:
			c.b = VecGR(c.b, VMOVMSKPS, 4, d, x)
		default:
			c.b = VecGR(c.b, VMOVMSKPD, 4, d, x)
		}
		c.setInt(in.a, d)
	default:
		return false
	}
	return true
}

// widenOps extend one half of each operand and, with two of them, multiply.
var widenOps = map[wasm.Op]struct {
	extend Vec
	mul    Vec // 0: one operand
	high   bool
}{
	wasm.OpI16x8ExtendHighI8x16S: {VPMOVSXBW, 0, true}, wasm.OpI16x8ExtendHighI8x16U: {VPMOVZXBW, 0, true},
	wasm.OpI32x4ExtendHighI16x8S: {VPMOVSXWD, 0, true}, wasm.OpI32x4ExtendHighI16x8U: {VPMOVZXWD, 0, true},
	wasm.OpI64x2ExtendHighI32x4S: {VPMOVSXDQ, 0, true}, wasm.OpI64x2ExtendHighI32x4U: {VPMOVZXDQ, 0, true},
	wasm.OpI16x8ExtmulLowI8x16S: {VPMOVSXBW, VPMULLW, false}, wasm.OpI16x8ExtmulHighI8x16S: {VPMOVSXBW, VPMULLW, true},
	wasm.OpI16x8ExtmulLowI8x16U: {VPMOVZXBW, VPMULLW, false}, wasm.OpI16x8ExtmulHighI8x16U: {VPMOVZXBW, VPMULLW, true},
	wasm.OpI32x4ExtmulLowI16x8S: {VPMOVSXWD, VPMULLD, false}, wasm.OpI32x4ExtmulHighI16x8S: {VPMOVSXWD, VPMULLD, true},
	wasm.OpI32x4ExtmulLowI16x8U: {VPMOVZXWD, VPMULLD, false}, wasm.OpI32x4ExtmulHighI16x8U: {VPMOVZXWD, VPMULLD, true},
	wasm.OpI64x2ExtmulLowI32x4S: {VPMOVSXDQ, VPMULDQ, false}, wasm.OpI64x2ExtmulHighI32x4S: {VPMOVSXDQ, VPMULDQ, true},
	wasm.OpI64x2ExtmulLowI32x4U: {VPMOVZXDQ, VPMULUDQ, false}, wasm.OpI64x2ExtmulHighI32x4U: {VPMOVZXDQ, VPMULUDQ, true},
}

func (c *compiler) vectorWiden(in instruction, op wasm.Op) bool {
	w, ok := widenOps[op]
	if !ok {
		return false
	}
	half := func(d, x Xmm) {
		if w.high {
			c.b = VecRRR(c.b, VPUNPCKHQDQ, d, x, x)
			x = d
		}
		c.b = VecRR(c.b, w.extend, d, x)
	}
	x := c.exactVector(in.b)
	if w.mul == 0 {
		half(scratchX, x)
		d := c.vectorDst(in.a, x)
		if d != scratchX {
			c.b = VecRR(c.b, VMOVAPS, d, scratchX)
		}
		c.setVector(in.a, d, 0)
		return true
	}
	y := c.exactVector(in.c)
	half(scratchX, x)
	half(scratchX2, y)
	d := c.vectorDst(in.a, x, y)
	c.b = VecRRR(c.b, w.mul, d, scratchX, scratchX2)
	c.setVector(in.a, d, 0)
	return true
}

// vectorOther translates what has no pattern in common with another.
func (c *compiler) vectorOther(in instruction, op wasm.Op) bool {
	ins := c.f.Ins
	switch op {
	case wasm.OpV128Bitselect:
		x, y, m := c.exactVector(in.b), c.exactVector(in.c), c.exactVector(uint16(ins[in.pc+1]>>32))
		c.b = VecRRR(c.b, VPAND, scratchX, x, m)
		c.b = VecRRR(c.b, VPANDN, scratchX2, m, y)
		d := c.vectorDst(in.a, x, y, m)
		c.b = VecRRR(c.b, VPOR, d, scratchX, scratchX2)
		c.setVector(in.a, d, 0)
	case wasm.OpI8x16Swizzle:
		x, y := c.exactVector(in.b), c.exactVector(in.c)
		// Adding with saturation sets the top bit of every index beyond 15.
		c.vectorConst(scratchX2, 0x7070707070707070, 0x7070707070707070)
		c.b = VecRRR(c.b, VPADDUSB, scratchX2, scratchX2, y)
		d := c.vectorDst(in.a, x, y)
		c.b = VecRRR(c.b, VPSHUFB, d, x, scratchX2)
		c.setVector(in.a, d, 0)
	case wasm.OpI8x16Shuffle:
		c.shuffle(in, ins[in.pc+2], ins[in.pc+3])
	case wasm.OpI64x2Mul:
		// The cross products of 32-bit halves make the upper half.
		x, y := c.exactVector(in.b), c.exactVector(in.c)
		c.b = VecShift(c.b, VPSRLQI, scratchX, x, 32)
		c.b = VecRRR(c.b, VPMULUDQ, scratchX, scratchX, y)
		c.b = VecShift(c.b, VPSRLQI, scratchX2, y, 32)
		c.b = VecRRR(c.b, VPMULUDQ, scratchX2, scratchX2, x)
		c.b = VecRRR(c.b, VPADDQ, scratchX, scratchX, scratchX2)
		c.b = VecShift(c.b, VPSLLQI, scratchX, scratchX, 32)
		c.b = VecRRR(c.b, VPMULUDQ, scratchX2, x, y)
		d := c.vectorDst(in.a, x, y)
		c.b = VecRRR(c.b, VPADDQ, d, scratchX, scratchX2)
		c.setVector(in.a, d, 0)
	case wasm.OpI64x2Abs:
		x := c.exactVector(in.b)
		c.b = VecRRR(c.b, VPXOR, scratchX, scratchX, scratchX)
		c.b = VecRRR(c.b, VPCMPGTQ, scratchX, scratchX, x) // all ones where negative
		c.b = VecRRR(c.b, VPXOR, scratchX2, x, scratchX)
		d := c.vectorDst(in.a, x)
		c.b = VecRRR(c.b, VPSUBQ, d, scratchX2, scratchX)
		c.setVector(in.a, d, 0)
	case wasm.OpI16x8ExtaddPairwiseI8x16U:
		x := c.exactVector(in.b)
		c.vectorConst(scratchX2, 0x0101010101010101, 0x0101010101010101)
		d := c.vectorDst(in.a, x)
		c.b = VecRRR(c.b, VPMADDUBSW, d, x, scratchX2)
		c.setVector(in.a, d, 0)
	case wasm.OpI32x4ExtaddPairwiseI16x8S:
		x := c.exactVector(in.b)
		c.vectorConst(scratchX2, 0x0001000100010001, 0x0001000100010001)
		d := c.vectorDst(in.a, x)
		c.b = VecRRR(c.b, VPMADDWD, d, x, scratchX2)
		c.setVector(in.a, d, 0)
	case wasm.OpI32x4ExtaddPairwiseI16x8U:
		x := c.exactVector(in.b)
		c.b = VecShift(c.b, VPSRLDI, scratchX, x, 16)
		c.b = VecShift(c.b, VPSLLDI, scratchX2, x, 16)
		c.b = VecShift(c.b, VPSRLDI, scratchX2, scratchX2, 16)
		d := c.vectorDst(in.a, x)
		c.b = VecRRR(c.b, VPADDD, d, scratchX, scratchX2)
		c.setVector(in.a, d, 0)
	case wasm.OpI16x8Q15mulrSatS:
		// −1 · −1 is the one product that doesn't fit: 0x8000 becomes 0x7fff.
		x, y := c.exactVector(in.b), c.exactVector(in.c)
		c.b = VecRRR(c.b, VPMULHRSW, scratchX, x, y)
		c.vectorConst(scratchX2, 0x8000800080008000, 0x8000800080008000)
		c.b = VecRRR(c.b, VPCMPEQW, scratchX2, scratchX2, scratchX)
		d := c.vectorDst(in.a, x, y)
		c.b = VecRRR(c.b, VPXOR, d, scratchX, scratchX2)
		c.setVector(in.a, d, 0)
	case wasm.OpI8x16Popcnt:
		c.popcountBytes(in)
	default:
		return c.vectorFloat(in, op)
	}
	return true
}

// popcountBytes looks up the counts of the two halves of each byte.
func (c *compiler) popcountBytes(in instruction) {
	x := c.exactVector(in.b)
	t := c.holdX()
	const lo, hi = 0x0302020102010100, 0x0403030203020201 // counts of 0 to 15
	c.vectorConst(scratchX2, 0x0f0f0f0f0f0f0f0f, 0x0f0f0f0f0f0f0f0f)
	c.b = VecRRR(c.b, VPAND, scratchX, x, scratchX2)
	c.b = VecShift(c.b, VPSRLWI, t, x, 4)
	c.b = VecRRR(c.b, VPAND, t, t, scratchX2)
	c.vectorConst(scratchX2, lo, hi)
	c.b = VecRRR(c.b, VPSHUFB, scratchX, scratchX2, scratchX)
	c.b = VecRRR(c.b, VPSHUFB, t, scratchX2, t)
	d := c.vectorDst(in.a, x)
	c.b = VecRRR(c.b, VPADDB, d, scratchX, t)
	c.setVector(in.a, d, 0)
}

// shuffle picks bytes from both operands: an index with its top bit set gives
// zero, so each operand is shuffled by the lanes that are its own.
func (c *compiler) shuffle(in instruction, lo, hi uint64) {
	var first, second [2]uint64
	for i := range 16 {
		half, at := i/8, uint(i%8)*8
		lane := byte([2]uint64{lo, hi}[half] >> at)
		a, b := uint64(lane), uint64(0x80)
		if lane >= 16 {
			a, b = 0x80, uint64(lane-16)
		}
		first[half] |= a << at
		second[half] |= b << at
	}
	x, y := c.exactVector(in.b), c.exactVector(in.c)
	c.vectorConst(scratchX2, first[0], first[1])
	c.b = VecRRR(c.b, VPSHUFB, scratchX, x, scratchX2)
	c.vectorConst(scratchX2, second[0], second[1])
	c.b = VecRRR(c.b, VPSHUFB, scratchX2, y, scratchX2)
	d := c.vectorDst(in.a, x, y)
	c.b = VecRRR(c.b, VPOR, d, scratchX, scratchX2)
	c.setVector(in.a, d, 0)
}

func (c *compiler) vectorFloat(in instruction, op wasm.Op) bool {
	switch op {
	case wasm.OpF32x4Min, wasm.OpF32x4Max, wasm.OpF64x2Min, wasm.OpF64x2Max:
		width, ops := uint8(32), [3]Vec{VMINPS, VMAXPS, VSUBPS}
		if op >= wasm.OpF64x2Abs {
			width, ops = 64, [3]Vec{VMINPD, VMAXPD, VSUBPD}
		}
		x, y := c.lanes(in.b, width), c.lanes(in.c, width)
		pick := ops[0]
		isMax := op == wasm.OpF32x4Max || op == wasm.OpF64x2Max
		if isMax {
			pick = ops[1]
		}
		// As minMax does for scalars.
		c.b = VecRRR(c.b, pick, scratchX, x, y)
		c.b = VecRRR(c.b, pick, scratchX2, y, x)
		d := c.vectorDst(in.a, x, y)
		if isMax {
			c.b = VecRRR(c.b, VXORPS, scratchX2, scratchX2, scratchX)
			c.b = VecRRR(c.b, VORPS, scratchX, scratchX, scratchX2)
			c.b = VecRRR(c.b, ops[2], d, scratchX, scratchX2)
		} else {
			c.b = VecRRR(c.b, VORPS, d, scratchX, scratchX2)
		}
		c.setVector(in.a, d, width)
	case wasm.OpF64x2PromoteLowF32x4:
		x := c.lanes(in.b, 32)
		d := c.vectorDst(in.a, x)
		c.b = VecRR(c.b, VCVTPS2PD, d, x)
		c.setVector(in.a, d, 64)
	case wasm.OpF32x4DemoteF64x2Zero:
		x := c.lanes(in.b, 64)
		d := c.vectorDst(in.a, x)
		c.b = VecRR(c.b, VCVTPD2PS, d, x)
		c.setVector(in.a, d, 32)
	case wasm.OpF32x4ConvertI32x4U:
		// Both halves of 16 bits are exact; their sum rounds once.
		x := c.exactVector(in.b)
		c.b = VecShift(c.b, VPSLLDI, scratchX, x, 16)
		c.b = VecShift(c.b, VPSRLDI, scratchX, scratchX, 16)
		c.b = VecRR(c.b, VCVTDQ2PS, scratchX, scratchX)
		t := c.holdX()
		c.b = VecShift(c.b, VPSRLDI, t, x, 16)
		c.b = VecRR(c.b, VCVTDQ2PS, t, t)
		c.vectorConst(scratchX2, 0x4780000047800000, 0x4780000047800000) // 65536
		c.b = VecRRR(c.b, VMULPS, t, t, scratchX2)
		d := c.vectorDst(in.a, x)
		c.b = VecRRR(c.b, VADDPS, d, t, scratchX)
		c.setVector(in.a, d, 0)
	case wasm.OpF64x2ConvertLowI32x4U:
		// 2^52 + x has x in its low bits; subtracting 2^52 leaves x.
		x := c.exactVector(in.b)
		c.vectorConst(scratchX2, 0x4330000043300000, 0x4330000043300000)
		c.b = VecRRR(c.b, VPUNPCKLDQ, scratchX, x, scratchX2)
		c.vectorConst(scratchX2, 0x4330000000000000, 0x4330000000000000)
		d := c.vectorDst(in.a, x)
		c.b = VecRRR(c.b, VSUBPD, d, scratchX, scratchX2)
		c.setVector(in.a, d, 0)
	case wasm.OpI32x4TruncSatF32x4S:
		// "Indefinite" is 0x80000000: right below the range, wrong above it,
		// where all bits flip, and for a NaN, which becomes zero first.
		x := c.exactVector(in.b)
		t := c.holdX()
		c.b = VecRRRI(c.b, VCMPPS, scratchX, x, x, 0)
		c.b = VecRRR(c.b, VPAND, t, x, scratchX)
		c.vectorConst(scratchX2, 0x4f0000004f000000, 0x4f0000004f000000) // 2^31
		c.b = VecRRRI(c.b, VCMPPS, scratchX2, scratchX2, t, 2)
		c.b = VecRR(c.b, VCVTTPS2DQ, t, t)
		d := c.vectorDst(in.a, x)
		c.b = VecRRR(c.b, VPXOR, d, t, scratchX2)
		c.setVector(in.a, d, 0)
	case wasm.OpI32x4TruncSatF32x4U:
		c.truncateLanesUnsigned(in)
	case wasm.OpI32x4TruncSatF64x2SZero, wasm.OpI32x4TruncSatF64x2UZero:
		c.truncateDoubles(in, op == wasm.OpI32x4TruncSatF64x2UZero)
	default:
		return false
	}
	return true
}

// truncateLanesUnsigned converts x and x−2^31 as signed numbers. Below 2^31 the second is cut to zero; above, the first
// is "indefinite", 0x80000000, to which the second adds; beyond 2^32 the second becomes 0x7fffffff, and the sum is all
// ones.
func (c *compiler) truncateLanesUnsigned(in instruction) {
	x := c.exactVector(in.b)
	t := c.holdX()
	c.b = VecRRR(c.b, VXORPS, scratchX, scratchX, scratchX)
	c.b = VecRRR(c.b, VMAXPS, t, x, scratchX)                        // the second source, zero, for a NaN
	c.vectorConst(scratchX2, 0x4f0000004f000000, 0x4f0000004f000000) // 2^31
	c.b = VecRRR(c.b, VSUBPS, scratchX, t, scratchX2)
	c.b = VecRRRI(c.b, VCMPPS, scratchX2, scratchX2, scratchX, 2) // 2^31 ≤ x−2^31
	c.b = VecRR(c.b, VCVTTPS2DQ, scratchX, scratchX)
	c.b = VecRRR(c.b, VPXOR, scratchX, scratchX, scratchX2)
	c.b = VecRRR(c.b, VPXOR, scratchX2, scratchX2, scratchX2)
	c.b = VecRRR(c.b, VPMAXSD, scratchX, scratchX, scratchX2)
	c.b = VecRR(c.b, VCVTTPS2DQ, t, t)
	d := c.vectorDst(in.a, x)
	c.b = VecRRR(c.b, VPADDD, d, t, scratchX)
	c.setVector(in.a, d, 0)
}

// truncateDoubles clamps to what 32 bits can hold, as a double can hold all of it, and turns a NaN into zero.
func (c *compiler) truncateDoubles(in instruction, unsigned bool) {
	x := c.exactVector(in.b)
	t := c.holdX()
	if !unsigned {
		c.b = VecRRRI(c.b, VCMPPD, t, x, x, 0)                           // all ones but for a NaN
		c.vectorConst(scratchX2, 0x41dfffffffc00000, 0x41dfffffffc00000) // 2^31−1
		c.b = VecRRR(c.b, VPAND, t, t, scratchX2)
		c.b = VecRRR(c.b, VMINPD, t, x, t) // the second source, zero, for a NaN
		d := c.vectorDst(in.a, x)
		// "Indefinite" below the range is its smallest number. The upper half becomes zero.
		c.b = VecRR(c.b, VCVTTPD2DQ, d, t)
		c.setVector(in.a, d, 0)
		return
	}
	c.b = VecRRR(c.b, VPXOR, scratchX, scratchX, scratchX)
	c.b = VecRRR(c.b, VMAXPD, t, x, scratchX)
	c.vectorConst(scratchX2, 0x41efffffffe00000, 0x41efffffffe00000) // 2^32−1
	c.b = VecRRR(c.b, VMINPD, t, t, scratchX2)
	c.b = VecRRI(c.b, VROUNDPD, t, t, rounding[fTrunc])
	// Adding 2^52 leaves the integer in the low bits.
	c.vectorConst(scratchX2, 0x4330000000000000, 0x4330000000000000)
	c.b = VecRRR(c.b, VADDPD, t, t, scratchX2)
	d := c.vectorDst(in.a, x)
	c.b = VecRRRI(c.b, VSHUFPS, d, t, scratchX, 0x88)
	c.setVector(in.a, d, 0)
}
