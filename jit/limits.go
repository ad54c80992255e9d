package jit

import (
	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
	"github.com/kitwork/kwnode/vm/wasm"
)

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
	seen, work := r.l.in.empty(), []int{r.l.head}
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
