package wasm

// MeterVersion names this meter: the weights in the opcode table, the charges below and the division
// into blocks (Module.Blocks). Whatever changes a program's gas changes this number.
const MeterVersion = 1

// Charges that depend on a size, in units of gas. They come on top of an instruction's weight, are
// known before the work is done, and are paid before it. Where there is no work there is no such charge:
// a range out of bounds traps, and a refused grow gives -1, for the weight alone.
const (
	BytesPerGas       = 16   // memory.init, memory.copy, memory.fill
	GasPerElem        = 1    // table.init, table.copy, table.fill, table.grow, for each slot
	GasPerPage        = 1024 // memory.grow and initial memory, for each page of 64 KiB
	SlotsPerGas       = 4    // function entry: slots of locals that it clears; slots of results, and of what a branch carries
	ModuleBytesPerGas = 64   // instantiation: reading the module
	GasPerSegment     = 10   // instantiation: each segment, on top of the bytes or elements it copies
	GasPerInstance    = 1000 // instantiation: what even the empty module costs
)

// Sized reports whether an opcode's charge depends on a size, and so begins a gas block.
func Sized(op Op) bool {
	switch op {
	case OpMemoryGrow, OpMemoryInit, OpMemoryCopy, OpMemoryFill, OpTableInit, OpTableCopy, OpTableGrow, OpTableFill:
		return true
	}
	return false
}

// SizeGas is the charge of a sized opcode for n bytes, table slots or pages, on top of its weight.
func SizeGas(op Op, n uint32) uint64 {
	switch op {
	case OpMemoryInit, OpMemoryCopy, OpMemoryFill:
		return uint64(n) / BytesPerGas
	case OpMemoryGrow:
		return uint64(n) * GasPerPage
	case OpTableInit, OpTableCopy, OpTableFill, OpTableGrow:
		return uint64(n) * GasPerElem
	}
	return 0
}

// EntryGas is the charge of entering a function of the given type and code: clearing its locals, and moving its results
// to where the caller wants them.
func EntryGas(t *FuncType, body *Body) uint64 {
	cleared := int(body.LocalSlots) - SlotsOf(t.Params)
	return uint64(cleared+SlotsPerGas-1)/SlotsPerGas + CarryGas(t.Results)
}

// CarryGas is the charge on top of a branch's weight for the values of its label, taken or not, in place or not: a label
// may have a thousand of them, which a call can bring for the weight of the call. Rounded down, it is nothing for most.
func CarryGas(label []ValType) uint64 { return uint64(SlotsOf(label)) / SlotsPerGas }

// InstantiateGas is the charge of instantiating a module, before its start function. The sizes of
// memories and tables are those that the module itself defines.
func (m *Module) InstantiateGas() uint64 {
	gas := GasPerInstance + uint64(len(m.Bytes))/ModuleBytesPerGas
	gas += uint64(len(m.Datas)+len(m.Elems)) * GasPerSegment
	for i := range m.Datas {
		if m.Datas[i].Mode == SegActive {
			gas += uint64(m.Datas[i].Len) / BytesPerGas
		}
	}
	for i := range m.Elems {
		if m.Elems[i].Mode == SegActive {
			gas += uint64(m.Elems[i].Count) * GasPerElem
		}
	}
	for _, mem := range m.Mems[m.NumImportedMems:] {
		gas += uint64(mem.Min) * GasPerPage
	}
	for _, tab := range m.Tables[m.NumImportedTables:] {
		gas += uint64(tab.Min) * GasPerElem
	}
	return gas
}
