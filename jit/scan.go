package jit

import (
	"fmt"

	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/vm/wasm"
)

// instruction is one decoded word of register code with what follows it.
type instruction struct {
	pc      uint32 // word index
	op      code.Op
	a, b, c uint16
	size    uint32 // words
}

func (in instruction) imm() uint32 { return uint32(in.b) | uint32(in.c)<<16 }

// decode reads the instruction at pc.
func decode(ins []uint64, pc uint32) instruction {
	op, a, b, c := code.Fields(ins[pc])
	return instruction{pc, op, a, b, c, sizeOf(op, uint32(b)|uint32(c)<<16)}
}

// sizeOf is how many words an instruction takes.
func sizeOf(op code.Op, imm uint32) uint32 {
	switch {
	case op >= code.RareBase:
		switch wasm.Op(op - code.RareBase) {
		case wasm.OpI8x16Shuffle:
			return 4
		case wasm.OpV128Const:
			return 3
		}
		return 2
	case isTruncSat(op):
		return 1
	case op >= code.KBit: // constant forms and branches
		return 2
	case op == code.BrTable:
		return imm + 2
	case op == code.Call, op == code.CallHost, op == code.CallIndir, op == code.Const64, op == code.Select:
		return 2
	}
	return 1
}

// shape is what one pass over a function finds out before code is made.
type shape struct {
	starts []bool   // words at which an instruction begins
	target []bool   // words that are jumped to, other than by falling in: a block's Charge, if it has one
	depth  []uint8  // loops around each word, at most maxDepth
	calls  uint64   // weight of the instructions over which registers are lost
	uses   []uint64 // weight of the uses of each slot below the operands
	float  []uint8  // width of the floats that a slot below the operands holds, by its local's type; else 0
	vector []bool   // whether a vector local begins at a slot below the operands
	half   []bool   // whether a slot is a vector local's second half
}

// maxDepth bounds the weight of nested loops: 8^5.
const maxDepth = 5

// scan walks the function once for its boundaries, once for weights.
func scan(m *wasm.Module, f *code.Func) (*shape, error) {
	n := uint32(len(f.Ins)) - 1 // the last word is never executed
	s := &shape{
		starts: make([]bool, n+1), target: make([]bool, n+1), depth: make([]uint8, n+1),
		uses: make([]uint64, f.Operands()), float: make([]uint8, f.Operands()), vector: make([]bool, f.Operands()), half: make([]bool, f.Operands()),
	}
	change := make([]int32, n+2)
	jump := func(from, to uint32) error {
		if to > n {
			return fmt.Errorf("jit: function %d: jump from word %d to %d of %d", f.Index, from, to, n)
		}
		s.target[to] = true
		if to <= from {
			change[to]++
			change[from+1]--
		}
		return nil
	}
	for pc := uint32(0); pc < n; {
		in := decode(f.Ins, pc)
		if pc+in.size > n {
			return nil, fmt.Errorf("jit: function %d: the instruction at word %d runs over the end", f.Index, pc)
		}
		s.starts[pc] = true
		var err error
		switch {
		case in.op == code.Br:
			err = jump(pc, pc+in.imm())
		case in.op == code.BrTable:
			for i := uint32(1); i < in.size && err == nil; i++ {
				err = jump(pc, pc+uint32(f.Ins[pc+i]))
			}
		case in.op >= code.BrBase && in.op < code.RareBase:
			err = jump(pc, pc+uint32(f.Ins[pc+1]))
		}
		if err != nil {
			return nil, err
		}
		pc += in.size
	}
	// Register code is checked before it becomes machine code: whatever lowering
	// got wrong stays interpreted instead of jumping into the middle of something.
	for pc, jumped := range s.target {
		if jumped && !s.starts[pc] {
			return nil, fmt.Errorf("jit: function %d: jump to word %d, where no instruction begins", f.Index, pc)
		}
		if jumped && s.behindCharge(f.Ins, uint32(pc)) {
			s.target[pc-1], s.target[pc] = true, false
		}
	}
	level := int32(0)
	for pc := range s.depth {
		level += change[pc]
		s.depth[pc] = uint8(min(level, maxDepth))
	}
	s.types(m, f)
	for pc := uint32(0); pc < n; {
		in := decode(f.Ins, pc)
		list, named, _ := slots(f.Ins, in)
		for _, slot := range list[:named] {
			if uint32(slot) >= f.Frame {
				return nil, fmt.Errorf("jit: function %d: word %d names slot %d of %d", f.Index, pc, slot, f.Frame)
			}
		}
		pc += in.size
	}
	return s, nil
}

// behindCharge reports whether the word before pc is a Charge: the interpreter jumps behind one that it has paid.
func (s *shape) behindCharge(ins []uint64, pc uint32) bool {
	return pc > 0 && s.starts[pc-1] && code.Plain(code.Op(ins[pc-1])) == code.Charge
}

