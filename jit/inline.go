package jit

import (
	"maps"
	"slices"

	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
	"github.com/kitwork/kwnode/vm/wasm"
)

// Small leaf functions in the place of calls.
//
// What is inlined is one block: a charge, instructions that neither jump nor call nor need the machine, and the return.
// Nobody can tell, since nobody looks while it runs:
//
//   - Its charge is paid with the caller's block, whose start is the last safepoint before it. If that isn't covered the
//     interpreter goes on, makes the call and stops where it must.
//   - Whether there is room for its frame, and a call left, is checked where the caller begins and where Go enters the
//     caller. If not, the interpreter goes on, which meets the limit at the call that exceeds it.
//   - A trap makes the frame that the call would have made, and leaves from it.
//   - Go may come back behind the call, for the interpreter may have made it: there is an entry.

// site is a call in whose place the callee's code stands.
type site struct {
	pc     uint32 // the call
	base   uint16 // the callee's first slot, in the caller's frame
	callee *code.Func
	ins    []uint64 // the callee's code, with the caller's slots
	consts map[uint16]uint64
	traps  [16]patchList
}

const (
	maxInlined    = 32 // words of code of a function that is inlined
	maxInlinedGas = 48 // units that it costs
	maxLeafLocals = 4
	maxBlockGas   = 128 // units that all calls of one block cost
	maxGrowth     = 512 // words that a function may grow by
)

// isLeaf reports whether a function may be inlined.
func isLeaf(m *wasm.Module, f *code.Func) bool {
	n := uint32(len(f.Ins)) - 1
	if n > maxInlined || f.Charge > maxInlinedGas || f.Locals > maxLeafLocals || f.Results > 1 || code.Plain(code.Op(f.Ins[0])) != code.Charge {
		return false
	}
	if slices.Contains(m.AppendLocals(nil, f.Index), wasm.V128) {
		return false
	}
	for pc := uint32(1); ; {
		in := decode(f.Ins, pc)
		switch {
		case pc+in.size > n:
			return false
		case in.op == code.Return0 || in.op == code.Return1:
			return pc+in.size == n
		case !inlineable(in.op):
			return false
		}
		pc += in.size
	}
}

// inlineable tells the instructions that do all they do in place, or trap.
func inlineable(op code.Op) bool {
	switch op {
	case code.Mov, code.Mov2, code.Const, code.Const64, code.Select, code.GlobalGet, code.GlobalSet, code.MemSize:
		return true
	}
	return op >= 0x28 && op < code.BrBase && !isTruncSat(op)
}

// findSites decides which calls are inlined. In a block with another call none is: somebody would see what is paid ahead.
func (c *compiler) findSites(lowered func(uint32) *code.Func) {
	if lowered == nil || len(c.f.Calls) == 0 {
		return
	}
	leaves := map[uint32]*code.Func{}
	var block []*site
	var args []uint32 // the moves and constants that stand right before an instruction
	gas, growth, only := int64(0), 0, true
	end := func() {
		if only && gas <= maxBlockGas && growth <= maxGrowth {
			for _, t := range block {
				c.sites[t.pc] = t
			}
		} else {
			for _, t := range block {
				growth -= len(t.ins)
			}
		}
		block, args, gas, only = block[:0], args[:0], 0, true
	}
	n := uint32(len(c.f.Ins)) - 1
	c.sites, c.elided = map[uint32]*site{}, map[uint32]bool{}
	for pc := uint32(0); pc < n; {
		in := decode(c.f.Ins, pc)
		if in.op == code.Charge || c.s.target[pc] {
			end()
			only = in.op == code.Charge
		}
		switch {
		case in.op == code.Call:
			fn := uint32(c.f.Ins[pc+1])
			f, seen := leaves[fn]
			if !seen {
				if f = lowered(fn); f != nil && !isLeaf(c.m, f) {
					f = nil
				}
				leaves[fn] = f
			}
			if f == nil || uint32(in.a)+f.Frame > 1<<16-1 {
				only = false
				break
			}
			t := c.newSite(in, f, args)
			block, gas, growth = append(block, t), gas+f.Charge, growth+len(t.ins)
		case leavesRegisters(in.op):
			only = false
		}
		switch {
		case !isArg(in.op) || int(in.a) < len(c.s.uses):
			args = args[:0]
		default:
			args = append(args, pc)
		}
		pc += in.size
	}
	end()
	c.elide()
	for _, t := range c.sites {
		c.reach = max(c.reach, uint32(t.base)+t.callee.Frame)
	}
}

