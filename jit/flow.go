package jit

import (
	"math/bits"

	"github.com/kitwork/kwnode/internal/code"
)

// What pins hold where blocks meet.
//
// A call leaves no register as it was, so around each the pins go home and come back. To do that only where it is
// needed, each block says what it wants at its start: pins that must be in their registers, and those of them that may
// differ from their home slots. Whoever goes there sees to it; what a block wants may therefore be any guess, and a bad
// one costs time alone. The guess: a pin is wanted if it may be read before the next call, or if it comes from nowhere
// else, because it was written since the last one.

// flow is a block, and what it does to the pins, as sets of them.
type flow struct {
	pc, end uint32 // its first word, and the one behind it
	last    uint32 // its last instruction
	cost    int32  // its charge, with those of the calls that are inlined
	inlined int32  // those
	words   uint32 // of code, with theirs
	closed  bool   // in the middle of it somebody else may look at the gas that is left
	header  bool   // something jumps back to it
	hard    int    // how many of next, from the first on, are the jumps of a condition or a table
	use     uint64 // read before they are written and before a call
	def     uint64 // written; behind the last call, if there is one
	call    bool
	next    []uint32 // words that it goes to
	via     int32    // if it goes there through a table, by a number that is known: the table's block, else -1
	enters  bool     // its table is where the function is entered again: others know where they go from there

	live  uint64 // may be read before a call, at the start
	dirty uint64 // may differ from home, at the start

	allowed uint64  // pins that it may want
	mention uint64  // pins of the whole function that it has to do with
	locals  []uint8 // pins of locals in the loops around it
}

// maxPasses bounds how often the flows are gone through. Loops nest, but not as deeply in code that a compiler made.
const maxPasses = 12

// findFlows divides the function into blocks and finds what each wants.
func (c *compiler) findFlows() {
	c.wantOf = make([]int32, len(c.f.Ins))
	flows := make([]flow, 0, 16)
	next := make([]uint32, 0, 64)
	n := uint32(len(c.f.Ins)) - 1
	falls := false
	for pc := uint32(0); pc < n; {
		in := decode(c.f.Ins, pc)
		if in.op == code.Charge || c.s.target[pc] {
			if falls {
				next = append(next, pc)
			}
			if len(flows) > 0 {
				flows[len(flows)-1].next, next = next, next[len(next):]
			}
			c.wantOf[pc] = int32(len(flows))
			flows = append(flows, flow{pc: pc, via: -1})
			if in.op == code.Charge {
				flows[len(flows)-1].cost = int32(in.imm())
			}
		}
		b := &flows[len(flows)-1]
		b.last, b.end, b.words = pc, pc+in.size, b.words+in.size
		if t := c.sites[pc]; t != nil {
			b.inlined += int32(t.callee.Charge)
			b.cost += int32(t.callee.Charge)
			b.words += uint32(len(t.ins))
		} else {
			if leavesRegisters(in.op) {
				b.closed = true
				b.call = b.call || !isBulk(in.op)
			}
		}
		falls = true
		switch {
		case in.op == code.Br:
			next, falls = append(next, c.dest(pc+in.imm(), in.a)), false
		case in.op == code.BrTable:
			for i := uint32(1); i < in.size; i++ {
				w := c.f.Ins[pc+i]
				next = append(next, c.dest(pc+uint32(w), uint16(w>>32)))
			}
			b.hard, falls = len(next), false
		case in.op >= code.BrBase && in.op < code.RareBase:
			w := c.f.Ins[pc+1]
			next = append(next, c.dest(pc+uint32(w), uint16(w>>32)))
			b.hard = 1
		case in.op == code.Unreachable, in.op == code.Return0, in.op == code.Return1, in.op == code.ReturnN:
			falls = false
		}
		pc += in.size
	}
	flows[len(flows)-1].next = next
	c.flows = flows
	for i := range flows {
		c.thread(&flows[i])
	}
	for i := range flows {
		for _, pc := range flows[i].next {
			if to := &flows[c.wantOf[pc]]; to.pc <= flows[i].pc {
				to.header = true
			}
		}
	}
}

// thread finds where a block goes that jumps to a table with a number that is known. Go's compiler jumps back that way,
// so without it there is but one loop in a function, which the table begins.
func (c *compiler) thread(b *flow) {
	if decode(c.f.Ins, b.last).op != code.Br || len(b.next) != 1 {
		return
	}
	via := c.wantOf[b.next[0]]
	table := &c.flows[via]
	t := decode(c.f.Ins, table.last)
	if t.op != code.BrTable || table.last != table.pc+1 || table.cost == 0 || b.cost+table.cost > maxAhead {
		return
	}
	known, to := false, uint32(0)
	for pc := b.pc; pc < b.last; {
		in := decode(c.f.Ins, pc)
		list, _, w := slots(c.f.Ins, in)
		for _, slot := range list[:w] {
			if slot == t.a {
				known, to = in.op == code.Const, in.imm()
			}
		}
		if leavesRegisters(in.op) && int(t.a) >= len(c.s.uses) {
			known = false // calls, and moves of many, write operands that they don't name
		}
		pc += in.size
	}
	if known {
		b.next = table.next[min(to, t.imm()):][:1:1]
		b.via, table.enters = via, true
	}
}

