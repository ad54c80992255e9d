package code

import (
	"slices"

	"github.com/kitwork/kwnode/vm/wasm"
)

// Fusing gives the first instruction of a frequent sequence another number, under which the interpreter performs the
// whole sequence: that saves the dispatch, which costs as much as a simple instruction does. Nothing else changes. Every
// instruction stays where it is with its operands, so safepoints, jumps and traces know nothing of it, and Fields gives
// the instruction back as it was.

var (
	fusedTo [RareBase]Op // first operation of each fused number
	isFused [RareBase]bool

	// The fusions by their first two operations, which have small numbers: 0 stands for those that begin none.
	firsts, seconds [numOps]uint8
	byPair          [maxFirsts][maxSeconds]uint8 // which of lists
	lists           = [][]fusion{nil}
)

// numOps is the size of the number space of operations.
const numOps = RareBase + Op(wasm.NumOps)

// What the table of pairs has room for; init finds out if it is too small.
const maxFirsts, maxSeconds = 40, 80

func init() {
	number := func(of *[numOps]uint8, op Op) uint8 {
		if of[op] == 0 {
			of[op] = slices.Max(of[:]) + 1
		}
		return of[op]
	}
	for _, f := range fusions {
		fusedTo[f.op], isFused[f.op] = f.seq[0], true
		at := &byPair[number(&firsts, f.seq[0])][number(&seconds, f.seq[1])]
		if *at == 0 {
			*at = uint8(len(lists))
			lists = append(lists, nil)
		}
		lists[*at] = append(lists[*at], f)
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
	if op == BrTable {
		return imm + 2
	}
	return uint32(sizes[op])
}

var sizes = func() (all [numOps]uint8) {
	for i := range all {
		all[i] = sizeOf(Op(i))
	}
	return all
}()

func sizeOf(op Op) uint8 {
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
	case op == Call, op == CallHost, op == CallIndir, op == Const64, op == Select:
		return 2
	}
	return 1
}

// fuse renumbers the sequences in a function's code. Sequences never cross the start of a block, where a Charge stands.
func fuse(ins []uint64) {
	ins = ins[:len(ins)-1] // the last word is never executed
	for pc := 0; pc < len(ins); {
		w := ins[pc]
		at := pc + int(Size(Op(w), uint32(w>>32)))
		if first := firsts[Op(w)]; first > 0 && at < len(ins) {
			list := lists[byPair[first][seconds[Op(ins[at])]]]
			for i := range list {
				if end, ok := list[i].match(ins, at); ok {
					ins[pc] = w&^0xffff | uint64(list[i].op)
					at = end
					break
				}
			}
		}
		pc = at
	}
}

// match compares the sequence behind its first operation with the code at a word, and returns the word behind it.
func (f *fusion) match(ins []uint64, at int) (end int, ok bool) {
	for _, want := range f.seq[1:] {
		if at >= len(ins) || Op(ins[at]) != want {
			return 0, false
		}
		at += int(Size(want, uint32(ins[at]>>32)))
	}
	return at, true
}
