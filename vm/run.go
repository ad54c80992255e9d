package vm

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Reason says why Run returned.
type Reason uint8

// Reasons. Execution can go on after OutOfGas and Interrupted by Run, after HostCall by Resume and Run.
const (
	Done        Reason = iota // every queued call has returned; Stop.Results are the last one's
	Trapped                   // the program ended; Stop.Trap says why
	OutOfGas                  // less gas is left than the next step costs, which is Stop.Need
	Waiting                   // a host function wants an answer that comes later
	Interrupted               // Interrupt was called, or the context is done
)

// Stop is what Run returns.
type Stop struct {
	Reason  Reason
	Results []Value // for Done; valid until the next Run
	Trap    *Trap   // for Trapped
	Used    uint64  // gas that this Run took, at most what it was given
	Need    uint64  // for OutOfGas: the least that Run must be given to go on; running with just that ends one step later
}

// SliceGas is how much gas a program uses, about a millisecond, before Run looks whether it should stop.
const SliceGas = 1 << 19

// Run executes queued calls until they are done or something stops it, using at most gas units. What isn't used isn't
// kept: a store has no balance, only a sum of what it used.
//
// An error means that the engine failed (ErrBudget) or was misused (ErrBusy, ErrClosed); the program is where it was and
// Run can be repeated.
func (s *Store) Run(ctx context.Context, gas uint64) (Stop, error) {
	switch {
	case s.state == stateClosed:
		return Stop{}, ErrClosed
	case s.state == statePending:
		return Stop{}, fmt.Errorf("%w: run while a host call is pending, resume it first", ErrBusy)
	}
	gas = min(gas, 1<<62)
	r := runner{s: s, ctx: ctx, left: gas}
	if s.state != stateIdle || len(s.queue) > 0 {
		if err := s.attach(); err != nil {
			return Stop{}, err
		}
	}
	stop, err := r.loop()
	s.account()
	stop.Used = gas - r.left - uint64(s.m.gas)
	s.m.gas, s.granted = 0, 0
	s.returnNative()
	s.detach()
	return stop, err
}

// attach borrows the stack and puts the parked frames on it.
func (s *Store) attach() error {
	if s.stack.b != nil {
		return nil
	}
	if err := s.take(int64(s.limits.Slots) * 8); err != nil {
		return err
	}
	n := len(s.stack.parked)
	s.give(int64(n) * 8)
	if err := s.stack.borrow(int(s.limits.Slots)); err != nil {
		_ = s.take(int64(n) * 8)
		s.give(int64(s.limits.Slots) * 8)
		return err
	}
	base := s.stack.base()
	s.m.stackEnd = uintptr(base) + uintptr(s.limits.Slots)*8
	s.m.fp = unsafe.Add(base, s.m.parkedFP)
	return nil
}

// detach gives the stack back if little of it is live. More is moved only by Park, for copying it each slice would cost
// more than the memory.
func (s *Store) detach() {
	if n := s.liveSlots(); n <= parkSlots {
		s.park(n)
	}
}

// Park moves the live frames to a compact copy and gives the stack back until the next Run. It is worth calling for a
// store that will not run for a while; Run does it itself when few frames are live.
func (s *Store) Park() {
	if s.state != stateClosed {
		s.park(s.liveSlots())
	}
}

func (s *Store) park(n int) {
	if s.stack.b == nil {
		return
	}
	if s.budget != nil && s.budget.Take(int64(n)*8) != nil {
		return
	}
	s.taken += int64(n) * 8
	s.m.parkedFP = uintptr(s.m.fp) - uintptr(s.stack.base())
	s.stack.park(n)
	s.m.fp = nil
	s.give(int64(s.limits.Slots) * 8)
}

// liveSlots is the part of the stack that means something.
func (s *Store) liveSlots() int {
	if s.state == stateIdle || s.m.cur == 0 || s.stack.b == nil {
		return 0
	}
	return int((uintptr(s.m.fp)-uintptr(s.stack.base()))/8) + int(s.m.fn().Frame)
}

// runner is one Run.
type runner struct {
	s    *Store
	ctx  context.Context
	left uint64 // gas that isn't granted to the machine yet
}

// grant gives the machine gas for a slice, and for need if that is more; it reports whether need is covered.
func (r *runner) grant(need uint64) bool {
	m := &r.s.m
	r.s.account()
	r.left += uint64(m.gas)
	m.gas = 0
	ok := need <= r.left
	if ok {
		n := min(r.left, max(SliceGas, need))
		m.gas = int64(n)
		r.left -= n
	}
	r.s.granted = m.gas
	return ok
}

// poll reports whether somebody wants the program to stop.
func (r *runner) poll() bool {
	if r.s.interrupt.Swap(false) {
		return true
	}
	return r.ctx != nil && r.ctx.Err() != nil
}

func (r *runner) loop() (Stop, error) {
	s := r.s
	m := &s.m
	// A running program may be in the middle of a block, behind a host call's answer; it is asked at the next safepoint.
	if s.state != stateRunning && r.poll() {
		return Stop{Reason: Interrupted}, nil
	}
	for {
		switch s.state {
		case stateIdle:
			if len(s.queue) == 0 {
				return Stop{Reason: Done, Results: s.results}, nil
			}
			if trap, err := s.begin(); err != nil {
				return Stop{}, err
			} else if trap != TrapNone {
				return s.trapped(trap, nil), nil
			}
			continue
		case stateEntry:
			stop, done, err := r.hostEntry()
			if done || err != nil {
				return stop, err
			}
			continue
		}
		m.need = 0
		var stop Stop
		var done bool
		var err error
		switch s.execute() {
		case exitGas:
			stop, done = r.slice()
		case exitTrap:
			return s.trapped(m.trap, nil), nil
		case exitCall:
			trap, e := s.slowCall()
			if e != nil {
				return Stop{}, e
			} else if trap != TrapNone {
				return s.trapped(trap, nil), nil
			}
		case exitReturn:
			s.slowReturn()
		case exitError:
			err, m.err = m.err, nil
		}
		if done || err != nil {
			return stop, err
		}
	}
}

