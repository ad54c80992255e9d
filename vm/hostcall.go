package vm

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/kitwork/kwnode/vm/wasm"
)

// waitForHost makes ready to enter a host function whose arguments begin at base.
func (s *Store) waitForHost(ref uint64, base unsafe.Pointer) {
	fn := s.hosts[uint32(ref)].fn
	s.host.ref = ref
	s.host.args = readValues(s.host.args[:0], fn.Type.Params, base)
	s.host.writes = s.host.writes[:0]
	s.host.need = 0
	if fn.Gas != nil {
		s.host.need = fn.Gas(s.host.args)
	}
	s.state = stateEntry
}

// hostEntry charges for the host call in s.host and makes it. The store's state tells what follows.
func (r *runner) hostEntry() (Stop, bool, error) {
	s := r.s
	m := &s.m
	if need := s.host.need; need > uint64(m.gas) {
		if !r.grant(need) {
			return Stop{Reason: OutOfGas, Need: need}, true, nil
		}
		if r.poll() {
			return Stop{Reason: Interrupted}, true, nil
		}
	}
	fn := s.hosts[uint32(s.host.ref)].fn
	h := &s.hc
	h.s, h.inst, h.Args = s, m.inst, s.host.args
	h.Results, h.writes = h.Results[:0], s.host.writes[:0]
	for _, t := range fn.Type.Results {
		h.Results = append(h.Results, Value{Type: t})
	}
	m.gas -= int64(s.host.need)
	s.account()
	s.state = statePending
	err := fn.Fn(h)
	s.host.writes = h.writes
	switch {
	case err == nil:
		if err := s.answer(h.Results); err != nil {
			return s.trapped(TrapHost, err), true, nil
		}
		return Stop{}, false, nil
	case errors.Is(err, ErrPending):
		return Stop{Reason: Waiting}, true, nil
	}
	return s.trapped(TrapHost, err), true, nil
}

// answer writes a host call's results and goes on behind the call.
func (s *Store) answer(results []Value) error {
	m := &s.m
	t := &s.hosts[uint32(s.host.ref)].fn.Type
	if len(results) != len(t.Results) {
		return fmt.Errorf("vm: the host function returns %d results, %d were given", len(t.Results), len(results))
	}
	var lo, hi [maxResults]uint64
	for i, v := range results {
		if v.Type != t.Results[i] {
			return fmt.Errorf("vm: result %d of the host function is %v, %v was given", i, t.Results[i], v.Type)
		}
		var err error
		if lo[i], hi[i], err = v.slots(); err != nil {
			return err
		}
		if v.Type == wasm.FuncRef && !s.validRef(lo[i]) {
			return fmt.Errorf("vm: result %d of the host function refers to no function of the store", i)
		}
	}
	if m.pc == nil { // called by Start, not by a program
		s.results = append(s.results[:0], results...)
		s.idle()
		return nil
	}
	p := unsafe.Add(m.fp, int(aAt(m.pc))*8)
	for i, v := range results {
		*(*uint64)(p) = lo[i]
		if v.Type == wasm.V128 {
			*(*uint64)(unsafe.Add(p, 8)) = hi[i]
		}
		p = unsafe.Add(p, v.Type.Slots()*8)
	}
	m.pc = unsafe.Add(m.pc, 16)
	s.state = stateRunning
	s.m.loadMemory()
	return nil
}

// maxResults is the format's limit on a function's results.
const maxResults = wasm.MaxArity

// Pending describes the host call that the store waits for; ok is false if it waits for none.
func (s *Store) Pending() (call PendingCall, ok bool) {
	if s.state != statePending {
		return call, false
	}
	h := &s.hosts[uint32(s.host.ref)]
	return PendingCall{h.module, h.name, s.host.args, s.host.writes}, true
}

// Resume answers the pending host call: the writes go to ranges that CheckWrite declared, the results to the program.
// The next Run goes on. Nothing changes if it fails.
func (s *Store) Resume(results []Value, writes ...Write) error {
	if s.state == stateClosed {
		return ErrClosed
	}
	if s.state != statePending {
		return fmt.Errorf("%w: resume without a pending host call", ErrBusy)
	}
	for _, w := range writes {
		if !s.mayWrite(w) {
			return fmt.Errorf("vm: %d bytes at %#x are outside of what the pending call declared", len(w.Data), w.Dst)
		}
	}
	if err := s.attach(); err != nil {
		return err
	}
	defer s.detach()
	inst := s.m.inst
	if err := s.answer(results); err != nil {
		return err
	}
	for _, w := range writes {
		copy(inst.memBytes()[w.Dst:], w.Data)
	}
	return nil
}

func (s *Store) mayWrite(w Write) bool {
	for _, r := range s.host.writes {
		if w.Dst >= r.Dst && uint64(w.Dst)+uint64(len(w.Data)) <= uint64(r.Dst)+uint64(r.Cap) {
			return true
		}
	}
	return false
}
