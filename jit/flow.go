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

	live  uint64 // may be read before a call, at the start
	dirty uint64 // may differ from home, at the start
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
			flows = append(flows, flow{pc: pc})
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
			c.flowOf(b, in)
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
	for i := range flows {
		for _, pc := range flows[i].next {
			if to := &flows[c.wantOf[pc]]; to.pc <= flows[i].pc {
				to.header = true
			}
		}
	}
	c.solve(flows)
	c.flows = flows
}

// flowOf adds an instruction to its block.
func (c *compiler) flowOf(b *flow, in instruction) {
	list, n, w := slots(c.f.Ins, in)
	for _, slot := range list[w:n] {
		if i, ok := c.pinAt(slot); ok && !b.call && b.def>>i&1 == 0 {
			b.use |= 1 << i
		}
	}
	if leavesRegisters(in.op) {
		b.closed = true
		if !isBulk(in.op) {
			b.call, b.def = true, 0
		}
	}
	for _, slot := range list[:w] {
		if i, ok := c.pinAt(slot); ok {
			b.def |= 1 << i
		}
	}
}

// solve finds what is live, backwards, and what is dirty, forwards.
func (c *compiler) solve(flows []flow) {
	at := func(pc uint32) *flow { return &flows[c.wantOf[pc]] }
	flows[0].dirty = c.cleared()
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
			if live != b.live {
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
				if to := at(pc); out&^to.dirty != 0 {
					to.dirty, changed = to.dirty|out, true
				}
			}
		}
	}
	c.wants = make([]want, len(flows))
	for i := range flows {
		b := &flows[i]
		c.wants[i] = want{valid: b.live | b.dirty, dirty: b.dirty}
		if passes == maxPasses {
			c.wants[i] = want{valid: c.all(), dirty: c.assigned}
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
	for i := range c.pins {
		if c.pins[i].slot >= uint16(c.f.Header) {
			set |= 1 << i
		}
	}
	return set
}

// sync establishes what the blocks want that begin at the given words. Then all of them can be jumped to.
func (c *compiler) sync(to ...uint32) {
	c.flush()
	w := want{dirty: c.all()}
	for _, pc := range to {
		w = w.and(c.wants[c.wantOf[pc]])
	}
	c.meet(w)
}

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
