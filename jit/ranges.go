package jit

import (
	"slices"

	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/vm/wasm"
)

// What a loop's addresses are.
//
// In an innermost loop without calls, an address is often the sum of locals that the loop doesn't change, of locals that
// each round takes up or down by a constant, and of a constant. Where a round begins is known then before the first one,
// and where the last one ends too, if the loop stops when such a local meets a value that doesn't change.

// maxTerms is how many locals an address is the sum of.
const maxTerms = 3

// terms is a sum of locals, each times a constant, modulo 2^32. Locals are in ascending order.
type terms struct {
	n     int
	slots [maxTerms]uint16
	times [maxTerms]int32
}

// form is what a slot holds: locals as they are where the block begins, and a constant.
type form struct {
	terms
	known bool
	wide  bool // modulo 2^64 as well, so far as it is a constant or one local and a constant
	off   int64
}

func (x form) plus(y form, sign int32) form {
	z := form{known: x.known && y.known, wide: x.wide && y.wide, off: x.off + int64(sign)*y.off}
	add := func(slot uint16, times int32) {
		if times != 0 {
			if z.n == maxTerms {
				z.known = false
				return
			}
			z.slots[z.n], z.times[z.n] = slot, times
			z.n++
		}
	}
	for i, k := 0, 0; i < x.n || k < y.n; {
		switch {
		case k == y.n || i < x.n && x.slots[i] < y.slots[k]:
			add(x.slots[i], x.times[i])
			i++
		case i == x.n || x.slots[i] > y.slots[k]:
			add(y.slots[k], sign*y.times[k])
			k++
		default:
			add(x.slots[i], x.times[i]+sign*y.times[k])
			i, k = i+1, k+1
		}
	}
	return z
}

func (x form) scaled(by int32) form {
	x.off, x.wide = x.off*int64(by), x.wide && x.n == 0
	for i := range x.n {
		x.times[i] *= by
	}
	if by == 0 || slices.Contains(x.times[:x.n], 0) {
		return form{known: by == 0}
	}
	return x
}

// ranger goes through the blocks of one loop.
type ranger struct {
	c      *compiler
	l      *loop
	value  []form   // of each slot,
	stamp  []uint32 // if it is this block's
	block  uint32
	writes []int  // of each local, how many instructions of the loop write it,
	varies []bool // and whether they do anything else than a step
	steps  map[uint16]step64
	bound  uint16 // a local that is below the loop's limit where a round begins, or noSlot
}

// step64 is what a round adds to a local, at most once, in one block.
type step64 struct {
	by    int64
	wide  bool
	block int
}

// clause is accesses whose addresses differ by constants.
type clause struct {
	terms
	low, high, end int64 // as those of a group
	up, down       int64 // how far a round takes the address up, or down, at most
	bound          int64 // how often the address has the local that is below the loop's limit in it
	pcs            []uint32
	saves          int // checks in a round
}

func newRanger(c *compiler) *ranger {
	return &ranger{c: c, value: make([]form, c.f.Frame+2), stamp: make([]uint32, c.f.Frame+2), writes: make([]int, len(c.s.uses)), varies: make([]bool, len(c.s.uses))}
}

// begin starts a loop.
func (r *ranger) begin(l *loop) {
	r.l, r.steps, r.bound = l, map[uint16]step64{}, noSlot
	clear(r.writes)
	clear(r.varies)
	for i := range l.in.each {
		r.c.eachSlot(&r.c.flows[i], func(slot uint16, written bool, _ instruction) {
			if written {
				r.writes[slot]++
				r.varies[slot] = r.writes[slot] > 1
			}
		})
	}
	for i := range l.in.each {
		r.walk(i, func(in instruction) {
			list, _, w := slots(r.c.f.Ins, in)
			for _, slot := range list[:w] {
				if int(slot) >= len(r.writes) || r.writes[slot] != 1 {
					continue
				}
				if x := r.of(slot); x.known && x.n == 1 && x.slots[0] == slot && x.times[0] == 1 && x.off != 0 {
					r.steps[slot] = step64{x.off, x.wide, i}
				}
			}
		})
	}
	for slot, n := range r.writes {
		if _, steps := r.steps[uint16(slot)]; n == 1 && !steps {
			r.varies[slot] = true
		}
	}
}

// walk goes through a block's instructions, and calls visit behind each.
func (r *ranger) walk(i int, visit func(in instruction)) {
	b := &r.c.flows[i]
	r.block++
	for pc := b.pc; pc < b.end; {
		in := decode(r.c.f.Ins, pc)
		r.instruction(in)
		visit(in)
		pc += in.size
	}
}

func (r *ranger) of(slot uint16) form {
	if int(slot) >= len(r.value) {
		return form{}
	}
	if r.stamp[slot] == r.block {
		return r.value[slot]
	}
	c := r.c
	if !c.isLocal(slot) || r.varies[slot] && slot != r.bound || c.s.float[slot] != 0 || c.s.vector[slot] || c.s.half[slot] {
		return form{}
	}
	return form{known: true, wide: true, terms: terms{n: 1, slots: [maxTerms]uint16{slot}, times: [maxTerms]int32{1}}}
}

