package code

import (
	"errors"
	"slices"
	"sync"

	"github.com/kitwork/kwnode/vm/wasm"
)

// ErrTooLong is returned for a function whose register code would need jumps that don't fit; 64 MB of WebAssembly can't
// come near it, so it stands for a bug.
var ErrTooLong = errors.New("code: register code of a function is too long")

// SigKey gives the signature key of a type index: keys of one module are equal exactly if the types are.
type SigKey func(typeIndex uint32) uint64

// Lower translates a defined function of a validated module.
//
// It is one pass over the bytes in linear time. Operands of the stack machine are described on a compile-time stack and
// take instructions only where they must: a local.get or a constant becomes an operand of its consumer. Their home slots
// are written before a block begins and before a call, so that there the frame holds every live operand in its home.
func Lower(m *wasm.Module, fn uint32, sig SigKey) (*Func, error) {
	l := lowerers.Get().(*lowerer)
	defer lowerers.Put(l)
	l.trace = nil
	f, ok := l.run(m, fn, sig, false)
	if !ok {
		f, ok = l.run(m, fn, sig, true)
	}
	if !ok || len(f.Ins) > 1<<30 {
		return nil, ErrTooLong
	}
	return f, nil
}

// OffsetOf finds the module offset of the instruction that the register code at word pc belongs to, by lowering the
// function again. It serves stack traces of traps, which are too rare to keep a table for.
func OffsetOf(m *wasm.Module, fn uint32, sig SigKey, pc uint32) (uint32, bool) {
	l := lowerers.Get().(*lowerer)
	defer lowerers.Put(l)
	l.trace = []Safepoint{}
	f, ok := l.run(m, fn, sig, false)
	if !ok {
		l.trace = l.trace[:0]
		f, ok = l.run(m, fn, sig, true)
	}
	trace := l.trace
	l.trace = nil
	if !ok || pc >= uint32(len(f.Ins)) {
		return 0, false
	}
	var off uint32
	for _, t := range trace {
		if t.PC > pc {
			break
		}
		off = t.Off
	}
	return off, off != 0
}

var lowerers = sync.Pool{New: func() any { return new(lowerer) }}

// operand describes a value on the stack. It is packed in two words: what is written field by field and read as a whole
// makes the processor wait, and that was the most of what lowering took.
type operand struct {
	where uint64 // home slot, the slot where it is now (of atHome and inLocal), type, kind; from the low end
	value uint64 // of a constant; of a vector, its index in lowerer.vectors
}

type operandKind uint8

const (
	atHome operandKind = iota
	inLocal
	constant
)

// lazily describes a value that isn't at home; pushLazy says where that is.
func lazily(kind operandKind, t wasm.ValType, slot uint16, value uint64) operand {
	return operand{uint64(slot)<<16 | uint64(t)<<32 | uint64(kind)<<40, value}
}

// homed is a value in its home slot.
func homed(home uint16, t wasm.ValType) operand {
	return operand{uint64(home) | uint64(home)<<16 | uint64(t)<<32 | uint64(atHome)<<40, 0}
}

func (o operand) home() uint16           { return uint16(o.where) }
func (o operand) slot() uint16           { return uint16(o.where >> 16) }
func (o operand) typ() wasm.ValType      { return wasm.ValType(o.where >> 32) }
func (o operand) kind() operandKind      { return operandKind(o.where >> 40) }
func (o operand) at(home uint16) operand { o.where = o.where&^0xffff | uint64(home); return o }
func (o operand) as(t wasm.ValType) operand {
	o.where = o.where&^(0xff<<32) | uint64(t)<<32
	return o
}

// block is a unit of gas.
type block struct {
	off    uint32 // module offset of its first instruction
	pc     uint32 // of its Charge word
	charge uint64
	alias  int32 // the block that begins at the same place, if this one is empty; else -1
}

// control is an open block, loop, if, or the function itself.
type control struct {
	op              wasm.Op // OpEnd for the function
	height          int     // operands below its parameters
	params, results []wasm.ValType
	label           int32 // a branch's target: the header of a loop, else the end
	elseLabel       int32 // of an if
	jumped          bool  // live code branches to its end
}

