package jit

import (
	"github.com/kitwork/kwnode/internal/code"
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
func (c *compiler) rare(in instruction) {
	op := wasm.Op(in.op - code.RareBase)
	switch {
	case op >= wasm.PrefixSIMD:
		c.vector(in, op)
		return
	case op == wasm.OpSelect:
		c.selectVector(in, uint16(c.f.Ins[in.pc+1]))
		return
	}
	if truncates(op) {
		i, long := op-wasm.OpI32TruncF32S, false
		if op >= wasm.OpI64TruncF32S {
			i, long = op-wasm.OpI64TruncF32S, true
		}
		c.truncate(in, long, i&1 != 0, i >= 2)
		return
	}
	c.flush()
	c.spillPins()
	c.giveUp(&c.exitRare, in)
	c.afterExit(in)
}
