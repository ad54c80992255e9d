package vm

import (
	"runtime"
	"sync"
	"unsafe"

	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Compiler makes machine code out of register code. What it makes computes, charges, traps and stops exactly as the
// interpreter does, so a program can't tell in which tier it runs. Package jit has one.
type Compiler interface {
	// Module prepares for the code of a module. lowered gives a function's register code if it has some; a compiler may
	// put that in the place of calls.
	Module(m *wasm.Module, lowered func(fn uint32) *code.Func) NativeModule
	// Stack lends a stack to run compiled code on, and Return takes it back.
	Stack() (NativeStack, error)
	Return(NativeStack)
}

// NativeModule is the compiled code of one module, shared by all stores.
type NativeModule interface {
	// Compile gives a function machine code, once.
	Compile(f *code.Func) error
	// Request has it compiled soon, since hot is, which is itself or a function beside it, and returns at once. It may be
	// forgotten. asked is false if it was requested before, or is not going to have code.
	Request(f *code.Func, hot uint32) (asked bool)
	// Entries points to one code address for each function, for calls from compiled code.
	Entries() unsafe.Pointer
	// Lookup finds the code to enter for a word of a function's register code: a block's Charge, or behind a call.
	Lookup(fn, pc uint32) (enter, target uintptr, ok bool)
}

// NativeStack runs compiled code.
type NativeStack interface {
	Run(code uintptr, machine unsafe.Pointer)
	Top() uintptr // the address that the first word is pushed below
}

// nativeReserve is what stands on a native stack before the entered function's first call: two words of Run's, its
// return address, and the entered function's.
const nativeReserve = 4 * 8

// NativeCalls is how many calls compiled code nests before it comes back to drop its return addresses. A program's own
// limit is Limits.Depth.
const NativeCalls = 4096

// Tier says how a store executes.
type Tier uint8

const (
	TierAuto   Tier = iota // interpret, and compile what gets hot
	TierInterp             // interpret
	TierJIT                // compile every function before it first runs
)

// native is the part of a machine that compiled code needs and the interpreter doesn't.
type nativeState struct {
	entries unsafe.Pointer
	target  uintptr
	near    uint64  // how many addresses have code.NearBytes of memory behind them
	limit   uintptr // the lowest native stack pointer at which a function may begin
	base    uintptr // the native stack pointer to leave with
	leave   uintptr // the one that it left from
	exit    uint32  // code.NativeExit, and the trap code above it
}

// NativeLayout tells a compiler where compiled code finds the machine's fields.
func NativeLayout() code.Layout {
	var m machine
	var t Table
	var f code.Func
	at := func(off uintptr) int32 { return int32(off) }
	return code.Layout{
		PC: at(unsafe.Offsetof(m.pc)), FP: at(unsafe.Offsetof(m.fp)), Gas: at(unsafe.Offsetof(m.gas)),
		Cur: at(unsafe.Offsetof(m.cur)), Mem: at(unsafe.Offsetof(m.mem)), MemLen: at(unsafe.Offsetof(m.memLen)),
		Funcs: at(unsafe.Offsetof(m.funcs)), Globals: at(unsafe.Offsetof(m.globals)), Tables: at(unsafe.Offsetof(m.tables)),
		StackEnd: at(unsafe.Offsetof(m.stackEnd)), Header: at(unsafe.Offsetof(m.header)),
		Near:    at(unsafe.Offsetof(m.native) + unsafe.Offsetof(m.native.near)),
		Limit:   at(unsafe.Offsetof(m.native) + unsafe.Offsetof(m.native.limit)),
		Leave:   at(unsafe.Offsetof(m.native) + unsafe.Offsetof(m.native.leave)),
		Entries: at(unsafe.Offsetof(m.native) + unsafe.Offsetof(m.native.entries)),
		Target:  at(unsafe.Offsetof(m.native) + unsafe.Offsetof(m.native.target)),
		Base:    at(unsafe.Offsetof(m.native) + unsafe.Offsetof(m.native.base)),
		Exit:    at(unsafe.Offsetof(m.native) + unsafe.Offsetof(m.native.exit)),

		TableBase: at(unsafe.Offsetof(t.base)), TableSize: at(unsafe.Offsetof(t.size)),
		FuncSig: at(unsafe.Offsetof(f.Sig)),
	}
}

// execute runs the machine in whichever tier has code for where it stands, until the loop that called it has something
// to decide.
func (s *Store) execute() exit {
	if s.compiler == nil || s.tier == TierInterp {
		return s.m.interpret()
	}
	for first := true; ; first = false {
		var e exit
		var again bool
		if n, enter, target, ok := s.enterNative(first); ok {
			e, again = s.runNative(n, enter, target)
		} else {
			e, again = s.tick()
		}
		if !again {
			return e
		}
	}
}

const (
	// hotStarts is how often a function must be found interpreted where Run or the host goes on before it is compiled.
	// All stores of a module count together: a call in each of many is as hot as many calls in one. A function in which a
	// tick ends, or which compiled code calls, is hot at once.
	hotStarts = 3
	// tickGas is the gas of a tick, about 100 µs of interpretation.
	tickGas = 1 << 16
	// hotCallers and hotCallees are how far from a hot function others are compiled with it: the callers that are on
	// the stack, in which its loop may be, and what it calls.
	hotCallers = 2
	hotCallees = 1
)

// tick interprets until the tick ends. Then compiled code may go on, with what is left of the slice: otherwise one call of
// a function without code would cost the caller its own for the rest of it. again says that the machine can go on.
func (s *Store) tick() (e exit, again bool) {
	m := &s.m
	if s.ticked >= tickGas {
		s.ticked = 0
	}
	held := max(0, m.gas-(tickGas-s.ticked))
	m.gas -= held
	before := m.gas
	e = m.interpret()
	s.ticked += before - m.gas
	short := e == exitGas && uint64(immAt(m.pc))+m.need > uint64(m.gas)
	m.gas += held
	if !short || held == 0 {
		return e, false
	}
	s.ticked = tickGas
	if uint64(immAt(m.pc))+m.need <= tickGas {
		m.need = 0
		return e, true
	}
	m.need = 0
	return m.interpret(), false // a step that costs more than a tick
}

// enterNative finds compiled code for where the machine stands. A function that is found interpreted there is hot, at once
// or, if execute has only begun, after a few times. That costs running code nothing, unlike counters.
func (s *Store) enterNative(first bool) (n *nativeOf, enter, target uintptr, ok bool) {
	m := &s.m
	f := m.fn()
	n = m.inst.mod.nativeOf(s.compiler)
	pc := uint32((uintptr(m.pc) - uintptr(unsafe.Pointer(unsafe.SliceData(f.Ins)))) / 8)
	enter, target, ok = n.code.Lookup(f.Index, pc)
	switch {
	case ok:
	case s.tier == TierJIT:
		s.lowerCallees(f)
		if n.code.Compile(f) == nil {
			enter, target, ok = n.code.Lookup(f.Index, pc)
		}
	case m.gas > 0 && code.Plain(opAt(m.pc)) == code.Charge && (!first || n.started(f.Index)):
		s.heat(n.code, f)
	}
	return n, enter, target, ok
}

// lowerCallees makes the register code of the small functions that a function calls, as if they had been called before.
func (s *Store) lowerCallees(f *code.Func) {
	const small = 64 // bytes
	for _, c := range f.Calls {
		if code.Plain(code.Op(f.Ins[c.PC])) != code.Call {
			continue
		}
		fn := uint32(f.Ins[c.PC+1])
		if _, body := s.m.inst.mod.w.Func(fn); body.End-body.Off <= small {
			_, _ = s.lower(s.m.inst, fn) // without it the call is made
		}
	}
}

// heat asks for a hot function, and for those around it.
func (s *Store) heat(nm NativeModule, f *code.Func) {
	s.request(nm, f, f.Index, hotCallees)
	left := hotCallers
	s.walk(func(fr frame) bool {
		if fr.ref>>32 == s.m.cur>>32 {
			nm.Request(fr.fn, f.Index)
		}
		left--
		return left >= 0
	})
}

// request asks for a function and those that it calls and that were called before. They are looked through once: a
// function may have a million calls, and get no code however often it is found hot.
func (s *Store) request(nm NativeModule, f *code.Func, hot uint32, depth int) {
	if !nm.Request(f, hot) || depth == 0 {
		return
	}
	for _, c := range f.Calls {
		if code.Op(f.Ins[c.PC]) != code.Call {
			continue
		}
		if callee := s.m.inst.mod.lowered(uint32(f.Ins[c.PC+1])); callee != nil && callee != f {
			s.request(nm, callee, hot, depth-1)
		}
	}
}

// nativeOf is the module's place in the compiler.
func (m *Module) nativeOf(c Compiler) *nativeOf {
	if n := m.native.Load(); n != nil && n.by == c {
		return n
	}
	n := &nativeOf{by: c, code: c.Module(m.w, m.lowered), starts: map[uint32]int{}}
	if !m.native.CompareAndSwap(nil, n) {
		if won := m.native.Load(); won.by == c {
			return won
		}
		m.native.Store(n)
	}
	return n
}

// nativeOf is a module's code in one compiler.
type nativeOf struct {
	by   Compiler
	code NativeModule

	mu     sync.Mutex     // guards the following
	starts map[uint32]int // how often each function was found interpreted where Run or the host goes on
}

// started counts that a function was found so, and reports whether it is hot.
func (n *nativeOf) started(fn uint32) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.starts[fn]++
	return n.starts[fn] >= hotStarts
}

