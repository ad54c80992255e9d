package jit

import (
	"math/bits"
	"slices"
)

// blocks is a set of flows.
type blocks []uint64

func newBlocks(n int) blocks    { return make(blocks, (n+63)/64) }
func (s blocks) has(i int) bool { return s[i/64]>>(i%64)&1 != 0 }
func (s blocks) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s blocks) join(o blocks)  { apply(s, o, func(x, y uint64) uint64 { return x | y }) }
func (s blocks) meets(o blocks) bool {
	for i := range s {
		if s[i]&o[i] != 0 {
			return true
		}
	}
	return false
}

func apply(s, o blocks, f func(x, y uint64) uint64) {
	for i := range s {
		s[i] = f(s[i], o[i])
	}
}

// each yields the members in order.
func (s blocks) each(yield func(i int) bool) {
	for k, w := range s {
		for ; w != 0; w &= w - 1 {
			if !yield(k*64 + bits.TrailingZeros64(w)) {
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

// maxLoopBlocks bounds the blocks of all loops of a function together, in each of which they are counted again: beyond
// it no loop is looked at, which costs time when it runs alone.
const maxLoopBlocks = 1 << 14

// findLoops finds the loops of a function, the larger ones first. A loop begins where something jumps back to; Go, and
// the table of a function that is entered in many places, may also get into the middle of it.
func (c *compiler) findLoops() []loop {
	n := len(c.flows)
	from := make([][]int32, n)
	for i := range c.flows {
		if c.flows[i].enters {
			continue
		}
		for k, pc := range c.flows[i].next {
			if to := c.wantOf[pc]; !slices.Contains(c.flows[i].next[:k], pc) {
				from[to] = append(from[to], int32(i))
			}
		}
	}
	var loops []loop
	total := 0
	var work []int
	for h := range c.flows {
		if !c.flows[h].header || c.flows[h].enters {
			continue
		}
		in := newBlocks(n)
		in.add(h)
		for _, p := range from[h] {
			if int(p) >= h {
				work = append(work, int(p))
			}
		}
		size := 1
		for len(work) > 0 {
			x := work[len(work)-1]
			work = work[:len(work)-1]
			if in.has(x) {
				continue
			}
			in.add(x)
			size++
			for _, p := range from[x] {
				work = append(work, int(p))
			}
		}
		if total += size; total > maxLoopBlocks {
			return nil
		}
		loops = append(loops, loop{head: h, in: in, size: size, round: c.round(h, in, from)})
	}
	slices.SortStableFunc(loops, func(a, b loop) int { return b.size - a.size })
	return loops
}

// round finds the blocks on ways from a loop's head back to it that pass no call.
func (c *compiler) round(h int, in blocks, from [][]int32) blocks {
	reach := func(next func(i int, visit func(int))) blocks {
		seen := newBlocks(len(c.flows))
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
	apply(down, up, func(x, y uint64) uint64 { return x & y })
	if c.flows[h].call {
		clear(down)
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
