package jit

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/jit/internal/native"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// ErrUnsupported: this machine can't run compiled code.
var ErrUnsupported = errors.New("jit: no compiled tier on this machine, use the interpreter")

// Supported reports whether this machine can run compiled code.
func Supported() bool { return native.Supported() }

// DefaultMemory bounds the code of all modules together.
const DefaultMemory = 64 << 20

// Compiler holds the compiled code of any number of modules. It implements
// vm.Compiler and is safe for concurrent use.
type Compiler struct {
	mem    *native.Memory
	share  int // bytes of it that one module's code may take
	lay    code.Layout
	stub   *native.Code // every function's entry until it has code
	born   time.Time
	stacks sync.Pool // of *native.Stack

	compiled, bytes, nanos atomic.Int64

	observe func(Event)
	seen    sync.Mutex // one Event at a time

	full atomic.Bool // a function didn't fit, and nothing was freed since

	mu      sync.Mutex // guards the following
	queue   []request
	working bool
	closed  bool
	idle    *sync.Cond // working became false
}

// request is a function to compile in the background.
type request struct {
	n   *module
	f   *code.Func
	hot uint32
}

// maxQueue bounds what waits to be compiled. What doesn't fit is asked for
// again if it stays hot.
const maxQueue = 256

// Event is a function that was compiled, or couldn't be.
type Event struct {
	Module      [32]byte
	Function    uint32
	Name        string
	Hot         uint32        // the function that was found hot: this one, or one beside it
	At          time.Duration // since New
	Took        time.Duration
	SourceBytes int    // of WebAssembly
	CodeBytes   int    // of machine code
	Inlined     []Call // those in whose place the callee's code stands
	Kept        int    // values and locals that loops have in registers of their own
	Unchecked   int    // loops with a copy that needs no bounds checks
	Err         error  // why the function stays interpreted
}

// Call is a call by what it calls.
type Call struct {
	Function uint32
	Name     string
}

// Observe has fn called for each function, one at a time. It is set before the
// compiler is used and must not call the compiler.
func (c *Compiler) Observe(fn func(Event)) { c.observe = fn }

// New makes a compiler whose code takes at most bytes of memory, half of that for any one module: none can keep the
// others from being compiled.
func New(bytes int) (*Compiler, error) {
	if !Supported() {
		return nil, ErrUnsupported
	}
	mem, err := native.NewMemory(bytes)
	if err != nil {
		return nil, err
	}
	c := &Compiler{mem: mem, share: bytes / 2, lay: vm.NativeLayout(), born: time.Now()}
	c.idle = sync.NewCond(&c.mu)
	if c.stub, err = mem.Load(noCode(&c.lay)); err != nil {
		_ = mem.Close()
		return nil, err
	}
	return c, nil
}

// Close gives the code's memory back. No store that uses the compiler may run
// any more.
func (c *Compiler) Close() error {
	c.mu.Lock()
	c.closed, c.queue = true, nil
	for c.working {
		c.idle.Wait()
	}
	c.mu.Unlock()
	return c.mem.Close()
}

// Stats is what a compiler has done.
type Stats struct {
	Functions   int64 // compiled since New
	SourceBytes int64 // of WebAssembly in them
	Nanoseconds int64 // spent compiling
	CodeBytes   int   // held now, in whole pages
}

// Stats returns what the compiler has done.
func (c *Compiler) Stats() Stats {
	return Stats{c.compiled.Load(), c.bytes.Load(), c.nanos.Load(), c.mem.Used()}
}

// Module prepares for a module's code.
func (c *Compiler) Module(m *wasm.Module, lowered func(fn uint32) *code.Func) vm.NativeModule {
	n := &module{c: c, m: m, lowered: lowered, entries: make([]uintptr, len(m.FuncTypes)), funcs: make([]atomic.Pointer[function], len(m.FuncTypes))}
	for i := range n.entries {
		n.entries[i] = c.stub.Addr()
	}
	owned := &codes{full: &c.full}
	n.owned = owned
	runtime.AddCleanup(n, (*codes).free, owned)
	return n
}

// codes is the machine code of one module, which goes with it.
type codes struct {
	mu    sync.Mutex // guards all and bytes
	all   []*native.Code
	bytes int          // in whole pages
	full  *atomic.Bool // the compiler's
}

// load makes code executable, if the module's doesn't take more than its share then.
func (o *codes) load(mem *native.Memory, code []byte, share int) (*native.Code, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bytes+len(code) > share {
		return nil, fmt.Errorf("jit: the module's code takes %d bytes, and %d more are beyond its share of %d", o.bytes, len(code), share)
	}
	c, err := mem.Load(code)
	if err != nil {
		return nil, err
	}
	o.all, o.bytes = append(o.all, c), o.bytes+c.Size()
	return c, nil
}

func (o *codes) free() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.all {
		c.Free()
	}
	o.all = nil
	o.full.Store(false)
}

// module is the compiled code of one module.
type module struct {
	c     *Compiler
	m     *wasm.Module
	owned *codes
	// lowered gives a function's register code if it has some.
	lowered func(fn uint32) *code.Func
	// entries is read by compiled code; its words change once, atomically.
	entries []uintptr
	funcs   []atomic.Pointer[function]
	waiting sync.Map // function index: in the queue
}

// function is a compiled function, or the reason why it has no code.
type function struct {
	addr    uintptr
	enter   uintptr
	entries []entry
	err     error
}