// types marks the slots of float and vector locals.
func (s *shape) types(m *wasm.Module, f *code.Func) {
	at := uint32(0)
	for _, t := range m.AppendLocals(nil, f.Index) {
		slot := f.Slot(at)
		switch t {
		case wasm.F32:
			s.float[slot] = 32
		case wasm.F64:
			s.float[slot] = 64
		case wasm.V128:
			s.vector[slot], s.half[slot+1] = true, true
		}
		at += uint32(t.Slots())
	}
}

// leavesRegisters tells the instructions over which no register keeps its
// value.
func leavesRegisters(op code.Op) bool {
	return op == code.Call || op == code.CallIndir || op == code.CallHost || op >= code.RareBase && !inlineRare(op)
}

// slots lists the n slots that an instruction names, without those of vectors' second halves. The first w of them are
// written, the others read.
func slots(ins []uint64, in instruction) (list [4]uint16, n, w int) {
	op := in.op
	a, b, c := in.a, in.b, in.c
	switch {
	case op == code.Mov, op == code.MovV:
		return [4]uint16{a, b}, 2, 1
	case op == code.Mov2:
		return [4]uint16{a, a + 1, b, c}, 4, 2
	case op == code.Const, op == code.Const64, op == code.GlobalGet, op == code.MemSize:
		return [4]uint16{a}, 1, 1
	case op == code.GlobalSet, op == code.BrTable, op == code.Return1:
		return [4]uint16{a}, 1, 0
	case op == code.Select:
		return [4]uint16{a, b, c, uint16(ins[in.pc+1])}, 4, 1
	case op == code.CallIndir:
		return [4]uint16{b}, 1, 0
	case op < 0x28: // charges, jumps, calls
		return list, 0, 0
	case op >= code.RareBase:
		return rareSlots(ins, in)
	case op >= code.BrBase:
		if op < code.BrKBase && !isEqz(op) || op >= code.BrKBase && wasm.Op(op-code.BrKBase) >= wasm.OpF32Eq {
			return [4]uint16{a, b}, 2, 0
		}
		return [4]uint16{a}, 1, 0
	case isStore(wasm.Op(op &^ code.KBit)):
		return [4]uint16{a, b}, 2, 0
	case op >= code.KBit || isLoad(wasm.Op(op)) || isUnary(wasm.Op(op)):
		return [4]uint16{a, b}, 2, 1
	}
	return [4]uint16{a, b, c}, 3, 1
}

// rareSlots is slots for what the interpreter does outside its loop.
func rareSlots(ins []uint64, in instruction) (list [4]uint16, n, w int) {
	a, b, c := in.a, in.b, in.c
	switch op := wasm.Op(in.op - code.RareBase); {
	case op == wasm.OpV128Const:
		return [4]uint16{a}, 1, 1
	case op == wasm.OpV128Bitselect:
		return [4]uint16{a, b, c, uint16(ins[in.pc+1] >> 32)}, 4, 1
	case op >= wasm.PrefixSIMD:
		if _, results, _ := op.Effect(); len(results) == 0 {
			return [4]uint16{b, c}, 2, 0
		}
		return [4]uint16{a, b, c}, 3, 1
	case op == wasm.OpSelect:
		return [4]uint16{a, b, c, uint16(ins[in.pc+1])}, 4, 1
	case op == wasm.OpDataDrop, op == wasm.OpElemDrop:
		return list, 0, 0
	}
	return [4]uint16{a, b}, 2, 1
}

// isTruncSat tells the saturating conversions: their numbers are those of
// constant forms that don't exist.
func isTruncSat(op code.Op) bool {
	return op >= code.Op(wasm.OpI32TruncSatF32S) && op <= code.Op(wasm.OpI64TruncSatF64U)
}

func isEqz(op code.Op) bool {
	w := wasm.Op(op &^ (code.BrBase | code.BrKBase))
	return w == wasm.OpI32Eqz || w == wasm.OpI64Eqz
}

func isLoad(op wasm.Op) bool  { return op >= wasm.OpI32Load && op <= wasm.OpI64Load32U }
func isStore(op wasm.Op) bool { return op >= wasm.OpI32Store && op <= wasm.OpI64Store32 }

// isUnary tells the scalar operations with one operand.
func isUnary(op wasm.Op) bool {
	switch {
	case op == wasm.OpI32Eqz, op == wasm.OpI64Eqz,
		op >= wasm.OpI32Clz && op <= wasm.OpI32Popcnt, op >= wasm.OpI64Clz && op <= wasm.OpI64Popcnt,
		op >= wasm.OpF32Abs && op <= wasm.OpF32Sqrt, op >= wasm.OpF64Abs && op <= wasm.OpF64Sqrt:
		return true
	}
	return op >= wasm.OpI32WrapI64 && op <= wasm.OpI64Extend32S
}
