package jit

import (
	"math"
	"math/bits"
	"slices"

	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
	"github.com/kitwork/kwnode/vm/wasm"
)

// One check before a whole loop.
//
// Where a loop begins it is tested whether every address that it can come to is inside the memory. If so, a copy of it
// runs that doesn't check; if not, or if the loop may run for longer than is known, one that does. The test is no check:
// it traps nowhere, costs no gas and may fail for any reason. Memory only grows, so what it found holds for the whole
// loop. Go never enters the copy without checks but by way of the test.

// version is a loop of which there are two copies.
type version struct {
	head    int
	in      blocks
	clauses []clause
	limit   limit
	guards  map[uint32]guard // of the copy without those checks
}

// limit is what ends a loop: a local that a round takes up or down by a power of two, and that doesn't go on once it,
// and a constant, is another one, and a constant.
type limit struct {
	width Width // 0: none is known
	local uint16
	by    int64  // 0: the local may change in any way, but a round only begins if it is below
	with  uint16 // or noSlot
	// away is what has to be added to the distance between the locals, in the direction that the loop takes; or to the
	// other one.
	away int64
}

const (
	maxVersioned  = 160     // words of a loop that is copied
	maxVersionsOf = 1024    // words that a function may grow by
	maxClauses    = 6       // of a test
	maxStride     = 1 << 20 // bytes that a round may take an address up or down
	minSaved      = 2       // checks in a round that a loop must save which all are for addresses that don't change
)

// refuseChecks makes loops whose test fails trap instead, so that the package's tests see which ones did.
var refuseChecks = false

func (c *compiler) versionOf(block int) *version {
	if c.version == nil || block >= len(c.version) {
		return nil
	}
	return c.version[block]
}

// Of each word there may be three places in code: where the block is gone to, its copy without checks, and the one of a
// loop's head with checks.

// inCopy is the place of a word in the copy that is being made, if it has one of its own there.
func (c *compiler) inCopy(pc uint32) uint32 {
	if v := c.copied; v != nil {
		n := uint32(len(c.wantOf)) / 3
		switch block := int(c.wantOf[pc]); {
		case c.fast && v.in.has(block):
			return pc + n
		case !c.fast && block == v.head:
			return pc + 2*n
		}
	}
	return pc
}

// word is the word of a place.
func (c *compiler) word(place uint32) uint32 {
	if c.version == nil {
		return place
	}
	return place % (uint32(len(c.wantOf)) / 3)
}

// findVersions decides which loops are copied.
func (c *compiler) findVersions(loops []loop) {
	var r *ranger
	grown := uint32(0)
	for k := range loops {
		l := &loops[k]
		words, ok := c.mayVersion(l)
		if !ok || grown+words > maxVersionsOf {
			continue
		}
		if r == nil {
			r = newRanger(c)
		}
		r.begin(l)
		v := &version{head: l.head, in: l.in, guards: map[uint32]guard{}}
		v.choose(r)
		if len(v.clauses) == 0 {
			continue
		}
		grown += words
		if c.version == nil {
			c.version = make([]*version, len(c.flows))
			n := len(c.wantOf)
			c.wantOf = append(append(append(make([]int32, 0, 3*n), c.wantOf...), c.wantOf...), c.wantOf...)
			at := make([]int32, 3*n)
			for i := range at {
				at[i] = -1
			}
			c.at = at
		}
		c.versions = append(c.versions, v)
		for i := range l.in.each {
			c.version[i] = v
		}
	}
}

// mayVersion reports whether a loop may be copied, and how many words it has: it has no other one inside, nobody looks at
// it while it runs, and it begins where its first block does.
func (c *compiler) mayVersion(l *loop) (words uint32, ok bool) {
	for i := range l.in.each {
		b := &c.flows[i]
		if words += b.words; b.closed || i < l.head || words > maxVersioned {
			return 0, false
		}
		for _, pc := range b.next {
			if to := int(c.wantOf[pc]); to <= i && to != l.head && l.in.has(to) {
				return 0, false
			}
		}
	}
	return words, code.Plain(code.Op(c.f.Ins[c.flows[l.head].pc])) == code.Charge
}

