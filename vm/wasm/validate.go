package wasm

import (
	"fmt"
	"slices"
	"sync"
)

// bottom is the type of an operand that only unreachable code can have: it matches every type.
const bottom ValType = 0

// ctrl is an open block. The operand stack of its body begins at height.
type ctrl struct {
	height  uint32
	block   BlockType // of the function's own block: its type index
	checked uint32    // serial number of the last br_table that checked this label
	op      Op        // block, loop, if, else, or opFunc
	flags   uint8
}

// opFunc marks the outermost block, which is not opened by any instruction.
const opFunc Op = OpUnreachable

const (
	ctrlPolymorphic uint8 = 1 << iota // the rest of the block is unreachable by the rules of validation
	ctrlEntryDead                     // no execution enters the block
	ctrlTargeted                      // a live branch leads to its end
)

// An instruction of two bytes may have a thousand results, which have to be followed one by one here and in lowering. That
// time stays in proportion to the size of the code: what instructions with many results push together is bounded.
const (
	freeValues        = 16 // results that don't count
	valuesPerByte     = 16
	valuesPerFunction = 8192
)

// fastLocals is how many local types are kept in an array; the others are found by their groups.
const fastLocals = 256

// group is a run of locals that ends before index end.
type group struct {
	end uint32
	t   ValType
}

// validator checks function bodies, one after the other. Its operand stack is kept by frame slots, so
// that a v128 stands in it as two entries and the height is the number of slots.
//
// Invariant between instructions: base is the height of the innermost block, height the number of
// operand slots, height <= limit < len(stack).
type validator struct {
	m        *Module
	declared []bool // nil when code is validated again
	fn       uint32
	b        []byte // the module up to the end of the body
	pos      int
	height   int
	base     int
	limit    int  // operand slots that the frame has room for
	highest  int  // most operand slots so far
	wide     int  // slots that instructions with more than freeValues results may still push
	dead     bool // no execution reaches the next instruction
	start    int  // where the last gas block began, as far as control flow begins one
	serial   uint32
	typ      *FuncType // of the function, by slots
	blocks   []ctrl
	groups   []group
	nlocals  uint32
	in       instruction
	local    [fastLocals]ValType
	stack    [1 << 16]ValType
}

// validators recycles the validator, whose stack is the largest thing that decoding a small module allocates.
var validators = sync.Pool{New: func() any { return new(validator) }}

func newValidator(m *Module, declared []bool) *validator {
	v := validators.Get().(*validator)
	v.m, v.declared = m, declared
	return v
}

func (v *validator) release() {
	v.m, v.declared, v.b, v.typ = nil, nil, nil, nil
	if cap(v.groups) > 1<<12 {
		v.groups = nil
	}
	if cap(v.blocks) > 1<<12 {
		v.blocks = nil
	}
	validators.Put(v)
}

func (v *validator) fail(kind ErrorKind, off int, format string, args ...any) *Error {
	return &Error{Kind: kind, Offset: uint32(off), Func: int(v.fn), Rule: fmt.Sprintf(format, args...)}
}

// function validates the body of function fn, which stands at bytes [off, end), and fills in body.
func (v *validator) function(fn uint32, body *Body, off, end int) *Error {
	if err := v.begin(fn, body, off, end); err != nil {
		return err
	}
	if err := v.run(end); err != nil {
		return err
	}
	if len(v.blocks) != 0 {
		return v.fail(Malformed, end, "END opcode expected")
	}
	body.FrameSlots = body.LocalSlots + uint32(v.highest)
	return nil
}

// begin reads the local declarations and opens the function's own block.
func (v *validator) begin(fn uint32, body *Body, off, end int) *Error {
	v.fn = fn
	v.b = v.m.Bytes[:end]
	v.pos = off
	v.typ = &v.m.slotTypes[v.m.FuncTypes[fn]]
	body.localsOff = uint32(off)
	slots, err := v.locals(v.m.Types[v.m.FuncTypes[fn]].Params)
	if err != nil {
		return err
	}
	if slots > MaxFrameSlots {
		return v.fail(Limit, off, "locals take %d slots, the most are %d", slots, MaxFrameSlots)
	}
	body.Off, body.End = uint32(v.pos), uint32(end)
	body.NumLocals = v.nlocals - uint32(len(v.m.Types[v.m.FuncTypes[fn]].Params))
	body.LocalSlots = uint32(slots)
	v.limit = MaxFrameSlots - slots
	v.wide = valuesPerFunction + valuesPerByte*(end-off)
	v.height, v.base, v.highest, v.dead, v.start = 0, 0, 0, false, v.pos
	v.blocks = append(v.blocks[:0], ctrl{op: opFunc, block: BlockType(v.m.FuncTypes[fn])})
	return nil
}

