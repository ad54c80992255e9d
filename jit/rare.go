package jit

import (
	"fmt"

	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
	"github.com/kitwork/kwnode/vm/wasm"
)

// inlineRare tells the operations that the interpreter keeps outside its loop
// and compiled code needn't leave for.
func inlineRare(op code.Op) bool {
	w := wasm.Op(op - code.RareBase)
	return truncates(w) || w >= wasm.PrefixSIMD || w == wasm.OpSelect
}

// truncates tells the conversions to integers that trap.
func truncates(op wasm.Op) bool {
	return op >= wasm.OpI32TruncF32S && op <= wasm.OpI32TruncF64U || op >= wasm.OpI64TruncF32S && op <= wasm.OpI64TruncF64U
}

// rare translates what the interpreter does outside its loop: the machine does
// it, and compiled code goes on behind it.
func (c *compiler) rare(in instruction) error {
	op := wasm.Op(in.op - code.RareBase)
	switch {
	case op >= wasm.PrefixSIMD:
		return c.vector(in, op)
	case op == wasm.OpSelect:
		c.selectVector(in, uint16(c.f.Ins[in.pc+1]))
		return nil
	}
	if truncates(op) {
		i, long := op-wasm.OpI32TruncF32S, false
		if op >= wasm.OpI64TruncF32S {
			i, long = op-wasm.OpI64TruncF32S, true
		}
		c.truncate(in, long, i&1 != 0, i >= 2)
		return nil
	}
	if isBulk(in.op) {
		c.bulk(in, op == wasm.OpMemoryCopy)
		return nil
	}
	if !machines(op) {
		return fmt.Errorf("jit: function %d: unknown operation %#x at word %d", c.f.Index, in.op, in.pc)
	}
	c.flush()
	c.spillPins()
	c.giveUp(&c.exitRare, in)
	c.afterExit(in)
	return nil
}

// machines tells the operations that are the machine's to do: what they work on is Go's, or they move more than a
// compiled instruction should.
func machines(op wasm.Op) bool {
	switch op {
	case wasm.OpMemoryGrow, wasm.OpMemoryInit, wasm.OpDataDrop, wasm.OpElemDrop,
		wasm.OpTableGet, wasm.OpTableSet, wasm.OpTableSize, wasm.OpTableGrow, wasm.OpTableFill, wasm.OpTableCopy, wasm.OpTableInit,
		wasm.OpRefFunc, wasm.OpGlobalGet, wasm.OpGlobalSet, // imported ones, and vectors
		wasm.Op(code.MoveN - code.RareBase):
		return true
	}
	return false
}

func isBulk(op code.Op) bool {
	return op == code.RareBase+code.Op(wasm.OpMemoryCopy) || op == code.RareBase+code.Op(wasm.OpMemoryFill)
}

const (
	bulkMost   = 256 << 10 // bytes at once, which takes some 10 µs; more is done by the machine in steps
	bulkApart  = 64        // bytes between source and destination for which the processor still copies fast
	bulkGasLog = 4         // wasm.BytesPerGas
)

// bulk copies or fills memory with the processor's own loop. It charges for
// the size as the machine does, and whatever traps, overlaps the wrong way or
// isn't paid for is the machine's to do.
func (c *compiler) bulk(in instruction, copies bool) {
	c.flush()
	before, out := c.snapshot(), c.out(&c.exitRare, in.pc)
	leave := func(cond Cond) {
		c.jcc(cond, func() {
			before()
			out()
		})
	}
	dst, src, n := RDX, RSI, RCX
	c.b = MOVRM(c.b, 4, dst, home(in.a))
	c.b = MOVRM(c.b, 4, src, home(in.a+1))
	c.b = MOVRM(c.b, 4, n, home(in.a+2))
	c.b = ALURI(c.b, CMP, 4, n, bulkMost)
	leave(A)
	inside := func(r Reg) {
		c.b = LEA(c.b, 8, scratch, Mem{Base: r, Index: n, Scale: 1})
		c.b = ALURM(c.b, CMP, 8, scratch, c.field(c.lay.MemLen))
		leave(A)
	}
	inside(dst)
	if copies {
		inside(src)
		// Upwards is wrong if the destination begins inside the source.
		c.b = MOVRR(c.b, 8, scratch, dst)
		c.b = ALURR(c.b, SUB, 8, scratch, src)
		c.b = ALURR(c.b, CMP, 8, scratch, n)
		leave(B)
		c.b = UnaryR(c.b, NEG, 8, scratch)
		c.b = ALURI(c.b, CMP, 8, scratch, bulkApart)
		leave(B)
	}
	c.b = MOVRR(c.b, 4, scratch, n)
	c.b = ShiftRI(c.b, SHR, 4, scratch, bulkGasLog)
	c.b = ALURR(c.b, CMP, 8, regGas, scratch)
	leave(L)
	c.b = ALURR(c.b, SUB, 8, regGas, scratch)
	c.b = PUSH(c.b, RDI)
	c.b = LEA(c.b, 8, RDI, Mem{Base: regMem, Index: dst, Scale: 1})
	if copies {
		c.b = ALURR(c.b, ADD, 8, src, regMem)
		c.b = REPMOVSB(c.b)
	} else {
		c.b = MOVRR(c.b, 4, scratch, src)
		c.b = REPSTOSB(c.b)
	}
	c.b = POP(c.b, RDI)
	w, after := want{c.valid, c.dirty}, len(c.b)
	if w.valid&c.shared == 0 {
		c.entry(in.pc + in.size)
		return
	}
	c.late = append(c.late, func() {
		c.enter(in.pc+in.size, w)
		c.b = JMP(c.b, 0)
		c.patch(len(c.b)-4, after)
	})
}

// The bound of a shift is a constant of the meter.
var _ [wasm.BytesPerGas - 1<<bulkGasLog]struct{}
var _ [1<<bulkGasLog - wasm.BytesPerGas]struct{}