// choose decides which accesses the test is for.
func (v *version) choose(r *ranger) {
	v.limit = r.limit()
	fixed, moving := 0, 0
	for _, x := range r.clauses() {
		moves := x.moves()
		switch {
		case moves && (v.limit.width == 0 || max(x.up, x.down, x.bound) > maxStride || x.bound < 0):
		case v.limit.by == 0 && max(x.up, x.down) > 0:
		case x.n == 0 && int64(uint32(x.low))+x.end-x.low > math.MaxInt32:
		case len(v.clauses) == maxClauses:
		default:
			v.clauses = append(v.clauses, x)
			if moves {
				moving += x.saves
			} else {
				fixed += x.saves
			}
		}
	}
	if moving == 0 && fixed < minSaved {
		v.clauses = nil
	}
	for _, x := range v.clauses {
		for _, pc := range x.pcs {
			v.guards[pc] = guard{covered: true}
		}
	}
}

// limit finds what ends the loop.
func (r *ranger) limit() limit {
	for i := range r.l.in.each {
		if x, ok := r.exit(i); ok && r.everyRound(i) && r.everyRound(r.steps[x.local].block) {
			return x
		}
	}
	latch := -1
	for i := range r.l.in.each {
		for _, pc := range r.c.flows[i].next {
			if int(r.c.wantOf[pc]) == r.l.head && latch != i {
				if latch >= 0 {
					return limit{} // a round ends in several places
				}
				latch = i
			}
		}
	}
	return r.below(latch)
}

// everyRound reports whether every round passes a block, whichever way it takes.
func (r *ranger) everyRound(block int) bool {
	seen, work := newBlocks(len(r.c.flows)), []int{r.l.head}
	for block != r.l.head && len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		for _, pc := range r.c.flows[i].next {
			switch to := int(r.c.wantOf[pc]); {
			case to == r.l.head:
				return false
			case to != block && r.l.in.has(to) && !seen.has(to):
				seen.add(to)
				work = append(work, to)
			}
		}
	}
	return true
}

// below is a limit that a local has wherever a round begins, the first one aside, if the last block compares it so and
// nobody else writes it.
func (r *ranger) below(latch int) limit {
	e, ok := r.condition(latch)
	if e.kind == condGtU {
		e.kind, e.a, e.y = condLtU, e.b, e.x
	}
	if !ok || e.kind != condLtU || e.width != 4 || int(e.a) >= len(r.writes) || !e.y.known {
		return limit{}
	}
	l := limit{width: 4, local: e.a, with: noSlot, away: e.y.off}
	if !r.fixedSum(e.y, &l.with) {
		return limit{}
	}
	there := 0
	r.c.eachSlot(&r.c.flows[latch], func(slot uint16, written bool, _ instruction) {
		if written && slot == e.a {
			there++
		}
	})
	if there == 0 || there != r.writes[e.a] {
		return limit{}
	}
	r.bound = e.a
	return l
}

// fixedSum reports whether a form is a local that the loop doesn't change, or none, and a constant.
func (r *ranger) fixedSum(x form, local *uint16) bool {
	if x.n == 0 {
		return true
	}
	*local = x.slots[0]
	return x.n == 1 && x.times[0] == 1 && r.writes[x.slots[0]] == 0
}

// condition is what has to hold for a loop to go on at the end of a block.
type condition struct {
	kind  int // of the comparison, as eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u are numbered
	width Width
	a, b  uint16 // the slots that are compared; b is noSlot for a constant
	x, y  form
}

const (
	condEq  = 0
	condNe  = 1
	condLtU = 3
	condGtU = 5
	condLeS = 6 // from here on they hold for equal values, as condEq does
)

var opposite = [...]int{1, 0, 8, 9, 6, 7, 4, 5, 2, 3}

