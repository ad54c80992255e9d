package vm

import (
	"unsafe"

	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/internal/num"
	"github.com/kitwork/kwnode/vm/wasm"
)

// ptrAdd is unsafe.Add for the files that need nothing else of unsafe.
func ptrAdd(p unsafe.Pointer, n int) unsafe.Pointer { return unsafe.Add(p, n) }

// rare performs the operation at m.pc that the loop has no case for. It returns next with m.pc at the next instruction
// and mem and memLen up to date, or why the loop must return.
func (m *machine) rare() exit {
	op := opAt(m.pc)
	if op == code.ReturnN {
		return m.returnMany()
	}
	if op < code.RareBase {
		m.scalar(wasm.Op(op))
		m.pc = ptrAdd(m.pc, 8)
		return next
	}
	w := wasm.Op(op - code.RareBase)
	switch {
	case w >= wasm.PrefixSIMD:
		return m.vector(w)
	case w >= wasm.OpI32TruncF32S && w <= wasm.OpI64TruncF64U:
		return m.truncate(w)
	}
	switch w {
	case wasm.OpMemoryCopy, wasm.OpMemoryFill, wasm.OpMemoryInit:
		return m.memoryBulk(w)
	case wasm.OpTableCopy, wasm.OpTableFill, wasm.OpTableInit:
		return m.tableBulk(w)
	case wasm.OpMemoryGrow:
		return m.memoryGrow()
	case wasm.OpTableGrow:
		return m.tableGrow()
	}
	a, imm := aAt(m.pc), word(m.pc, 8)
	inst := m.inst
	switch w {
	case wasm.Op(code.MoveN - code.RareBase):
		b := bAt(m.pc)
		copy(slotsAt(ptrAdd(m.fp, int(a)*8), int(imm)), slotsAt(ptrAdd(m.fp, int(b)*8), int(imm)))
	case wasm.OpSelect:
		src := bAt(m.pc)
		if u32(m.fp, uint16(imm)) == 0 {
			src = cAt(m.pc)
		}
		*vec(m.fp, a) = *vec(m.fp, src)
	case wasm.OpGlobalGet:
		g := inst.global(uint32(imm))
		setSlot(m.fp, a, *g.lo)
		if g.hi != nil {
			setSlot(m.fp, a+1, *g.hi)
		}
	case wasm.OpGlobalSet:
		g := inst.global(uint32(imm))
		*g.lo = slot(m.fp, a)
		if g.hi != nil {
			*g.hi = slot(m.fp, a+1)
		}
	case wasm.OpTableGet:
		t := inst.tables[uint32(imm)]
		i := u32(m.fp, a)
		if i >= t.size {
			m.trap = TrapTable
			return exitTrap
		}
		setSlot(m.fp, a, t.elems[i])
	case wasm.OpTableSet:
		t := inst.tables[uint32(imm)]
		i := u32(m.fp, a)
		if i >= t.size {
			m.trap = TrapTable
			return exitTrap
		}
		t.elems[i] = slot(m.fp, a+1)
	case wasm.OpTableSize:
		setSlot(m.fp, a, uint64(inst.tables[uint32(imm)].size))
	case wasm.OpRefFunc:
		setSlot(m.fp, a, inst.funcRef(uint32(imm)))
	case wasm.OpDataDrop:
		inst.dropped.add(uint32(imm))
	case wasm.OpElemDrop:
		inst.dropped.add(uint32(len(inst.mod.w.Datas)) + uint32(imm))
	default:
		panic("vm: register code has an operation that doesn't exist")
	}
	m.pc = ptrAdd(m.pc, 16)
	return next
}

// returnMany returns several slots, or a vector.
func (m *machine) returnMany() exit {
	n := int(bAt(m.pc))
	h := unsafe.Add(m.fp, uintptr(cAt(m.pc))*8)
	copy(slotsAt(m.fp, n), slotsAt(unsafe.Add(m.fp, uintptr(aAt(m.pc))*8), n))
	if word(h, 0)&tagMask != 0 {
		m.header = h
		return exitReturn
	}
	m.cur = word(h, 8)
	m.pc = *(*unsafe.Pointer)(h)
	m.fp = unsafe.Add(m.fp, -(int(aAt(m.pc)) * 8))
	m.pc = unsafe.Add(m.pc, 16)
	m.depth++
	return next
}