// through is what a block's last jump costs on the way.
func (c *compiler) through(b *flow) int32 {
	if b.via < 0 {
		return 0
	}
	return c.flows[b.via].cost
}

// uses finds what the blocks do to the pins.
func (c *compiler) uses() {
	for i := range c.flows {
		b := &c.flows[i]
		c.activate(i)
		called := false
		for pc := b.pc; pc < b.end; {
			in := decode(c.f.Ins, pc)
			if c.sites[pc] == nil {
				called = c.usesOf(b, in, called)
			}
			pc += in.size
		}
	}
	c.activate(-1)
}

// activate makes the locals known that have registers in the loops around a block.
func (c *compiler) activate(flow int) {
	for _, i := range c.active {
		c.pinOf[c.pins[i].slot] = -1
	}
	c.active = nil
	if flow < 0 {
		return
	}
	c.active = c.flows[flow].locals
	for _, i := range c.active {
		c.pinOf[c.pins[i].slot] = int8(i)
	}
}

// usesOf adds an instruction to its block. Behind a call nothing is of use any more that was in a register before.
func (c *compiler) usesOf(b *flow, in instruction, called bool) bool {
	h := c.hoistAt(in.pc)
	if h == hoistedPart {
		return called
	}
	list, n, w := slots(c.f.Ins, in)
	if h != 0 && !called {
		b.use |= 1 << (h & (hoistedResult - 1))
	}
	if h&hoistedResult == 0 {
		for _, slot := range list[w:n] {
			if i, ok := c.pinAt(slot); ok && !called && b.def>>i&1 == 0 {
				b.use |= 1 << i
			}
		}
	}
	if leavesRegisters(in.op) && !isBulk(in.op) {
		called, b.def = true, 0
	}
	for _, slot := range list[:w] {
		if i, ok := c.pinAt(slot); ok {
			b.def |= 1 << i
		}
	}
	return called
}

// solve finds what is live, backwards, and what is dirty, forwards.
func (c *compiler) solve(flows []flow) {
	c.uses()
	at := func(pc uint32) *flow { return &flows[c.wantOf[pc]] }
	flows[0].dirty = c.cleared() & flows[0].allowed
	passes := 0
	for changed := true; changed && passes < maxPasses; passes++ {
		changed = false
		for i := len(flows) - 1; i >= 0; i-- {
			b := &flows[i]
			live := b.use
			if !b.call {
				for _, pc := range b.next {
					live |= at(pc).live &^ b.def
				}
			}
			if live &= b.allowed; live != b.live {
				b.live, changed = live, true
			}
		}
		for i := range flows {
			b := &flows[i]
			out := b.def
			if !b.call {
				out |= b.dirty
			}
			for _, pc := range b.next {
				if to := at(pc); out&to.allowed&^to.dirty != 0 {
					to.dirty, changed = to.dirty|out&to.allowed, true
				}
			}
		}
	}
	c.wants = make([]want, len(flows))
	for i := range flows {
		b := &flows[i]
		c.wants[i] = want{valid: b.live | b.dirty, dirty: b.dirty}
		if passes == maxPasses {
			c.wants[i] = want{valid: c.all() & b.allowed, dirty: c.assigned & c.all() & b.allowed}
		}
	}
}

// want is the state of the pins that a block begins with.
type want struct {
	valid uint64 // in their registers
	dirty uint64 // of these, may differ from home
}

// cleared is the pins that a call of the function begins with in their registers alone: its locals, which are zero.
func (c *compiler) cleared() (set uint64) {
	for i := range c.fixed {
		if c.pins[i].slot >= uint16(c.f.Header) {
			set |= 1 << i
		}
	}
	return set
}

// sync establishes what the blocks want that begin at the given words. Then all of them can be jumped to, but for what
// only some want that are in a loop, or behind one: that is seen to on the way there.
func (c *compiler) sync(to ...uint32) {
	c.flush()
	w := want{dirty: ^uint64(0)}
	for _, pc := range to {
		w = w.and(c.wants[c.wantOf[pc]])
	}
	if len(to) > 1 {
		w.valid &^= c.shared
	}
	c.meet(w)
}

// lacks is the pins that a block wants and that are not in their registers.
func (c *compiler) lacks(pc uint32) uint64 { return c.wants[c.wantOf[pc]].valid &^ c.valid }

// and is what satisfies both.
func (w want) and(o want) want { return want{w.valid | o.valid, w.dirty & o.dirty} }

func (c *compiler) meet(w want) {
	for set := c.dirty &^ w.dirty; set != 0; set &= set - 1 {
		i := bits.TrailingZeros64(set)
		c.storePin(i)
		c.dirty &^= 1 << i
	}
	for set := w.valid &^ c.valid; set != 0; set &= set - 1 {
		c.needPin(bits.TrailingZeros64(set))
	}
}
