package wasm

import (
	"encoding/binary"
	"math/bits"
)

// fastOp is what run needs of an opcode's row.
type fastOp struct {
	kind    fastKind
	in, out ValType
	align   uint8    // largest alignment of a memory access
	_       [4]uint8 // a table of words is indexed faster
}

type fastKind uint8

// The shapes of the opcodes that run handles by itself.
const (
	fastNone fastKind = iota
	fastUnary
	fastBinary
	fastLocalGet
	fastLocalSet
	fastLocalTee
	fastConst32
	fastConst64
	fastConst4
	fastConst8
	fastLoad
	fastStore
	fastGlobalGet
	fastGlobalSet
	fastBlock // block, loop, if
	fastEnd
	fastBr
	fastBrIf
	fastNop
	fastCall
	fastReturn
	fastUnreachable
)

var fastOps = func() (all [256]fastOp) {
	for op := range all {
		in, e := opTable[op], effects[op]
		if !e.fixed {
			continue
		}
		f := fastOp{in: e.types[0], out: e.types[e.in]}
		switch {
		case in.Imm == ImmNone && e.in == 1 && e.out == 1:
			f.kind = fastUnary
		case in.Imm == ImmNone && e.in == 2 && e.out == 1 && e.types[0] == e.types[1]:
			f.kind = fastBinary
		case in.Imm == ImmI32:
			f.kind = fastConst32
		case in.Imm == ImmI64:
			f.kind = fastConst64
		case in.Imm == ImmF32:
			f.kind = fastConst4
		case in.Imm == ImmF64:
			f.kind = fastConst8
		case in.Class == ClassLoad:
			f.kind = fastLoad
		case in.Class == ClassStore:
			f.kind, f.in = fastStore, e.types[1]
		default:
			continue
		}
		f.align, _ = in.Imm.AccessLog2()
		all[op] = f
	}
	all[OpLocalGet].kind = fastLocalGet
	all[OpLocalSet].kind = fastLocalSet
	all[OpLocalTee].kind = fastLocalTee
	all[OpGlobalGet].kind = fastGlobalGet
	all[OpGlobalSet].kind = fastGlobalSet
	all[OpBlock].kind = fastBlock
	all[OpLoop].kind = fastBlock
	all[OpIf].kind = fastBlock
	all[OpEnd].kind = fastEnd
	all[OpBr].kind = fastBr
	all[OpBrIf].kind = fastBrIf
	all[OpNop].kind = fastNop
	all[OpCall].kind = fastCall
	all[OpReturn].kind = fastReturn
	all[OpUnreachable].kind = fastUnreachable
	return all
}()

