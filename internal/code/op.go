// Package code turns a validated WebAssembly function into register code over fixed frame slots; it must never know how
// memory, tables or hosts work, and it never decides what a program is charged beyond adding up the opcode table.
package code

import "github.com/kitwork/kwnode/vm/wasm"

// Op is an operation of register code. An instruction is a 64-bit word of four 16-bit fields, from the low end: the
// operation, then A, B and C, which are slot numbers unless said otherwise; some are followed by words of immediates.
//
// The numbers are arranged so that the interpreter's switch becomes one dense jump table and lowering needs no tables:
// a scalar WebAssembly operation keeps its number, with A the destination and B, C the operands. KBit is added for the
// form whose second operand (or memory offset) is the following word.
type Op = uint16

// KBit makes the constant form of a scalar operation, or the wide-offset form of a load or store.
const KBit Op = 0x100

// BrBase and BrKBase are added to a comparison's number for the instruction that compares and branches. A comparison of
// integers has a form with a constant (BrKBase: B and C hold 32 bits, sign extended); one of floats a negated form
// (BrKBase), since the inverse of a float comparison isn't a comparison. Eqz and its negation compare slot A with zero.
//
// The following word holds the distance to the target in words, from the branch itself, in its low 32 bits, the charge
// of the target's block in the next 16 and the charge of the block that follows in the top 16. The word after that is
// the following block's own Charge, which the branch steps over.
const (
	BrBase  Op = 0x200
	BrKBase Op = 0x300
)

// RareBase is added to a WebAssembly opcode for what the interpreter does outside its hot loop.
const RareBase Op = 0x400

// Operations that are no WebAssembly operations. Their numbers are those that single-byte opcodes leave free.
const (
	Unreachable Op = 0x00 // traps
	Charge      Op = 0x01 // the start of a block: takes B|C<<16 units of gas
	Br          Op = 0x02 // jumps B|C<<16 words from here, having charged A
	BrTable     Op = 0x03 // A: index slot; B|C<<16: number of entries without the default; a word each follows: distance from the BrTable, and charge above it
	Return0     Op = 0x04 // C: header slot
	Return1     Op = 0x05 // A: the result; C: header slot
	ReturnN     Op = 0x06 // A: first slot of the results, B: slots; C: header slot
	Call        Op = 0x07 // A: first argument; the following word: function index, of a function that the module defines
	CallIndir   Op = 0x08 // A: first argument; B: index slot; C: table; the following word: signature key
	CallHost    Op = 0x09 // as Call, of an imported function
	Mov         Op = 0x0a // A = B
	Mov2        Op = 0x0b // A, A+1 = B, C
	Const       Op = 0x0c // A = B|C<<16, as an unsigned number
	Const64     Op = 0x0d // A = the following word
	Select      Op = 0x0e // A = following word's slot != 0 ? B : C
	GlobalGet   Op = 0x0f // A = global B|C<<16 of the instance, one slot wide
	GlobalSet   Op = 0x10 // global B|C<<16 of the instance = A
	MemSize     Op = 0x11 // A = pages of memory
	MovV        Op = 0x12 // A, A+1 = B, B+1: a vector
)

// MoveN moves as many slots as the following word says from B on to A on, upwards; A is below B.
const MoveN = RareBase + Op(wasm.OpBr)

// Word builds an instruction.
func Word(op Op, a, b, c uint16) uint64 {
	return uint64(op) | uint64(a)<<16 | uint64(b)<<32 | uint64(c)<<48
}

// Wide builds an instruction whose B and C are one 32-bit number.
func Wide(op Op, a uint16, imm uint32) uint64 {
	return uint64(op) | uint64(a)<<16 | uint64(imm)<<32
}

// Fields takes an instruction apart, as if it wasn't fused with those behind it.
func Fields(w uint64) (op Op, a, b, c uint16) {
	return Plain(Op(w)), uint16(w >> 16), uint16(w >> 32), uint16(w >> 48)
}

// HeaderSlots is the size of a frame's header: the address of the call instruction that made the frame, with TagMask
// bits in its low end, and the caller's function reference.
const HeaderSlots = 2

// Safepoint ties a place in register code to its WebAssembly coordinate.
type Safepoint struct {
	Off uint32 // offset in the module: the block's first instruction, or the call instruction
	PC  uint32 // word index: the block's Charge, or the call
}

// Func is a function in register code. It is immutable.
//
// A frame is laid out as: parameters (and room for the results, if those are wider), header, locals, operands. The frame
// begins at the caller's first argument, so that passing arguments and results copies nothing.
type Func struct {
	Ins     []uint64 // word 0 is the entry block's Charge; a call that has paid it continues at word 1
	Charge  int64    // of the entry block
	Sig     uint64   // signature key: equal keys are equal types of one module
	Index   uint32   // in the module's function index space
	Params  uint32   // slots
	Results uint32   // slots
	Header  uint32   // slot of the header: max(Params, Results)
	Locals  uint32   // slots of declared locals, which follow the header and are cleared at entry
	Frame   uint32   // slots of the whole frame

	Blocks []Safepoint // the entry and the charged block starts, by offset
	Calls  []Safepoint // calls, by offset
}

// Slot returns the frame slot where local starts that has slotIndex slots of parameters and locals before it.
func (f *Func) Slot(slotIndex uint32) uint32 {
	if slotIndex < f.Params {
		return slotIndex
	}
	return slotIndex - f.Params + f.Header + HeaderSlots
}

// Operands is the first slot of the operand stack.
func (f *Func) Operands() uint32 { return f.Header + HeaderSlots + f.Locals }

// BlockAt finds the block that starts at a module offset.
func (f *Func) BlockAt(off uint32) (pc uint32, ok bool) { return find(f.Blocks, off) }

// CallAt finds the call at a module offset.
func (f *Func) CallAt(off uint32) (pc uint32, ok bool) { return find(f.Calls, off) }

// BlockOff is the module offset of the block whose Charge is at pc.
func (f *Func) BlockOff(pc uint32) (off uint32, ok bool) { return findPC(f.Blocks, pc) }

// CallOff is the module offset of the call at pc.
func (f *Func) CallOff(pc uint32) (off uint32, ok bool) { return findPC(f.Calls, pc) }

// Safepoints are ordered by offset, and lowering never reorders code, so they are ordered by PC as well.

func find(s []Safepoint, off uint32) (uint32, bool) {
	i, j := 0, len(s)
	for i < j {
		h := (i + j) / 2
		if s[h].Off < off {
			i = h + 1
		} else {
			j = h
		}
	}
	if i < len(s) && s[i].Off == off {
		return s[i].PC, true
	}
	return 0, false
}

func findPC(s []Safepoint, pc uint32) (uint32, bool) {
	i, j := 0, len(s)
	for i < j {
		h := (i + j) / 2
		if s[h].PC < pc {
			i = h + 1
		} else {
			j = h
		}
	}
	if i < len(s) && s[i].PC == pc {
		return s[i].Off, true
	}
	return 0, false
}

// FrameSlots is the size of the frame that the function will have; it depends on the module alone.
func FrameSlots(m *wasm.Module, fn uint32) uint64 {
	t, body := m.Func(fn)
	p, r := uint64(wasm.SlotsOf(t.Params)), uint64(wasm.SlotsOf(t.Results))
	return max(p, r) - p + HeaderSlots + uint64(body.FrameSlots)
}
