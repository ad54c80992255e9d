package jit

import (
	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Bounds checks that stand for others.
//
// Between two places where Go may enter or code may jump to, instructions run
// one after the other, or a trap ends them. Accesses there whose addresses
// differ by constants alone form a group: the first one checks for all. If that
// check fails, the interpreter executes the rest of the block and finds the
// access that traps; every other access needs no check of its own.
//
// The copies of a loop's block are such a straight line as well, so that the first one may check for all of them. That
// may fail for an address that the loop would never have come to: then the interpreter finds nothing that traps, and
// the next round is tried again.

// symbol is an i32 as an unknown value plus a constant, modulo 2^32.
type symbol struct {
	base uint32
	off  int64
}

// guard is what an access has to check.
type guard struct {
	covered bool   // nothing: another one did
	down    int32  // how far the group's lowest address is below this one
	span    uint32 // from there to the end of the group's farthest access; 0: only its own
}

// round is an instruction in one of the copies of its block.
type round uint64

func roundOf(pc uint32, copy int32) round { return round(copy)<<32 | round(pc) }

// group is accesses with one base.
type group struct {
	base      uint32
	first     round // the first access
	at        int64 // its address, from the base
	low, high int64 // the lowest and the highest address, from the base
	end       int64 // behind the farthest access
	others    []round
}

const (
	maxSpread = 1 << 16 // between the addresses of a group
	maxAcross = 1 << 12 // the same if it has accesses of several copies, which may look too far
	maxGroups = 16      // open at once; the oldest is closed first
)

// formula is how a value follows from others but for the constant.
type formula struct {
	op   wasm.Op
	x, y uint32 // bases; y of a shift or a multiplication is its constant
}

// guards finds the groups of a function.
type guards struct {
	at     map[round]guard
	value  []symbol // of each slot,
	stamp  []uint32 // if it is this region's
	known  map[formula]uint32
	region uint32
	bases  uint32
	copy   int32
	open   []group
}

// constBase is the base of constants.
const constBase = 0

// findGuards goes through the blocks, those that are repeated as often as they will be.
func (c *compiler) findGuards() {
	g := &guards{at: map[round]guard{}, value: make([]symbol, c.f.Frame+1), stamp: make([]uint32, c.f.Frame+1), known: map[formula]uint32{}}
	for i := range c.flows {
		b := &c.flows[i]
		g.begin()
		for g.copy = c.credits[i].times - 1; g.copy >= 0; g.copy-- {
			for pc := b.pc; pc < b.end; {
				in := decode(c.f.Ins, pc)
				g.instruction(c.f, in)
				if leavesRegisters(in.op) {
					g.begin()
				}
				pc += in.size
			}
		}
	}
	g.begin()
	c.guards = g.at
}

// begin starts a region.
func (g *guards) begin() {
	for i := range g.open {
		g.close(&g.open[i])
	}
	g.open = g.open[:0]
	g.region++
	g.bases = constBase
	if len(g.known) > 0 {
		clear(g.known)
	}
}

func (g *guards) close(o *group) {
	if len(o.others) == 0 {
		return
	}
	g.at[o.first] = guard{down: int32(o.at - o.low), span: uint32(o.end - o.low)}
	for _, pc := range o.others {
		g.at[pc] = guard{covered: true}
	}
}

func (g *guards) of(slot uint16) symbol {
	if int(slot) >= len(g.value) {
		g.bases++
		return symbol{base: g.bases}
	}
	if g.stamp[slot] != g.region {
		g.bases++
		g.set(slot, symbol{base: g.bases})
	}
	return g.value[slot]
}

func (g *guards) set(slot uint16, s symbol) {
	if int(slot) < len(g.value) {
		g.value[slot], g.stamp[slot] = s, g.region
	}
}

func (g *guards) instruction(f *code.Func, in instruction) {
	if slot, off, size, ok := accessOf(f.Ins, in); ok {
		g.access(in.pc, g.of(slot), off, size)
	}
	switch in.op {
	case code.Mov:
		g.set(in.a, g.of(in.b))
	case code.Mov2:
		x, y := g.of(in.b), g.of(in.c)
		g.set(in.a, x)
		g.set(in.a+1, y)
	case code.Const:
		g.set(in.a, symbol{base: constBase}.plus(int64(in.imm())))
	case code.Op(wasm.OpI32Add):
		g.set(in.a, g.sum(g.of(in.b), g.of(in.c)))
	case code.Op(wasm.OpI32Add) | code.KBit:
		g.set(in.a, g.of(in.b).plus(int64(f.Ins[in.pc+1])))
	case code.Op(wasm.OpI32Sub) | code.KBit:
		g.set(in.a, g.of(in.b).plus(-int64(f.Ins[in.pc+1])))
	case code.Op(wasm.OpI32Shl) | code.KBit:
		g.set(in.a, g.times(g.of(in.b), 1<<(uint32(f.Ins[in.pc+1])&31)))
	case code.Op(wasm.OpI32Mul) | code.KBit:
		g.set(in.a, g.times(g.of(in.b), uint32(f.Ins[in.pc+1])))
	default:
		for _, slot := range written(in) {
			g.bases++
			g.set(slot, symbol{base: g.bases})
		}
	}
}

// plus is a symbol and a constant.
func (s symbol) plus(k int64) symbol { return symbol{s.base, int64(int32(uint32(s.off + k)))} }

func (g *guards) sum(x, y symbol) symbol {
	switch {
	case x.base == constBase:
		return y.plus(x.off)
	case y.base == constBase:
		return x.plus(y.off)
	}
	s := symbol{base: g.number(formula{wasm.OpI32Add, min(x.base, y.base), max(x.base, y.base)})}
	return s.plus(x.off).plus(y.off)
}

func (g *guards) times(x symbol, k uint32) symbol {
	s := symbol{base: constBase}
	if x.base != constBase {
		s.base = g.number(formula{wasm.OpI32Mul, x.base, k})
	}
	return s.plus(int64(uint32(x.off) * k))
}

// number is the base of a value that is computed so.
func (g *guards) number(how formula) uint32 {
	base, ok := g.known[how]
	if !ok {
		g.bases++
		base = g.bases
		g.known[how] = base
	}
	return base
}

// accessOf describes a load or store of memory.
func accessOf(ins []uint64, in instruction) (slot uint16, off uint64, size int64, ok bool) {
	switch op := wasm.Op(in.op &^ code.KBit); {
	case in.op >= code.RareBase:
		op = wasm.Op(in.op - code.RareBase)
		if op < wasm.PrefixSIMD {
			return 0, 0, 0, false
		}
		log2, memory := wasm.Info(op).Imm.AccessLog2()
		return in.b, uint64(uint32(ins[in.pc+1])), 1 << log2, memory
	case isTruncSat(in.op) || in.op >= code.BrBase:
		return 0, 0, 0, false
	case isLoad(op):
		slot = in.b
		size = int64(accesses[op].size)
	case isStore(op):
		slot = in.a
		size = int64(accesses[op].size)
	default:
		return 0, 0, 0, false
	}
	off = uint64(in.c)
	if in.op&code.KBit != 0 {
		off = ins[in.pc+1]
	}
	return slot, off, size, true
}

// access adds one to the group of its base. off is the part of the address
// that doesn't wrap.
func (g *guards) access(pc uint32, s symbol, off uint64, size int64) {
	if s.base == constBase || off > 1<<30 {
		return // a constant address is checked at once
	}
	at := roundOf(pc, g.copy)
	end := s.off + int64(off) + size
	for i := range g.open {
		o := &g.open[i]
		if o.base != s.base {
			continue
		}
		low, high := min(o.low, s.off), max(o.high, s.off)
		spread := int64(maxSpread)
		if o.first>>32 != at>>32 {
			spread = maxAcross
		}
		if max(o.end, end)-low < 1<<30 && high-low < spread {
			o.low, o.high, o.end = low, high, max(o.end, end)
			o.others = append(o.others, at)
			return
		}
		g.close(o)
		*o = group{s.base, at, s.off, s.off, s.off, end, nil}
		return
	}
	if len(g.open) == maxGroups {
		g.close(&g.open[0])
		g.open = append(g.open[:0], g.open[1:]...)
	}
	g.open = append(g.open, group{s.base, at, s.off, s.off, s.off, end, nil})
}
