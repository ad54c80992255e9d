package jit

import (
	"math"

	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
	"github.com/kitwork/kwnode/vm/wasm"
)

// access is how a load or store touches memory.
type access struct {
	size   Width
	float  bool
	signed bool
	to     Width // a load's result
}

var accesses = [wasm.OpI64Store32 + 1]access{
	wasm.OpI32Load: {4, false, false, 4}, wasm.OpI64Load: {8, false, false, 8},
	wasm.OpF32Load: {4, true, false, 4}, wasm.OpF64Load: {8, true, false, 8},
	wasm.OpI32Load8S: {1, false, true, 4}, wasm.OpI32Load8U: {1, false, false, 4},
	wasm.OpI32Load16S: {2, false, true, 4}, wasm.OpI32Load16U: {2, false, false, 4},
	wasm.OpI64Load8S: {1, false, true, 8}, wasm.OpI64Load8U: {1, false, false, 8},
	wasm.OpI64Load16S: {2, false, true, 8}, wasm.OpI64Load16U: {2, false, false, 8},
	wasm.OpI64Load32S: {4, false, true, 8}, wasm.OpI64Load32U: {4, false, false, 8},
	wasm.OpI32Store: {4, false, false, 0}, wasm.OpI64Store: {8, false, false, 0},
	wasm.OpF32Store: {4, true, false, 0}, wasm.OpF64Store: {8, true, false, 0},
	wasm.OpI32Store8: {1, false, false, 0}, wasm.OpI32Store16: {2, false, false, 0},
	wasm.OpI64Store8: {1, false, false, 0}, wasm.OpI64Store16: {2, false, false, 0}, wasm.OpI64Store32: {4, false, false, 0},
}

// offset is the constant part of an access's address.
func (c *compiler) offset(in instruction) uint64 {
	if in.op&code.KBit != 0 {
		return c.f.Ins[in.pc+1]
	}
	return uint64(in.c)
}

// keep remembers an operand that is about to be consumed, for a cold path that
// gives the instruction to the interpreter.
func (c *compiler) keep(slot uint16) {
	if t := c.find(slot); t != nil {
		c.kept = append(c.kept, *t)
	}
}

// effective checks that size bytes at the address in slot plus off are inside
// the memory and returns where they are. The address has 32 bits and a clean
// upper half, so that the sum can't wrap. Other operands were kept and are in
// registers.
func (c *compiler) effective(slot uint16, off uint64, size Width, pc uint32) Mem {
	end := off + uint64(size)
	if t := c.find(slot); t != nil && t.kind == isConst && t.value+end <= math.MaxInt32 {
		at := t.value + off
		c.drop(slot)
		if !c.guards[pc].covered {
			c.b = ALUMI(c.b, CMP, 8, c.field(c.lay.MemLen), int32(at+uint64(size)))
			c.trap(B, code.NativeTrapMemory, pc)
		}
		return Mem{Base: regMem, Disp: int32(at)}
	}
	g, grouped := c.guards[pc]
	c.keep(slot)
	r := c.intReg(slot, 4)
	at := Mem{Base: regMem, Index: r, Scale: 1, Disp: int32(off)}
	switch {
	case g.covered:
		return at
	case grouped:
		low := r
		if g.down != 0 {
			c.b = LEA(c.b, 4, scratch, Mem{Base: r, Disp: -g.down})
			low = scratch
		}
		before, out := c.snapshot(c.kept...), c.out(&c.exitStep, pc)
		c.inside(low, int32(g.span), func() {
			before()
			out()
		})
		return at
	case end <= math.MaxInt32:
		c.inside(r, int32(end), c.out(&c.trapAt[code.NativeTrapMemory], pc))
		return at
	}
	// scratch is the end of the access.
	c.b = MOVRI(c.b, scratch, end)
	c.b = ALURR(c.b, ADD, 8, scratch, r)
	c.b = ALURM(c.b, CMP, 8, scratch, c.field(c.lay.MemLen))
	c.trap(A, code.NativeTrapMemory, pc)
	if off <= math.MaxInt32 {
		return at
	}
	return Mem{Base: regMem, Index: scratch, Scale: 1, Disp: -int32(size)}
}

// inside goes to fail, which is cold, unless memory reaches span bytes behind the address in low. Most addresses are
// nowhere near its end, and comparing them is enough.
func (c *compiler) inside(low Reg, span int32, fail func()) {
	end := Mem{Base: low, Disp: span}
	if span > code.NearBytes {
		c.b = LEA(c.b, 8, scratch, end)
		c.b = ALURM(c.b, CMP, 8, scratch, c.field(c.lay.MemLen))
		c.jcc(A, fail)
		return
	}
	c.b = ALURM(c.b, CMP, 8, low, c.field(c.lay.Near))
	var back int
	c.jcc(AE, func() {
		c.b = LEA(c.b, 8, scratch, end)
		c.b = ALURM(c.b, CMP, 8, scratch, c.field(c.lay.MemLen))
		c.b = Jcc(c.b, BE, 0)
		c.patch(len(c.b)-4, back)
		fail()
	})
	back = len(c.b)
}

func (c *compiler) load(in instruction) {
	a := accesses[wasm.Op(in.op&^code.KBit)]
	m := c.effective(in.b, c.offset(in), a.size, in.pc)
	if a.float {
		d := c.floatDst(in.a, nil)
		if a.size == 4 {
			c.b = VecRM(c.b, VMOVSS, d, m)
		} else {
			c.b = VecRM(c.b, VMOVSD, d, m)
		}
		c.setFloat(in.a, d, 0)
		return
	}
	var reuse *place
	if m.Scale != 0 {
		reuse = &place{reg: m.Index}
	}
	d := c.intDst(in.a, reuse)
	switch {
	case a.size == 8:
		c.b = MOVRM(c.b, 8, d, m)
	case a.size == 4 && !a.signed || a.size == 4 && a.to == 4:
		c.b = MOVRM(c.b, 4, d, m)
	default:
		c.b = ExtendRM(c.b, a.signed, a.size, a.to, d, m)
	}
	c.setInt(in.a, d)
}

func (c *compiler) store(in instruction) {
	a := accesses[wasm.Op(in.op&^code.KBit)]
	t := c.find(in.b)
	c.keep(in.b)
	if t != nil && t.kind == inXmm || c.floatPinned(in.b) {
		x := c.exactReg(in.b)
		m := c.effective(in.a, c.offset(in), a.size, in.pc)
		switch a.size {
		case 4:
			c.b = VecMR(c.b, VMOVSSst, m, x)
			return
		case 8:
			c.b = VecMR(c.b, VMOVSDst, m, x)
			return
		}
		// An integer store of a float's bits, narrower than it.
		r := c.allocG()
		c.heldG = append(c.heldG, r)
		c.b = VecG2(c.b, VMOVDst, 8, r, x)
		c.b = MOVMR(c.b, a.size, m, r)
		return
	}
	if t != nil && t.kind == isConst {
		if imm, ok := immediate(8, t.value); ok || a.size < 8 {
			if !ok {
				imm = int32(uint32(t.value))
			}
			c.drop(in.b)
			m := c.effective(in.a, c.offset(in), a.size, in.pc)
			c.b = MOVMI(c.b, a.size, m, imm)
			return
		}
	}
	v := c.intReg(in.b, 8)
	m := c.effective(in.a, c.offset(in), a.size, in.pc)
	c.b = MOVMR(c.b, a.size, m, v)
}