func (r *ranger) set(slot uint16, x form) {
	if int(slot) < len(r.value) {
		r.value[slot], r.stamp[slot] = x, r.block
	}
}

func narrow(x form) form { x.wide = false; return x }

func (r *ranger) instruction(in instruction) {
	ins := r.c.f.Ins
	k := func() form { return form{known: true, wide: true, off: int64(ins[in.pc+1])} }
	switch in.op {
	case code.Mov:
		r.set(in.a, r.of(in.b))
	case code.Mov2:
		x, y := r.of(in.b), r.of(in.c)
		r.set(in.a, x)
		r.set(in.a+1, y)
	case code.Const:
		r.set(in.a, form{known: true, wide: true, off: int64(in.imm())})
	case code.Const64:
		r.set(in.a, k())
	case code.Op(wasm.OpI32WrapI64), code.Op(wasm.OpI64ExtendI32U), code.Op(wasm.OpI64ExtendI32S):
		r.set(in.a, narrow(r.of(in.b)))
	case code.Op(wasm.OpI32Add):
		r.set(in.a, narrow(r.of(in.b).plus(r.of(in.c), 1)))
	case code.Op(wasm.OpI64Add):
		r.set(in.a, r.of(in.b).plus(r.of(in.c), 1))
	case code.Op(wasm.OpI32Sub):
		r.set(in.a, narrow(r.of(in.b).plus(r.of(in.c), -1)))
	case code.Op(wasm.OpI64Sub):
		r.set(in.a, r.of(in.b).plus(r.of(in.c), -1))
	case code.Op(wasm.OpI32Add) | code.KBit:
		r.set(in.a, narrow(r.of(in.b).plus(k(), 1)))
	case code.Op(wasm.OpI64Add) | code.KBit:
		r.set(in.a, r.of(in.b).plus(k(), 1))
	case code.Op(wasm.OpI32Sub) | code.KBit:
		r.set(in.a, narrow(r.of(in.b).plus(k(), -1)))
	case code.Op(wasm.OpI64Sub) | code.KBit:
		r.set(in.a, r.of(in.b).plus(k(), -1))
	case code.Op(wasm.OpI32Shl) | code.KBit:
		r.set(in.a, narrow(r.of(in.b).scaled(1<<(ins[in.pc+1]&31))))
	case code.Op(wasm.OpI64Shl) | code.KBit:
		if n := ins[in.pc+1] & 63; n < 32 {
			r.set(in.a, r.of(in.b).scaled(1<<n))
		} else {
			r.set(in.a, form{})
		}
	case code.Op(wasm.OpI32Mul) | code.KBit:
		r.set(in.a, narrow(r.of(in.b).scaled(int32(ins[in.pc+1]))))
	case code.Call: // inlined
		for slot := int(in.a); slot < len(r.value); slot++ {
			r.set(uint16(slot), form{})
		}
	default:
		list, _, w := slots(ins, in)
		for _, slot := range list[:w] {
			r.set(slot, form{})
			if in.op >= code.RareBase || in.op == code.MovV {
				r.set(slot+1, form{})
			}
		}
	}
}

// clauses finds the accesses of the loop whose addresses are known.
func (r *ranger) clauses() (list []clause) {
	for i := range r.l.in.each {
		// An address is looked at before its instruction, which may write the slot that it is in.
		b := &r.c.flows[i]
		r.block++
		for pc := b.pc; pc < b.end; {
			in := decode(r.c.f.Ins, pc)
			if slot, off, size, ok := accessOf(r.c.f.Ins, in); ok && off <= 1<<30 {
				if x := r.of(slot); x.known {
					list = r.access(list, in.pc, x, int64(off)+size)
				}
			}
			r.instruction(in)
			pc += in.size
		}
	}
	return list
}

func (r *ranger) access(list []clause, pc uint32, x form, size int64) []clause {
	at := int64(int32(x.off))
	saves := 1
	if r.c.guards[pc].covered {
		saves = 0
	}
	for i := range list {
		o := &list[i]
		low, high, end := min(o.low, at), max(o.high, at), max(o.end, at+size)
		if o.terms == x.terms && high-low < maxSpread && end-low < 1<<30 {
			o.low, o.high, o.end = low, high, end
			o.pcs, o.saves = append(o.pcs, pc), o.saves+saves
			return list
		}
	}
	n := clause{terms: x.terms, low: at, high: at, end: at + size, pcs: []uint32{pc}, saves: saves}
	for i := range x.n {
		if x.slots[i] == r.bound {
			n.bound = int64(x.times[i])
		} else if s, ok := r.steps[x.slots[i]]; ok {
			by := int64(x.times[i]) * int64(int32(s.by))
			n.up, n.down = n.up+max(0, by), n.down+max(0, -by)
		}
	}
	return append(list, n)
}