// inlined is the callee of each call that is inlined, in the order of the calls.
func (c *compiler) inlined() (fns []uint32) {
	for _, pc := range slices.Sorted(maps.Keys(c.sites)) {
		fns = append(fns, c.sites[pc].callee.Index)
	}
	return fns
}

// callWeight is the weight of the instructions over which registers are lost.
func (c *compiler) callWeight() uint64 {
	w := c.s.calls
	for pc := range c.sites {
		w -= 1 << (3 * c.s.depth[pc])
	}
	return w
}

func isArg(op code.Op) bool {
	return op == code.Mov || op == code.Mov2 || op == code.Const || op == code.Const64
}

// elide leaves out the moves that only pass arguments, of the sites that came to be.
func (c *compiler) elide() {
	for pc, call := range c.passing {
		if c.sites[call] != nil {
			c.elided[pc] = true
		}
	}
}

// newSite gives the callee's code the caller's slots. A parameter that the callee doesn't write is the local or the
// constant that is passed for it.
func (c *compiler) newSite(in instruction, f *code.Func, args []uint32) *site {
	t := &site{pc: in.pc, base: in.a, callee: f, ins: slices.Clone(f.Ins), consts: map[uint16]uint64{}}
	fixed := make([]bool, f.Params)
	for i := range fixed {
		fixed[i] = true
	}
	for pc := uint32(1); pc < uint32(len(f.Ins))-1; {
		x := decode(f.Ins, pc)
		for _, slot := range written(x) {
			if int(slot) < len(fixed) {
				fixed[slot] = false
			}
		}
		pc += x.size
	}
	local := map[uint16]uint16{}
	passes := func(dst, n uint16) bool {
		for i := range n {
			if dst+i < in.a || int(dst+i-in.a) >= len(fixed) || !fixed[dst+i-in.a] {
				return false
			}
		}
		return true
	}
	if c.passing == nil {
		c.passing = map[uint32]uint32{}
	}
	for _, pc := range args {
		arg := decode(c.f.Ins, pc)
		k := arg.a - in.a
		switch {
		case arg.op == code.Mov && passes(arg.a, 1) && c.isLocal(arg.b):
			local[k] = arg.b
		case arg.op == code.Mov2 && passes(arg.a, 2) && c.isLocal(arg.b) && c.isLocal(arg.c):
			local[k], local[k+1] = arg.b, arg.c
		case arg.op == code.Const && passes(arg.a, 1):
			t.consts[arg.a] = uint64(arg.imm())
		case arg.op == code.Const64 && passes(arg.a, 1):
			t.consts[arg.a] = c.f.Ins[pc+1]
		default:
			continue
		}
		c.passing[pc] = in.pc
	}
	for k := f.Header + code.HeaderSlots; k < f.Operands(); k++ {
		t.consts[in.a+uint16(k)] = 0 // until the callee writes it
	}
	t.rename(func(slot uint16) uint16 {
		if to, ok := local[slot]; ok {
			return to
		}
		return in.a + slot
	})
	return t
}

func (c *compiler) isLocal(slot uint16) bool {
	return int(slot) < len(c.s.uses) && !c.isHeader(int(slot))
}

// rename replaces the slots that the callee's instructions name.
func (t *site) rename(to func(uint16) uint16) {
	for pc := uint32(1); pc < uint32(len(t.ins))-1; {
		in := decode(t.ins, pc)
		switch op := in.op; {
		case op == code.Const || op == code.GlobalGet || op == code.GlobalSet:
			t.ins[pc] = code.Wide(op, to(in.a), in.imm())
		case op == code.Const64 || op == code.MemSize || op == code.Return1:
			t.ins[pc] = code.Word(op, to(in.a), in.b, in.c)
		case op == code.Return0:
		default:
			list, n, _ := slots(t.ins, in)
			b, c := to(in.b), in.c // a store's operands are a and b as well
			if op == code.Mov2 || op == code.Select || op != code.Mov && n == 3 {
				c = to(in.c)
			}
			t.ins[pc] = code.Word(op, to(in.a), b, c)
			if op == code.Select {
				t.ins[pc+1] = uint64(to(list[3]))
			}
		}
		pc += in.size
	}
}

