package jit

import (
	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
)

// prologue is where compiled code calls. RAX holds the address of the call
// instruction, ECX the caller's function index, regFrame the new frame; the
// arguments are in its slots.
func (c *compiler) prologue() {
	f := c.f
	header := Mem{Base: regFrame, Disp: int32(f.Header) * 8}
	c.roomFor(c.giveCallBack)
	c.b = MOVMR(c.b, 8, header, RAX)
	c.b = MOVRM(c.b, 4, RDX, c.field(c.lay.Cur+4)) // the instance
	header.Disp += 8
	c.b = MOVMR(c.b, 4, header, RCX)
	header.Disp += 4
	c.b = MOVMR(c.b, 4, header, RDX)
	c.clearLocals()
	for i := range c.fixed {
		if uint32(c.pins[i].slot) < f.Header {
			c.loadPin(i)
		}
	}
	c.valid, c.dirty = c.all(), c.cleared()
}

const (
	// maxMoves is how many locals are cleared with a constant each, which takes twice as much code as a register does.
	maxMoves = 16
	// maxStores is how many are cleared one by one. Beyond it the processor's own loop does it: a function that is but a
	// few bytes long may have 50,000.
	maxStores = 64
)

// clearLocals makes the locals that aren't parameters zero, at home or in their registers.
func (c *compiler) clearLocals() {
	f := c.f
	first := f.Header + code.HeaderSlots
	one := f.Locals <= maxStores
	switch {
	case !one: // no pin is valid yet
		c.b = LEA(c.b, 8, RDI, Mem{Base: regFrame, Disp: int32(first) * 8})
		c.b = MOVRI(c.b, RCX, uint64(f.Locals)*8)
		c.b = ALURR(c.b, XOR, 4, RAX, RAX)
		c.b = REPSTOSB(c.b)
	case f.Locals > maxMoves:
		c.b = VecRRR(c.b, VXORPS, scratchX, scratchX, scratchX)
	}
	for slot := uint16(first); uint32(slot) < first+f.Locals; slot++ {
		i, pinned := c.pinAt(slot)
		switch {
		case !pinned && (!one || c.s.half[slot] && c.pinOf[slot-1] >= 0):
			// It is zero, or the first half's register holds both.
		case !pinned && f.Locals > maxMoves:
			c.b = VecMR(c.b, VMOVSDst, home(slot), scratchX)
		case !pinned:
			c.b = MOVMI(c.b, 8, home(slot), 0)
		case c.pins[i].float || c.pins[i].vector:
			x := Xmm(c.pins[i].reg)
			c.b = VecRRR(c.b, VXORPS, x, x, x)
		default:
			r := Reg(c.pins[i].reg)
			c.b = ALURR(c.b, XOR, 4, r, r)
		}
	}
}

// noCode is the entry of every function without compiled code: it gives the
// call to Go.
func noCode(lay *code.Layout) []byte {
	c := &compiler{lay: lay}
	c.giveCallBack()
	return c.b
}

// giveCallBack leaves with PC at the call, whose address is in RAX, in the
// caller's frame: one level of the native stack, the depth or the frames are
// used up, and only the machine knows which matters.
func (c *compiler) giveCallBack() {
	c.b = MOVMR(c.b, 4, c.field(c.lay.Cur), RCX)
	c.b = MOVMR(c.b, 8, c.field(c.lay.PC), RAX)
	c.b = ExtendRM(c.b, false, 2, 4, RCX, Mem{Base: RAX, Disp: 2})
	c.b = ShiftRI(c.b, SHL, 4, RCX, 3)
	c.b = ALURR(c.b, SUB, 8, regFrame, RCX)
	c.b = POP(c.b, RCX) // the call was not made
	c.leave(code.ExitCall, 0)
}

// leave returns to Go. PC, and every slot, are as they should be.
func (c *compiler) leave(why code.NativeExit, trap uint8) {
	c.b = MOVMI(c.b, 4, c.field(c.lay.Exit), int32(why)|int32(trap)<<8)
	c.b = MOVMR(c.b, 8, c.field(c.lay.FP), regFrame)
	c.b = MOVMR(c.b, 8, c.field(c.lay.Gas), regGas)
	c.b = MOVMR(c.b, 8, c.field(c.lay.Leave), RSP)
	c.b = MOVRM(c.b, 8, RSP, c.field(c.lay.Base))
	c.b = RET(c.b)
}

