package jit

import (
	"slices"

	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
	"github.com/kitwork/kwnode/vm/wasm"
)

// call calls through the function's entry, which is a stub while it has no
// compiled code.
func (c *compiler) call(in instruction) {
	c.flush()
	c.spillPins()
	fn := uint32(c.f.Ins[in.pc+1])
	c.b = MOVRI(c.b, RAX, c.address(in.pc))
	if fn != c.f.Index {
		c.b = MOVRM(c.b, 8, RDX, c.field(c.lay.Entries))
	}
	c.b = MOVRI(c.b, RCX, uint64(c.f.Index))
	c.b = ALURI(c.b, ADD, 8, regFrame, int32(in.a)*8)
	if fn == c.f.Index {
		c.b = CALL(c.b, int32(-len(c.b)-5)) // the prologue is the first code
	} else {
		c.b = CALLM(c.b, Mem{Base: RDX, Disp: int32(fn) * 8})
	}
	c.afterCall(in, &c.m.Types[c.m.FuncTypes[fn]])
}

// afterCall is where the callee returns to, and where Go goes on with its
// results in their slots alone.
func (c *compiler) afterCall(in instruction, t *wasm.FuncType) {
	c.b = ALURI(c.b, SUB, 8, regFrame, int32(in.a)*8)
	c.valid, c.dirty = 0, 0
	if len(t.Results) != 1 || t.Results[0] == wasm.V128 {
		c.entry(in.pc + in.size)
		return
	}
	float := c.isFloat(t.Results[0])
	after := len(c.b)
	c.late = append(c.late, func() {
		c.entry(in.pc + in.size)
		if float {
			c.b = VecRM(c.b, VMOVSD, resultXmm, home(in.a))
		} else {
			c.b = MOVRM(c.b, 8, resultReg, home(in.a))
		}
		c.b = JMP(c.b, 0)
		c.patch(len(c.b)-4, after)
	})
	if float {
		c.freeX = slices.DeleteFunc(c.freeX, func(x Xmm) bool { return x == resultXmm })
		c.temps = append(c.temps, temp{slot: in.a, kind: inXmm, reg: uint8(resultXmm), clean: true})
	} else {
		c.freeG = slices.DeleteFunc(c.freeG, func(r Reg) bool { return r == resultReg })
		c.temps = append(c.temps, temp{slot: in.a, kind: inReg, reg: uint8(resultReg), clean: true})
	}
}

func (c *compiler) callIndirect(in instruction) {
	if t := c.find(in.b); t != nil {
		c.storeTemp(t) // Go reads the index there if it has to make the call
	}
	index := c.intReg(in.b, 4)
	if index != RDX {
		c.grab(RDX)
		c.b = MOVRR(c.b, 4, RDX, index)
	}
	c.flush()
	c.spillPins()
	slow := func(cond Cond) { c.jcc(cond, c.out(&c.exitCall, in.pc)) }
	c.b = MOVRM(c.b, 8, RCX, c.field(c.lay.Tables))
	c.b = MOVRM(c.b, 8, RCX, Mem{Base: RCX, Disp: int32(in.c) * 8})
	c.b = MOVRI(c.b, scratch, 0)
	c.b = ALURM(c.b, CMP, 4, RDX, Mem{Base: RCX, Disp: c.lay.TableSize})
	c.trap(AE, code.NativeTrapUndefined, in.pc)
	// Also under speculation the index stays inside.
	c.b = CMOVcc(c.b, AE, 4, RDX, scratch)
	c.b = MOVRM(c.b, 8, RCX, Mem{Base: RCX, Disp: c.lay.TableBase})
	c.b = MOVRM(c.b, 8, RDX, Mem{Base: RCX, Index: RDX, Scale: 8})
	c.b = MOVRR(c.b, 8, RCX, RDX)
	c.b = ShiftRI(c.b, SHR, 8, RCX, 32)
	c.b = ALURM(c.b, CMP, 4, RCX, c.field(c.lay.Cur+4))
	slow(NE)
	c.b = MOVRR(c.b, 4, RDX, RDX)
	c.b = MOVRM(c.b, 8, RCX, c.field(c.lay.Funcs))
	c.b = MOVRM(c.b, 8, RCX, Mem{Base: RCX, Index: RDX, Scale: 8})
	c.b = TESTRR(c.b, 8, RCX, RCX)
	slow(E)
	c.b = MOVRI(c.b, scratch, c.f.Ins[in.pc+1])
	c.b = ALUMR(c.b, CMP, 8, Mem{Base: RCX, Disp: c.lay.FuncSig}, scratch)
	c.trap(NE, code.NativeTrapSignature, in.pc)
	c.b = MOVRM(c.b, 8, RSI, c.field(c.lay.Entries))
	c.b = MOVRI(c.b, RAX, c.address(in.pc))
	c.b = MOVRI(c.b, RCX, uint64(c.f.Index))
	c.b = ALURI(c.b, ADD, 8, regFrame, int32(in.a)*8)
	c.b = CALLM(c.b, Mem{Base: RSI, Index: RDX, Scale: 8})
	c.done()
	// A signature key's low half is the type's index.
	c.afterCall(in, &c.m.Types[uint32(c.f.Ins[in.pc+1])])
}