// condition is that of a block's last instruction, if one of its ways leaves the loop.
func (r *ranger) condition(i int) (e condition, ok bool) {
	c, b := r.c, &r.c.flows[i]
	in := decode(c.f.Ins, b.last)
	if in.op < code.BrBase || in.op >= code.RareBase || len(b.next) != 2 {
		return e, false
	}
	taken, falls := r.l.in.has(int(c.wantOf[b.next[0]])), r.l.in.has(int(c.wantOf[b.next[1]]))
	if taken == falls {
		return e, false
	}
	constant := in.op >= code.BrKBase
	op := wasm.Op(in.op - code.BrBase)
	if constant {
		op = wasm.Op(in.op - code.BrKBase)
	}
	if op > wasm.OpI64GeU {
		return e, false
	}
	r.walk(i, func(instruction) {})
	e = condition{width: width(op), a: in.a, b: noSlot, x: r.of(in.a), y: form{known: true, wide: true}}
	switch {
	case isEqz(in.op):
		if e.kind = condEq; constant {
			e.kind = condNe
		}
	case constant:
		e.kind, e.y.off = int(op-wasm.OpI32Eq)%11, int64(int32(in.imm()))
	default:
		e.kind, e.b, e.y = int(op-wasm.OpI32Eq)%11, in.b, r.of(in.b)
	}
	if !taken {
		e.kind = opposite[e.kind]
	}
	return e, true
}

// exit looks at the condition that a block ends with: whether it leaves the loop once a local is where another one is.
func (r *ranger) exit(i int) (limit, bool) {
	e, ok := r.condition(i)
	if !ok || e.kind == condEq || e.kind >= condLeS || !e.x.known || !e.y.known {
		return limit{}, false
	}
	if _, moves := r.stepOf(e.x); !moves {
		e.x, e.y = e.y, e.x
	}
	return r.toward(e.x, e.y, e.width)
}

// stepOf is the step of a form of one local and a constant.
func (r *ranger) stepOf(x form) (step64, bool) {
	if x.n != 1 || x.times[0] != 1 {
		return step64{}, false
	}
	s, ok := r.steps[x.slots[0]]
	return s, ok
}

// toward makes a limit of two forms that are different as long as the loop goes on.
func (r *ranger) toward(x, y form, w Width) (limit, bool) {
	s, ok := r.stepOf(x)
	if !ok || w == 8 && !(x.wide && y.wide && s.wide) {
		return limit{}, false
	}
	l := limit{width: w, local: x.slots[0], by: s.by, with: noSlot, away: y.off - x.off}
	if w == 4 {
		l.by = int64(int32(s.by))
	}
	if !r.fixedSum(y, &l.with) {
		return limit{}, false
	}
	by := l.by
	if by < 0 {
		by, l.away = -by, -l.away
	}
	return l, by > 0 && by <= maxStride && by&(by-1) == 0
}

// test is where a loop begins: it goes to the copy with checks unless the other one, which follows, may run.
func (c *compiler) test(v *version) {
	i := v.head
	if err := c.arriveAt(i, c.flows[i].pc); err != nil && c.wrong == nil {
		c.wrong = err
	}
	due := int32(0)
	if metered {
		due = c.credits[i].arrive
	}
	c.enterHere(i, due)
	checked := c.flows[i].pc + 2*uint32(len(c.wantOf)/3)
	unless := func(cond Cond) {
		if refuseChecks {
			c.trap(cond, code.NativeTrapUnreachable, c.flows[i].pc)
			return
		}
		c.b = Jcc(c.b, cond, 0)
		c.jumps = append(c.jumps, patch{len(c.b) - 4, checked, len(c.b)})
	}
	if slices.ContainsFunc(v.clauses, func(x clause) bool { return x.moves() }) {
		c.rounds(&v.limit, unless)
	}
	for k := range v.clauses {
		c.testClause(v, &v.clauses[k], unless)
	}
	c.dead = true
}

// moves reports whether the addresses change from round to round.
func (x *clause) moves() bool { return x.up > 0 || x.down > 0 || x.bound != 0 }

