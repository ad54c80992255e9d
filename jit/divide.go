package jit

import (
	"math/bits"

	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
)

// Division by a constant is a multiplication by its reciprocal, rounded up far enough that the quotient's integer part
// is exact (Granlund and Montgomery, "Division by Invariant Integers using Multiplication", 1994).

// divideConst translates a division or remainder whose divisor is a constant, but for those that trap or need nothing
// of the kind: 0, 1 and −1.
func (c *compiler) divideConst(in instruction, w Width, signed, rest bool) bool {
	t := c.find(in.c)
	if t == nil || t.kind != isConst {
		return false
	}
	d := t.value
	if w == 4 {
		d = uint64(uint32(d))
		if signed {
			d = uint64(int64(int32(d)))
		}
	}
	if d == 0 || d == 1 || signed && int64(d) == -1 {
		return false
	}
	c.drop(in.c)
	x := c.intReg(in.b, w)
	c.grab(RDX)
	if x == RDX {
		x = c.allocG()
		c.heldG = append(c.heldG, x)
		c.b = MOVRR(c.b, w, x, RDX)
	}
	switch {
	case signed:
		c.quotientSigned(x, w, int64(d))
	case d&(d-1) == 0:
		c.b = MOVRR(c.b, w, RDX, x)
		c.b = ShiftRI(c.b, SHR, w, RDX, uint8(bits.TrailingZeros64(d)))
	case w == 4:
		// ⌈2^64/d⌉·x has the quotient above 64 bits: its error, below d·x, is below 2^64.
		c.b = MOVRI(c.b, RAX, ^uint64(0)/d+1)
		c.b = UnaryR(c.b, MUL, 8, x)
	default:
		c.quotient64(x, d)
	}
	if rest {
		if imm, ok := immediate(w, d); ok {
			c.b = IMULRI(c.b, w, RDX, RDX, imm)
		} else {
			c.b = MOVRI(c.b, RAX, d)
			c.b = IMULRR(c.b, w, RDX, RAX)
		}
		c.b = MOVRR(c.b, w, RAX, x)
		c.b = ALURR(c.b, SUB, w, RAX, RDX)
	} else {
		c.b = MOVRR(c.b, w, RAX, RDX)
	}
	c.done()
	c.fromScratch(in.a)
	return true
}

// quotient64 leaves x/d in RDX. The reciprocal ⌈2^(64+l)/d⌉ with 2^(l−1) < d < 2^l has 65 bits, of which the top one is
// added by hand without overflow: ((x−t)/2 + t) / 2^(l−1).
func (c *compiler) quotient64(x Reg, d uint64) {
	l := bits.Len64(d)
	m, _ := bits.Div64(uint64(1)<<l-d, 0, d) // 1<<64 is 0, and then the difference is right as well
	c.b = MOVRI(c.b, RAX, m+1)
	c.b = UnaryR(c.b, MUL, 8, x)
	c.b = MOVRR(c.b, 8, RAX, x)
	c.b = ALURR(c.b, SUB, 8, RAX, RDX)
	c.b = ShiftRI(c.b, SHR, 8, RAX, 1)
	c.b = ALURR(c.b, ADD, 8, RDX, RAX)
	if l > 1 {
		c.b = ShiftRI(c.b, SHR, 8, RDX, uint8(l-1))
	}
}

// quotientSigned leaves x/d in RDX. With n bits and 2^(l−1) < |d| ≤ 2^l the reciprocal is ⌊2^(n+l−1)/|d|⌋+1; the shift
// rounds down, so one is added for a negative x.
func (c *compiler) quotientSigned(x Reg, w Width, d int64) {
	abs := uint64(d)
	if d < 0 {
		abs = -abs
	}
	l := max(1, bits.Len64(abs-1))
	if w == 4 {
		m := uint64(1)<<(31+l)/abs + 1
		c.b = MOVRI(c.b, RAX, m)
		c.b = ExtendRR(c.b, true, 4, 8, RDX, x)
		c.b = IMULRR(c.b, 8, RDX, RAX)
		c.b = ShiftRI(c.b, SAR, 8, RDX, uint8(31+l))
	} else {
		// Of the reciprocal's 64 bits the top one is set, which makes it negative here: x is added for that.
		m, _ := bits.Div64(1<<(l-1), 0, abs)
		c.b = MOVRI(c.b, RAX, m+1)
		c.b = UnaryR(c.b, IMUL, 8, x)
		c.b = ALURR(c.b, ADD, 8, RDX, x)
		if l > 1 {
			c.b = ShiftRI(c.b, SAR, 8, RDX, uint8(l-1))
		}
	}
	c.b = MOVRR(c.b, w, RAX, x)
	c.b = ShiftRI(c.b, SHR, w, RAX, uint8(w*8-1))
	c.b = ALURR(c.b, ADD, w, RDX, RAX)
	if d < 0 {
		c.b = UnaryR(c.b, NEG, w, RDX)
	}
}
