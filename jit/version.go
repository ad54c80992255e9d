package jit

import (
	"math"
	"math/bits"
	"slices"

	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
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
	c.copied, c.fast = v, fast
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
	c.copied, c.fast, c.guards = nil, false, guards
	return nil
}
