package jit

import (
	"fmt"
	"unsafe"

	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
	"github.com/kitwork/kwnode/vm/wasm"
)

// base is the address of the function's register code. A code.Func is
// immutable and its module keeps it where it is.
func (c *compiler) base() uint64 {
	return baseOf(c.f)
}

func baseOf(f *code.Func) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(f.Ins)))) }

func (c *compiler) address(pc uint32) uint64 { return c.base() + uint64(pc)*8 }

// body translates the blocks in order. Of a loop that needs no checks two copies are made: the one with them stands behind
// the others.
func (c *compiler) body() error {
	for i := range c.flows {
		v := c.versionOf(i)
		switch {
		case v == nil:
			if err := c.blockCode(i); err != nil {
				return err
			}
		case i == v.head:
			c.test(v)
			if err := c.copyOf(v, true); err != nil {
				return err
			}
			continue
		default:
			continue
		}
		if next := c.versionOf(i + 1); !c.dead && next != nil && i+1 != next.head {
			c.goTo(i + 1)
		}
	}
	if !c.dead {
		c.b = UD2(c.b)
		c.dead = true
	}
	for _, v := range c.versions {
		if err := c.copyOf(v, false); err != nil {
			return err
		}
	}
	return nil
}

// arriveAt makes the next code the one that is gone to for a block, if the code before it falls into it as well.
func (c *compiler) arriveAt(i int, label uint32) error {
	b := &c.flows[i]
	c.block = i
	c.activate(i)
	if !c.dead {
		c.sync(b.pc)
		c.settle(b.pc, c.surplus(b.pc))
	}
	if b.header && (c.copied != nil || c.versionOf(i) == nil) {
		c.align()
	}
	c.label(label)
	if checking {
		if err := c.checkBlock(b.pc); err != nil {
			return fmt.Errorf("jit: function %d: before word %d: %w", c.f.Index, b.pc, err)
		}
	}
	return nil
}

// blockCode translates a block, a loop of one block several times.
func (c *compiler) blockCode(i int) error {
	b := &c.flows[i]
	if err := c.arriveAt(i, c.inCopy(b.pc)); err != nil {
		return err
	}
	c.pay(i)
	for c.copies = c.credits[i].times - 1; ; c.copies-- {
		if err := c.instructions(b); err != nil {
			return err
		}
		if c.copies == 0 {
			return nil
		}
		// The next copy follows, for which the jump back has seen to the pins.
		w := c.wants[i]
		c.meet(w)
		c.valid, c.dirty = w.valid, w.dirty
		c.ahead -= b.cost - b.inlined
	}
}

// goTo jumps to a block.
func (c *compiler) goTo(i int) {
	pc := c.flows[i].pc
	c.sync(pc)
	c.jumpInCopy(c.inCopy(pc))
	c.dead = true
}

// instructions translates a block's, but for its Charge.
func (c *compiler) instructions(b *flow) error {
	for pc := b.pc; pc < b.end; {
		in := decode(c.f.Ins, pc)
		if in.op != code.Charge && !c.dead && !c.elided[pc] {
			switch h := c.hoistAt(pc); {
			case h == hoistedPart:
			case h&hoistedResult != 0 && h&hoistedConst == 0:
				c.useHoisted(in, int(h&^hoistedResult))
			default:
				if err := c.instruction(in); err != nil {
					return err
				}
			}
			c.done()
			c.sendHome()
			if checking {
				if err := c.check(); err != nil {
					return fmt.Errorf("jit: function %d: behind word %d: %w", c.f.Index, pc, err)
				}
			}
		}
		pc += in.size
		if c.joined > 0 {
			pc, c.joined = pc+c.joined, 0
		}
	}
	return nil
}

// align fills up to where the processor likes to jump to.
func (c *compiler) align() {
	const line = 32
	c.b = NOP(c.b, -len(c.b)&(line-1))
}

// label binds a word's code. Whoever jumps here has the pins as it wants them.
func (c *compiler) label(pc uint32) {
	c.at[pc] = int32(len(c.b))
	w := c.wants[c.wantOf[pc]]
	c.valid, c.dirty = w.valid, w.dirty
	c.dead = false
}

