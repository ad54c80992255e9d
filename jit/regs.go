package jit

import (
	"fmt"
	"math/bits"
	"slices"

	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
)

const (
	nan32 = 0x7fc00000
	nan64 = 0x7ff8000000000000
)

// Values that the compiler keeps in registers.
//
// Invariant: at every Charge and every jump, all pins are valid and no temp
// exists: what an operand's home slot holds is its value. A register that
// holds an i32 or f32 has clean upper bits, as its slot has.

// loadPin fills a pin's register from its home slot, or computes what it holds in a loop.
func (c *compiler) loadPin(i int) {
	p := &c.pins[i]
	switch {
	case p.value != nil:
		c.compute(p)
	case p.vector:
		c.b = VecRM(c.b, VMOVUPS, Xmm(p.reg), home(p.slot))
	case p.float:
		c.b = VecRM(c.b, VMOVSD, Xmm(p.reg), home(p.slot))
	default:
		c.b = MOVRM(c.b, 8, Reg(p.reg), home(p.slot))
	}
}

// storePin writes a pin's register to its home slot.
func (c *compiler) storePin(i int) {
	p := &c.pins[i]
	if p.vector {
		if p.lazy && p.width != 0 {
			c.canonicalLanes(Xmm(p.reg), p.width)
		}
		c.b = VecMR(c.b, VMOVUPSst, home(p.slot), Xmm(p.reg))
		return
	}
	if !p.float {
		c.b = MOVMR(c.b, 8, home(p.slot), Reg(p.reg))
		return
	}
	if p.lazy {
		c.canonical(Xmm(p.reg), p.width)
	}
	c.b = VecMR(c.b, VMOVSDst, home(p.slot), Xmm(p.reg))
}

// needPin makes a pin's register valid.
func (c *compiler) needPin(i int) {
	if c.valid>>i&1 == 0 {
		c.evict(i)
		c.loadPin(i)
		c.valid |= 1 << i
	}
}

// evict has the other pins of a pin's register at home alone.
func (c *compiler) evict(i int) {
	if c.shared>>i&1 == 0 {
		return
	}
	for set := c.sharers(c.pins[i].key()) & c.valid &^ (1 << i); set != 0; set &= set - 1 {
		k := bits.TrailingZeros64(set)
		c.homePin(k)
		c.valid &^= 1 << k
	}
}

// written notes that a pin has a value that its home slot hasn't. No other pin of its register differed from home.
func (c *compiler) written(i int) {
	if checking && c.sharers(c.pins[i].key())&c.dirty&^(1<<i) != 0 {
		c.wrong = fmt.Errorf("jit: function %d: pin %d is written to a register that is another's alone", c.f.Index, i)
	}
	c.evict(i)
	c.valid |= 1 << i
	c.dirty |= 1 << i
}

// spillPins writes home the pins that differ from it, before code that looks
// at slots.
func (c *compiler) spillPins() {
	for i := range c.pins {
		if c.dirty>>i&1 != 0 {
			c.storePin(i)
		}
	}
	c.dirty = 0
}

// canonical replaces a NaN by the positive canonical one.
func (c *compiler) canonical(x Xmm, width uint8) {
	op, bits, w := VUCOMISD, uint64(nan64), Width(8)
	if width == 32 {
		op, bits, w = VUCOMISS, nan32, 4
	}
	c.b = VecRR(c.b, op, x, x)
	var back int
	c.jcc(P, func() {
		// RAX may hold a word index on the way out: keep it.
		c.b = PUSH(c.b, scratch)
		c.b = MOVRI(c.b, scratch, bits)
		c.b = VecRG(c.b, VMOVD, w, x, scratch)
		c.b = POP(c.b, scratch)
		c.b = JMP(c.b, 0)
		c.patch(len(c.b)-4, back)
	})
	back = len(c.b)
}

// find returns the temp of a slot.
func (c *compiler) find(slot uint16) *temp {
	for i := range c.temps {
		if c.temps[i].slot == slot {
			return &c.temps[i]
		}
	}
	return nil
}

