package jit

import (
	"math"

	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
)

// Gas that is paid ahead.
//
// Each block costs something, and in the interpreter each pays that itself. Here a block may pay ahead for those that
// follow, so that most blocks need no charge and no poll of their own. Nobody can tell: what was paid ahead and isn't
// used is given back on every way out, so that wherever somebody looks the gas that is left is the interpreter's. If it
// doesn't cover what a block wants to pay, nothing is taken and the interpreter goes on, block by block.

// credit is what a block pays and passes on.
type credit struct {
	arrive int32 // paid already where jumps arrive and where the block before falls in; at least that is what they have
	ahead  int32 // paid and not the block's cost, while it runs; the smallest if there are copies
	times  int32 // how many copies of the block there are, one behind the other
}

const (
	// maxAhead bounds what is paid at once. The last of a slice, which isn't enough for that, is interpreted.
	maxAhead = 256
	// maxCopies is how often a loop's only block is repeated, and maxCopied how many words of code it may have.
	maxCopies, maxCopied = 4, 24
	// maxCreditPasses bounds how often credits are gone through. What isn't settled then pays block by block.
	maxCreditPasses = 20
)

// findCredits decides what each block pays.
func (c *compiler) findCredits() {
	n := len(c.flows)
	c.credits = make([]credit, n)
	for i := range c.credits {
		c.credits[i].times = 1
	}
	a := &ahead{c: c, in: make([]int32, n), most: make([]int32, n), cold: make([]bool, n), given: make([]given, n)}
	a.findHeads()
	a.findCold()
	for range maxCreditPasses {
		a.backwards()
		if !a.forwards() {
			a.settle()
			return
		}
	}
	for i := range c.credits {
		c.credits[i] = credit{times: 1}
	}
}

// ahead is the search for credits.
type ahead struct {
	c     *compiler
	in    []int32 // how many ways lead to each block
	most  []int32 // what each may be given at most
	cold  []bool  // whether each ends in a trap, whatever happens
	given []given // what those before each have for it
}

// given is the credit that ways to a block come with: the least, the most, and the least of the jumps that would need
// code of their own to pay more. Jumps back come with nothing.
type given struct{ least, most, jumps int32 }

func (a *ahead) at(pc uint32) int32 { return a.c.wantOf[pc] }

// findHeads finds the blocks that are given nothing, since nobody is before them, as much was paid before them as may
// be, or a condition jumps back to them, which can't pay on the way. Code is in an order in which only jumps to headers of loops go back.
func (a *ahead) findHeads() {
	c := a.c
	path := make([]int32, len(c.flows)) // the most that a way here from a head costs
	for i := range a.most {
		a.most[i] = math.MaxInt32
	}
	a.most[0] = 0
	for i := range c.flows {
		b := &c.flows[i]
		for n, pc := range b.next {
			to := a.at(pc)
			a.in[to]++
			if int(to) <= i && n < b.hard {
				a.most[to] = 0
			}
		}
	}
	for i := range c.flows {
		b := &c.flows[i]
		a.copy(i)
		cost := min(b.cost+c.through(b), maxAhead) * c.credits[i].times
		if path[i] == 0 || cost > maxAhead-path[i] {
			a.most[i] = 0
		}
		if a.most[i] == 0 {
			path[i] = 0
		}
		path[i] += cost
		for _, pc := range b.next {
			if to := a.at(pc); int(to) > i {
				path[to] = max(path[to], path[i], 1)
			}
		}
	}
}

// copy decides how often a block is repeated.
func (a *ahead) copy(i int) {
	b := &a.c.flows[i]
	if !b.closed && b.hard == 1 && b.next[0] == b.pc && b.next[1] != b.pc && b.cost > 0 && b.words <= maxCopied {
		a.c.credits[i].times = max(1, min(maxCopies, maxAhead/b.cost))
	}
}