// giveUp leaves to Go with PC at an instruction. Operands are home.
func (c *compiler) giveUp(list *patchList, in instruction) { c.out(list, in.pc)() }

// afterExit is the code behind an instruction that Go executes.
func (c *compiler) afterExit(in instruction) {
	c.entry(in.pc + in.size)
	c.valid, c.dirty = c.all(), 0 // nobody but Go comes here
}

// snapshot remembers where values are, for a cold path that gives an
// instruction to the interpreter as if it hadn't begun. No register may change
// between it and the jump to that path.
func (c *compiler) snapshot(operands ...temp) func() {
	temps := slices.Concat(operands, c.temps)
	dirty := c.dirty
	return func() {
		for i := range temps {
			t := temps[i]
			c.storeTemp(&t)
		}
		for i := range c.pins {
			if dirty>>i&1 != 0 {
				c.storePin(i)
			}
		}
	}
}

func (c *compiler) ret(in instruction) {
	switch in.op {
	case code.Return1:
		c.result(in.a)
	case code.ReturnN:
		c.flush()
		for i := uint16(0); i < in.b; i++ {
			c.b = MOVRM(c.b, 8, scratch, home(in.a+i))
			c.b = MOVMR(c.b, 8, home(i), scratch)
		}
	}
	c.forget()
	c.b = RET(c.b)
	c.dead = true
}

// The one result of a function is in its slot and in a register as well, which
// saves compiled callers the way through memory.
const (
	resultReg = RCX
	resultXmm = Xmm(2)
)

func (c *compiler) result(slot uint16) {
	float := c.isFloat(c.m.Types[c.m.FuncTypes[c.f.Index]].Results[0])
	t := c.find(slot)
	inX := t != nil && t.kind == inXmm || c.floatPinned(slot)
	switch {
	case inX:
		x := c.exactReg(slot)
		c.b = VecMR(c.b, VMOVSDst, home(0), x)
		if float && x != resultXmm {
			c.b = VecRR(c.b, VMOVAPS, resultXmm, x)
		} else if !float {
			c.b = VecG2(c.b, VMOVDst, 8, resultReg, x)
		}
	default:
		r := c.intReg(slot, 8)
		c.b = MOVMR(c.b, 8, home(0), r)
		if float {
			c.b = VecRG(c.b, VMOVD, 8, resultXmm, r)
		} else if r != resultReg {
			c.b = MOVRR(c.b, 8, resultReg, r)
		}
	}
}

func (c *compiler) isFloat(t wasm.ValType) bool { return t == wasm.F32 || t == wasm.F64 }

func (c *compiler) floatPinned(slot uint16) bool {
	i, ok := c.pinAt(slot)
	return ok && c.pins[i].float
}

// forget drops all operands, which are dead.
func (c *compiler) forget() {
	c.done()
	for len(c.temps) > 0 {
		c.drop(c.temps[0].slot)
	}
	c.done()
}