// drop forgets the temps that a slot is part of. Their registers are held until
// the instruction is done.
func (c *compiler) drop(slot uint16) {
	for i := len(c.temps) - 1; i >= 0; i-- {
		t := &c.temps[i]
		if t.slot != slot && !(t.kind == inVector && t.slot+1 == slot) {
			continue
		}
		switch {
		case t.held:
		case t.kind == inReg:
			c.heldG = append(c.heldG, Reg(t.reg))
		case t.kind != isConst:
			c.heldX = append(c.heldX, Xmm(t.reg))
		}
		c.temps = slices.Delete(c.temps, i, i+1)
	}
}

// done ends an instruction.
func (c *compiler) done() {
	c.freeG, c.heldG = append(c.freeG, c.heldG...), c.heldG[:0]
	c.freeX, c.heldX = append(c.freeX, c.heldX...), c.heldX[:0]
	c.kept = c.kept[:0]
}

// allocG returns a free register, sending the oldest operand home if none is.
func (c *compiler) allocG() Reg {
	if len(c.freeG) == 0 {
		i := slices.IndexFunc(c.temps, func(t temp) bool { return t.kind == inReg && !t.held })
		t := c.temps[i]
		c.storeTemp(&t)
		c.temps = slices.Delete(c.temps, i, i+1)
		return Reg(t.reg)
	}
	r := c.freeG[0]
	c.freeG = c.freeG[1:]
	return r
}

func (c *compiler) allocX() Xmm {
	if len(c.freeX) == 0 {
		i := slices.IndexFunc(c.temps, func(t temp) bool { return (t.kind == inXmm || t.kind == inVector) && !t.held })
		t := c.temps[i]
		if t.kind == inVector && t.nan != 0 {
			c.keepScratchX(func() { c.storeTemp(&t) })
		} else {
			c.storeTemp(&t)
		}
		c.temps = slices.Delete(c.temps, i, i+1)
		return Xmm(t.reg)
	}
	x := c.freeX[0]
	c.freeX = c.freeX[1:]
	return x
}

// keepScratchX has code that makes lanes canonical leave scratchX as it is, where an instruction may have half of its
// result.
func (c *compiler) keepScratchX(emit func()) {
	top := Mem{Base: RSP}
	c.b = LEA(c.b, 8, RSP, Mem{Base: RSP, Disp: -16})
	c.b = VecMR(c.b, VMOVUPSst, top, scratchX)
	emit()
	c.b = VecRM(c.b, VMOVUPS, scratchX, top)
	c.b = LEA(c.b, 8, RSP, Mem{Base: RSP, Disp: 16})
}

// grab frees one certain temp register for the rest of the instruction.
func (c *compiler) grab(r Reg) {
	if i := slices.Index(c.freeG, r); i >= 0 {
		c.freeG = slices.Delete(c.freeG, i, i+1)
		c.heldG = append(c.heldG, r)
		return
	}
	if i := slices.IndexFunc(c.temps, func(t temp) bool { return t.kind == inReg && Reg(t.reg) == r }); i >= 0 {
		t := c.temps[i]
		c.storeTemp(&t)
		c.temps = slices.Delete(c.temps, i, i+1)
		c.heldG = append(c.heldG, r)
	}
	// Otherwise the instruction holds it itself, as an operand.
}

// storeTemp writes an operand to its home slot.
func (c *compiler) storeTemp(t *temp) {
	if t.clean {
		return
	}
	switch t.kind {
	case inReg:
		c.b = MOVMR(c.b, 8, home(t.slot), Reg(t.reg))
	case inXmm:
		if t.nan != 0 {
			c.canonical(Xmm(t.reg), t.nan)
			t.nan = 0
		}
		c.b = VecMR(c.b, VMOVSDst, home(t.slot), Xmm(t.reg))
	case inVector:
		if t.nan != 0 {
			c.canonicalLanes(Xmm(t.reg), t.nan)
			t.nan = 0
		}
		c.b = VecMR(c.b, VMOVUPSst, home(t.slot), Xmm(t.reg))
	case isConst:
		if int64(t.value) == int64(int32(t.value)) {
			c.b = MOVMI(c.b, 8, home(t.slot), int32(t.value))
			return
		}
		c.b = MOVRI(c.b, scratch, t.value)
		c.b = MOVMR(c.b, 8, home(t.slot), scratch)
	}
}