// entry makes the next code a place where Go may go on at a word.
func (c *compiler) entry(pc uint32) {
	c.entries = append(c.entries, entry{pc, uint32(len(c.b))})
}

// enter makes the next code a place where Go may go on at a word, and has the pins that are wanted there in their
// registers.
func (c *compiler) enter(pc uint32, w want) {
	c.entry(pc)
	c.valid, c.dirty = c.all(), 0
	c.meet(w)
}

func (c *compiler) instruction(in instruction) error {
	op := in.op
	switch {
	case op < 0x28:
		return c.control(in)
	case isTruncSat(op):
		i := wasm.Op(op) - wasm.OpI32TruncSatF32S
		c.truncate(in, i >= 4, i&1 != 0, i&2 != 0)
	case op >= code.RareBase:
		return c.rare(in)
	case op >= code.BrBase:
		c.branch(in)
	case isLoad(wasm.Op(op &^ code.KBit)):
		c.load(in)
	case isStore(wasm.Op(op &^ code.KBit)):
		c.store(in)
	default:
		return c.scalar(in)
	}
	return nil
}

func (c *compiler) control(in instruction) error {
	ins := c.f.Ins
	switch in.op {
	case code.Br:
		if b := &c.flows[c.block]; b.via >= 0 {
			c.jumpThrough(b)
		} else {
			c.sync(c.dest(in.pc+in.imm(), in.a))
			c.jump(in.pc+in.imm(), in.a)
		}
		c.dead = true
	case code.BrTable:
		c.brTable(in)
	case code.Return0, code.Return1, code.ReturnN:
		c.ret(in)
	case code.Call:
		if t := c.sites[in.pc]; t != nil {
			return c.inline(in, t)
		}
		c.call(in)
	case code.CallIndir:
		c.callIndirect(in)
	case code.CallHost:
		c.flush()
		c.spillPins()
		c.giveUp(&c.exitCall, in)
		c.afterExit(in)
	case code.Mov:
		c.move(in.a, in.b)
	case code.Mov2:
		// The sources are locals and the destinations operands' homes, so the
		// first copy can't change what the second one reads.
		c.move(in.a, in.b)
		c.done()
		c.move(in.a+1, in.c)
	case code.MovV:
		c.moveVector(in.a, in.b)
	case code.Const:
		c.constant(in.a, uint64(in.imm()))
	case code.Const64:
		c.constant(in.a, ins[in.pc+1])
	case code.Select:
		c.selectOne(in, uint16(ins[in.pc+1]))
	case code.GlobalGet:
		d := c.intDst(in.a, nil)
		c.b = MOVRM(c.b, 8, scratch, c.field(c.lay.Globals))
		c.b = MOVRM(c.b, 8, d, Mem{Base: scratch, Disp: int32(in.imm()) * 8})
		c.setInt(in.a, d)
	case code.GlobalSet:
		c.globalSet(in)
	case code.MemSize:
		d := c.intDst(in.a, nil)
		c.b = MOVRM(c.b, 8, d, c.field(c.lay.MemLen))
		c.b = ShiftRI(c.b, SHR, 8, d, 16)
		c.setInt(in.a, d)
	case code.Unreachable:
		c.out(&c.trapAt[code.NativeTrapUnreachable], in.pc)()
		c.forget()
		c.dead = true
	default:
		return fmt.Errorf("jit: function %d: unknown operation %#x at word %d", c.f.Index, in.op, in.pc)
	}
	return nil
}

// dest is the word whose code a jump goes to: a block charges itself, so one
// that carries the charge goes to the Charge word before its target.
func (c *compiler) dest(to uint32, charge uint16) uint32 {
	if charge != 0 || c.s.behindCharge(c.f.Ins, to) {
		to--
	}
	return c.inCopy(to)
}

func (c *compiler) jump(to uint32, charge uint16) {
	c.jumpInCopy(c.dest(to, charge))
}

func (c *compiler) jumpInCopy(dest uint32) {
	c.checkJump(dest)
	if surplus := c.surplus(dest); surplus < 0 {
		c.turn(dest, surplus)
	} else {
		c.giveBack(surplus)
		c.jumpTo(dest)
	}
}

func (c *compiler) jumpTo(dest uint32) {
	c.b = JMP(c.b, 0)
	c.jumps = append(c.jumps, patch{len(c.b) - 4, dest, len(c.b)})
}

