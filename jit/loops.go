package jit

import (
	"cmp"
	"math/bits"
	"slices"
)

// blocks is a set of flows, for which there is room from one word of bits on.
type blocks struct {
	from int
	bits []uint64
}

// newBlocks has room for the flows from first to last.
func newBlocks(first, last int) blocks {
	return blocks{first / 64, make([]uint64, last/64-first/64+1)}
}

// empty has the same room.
func (s blocks) empty() blocks { return blocks{s.from, make([]uint64, len(s.bits))} }

func (s blocks) add(i int) { s.bits[i/64-s.from] |= 1 << (i % 64) }

func (s blocks) has(i int) bool {
	k := i/64 - s.from
	return k >= 0 && k < len(s.bits) && s.bits[k]>>(i%64)&1 != 0
}

// join adds a set that this one has room for, and meets reports whether they have a member in common.
func (s blocks) join(o blocks) {
	for k, w := range o.bits {
		s.bits[o.from-s.from+k] |= w
	}
}

func (s blocks) meets(o blocks) bool {
	for k, w := range o.bits {
		if s.bits[o.from-s.from+k]&w != 0 {
			return true
		}
	}
	return false
}

// each yields the members in order.
func (s blocks) each(yield func(i int) bool) {
	for k, w := range s.bits {
		for ; w != 0; w &= w - 1 {
			if !yield((s.from+k)*64 + bits.TrailingZeros64(w)) {
				return
			}
		}
	}
}

// loop is the blocks from which a jump back to one of them can be reached.
type loop struct {
	head int
	in   blocks
	// round is those of them that a round passes in which no register is lost.
	round blocks
	size  int

	mention uint64     // pins of the whole function that it has to do with
	full    [2][2]bool // no register is left, for integers or others, without and with borrowing
}

// What is spent on the loops of a function is bounded, since a word of code is looked at again for each loop around it:
// loops beyond that are compiled like other code, the outer ones first. Programs need a third of it.
const (
	loopsAround = 4       // loops around each word, on average
	loopWords   = 1 << 14 // words that small functions may have in addition
)

// findLoops finds the loops of a function, the larger ones first. A loop begins where something jumps back to; Go, and
// the table of a function that is entered in many places, may also get into the middle of it.
func (c *compiler) findLoops() []loop {
	n := len(c.flows)
	from := c.predecessors()
	var loops []loop
	var members []int
	left, seen := loopsAround*len(c.f.Ins)+loopWords, make([]int, n)
	for h := n - 1; h >= 0; h-- { // inner ones come behind those around them
		if !c.flows[h].header || c.flows[h].enters {
			continue
		}
		// Members are those that were seen for h. Each is looked at once, and what leads to it is one if it isn't h.
		members = append(members[:0], h)
		seen[h] = h + 1
		for at := 0; at < len(members); at++ {
			x := members[at]
			left -= int(c.flows[x].words)
			for _, p := range from[x] {
				if i := int(p); seen[i] != h+1 && (x != h || i >= h) {
					seen[i] = h + 1
					members = append(members, i)
				}
			}
			if left < 0 {
				return sorted(loops)
			}
		}
		in := newBlocks(slices.Min(members), slices.Max(members))
		if left -= len(in.bits); left < 0 {
			return sorted(loops)
		}
		for _, x := range members {
			in.add(x)
		}
		loops = append(loops, loop{head: h, in: in, size: len(members), round: c.round(h, in, from)})
	}
	return sorted(loops)
}

// sorted has the larger loops first.
func sorted(loops []loop) []loop {
	slices.SortFunc(loops, func(a, b loop) int { return cmp.Or(b.size-a.size, a.head-b.head) })
	return loops
}

// predecessors lists the blocks that lead to each, once each, but for those that are a table into the middle of a function.
func (c *compiler) predecessors() [][]int32 {
	from, last := make([][]int32, len(c.flows)), make([]int32, len(c.flows))
	for i := range c.flows {
		if c.flows[i].enters {
			continue
		}
		for _, pc := range c.flows[i].next {
			if to := c.wantOf[pc]; last[to] != int32(i)+1 {
				from[to], last[to] = append(from[to], int32(i)), int32(i)+1
			}
		}
	}
	return from
}

// round finds the blocks on ways from a loop's head back to it that pass no call.
func (c *compiler) round(h int, in blocks, from [][]int32) blocks {
	reach := func(next func(i int, visit func(int))) blocks {
		seen := in.empty()
		work := []int{h}
		for len(work) > 0 {
			x := work[len(work)-1]
			work = work[:len(work)-1]
			next(x, func(y int) {
				if in.has(y) && !seen.has(y) && !c.flows[y].call {
					seen.add(y)
					if y != h {
						work = append(work, y)
					}
				}
			})
		}
		return seen
	}
	down := reach(func(i int, visit func(int)) {
		for _, pc := range c.flows[i].next {
			visit(int(c.wantOf[pc]))
		}
	})
	up := reach(func(i int, visit func(int)) {
		for _, p := range from[i] {
			visit(int(p))
		}
	})
	for k, w := range up.bits {
		down.bits[k] &= w
	}
	if c.flows[h].call {
		clear(down.bits)
	}
	return down
}

// weigh counts the uses of locals, and the calls, by how many loops are around them. How many those are scan has seen, but
// for what jumps back through a table.
func (c *compiler) weigh(loops []loop) {
	tables := slices.ContainsFunc(c.flows, func(b flow) bool { return b.enters })
	if tables && len(loops) > 0 {
		clear(c.s.depth) // the jumps to the table are none back
	}
	for _, l := range loops {
		if !tables {
			break
		}
		for i := range l.in.each {
			b := &c.flows[i]
			for pc := b.pc; pc < b.end; pc++ {
				c.s.depth[pc] = min(c.s.depth[pc]+1, maxDepth)
			}
		}
	}
	for pc := uint32(0); pc < uint32(len(c.f.Ins))-1; {
		in := decode(c.f.Ins, pc)
		weight := uint64(1) << (3 * c.s.depth[pc])
		list, named, _ := slots(c.f.Ins, in)
		for _, slot := range list[:named] {
			if int(slot) < len(c.s.uses) {
				c.s.uses[slot] += weight
			}
		}
		if leavesRegisters(in.op) {
			c.s.calls += weight
		}
		pc += in.size
	}
}
