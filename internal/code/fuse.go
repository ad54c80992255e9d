package code

import "github.com/kitwork/kwnode/vm/wasm"

// Fusing gives the first instruction of a frequent sequence another number, under which the interpreter performs the
// whole sequence: that saves the dispatch, which costs as much as a simple instruction does. Nothing else changes. Every
// instruction stays where it is with its operands, so safepoints, jumps and traces know nothing of it, and Fields gives
// the instruction back as it was.

var (
	fusedTo [RareBase]Op // first operation of each fused number
	isFused [RareBase]bool
	byFirst [RareBase + Op(wasm.NumOps)][]fusion
)

func init() {
	for _, f := range fusions {
		fusedTo[f.op], isFused[f.op] = f.seq[0], true
		byFirst[f.seq[0]] = append(byFirst[f.seq[0]], f)
	}
}

// Plain is the operation that an instruction begins with.
func Plain(op Op) Op {
	if op < RareBase && isFused[op] {
		return fusedTo[op]
	}
	return op
}

// Size is how many words an instruction takes; imm is its B and C as one number.
func Size(op Op, imm uint32) uint32 {
	switch {
	case op >= RareBase:
		switch wasm.Op(op - RareBase) {
		case wasm.OpI8x16Shuffle:
			return 4
		case wasm.OpV128Const:
			return 3
		}
		return 2
	case op >= Op(wasm.OpI32TruncSatF32S) && op <= Op(wasm.OpI64TruncSatF64U):
		return 1
	case op >= KBit:
		return 2
	case op == BrTable:
		return imm + 2
	case op == Call, op == CallHost, op == CallIndir, op == Const64, op == Select:
		return 2
	}
	return 1
}

// fuse renumbers the sequences in a function's code. Sequences never cross the start of a block, where a Charge stands.
func fuse(ins []uint64) {
	n := uint32(len(ins)) - 1 // the last word is never executed
	for pc := uint32(0); pc < n; {
		op := Op(ins[pc])
		at := pc + Size(op, uint32(ins[pc]>>32))
		list := byFirst[op]
		for i := range list {
			f := &list[i]
			if end, ok := f.match(ins[:n], at); ok {
				ins[pc] = ins[pc]&^0xffff | uint64(f.op)
				at = end
				break
			}
		}
		pc = at
	}
}

// match compares the rest of the sequence with the code at a word, and returns the word behind it.
func (f *fusion) match(ins []uint64, at uint32) (end uint32, ok bool) {
	for _, want := range f.seq[1:] {
		if at >= uint32(len(ins)) || Op(ins[at]) != want {
			return 0, false
		}
		at += Size(want, uint32(ins[at]>>32))
	}
	return at, true
}