// inline translates the callee's code where the call stands.
func (c *compiler) inline(in instruction, t *site) error {
	// What lies below the arguments is at home, as it would be in the interpreter, for those who come in behind the call.
	for i := range c.temps {
		if x := &c.temps[i]; x.slot < t.base {
			c.storeTemp(x)
			x.clean = true
		}
	}
	c.temps = slices.DeleteFunc(c.temps, func(x temp) bool { return x.slot < t.base && (x.kind == isConst || x.held) })
	c.ahead -= int32(t.callee.Charge)
	f, s, guards, traps, hoist := c.f, c.s, c.guards, c.trapAt, c.hoist
	c.f = &code.Func{Ins: t.ins, Index: t.callee.Index}
	c.s, c.guards, c.trapAt, c.hoist = &shape{target: slices.Repeat([]bool{true}, len(t.ins))}, nil, &t.traps, nil
	err := c.leaf(t)
	c.f, c.s, c.guards, c.trapAt, c.hoist = f, s, guards, traps, hoist
	if err != nil {
		return err
	}
	c.inlineEntry(in, t)
	return nil
}

// leaf translates a site's instructions. At its end the only operand that is left of them is the result, in a register.
func (c *compiler) leaf(t *site) error {
	known := maps.Clone(t.consts)
	for slot := range known {
		c.drop(slot) // what nobody consumed there
	}
	c.done()
	first, behind := t.base, uint32(t.base)+t.callee.Operands()
	own := func(slot uint16) bool { return slot >= first && uint32(slot) < behind }
	for pc := uint32(1); ; {
		in := decode(t.ins, pc)
		if in.op == code.Return0 || in.op == code.Return1 {
			if v, ok := known[in.a]; ok && in.op == code.Return1 && c.find(in.a) == nil {
				c.constant(in.a, v)
			}
			c.leafResult(in, t)
			return nil
		}
		list, n, w := slots(t.ins, in)
		for i, slot := range list[w:n] {
			if !own(slot) {
				continue
			}
			if v, ok := known[slot]; ok {
				if c.find(slot) == nil {
					c.constant(slot, v)
				}
				if !slices.Contains(list[w:w+i], slot) && slices.Contains(list[w+i+1:n], slot) {
					c.storeTemp(c.find(slot)) // the instruction takes it twice
				}
				continue
			}
			if x := c.find(slot); x != nil && (slices.Contains(list[w+i+1:n], slot) || t.reads(pc+in.size, slot)) {
				c.storeTemp(x) // taking an operand out of its register is the end of it there
			}
		}
		if err := c.instruction(in); err != nil {
			return err
		}
		c.done()
		for _, slot := range list[:w] {
			delete(known, slot)
		}
		if checking {
			if err := c.check(); err != nil {
				return err
			}
		}
		pc += in.size
	}
}

// reads reports whether a slot is read from a word on, before it is written.
func (t *site) reads(pc uint32, slot uint16) bool {
	for pc < uint32(len(t.ins))-1 {
		in := decode(t.ins, pc)
		list, n, w := slots(t.ins, in)
		if slices.Contains(list[w:n], slot) {
			return true
		}
		if slices.Contains(list[:w], slot) {
			return false
		}
		pc += in.size
	}
	return false
}

