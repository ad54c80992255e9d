package wasm

import (
	"encoding/binary"
	"unsafe"
)

// Instr is one decoded instruction. Which of the fields below Next mean anything depends on the
// opcode's ImmKind; the others keep what an earlier instruction left there.
type Instr struct {
	Op    Op
	Align uint8 // binary logarithm of the alignment that a memory access states
	Lane  uint8
	Type  ValType
	Off   uint32 // offset of the opcode in Module.Bytes
	Next  uint32 // offset of the next instruction

	X, Y   uint32 // indices
	Offset uint32 // of a memory access
	Block  BlockType
	Const  uint64 // constant bits; an i32 is sign extended
	Hi     uint64 // upper half of a v128
}

// Info returns the opcode's row of the table.
func (in *Instr) Info() *OpInfo { return &opTable[in.Op] }

// Reader iterates over the instructions of validated code without allocating. It trusts the bytes:
// use it on a Module that Decode returned and on offsets that are instructions there. Declare it before
// the loop and not in it: a loop variable is copied at each turn, which takes longer than Next.
type Reader struct {
	b        []byte
	pos, end int
}

// NewReader returns a reader of a function's code, from its first instruction to its final end.
func NewReader(m *Module, body *Body) Reader { return newReader(m, body.Off, body.End) }

// NewConstReader returns a reader of a constant expression, its final end included.
func NewConstReader(m *Module, e ConstExpr) Reader { return newReader(m, e.Off, e.End) }

func newReader(m *Module, off, end uint32) Reader {
	return Reader{b: m.Bytes[:end], pos: int(off), end: int(end)}
}

// Seek continues at the instruction at off.
func (r *Reader) Seek(off uint32) { r.pos = int(off) }

// Pos is the offset of the next instruction.
func (r *Reader) Pos() uint32 { return uint32(r.pos) }

// Next decodes the next instruction into in and reports whether there was one.
func (r *Reader) Next(in *Instr) bool {
	if r.pos >= r.end {
		return false
	}
	c := cursor{b: r.b, pos: r.pos}
	op := Op(c.b[c.pos])
	in.Off = uint32(c.pos)
	c.pos++
	if op >= 0xfc {
		op = (op-0xfb)<<8 | Op(c.fastU32())
	}
	in.Op = op
	switch imm := immKinds[op]; imm {
	case ImmNone:
	case ImmLocal, ImmLabel, ImmFunc, ImmGlobal, ImmTable, ImmElem, ImmData, ImmMemory:
		in.X = c.fastU32()
	case ImmI32, ImmI64:
		in.Const = uint64(c.fastS64())
	case ImmMem8, ImmMem16, ImmMem32, ImmMem64, ImmMem128:
		memArg(&c, in)
	default:
		rareImmediates(&c, imm, in)
	}
	r.pos = c.pos
	in.Next = uint32(c.pos)
	return true
}

// immKinds is the table's column of immediates, packed since every Next reads it.
var immKinds = func() (all [NumOps]ImmKind) {
	for op := range all {
		all[op] = opTable[op].Imm
	}
	return all
}()

func rareImmediates(c *cursor, imm ImmKind, in *Instr) {
	switch imm {
	case ImmCallIndirect, ImmTableTable, ImmElemTable, ImmDataMem, ImmMemMem:
		in.X = c.fastU32()
		in.Y = c.fastU32()
	case ImmBlock:
		in.Block = BlockType(c.fastS64())
	case ImmBrTable:
		in.X = c.fastU32()
		in.Y = uint32(c.pos)
		for n := uint64(in.X) + 1; n > 0; n-- {
			c.fastU32()
		}
	case ImmF32:
		in.Const = uint64(binary.LittleEndian.Uint32(c.b[c.pos:]))
		c.pos += 4
	case ImmF64:
		in.Const = binary.LittleEndian.Uint64(c.b[c.pos:])
		c.pos += 8
	case ImmV128, ImmShuffle:
		in.Const = binary.LittleEndian.Uint64(c.b[c.pos:])
		in.Hi = binary.LittleEndian.Uint64(c.b[c.pos+8:])
		c.pos += 16
	case ImmRefType:
		in.Type = ValType(c.b[c.pos])
		c.pos++
	case ImmSelect:
		c.fastU32()
		in.Type = ValType(c.b[c.pos])
		c.pos++
	case ImmLane2, ImmLane4, ImmLane8, ImmLane16:
		in.Lane = c.b[c.pos]
		c.pos++
	default: // ImmMemLane8 to ImmMemLane64
		memArg(c, in)
		in.Lane = c.b[c.pos]
		c.pos++
	}
}

// memIndexFlag in the alignment field says that a memory index follows (multi-memory).
const memIndexFlag = 1 << 6

func memArg(c *cursor, in *Instr) {
	align := c.fastU32()
	in.X = 0
	if align&memIndexFlag != 0 {
		in.X = c.fastU32()
	}
	in.Align = uint8(align &^ memIndexFlag)
	in.Offset = c.fastU32()
}

// Targets iterates over the labels of a br_table.
type Targets struct {
	c    cursor
	left uint64
}

// Targets returns the labels of the br_table in, the default label last: in.X+1 labels in all.
func (m *Module) Targets(in *Instr) Targets {
	return Targets{c: cursor{b: m.Bytes, pos: int(in.Y)}, left: uint64(in.X) + 1}
}

// Next returns the next label, and false after the default label.
func (t *Targets) Next() (label uint32, ok bool) {
	if t.left == 0 {
		return 0, false
	}
	t.left--
	return t.c.fastU32(), true
}

// cursor reads the format's primitives. The methods here trust the bytes, those in decode.go check them.
type cursor struct {
	b   []byte
	pos int
}

// fastU32 reads an unsigned LEB128 number that was validated.
func (c *cursor) fastU32() uint32 {
	x := uint32(c.b[c.pos])
	c.pos++
	if x < 0x80 {
		return x
	}
	return c.longU32(x & 0x7f)
}

func (c *cursor) longU32(x uint32) uint32 {
	for shift := 7; ; shift += 7 {
		y := uint32(c.b[c.pos])
		c.pos++
		x |= (y & 0x7f) << shift
		if y < 0x80 {
			return x
		}
	}
}

// fastS64 reads a signed LEB128 number of any width that was validated.
func (c *cursor) fastS64() int64 {
	if y := c.b[c.pos]; y < 0x80 {
		c.pos++
		return int64(int8(y<<1)) >> 1
	}
	return c.longS64()
}

func (c *cursor) longS64() int64 {
	var x uint64
	for shift := 0; ; {
		y := c.b[c.pos]
		c.pos++
		x |= uint64(y&0x7f) << shift
		shift += 7
		if y < 0x80 {
			if y&0x40 != 0 && shift < 64 {
				x |= ^uint64(0) << shift
			}
			return int64(x)
		}
	}
}

// asBytes views types as bytes, to compare and copy lists of them at memory speed.
// Invariant: ValType is a byte, so that the view has the same length and alignment.
func asBytes(ts []ValType) []byte {
	return unsafe.Slice((*byte)(unsafe.SliceData(ts)), len(ts))
}
