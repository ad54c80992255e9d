package vm

import (
	"github.com/kitwork/kwnode/vm/wasm"
)

// bulkChunk is the most bytes that one step of a bulk operation moves before it can be stopped.
const bulkChunk = 256 << 10

// segment returns the bytes of a data segment, none once it was dropped.
func (i *Instance) segment(n uint32) []byte {
	if i.dropped.has(n) {
		return nil
	}
	d := &i.mod.w.Datas[n]
	return i.mod.w.Bytes[d.Off : d.Off+d.Len]
}

// memInit copies from a data segment into memory 0 and reports whether both ranges exist.
func (i *Instance) memInit(seg, dst, src, n uint32) bool {
	from, to := i.segment(seg), i.memBytes()
	if uint64(src)+uint64(n) > uint64(len(from)) || uint64(dst)+uint64(n) > uint64(len(to)) {
		return false
	}
	copy(to[dst:], from[src:src+n])
	return true
}

// tableInit copies from an element segment into a table and reports whether both ranges exist.
func (i *Instance) tableInit(table, seg, dst, src, n uint32) bool {
	w := i.mod.w
	t := i.tables[table]
	e := &w.Elems[seg]
	count := e.Count
	if i.dropped.has(uint32(len(w.Datas)) + seg) {
		count = 0
	}
	if uint64(src)+uint64(n) > uint64(count) || uint64(dst)+uint64(n) > uint64(t.size) {
		return false
	}
	if n == 0 {
		return true
	}
	for at, item := range i.mod.elemItems(seg)[src : src+n] {
		at := uint32(at)
		t.elems[dst+at] = i.elemRef(item)
	}
	return true
}

// elemRef is the reference that an item of an element segment stands for.
func (i *Instance) elemRef(item wasm.ElemItem) uint64 {
	switch item.Kind {
	case wasm.ElemFunc:
		return i.funcRef(item.Index)
	case wasm.ElemGlobal:
		return *i.global(item.Index).lo
	}
	return 0
}

// Sized operations stand first in their block, behind its Charge, which has been taken. Each either traps, or charges for
// a size and works; what doesn't fit into the gas or into one chunk is given back and left in the operands, and the
// block begins again.

// charge takes n units for a sized operation. If they aren't there, the block's charge is given back too and execution
// stops at the block's start.
func (m *machine) charge(n uint64) bool {
	if n <= uint64(m.gas) {
		m.gas -= int64(n)
		return true
	}
	m.unstart()
	m.need = n
	return false
}

// unstart gives the block's charge back and goes back to its start.
func (m *machine) unstart() {
	m.pc = ptrAdd(m.pc, -8)
	m.gas += int64(immAt(m.pc))
}

// chunk is how much of n bytes the next step does.
func chunk(n uint32) uint32 { return min(n, bulkChunk) }

// memoryBulk does a step of memory.fill, memory.copy or memory.init.
func (m *machine) memoryBulk(op wasm.Op) exit {
	a := aAt(m.pc)
	dst, src, n := u32(m.fp, a), u32(m.fp, a+1), u32(m.fp, a+2)
	mem := m.inst.mems[0].bytes()
	ok := uint64(dst)+uint64(n) <= uint64(len(mem))
	var seg []byte
	switch op {
	case wasm.OpMemoryCopy:
		ok = ok && uint64(src)+uint64(n) <= uint64(len(mem))
	case wasm.OpMemoryInit:
		seg = m.inst.segment(uint32(word(m.pc, 8)))
		ok = ok && uint64(src)+uint64(n) <= uint64(len(seg))
	}
	if !ok {
		m.trap = TrapMemory
		return exitTrap
	}
	step := chunk(n)
	if !m.charge(wasm.SizeGas(op, step)) {
		return exitGas
	}
	rest := n - step
	backwards := op == wasm.OpMemoryCopy && dst > src
	if backwards {
		copy(mem[uint64(dst)+uint64(rest):][:step], mem[uint64(src)+uint64(rest):])
	} else if op == wasm.OpMemoryFill {
		fill(mem[dst:][:step], byte(src))
	} else if op == wasm.OpMemoryCopy {
		copy(mem[dst:][:step], mem[src:])
	} else {
		copy(mem[dst:][:step], seg[src:])
	}
	if rest == 0 {
		m.pc = ptrAdd(m.pc, 16)
		return next
	}
	setSlot(m.fp, a+2, uint64(rest))
	if !backwards {
		setSlot(m.fp, a, uint64(dst+step))
		if op != wasm.OpMemoryFill {
			setSlot(m.fp, a+1, uint64(src+step))
		}
	}
	m.unstart()
	m.need = 0
	return exitGas // to look whether somebody wants us to stop
}