// Compile gives a function machine code. Doing it again costs nothing. A
// function that can't be compiled stays interpreted.
func (n *module) Compile(f *code.Func) error { return n.give(f, f.Index) }

func (n *module) give(f *code.Func, hot uint32) error {
	if done := n.funcs[f.Index].Load(); done != nil {
		return done.err
	}
	if n.c.full.Load() {
		return native.ErrNoMemory
	}
	fn, err := n.compile(f, hot)
	if err != nil {
		if errors.Is(err, native.ErrNoMemory) {
			n.c.full.Store(true)
			return err // there may be some later
		}
		fn = &function{err: err}
	}
	if !n.funcs[f.Index].CompareAndSwap(nil, fn) {
		return n.funcs[f.Index].Load().err
	}
	if err == nil {
		atomic.StoreUintptr(&n.entries[f.Index], fn.addr) // the prologue is the first code
	}
	return err
}

func (n *module) compile(f *code.Func, hot uint32) (*function, error) {
	start := time.Now()
	out, err := safely(&n.c.lay, n.m, f, n.lowered)
	if err != nil {
		n.report(f, hot, start, nil, err)
		return nil, err
	}
	loaded, err := n.owned.load(n.c.mem, out.code, n.c.share)
	if err != nil {
		if !errors.Is(err, native.ErrNoMemory) {
			n.report(f, hot, start, nil, err)
		}
		return nil, err
	}
	n.report(f, hot, start, out, nil)
	return &function{addr: loaded.Addr(), enter: loaded.Addr() + uintptr(out.enter), entries: out.entries}, nil
}

// safely turns a panic of the compiler, which is a bug of ours, into a function
// that stays interpreted: what a module contains must not end the process.
// The tests fail if it ever happens.
func safely(lay *code.Layout, m *wasm.Module, f *code.Func, lowered func(uint32) *code.Func) (out *output, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("jit: function %d: compiler bug: %v", f.Index, p)
		}
	}()
	return compile(lay, m, f, lowered)
}

// report counts a function.
func (n *module) report(f *code.Func, hot uint32, start time.Time, out *output, err error) {
	if out == nil {
		out = &output{}
	}
	took := time.Since(start)
	_, body := n.m.Func(f.Index)
	if err == nil {
		n.c.compiled.Add(1)
		n.c.bytes.Add(int64(body.End - body.Off))
		n.c.nanos.Add(took.Nanoseconds())
	}
	if n.c.observe == nil {
		return
	}
	n.c.seen.Lock()
	defer n.c.seen.Unlock()
	e := Event{
		Module: n.m.Hash(), Function: f.Index, Name: n.m.FuncName(f.Index), Hot: hot, At: start.Sub(n.c.born), Took: took,
		SourceBytes: int(body.End - body.Off), CodeBytes: len(out.code), Kept: out.kept, Unchecked: out.unchecked, Err: err,
	}
	for _, fn := range out.inlined {
		e.Inlined = append(e.Inlined, Call{fn, n.m.FuncName(fn)})
	}
	n.c.observe(e)
}

// Request has a function compiled in the background, if it isn't to be already and there is room in the queue.
func (n *module) Request(f *code.Func, hot uint32) (asked bool) {
	if n.funcs[f.Index].Load() != nil || n.c.full.Load() {
		return false
	}
	if _, there := n.waiting.LoadOrStore(f.Index, true); there {
		return false
	}
	c := n.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.queue) == maxQueue {
		n.waiting.Delete(f.Index)
		return false
	}
	c.queue = append(c.queue, request{n, f, hot})
	if !c.working {
		c.working = true
		go c.work()
	}
	return true
}

// work compiles what is in the queue, one function after the other, so that a
// compiler never takes more than one processor.
func (c *Compiler) work() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 {
		r := c.queue[0]
		c.queue = c.queue[1:]
		c.mu.Unlock()
		_ = r.n.give(r.f, r.hot) // it is reported, and the function stays interpreted
		r.n.waiting.Delete(r.f.Index)
		c.mu.Lock()
	}
	c.queue, c.working = nil, false
	c.idle.Broadcast()
}

// Entries is what compiled code calls through.
func (n *module) Entries() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(n.entries)) }

// Lookup finds where a function's code can be entered for the word pc.
func (n *module) Lookup(fn, pc uint32) (enter, target uintptr, ok bool) {
	f := n.funcs[fn].Load()
	if f == nil || f.err != nil {
		return 0, 0, false
	}
	i, ok := slices.BinarySearchFunc(f.entries, pc, func(e entry, pc uint32) int { return int(e.pc) - int(pc) })
	if !ok {
		return 0, 0, false
	}
	return f.enter, f.addr + uintptr(f.entries[i].at), true
}

// Stack lends a native stack.
func (c *Compiler) Stack() (vm.NativeStack, error) {
	if s, ok := c.stacks.Get().(*native.Stack); ok {
		return s, nil
	}
	s, err := native.NewStack(stackBytes)
	if err != nil {
		return nil, fmt.Errorf("jit: %w", err)
	}
	runtime.SetFinalizer(s, func(s *native.Stack) { _ = s.Close() })
	return s, nil
}

// Return takes a native stack back.
func (c *Compiler) Return(s vm.NativeStack) { c.stacks.Put(s) }

// stackBytes holds a return address for each call and a page to spare, which
// is far more than the cold paths push.
const stackBytes = vm.NativeCalls*8 + 4096