// locals fills the tables of local types and returns the slots of all locals.
func (v *validator) locals(params []ValType) (slots int, err *Error) {
	v.groups = v.groups[:0]
	v.nlocals = 0
	for _, t := range params {
		v.addLocals(1, t)
	}
	slots = SlotsOf(params)
	at := v.pos
	n, next := readU32(v.b, v.pos)
	if next < 0 {
		return 0, v.fail(Malformed, at, "%s", lebRule(next))
	}
	var total uint64
	for ; n > 0; n-- {
		at = next
		var count uint32
		if count, next = readU32(v.b, next); next < 0 {
			return 0, v.fail(Malformed, at, "%s", lebRule(next))
		}
		if next >= len(v.b) {
			return 0, v.fail(Malformed, next, "unexpected end of section or function")
		}
		t := ValType(v.b[next])
		if !t.valid() {
			return 0, v.fail(Malformed, next, "malformed value type")
		}
		next++
		if total += uint64(count); total > 1<<32-1 {
			return 0, v.fail(Malformed, at, "too many locals")
		}
		if total+uint64(len(params)) > MaxLocals {
			return 0, v.fail(Limit, at, "%d locals, the most are %d", total+uint64(len(params)), MaxLocals)
		}
		slots += int(count) * t.Slots()
		v.addLocals(count, t)
	}
	v.pos = next
	return slots, nil
}

func (v *validator) addLocals(n uint32, t ValType) {
	if n == 0 {
		return
	}
	for i := v.nlocals; i < min(v.nlocals+n, fastLocals); i++ {
		v.local[i] = t
	}
	v.nlocals += n
	if k := len(v.groups) - 1; k >= 0 && v.groups[k].t == t {
		v.groups[k].end = v.nlocals
		return
	}
	v.groups = append(v.groups, group{end: v.nlocals, t: t})
}

// localType returns the type of a local that exists.
func (v *validator) localType(x uint32) ValType {
	if x < fastLocals {
		return v.local[x]
	}
	i, _ := slices.BinarySearchFunc(v.groups, x, func(g group, x uint32) int {
		if g.end <= x {
			return -1
		}
		return 1
	})
	return v.groups[i].t
}

// mismatch is the error for an operand that is missing or has another type.
func (v *validator) mismatch(at int, want ValType) *Error {
	found := "nothing"
	if v.height > v.base {
		found = v.stack[v.height-1].String()
	}
	return v.fail(Invalid, at, "type mismatch: %s needs %s, found %s", v.in.op, want, found)
}

// pop takes one value of type t, bottom for any, and returns the type that it found.
func (v *validator) pop(t ValType) (ValType, bool) {
	if v.height == v.base {
		return t, v.blocks[len(v.blocks)-1].flags&ctrlPolymorphic != 0
	}
	top := v.stack[v.height-1]
	if top != t && top != bottom && t != bottom {
		return top, false
	}
	v.height--
	if top == V128 {
		v.height--
	}
	return top, true
}

// popAll takes values of the given types, which are listed by slots.
func (v *validator) popAll(at int, ts []ValType) *Error {
	n := len(ts)
	if v.height-v.base >= n && string(asBytes(v.stack[v.height-n:v.height])) == string(asBytes(ts)) {
		v.height -= n
		return nil
	}
	for n > 0 {
		n--
		t := ts[n]
		if t == V128 {
			n--
		}
		if _, ok := v.pop(t); !ok {
			return v.mismatch(at, t)
		}
	}
	return nil
}

// pushAll pushes values of the given types, which are listed by slots.
func (v *validator) pushAll(at int, ts []ValType) *Error {
	if len(ts) > freeValues {
		if v.wide -= len(ts); v.wide < 0 {
			return v.fail(Limit, at, "results of calls and blocks are too many for the size of the function")
		}
	}
	h := v.height + len(ts)
	if h > v.highest {
		if h > v.limit {
			return v.fail(Limit, at, "locals and operands take more than %d slots", MaxFrameSlots)
		}
		v.highest = h
	}
	copy(v.stack[v.height:], ts)
	v.height = h
	return nil
}

func (v *validator) push(at int, t ValType) *Error {
	if t == V128 {
		return v.pushAll(at, vectorSlots[:])
	}
	return v.pushAll(at, singleTypes[t:t+1])
}

var vectorSlots = [2]ValType{V128, V128}

// blockType resolves a block's type by slots.
func (v *validator) blockType(bt BlockType) (params, results []ValType) {
	if bt >= 0 {
		t := &v.m.slotTypes[bt]
		return t.Params, t.Results
	}
	if bt == BlockType(V128)-0x80 {
		return nil, vectorSlots[:]
	}
	return v.m.BlockType(bt)
}