// scalar performs one-word operations that aren't frequent enough for the loop.
func (m *machine) scalar(op wasm.Op) {
	fp, pc := m.fp, m.pc
	x, y := slot(fp, bAt(pc)), uint64(0)
	if op >= wasm.OpF32Add && op <= wasm.OpF32Copysign || op >= wasm.OpF64Add && op <= wasm.OpF64Copysign {
		y = slot(fp, cAt(pc))
	}
	x32, y32 := uint32(x), uint32(y)
	var r uint64
	switch op {
	case wasm.OpI32Popcnt:
		r = uint64(num.I32Popcnt(x32))
	case wasm.OpI64Popcnt:
		r = num.I64Popcnt(x)
	case wasm.OpF32Ceil:
		r = uint64(num.F32Ceil(x32))
	case wasm.OpF32Floor:
		r = uint64(num.F32Floor(x32))
	case wasm.OpF32Trunc:
		r = uint64(num.F32Trunc(x32))
	case wasm.OpF32Nearest:
		r = uint64(num.F32Nearest(x32))
	case wasm.OpF32Min:
		r = uint64(num.F32Min(x32, y32))
	case wasm.OpF32Max:
		r = uint64(num.F32Max(x32, y32))
	case wasm.OpF32Copysign:
		r = uint64(num.F32Copysign(x32, y32))
	case wasm.OpF64Ceil:
		r = num.F64Ceil(x)
	case wasm.OpF64Floor:
		r = num.F64Floor(x)
	case wasm.OpF64Trunc:
		r = num.F64Trunc(x)
	case wasm.OpF64Nearest:
		r = num.F64Nearest(x)
	case wasm.OpF64Min:
		r = num.F64Min(x, y)
	case wasm.OpF64Max:
		r = num.F64Max(x, y)
	case wasm.OpF64Copysign:
		r = num.F64Copysign(x, y)
	case wasm.OpF32ConvertI64U:
		r = uint64(num.F32ConvertI64U(x))
	case wasm.OpF64ConvertI64U:
		r = num.F64ConvertI64U(x)
	case wasm.OpI32TruncSatF32S:
		r = uint64(num.I32TruncSatS(float64(num.F32(x32))))
	case wasm.OpI32TruncSatF32U:
		r = uint64(num.I32TruncSatU(float64(num.F32(x32))))
	case wasm.OpI32TruncSatF64S:
		r = uint64(num.I32TruncSatS(num.F64(x)))
	case wasm.OpI32TruncSatF64U:
		r = uint64(num.I32TruncSatU(num.F64(x)))
	case wasm.OpI64TruncSatF32S:
		r = num.I64TruncSatS(float64(num.F32(x32)))
	case wasm.OpI64TruncSatF32U:
		r = num.I64TruncSatU(float64(num.F32(x32)))
	case wasm.OpI64TruncSatF64S:
		r = num.I64TruncSatS(num.F64(x))
	case wasm.OpI64TruncSatF64U:
		r = num.I64TruncSatU(num.F64(x))
	default:
		panic("vm: register code has an operation that doesn't exist")
	}
	setSlot(fp, aAt(pc), r)
}

var numTraps = [...]TrapCode{num.IntegerOverflow: TrapOverflow, num.InvalidConversion: TrapInvalidConvert}