func (a *ahead) findCold() {
	for i := len(a.c.flows) - 1; i >= 0; i-- {
		b := &a.c.flows[i]
		a.cold[i] = code.Plain(code.Op(a.c.f.Ins[b.last])) == code.Unreachable
		for k, pc := range b.next {
			a.cold[i] = (k == 0 || a.cold[i]) && int(a.at(pc)) > i && a.cold[a.at(pc)]
		}
	}
}

// needs is what has to be paid before a block runs.
func (a *ahead) needs(i int32) int32 {
	k := a.c.credits[i]
	return a.c.flows[i].cost*k.times + k.ahead
}

// useful is what a block can do with credit.
func (a *ahead) useful(i int32) int32 { return min(a.most[i], a.needs(i)) }

// backwards decides what each block pays ahead, if it gets for it what those behind it can use.
func (a *ahead) backwards() {
	c := a.c
	for i := len(c.flows) - 1; i >= 0; i-- {
		b, k := &c.flows[i], &c.credits[i]
		k.ahead = 0
		if b.closed || k.times > 1 {
			continue
		}
		low := int32(math.MaxInt32)
		for n, pc := range b.next {
			to := a.at(pc)
			if a.cold[to] && !a.cold[i] {
				continue
			}
			use := int32(0)
			if int(to) > i {
				use = a.useful(to)
			}
			use += c.through(b)
			k.ahead = max(k.ahead, use)
			if n < b.hard && a.in[to] > 1 && !a.leaves(b, to) {
				low = min(low, use)
			}
		}
		k.ahead = min(k.ahead, low)
		if b.cost == 0 {
			k.ahead = min(k.ahead, a.most[i]) // it can't pay: it is no safepoint
		}
	}
}

// leaves reports whether a way out of a block leaves its loop. What is to be given back on a jump makes it longer, but
// such a jump isn't taken often; and a block with one way in gives back itself.
func (a *ahead) leaves(b *flow, to int32) bool {
	return a.c.s.depth[a.c.flows[to].last] < a.c.s.depth[b.last]
}

// forwards takes from each block what those before it don't pay, and reports whether that changed something.
func (a *ahead) forwards() (changed bool) {
	for i := range a.given {
		a.given[i] = given{least: math.MaxInt32, jumps: math.MaxInt32}
	}
	for i := range a.c.flows {
		b := &a.c.flows[i]
		for n, pc := range b.next {
			to := a.at(pc)
			g := &a.given[to]
			if int(to) <= i {
				g.least = 0
				continue
			}
			has := max(0, a.c.credits[i].ahead-a.c.through(b))
			g.least, g.most = min(g.least, has), max(g.most, has)
			if n < b.hard {
				g.jumps = min(g.jumps, has)
			}
		}
	}
	for i := range a.given {
		g, most := &a.given[i], a.most[i]
		most = min(most, g.jumps)
		if g.most < min(most, a.needs(int32(i))) || a.c.flows[i].cost == 0 {
			// Nobody brings all of it: the block pays, not those who come.
			most = min(most, g.least)
		}
		if most < a.useful(int32(i)) {
			a.most[i], changed = most, true
		}
	}
	return changed
}

// settle decides what is paid where jumps arrive.
func (a *ahead) settle() {
	c := a.c
	for i := range c.flows {
		c.credits[i].arrive = a.useful(int32(i))
	}
	for i := range c.flows {
		for _, pc := range c.flows[i].next {
			if to := a.at(pc); a.in[to] == 1 && int(to) > i {
				c.credits[to].arrive = max(0, c.credits[i].ahead-c.through(&c.flows[i]))
			}
		}
	}
}

// pay begins a block: what it and its credit need is taken, or nothing is and the machine goes on here.
func (c *compiler) pay(i int) {
	b, k := &c.flows[i], &c.credits[i]
	total := b.cost*k.times + k.ahead
	c.ahead = total - (b.cost - b.inlined)
	charged := code.Plain(code.Op(c.f.Ins[b.pc])) == code.Charge
	enters := charged && (c.copied == nil || !c.fast && i != c.copied.head)
	if enters && (!metered || k.arrive == 0) {
		c.enterHere(i, 0)
	}
	if !metered {
		return
	}
	if total > k.arrive {
		c.b = ALURI(c.b, SUB, 8, regGas, total-k.arrive)
		c.jcc(L, c.notPaid(b.pc, total, c.dirty))
	}
	c.giveBack(k.arrive - total)
	if enters && k.arrive > 0 {
		c.enterHere(i, total)
	}
}