// runNative runs compiled code of n and translates why it came back. again says that the machine can simply go on.
func (s *Store) runNative(n *nativeOf, enter, target uintptr) (e exit, again bool) {
	m := &s.m
	if s.nativeStack == nil {
		stack, err := s.compiler.Stack()
		if err != nil {
			return m.interpret(), false // no memory for a stack: the other tier needs none
		}
		s.nativeStack = stack
	}
	m.native.entries = n.code.Entries()
	m.native.target = target
	m.native.near = m.memLen - min(m.memLen, code.NearBytes-1) // compiled code leaves before memory grows
	m.native.limit = s.nativeStack.Top() - nativeReserve - 8*uintptr(min(m.depth, NativeCalls))
	s.nativeStack.Run(enter, unsafe.Pointer(m))
	runtime.KeepAlive(n) // code goes with it, and a store with another compiler may have taken its place in the module
	// One word on the native stack is one call: the entered function's own return address, and those of the calls that
	// it made. A frame that returned to Go has left none.
	m.depth -= int64(m.native.base-m.native.leave)/8 - 1
	switch code.NativeExit(m.native.exit) {
	case code.ExitTrap:
		m.trap = TrapCode(m.native.exit >> 8)
		return exitTrap, false
	case code.ExitCall:
		return s.nativeCall()
	case code.ExitReturn:
		m.depth-- // slowReturn counts the return
		return exitReturn, false
	case code.ExitResume:
		return 0, true
	case code.ExitRare:
		e = m.rare()
		return e, e == next
	case code.ExitStep:
		return s.step()
	}
	// Compiled code pays for several blocks at once. What isn't enough for that may be enough for one.
	return m.interpret(), false
}