// truncate performs a conversion to an integer that traps.
func (m *machine) truncate(op wasm.Op) exit {
	x := slot(m.fp, bAt(m.pc))
	f := num.F64(x)
	switch op {
	case wasm.OpI32TruncF32S, wasm.OpI32TruncF32U, wasm.OpI64TruncF32S, wasm.OpI64TruncF32U:
		f = float64(num.F32(uint32(x)))
	}
	var r uint64
	var t num.Trap
	switch op {
	case wasm.OpI32TruncF32S, wasm.OpI32TruncF64S:
		v, e := num.I32TruncS(f)
		r, t = uint64(v), e
	case wasm.OpI32TruncF32U, wasm.OpI32TruncF64U:
		v, e := num.I32TruncU(f)
		r, t = uint64(v), e
	case wasm.OpI64TruncF32S, wasm.OpI64TruncF64S:
		r, t = num.I64TruncS(f)
	default:
		r, t = num.I64TruncU(f)
	}
	if t != num.OK {
		m.trap = numTraps[t]
		return exitTrap
	}
	setSlot(m.fp, aAt(m.pc), r)
	m.pc = ptrAdd(m.pc, 16)
	return next
}

// address computes a memory operand of size bytes.
func (m *machine) address(base uint16, size uint64) (unsafe.Pointer, bool) {
	ea := uint64(u32(m.fp, base)) + uint64(uint32(word(m.pc, 8)))
	if ea+size > m.memLen {
		m.trap = TrapMemory
		return nil, false
	}
	return unsafe.Add(m.mem, ea), true
}

func loadN(p unsafe.Pointer, size uint64) uint64 {
	switch size {
	case 1:
		return uint64(*(*uint8)(p))
	case 2:
		return uint64(*(*uint16)(p))
	case 4:
		return uint64(*(*uint32)(p))
	}
	return *(*uint64)(p)
}

func storeN(p unsafe.Pointer, size, v uint64) {
	switch size {
	case 1:
		*(*uint8)(p) = uint8(v)
	case 2:
		*(*uint16)(p) = uint16(v)
	case 4:
		*(*uint32)(p) = uint32(v)
	default:
		*(*uint64)(p) = v
	}
}

// vector performs a 0xFD operation.
func (m *machine) vector(op wasm.Op) exit {
	fp, pc := m.fp, m.pc
	a, b, c := aAt(pc), bAt(pc), cAt(pc)
	sub := uint16(op - wasm.PrefixSIMD)
	imm := word(pc, 8)
	third, lane := uint16(imm>>32), uint8(imm>>48)
	info := wasm.Info(op)
	log2, memory := info.Imm.AccessLog2()
	if memory {
		size := uint64(1) << log2
		p, ok := m.address(b, size)
		if !ok {
			return exitTrap
		}
		switch {
		case op == wasm.OpV128Load:
			*vec(fp, a) = *(*[2]uint64)(p)
		case op == wasm.OpV128Store:
			*(*[2]uint64)(p) = *vec(fp, c)
		case info.Imm >= wasm.ImmMemLane8 && info.Imm <= wasm.ImmMemLane64 && info.Class == wasm.ClassStore:
			storeN(p, size, num.ExtractLane(sub, lane, vec(fp, c)))
		case info.Imm >= wasm.ImmMemLane8 && info.Imm <= wasm.ImmMemLane64:
			num.ReplaceLane(sub, lane, vec(fp, a), vec(fp, c), loadN(p, size))
		default:
			v := [2]uint64{loadN(p, size), 0}
			num.Vector(sub, vec(fp, a), &v, nil, nil)
		}
		m.pc = ptrAdd(pc, 16)
		return next
	}
	switch {
	case op == wasm.OpV128Const:
		*vec(fp, a) = *(*[2]uint64)(unsafe.Add(pc, 8))
		m.pc = ptrAdd(pc, 24)
		return next
	case op == wasm.OpI8x16Shuffle:
		num.Vector(sub, vec(fp, a), vec(fp, b), vec(fp, c), (*[2]uint64)(unsafe.Add(pc, 16)))
		m.pc = ptrAdd(pc, 32)
		return next
	case info.Imm >= wasm.ImmLane2 && info.Imm <= wasm.ImmLane16:
		if len(info.Sig) == 4 { // two operands
			num.ReplaceLane(sub, lane, vec(fp, a), vec(fp, b), slot(fp, c))
		} else {
			setSlot(fp, a, num.ExtractLane(sub, lane, vec(fp, b)))
		}
	default:
		num.Vector(sub, vec(fp, a), vec(fp, b), vec(fp, c), vec(fp, third))
	}
	m.pc = ptrAdd(pc, 16)
	return next
}