// flush sends every operand home.
func (c *compiler) flush() {
	for i := range c.temps {
		t := &c.temps[i]
		c.storeTemp(t)
		switch {
		case t.held:
		case t.kind == inReg:
			c.freeG = append(c.freeG, Reg(t.reg))
		case t.kind != isConst:
			c.freeX = append(c.freeX, Xmm(t.reg))
		}
	}
	c.temps = c.temps[:0]
}

// maxTemps bounds the operands that an instruction looks through for its own. Constants, and what loops have in registers,
// would wait in any number.
const maxTemps = 16

// sendHome sends the oldest operands home if there are more.
func (c *compiler) sendHome() {
	for len(c.temps) > maxTemps {
		t := c.temps[0]
		c.storeTemp(&t)
		c.drop(t.slot)
		c.done()
	}
}

// place is where an operand is: a register or memory.
type place struct {
	mem bool
	reg Reg
	x   Xmm
	m   Mem
	nan uint8
}

// intAt finds an operand for integer arithmetic and consumes it.
func (c *compiler) intAt(slot uint16) place {
	if i, ok := c.pinAt(slot); ok {
		if c.pins[i].float {
			c.homePin(i)
			return place{mem: true, m: home(slot)}
		}
		c.needPin(i)
		return place{reg: Reg(c.pins[i].reg)}
	}
	if t := c.find(slot); t != nil {
		switch t.kind {
		case inReg:
			r := Reg(t.reg)
			c.drop(slot)
			return place{reg: r}
		case isConst:
			v := t.value
			c.drop(slot)
			r := c.allocG()
			c.heldG = append(c.heldG, r)
			c.b = MOVRI(c.b, r, v)
			return place{reg: r}
		}
		c.storeTemp(t)
		c.drop(slot)
	}
	return place{mem: true, m: home(slot)}
}

// homePin makes the home slot of a pin hold its value.
func (c *compiler) homePin(i int) {
	if c.dirty>>i&1 != 0 {
		c.storePin(i)
		c.dirty &^= 1 << i
	}
}

// intReg is intAt in a register, which the instruction may not change.
func (c *compiler) intReg(slot uint16, w Width) Reg {
	p := c.intAt(slot)
	if !p.mem {
		return p.reg
	}
	r := c.allocG()
	c.heldG = append(c.heldG, r)
	c.b = MOVRM(c.b, w, r, p.m)
	return r
}

// floatAt finds an operand for float arithmetic and consumes it. The value may
// be a NaN that isn't canonical, as nan says.
func (c *compiler) floatAt(slot uint16) place {
	if i, ok := c.pinAt(slot); ok {
		p := &c.pins[i]
		if !p.float {
			c.homePin(i)
			return place{mem: true, m: home(slot)}
		}
		c.needPin(i)
		at := place{x: Xmm(p.reg)}
		if p.lazy {
			at.nan = p.width
		}
		return at
	}
	if t := c.find(slot); t != nil {
		switch t.kind {
		case inXmm:
			at := place{x: Xmm(t.reg), nan: t.nan}
			c.drop(slot)
			return at
		case isConst:
			v := t.value
			c.drop(slot)
			x := c.allocX()
			c.heldX = append(c.heldX, x)
			c.floatConst(x, v)
			return place{x: x}
		}
		c.storeTemp(t)
		c.drop(slot)
	}
	return place{mem: true, m: home(slot)}
}

