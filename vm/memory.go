package vm

import (
	"fmt"
	"unsafe"

	"github.com/kitwork/kwnode/vm/wasm"
)

const pageSize = wasm.PageSize

// Memory is a linear memory of a store.
//
// Invariant: base points to at least size readable and writable bytes; growing within max moves base only where the
// platform can't reserve address space. Bytes beyond size are zero when they come into use.
type Memory struct {
	base unsafe.Pointer
	size uint64 // bytes, a multiple of the page size
	max  uint32 // pages it may grow to: the least of its type, the store's limit and the address space
	typ  wasm.MemType
	mem  region
	from *image // what its first bytes were mapped from, nil for zeros
}

// newMemory makes a memory of its type's minimum size.
func (s *Store) newMemory(t wasm.MemType) (*Memory, error) {
	m := &Memory{typ: t, max: min(s.limits.MemoryPages, wasm.MaxPages)}
	if t.HasMax {
		m.max = min(m.max, t.Max)
	}
	if t.Min > m.max {
		return nil, &LinkError{Reason: fmt.Sprintf("memory of %d pages exceeds the limit of %d", t.Min, m.max)}
	}
	if err := s.take(int64(t.Min) * pageSize); err != nil {
		return nil, err
	}
	if err := m.mem.reserve(uint64(m.max)*pageSize, uint64(t.Min)*pageSize); err != nil {
		s.give(int64(t.Min) * pageSize)
		return nil, err
	}
	m.size = uint64(t.Min) * pageSize
	m.base = m.mem.base()
	return m, nil
}

// grow adds pages. It fails only for the host's lack of memory; the program's limits are the caller's to check.
func (m *Memory) grow(s *Store, pages uint32) error {
	n := uint64(pages) * pageSize
	if err := s.take(int64(n)); err != nil {
		return err
	}
	if err := m.mem.commit(m.size, m.size+n); err != nil {
		s.give(int64(n))
		return err
	}
	m.size += n
	m.base = m.mem.base()
	return nil
}

// bytes views the memory; the view is valid until it grows.
func (m *Memory) bytes() []byte {
	if m.size == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(m.base), m.size)
}

// Size is the memory's size in bytes.
func (m *Memory) Size() uint64 { return m.size }

// Bytes views the memory for the host. The view is valid until the store runs or is closed.
func (m *Memory) Bytes() []byte { return m.bytes() }

// Table is a table of a store. Its entries are references as they stand in slots.
//
// Invariant: base points at elems' array and size is its length.
type Table struct {
	base  unsafe.Pointer
	size  uint32
	max   uint32
	typ   wasm.TableType
	elems []uint64
}

func (s *Store) newTable(t wasm.TableType) (*Table, error) {
	tb := &Table{typ: t, max: s.limits.TableElems}
	if t.HasMax {
		tb.max = min(tb.max, t.Max)
	}
	if t.Min > tb.max {
		return nil, &LinkError{Reason: fmt.Sprintf("table of %d entries exceeds the limit of %d", t.Min, tb.max)}
	}
	if err := tb.resize(s, t.Min); err != nil {
		return nil, err
	}
	return tb, nil
}

// resize makes the table longer; new entries are null.
func (t *Table) resize(s *Store, n uint32) error {
	if room := cap(t.elems); int(n) > room {
		// Growing one by one pays for one each time, so it mustn't copy all.
		room = int(min(uint64(t.max), max(uint64(n), 2*uint64(room))))
		if err := s.take(int64(room-cap(t.elems)) * 8); err != nil {
			return err
		}
		elems := make([]uint64, n, room)
		copy(elems, t.elems)
		t.elems = elems
		t.base = unsafe.Pointer(unsafe.SliceData(elems))
	}
	t.elems, t.size = t.elems[:n], n
	return nil
}

// Size is the number of entries.
func (t *Table) Size() uint32 { return t.size }

// Global is a global variable of a store. hi is set for a vector only.
type Global struct {
	typ          wasm.GlobalType
	lo, hi       *uint64
	owner, index int // the instance that defines it, and where
}

// Type is the global's type.
func (g *Global) Type() wasm.GlobalType { return g.typ }

// Value is the global's value.
func (g *Global) Value() Value {
	if g.hi != nil {
		return valueOf(g.typ.Type, *g.lo, *g.hi)
	}
	return valueOf(g.typ.Type, *g.lo, 0)
}

// span is a range of bytes.
type span struct{ from, to int }

// candidates lists, in order, the parts of the memory that may differ from the image, or from zero where there is none.
func (m *Memory) candidates(img *image) []span {
	size := int(m.size)
	known := 0 // what was mapped and what is asked for differ up to here
	if img != m.from {
		for _, i := range []*image{img, m.from} {
			if i != nil {
				known = max(known, len(i.view))
			}
		}
	}
	known = min(known, size)
	out := make([]span, 0, 8)
	if known > 0 {
		out = append(out, span{0, known})
	}
	return touched(m.bytes(), known, out)
}