func fill(b []byte, v byte) {
	if v == 0 {
		clear(b)
		return
	}
	if len(b) == 0 {
		return
	}
	b[0] = v
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

// tableBulk does table.fill, table.copy or table.init, in steps of what bulkChunk bytes are.
func (m *machine) tableBulk(op wasm.Op) exit {
	a := aAt(m.pc)
	x, y := uint32(word(m.pc, 8)), uint32(word(m.pc, 8)>>32)
	dst, src, n := u32(m.fp, a), u32(m.fp, a+1), u32(m.fp, a+2)
	step := min(n, bulkChunk/8)
	rest := n - step
	inst := m.inst
	backwards := false
	var t, from *Table
	switch op {
	case wasm.OpTableFill:
		t = inst.tables[x]
		if uint64(dst)+uint64(n) > uint64(t.size) {
			m.trap = TrapTable
			return exitTrap
		}
	case wasm.OpTableCopy:
		t, from = inst.tables[x], inst.tables[y]
		if uint64(dst)+uint64(n) > uint64(t.size) || uint64(src)+uint64(n) > uint64(from.size) {
			m.trap = TrapTable
			return exitTrap
		}
		backwards = dst > src
	case wasm.OpTableInit:
		// Checked as a whole before a part is done.
		e := uint64(inst.mod.w.Elems[x].Count)
		if inst.dropped.has(uint32(len(inst.mod.w.Datas)) + x) {
			e = 0
		}
		if uint64(src)+uint64(n) > e || uint64(dst)+uint64(n) > uint64(inst.tables[y].size) {
			m.trap = TrapTable
			return exitTrap
		}
	}
	if !m.charge(wasm.SizeGas(op, step)) {
		return exitGas
	}
	switch op {
	case wasm.OpTableFill:
		v := slot(m.fp, a+1)
		for i := range step {
			t.elems[dst+i] = v
		}
	case wasm.OpTableCopy:
		at := uint32(0)
		if backwards {
			at = rest
		}
		copy(t.elems[dst+at:][:step], from.elems[src+at:])
	case wasm.OpTableInit:
		inst.tableInit(y, x, dst, src, step)
	}
	if rest == 0 {
		m.pc = ptrAdd(m.pc, 16)
		return next
	}
	setSlot(m.fp, a+2, uint64(rest))
	if !backwards {
		setSlot(m.fp, a, uint64(dst+step))
		if op != wasm.OpTableFill {
			setSlot(m.fp, a+1, uint64(src+step))
		}
	}
	m.unstart()
	m.need = 0
	return exitGas
}

// memoryGrow answers -1 at the program's limit; the host's lack of memory is an error with the program unchanged.
func (m *machine) memoryGrow() exit {
	a := aAt(m.pc)
	mem := m.inst.mems[0]
	pages, old := u32(m.fp, a), uint32(mem.size/pageSize)
	if uint64(pages)+uint64(old) > uint64(mem.max) {
		setSlot(m.fp, a, 1<<32-1)
	} else {
		if !m.charge(wasm.SizeGas(wasm.OpMemoryGrow, pages)) {
			return exitGas
		}
		if err := mem.grow(m.inst.s, pages); err != nil {
			m.gas += int64(wasm.SizeGas(wasm.OpMemoryGrow, pages))
			m.unstart()
			m.err = err
			return exitError
		}
		m.loadMemory()
		setSlot(m.fp, a, uint64(old))
	}
	m.pc = ptrAdd(m.pc, 16)
	return next
}

func (m *machine) tableGrow() exit {
	a := aAt(m.pc)
	t := m.inst.tables[uint32(word(m.pc, 8))]
	v, n, old := slot(m.fp, a), u32(m.fp, a+1), t.size
	if uint64(n)+uint64(old) > uint64(t.max) {
		setSlot(m.fp, a, 1<<32-1)
	} else {
		if !m.charge(wasm.SizeGas(wasm.OpTableGrow, n)) {
			return exitGas
		}
		if err := t.resize(m.inst.s, old+n); err != nil {
			m.gas += int64(wasm.SizeGas(wasm.OpTableGrow, n))
			m.unstart()
			m.err = err
			return exitError
		}
		for i := old; i < t.size; i++ {
			t.elems[i] = v
		}
		setSlot(m.fp, a, uint64(old))
	}
	m.pc = ptrAdd(m.pc, 16)
	return next
}