// run validates instructions until one would begin at or behind stop.
//
// The switch is a shortcut for frequent instructions in their usual form: a case that finds all in
// order continues, and anything else goes to step, which has the whole rule. No case may accept what
// step would refuse; a test compares the two.
//
// The immediates of an instruction are read as one word, which may reach beyond the end of the body. That the
// instruction doesn't is checked where it could: by the cases that look at more than a byte behind the opcode, for an
// opcode can't be the last byte of a body that ends in end.
func (v *validator) run(stop int) *Error {
	b, pos, height, base, highest, limit := v.b, v.pos, v.height, v.base, v.highest, v.limit
	all := v.m.Bytes
	stack := &v.stack
	nlocals := min(v.nlocals, 0x80) // those whose index takes one byte
	globals := v.m.Globals
	nglobals := min(uint32(len(globals)), 0x80)
	noMem := len(v.m.Mems) == 0
	quick := min(stop, len(all)-8, len(b)-1)
	for pos < stop {
		for pos < quick {
			op := all[pos]
			w := binary.LittleEndian.Uint64(all[pos+1:])
			f := &fastOps[op]
			switch f.kind {
			case fastUnary:
				if height > base && stack[uint16(height-1)] == f.in {
					stack[uint16(height-1)] = f.out
					pos++
					continue
				}
			case fastBinary:
				if height-1 > base && stack[uint16(height-1)] == f.in && stack[uint16(height-2)] == f.in {
					height--
					stack[uint16(height-1)] = f.out
					pos++
					continue
				}
			case fastLocalGet:
				if x := uint32(w & 0xff); x < nlocals && height < limit {
					if t := v.local[x]; t != V128 {
						stack[uint16(height)] = t
						height++
						highest = max(highest, height)
						pos += 2
						continue
					}
				}
			case fastLocalSet:
				if x := uint32(w & 0xff); x < nlocals && height > base {
					if t := v.local[x]; t != V128 && t == stack[uint16(height-1)] {
						height--
						pos += 2
						continue
					}
				}
			case fastLocalTee:
				if x := uint32(w & 0xff); x < nlocals && height > base {
					if t := v.local[x]; t != V128 && t == stack[uint16(height-1)] {
						pos += 2
						continue
					}
				}
			case fastConst32, fastConst64:
				// At most 4 bytes of an i32 and 8 of an i64: there is nothing to check in them.
				ends := ^w & lebEnds
				if f.kind == fastConst32 {
					ends &= 1<<32 - 1
				}
				if n := lebLen(ends); ends != 0 && height < limit && pos+1+n <= len(b) {
					stack[uint16(height)] = f.out
					height++
					highest = max(highest, height)
					pos += 1 + n
					continue
				}
			case fastConst4, fastConst8:
				n := 5
				if f.kind == fastConst8 {
					n = 9
				}
				if height < limit && pos+n <= len(b) {
					stack[uint16(height)] = f.out
					height++
					highest = max(highest, height)
					pos += n
					continue
				}
			case fastLoad:
				// The offset takes at most 4 bytes.
				ends := ^w >> 8 & (lebEnds & (1<<32 - 1))
				if n := lebLen(ends); ends != 0 && height > base && stack[uint16(height-1)] == I32 && uint8(w) <= f.align && !noMem &&
					pos+2+n <= len(b) {
					stack[uint16(height-1)] = f.out
					pos += 2 + n
					continue
				}
			case fastStore:
				ends := ^w >> 8 & (lebEnds & (1<<32 - 1))
				if n := lebLen(ends); ends != 0 && height-1 > base && stack[uint16(height-1)] == f.in && stack[uint16(height-2)] == I32 &&
					uint8(w) <= f.align && !noMem && pos+2+n <= len(b) {
					height -= 2
					pos += 2 + n
					continue
				}
			case fastGlobalGet:
				if x := uint32(w & 0xff); x < nglobals && height < limit {
					if t := globals[x].Type; t != V128 {
						stack[uint16(height)] = t
						height++
						highest = max(highest, height)
						pos += 2
						continue
					}
				}
			case fastGlobalSet:
				if x := uint32(w & 0xff); x < nglobals && height > base {
					if g := &globals[x]; g.Mutable && g.Type != V128 && g.Type == stack[uint16(height-1)] {
						height--
						pos += 2
						continue
					}
				}
			case fastBlock:
				if byte(w) == 0x40 && len(v.blocks) < MaxNesting {
					if op == byte(OpIf) {
						if height == base || stack[uint16(height-1)] != I32 {
							break
						}
						height--
					}
					pos += 2
					v.enter(Op(op), height, pos)
					base = height
					continue
				}
			case fastEnd:
				if c := &v.blocks[len(v.blocks)-1]; c.block == BlockEmpty && height == base {
					pos++
					v.exit(pos)
					base = v.base
					continue
				}
			case fastBr:
				if v.jump(byte(w)) {
					pos += 2
					height = base
					v.blocks[len(v.blocks)-1].flags |= ctrlPolymorphic
					v.dead = true
					continue
				}
			case fastBrIf:
				if height > base && stack[uint16(height-1)] == I32 && v.jump(byte(w)) {
					pos += 2
					height--
					v.start = pos
					continue
				}
			case fastNop:
				pos++
				continue
			case fastCall:
				if x, next := readU32(b, pos+1); next > 0 && int(x) < len(v.m.FuncTypes) {
					t := &v.m.slotTypes[v.m.FuncTypes[x]]
					n, r := len(t.Params), len(t.Results)
					if height-base < n || r > freeValues || height-n+r > limit || !sameTypes(stack[height-n:height], t.Params) {
						break
					}
					height -= n
					for i, t := range t.Results {
						stack[uint16(height+i)] = t
					}
					height += r
					highest = max(highest, height)
					pos = next
					continue
				}
			case fastReturn:
				if n := len(v.typ.Results); height-base >= n && sameTypes(stack[height-n:height], v.typ.Results) {
					pos++
					height = base
					v.blocks[len(v.blocks)-1].flags |= ctrlPolymorphic
					v.dead = true
					continue
				}
			case fastUnreachable:
				pos++
				height = base
				v.blocks[len(v.blocks)-1].flags |= ctrlPolymorphic
				v.dead = true
				continue
			}
			break
		}
		if pos >= stop {
			break
		}
		v.pos, v.height, v.highest = pos, height, highest
		if err := v.step(); err != nil {
			return err
		}
		pos, height, base, highest = v.pos, v.height, v.base, v.highest
	}
	v.pos, v.height, v.highest = pos, height, highest
	return nil
}

// lebEnds are the bits that are clear in the last byte of a LEB128 number.
const lebEnds = 0x8080808080808080

// lebLen is the length of a LEB128 number in a word of which ends has the lebEnds that are clear.
//
// The branch lets the processor guess it: to compute it takes longer than most instructions.
func lebLen(ends uint64) int {
	if ends&0x80 != 0 {
		return 1
	}
	return bits.TrailingZeros64(ends)>>3 + 1
}

func sameTypes(a, b []ValType) bool {
	for i, t := range b {
		if a[i] != t {
			return false
		}
	}
	return true
}