// leafResult moves the result to where the caller expects it and drops the callee's other operands.
func (c *compiler) leafResult(in instruction, t *site) {
	if in.op == code.Return1 {
		c.move(t.base, in.a)
		c.done()
		if x := c.find(t.base); x != nil && x.kind == isConst {
			// Who comes in behind the call has what the call gave, whatever that is.
			v := x.value
			c.drop(t.base)
			r := c.allocG()
			c.b = MOVRI(c.b, r, v)
			c.temps = append(c.temps, temp{slot: t.base, kind: inReg, reg: uint8(r)})
		}
	}
	for i := len(c.temps) - 1; i >= 0; i-- {
		if x := c.temps[i]; x.slot > t.base || x.slot == t.base && in.op == code.Return0 {
			c.drop(x.slot)
		}
	}
	c.done()
}

// inlineEntry is where Go goes on behind a call that the interpreter made.
func (c *compiler) inlineEntry(in instruction, t *site) {
	pc := in.pc + in.size
	if c.copies > 0 || c.fast || c.s.behindCharge(c.f.Ins, pc+1) {
		return // the last copy has it, or that with checks, or the block that begins there
	}
	after, paid, temps, w := len(c.b), c.ahead, slices.Clone(c.temps), want{c.valid, c.dirty}
	c.late = append(c.late, func() {
		c.enter(pc, w)
		for i := range temps {
			switch x := &temps[i]; x.kind {
			case inReg:
				c.b = MOVRM(c.b, 8, Reg(x.reg), home(x.slot))
			case inXmm:
				c.b = VecRM(c.b, VMOVSD, Xmm(x.reg), home(x.slot))
			case inVector:
				c.b = VecRM(c.b, VMOVUPS, Xmm(x.reg), home(x.slot))
			}
		}
		if paid > 0 && metered {
			c.b = ALURI(c.b, SUB, 8, regGas, paid)
			c.b = Jcc(c.b, GE, 0)
			c.patch(len(c.b)-4, after)
			c.giveBack(paid)
			c.b = MOVRI(c.b, scratch, uint64(pc))
			c.jmpTo(&c.exitStep)
			return
		}
		c.b = JMP(c.b, 0)
		c.patch(len(c.b)-4, after)
	})
}

// siteTraps leaves for the traps of inlined code, from the frame that the call would have made. RAX holds the callee's word.
func (c *compiler) siteTraps() {
	for _, pc := range slices.Sorted(maps.Keys(c.sites)) {
		t := c.sites[pc]
		for trap, list := range t.traps {
			if len(list) == 0 {
				continue
			}
			c.here(list)
			c.b = MOVRI(c.b, RCX, baseOf(t.callee))
			c.b = LEA(c.b, 8, RAX, Mem{Base: RCX, Index: RAX, Scale: 8})
			c.b = MOVMR(c.b, 8, c.field(c.lay.PC), RAX)
			header := home(t.base + uint16(t.callee.Header))
			c.b = MOVRI(c.b, RAX, c.address(pc))
			c.b = MOVMR(c.b, 8, header, RAX)
			header.Disp += 8
			c.b = MOVRM(c.b, 8, RCX, c.field(c.lay.Cur)) // the instance is above
			c.b = MOVMR(c.b, 8, header, RCX)
			c.b = MOVMI(c.b, 4, header, int32(c.f.Index))
			c.b = ALURI(c.b, ADD, 8, regFrame, int32(t.base)*8)
			c.b = PUSH(c.b, RAX) // a call
			c.b = MOVMI(c.b, 4, c.field(c.lay.Cur), int32(t.callee.Index))
			c.leave(code.ExitTrap, uint8(trap))
		}
	}
}

// roomFor goes to fail unless there is room for the frame and for that of any call that is inlined, and a call left for it.
func (c *compiler) roomFor(fail func()) {
	if len(c.sites) == 0 {
		c.b = ALURM(c.b, CMP, 8, RSP, c.field(c.lay.Limit))
	} else {
		c.b = LEA(c.b, 8, RDX, Mem{Base: RSP, Disp: -8})
		c.b = ALURM(c.b, CMP, 8, RDX, c.field(c.lay.Limit))
	}
	c.jcc(B, fail)
	c.b = LEA(c.b, 8, RDX, Mem{Base: regFrame, Disp: int32(max(c.f.Frame, c.reach)) * 8})
	c.b = ALURM(c.b, CMP, 8, RDX, c.field(c.lay.StackEnd))
	c.jcc(A, fail)
}