// rounds leaves in RCX how often the loop may go on: at most as often, and once more, a local is changed. If the limit is
// one that the local is below, it is that.
func (c *compiler) rounds(l *limit, unless func(Cond)) {
	w := l.width
	from, to, by := l.local, l.with, l.by
	switch {
	case by < 0:
		from, to, by = to, from, -by
	case by == 0:
		from = noSlot
	}
	away := l.away
	if to == noSlot {
		if w == 4 {
			away = int64(uint32(away))
		}
		c.b = MOVRI(c.b, RCX, uint64(away))
		away = 0
	} else {
		c.load64(RCX, c.localAt(to), w)
	}
	if from != noSlot {
		c.aluPlace(SUB, w, RCX, c.localAt(from))
	}
	if imm := int32(away); w == 4 || int64(imm) == away {
		if imm != 0 {
			c.b = ALURI(c.b, ADD, w, RCX, imm)
		}
	} else {
		c.b = MOVRI(c.b, scratch, uint64(away))
		c.b = ALURR(c.b, ADD, w, RCX, scratch)
	}
	if by == 0 {
		c.aluPlace(CMP, 4, RCX, c.localAt(l.local))
		unless(BE)
		return
	}
	if by > 1 {
		// Otherwise it steps over the value.
		c.b = TESTRI(c.b, w, RCX, int32(by-1))
		unless(NE)
		c.b = ShiftRI(c.b, SHR, w, RCX, uint8(bits.TrailingZeros64(uint64(by))))
	}
	// If it is there already, it has to go all the way around.
	c.b = LEA(c.b, 8, scratch, Mem{Base: RCX, Disp: -1})
	c.b = ALURI(c.b, CMP, 8, scratch, math.MaxInt32)
	unless(A)
}

// testClause tests the addresses of a clause.
func (c *compiler) testClause(v *version, x *clause, unless func(Cond)) {
	span := int32(x.end - x.low)
	if x.n == 0 {
		c.b = ALUMI(c.b, CMP, 8, c.field(c.lay.MemLen), int32(int64(uint32(x.low))+int64(span)))
		unless(B)
		return
	}
	c.sum(x, v.limit.local)
	if x.bound > 0 {
		c.b = IMULRI(c.b, 8, RDX, RCX, int32(x.bound))
		c.b = LEA(c.b, 8, scratch, Mem{Base: scratch, Index: RDX, Scale: 1, Disp: span - int32(x.bound)})
		c.b = ALURM(c.b, CMP, 8, scratch, c.field(c.lay.MemLen))
		unless(A)
		return
	}
	if x.down > 0 {
		c.b = IMULRI(c.b, 8, RDX, RCX, int32(x.down))
		c.b = ALURI(c.b, ADD, 8, RDX, int32(x.down))
		c.b = ALURR(c.b, CMP, 8, scratch, RDX)
		unless(B)
	}
	end := Mem{Base: scratch, Disp: span}
	if x.up > 0 {
		if x.up > 1 {
			c.b = IMULRI(c.b, 8, RDX, RCX, int32(x.up))
			end.Index = RDX
		} else {
			end.Index = RCX
		}
		end.Scale, end.Disp = 1, span+int32(x.up)
	}
	c.b = LEA(c.b, 8, scratch, end)
	c.b = ALURM(c.b, CMP, 8, scratch, c.field(c.lay.MemLen))
	unless(A)
}

// sum leaves a clause's lowest address in scratch, as it is where the loop begins, without the local that is below the
// limit.
func (c *compiler) sum(x *clause, bound uint16) {
	k, first := int32(x.low), true
	for i := range x.n {
		if x.bound != 0 && x.slots[i] == bound {
			continue
		}
		p := c.localAt(x.slots[i])
		switch times := x.times[i]; {
		case times == 1 && first:
			c.load64(scratch, p, 4)
		case times == 1:
			c.aluPlace(ADD, 4, scratch, p)
		case times == -1 && !first:
			c.aluPlace(SUB, 4, scratch, p)
		default:
			d := scratch
			if !first {
				d = RDX
			}
			c.load64(d, p, 4)
			c.b = IMULRI(c.b, 4, d, d, times)
			if !first {
				c.b = ALURR(c.b, ADD, 4, scratch, d)
			}
		}
		first = false
	}
	if first {
		c.b = MOVRI(c.b, scratch, uint64(uint32(k)))
		return
	}
	if k != 0 {
		c.b = ALURI(c.b, ADD, 4, scratch, k)
	}
}

// copyOf translates a loop once more. What falls out of it jumps.
func (c *compiler) copyOf(v *version, fast bool) error {
	guards := c.guards
	if fast {
		c.guards = v.guards
	}
	c.copied, c.fast, c.skip = v, fast, 0
	last := -1
	for i := range v.in.each {
		if !c.dead && last >= 0 && last+1 != i {
			c.goTo(last + 1)
		}
		if err := c.blockCode(i); err != nil {
			return err
		}
		last = i
	}
	if !c.dead {
		c.goTo(last + 1)
	}
	c.copied, c.fast, c.guards, c.skip = nil, false, guards, 0
	return nil
}