// fixup is a jump whose target isn't known yet.
type fixup struct {
	word  uint32 // the instruction
	label int32
	kind  fixupKind
}

type fixupKind uint8

const (
	fixBr    fixupKind = iota // a Br
	fixCond                   // the taken arm of a conditional branch
	fixFall                   // its other arm; label is a block
	fixTable                  // an entry of a table; base is found by walking back
)

// lazyWindow bounds how many operands on top of the stack may be described without being in their homes, so that
// looking for a local's copies takes constant time.
const lazyWindow = 24

type lowerer struct {
	m      *wasm.Module
	sig    SigKey
	fn     *Func
	ins    []uint64
	locals []operand // parameters and locals as operands

	at uint32 // slots of the locals so far, while they are listed

	stack []operand
	floor int // operands below are at home
	top   uint16
	ctl   []control

	blocks []block
	cur    int32   // the current block, -1 in dead code
	labels []int32 // block of each label, -1 while unknown
	fixups []fixup
	tables []uint32 // for each table fixup, in order, its BrTable
	calls  []Safepoint

	vectors [][2]uint64 // vector constants

	last    int32  // the instruction that computed lastDst, if nothing came after it, else -1
	lastDst uint16 // its destination slot
	noCarry bool   // the slow form for blocks whose charge is beyond 16 bits
	in      wasm.Instr
	trace   []Safepoint // wasm offset of each instruction's first word, if not nil
}

func (l *lowerer) run(m *wasm.Module, fn uint32, sig SigKey, noCarry bool) (*Func, bool) {
	t, body := m.Func(fn)
	f := &Func{Index: fn, Sig: sig(m.FuncTypes[fn])}
	f.Params, f.Results = uint32(wasm.SlotsOf(t.Params)), uint32(wasm.SlotsOf(t.Results))
	f.Header = max(f.Params, f.Results)
	f.Locals = body.LocalSlots - f.Params
	f.Frame = uint32(FrameSlots(m, fn))

	l.m, l.sig, l.fn, l.noCarry = m, sig, f, noCarry
	l.ins, l.stack, l.ctl = l.ins[:0], l.stack[:0], l.ctl[:0]
	l.blocks, l.labels, l.fixups, l.tables = l.blocks[:0], l.labels[:0], l.fixups[:0], l.tables[:0]
	l.calls, l.vectors = l.calls[:0], l.vectors[:0]
	l.floor, l.last, l.cur, l.at = 0, -1, -1, 0
	l.locals = l.locals[:0]
	for _, t := range t.Params {
		l.local(t)
	}
	for g := range m.LocalGroups(body) {
		for range g.N {
			l.local(g.Type)
		}
	}
	l.top = uint16(f.Operands())

	l.ctl = append(l.ctl, control{op: wasm.OpEnd, results: t.Results, label: -1})
	l.beginBlock(body.Off)
	l.blocks[0].charge = wasm.EntryGas(t, body)
	l.code(body)
	if !l.link() {
		return nil, false
	}
	// The last word is never executed: it keeps a pointer past the last instruction inside the slice.
	l.ins = append(l.ins, 0)
	fuse(l.ins)
	f.Ins = slices.Clone(l.ins)
	l.m, l.sig, l.fn = nil, nil, nil
	return f, true
}

// local adds the next parameter or local.
func (l *lowerer) local(t wasm.ValType) {
	l.locals = append(l.locals, lazily(inLocal, t, uint16(l.fn.Slot(l.at)), 0))
	l.at += uint32(t.Slots())
}

