package jit

import (
	"fmt"
	"math/bits"
	"slices"

	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
)

// checking makes the compiler compare what it believes with the invariants of regs.go between any two instructions. The
// package's tests set it before anything is compiled.
var checking = false

// check reports what is wrong with the compiler's state behind an instruction. Every temp register is free or an
// operand's; every operand has a home of its own, and no pin's.
func (c *compiler) check() error {
	free, used := slices.Clone(c.freeG), 0
	freeX, usedX := slices.Clone(c.freeX), 0
	slots := map[uint16]bool{}
	own := func(slot uint16) error {
		if slots[slot] {
			return fmt.Errorf("two operands have slot %d", slot)
		}
		if int(slot) < len(c.pinOf) {
			return fmt.Errorf("local slot %d is an operand", slot)
		}
		slots[slot] = true
		return nil
	}
	if len(c.temps) > maxTemps {
		return fmt.Errorf("%d operands wait in registers or as constants, at most %d may", len(c.temps), maxTemps)
	}
	for _, t := range c.temps {
		if err := own(t.slot); err != nil {
			return err
		}
		if t.held {
			if err := c.checkHeld(t); err != nil {
				return err
			}
			continue
		}
		switch t.kind {
		case inReg:
			free, used = append(free, Reg(t.reg)), used+1
		case inXmm:
			freeX, usedX = append(freeX, Xmm(t.reg)), usedX+1
		case inVector:
			freeX, usedX = append(freeX, Xmm(t.reg)), usedX+1
			if err := own(t.slot + 1); err != nil {
				return err
			}
		}
	}
	if !sameSet(free, tempRegs) {
		return fmt.Errorf("of the temp registers %v, %v are free and %d taken", tempRegs, c.freeG, used)
	}
	if !sameSet(freeX, tempXmm) {
		return fmt.Errorf("of the temp vector registers %v, %v are free and %d taken", tempXmm, c.freeX, usedX)
	}
	if c.valid&^(1<<len(c.pins)-1) != 0 || c.dirty&^c.valid != 0 || c.dirty&^c.assigned != 0 {
		return fmt.Errorf("pins: %b valid, %b differ from home, %b assigned", c.valid, c.dirty, c.assigned)
	}
	for set := c.valid & c.shared; set != 0; set &= set - 1 {
		i := bits.TrailingZeros64(set)
		if both := c.sharers(c.pins[i].key()) & c.valid; both != 1<<i {
			return fmt.Errorf("pins %b have one register", both)
		}
	}
	return nil
}

// checkHeld is check for an operand that is a pin.
func (c *compiler) checkHeld(t temp) error {
	for i := range c.pins {
		if p := &c.pins[i]; p.value != nil && p.reg == t.reg && p.vector == (t.kind == inVector) && p.float == (t.kind == inXmm) && c.valid>>i&1 != 0 {
			return nil
		}
	}
	return fmt.Errorf("the operand in slot %d is in register %d, where no pin is", t.slot, t.reg)
}

// checkBlock is check where a block begins: nothing is left but pins, as the block wants them.
func (c *compiler) checkBlock(pc uint32) error {
	if w := c.wants[c.wantOf[pc]]; len(c.temps) > 0 || c.valid != w.valid || c.dirty != w.dirty {
		return fmt.Errorf("a block that wants pins %b, %b of them dirty, begins with %b and %b, and %d operands in registers", w.valid, w.dirty, c.valid, c.dirty, len(c.temps))
	}
	return c.check()
}

// checkJump remembers a jump whose target wants something else.
func (c *compiler) checkJump(to uint32) {
	if !checking || c.wrong != nil {
		return
	}
	w := c.wants[c.wantOf[to]]
	if len(c.temps) > 0 || w.valid&^c.valid&^c.shared != 0 || c.dirty&^w.dirty != 0 {
		c.wrong = fmt.Errorf("jit: function %d: a jump to word %d, which wants pins %b, %b of them dirty, has %b and %b, and %d operands in registers",
			c.f.Index, to, w.valid, w.dirty, c.valid, c.dirty, len(c.temps))
	}
}

// checkCredits is check for what blocks pay: nothing is paid ahead where somebody else looks, only safepoints take
// anything, and no jump of a condition or a table has to.
func (c *compiler) checkCredits() error {
	for i, k := range c.credits {
		b := &c.flows[i]
		total := b.cost*k.times + k.ahead
		if k.times < 1 || k.ahead < 0 || k.arrive < 0 || k.ahead > 0 && (b.closed || k.times > 1) || k.times > 1 && b.closed ||
			total > max(maxAhead, b.cost) || b.cost == 0 && total > k.arrive {
			return fmt.Errorf("jit: function %d: the block at word %d costs %d and has %+v", c.f.Index, b.pc, b.cost, k)
		}
		for n, pc := range b.next {
			to := c.wantOf[pc]
			if (c.flows[to].cost == 0 || n < b.hard) && c.credits[to].arrive > k.ahead {
				return fmt.Errorf("jit: function %d: block %d, %+v, pays on the way to %d, %+v", c.f.Index, b.pc, k, pc, c.credits[to])
			}
		}
	}
	return nil
}

func sameSet[T ~uint8](a, b []T) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// checkOutput reports what is wrong with finished code: Go enters at words in ascending order, inside it. A word may have
// two entries, behind a call and at the Charge that follows it; either will do.
func checkOutput(out *output) error {
	for i, e := range out.entries {
		if i > 0 && e.pc < out.entries[i-1].pc {
			return fmt.Errorf("the entry for word %d is behind that for %d", e.pc, out.entries[i-1].pc)
		}
		if int(e.at) >= len(out.code) {
			return fmt.Errorf("the entry for word %d is at %d of %d", e.pc, e.at, len(out.code))
		}
	}
	return nil
}
