package vm

import (
	"fmt"
	"sync/atomic"

	"github.com/kitwork/kwnode/vm/wasm"
)

// Store is everything that runs and stops together: instances linked by imports and references, one stack of frames,
// one gas account, a virtual clock and a stream of random numbers. One goroutine at a time may use it; only Interrupt
// may come from another.
type Store struct {
	limits    Limits
	budget    Budget
	taken     int64 // from the budget, given back by Close
	instances []*Instance
	hosts     []hostFunc
	memories  []*Memory
	tables    []*Table

	m       machine
	granted int64  // m.gas at the last account
	used    uint64 // gas, up to the last account
	clock   int64  // nanoseconds at the start and slept since; gas comes on top
	seed    [32]byte
	drawn   uint64 // bytes of the random stream used

	state   state
	queue   []queuedCall // calls to begin, in order
	host    hostWait     // for hostEntry and hostPending
	results []Value      // of the last call that returned
	stack   stack

	hc        HostCall // reused for every host call
	interrupt atomic.Bool

	compiler    Compiler
	tier        Tier
	nativeStack NativeStack
	ticked      int64 // gas interpreted since the tick began
}

// state says what Run would do.
type state uint8

const (
	stateIdle    state = iota // begin the next queued call
	stateRunning              // go on at m.pc
	stateEntry                // charge and make the host call in Store.host
	statePending              // nothing: Resume must come first
	stateClosed
)

// queuedCall is a call that hasn't begun.
type queuedCall struct {
	ref  uint64
	args []uint64
}

// hostFunc is an imported host function. Its names identify it in continuations.
type hostFunc struct {
	module, name string
	fn           *HostFunc
}

// hostWait is a host call that waits for gas or for its answer.
type hostWait struct {
	ref    uint64
	need   uint64 // gas, for stateEntry
	args   []Value
	writes []Range
}

// Instance is a module in a store.
type Instance struct {
	s       *Store
	index   int
	mod     *Module
	funcs   []uint64 // references that the function imports were resolved to
	mems    []*Memory
	tables  []*Table
	globals []uint64  // own globals, a word each, then the upper halves of vectors
	exts    []*Global // every global of the index space, made when needed
	dropped bitset    // data segments, then element segments
}

// Module is the instance's code.
func (i *Instance) Module() *Module { return i.mod }

// Index is the instance's number in its store, in order of instantiation.
func (i *Instance) Index() int { return i.index }

func (i *Instance) memBytes() []byte {
	if i == nil || len(i.mems) == 0 { // nil: a host function that the host itself started
		return nil
	}
	return i.mems[0].bytes()
}

// ExportedFunc is a function of an instance, as an import for another instance of the store.
type ExportedFunc struct {
	inst *Instance
	ref  uint64
}

// Export returns what the instance exports under a name: an ExportedFunc, *Memory, *Table or *Global; nil if nothing.
func (i *Instance) Export(name string) Extern {
	at, ok := i.mod.names[name]
	if !ok {
		return nil
	}
	e := i.mod.w.Exports[at]
	switch e.Kind {
	case wasm.ExternFunc:
		return ExportedFunc{i, i.funcRef(e.Index)}
	case wasm.ExternMem:
		return i.mems[e.Index]
	case wasm.ExternTable:
		return i.tables[e.Index]
	}
	return i.global(e.Index)
}

// Exports makes the instance's exports importable under a module name.
func (i *Instance) Exports(module string) Resolver { return exportsOf{module, i} }

type exportsOf struct {
	module string
	inst   *Instance
}

func (e exportsOf) Resolve(module, name string) Extern {
	if module != e.module {
		return nil
	}
	return e.inst.Export(name)
}

// Memory is the instance's memory 0, nil if it has none.
func (i *Instance) Memory() *Memory {
	if len(i.mems) == 0 {
		return nil
	}
	return i.mems[0]
}

// funcRef is the reference to a function of the instance's index space: imports refer to what they were resolved to.
func (i *Instance) funcRef(fn uint32) uint64 {
	if fn < i.mod.w.NumImportedFuncs {
		return i.funcs[fn]
	}
	return uint64(i.index+1)<<32 | uint64(fn)
}

