package jit

import (
	"cmp"
	"slices"

	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Registers for one loop.
//
// A register that no local has, or whose local a loop doesn't mention, may hold something else for as long as the loop
// runs: a value that doesn't change in it, or a local that got no register for the whole function. Both are pins that
// the loop's blocks alone may want. Whoever goes into the loop sees to that as to any other pin, Go too: a value is
// computed there again from the locals that it comes from. So nothing that a program can see is where it wasn't before.

// chain is how a value is computed: the first step begins it, each other one changes it.
type chain struct {
	kind  chainKind
	n     int
	steps [maxSteps]step
}

const maxSteps = 4

type chainKind uint8

const (
	intChain chainKind = iota
	floatChain
	vectorChain
)

// step is an operation of a chain. Its second operand is a local, or a constant: its operation then has KBit.
type step struct {
	op    code.Op
	local uint16
	k, hi uint64
}

// plan is what a register may be used for in a loop: a chain, or a local.
type plan struct {
	loop   int
	chain  chain // if n isn't 0
	local  uint16
	uses   []use
	weight uint64
	gain   int // instructions that a round saves
}

// first is where a value is first used, or before that, which local it is.
func (x *plan) first() uint64 {
	if len(x.uses) == 0 {
		return uint64(x.local)
	}
	return uint64(x.uses[0].pc)<<16 + 1<<16
}

// use is an instruction whose result a chain is, with those before it that are part of it; or one with a constant as
// its second operand, which the chain is.
type use struct {
	pc       uint32
	parts    []uint32
	constant bool
	weight   uint64
}

// node is a chain that an operand holds.
type node struct {
	chain chain
	pcs   []uint32
}

// planner looks for what is worth a register in a loop.
type planner struct {
	c       *compiler
	loops   []loop
	loop    int
	written []uint32 // of each slot, 1 + the last loop that writes it
	globals map[uint32]bool
	nodes   map[uint16]node
	plans   []*plan
	byChain map[chain]*plan
	byLocal map[uint16]*plan
	taken   map[pinKey]blocks
}

// pinKey names a register of either kind.
type pinKey struct {
	reg    uint8
	vector bool // or float
}

func (p *pin) key() pinKey { return pinKey{p.reg, p.float || p.vector} }

// planLoops gives the registers that loops can use better to what they hold there.
func (c *compiler) planLoops(loops []loop) {
	for i := range c.flows {
		c.flows[i].allowed = c.all()
	}
	if len(loops) == 0 {
		return
	}
	p := &planner{c: c, loops: loops, written: make([]uint32, c.f.Frame+2), taken: map[pinKey]blocks{}, nodes: map[uint16]node{}}
	c.mentions()
	for i := range loops {
		p.plan(i)
	}
	slices.SortFunc(p.plans, func(a, b *plan) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), a.loop-b.loop, cmp.Compare(a.first(), b.first()))
	})
	for _, x := range p.plans {
		p.place(x)
	}
	for i := c.fixed; i < len(c.pins); i++ {
		c.shared |= c.sharers(c.pins[i].key())
	}
}

// mentions notes which pins each block has to do with.
func (c *compiler) mentions() {
	for i := range c.flows {
		b := &c.flows[i]
		b.mention = 0
		c.eachSlot(b, func(slot uint16, _ bool, _ instruction) {
			if k, ok := c.pinAt(slot); ok {
				b.mention |= 1 << k
			}
		})
	}
}

// eachSlot goes through the slots below the operands that a block's instructions name, those that are inlined too.
func (c *compiler) eachSlot(b *flow, visit func(slot uint16, written bool, in instruction)) {
	instructions := func(ins []uint64, pc, end uint32, at *instruction) {
		for pc < end {
			in := decode(ins, pc)
			pc += in.size
			list, n, w := slots(ins, in)
			if at != nil {
				in = *at
			}
			for k, slot := range list[:n] {
				if int(slot) < len(c.pinOf) {
					visit(slot, k < w, in)
				}
			}
		}
	}
	for pc := b.pc; pc < b.end; {
		in := decode(c.f.Ins, pc)
		if t := c.sites[pc]; t != nil {
			instructions(t.ins, 1, uint32(len(t.ins))-1, &in)
		} else if !c.elided[pc] {
			instructions(c.f.Ins, pc, pc+1, nil)
		}
		pc += in.size
	}
}

// plan finds what a loop has use for.
func (p *planner) plan(i int) {
	c, l := p.c, &p.loops[i]
	p.loop = i
	p.globals, p.byChain, p.byLocal = map[uint32]bool{}, map[chain]*plan{}, map[uint16]*plan{}
	empty := true
	for k := range l.in.each {
		b := &c.flows[k]
		empty = empty && !l.round.has(k)
		l.mention |= b.mention
		p.writes(b)
	}
	if empty {
		return
	}
	for k := range l.round.each {
		p.block(&c.flows[k])
		c.eachSlot(&c.flows[k], func(slot uint16, _ bool, in instruction) { p.useLocal(slot, in) })
	}
}