func (c *compiler) floatConst(x Xmm, v uint64) {
	if v == 0 {
		c.b = VecRRR(c.b, VXORPS, x, x, x)
		return
	}
	c.b = MOVRI(c.b, scratch, v)
	c.b = VecRG(c.b, VMOVD, 8, x, scratch)
}

// floatReg is floatAt in a register, which the instruction may not change.
func (c *compiler) floatReg(slot uint16) (Xmm, uint8) {
	p := c.floatAt(slot)
	if !p.mem {
		return p.x, p.nan
	}
	x := c.allocX()
	c.heldX = append(c.heldX, x)
	c.b = VecRM(c.b, VMOVSD, x, p.m)
	return x, 0
}

// exactReg is floatReg with the value as the program may see it: a NaN is
// canonical if arithmetic made it.
func (c *compiler) exactReg(slot uint16) Xmm {
	x, nan := c.floatReg(slot)
	if nan == 0 {
		return x
	}
	if _, pinned := c.pinAt(slot); pinned {
		// The pin itself may stay as it is.
		y := c.allocX()
		c.heldX = append(c.heldX, y)
		c.b = VecRR(c.b, VMOVAPS, y, x)
		x = y
	}
	c.canonical(x, nan)
	return x
}

// intDst is where an instruction computes the integer for a slot. reuse is a
// register that it may take over, as the operands are consumed.
func (c *compiler) intDst(slot uint16, reuse *place) Reg {
	c.drop(slot)
	if i, ok := c.pinAt(slot); ok {
		if c.pins[i].float {
			return scratch
		}
		return Reg(c.pins[i].reg)
	}
	if int(slot) < len(c.pinOf) {
		return scratch // a local without a register
	}
	if reuse != nil && !reuse.mem {
		if i := slices.Index(c.heldG, reuse.reg); i >= 0 {
			c.heldG = slices.Delete(c.heldG, i, i+1)
			return reuse.reg
		}
	}
	return c.allocG()
}

// setInt ends an instruction that computed a slot's integer in the register
// that intDst gave.
func (c *compiler) setInt(slot uint16, r Reg) {
	if i, ok := c.pinAt(slot); ok {
		if c.pins[i].float {
			c.b = VecRG(c.b, VMOVD, 8, Xmm(c.pins[i].reg), r)
		}
		c.written(i)
		return
	}
	if int(slot) < len(c.pinOf) {
		c.b = MOVMR(c.b, 8, home(slot), r)
		return
	}
	c.temps = append(c.temps, temp{slot: slot, kind: inReg, reg: uint8(r)})
}

// floatDst and setFloat are the same for floats; nan is the width if the value
// may be a NaN that isn't canonical.
func (c *compiler) floatDst(slot uint16, reuse *place) Xmm {
	c.drop(slot)
	if i, ok := c.pinAt(slot); ok {
		if c.pins[i].float {
			return Xmm(c.pins[i].reg)
		}
		return scratchX
	}
	if int(slot) < len(c.pinOf) {
		return scratchX
	}
	if reuse != nil && !reuse.mem {
		if i := slices.Index(c.heldX, reuse.x); i >= 0 {
			c.heldX = slices.Delete(c.heldX, i, i+1)
			return reuse.x
		}
	}
	return c.allocX()
}

func (c *compiler) setFloat(slot uint16, x Xmm, nan uint8) {
	i, pinned := c.pinAt(slot)
	if !pinned && int(slot) >= len(c.pinOf) {
		c.temps = append(c.temps, temp{slot: slot, kind: inXmm, reg: uint8(x), nan: nan})
		return
	}
	if nan != 0 && !(pinned && c.pins[i].lazy) {
		c.canonical(x, nan)
	}
	if !pinned {
		c.b = VecMR(c.b, VMOVSDst, home(slot), x)
		return
	}
	if !c.pins[i].float {
		c.b = VecG2(c.b, VMOVDst, 8, Reg(c.pins[i].reg), x)
	}
	c.written(i)
}