func (c *compiler) jumpIf(cond Cond, to uint32, charge uint16) {
	dest := c.dest(to, charge)
	c.checkJump(dest)
	if surplus := c.surplus(dest); surplus != 0 || c.lacks(dest) != 0 {
		c.jcc(cond, c.way(dest, surplus))
		return
	}
	c.b = Jcc(c.b, cond, 0)
	c.jumps = append(c.jumps, patch{len(c.b) - 4, dest, len(c.b)})
}

// way makes a way to a block that gives back, and sees to what the block wants, for a place behind the function. Only one out of the copies of a loop's
// block may have to pay.
func (c *compiler) way(dest uint32, surplus int32) func() {
	valid, dirty := c.valid, c.dirty
	return func() {
		c.valid, c.dirty = valid, dirty
		c.meet(c.wants[c.wantOf[dest]])
		c.settle(dest, surplus)
		c.jumpTo(dest)
	}
}

func (c *compiler) brTable(in instruction) {
	index := c.intReg(in.a, 4)
	if index != RCX {
		c.grab(RCX)
		c.b = MOVRR(c.b, 4, RCX, index)
	}
	c.flush()
	n := in.imm() // the default's place
	w := want{dirty: ^uint64(0)}
	for _, word := range c.f.Ins[in.pc+1 : in.pc+2+n] {
		w = w.and(c.wants[c.wantOf[c.dest(in.pc+uint32(word), uint16(word>>32))]])
	}
	w.valid &^= c.shared
	c.meet(w)
	c.b = MOVRI(c.b, scratch, uint64(n))
	c.b = ALURR(c.b, CMP, 4, RCX, scratch)
	// A conditional move also holds for speculation past the comparison.
	c.b = CMOVcc(c.b, A, 4, RCX, scratch)
	c.b = LEARIP(c.b, scratch, 0)
	table := len(c.b)
	c.b = ExtendRM(c.b, true, 4, 8, RCX, Mem{Base: scratch, Index: RCX, Scale: 4})
	c.b = ALURR(c.b, ADD, 8, scratch, RCX)
	c.b = JMPR(c.b, scratch)
	c.patch(table-4, len(c.b))
	table = len(c.b)
	for i := uint32(0); i <= n; i++ {
		w := c.f.Ins[in.pc+1+i]
		to := c.dest(in.pc+uint32(w), uint16(w>>32))
		if surplus := c.surplus(to); surplus != 0 || c.lacks(to) != 0 {
			c.cold = append(c.cold, coldPath{len(c.b), table, c.way(to, surplus)})
		} else {
			c.jumps = append(c.jumps, patch{len(c.b), to, table})
		}
		c.b = append(c.b, 0, 0, 0, 0)
	}
	c.dead = true
}

func (c *compiler) globalSet(in instruction) {
	at := Mem{Base: RCX, Disp: int32(in.imm()) * 8}
	if t := c.find(in.a); t != nil && t.kind == inXmm || c.floatPinned(in.a) {
		x := c.exactReg(in.a)
		c.grab(RCX)
		c.b = MOVRM(c.b, 8, RCX, c.field(c.lay.Globals))
		c.b = VecMR(c.b, VMOVSDst, at, x)
		return
	}
	r := c.intReg(in.a, 8)
	c.b = MOVRM(c.b, 8, scratch, c.field(c.lay.Globals))
	at.Base = scratch
	c.b = MOVMR(c.b, 8, at, r)
}

// constant gives a slot a value. An operand waits for its consumer to say in
// which kind of register it is wanted.
func (c *compiler) constant(slot uint16, v uint64) {
	c.drop(slot)
	i, pinned := c.pinAt(slot)
	switch {
	case pinned && c.pins[i].float:
		c.floatConst(Xmm(c.pins[i].reg), v)
		c.setFloat(slot, Xmm(c.pins[i].reg), 0)
	case pinned:
		c.b = MOVRI(c.b, Reg(c.pins[i].reg), v)
		c.setInt(slot, Reg(c.pins[i].reg))
	case int(slot) < len(c.pinOf):
		t := temp{slot: slot, kind: isConst, value: v}
		c.storeTemp(&t)
	default:
		c.temps = append(c.temps, temp{slot: slot, kind: isConst, value: v})
	}
}