// returnNative gives the native stack back, on which nothing is kept.
func (s *Store) returnNative() {
	if s.nativeStack != nil {
		s.compiler.Return(s.nativeStack)
		s.nativeStack = nil
	}
}

// step interprets up to the next block.
func (s *Store) step() (exit, bool) {
	m := &s.m
	gas := m.gas
	m.gas = 0
	e := m.interpret()
	m.gas += gas
	return e, e == exitGas && m.need == 0
}

// nativeCall makes the call at m.pc if it stays inside the instance; others are the loop's to make.
func (s *Store) nativeCall() (exit, bool) {
	m := &s.m
	var ref uint64
	switch opAt(m.pc) {
	case code.CallIndir:
		t := m.inst.tables[cAt(m.pc)]
		ref = t.elems[u32(m.fp, bAt(m.pc))] // compiled code checked the index
		if ref>>32 != m.cur>>32 || !s.sameType(ref, word(m.pc, 8)) {
			return exitCall, false
		}
	case code.Call:
		ref = m.inst.funcRef(uint32(word(m.pc, 8)))
	default:
		return exitCall, false
	}
	f, err := s.lower(m.inst, uint32(ref))
	if err != nil {
		m.err = err
		return exitError, false
	}
	base := unsafe.Add(m.fp, int(aAt(m.pc))*8)
	if uintptr(base)+uintptr(f.Frame)*8 > m.stackEnd || m.depth <= 0 {
		m.trap = TrapStack
		return exitTrap, false
	}
	m.pushFrame(f, base, uintptr(m.pc), ref)
	return 0, true
}
