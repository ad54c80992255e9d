package wasm

// fastOp is what run needs of an opcode's row.
type fastOp struct {
	kind    fastKind
	in, out ValType
	align   uint8 // largest alignment of a memory access
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
	fastConstLEB
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
		case in.Imm == ImmI32 || in.Imm == ImmI64:
			f.kind = fastConstLEB
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
	return all
}()

// run validates instructions until one would begin at or behind stop.
//
// The switch is a shortcut for frequent instructions in their usual form: a case that finds all in
// order continues, and anything else goes to step, which has the whole rule. No case may accept what
// step would refuse; a test compares the two.
func (v *validator) run(stop int) *Error {
	b, pos, height, base := v.b, v.pos, v.height, v.base
	stack := &v.stack
	nlocals := min(v.nlocals, 0x80) // those whose index takes one byte
	globals := v.m.Globals
	nglobals := min(uint32(len(globals)), 0x80)
	noMem := len(v.m.Mems) == 0
	for pos < stop {
		op := b[pos]
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
			if pos+1 < len(b) && uint32(b[pos+1]) < nlocals && height < v.highest {
				if t := v.local[b[pos+1]]; t != V128 {
					stack[uint16(height)] = t
					height++
					pos += 2
					continue
				}
			}
		case fastLocalSet:
			if pos+1 < len(b) && uint32(b[pos+1]) < nlocals && height > base {
				if t := v.local[b[pos+1]]; t != V128 && t == stack[uint16(height-1)] {
					height--
					pos += 2
					continue
				}
			}
		case fastLocalTee:
			if pos+1 < len(b) && uint32(b[pos+1]) < nlocals && height > base {
				if t := v.local[b[pos+1]]; t != V128 && t == stack[uint16(height-1)] {
					pos += 2
					continue
				}
			}
		case fastConstLEB:
			if height < v.highest {
				// At most 4 bytes: neither type has anything to check in them.
				if n := lebLen(b, pos+1); n > 0 {
					stack[uint16(height)] = f.out
					height++
					pos += 1 + n
					continue
				}
			}
		case fastConst4, fastConst8:
			n := 5
			if f.kind == fastConst8 {
				n = 9
			}
			if height < v.highest && pos+n <= len(b) {
				stack[uint16(height)] = f.out
				height++
				pos += n
				continue
			}
		case fastLoad:
			if height > base && stack[uint16(height-1)] == I32 && pos+1 < len(b) && b[pos+1] <= f.align && !noMem {
				if n := lebLen(b, pos+2); n > 0 {
					stack[uint16(height-1)] = f.out
					pos += 2 + n
					continue
				}
			}
		case fastStore:
			if height-1 > base && stack[uint16(height-1)] == f.in && stack[uint16(height-2)] == I32 &&
				pos+1 < len(b) && b[pos+1] <= f.align && !noMem {
				if n := lebLen(b, pos+2); n > 0 {
					height -= 2
					pos += 2 + n
					continue
				}
			}
		case fastGlobalGet:
			if pos+1 < len(b) && uint32(b[pos+1]) < nglobals && height < v.highest {
				if t := globals[b[pos+1]].Type; t != V128 {
					stack[uint16(height)] = t
					height++
					pos += 2
					continue
				}
			}
		case fastGlobalSet:
			if pos+1 < len(b) && uint32(b[pos+1]) < nglobals && height > base {
				if g := &globals[b[pos+1]]; g.Mutable && g.Type != V128 && g.Type == stack[uint16(height-1)] {
					height--
					pos += 2
					continue
				}
			}
		case fastBlock:
			if pos+1 >= len(b) || b[pos+1] != 0x40 || len(v.blocks) >= MaxNesting {
				break
			}
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
		case fastEnd:
			if c := &v.blocks[len(v.blocks)-1]; c.block == BlockEmpty && height == base {
				pos++
				v.exit(pos)
				base = v.base
				continue
			}
		case fastBr:
			if pos+1 < len(b) && v.jump(b[pos+1]) {
				pos += 2
				height = base
				v.blocks[len(v.blocks)-1].flags |= ctrlPolymorphic
				v.dead = true
				continue
			}
		case fastBrIf:
			if pos+1 < len(b) && height > base && stack[uint16(height-1)] == I32 && v.jump(b[pos+1]) {
				pos += 2
				height--
				v.start = pos
				continue
			}
		case fastNop:
			pos++
			continue
		}
		v.pos, v.height = pos, height
		if err := v.step(); err != nil {
			return err
		}
		pos, height, base = v.pos, v.height, v.base
	}
	v.pos, v.height = pos, height
	return nil
}

// lebLen is the length of the LEB128 number at pos if that is at most 4 bytes, else 0.
func lebLen(b []byte, pos int) int {
	if pos+3 >= len(b) {
		return 0
	}
	s := b[pos : pos+4 : pos+4]
	switch {
	case s[0] < 0x80:
		return 1
	case s[1] < 0x80:
		return 2
	case s[2] < 0x80:
		return 3
	case s[3] < 0x80:
		return 4
	}
	return 0
}
