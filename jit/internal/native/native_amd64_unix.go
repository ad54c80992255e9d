//go:build amd64 && (linux || darwin || freebsd)

package native

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// Supported reports whether this machine can run what the compiler emits:
// AVX, BMI1, BMI2, LZCNT and POPCNT, which every x86-64-v3 processor has.
func Supported() bool {
	return cpu.X86.HasAVX && cpu.X86.HasSSE41 && cpu.X86.HasBMI1 && cpu.X86.HasBMI2 && cpu.X86.HasPOPCNT && hasLZCNT()
}

// hasLZCNT asks CPUID leaf 80000001h, ECX bit 5, which x/sys/cpu leaves out.
// Without it the encoding means BSR and gives other results.
func hasLZCNT() bool

// enter calls code with ctx in RAX, on the stack that ends at stack. The code
// may use every register; it returns with RET and the stack pointer as it got
// it.
//
//go:noescape
func enter(code uintptr, ctx unsafe.Pointer, stack uintptr)

// Memory is a bounded piece of address space for code. A page of it is
// writable or executable, never both, and no page that holds running code is
// ever made writable again: every Code has pages of its own.
type Memory struct {
	mu    sync.Mutex // guards the fields below; Code.addr is fixed at birth
	space []byte
	page  int
	free  []extent // ascending, never adjacent
	used  int
}

type extent struct{ at, size int }

// NewMemory reserves most bytes of address space. Nothing is used before Load.
func NewMemory(most int) (*Memory, error) {
	page := os.Getpagesize()
	most = (most + page - 1) / page * page
	space, err := unix.Mmap(-1, 0, most, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("%w: reserve %d bytes: %v", ErrNoMemory, most, err)
	}
	return &Memory{space: space, page: page, free: []extent{{0, most}}}, nil
}

// Close gives the address space back. No Code of it may be running.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	space := m.space
	m.space, m.free = nil, nil
	if space == nil {
		return nil
	}
	return unix.Munmap(space)
}

// Used is the number of bytes that hold code, in whole pages.
func (m *Memory) Used() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// Code is executable.
type Code struct {
	m    *Memory
	at   int
	size int
	addr uintptr
}

// Load copies code into fresh pages and makes them executable.
func (m *Memory) Load(code []byte) (*Code, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	size := (len(code) + m.page - 1) / m.page * m.page
	at, ok := m.take(size)
	if !ok || size == 0 {
		return nil, fmt.Errorf("%w: %d bytes in use of %d", ErrNoMemory, m.used, len(m.space))
	}
	pages := m.space[at : at+size]
	if err := unix.Mprotect(pages, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		m.give(at, size)
		return nil, fmt.Errorf("%w: %v", ErrNoMemory, err)
	}
	n := copy(pages, code)
	for i := n; i < len(pages); i++ {
		pages[i] = 0xCC // INT3: running off the end is a bug that should be seen
	}
	if err := unix.Mprotect(pages, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		m.give(at, size)
		return nil, fmt.Errorf("%w: make pages executable: %v; the system may forbid it", ErrNoMemory, err)
	}
	m.used += size
	return &Code{m: m, at: at, size: size, addr: uintptr(unsafe.Pointer(&pages[0]))}, nil
}

// Addr is where the code begins.
func (c *Code) Addr() uintptr { return c.addr }

// Size is the memory that the code holds, in whole pages.
func (c *Code) Size() int { return c.size }

// Free drops the code. Nothing may run it, or return into it, any more.
func (c *Code) Free() {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.m.space == nil || c.size == 0 {
		return
	}
	// Mapping anew drops the contents and the protection in one step; a
	// failure leaves the pages executable and therefore unused for ever.
	pages := c.m.space[c.at : c.at+c.size]
	if unix.Madvise(pages, unix.MADV_DONTNEED) == nil && unix.Mprotect(pages, unix.PROT_NONE) == nil {
		c.m.give(c.at, c.size)
	}
	c.m.used -= c.size
	c.size = 0
}

// take finds the first extent that is large enough.
func (m *Memory) take(size int) (int, bool) {
	for i := range m.free {
		if e := &m.free[i]; e.size >= size {
			at := e.at
			e.at += size
			e.size -= size
			if e.size == 0 {
				m.free = append(m.free[:i], m.free[i+1:]...)
			}
			return at, true
		}
	}
	return 0, false
}

// give returns an extent and joins it with its neighbours.
func (m *Memory) give(at, size int) {
	i := 0
	for i < len(m.free) && m.free[i].at < at {
		i++
	}
	m.free = append(m.free, extent{})
	copy(m.free[i+1:], m.free[i:])
	m.free[i] = extent{at, size}
	if i+1 < len(m.free) && at+size == m.free[i+1].at {
		m.free[i].size += m.free[i+1].size
		m.free = append(m.free[:i+1], m.free[i+2:]...)
	}
	if i > 0 && m.free[i-1].at+m.free[i-1].size == at {
		m.free[i-1].size += m.free[i].size
		m.free = append(m.free[:i], m.free[i+1:]...)
	}
}

// Stack is where code runs: off the Go heap, with an inaccessible page below
// it, so that code which overruns it faults instead of writing elsewhere.
type Stack struct {
	space []byte
	top   uintptr
}

// NewStack makes a stack of at least size bytes.
func NewStack(size int) (*Stack, error) {
	page := os.Getpagesize()
	size = (size+page-1)/page*page + page
	space, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("%w: stack of %d bytes: %v", ErrNoMemory, size, err)
	}
	if err := unix.Mprotect(space[:page], unix.PROT_NONE); err != nil {
		_ = unix.Munmap(space)
		return nil, fmt.Errorf("%w: guard page: %v", ErrNoMemory, err)
	}
	return &Stack{space: space, top: uintptr(unsafe.Pointer(&space[0])) + uintptr(size)}, nil
}

// Size is the number of bytes that code may use, less what Run keeps there.
func (s *Stack) Size() int { return len(s.space) - os.Getpagesize() - 16 }

// Top is the address that the first word is pushed below.
func (s *Stack) Top() uintptr { return s.top }

// Close gives the memory back.
func (s *Stack) Close() error {
	space := s.space
	s.space = nil
	if space == nil {
		return nil
	}
	return unix.Munmap(space)
}

// Run runs code from addr until it returns. RAX holds ctx at its start. The
// memory behind ctx must not move: the Go heap doesn't.
func (s *Stack) Run(addr uintptr, ctx unsafe.Pointer) {
	enter(addr, ctx, s.top)
}
