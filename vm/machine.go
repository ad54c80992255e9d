package vm

import (
	"unsafe"

	"github.com/kitwork/kwnode/internal/code"
)

// machine is the state of execution as interpret keeps it while it isn't running. It belongs to one Store.
//
// Invariant: between calls of interpret, pc, fp and cur describe the innermost frame; pc is its next instruction; the
// fields from inst on are those of cur's instance.
type machine struct {
	pc, fp unsafe.Pointer
	gas    int64  // units that may still be taken before the loop must return
	cur    uint64 // reference of the running function
	depth  int64  // calls that may still be made

	inst    *Instance
	mem     unsafe.Pointer // of memory 0
	memLen  uint64         // bytes
	funcs   unsafe.Pointer // *code.Func of each function of the module, nil until lowered
	globals unsafe.Pointer // the instance's own globals
	tables  unsafe.Pointer // []*Table

	stackEnd uintptr
	parkedFP uintptr        // fp from the stack's base, while it is parked
	header   unsafe.Pointer // for exitReturn
	trap     TrapCode       // for exitTrap
	need     uint64         // for exitGas out of rare: what the operation costs beside its block
	err      error          // for exitError and TrapHost

	native nativeState
}

// Tags in the low bits of a header's first word, which is an instruction's address and so has them free.
const (
	tagEntry = 1 // the host made the frame; there is no caller
	tagCross = 2 // the caller belongs to another instance
	tagMask  = 7
)

// next is what rare returns to go on with the instruction at m.pc.
const next exit = -1

// enterInstance makes inst the current one.
func (m *machine) enterInstance(inst *Instance) {
	m.inst = inst
	m.funcs = unsafe.Pointer(unsafe.SliceData(inst.mod.funcs))
	m.globals = unsafe.Pointer(unsafe.SliceData(inst.globals))
	m.tables = unsafe.Pointer(unsafe.SliceData(inst.tables))
	m.loadMemory()
}

// loadMemory refreshes what memory.grow may have changed.
func (m *machine) loadMemory() {
	m.mem, m.memLen = nil, 0
	if len(m.inst.mems) > 0 {
		m.mem, m.memLen = m.inst.mems[0].base, m.inst.mems[0].size
	}
}

// fn is the running function.
func (m *machine) fn() *code.Func { return m.inst.mod.lowered(uint32(m.cur)) }

// pushFrame makes the frame of f at base and enters f, as the loop does for a call inside an instance. at is the call
// instruction with its tag. The caller checks for room and sets the instance. Nothing is charged: m.pc is the entry's
// Charge.
func (m *machine) pushFrame(f *code.Func, base unsafe.Pointer, at uintptr, ref uint64) {
	h := unsafe.Add(base, uintptr(f.Header)*8)
	*(*uintptr)(h) = at
	*(*uint64)(unsafe.Add(h, 8)) = m.cur
	clear(slotsAt(unsafe.Add(h, code.HeaderSlots*8), int(f.Locals)))
	m.cur, m.fp, m.pc = ref, base, unsafe.Pointer(unsafe.SliceData(f.Ins))
	m.depth--
}

// popCross returns from a frame to its caller in another instance.
func (m *machine) popCross(s *Store) {
	h := m.header
	m.cur = word(h, 8)
	at := unsafe.Add(*(*unsafe.Pointer)(h), -int(tagCross))
	m.fp = unsafe.Add(m.fp, -(int(aAt(at)) * 8))
	m.pc = unsafe.Add(at, 16)
	m.depth++
	m.enterInstance(s.instances[m.cur>>32-1])
}

// frame is one frame as a walk over the stack finds it.
type frame struct {
	ref  uint64
	fn   *code.Func
	base unsafe.Pointer
	pc   uint32 // word index: of the next instruction in the innermost frame, else of the call
}

// walk visits the frames from the innermost outwards until visit returns false.
func (s *Store) walk(visit func(frame) bool) {
	m := &s.m
	ref, fp, pc := m.cur, m.fp, m.pc
	for ref != 0 {
		f := s.instances[ref>>32-1].mod.lowered(uint32(ref))
		at := (uintptr(pc) - uintptr(unsafe.Pointer(unsafe.SliceData(f.Ins)))) / 8
		if !visit(frame{ref, f, fp, uint32(at)}) {
			return
		}
		h := unsafe.Add(fp, uintptr(f.Header)*8)
		tag := word(h, 0) & tagMask
		if tag == tagEntry {
			return
		}
		ref = word(h, 8)
		pc = unsafe.Add(*(*unsafe.Pointer)(h), -int(tag))
		fp = unsafe.Add(fp, -(int(aAt(pc)) * 8))
	}
}