// writes notes what a block changes.
func (p *planner) writes(b *flow) {
	c := p.c
	for pc := b.pc; pc < b.end; {
		in := decode(c.f.Ins, pc)
		if t := c.sites[pc]; t != nil {
			for at := uint32(1); at < uint32(len(t.ins))-1; {
				x := decode(t.ins, at)
				if x.op == code.GlobalSet {
					p.globals[x.imm()] = true
				}
				at += x.size
			}
		}
		if in.op == code.GlobalSet {
			p.globals[in.imm()] = true
		}
		list, _, w := slots(c.f.Ins, in)
		for _, slot := range list[:w] {
			p.written[slot] = uint32(p.loop) + 1
		}
		pc += in.size
	}
}

// fixed reports whether a slot is a local that the loop doesn't change.
func (p *planner) fixed(slot uint16) bool {
	return slot != noSlot && p.c.isLocal(slot) && p.written[slot] != uint32(p.loop)+1 && !p.c.s.vector[slot] && !p.c.s.half[slot]
}

// useLocal counts an instruction that names a local without a register.
func (p *planner) useLocal(slot uint16, in instruction) {
	c := p.c
	if _, pinned := c.pinAt(slot); pinned || c.isHeader(int(slot)) || c.s.half[slot] {
		return
	}
	x := p.byLocal[slot]
	if x == nil {
		x = &plan{loop: p.loop, local: slot}
		p.byLocal[slot] = x
		p.plans = append(p.plans, x)
	}
	x.gain++
	x.weight += 1 << (3 * c.s.depth[in.pc])
}

// block finds the chains of a block.
func (p *planner) block(b *flow) {
	c := p.c
	clear(p.nodes)
	for pc := b.pc; pc < b.end; {
		in := decode(c.f.Ins, pc)
		pc += in.size
		if in.op == code.Charge || c.elided[in.pc] {
			continue
		}
		if c.sites[in.pc] != nil || leavesRegisters(in.op) {
			p.endAll()
			continue
		}
		x, ok := p.extend(in)
		if !ok {
			p.constant(in)
		}
		list, n, w := slots(c.f.Ins, in)
		for _, slot := range list[w:n] {
			if nd, there := p.nodes[slot]; there {
				if !ok || !slices.Contains(x.pcs, nd.pcs[len(nd.pcs)-1]) {
					p.end(nd, in)
				}
				delete(p.nodes, slot)
			}
		}
		for _, slot := range list[:w] {
			delete(p.nodes, slot)
		}
		switch {
		case !ok:
		case int(in.a) >= len(c.pinOf):
			p.nodes[in.a] = x
		default:
			p.end(x, in)
		}
	}
	p.endAll()
}

func (p *planner) endAll() {
	for _, nd := range p.nodes {
		p.end(nd, instruction{})
	}
	clear(p.nodes)
}

// end plans for a chain that isn't part of a longer one, and which by consumes.
func (p *planner) end(nd node, by instruction) {
	x := nd.chain
	last := nd.pcs[len(nd.pcs)-1]
	if x.n == 1 && (x.steps[0].op == code.Const || x.steps[0].op == code.Mov) {
		if x.steps[0].op == code.Mov || x.steps[0].k == 0 || by.pc == last || !takesFloats(by.op) {
			return // an instruction may well contain it
		}
		x.kind = floatChain
	}
	gain := x.cost()
	if by.pc == last && by.pc != 0 {
		gain-- // it is copied to a local
	}
	p.add(x, gain, use{pc: last, parts: nd.pcs[:len(nd.pcs)-1]})
}

func (p *planner) add(x chain, gain int, u use) {
	if gain <= 0 {
		return
	}
	pl := p.byChain[x]
	if pl == nil {
		pl = &plan{loop: p.loop, chain: x}
		p.byChain[x] = pl
		p.plans = append(p.plans, pl)
	}
	u.weight = uint64(gain) << (3 * p.c.s.depth[u.pc])
	pl.uses = append(pl.uses, u)
	pl.gain += gain
	pl.weight += u.weight
}

// constant plans for the second operand of an instruction that is a constant and needs a register.
func (p *planner) constant(in instruction) {
	if in.op >= code.BrBase || in.op&code.KBit == 0 || isTruncSat(in.op) {
		return
	}
	k := p.c.f.Ins[in.pc+1]
	x := chain{n: 1, steps: [maxSteps]step{{op: code.Const, k: k}}}
	switch op := wasm.Op(in.op &^ code.KBit); {
	case isFloatArith(op) && k != 0:
		x.kind = floatChain
		p.add(x, 2, use{pc: in.pc, constant: true})
	case takesBigConst(op) && int64(k) != int64(int32(uint32(k))):
		p.add(x, 1, use{pc: in.pc, constant: true})
	}
}