// exits are what the function's cold paths share, and where Go enters. RAX
// holds the word index that PC gets.
func (c *compiler) exits() int {
	shared := func(list patchList, spill uint64, why code.NativeExit, trap uint8) {
		if len(list) == 0 {
			return
		}
		c.here(list)
		for i := range c.pins {
			if spill>>i&1 != 0 {
				c.storePin(i)
			}
		}
		c.b = MOVRI(c.b, RCX, c.base())
		c.b = LEA(c.b, 8, RAX, Mem{Base: RCX, Index: RAX, Scale: 8})
		c.b = MOVMR(c.b, 8, c.field(c.lay.PC), RAX)
		c.b = MOVMI(c.b, 4, c.field(c.lay.Cur), int32(c.f.Index))
		c.leave(why, trap)
	}
	for trap := range c.trapAt {
		shared(c.trapAt[trap], 0, code.ExitTrap, uint8(trap))
	}
	shared(c.exitCall, 0, code.ExitCall, 0)
	shared(c.exitRare, 0, code.ExitRare, 0)
	shared(c.exitStep, 0, code.ExitStep, 0)
	c.siteTraps()
	for _, x := range c.exitGas {
		shared(x.list, x.dirty, code.ExitGas, 0)
	}
	enter := len(c.b)
	c.b = MOVRR(c.b, 8, regMachine, RAX)
	c.b = MOVRM(c.b, 8, regFrame, c.field(c.lay.FP))
	c.b = MOVRM(c.b, 8, regMem, c.field(c.lay.Mem))
	c.b = MOVRM(c.b, 8, regGas, c.field(c.lay.Gas))
	c.b = MOVMR(c.b, 8, c.field(c.lay.Base), RSP)
	c.b = CALL(c.b, 0)
	back := len(c.b)
	c.returned()
	c.patch(back-4, len(c.b))
	// At any place, not only where it begins: the interpreter goes on, as if there was no gas for more than a block.
	leave := func() { c.leave(code.ExitGas, 0) }
	if len(c.sites) > 0 {
		c.roomFor(leave)
	}
	for i := range c.fixed {
		c.loadPin(i)
		c.refuseNaN(&c.pins[i], leave)
	}
	c.b = JMPM(c.b, c.field(c.lay.Target))
	// NaN repairs of storePin above may have made more cold paths.
	c.coldPaths()
	return enter
}

// refuseNaN goes to leave if a pin whose NaNs may be any holds one that is not canonical. No arithmetic made that, but a
// continuation may have it, and the program sees it until it computes with it.
func (c *compiler) refuseNaN(p *pin, leave func()) {
	if !p.lazy || p.width == 0 {
		return
	}
	x, back := Xmm(p.reg), 0
	if p.vector {
		c.b = VecRR(c.b, VMOVAPS, scratchX2, x)
		c.canonicalLanes(scratchX2, p.width)
		c.b = VecRRR(c.b, VPXOR, scratchX2, scratchX2, x)
		c.b = VecRR(c.b, VPTEST, scratchX2, scratchX2)
		c.jcc(NE, leave)
		return
	}
	ucomis, bits := VUCOMISD, uint64(nan64)
	if p.width == 32 {
		ucomis, bits = VUCOMISS, nan32
	}
	c.b = VecRR(c.b, ucomis, x, x)
	c.jcc(P, func() {
		c.b = VecG2(c.b, VMOVDst, 8, RAX, x)
		c.b = MOVRI(c.b, RCX, bits)
		c.b = ALURR(c.b, CMP, 8, RAX, RCX)
		c.b = Jcc(c.b, E, 0)
		c.patch(len(c.b)-4, back)
		leave()
	})
	back = len(c.b)
}

// returned is where the entered function returns to: its caller is not on the
// native stack.
func (c *compiler) returned() {
	header := Mem{Base: regFrame, Disp: int32(c.f.Header) * 8}
	c.b = MOVRM(c.b, 8, RDX, header)
	c.b = MOVRR(c.b, 4, RCX, RDX)
	c.b = ALURI(c.b, AND, 4, RCX, code.TagMask)
	c.b = Jcc(c.b, E, 0)
	plain := len(c.b)
	c.b = LEA(c.b, 8, RAX, header)
	c.b = MOVMR(c.b, 8, c.field(c.lay.Header), RAX)
	c.b = MOVMI(c.b, 4, c.field(c.lay.Cur), int32(c.f.Index))
	c.leave(code.ExitReturn, 0)
	c.patch(plain-4, len(c.b))
	header.Disp += 8
	c.b = MOVRM(c.b, 8, RCX, header)
	c.b = MOVMR(c.b, 8, c.field(c.lay.Cur), RCX)
	c.b = ExtendRM(c.b, false, 2, 4, RCX, Mem{Base: RDX, Disp: 2})
	c.b = ShiftRI(c.b, SHL, 4, RCX, 3)
	c.b = ALURR(c.b, SUB, 8, regFrame, RCX)
	c.b = ALURI(c.b, ADD, 8, RDX, 16)
	c.b = MOVMR(c.b, 8, c.field(c.lay.PC), RDX)
	c.leave(code.ExitResume, 0)
}
