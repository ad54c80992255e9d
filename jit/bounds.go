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

// group is accesses with one base.
type group struct {
	base      uint32
	first     uint32 // word of the first access
	at        int64  // its address, from the base
	low, high int64  // the lowest and the highest address, from the base
	end       int64  // behind the farthest access
	others    []uint32
}

const (
	maxSpread = 1 << 16 // between the addresses of a group
	maxGroups = 16      // open at once; the oldest is closed first
)

// guards finds the groups of a function.
type guards struct {
	at     map[uint32]guard
	value  []symbol // of each slot,
	stamp  []uint32 // if it is this region's
	region uint32
	bases  uint32
	open   []group
}

// constBase is the base of constants.
const constBase = 0

// findGuards finds the groups of the function, and the loops that need no checks.
func (c *compiler) findGuards(loops []loop) {
	f := c.f
	g := &guards{at: map[uint32]guard{}, value: make([]symbol, f.Frame+1), stamp: make([]uint32, f.Frame+1)}
	g.words(f, c.s, 0, uint32(len(f.Ins))-1)
	c.guards = g.at
	c.findVersions(loops)
	for _, v := range c.versions {
		g.at = v.guards
		for i := range v.in.each {
			g.words(f, c.s, c.flows[i].pc, c.flows[i].end)
		}
	}
}

// words finds groups of accesses that nothing is known of in at.
func (g *guards) words(f *code.Func, s *shape, pc, end uint32) {
	g.begin()
	for pc < end {
		in := decode(f.Ins, pc)
		if in.op == code.Charge || s.target[pc] {
			g.begin()
		}
		g.instruction(f, in)
		if leavesRegisters(in.op) {
			g.begin()
		}
		pc += in.size
	}
	g.begin()
}

// begin starts a region.
func (g *guards) begin() {
	for i := range g.open {
		g.close(&g.open[i])
	}
	g.open = g.open[:0]
	g.region++
	g.bases = constBase
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
	if slot, off, size, ok := accessOf(f.Ins, in); ok && !g.at[in.pc].covered {
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
		g.set(in.a, symbol{constBase, int64(in.imm())})
	case code.Op(wasm.OpI32Add) | code.KBit, code.Op(wasm.OpI32Sub) | code.KBit:
		s, k := g.of(in.b), int64(int32(uint32(f.Ins[in.pc+1])))
		if in.op == code.Op(wasm.OpI32Sub)|code.KBit {
			k = -k
		}
		s.off += k
		g.set(in.a, s)
	default:
		for _, slot := range written(in) {
			g.bases++
			g.set(slot, symbol{base: g.bases})
		}
	}
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
	end := s.off + int64(off) + size
	for i := range g.open {
		o := &g.open[i]
		if o.base != s.base {
			continue
		}
		low, high := min(o.low, s.off), max(o.high, s.off)
		if max(o.end, end)-low < 1<<30 && high-low < maxSpread {
			o.low, o.high, o.end = low, high, max(o.end, end)
			o.others = append(o.others, pc)
			return
		}
		g.close(o)
		*o = group{s.base, pc, s.off, s.off, s.off, end, nil}
		return
	}
	if len(g.open) == maxGroups {
		g.close(&g.open[0])
		g.open = append(g.open[:0], g.open[1:]...)
	}
	g.open = append(g.open, group{s.base, pc, s.off, s.off, s.off, end, nil})
}