// move copies a slot. What kind of value it is follows from where it is.
func (c *compiler) move(dst, src uint16) {
	if t := c.find(src); t != nil {
		if t.kind == isConst {
			v := t.value
			c.drop(src)
			c.constant(dst, v)
			return
		}
		if dst != src && int(dst) >= len(c.pinOf) {
			moved := *t
			i := indexOf(c.temps, src)
			c.temps = append(c.temps[:i], c.temps[i+1:]...)
			c.drop(dst)
			moved.slot, moved.clean = dst, false
			c.temps = append(c.temps, moved)
			return
		}
		if t.kind == inXmm {
			c.moveFloat(dst, src)
			return
		}
	} else if c.floatPinned(src) {
		c.moveFloat(dst, src)
		return
	}
	at := c.intAt(src)
	d := c.intDst(dst, &at)
	switch {
	case at.mem && int(dst) >= len(c.pinOf):
		c.b = MOVRM(c.b, 8, d, at.m)
	case at.mem:
		if c.floatPinned(dst) {
			i, _ := c.pinAt(dst)
			c.b = VecRM(c.b, VMOVSD, Xmm(c.pins[i].reg), at.m)
			c.setFloat(dst, Xmm(c.pins[i].reg), 0)
			return
		}
		c.b = MOVRM(c.b, 8, d, at.m)
	case at.reg != d:
		c.b = MOVRR(c.b, 8, d, at.reg)
	}
	c.setInt(dst, d)
}

func (c *compiler) moveFloat(dst, src uint16) {
	x, nan := c.floatReg(src)
	d := c.floatDst(dst, &place{x: x})
	if d != x {
		c.b = VecRR(c.b, VMOVAPS, d, x)
	}
	c.setFloat(dst, d, nan)
}

func indexOf(temps []temp, slot uint16) int {
	for i := range temps {
		if temps[i].slot == slot {
			return i
		}
	}
	return -1
}

// isFloatAt reports whether a slot's value is in a vector register.
func (c *compiler) isFloatAt(slot uint16) bool {
	t := c.find(slot)
	return t != nil && t.kind == inXmm || c.floatPinned(slot)
}

func (c *compiler) selectOne(in instruction, cond uint16) {
	if c.isFloatAt(in.a) || c.isFloatAt(in.b) || c.isFloatAt(in.c) {
		x, y := c.exactReg(in.b), c.exactReg(in.c)
		r := c.intReg(cond, 4)
		c.b = VecRR(c.b, VMOVAPS, scratchX, x)
		c.b = TESTRR(c.b, 4, r, r)
		c.b = Jcc(c.b, NE, 0)
		keep := len(c.b)
		c.b = VecRR(c.b, VMOVAPS, scratchX, y)
		c.patch(keep-4, len(c.b))
		d := c.floatDst(in.a, nil)
		if d != scratchX {
			c.b = VecRR(c.b, VMOVAPS, d, scratchX)
		}
		c.setFloat(in.a, d, 0)
		return
	}
	// The second value goes through scratch, so that three operands and the
	// result never need more than the three registers there are.
	c.toScratch(in.c)
	x := c.intReg(in.b, 8)
	r := c.intReg(cond, 4)
	c.b = TESTRR(c.b, 4, r, r)
	c.b = CMOVcc(c.b, NE, 8, scratch, x)
	c.done()
	c.fromScratch(in.a)
}

// toScratch consumes an operand and leaves it in scratch.
func (c *compiler) toScratch(slot uint16) {
	if t := c.find(slot); t != nil && t.kind == isConst {
		c.b = MOVRI(c.b, scratch, t.value)
		c.drop(slot)
	} else if y := c.intAt(slot); y.mem {
		c.b = MOVRM(c.b, 8, scratch, y.m)
	} else {
		c.b = MOVRR(c.b, 8, scratch, y.reg)
		c.done()
	}
}

// fromScratch gives a slot the value in scratch.
func (c *compiler) fromScratch(slot uint16) {
	d := c.intDst(slot, nil)
	if d != scratch {
		c.b = MOVRR(c.b, 8, d, scratch)
	}
	c.setInt(slot, d)
}