// global returns a global of the index space.
func (i *Instance) global(n uint32) *Global {
	g := i.exts[n]
	if g == nil {
		w := i.mod.w
		own := n - w.NumImportedGlobals
		g = &Global{typ: w.Globals[n].GlobalType, lo: &i.globals[own], owner: i.index, index: int(n)}
		if g.typ.Type == wasm.V128 {
			g.hi = &i.globals[len(w.Globals)-int(w.NumImportedGlobals)+i.vectorsBefore(n)]
		}
		i.exts[n] = g
	}
	return g
}

func (i *Instance) vectorsBefore(n uint32) (c int) {
	w := i.mod.w
	for _, g := range w.Globals[w.NumImportedGlobals:n] {
		if g.Type == wasm.V128 {
			c++
		}
	}
	return c
}

// NewStore makes an empty store.
func NewStore(c Config) *Store {
	return &Store{limits: c.Limits.withDefaults(), budget: c.Budget, clock: c.Clock, seed: c.Seed, compiler: c.Compiler, tier: c.Tier}
}

// Limits are the store's limits, defaults filled in.
func (s *Store) Limits() Limits { return s.limits }

// Instances lists the store's instances in the order of instantiation.
func (s *Store) Instances() []*Instance { return s.instances }

// Gas is what the store has used in all its life, before and after any freezing, instantiation included.
func (s *Store) Gas() uint64 { return s.used + uint64(s.granted-s.m.gas) }

// account brings used up to date.
func (s *Store) account() {
	s.used += uint64(s.granted - s.m.gas)
	s.granted = s.m.gas
}

// Clock is the virtual time in nanoseconds: the start, what was slept, and one nanosecond for each unit of gas, so that
// a program that waits in a loop sees time pass.
func (s *Store) Clock() int64 { return s.clock + int64(s.Gas()) }

// Sleep advances the virtual clock.
func (s *Store) Sleep(ns int64) {
	if ns > 0 {
		s.clock += ns
	}
}

// Interrupt makes Run stop at the next slice, or at once if it is called before. Any goroutine may call it.
func (s *Store) Interrupt() { s.interrupt.Store(true) }

// Close gives back all memory. The store and its instances can't be used any more.
func (s *Store) Close() {
	if s.state == stateClosed {
		return
	}
	s.state = stateClosed
	s.stack.release()
	for _, m := range s.memories {
		m.mem.free()
		m.base, m.size = nil, 0
	}
	s.m = machine{}
	s.queue, s.host, s.results = nil, hostWait{}, nil
	if s.budget != nil && s.taken > 0 {
		s.budget.Give(s.taken)
	}
	s.taken = 0
}

// take asks the budget for memory.
func (s *Store) take(n int64) error {
	if n == 0 {
		return nil
	}
	if s.budget != nil {
		if err := s.budget.Take(n); err != nil {
			return fmt.Errorf("%w: %d bytes refused: %w", ErrBudget, n, err)
		}
	}
	s.taken += n
	return nil
}

func (s *Store) give(n int64) {
	if n == 0 {
		return
	}
	s.taken -= n
	if s.budget != nil {
		s.budget.Give(n)
	}
}

// bitset is a set of small numbers.
type bitset []uint64

func (b bitset) has(i uint32) bool {
	return int(i/64) < len(b) && b[i/64]>>(i%64)&1 != 0
}

func (b *bitset) add(i uint32) {
	for int(i/64) >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

// addRun adds from and what follows, up to but without to.
func (b *bitset) addRun(from, to uint32) {
	if from == to {
		return
	}
	if n := int((to-1)/64) + 1; n > len(*b) {
		*b = append(*b, make(bitset, n-len(*b))...)
	}
	for w := from / 64; w <= (to-1)/64; w++ {
		bits := ^uint64(0)
		if w == from/64 {
			bits <<= from % 64
		}
		if w == (to-1)/64 {
			bits &= ^uint64(0) >> (63 - (to-1)%64)
		}
		(*b)[w] |= bits
	}
}