// slice decides what follows when the machine wants gas for the block at m.pc.
func (r *runner) slice() (Stop, bool) {
	m := &r.s.m
	need := uint64(immAt(m.pc)) + m.need
	if !r.grant(need) {
		return Stop{Reason: OutOfGas, Need: need}, true
	}
	if r.poll() {
		return Stop{Reason: Interrupted}, true
	}
	return Stop{}, false
}

// begin starts the next queued call.
func (s *Store) begin() (TrapCode, error) {
	q := s.queue[0]
	m := &s.m
	m.depth = int64(s.limits.Depth)
	m.cur = 0
	m.fp = s.stack.base()
	s.results = s.results[:0]
	if isHost(q.ref) {
		if len(q.args) > int(s.limits.Slots) {
			return TrapStack, nil
		}
		copy(slotsAt(m.fp, len(q.args)), q.args)
		s.queue = s.queue[1:]
		m.pc = nil
		s.waitForHost(q.ref, m.fp)
		return TrapNone, nil
	}
	inst := s.instances[q.ref>>32-1]
	f, err := s.lower(inst, uint32(q.ref))
	if err != nil {
		return TrapNone, err
	}
	s.queue = s.queue[1:]
	if len(s.queue) == 0 {
		s.queue = nil
	}
	if f.Frame > s.limits.Slots || m.depth <= 0 {
		return TrapStack, nil
	}
	copy(slotsAt(m.fp, len(q.args)), q.args)
	m.enterInstance(inst)
	m.pushFrame(f, m.fp, tagEntry, q.ref)
	s.state = stateRunning
	return TrapNone, nil
}

// lower makes a function's code and accounts for it.
func (s *Store) lower(inst *Instance, fn uint32) (*code.Func, error) {
	if f := inst.mod.lowered(fn); f != nil {
		return f, nil
	}
	s.ticked = 0 // where functions are called for the first time the program isn't yet in what will be hot
	f, err := inst.mod.lower(fn)
	if err != nil {
		return nil, err
	}
	if err := s.take(int64(len(f.Ins)+len(f.Blocks)+len(f.Calls)) * 8); err != nil {
		return nil, err
	}
	return f, nil
}

// slowCall makes the call at m.pc: of a function that isn't lowered yet, of another instance, or of the host.
func (s *Store) slowCall() (TrapCode, error) {
	m := &s.m
	pc := m.pc
	var ref uint64
	switch opAt(pc) {
	case code.CallIndir:
		t := m.inst.tables[cAt(pc)]
		ref = t.elems[u32(m.fp, bAt(pc))] // the loop checked the index
		if ref == 0 {
			return TrapUninitialized, nil
		}
		if !s.sameType(ref, word(pc, 8)) {
			return TrapSignature, nil
		}
	default:
		ref = m.inst.funcRef(uint32(word(pc, 8)))
	}
	base := unsafe.Add(m.fp, int(aAt(pc))*8)
	if isHost(ref) {
		s.waitForHost(ref, base)
		return TrapNone, nil
	}
	inst := s.instances[ref>>32-1]
	f, err := s.lower(inst, uint32(ref))
	if err != nil {
		return TrapNone, err
	}
	if inst == m.inst && opAt(pc) != code.CallHost {
		return TrapNone, nil // the loop can do it now
	}
	if uintptr(base)+uintptr(f.Frame)*8 > m.stackEnd || m.depth <= 0 {
		return TrapStack, nil
	}
	m.pushFrame(f, base, uintptr(pc)|tagCross, ref)
	m.enterInstance(inst)
	return TrapNone, nil
}

// sameType compares a function's type with the one that a signature key of the current module stands for.
func (s *Store) sameType(ref, key uint64) bool {
	return s.typeOf(ref).Equal(&s.m.inst.mod.w.Types[uint32(key)])
}

// slowReturn returns from a frame whose caller is in another instance, or is the host.
func (s *Store) slowReturn() {
	m := &s.m
	if word(m.header, 0)&tagMask == tagCross {
		m.popCross(s)
		return
	}
	t := s.typeOf(m.cur)
	s.results = readValues(s.results[:0], t.Results, m.fp)
	s.idle()
}

// readValues takes typed values out of consecutive slots.
func readValues(dst []Value, types []wasm.ValType, p unsafe.Pointer) []Value {
	for _, t := range types {
		var hi uint64
		if t == wasm.V128 {
			hi = word(p, 8)
		}
		dst = append(dst, valueOf(t, word(p, 0), hi))
		p = unsafe.Add(p, t.Slots()*8)
	}
	return dst
}

// idle is the state between calls.
func (s *Store) idle() {
	s.state = stateIdle
	s.m.cur, s.m.pc, s.m.inst = 0, nil, nil
	s.host = hostWait{args: s.host.args[:0], writes: s.host.writes[:0]}
}

// trapped ends the program.
func (s *Store) trapped(code TrapCode, err error) Stop {
	t := &Trap{Code: code, Err: err}
	var own *Trap
	if code == TrapHost && errors.As(err, &own) && own.Code != TrapHost {
		t.Code, t.Err = own.Code, own.Err
	}
	t.Trace, t.Depth = s.trace(maxTrace)
	s.queue = nil
	s.idle()
	return Stop{Reason: Trapped, Trap: t}
}