// enterHere makes the next code a place where Go may go on at a block, with what that code has been paid. Go comes with
// what the interpreter would have, and with slots as they are at home.
func (c *compiler) enterHere(i int, due int32) {
	pc, w, start := c.flows[i].pc, c.wants[i], len(c.b)
	if due == 0 && w.valid&c.shared == 0 {
		c.entry(pc)
		return
	}
	c.late = append(c.late, func() {
		c.enter(pc, w)
		if due == 0 {
			c.b = JMP(c.b, 0)
			c.patch(len(c.b)-4, start)
			return
		}
		c.b = ALURI(c.b, SUB, 8, regGas, due)
		c.b = Jcc(c.b, GE, 0)
		c.patch(len(c.b)-4, start)
		c.notPaid(pc, due, 0)()
	})
}

// notPaid makes the way out before a block that gas was to be taken for, and was; in all, with what was paid before.
func (c *compiler) notPaid(pc uint32, gas int32, dirty uint64) func() {
	pc = c.word(pc)
	return func() {
		c.giveBack(gas)
		c.b = MOVRI(c.b, scratch, uint64(pc))
		c.jmpTo(c.gasExit(dirty))
	}
}

// giveBack gives back gas that was paid ahead.
func (c *compiler) giveBack(gas int32) {
	if gas > 0 && metered {
		c.b = ALURI(c.b, ADD, 8, regGas, gas)
	}
}

// surplus is what has to be given back on the way to a block, or, if it is negative, to be paid.
func (c *compiler) surplus(pc uint32) int32 {
	if !metered {
		return 0
	}
	return c.ahead - c.credits[c.wantOf[pc]].arrive
}

// settle makes the way to a block give back or pay what has to be. If that isn't there, the machine goes on at the block.
func (c *compiler) settle(pc uint32, surplus int32) {
	c.giveBack(surplus)
	if surplus < 0 {
		unpaid := c.notPaid(pc, c.credits[c.wantOf[pc]].arrive, c.dirty)
		c.b = ALURI(c.b, SUB, 8, regGas, -surplus)
		c.jcc(L, unpaid)
	}
}

// turn is settle on the way to a block that is to be paid for, and a jump there.
func (c *compiler) turn(pc uint32, surplus int32) {
	c.pays(pc, surplus, c.notPaid(pc, c.credits[c.wantOf[pc]].arrive, c.dirty))
}

// pays jumps to a block if what lacks is there.
func (c *compiler) pays(pc uint32, surplus int32, unpaid func()) {
	c.b = ALURI(c.b, SUB, 8, regGas, -surplus)
	c.b = Jcc(c.b, GE, 0)
	c.jumps = append(c.jumps, patch{len(c.b) - 4, pc, len(c.b)})
	c.b = JMP(c.b, 0)
	c.cold = append(c.cold, coldPath{len(c.b) - 4, len(c.b), unpaid})
}

// jumpThrough goes where a table leads. What that costs is paid on the way; if it isn't covered, the machine goes on at
// the table.
func (c *compiler) jumpThrough(b *flow) {
	to := c.inCopy(b.next[0])
	c.sync(to)
	c.checkJump(to)
	surplus := c.surplus(to)
	if metered {
		surplus -= c.through(b)
	}
	if surplus < 0 {
		c.pays(to, surplus, c.notPaid(c.flows[b.via].pc, c.through(b)+c.credits[c.wantOf[to]].arrive, c.dirty))
		return
	}
	c.giveBack(surplus)
	c.jumpTo(to)
}