// link fills in charges and jumps, and the tables of safepoints.
func (l *lowerer) link() bool {
	f := l.fn
	entry := l.resolve(0)
	f.Charge = int64(entry.charge)
	n := 0
	for i := range l.blocks {
		if b := &l.blocks[i]; b.alias < 0 && b.off != noOffset {
			if b.charge > 1<<31 || b.charge > 0xffff && !l.noCarry {
				return false
			}
			l.ins[b.pc] = Wide(Charge, 0, uint32(b.charge))
			if b.charge > 0 || b.pc == 0 {
				n++
			}
		}
	}
	points := make([]Safepoint, 0, n+len(l.calls)) // one piece of memory for both lists
	for i := range l.blocks {
		if b := &l.blocks[i]; b.alias < 0 && b.off != noOffset && (b.charge > 0 || b.pc == 0) {
			points = append(points, Safepoint{b.off, b.pc})
		}
	}
	f.Blocks = points[:len(points):len(points)]
	f.Calls = append(points, l.calls...)[len(points):]
	table := 0
	for _, x := range l.fixups {
		if x.kind == fixFall {
			b := l.resolve(x.label)
			if !l.noCarry {
				l.ins[x.word+1] |= b.charge << 48
			}
			continue
		}
		b := l.resolve(l.labels[x.label])
		to, charge := b.pc+1, b.charge
		switch x.kind {
		case fixBr:
			if charge > 0xffff {
				to, charge = b.pc, 0
			}
			l.ins[x.word] = Wide(Br, uint16(charge), to-x.word)
		case fixCond:
			if charge > 0xffff {
				to, charge = b.pc, 0
			}
			l.ins[x.word+1] |= uint64(to-x.word) | charge<<32
		case fixTable:
			l.ins[x.word] = uint64(to-l.tables[table]) | charge<<32
			table++
		}
	}
	return true
}

// resolve finds the block that has the code of one that may be empty. Those on the way lead there at once from then on:
// of loops inside one another that begin at the same place each is looked for.
func (l *lowerer) resolve(b int32) *block {
	full := b
	for l.blocks[full].alias >= 0 {
		full = l.blocks[full].alias
	}
	for b != full {
		b, l.blocks[b].alias = l.blocks[b].alias, full
	}
	return &l.blocks[full]
}

// beginBlock starts a unit of gas at the module offset. Every operand must be at home.
func (l *lowerer) beginBlock(off uint32) {
	if l.cur >= 0 {
		if b := &l.blocks[l.cur]; b.charge == 0 && len(l.ins) == int(b.pc)+1 {
			l.ins = l.ins[:b.pc]
			b.alias = int32(len(l.blocks))
		}
	}
	l.cur = int32(len(l.blocks))
	l.blocks = append(l.blocks, block{off: off, pc: uint32(len(l.ins)), alias: -1})
	l.ins = append(l.ins, uint64(Charge))
	l.last = -1
}

func (l *lowerer) newLabel() int32 {
	l.labels = append(l.labels, -1)
	return int32(len(l.labels) - 1)
}

// bind starts a block at a label.
func (l *lowerer) bind(label int32, off uint32) {
	l.beginBlock(off)
	l.labels[label] = l.cur
}

func (l *lowerer) jump(label int32) {
	l.fixups = append(l.fixups, fixup{uint32(len(l.ins)), label, fixBr})
	l.emit(uint64(Br))
	l.last = -1
}

// note remembers where the next instruction comes from, for OffsetOf.
func (l *lowerer) note() {
	if l.trace != nil {
		l.trace = append(l.trace, Safepoint{l.in.Off, uint32(len(l.ins))})
	}
}

func (l *lowerer) emit(w uint64) {
	l.note()
	l.ins = append(l.ins, w)
	l.last = -1
}

func (l *lowerer) emit2(w, imm uint64) {
	l.note()
	l.ins = append(l.ins, w, imm)
	l.last = -1
}

// result emits an instruction whose destination is its A field, which local.set may redirect.
func (l *lowerer) result(dst uint16, w uint64) {
	l.note()
	l.last, l.lastDst = int32(len(l.ins)), dst
	l.ins = append(l.ins, w)
}

func (l *lowerer) result2(dst uint16, w, imm uint64) {
	l.note()
	l.last, l.lastDst = int32(len(l.ins)), dst
	l.ins = append(l.ins, w, imm)
}

// The stack of operands.

func (l *lowerer) push(t wasm.ValType) uint16 {
	home := l.top
	l.stack = append(l.stack, homed(home, t))
	l.top += uint16(t.Slots())
	l.window()
	return home
}

