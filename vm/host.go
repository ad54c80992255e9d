package vm

import (
	"fmt"

	"github.com/kitwork/kwnode/vm/wasm"
)

// HostFunc is a function that the host gives to a program.
type HostFunc struct {
	Type wasm.FuncType

	// Gas is what a call costs beyond the call instruction, from its arguments and nothing else. It is charged before Fn
	// runs; if less is left, the program stops before the call and can go on when it is given more. nil costs nothing.
	Gas func(args []Value) uint64

	// Fn does the work. It fills h.Results, which are preset to zeros of the right types, and returns nil. It returns
	// ErrPending if the answer comes later: Run then stops with HostCall, and Resume supplies results and writes. Any
	// other error ends the program with TrapHost, unless it is a *Trap, whose code is used.
	// Fn must not call the store's methods that run, freeze or close it.
	Fn func(h *HostCall) error
}

// HostCall is one call of a host function. It is valid until Fn returns; a Store passes the same one again and again.
type HostCall struct {
	Args    []Value
	Results []Value

	s      *Store
	inst   *Instance // the caller's, whose memory 0 the call sees
	writes []Range
}

// Range is a piece of a linear memory.
type Range struct{ Dst, Cap uint32 }

// Write is the answer of a pending call into a range that was declared by CheckWrite: up to Cap bytes at Dst.
type Write struct {
	Dst  uint32
	Data []byte
}

// PendingCall describes the host call that a store waits for.
type PendingCall struct {
	Module, Name string
	Args         []Value
	Writes       []Range
}

// Store is the calling store, for its clock, random numbers and gas.
func (h *HostCall) Store() *Store { return h.s }

// Instance is the calling instance.
func (h *HostCall) Instance() *Instance { return h.inst }

// Read returns n bytes of the caller's memory at ptr: a view, valid until Fn returns, not to be written to.
// It fails with a *Trap (TrapMemory) if the range isn't inside the memory.
func (h *HostCall) Read(ptr, n uint32) ([]byte, error) {
	b := h.inst.memBytes()
	if uint64(ptr)+uint64(n) > uint64(len(b)) {
		return nil, &Trap{Code: TrapMemory}
	}
	return b[ptr : uint64(ptr)+uint64(n) : uint64(ptr)+uint64(n)], nil
}

// Write copies b into the caller's memory at ptr, or fails as Read does and writes nothing.
func (h *HostCall) Write(ptr uint32, b []byte) error {
	m := h.inst.memBytes()
	if uint64(ptr)+uint64(len(b)) > uint64(len(m)) {
		return &Trap{Code: TrapMemory}
	}
	copy(m[ptr:], b)
	return nil
}

// maxPendingWrites bounds the ranges of one pending call; none of the host interfaces needs more than two.
const maxPendingWrites = 16

// CheckWrite checks that dst..dst+cap is inside the caller's memory, and if the call becomes pending declares it as a
// range that Resume may write to. A pending call can write nowhere else.
func (h *HostCall) CheckWrite(dst, capacity uint32) error {
	if uint64(dst)+uint64(capacity) > uint64(len(h.inst.memBytes())) {
		return &Trap{Code: TrapMemory}
	}
	if len(h.writes) == maxPendingWrites {
		return fmt.Errorf("host call declares more than %d ranges to write", maxPendingWrites)
	}
	h.writes = append(h.writes, Range{dst, capacity})
	return nil
}

// Extern is something that can be imported: *HostFunc, ExportedFunc, *Memory, *Table or *Global.
type Extern interface{ extern() }

func (*HostFunc) extern()    {}
func (ExportedFunc) extern() {}
func (*Memory) extern()      {}
func (*Table) extern()       {}
func (*Global) extern()      {}

// Resolver finds imports. It returns nil for a name that it doesn't have. The names of host functions are kept in
// continuations, so the resolver given to Thaw must know them too.
type Resolver interface {
	Resolve(module, name string) Extern
}

// Imports is a Resolver made of a map from module and name.
type Imports map[[2]string]Extern

// Resolve looks the name up.
func (m Imports) Resolve(module, name string) Extern { return m[[2]string{module, name}] }

// Resolvers asks several resolvers in order.
type Resolvers []Resolver

// Resolve returns the first answer.
func (rs Resolvers) Resolve(module, name string) Extern {
	for _, r := range rs {
		if e := r.Resolve(module, name); e != nil {
			return e
		}
	}
	return nil
}
