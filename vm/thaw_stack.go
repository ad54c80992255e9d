package vm

import (
	"math"
	"unsafe"

	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/vm/wasm"
)

// thawedFrame is a frame before it is put on the stack.
type thawedFrame struct {
	ref   uint64
	fn    *code.Func
	pc    uint32
	shape shape
	slots []uint64 // the frame's, all of them
}

func (r *bodyReader) stack() {
	s := r.s
	n := r.below(maxQueue, "number of waiting calls")
	for range n {
		ref := r.uint()
		if r.err == nil && (ref == 0 || !s.validRef(ref)) {
			r.fail("a waiting call of no function")
		}
		if r.err != nil {
			return
		}
		params := s.typeOf(ref).Params
		q := queuedCall{ref: ref, args: make([]uint64, wasm.SlotsOf(params))}
		r.values(params, q.args)
		s.queue = append(s.queue, q)
	}
	s.state = state(r.byte())
	n = r.below(uint64(s.limits.Depth), "number of frames")
	if r.err != nil {
		return
	}
	switch s.state {
	case stateIdle:
		if n != 0 {
			r.fail("frames of a store that doesn't run")
		}
		return
	case stateRunning:
		if n == 0 {
			r.fail("a running store without frames")
			return
		}
	case stateEntry, statePending:
	default:
		r.fail("unknown state")
		return
	}
	var slots uint64 // taken by callers up to the next frame
	for i := range n {
		r.frame(i+1 < n || s.state != stateRunning, &slots)
		if r.err != nil {
			return
		}
	}
	if s.state != stateRunning {
		r.hostCall()
	}
}

// frame reads the next inner frame. from is the slot where it begins, and then where a callee's would.
func (r *bodyReader) frame(suspended bool, from *uint64) {
	s := r.s
	at, fn, off := r.uint(), r.uint(), r.uint()
	if r.err != nil || at >= uint64(len(s.instances)) || fn > math.MaxUint32 || off > math.MaxUint32 ||
		!s.instances[at].mod.defines(uint32(fn)) {
		r.fail("a frame of no function")
		return
	}
	inst := s.instances[at]
	f := thawedFrame{ref: (at+1)<<32 | fn}
	if r.err = r.callable(f.ref); r.err != nil {
		return
	}
	var err error
	if f.fn, err = s.lower(inst, uint32(fn)); err != nil {
		r.err = err
		return
	}
	ok := false
	if suspended {
		f.pc, ok = f.fn.CallAt(uint32(off))
	} else {
		f.pc, ok = f.fn.BlockAt(uint32(off))
	}
	if ok {
		f.shape, ok = r.types.at(inst.mod, uint32(fn), uint32(off), suspended)
	}
	if !ok {
		r.fail("function %d of instance %d can't be stopped at %#x", fn, at, off)
		return
	}
	if r.types.work > maxValidated {
		r.fail("the frames stand at too many places of too long functions")
		return
	}
	if *from+uint64(f.fn.Frame) > uint64(s.limits.Slots) {
		r.fail("the frames exceed the limit of %d slots", s.limits.Slots)
		return
	}
	// Memory of what is being read is the stack's, which the budget covers.
	live := int(f.fn.Operands()) + wasm.SlotsOf(f.shape.operands)
	f.slots = make([]uint64, live)
	params := len(inst.mod.funcType(uint32(fn)).Params)
	r.values(f.shape.locals[:params], f.slots)
	r.values(f.shape.locals[params:], f.slots[f.fn.Slot(f.fn.Params):])
	r.values(f.shape.operands, f.slots[f.fn.Operands():])
	r.frames = append(r.frames, f)
	*from += uint64(live)
}

// callable checks that the innermost frame read so far is waiting for a call of ref.
func (r *bodyReader) callable(ref uint64) error {
	if len(r.frames) == 0 {
		return nil
	}
	caller := &r.frames[len(r.frames)-1]
	inst := r.s.instances[caller.ref>>32-1]
	sh := &caller.shape
	if sh.target >= 0 && inst.funcRef(uint32(sh.target)) != ref || !r.s.typeOf(ref).Equal(sh.callee) {
		return r.fail("a frame that its caller can't have called")
	}
	return nil
}

func (r *bodyReader) hostCall() {
	s := r.s
	ref := r.uint()
	if r.err != nil || !isHost(ref) || !s.validRef(ref) {
		r.fail("a host call of no function")
		return
	}
	if r.callable(ref) != nil {
		return
	}
	s.host.ref = ref
	for _, t := range s.hosts[uint32(ref)].fn.Type.Params {
		lo, hi := r.value(t)
		s.host.args = append(s.host.args, valueOf(t, lo, hi))
	}
	n := r.below(maxPendingWrites, "number of ranges to write")
	for range n {
		dst, size := r.below(math.MaxUint32, "an address"), r.below(math.MaxUint32, "a size")
		s.host.writes = append(s.host.writes, Range{uint32(dst), uint32(size)})
	}
	if r.err != nil {
		return
	}
	if s.state == stateEntry {
		if len(s.host.writes) > 0 {
			r.fail("a call that hasn't begun has declared writes")
			return
		}
		if fn := s.hosts[uint32(ref)].fn; fn.Gas != nil {
			s.host.need = fn.Gas(s.host.args)
		}
	}
}

// restack builds the frames and the machine's state. Everything was checked.
func (r *bodyReader) restack() {
	s, m := r.s, &r.s.m
	if len(r.frames) == 0 {
		m.depth = int64(s.limits.Depth)
		return
	}
	if r.err = s.attach(); r.err != nil {
		return
	}
	m.fp = s.stack.base()
	m.depth = int64(s.limits.Depth)
	m.cur = 0
	var call unsafe.Pointer
	for i := range r.frames {
		f := &r.frames[i]
		base, tag := m.fp, uintptr(tagEntry)
		if i > 0 {
			base = unsafe.Add(m.fp, int(aAt(call))*8)
			tag = uintptr(call)
			if m.cur>>32 != f.ref>>32 {
				tag |= tagCross
			}
		}
		h := int(f.fn.Header)
		f.slots[h], f.slots[h+1] = uint64(tag), m.cur
		copy(slotsAt(base, len(f.slots)), f.slots)
		m.cur, m.fp = f.ref, base
		m.depth--
		call = unsafe.Add(unsafe.Pointer(unsafe.SliceData(f.fn.Ins)), int(f.pc)*8)
	}
	m.pc = call
	m.enterInstance(s.instances[m.cur>>32-1])
	s.detach()
}