// window sends the oldest operands home that it no longer covers.
func (l *lowerer) window() {
	for len(l.stack)-l.floor > lazyWindow {
		l.goHome(l.floor)
		l.floor++
	}
}

func (l *lowerer) pushLazy(o operand) {
	l.stack = append(l.stack, o.at(l.top))
	l.top += uint16(o.typ().Slots())
	l.window()
}

func (l *lowerer) pop() operand {
	n := len(l.stack) - 1
	o := l.stack[n]
	l.stack = l.stack[:n]
	l.top = o.home()
	l.floor = min(l.floor, n)
	return o
}

// goHome writes operand i of the stack to its home slot.
func (l *lowerer) goHome(i int) {
	if o := l.stack[i]; o.kind() != atHome {
		l.write(o.home(), o)
		l.stack[i] = homed(o.home(), o.typ())
	}
}

// write brings a value into a slot.
func (l *lowerer) write(dst uint16, o operand) {
	switch {
	case o.kind() != constant:
		if o.slot() != dst {
			l.move(dst, o.slot(), o.typ())
		}
	case o.typ() == wasm.V128:
		v := l.vectors[o.value]
		l.emit2(Word(RareBase+Op(wasm.OpV128Const), dst, 0, 0), v[0])
		l.ins = append(l.ins, v[1])
	case o.value>>32 == 0:
		l.emit(Wide(Const, dst, uint32(o.value)))
	default:
		l.emit2(uint64(Const64)|uint64(dst)<<16, o.value)
	}
}

func (l *lowerer) move(dst, src uint16, t wasm.ValType) {
	if t == wasm.V128 {
		l.emit(Word(MovV, dst, src, 0))
	} else {
		l.emit(Word(Mov, dst, src, 0))
	}
}

// use returns a slot that holds the operand, which isn't on the stack any more.
func (l *lowerer) use(o operand) uint16 {
	if o.kind() == constant {
		l.write(o.home(), o)
		return o.home()
	}
	return o.slot()
}

// flush brings every operand home.
func (l *lowerer) flush() {
	n := len(l.stack)
	for i := l.floor; i < n; i++ {
		if o := l.stack[i]; i+1 < n && o.kind() == inLocal && o.typ() != wasm.V128 {
			// Two copies side by side take one instruction.
			if p := l.stack[i+1]; p.kind() == inLocal && p.typ() != wasm.V128 {
				l.emit(Word(Mov2, o.home(), o.slot(), p.slot()))
				l.stack[i], l.stack[i+1] = homed(o.home(), o.typ()), homed(p.home(), p.typ())
				i++
				continue
			}
		}
		l.goHome(i)
	}
	l.floor = n
}

// flushLocal saves the operands that are still in a local before the local changes.
func (l *lowerer) flushLocal(slot uint16) {
	for i := l.floor; i < len(l.stack); i++ {
		if o := l.stack[i]; o.kind() == inLocal && o.slot() == slot {
			l.goHome(i)
		}
	}
}

func (l *lowerer) aliased(slot uint16) bool {
	for i := l.floor; i < len(l.stack); i++ {
		if o := l.stack[i]; o.kind() == inLocal && o.slot() == slot {
			return true
		}
	}
	return false
}

// setLocal stores the popped operand o in a local.
func (l *lowerer) setLocal(o operand, slot uint16) {
	if o.kind() == atHome && l.last >= 0 && l.lastDst == o.home() {
		// The instruction that computed it may as well write the local. Copies of the old value that are still on
		// the stack are saved before it.
		if l.aliased(slot) {
			saved := append([]uint64(nil), l.ins[l.last:]...)
			l.ins = l.ins[:l.last]
			l.flushLocal(slot)
			l.last = int32(len(l.ins))
			l.note()
			l.ins = append(l.ins, saved...)
			if n := len(l.trace); n > 0 {
				l.trace[n-1].Off-- // it is the instruction before this local.set
			}
		}
		l.ins[l.last] = l.ins[l.last]&^(0xffff<<16) | uint64(slot)<<16
		l.lastDst = slot
		return
	}
	l.flushLocal(slot)
	l.write(slot, o)
	l.last = -1
}