// place gives a plan a register, if there is one.
func (p *planner) place(x *plan) {
	c, l := p.c, &p.loops[x.loop]
	x.uses = slices.DeleteFunc(x.uses, func(u use) bool {
		gone := c.hoistAt(u.pc) != 0
		for _, pc := range u.parts {
			gone = gone || c.hoistAt(pc) != 0
		}
		return gone
	})
	if x.chain.n > 0 && len(x.uses) == 0 || len(c.pins) == 64 {
		return
	}
	n := pin{slot: noSlot}
	if x.chain.n > 0 {
		n.value, n.float, n.vector = &x.chain, x.chain.kind == floatChain, x.chain.kind == vectorChain
	} else {
		n.slot, n.float, n.vector, n.width = x.local, c.s.float[x.local] != 0, c.s.vector[x.local], c.s.float[x.local]
	}
	if l.full[b2i(n.float || n.vector)][b2i(x.gain >= minLent)] {
		return
	}
	if n.value == nil {
		for k := range l.in.each {
			if slices.ContainsFunc(c.flows[k].locals, func(i uint8) bool { return c.pins[i].slot == x.local }) {
				return // a loop around this one has it
			}
		}
	}
	reg, lent, ok := p.register(l, n.float || n.vector, x.gain >= minLent)
	if !ok {
		return
	}
	n.reg = reg
	i := len(c.pins)
	c.pins = append(c.pins, n)
	for k := range l.in.each {
		b := &c.flows[k]
		b.allowed = b.allowed&^lent | 1<<i
		if n.value == nil {
			b.locals = append(b.locals, uint8(i))
		}
	}
	if n.value == nil {
		if p.writesIn(l, x.local) {
			c.assigned |= 1 << i
		}
		return
	}
	for _, u := range x.uses {
		if u.constant {
			c.setHoist(u.pc, hoistedConst|uint8(i))
			continue
		}
		c.setHoist(u.pc, hoistedResult|uint8(i))
		for _, pc := range u.parts {
			c.setHoist(pc, hoistedPart)
		}
	}
}

func (p *planner) writesIn(l *loop, local uint16) (yes bool) {
	for k := range l.in.each {
		p.c.eachSlot(&p.c.flows[k], func(slot uint16, w bool, _ instruction) { yes = yes || w && slot == local })
	}
	return yes
}

// minLent is how many instructions a round must save for a loop to take the register of a local that it doesn't
// mention, which goes home for that long.
const minLent = 2

// register finds a register for a loop, and the pin of the whole function that it is lent by.
func (p *planner) register(l *loop, vector, borrow bool) (reg uint8, lent uint64, ok bool) {
	c := p.c
	full := &l.full[b2i(vector)][b2i(borrow)]
	if *full {
		return 0, 0, false
	}
	n := len(pinRegs)
	if vector {
		n = len(pinXmm)
	}
	for i := range n {
		r := uint8(pinXmm[i])
		if !vector {
			r = uint8(pinRegs[i])
		}
		key := pinKey{r, vector}
		owner := c.sharers(key) & c.all()
		if s, there := p.taken[key]; there && s.meets(l.in) || owner&l.mention != 0 || owner != 0 && (!borrow || ok) {
			continue
		}
		if reg, lent, ok = r, owner, true; owner == 0 {
			break
		}
	}
	if *full = !ok; ok {
		key := pinKey{reg, vector}
		if _, there := p.taken[key]; !there {
			p.taken[key] = newBlocks(0, len(c.flows)-1)
		}
		p.taken[key].join(l.in)
	}
	return reg, lent, ok
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sharers is the pins of a register.
func (c *compiler) sharers(key pinKey) (set uint64) {
	for i := range c.pins {
		if c.pins[i].key() == key {
			set |= 1 << i
		}
	}
	return set
}

// What is known of an instruction's word: nothing; that it is part of a value that is computed before the loop; or
// the pin that holds its result, or its constant.
const (
	hoistedPart   = 1
	hoistedResult = 1 << 6 // and the pin
	hoistedConst  = 1 << 7 // and the pin
)

func (c *compiler) hoistAt(pc uint32) uint8 {
	if c.hoist == nil {
		return 0
	}
	return c.hoist[pc]
}

func (c *compiler) setHoist(pc uint32, h uint8) {
	if c.hoist == nil {
		c.hoist = make([]uint8, len(c.f.Ins))
	}
	c.hoist[pc] = h
}
