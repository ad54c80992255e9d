package wasm

// Op is an opcode: a one-byte opcode is its own number, one after prefix 0xFC or 0xFD is its
// sub-opcode plus PrefixMisc or PrefixSIMD.
type Op uint16

// Where the prefixed opcodes start, and the size of the opcode space.
const (
	PrefixMisc Op = 0x100
	PrefixSIMD Op = 0x200
	NumOps        = 0x300
)

// Features is a set of proposals beyond core 2.0 that Decode accepts. Zero is exactly core 2.0.
type Features uint32

// The proposals. They are options since some of them make assertions of 2.0 false.
const (
	TailCall      Features = 1 << iota // return_call, return_call_indirect
	ExtendedConst                      // add, sub and mul in constant expressions
	MultiMemory                        // more than one memory
)

// ImmKind says what follows an opcode in the binary format.
type ImmKind uint8

// The kinds of immediates. An Instr holds them in the fields named here.
const (
	ImmNone         ImmKind = iota
	ImmBlock                // block type: Block
	ImmLabel                // label: X
	ImmBrTable              // labels and a default: X targets at offset Y, read by Targets
	ImmFunc                 // function: X
	ImmCallIndirect         // type: X, table: Y
	ImmLocal                // local: X
	ImmGlobal               // global: X
	ImmTable                // table: X
	ImmTableTable           // destination table: X, source table: Y
	ImmElem                 // element segment: X
	ImmElemTable            // element segment: X, table: Y
	ImmData                 // data segment: X
	ImmDataMem              // data segment: X, memory: Y
	ImmMemory               // memory: X
	ImmMemMem               // destination memory: X, source memory: Y
	ImmI32                  // Const, sign extended
	ImmI64                  // Const
	ImmF32                  // Const, the bits in the low half
	ImmF64                  // Const
	ImmV128                 // Const and Hi
	ImmRefType              // reference type: Type
	ImmSelect               // list of types, of which 2.0 allows exactly one: Type
	ImmMem8                 // memory access of 1 byte: Align, Offset, memory: X
	ImmMem16
	ImmMem32
	ImmMem64
	ImmMem128
	ImmMemLane8 // memory access and lane: as above and Lane
	ImmMemLane16
	ImmMemLane32
	ImmMemLane64
	ImmLane2 // lane below 2: Lane
	ImmLane4
	ImmLane8
	ImmLane16
	ImmShuffle // 16 lanes below 32: Const and Hi, a byte each
)

// AccessLog2 is the binary logarithm of the bytes that a memory access touches, which is also the
// largest alignment it may state; ok is false for immediates without a memory access.
func (k ImmKind) AccessLog2() (log2 uint8, ok bool) {
	switch {
	case k >= ImmMem8 && k <= ImmMem128:
		return uint8(k - ImmMem8), true
	case k >= ImmMemLane8 && k <= ImmMemLane64:
		return uint8(k - ImmMemLane8), true
	}
	return 0, false
}

// Class groups opcodes for docs, statistics and calibration.
type Class uint8

// The classes.
const (
	ClassControl Class = iota
	ClassCall
	ClassParametric
	ClassVariable
	ClassTable
	ClassLoad
	ClassStore
	ClassMemory
	ClassConst
	ClassCompare
	ClassNumeric
	ClassConvert
	ClassReference
	ClassBulk
	ClassVector
)

var classNames = [...]string{"control", "call", "parametric", "variable", "table", "load", "store", "memory",
	"constant", "comparison", "numeric", "conversion", "reference", "bulk", "vector"}

func (c Class) String() string { return classNames[c] }

// Sig is a stack effect, operands before the colon and results after it, one letter a value:
// i I f F v for i32 i64 f32 f64 v128, r for funcref. "*" stands for an effect that depends on the
// immediates or on the operands; the validator has a rule of its own for each of those.
type Sig string

// OpInfo is all that is fixed about an opcode.
type OpInfo struct {
	Name  string // as in the text format; the typed form of select is "select t"
	Imm   ImmKind
	Sig   Sig
	Gas   uint16 // weight in units of gas under MeterVersion; what depends on a size comes on top (meter.go)
	Class Class
	Needs Features // zero for core 2.0
	Doc   string   // what it does, one line
}

// Info returns the table's row for an opcode, nil if there is no such opcode.
func Info(op Op) *OpInfo {
	if int(op) >= len(opTable) || opTable[op].Name == "" {
		return nil
	}
	return &opTable[op]
}

func (op Op) String() string {
	if in := Info(op); in != nil {
		return in.Name
	}
	return "illegal"
}

// Effect returns the operands and results of an opcode whose effect is fixed, ok = false for others.
// The slices are shared: do not write to them.
func (op Op) Effect() (params, results []ValType, ok bool) {
	if int(op) >= len(effects) || !effects[op].fixed {
		return nil, nil, false
	}
	e := &effects[op]
	return e.types[:e.in:e.in], e.types[e.in : e.in+e.out], true
}

type effect struct {
	types   [4]ValType // operands, then results
	in, out uint8
	fixed   bool
}

var effects = func() (all [NumOps]effect) {
	letters := map[rune]ValType{'i': I32, 'I': I64, 'f': F32, 'F': F64, 'v': V128, 'r': FuncRef}
	for op := range opTable {
		sig := opTable[op].Sig
		if sig == "" || sig == "*" {
			continue
		}
		e := &all[op]
		e.fixed = true
		n := &e.in
		for _, c := range sig {
			if c == ':' {
				n = &e.out
				continue
			}
			e.types[e.in+e.out] = letters[c]
			*n++
		}
	}
	return all
}()

//go:generate go test -run ^TestOpcodesPage$ -update .

// opTable is the table of all opcodes, one row each. Decoder, validator, Reader, printer, gas meter
// and docs/OPCODES.md read it. In its meanings, operands are counted from the first one pushed.
var opTable = [NumOps]OpInfo{
	OpUnreachable:        {"unreachable", ImmNone, "*", 1, ClassControl, 0, "traps"},
	OpNop:                {"nop", ImmNone, ":", 0, ClassControl, 0, "does nothing"},
	OpBlock:              {"block", ImmBlock, "*", 0, ClassControl, 0, "opens a block whose label is its end"},
	OpLoop:               {"loop", ImmBlock, "*", 0, ClassControl, 0, "opens a block whose label is its beginning"},
	OpIf:                 {"if", ImmBlock, "*", 2, ClassControl, 0, "pops a condition and opens one of two arms"},
	OpElse:               {"else", ImmNone, "*", 0, ClassControl, 0, "begins the arm taken when the condition was zero"},
	OpEnd:                {"end", ImmNone, "*", 0, ClassControl, 0, "closes a block, or the function"},
	OpBr:                 {"br", ImmLabel, "*", 2, ClassControl, 0, "branches to a label"},
	OpBrIf:               {"br_if", ImmLabel, "*", 2, ClassControl, 0, "branches to a label if the condition is not zero"},
	OpBrTable:            {"br_table", ImmBrTable, "*", 3, ClassControl, 0, "branches to the label that an index picks, or to the last one"},
	OpReturn:             {"return", ImmNone, "*", 2, ClassControl, 0, "returns from the function"},
	OpCall:               {"call", ImmFunc, "*", 5, ClassCall, 0, "calls a function"},
	OpCallIndirect:       {"call_indirect", ImmCallIndirect, "*", 8, ClassCall, 0, "calls the function in a table slot, if its type is the expected one"},
	OpReturnCall:         {"return_call", ImmFunc, "*", 5, ClassCall, TailCall, "calls a function in place of the current one"},
	OpReturnCallIndirect: {"return_call_indirect", ImmCallIndirect, "*", 8, ClassCall, TailCall, "calls the function in a table slot in place of the current one"},
	OpDrop:               {"drop", ImmNone, "*", 0, ClassParametric, 0, "discards an operand"},
	OpSelect:             {"select", ImmNone, "*", 1, ClassParametric, 0, "keeps the first of two numbers if the condition is not zero, else the second"},
	OpSelectT:            {"select t", ImmSelect, "*", 1, ClassParametric, 0, "select with its type written out; the only form for references"},
	OpLocalGet:           {"local.get", ImmLocal, "*", 1, ClassVariable, 0, "pushes a local"},
	OpLocalSet:           {"local.set", ImmLocal, "*", 1, ClassVariable, 0, "pops into a local"},
	OpLocalTee:           {"local.tee", ImmLocal, "*", 1, ClassVariable, 0, "copies the top operand into a local"},
	OpGlobalGet:          {"global.get", ImmGlobal, "*", 1, ClassVariable, 0, "pushes a global"},
	OpGlobalSet:          {"global.set", ImmGlobal, "*", 1, ClassVariable, 0, "pops into a mutable global"},
	OpTableGet:           {"table.get", ImmTable, "*", 20, ClassTable, 0, "pushes the reference in a table slot"},
	OpTableSet:           {"table.set", ImmTable, "*", 20, ClassTable, 0, "stores a reference in a table slot"},
	OpI32Load:            {"i32.load", ImmMem32, "i:i", 2, ClassLoad, 0, "loads 32 bits"},
	OpI64Load:            {"i64.load", ImmMem64, "i:I", 2, ClassLoad, 0, "loads 64 bits"},
	OpF32Load:            {"f32.load", ImmMem32, "i:f", 2, ClassLoad, 0, "loads 32 bits"},
	OpF64Load:            {"f64.load", ImmMem64, "i:F", 2, ClassLoad, 0, "loads 64 bits"},
	OpI32Load8S:          {"i32.load8_s", ImmMem8, "i:i", 2, ClassLoad, 0, "loads 8 bits and extends the sign"},
	OpI32Load8U:          {"i32.load8_u", ImmMem8, "i:i", 2, ClassLoad, 0, "loads 8 bits and extends with zeros"},
	OpI32Load16S:         {"i32.load16_s", ImmMem16, "i:i", 2, ClassLoad, 0, "loads 16 bits and extends the sign"},
	OpI32Load16U:         {"i32.load16_u", ImmMem16, "i:i", 2, ClassLoad, 0, "loads 16 bits and extends with zeros"},
	OpI64Load8S:          {"i64.load8_s", ImmMem8, "i:I", 2, ClassLoad, 0, "loads 8 bits and extends the sign"},
	OpI64Load8U:          {"i64.load8_u", ImmMem8, "i:I", 2, ClassLoad, 0, "loads 8 bits and extends with zeros"},
	OpI64Load16S:         {"i64.load16_s", ImmMem16, "i:I", 2, ClassLoad, 0, "loads 16 bits and extends the sign"},
	OpI64Load16U:         {"i64.load16_u", ImmMem16, "i:I", 2, ClassLoad, 0, "loads 16 bits and extends with zeros"},
	OpI64Load32S:         {"i64.load32_s", ImmMem32, "i:I", 2, ClassLoad, 0, "loads 32 bits and extends the sign"},
	OpI64Load32U:         {"i64.load32_u", ImmMem32, "i:I", 2, ClassLoad, 0, "loads 32 bits and extends with zeros"},
	OpI32Store:           {"i32.store", ImmMem32, "ii:", 2, ClassStore, 0, "stores 32 bits"},
	OpI64Store:           {"i64.store", ImmMem64, "iI:", 2, ClassStore, 0, "stores 64 bits"},
	OpF32Store:           {"f32.store", ImmMem32, "if:", 2, ClassStore, 0, "stores 32 bits"},
	OpF64Store:           {"f64.store", ImmMem64, "iF:", 2, ClassStore, 0, "stores 64 bits"},
	OpI32Store8:          {"i32.store8", ImmMem8, "ii:", 2, ClassStore, 0, "stores the low 8 bits"},
	OpI32Store16:         {"i32.store16", ImmMem16, "ii:", 2, ClassStore, 0, "stores the low 16 bits"},
	OpI64Store8:          {"i64.store8", ImmMem8, "iI:", 2, ClassStore, 0, "stores the low 8 bits"},
	OpI64Store16:         {"i64.store16", ImmMem16, "iI:", 2, ClassStore, 0, "stores the low 16 bits"},
	OpI64Store32:         {"i64.store32", ImmMem32, "iI:", 2, ClassStore, 0, "stores the low 32 bits"},
	OpMemorySize:         {"memory.size", ImmMemory, ":i", 1, ClassMemory, 0, "pushes the size of a memory in pages of 64 KiB"},
	OpMemoryGrow:         {"memory.grow", ImmMemory, "i:i", 30, ClassMemory, 0, "grows a memory by pages; pushes the old size, or -1"},
	OpI32Const:           {"i32.const", ImmI32, ":i", 1, ClassConst, 0, "pushes a constant"},
	OpI64Const:           {"i64.const", ImmI64, ":I", 1, ClassConst, 0, "pushes a constant"},
	OpF32Const:           {"f32.const", ImmF32, ":f", 1, ClassConst, 0, "pushes a constant, bit for bit"},
	OpF64Const:           {"f64.const", ImmF64, ":F", 1, ClassConst, 0, "pushes a constant, bit for bit"},
	OpI32Eqz:             {"i32.eqz", ImmNone, "i:i", 1, ClassCompare, 0, "1 if zero, else 0"},
	OpI32Eq:              {"i32.eq", ImmNone, "ii:i", 1, ClassCompare, 0, "1 if equal, else 0"},
	OpI32Ne:              {"i32.ne", ImmNone, "ii:i", 1, ClassCompare, 0, "1 if not equal, else 0"},
	OpI32LtS:             {"i32.lt_s", ImmNone, "ii:i", 1, ClassCompare, 0, "1 if less, signed, else 0"},
	OpI32LtU:             {"i32.lt_u", ImmNone, "ii:i", 1, ClassCompare, 0, "1 if less, unsigned, else 0"},
	OpI32GtS:             {"i32.gt_s", ImmNone, "ii:i", 1, ClassCompare, 0, "1 if greater, signed, else 0"},
	OpI32GtU:             {"i32.gt_u", ImmNone, "ii:i", 1, ClassCompare, 0, "1 if greater, unsigned, else 0"},
	OpI32LeS:             {"i32.le_s", ImmNone, "ii:i", 1, ClassCompare, 0, "1 if less or equal, signed, else 0"},
	OpI32LeU:             {"i32.le_u", ImmNone, "ii:i", 1, ClassCompare, 0, "1 if less or equal, unsigned, else 0"},
	OpI32GeS:             {"i32.ge_s", ImmNone, "ii:i", 1, ClassCompare, 0, "1 if greater or equal, signed, else 0"},
	OpI32GeU:             {"i32.ge_u", ImmNone, "ii:i", 1, ClassCompare, 0, "1 if greater or equal, unsigned, else 0"},
	OpI64Eqz:             {"i64.eqz", ImmNone, "I:i", 1, ClassCompare, 0, "1 if zero, else 0"},
	OpI64Eq:              {"i64.eq", ImmNone, "II:i", 1, ClassCompare, 0, "1 if equal, else 0"},
	OpI64Ne:              {"i64.ne", ImmNone, "II:i", 1, ClassCompare, 0, "1 if not equal, else 0"},
	OpI64LtS:             {"i64.lt_s", ImmNone, "II:i", 1, ClassCompare, 0, "1 if less, signed, else 0"},
	OpI64LtU:             {"i64.lt_u", ImmNone, "II:i", 1, ClassCompare, 0, "1 if less, unsigned, else 0"},
	OpI64GtS:             {"i64.gt_s", ImmNone, "II:i", 1, ClassCompare, 0, "1 if greater, signed, else 0"},
	OpI64GtU:             {"i64.gt_u", ImmNone, "II:i", 1, ClassCompare, 0, "1 if greater, unsigned, else 0"},
	OpI64LeS:             {"i64.le_s", ImmNone, "II:i", 1, ClassCompare, 0, "1 if less or equal, signed, else 0"},
	OpI64LeU:             {"i64.le_u", ImmNone, "II:i", 1, ClassCompare, 0, "1 if less or equal, unsigned, else 0"},
	OpI64GeS:             {"i64.ge_s", ImmNone, "II:i", 1, ClassCompare, 0, "1 if greater or equal, signed, else 0"},
	OpI64GeU:             {"i64.ge_u", ImmNone, "II:i", 1, ClassCompare, 0, "1 if greater or equal, unsigned, else 0"},
	OpF32Eq:              {"f32.eq", ImmNone, "ff:i", 2, ClassCompare, 0, "1 if equal (a NaN is equal to nothing), else 0"},
	OpF32Ne:              {"f32.ne", ImmNone, "ff:i", 2, ClassCompare, 0, "1 if not equal (a NaN is unequal to everything), else 0"},
	OpF32Lt:              {"f32.lt", ImmNone, "ff:i", 2, ClassCompare, 0, "1 if less (a NaN is unordered), else 0"},
	OpF32Gt:              {"f32.gt", ImmNone, "ff:i", 2, ClassCompare, 0, "1 if greater (a NaN is unordered), else 0"},
	OpF32Le:              {"f32.le", ImmNone, "ff:i", 2, ClassCompare, 0, "1 if less or equal (a NaN is unordered), else 0"},
	OpF32Ge:              {"f32.ge", ImmNone, "ff:i", 2, ClassCompare, 0, "1 if greater or equal (a NaN is unordered), else 0"},
	OpF64Eq:              {"f64.eq", ImmNone, "FF:i", 2, ClassCompare, 0, "1 if equal (a NaN is equal to nothing), else 0"},
	OpF64Ne:              {"f64.ne", ImmNone, "FF:i", 2, ClassCompare, 0, "1 if not equal (a NaN is unequal to everything), else 0"},
	OpF64Lt:              {"f64.lt", ImmNone, "FF:i", 2, ClassCompare, 0, "1 if less (a NaN is unordered), else 0"},
	OpF64Gt:              {"f64.gt", ImmNone, "FF:i", 2, ClassCompare, 0, "1 if greater (a NaN is unordered), else 0"},
	OpF64Le:              {"f64.le", ImmNone, "FF:i", 2, ClassCompare, 0, "1 if less or equal (a NaN is unordered), else 0"},
	OpF64Ge:              {"f64.ge", ImmNone, "FF:i", 2, ClassCompare, 0, "1 if greater or equal (a NaN is unordered), else 0"},
	OpI32Clz:             {"i32.clz", ImmNone, "i:i", 1, ClassNumeric, 0, "counts leading zero bits"},
	OpI32Ctz:             {"i32.ctz", ImmNone, "i:i", 1, ClassNumeric, 0, "counts trailing zero bits"},
	OpI32Popcnt:          {"i32.popcnt", ImmNone, "i:i", 3, ClassNumeric, 0, "counts one bits"},
	OpI32Add:             {"i32.add", ImmNone, "ii:i", 1, ClassNumeric, 0, "sum, modulo 2^32"},
	OpI32Sub:             {"i32.sub", ImmNone, "ii:i", 1, ClassNumeric, 0, "difference, modulo 2^32"},
	OpI32Mul:             {"i32.mul", ImmNone, "ii:i", 1, ClassNumeric, 0, "product, modulo 2^32"},
	OpI32DivS:            {"i32.div_s", ImmNone, "ii:i", 8, ClassNumeric, 0, "signed quotient, towards zero; traps on zero and on overflow"},
	OpI32DivU:            {"i32.div_u", ImmNone, "ii:i", 8, ClassNumeric, 0, "unsigned quotient; traps on zero"},
	OpI32RemS:            {"i32.rem_s", ImmNone, "ii:i", 8, ClassNumeric, 0, "signed remainder with the sign of the dividend; traps on zero"},
	OpI32RemU:            {"i32.rem_u", ImmNone, "ii:i", 8, ClassNumeric, 0, "unsigned remainder; traps on zero"},
	OpI32And:             {"i32.and", ImmNone, "ii:i", 1, ClassNumeric, 0, "bitwise and"},
	OpI32Or:              {"i32.or", ImmNone, "ii:i", 1, ClassNumeric, 0, "bitwise or"},
	OpI32Xor:             {"i32.xor", ImmNone, "ii:i", 1, ClassNumeric, 0, "bitwise exclusive or"},
	OpI32Shl:             {"i32.shl", ImmNone, "ii:i", 1, ClassNumeric, 0, "shifts left, count modulo 32"},
	OpI32ShrS:            {"i32.shr_s", ImmNone, "ii:i", 1, ClassNumeric, 0, "shifts right and keeps the sign, count modulo 32"},
	OpI32ShrU:            {"i32.shr_u", ImmNone, "ii:i", 1, ClassNumeric, 0, "shifts right with zeros, count modulo 32"},
	OpI32Rotl:            {"i32.rotl", ImmNone, "ii:i", 1, ClassNumeric, 0, "rotates left"},
	OpI32Rotr:            {"i32.rotr", ImmNone, "ii:i", 1, ClassNumeric, 0, "rotates right"},
	OpI64Clz:             {"i64.clz", ImmNone, "I:I", 1, ClassNumeric, 0, "counts leading zero bits"},
	OpI64Ctz:             {"i64.ctz", ImmNone, "I:I", 1, ClassNumeric, 0, "counts trailing zero bits"},
	OpI64Popcnt:          {"i64.popcnt", ImmNone, "I:I", 3, ClassNumeric, 0, "counts one bits"},
	OpI64Add:             {"i64.add", ImmNone, "II:I", 1, ClassNumeric, 0, "sum, modulo 2^64"},
	OpI64Sub:             {"i64.sub", ImmNone, "II:I", 1, ClassNumeric, 0, "difference, modulo 2^64"},
	OpI64Mul:             {"i64.mul", ImmNone, "II:I", 2, ClassNumeric, 0, "product, modulo 2^64"},
	OpI64DivS:            {"i64.div_s", ImmNone, "II:I", 10, ClassNumeric, 0, "signed quotient, towards zero; traps on zero and on overflow"},
	OpI64DivU:            {"i64.div_u", ImmNone, "II:I", 10, ClassNumeric, 0, "unsigned quotient; traps on zero"},
	OpI64RemS:            {"i64.rem_s", ImmNone, "II:I", 10, ClassNumeric, 0, "signed remainder with the sign of the dividend; traps on zero"},
	OpI64RemU:            {"i64.rem_u", ImmNone, "II:I", 10, ClassNumeric, 0, "unsigned remainder; traps on zero"},
	OpI64And:             {"i64.and", ImmNone, "II:I", 1, ClassNumeric, 0, "bitwise and"},
	OpI64Or:              {"i64.or", ImmNone, "II:I", 1, ClassNumeric, 0, "bitwise or"},
	OpI64Xor:             {"i64.xor", ImmNone, "II:I", 1, ClassNumeric, 0, "bitwise exclusive or"},
	OpI64Shl:             {"i64.shl", ImmNone, "II:I", 1, ClassNumeric, 0, "shifts left, count modulo 64"},
	OpI64ShrS:            {"i64.shr_s", ImmNone, "II:I", 1, ClassNumeric, 0, "shifts right and keeps the sign, count modulo 64"},
	OpI64ShrU:            {"i64.shr_u", ImmNone, "II:I", 1, ClassNumeric, 0, "shifts right with zeros, count modulo 64"},
	OpI64Rotl:            {"i64.rotl", ImmNone, "II:I", 1, ClassNumeric, 0, "rotates left"},
	OpI64Rotr:            {"i64.rotr", ImmNone, "II:I", 1, ClassNumeric, 0, "rotates right"},
	OpF32Abs:             {"f32.abs", ImmNone, "f:f", 1, ClassNumeric, 0, "clears the sign bit"},
	OpF32Neg:             {"f32.neg", ImmNone, "f:f", 1, ClassNumeric, 0, "flips the sign bit"},
	OpF32Ceil:            {"f32.ceil", ImmNone, "f:f", 4, ClassNumeric, 0, "rounds up"},
	OpF32Floor:           {"f32.floor", ImmNone, "f:f", 4, ClassNumeric, 0, "rounds down"},
	OpF32Trunc:           {"f32.trunc", ImmNone, "f:f", 4, ClassNumeric, 0, "rounds towards zero"},
	OpF32Nearest:         {"f32.nearest", ImmNone, "f:f", 4, ClassNumeric, 0, "rounds to the nearest integer, ties to even"},
	OpF32Sqrt:            {"f32.sqrt", ImmNone, "f:f", 10, ClassNumeric, 0, "square root"},
	OpF32Add:             {"f32.add", ImmNone, "ff:f", 2, ClassNumeric, 0, "sum"},
	OpF32Sub:             {"f32.sub", ImmNone, "ff:f", 2, ClassNumeric, 0, "difference"},
	OpF32Mul:             {"f32.mul", ImmNone, "ff:f", 2, ClassNumeric, 0, "product"},
	OpF32Div:             {"f32.div", ImmNone, "ff:f", 8, ClassNumeric, 0, "quotient"},
	OpF32Min:             {"f32.min", ImmNone, "ff:f", 3, ClassNumeric, 0, "the smaller; NaN if either is"},
	OpF32Max:             {"f32.max", ImmNone, "ff:f", 3, ClassNumeric, 0, "the larger; NaN if either is"},
	OpF32Copysign:        {"f32.copysign", ImmNone, "ff:f", 3, ClassNumeric, 0, "the first with the sign of the second"},
	OpF64Abs:             {"f64.abs", ImmNone, "F:F", 1, ClassNumeric, 0, "clears the sign bit"},
	OpF64Neg:             {"f64.neg", ImmNone, "F:F", 1, ClassNumeric, 0, "flips the sign bit"},
	OpF64Ceil:            {"f64.ceil", ImmNone, "F:F", 4, ClassNumeric, 0, "rounds up"},
	OpF64Floor:           {"f64.floor", ImmNone, "F:F", 4, ClassNumeric, 0, "rounds down"},
	OpF64Trunc:           {"f64.trunc", ImmNone, "F:F", 4, ClassNumeric, 0, "rounds towards zero"},
	OpF64Nearest:         {"f64.nearest", ImmNone, "F:F", 4, ClassNumeric, 0, "rounds to the nearest integer, ties to even"},
	OpF64Sqrt:            {"f64.sqrt", ImmNone, "F:F", 10, ClassNumeric, 0, "square root"},
	OpF64Add:             {"f64.add", ImmNone, "FF:F", 2, ClassNumeric, 0, "sum"},
	OpF64Sub:             {"f64.sub", ImmNone, "FF:F", 2, ClassNumeric, 0, "difference"},
	OpF64Mul:             {"f64.mul", ImmNone, "FF:F", 2, ClassNumeric, 0, "product"},
	OpF64Div:             {"f64.div", ImmNone, "FF:F", 8, ClassNumeric, 0, "quotient"},
	OpF64Min:             {"f64.min", ImmNone, "FF:F", 3, ClassNumeric, 0, "the smaller; NaN if either is"},
	OpF64Max:             {"f64.max", ImmNone, "FF:F", 3, ClassNumeric, 0, "the larger; NaN if either is"},
	OpF64Copysign:        {"f64.copysign", ImmNone, "FF:F", 3, ClassNumeric, 0, "the first with the sign of the second"},
	OpI32WrapI64:         {"i32.wrap_i64", ImmNone, "I:i", 1, ClassConvert, 0, "keeps the low 32 bits"},
	OpI32TruncF32S:       {"i32.trunc_f32_s", ImmNone, "f:i", 4, ClassConvert, 0, "to a signed integer; traps on NaN and overflow"},
	OpI32TruncF32U:       {"i32.trunc_f32_u", ImmNone, "f:i", 4, ClassConvert, 0, "to an unsigned integer; traps on NaN and overflow"},
	OpI32TruncF64S:       {"i32.trunc_f64_s", ImmNone, "F:i", 4, ClassConvert, 0, "to a signed integer; traps on NaN and overflow"},
	OpI32TruncF64U:       {"i32.trunc_f64_u", ImmNone, "F:i", 4, ClassConvert, 0, "to an unsigned integer; traps on NaN and overflow"},
	OpI64ExtendI32S:      {"i64.extend_i32_s", ImmNone, "i:I", 1, ClassConvert, 0, "extends the sign"},
	OpI64ExtendI32U:      {"i64.extend_i32_u", ImmNone, "i:I", 1, ClassConvert, 0, "extends with zeros"},
	OpI64TruncF32S:       {"i64.trunc_f32_s", ImmNone, "f:I", 4, ClassConvert, 0, "to a signed integer; traps on NaN and overflow"},
	OpI64TruncF32U:       {"i64.trunc_f32_u", ImmNone, "f:I", 4, ClassConvert, 0, "to an unsigned integer; traps on NaN and overflow"},
	OpI64TruncF64S:       {"i64.trunc_f64_s", ImmNone, "F:I", 4, ClassConvert, 0, "to a signed integer; traps on NaN and overflow"},
	OpI64TruncF64U:       {"i64.trunc_f64_u", ImmNone, "F:I", 4, ClassConvert, 0, "to an unsigned integer; traps on NaN and overflow"},
	OpF32ConvertI32S:     {"f32.convert_i32_s", ImmNone, "i:f", 2, ClassConvert, 0, "the nearest float of a signed integer"},
	OpF32ConvertI32U:     {"f32.convert_i32_u", ImmNone, "i:f", 2, ClassConvert, 0, "the nearest float of an unsigned integer"},
	OpF32ConvertI64S:     {"f32.convert_i64_s", ImmNone, "I:f", 2, ClassConvert, 0, "the nearest float of a signed integer"},
	OpF32ConvertI64U:     {"f32.convert_i64_u", ImmNone, "I:f", 3, ClassConvert, 0, "the nearest float of an unsigned integer"},
	OpF32DemoteF64:       {"f32.demote_f64", ImmNone, "F:f", 2, ClassConvert, 0, "the nearest single-precision number"},
	OpF64ConvertI32S:     {"f64.convert_i32_s", ImmNone, "i:F", 2, ClassConvert, 0, "the float of a signed integer, exact"},
	OpF64ConvertI32U:     {"f64.convert_i32_u", ImmNone, "i:F", 2, ClassConvert, 0, "the float of an unsigned integer, exact"},
	OpF64ConvertI64S:     {"f64.convert_i64_s", ImmNone, "I:F", 2, ClassConvert, 0, "the nearest float of a signed integer"},
	OpF64ConvertI64U:     {"f64.convert_i64_u", ImmNone, "I:F", 3, ClassConvert, 0, "the nearest float of an unsigned integer"},
	OpF64PromoteF32:      {"f64.promote_f32", ImmNone, "f:F", 2, ClassConvert, 0, "the same number in double precision"},
	OpI32ReinterpretF32:  {"i32.reinterpret_f32", ImmNone, "f:i", 1, ClassConvert, 0, "the same bits"},
	OpI64ReinterpretF64:  {"i64.reinterpret_f64", ImmNone, "F:I", 1, ClassConvert, 0, "the same bits"},
	OpF32ReinterpretI32:  {"f32.reinterpret_i32", ImmNone, "i:f", 1, ClassConvert, 0, "the same bits"},
	OpF64ReinterpretI64:  {"f64.reinterpret_i64", ImmNone, "I:F", 1, ClassConvert, 0, "the same bits"},
	OpI32Extend8S:        {"i32.extend8_s", ImmNone, "i:i", 1, ClassConvert, 0, "extends the sign of the low 8 bits"},
	OpI32Extend16S:       {"i32.extend16_s", ImmNone, "i:i", 1, ClassConvert, 0, "extends the sign of the low 16 bits"},
	OpI64Extend8S:        {"i64.extend8_s", ImmNone, "I:I", 1, ClassConvert, 0, "extends the sign of the low 8 bits"},
	OpI64Extend16S:       {"i64.extend16_s", ImmNone, "I:I", 1, ClassConvert, 0, "extends the sign of the low 16 bits"},
	OpI64Extend32S:       {"i64.extend32_s", ImmNone, "I:I", 1, ClassConvert, 0, "extends the sign of the low 32 bits"},
	OpRefNull:            {"ref.null", ImmRefType, "*", 1, ClassReference, 0, "pushes a null reference"},
	OpRefIsNull:          {"ref.is_null", ImmNone, "*", 1, ClassReference, 0, "1 if the reference is null, else 0"},
	OpRefFunc:            {"ref.func", ImmFunc, ":r", 20, ClassReference, 0, "pushes a reference to a function"},
	OpI32TruncSatF32S:    {"i32.trunc_sat_f32_s", ImmNone, "f:i", 4, ClassConvert, 0, "to a signed integer, clamped; NaN gives 0"},
	OpI32TruncSatF32U:    {"i32.trunc_sat_f32_u", ImmNone, "f:i", 4, ClassConvert, 0, "to an unsigned integer, clamped; NaN gives 0"},
	OpI32TruncSatF64S:    {"i32.trunc_sat_f64_s", ImmNone, "F:i", 4, ClassConvert, 0, "to a signed integer, clamped; NaN gives 0"},
	OpI32TruncSatF64U:    {"i32.trunc_sat_f64_u", ImmNone, "F:i", 4, ClassConvert, 0, "to an unsigned integer, clamped; NaN gives 0"},
	OpI64TruncSatF32S:    {"i64.trunc_sat_f32_s", ImmNone, "f:I", 4, ClassConvert, 0, "to a signed integer, clamped; NaN gives 0"},
	OpI64TruncSatF32U:    {"i64.trunc_sat_f32_u", ImmNone, "f:I", 4, ClassConvert, 0, "to an unsigned integer, clamped; NaN gives 0"},
	OpI64TruncSatF64S:    {"i64.trunc_sat_f64_s", ImmNone, "F:I", 4, ClassConvert, 0, "to a signed integer, clamped; NaN gives 0"},
	OpI64TruncSatF64U:    {"i64.trunc_sat_f64_u", ImmNone, "F:I", 4, ClassConvert, 0, "to an unsigned integer, clamped; NaN gives 0"},
	OpMemoryInit:         {"memory.init", ImmDataMem, "iii:", 30, ClassBulk, 0, "copies from a data segment into a memory"},
	OpDataDrop:           {"data.drop", ImmData, ":", 20, ClassBulk, 0, "empties a data segment"},
	OpMemoryCopy:         {"memory.copy", ImmMemMem, "iii:", 30, ClassBulk, 0, "copies between memories; ranges may overlap"},
	OpMemoryFill:         {"memory.fill", ImmMemory, "iii:", 30, ClassBulk, 0, "sets bytes of a memory"},
	OpTableInit:          {"table.init", ImmElemTable, "iii:", 30, ClassBulk, 0, "copies from an element segment into a table"},
	OpElemDrop:           {"elem.drop", ImmElem, ":", 20, ClassBulk, 0, "empties an element segment"},
	OpTableCopy:          {"table.copy", ImmTableTable, "iii:", 30, ClassBulk, 0, "copies between tables; ranges may overlap"},
	OpTableGrow:          {"table.grow", ImmTable, "*", 30, ClassBulk, 0, "grows a table with copies of a reference; pushes the old size, or -1"},
	OpTableSize:          {"table.size", ImmTable, ":i", 20, ClassTable, 0, "pushes the number of slots of a table"},
	OpTableFill:          {"table.fill", ImmTable, "*", 30, ClassBulk, 0, "sets slots of a table to one reference"},

	OpV128Load:                  {"v128.load", ImmMem128, "i:v", 3, ClassLoad, 0, "loads 128 bits"},
	OpV128Load8x8S:              {"v128.load8x8_s", ImmMem64, "i:v", 10, ClassLoad, 0, "loads 8 signed bytes, each widened to 16 bits"},
	OpV128Load8x8U:              {"v128.load8x8_u", ImmMem64, "i:v", 10, ClassLoad, 0, "loads 8 unsigned bytes, each widened to 16 bits"},
	OpV128Load16x4S:             {"v128.load16x4_s", ImmMem64, "i:v", 10, ClassLoad, 0, "loads 4 signed 16-bit numbers, each widened to 32 bits"},
	OpV128Load16x4U:             {"v128.load16x4_u", ImmMem64, "i:v", 10, ClassLoad, 0, "loads 4 unsigned 16-bit numbers, each widened to 32 bits"},
	OpV128Load32x2S:             {"v128.load32x2_s", ImmMem64, "i:v", 10, ClassLoad, 0, "loads 2 signed 32-bit numbers, each widened to 64 bits"},
	OpV128Load32x2U:             {"v128.load32x2_u", ImmMem64, "i:v", 10, ClassLoad, 0, "loads 2 unsigned 32-bit numbers, each widened to 64 bits"},
	OpV128Load8Splat:            {"v128.load8_splat", ImmMem8, "i:v", 6, ClassLoad, 0, "loads 8 bits into every lane"},
	OpV128Load16Splat:           {"v128.load16_splat", ImmMem16, "i:v", 6, ClassLoad, 0, "loads 16 bits into every lane"},
	OpV128Load32Splat:           {"v128.load32_splat", ImmMem32, "i:v", 6, ClassLoad, 0, "loads 32 bits into every lane"},
	OpV128Load64Splat:           {"v128.load64_splat", ImmMem64, "i:v", 6, ClassLoad, 0, "loads 64 bits into every lane"},
	OpV128Store:                 {"v128.store", ImmMem128, "iv:", 3, ClassStore, 0, "stores 128 bits"},
	OpV128Const:                 {"v128.const", ImmV128, ":v", 2, ClassConst, 0, "pushes a constant, bit for bit"},
	OpI8x16Shuffle:              {"i8x16.shuffle", ImmShuffle, "vv:v", 8, ClassVector, 0, "16 lanes picked from both operands by constants"},
	OpI8x16Swizzle:              {"i8x16.swizzle", ImmNone, "vv:v", 8, ClassVector, 0, "16 lanes picked from the first operand by the second; 0 where out of range"},
	OpI8x16Splat:                {"i8x16.splat", ImmNone, "i:v", 4, ClassVector, 0, "the operand in every lane"},
	OpI16x8Splat:                {"i16x8.splat", ImmNone, "i:v", 4, ClassVector, 0, "the operand in every lane"},
	OpI32x4Splat:                {"i32x4.splat", ImmNone, "i:v", 4, ClassVector, 0, "the operand in every lane"},
	OpI64x2Splat:                {"i64x2.splat", ImmNone, "I:v", 4, ClassVector, 0, "the operand in every lane"},
	OpF32x4Splat:                {"f32x4.splat", ImmNone, "f:v", 4, ClassVector, 0, "the operand in every lane"},
	OpF64x2Splat:                {"f64x2.splat", ImmNone, "F:v", 4, ClassVector, 0, "the operand in every lane"},
	OpI8x16ExtractLaneS:         {"i8x16.extract_lane_s", ImmLane16, "v:i", 4, ClassVector, 0, "one lane, sign extended"},
	OpI8x16ExtractLaneU:         {"i8x16.extract_lane_u", ImmLane16, "v:i", 4, ClassVector, 0, "one lane, zero extended"},
	OpI8x16ReplaceLane:          {"i8x16.replace_lane", ImmLane16, "vi:v", 4, ClassVector, 0, "the vector with one lane replaced"},
	OpI16x8ExtractLaneS:         {"i16x8.extract_lane_s", ImmLane8, "v:i", 4, ClassVector, 0, "one lane, sign extended"},
	OpI16x8ExtractLaneU:         {"i16x8.extract_lane_u", ImmLane8, "v:i", 4, ClassVector, 0, "one lane, zero extended"},
	OpI16x8ReplaceLane:          {"i16x8.replace_lane", ImmLane8, "vi:v", 4, ClassVector, 0, "the vector with one lane replaced"},
	OpI32x4ExtractLane:          {"i32x4.extract_lane", ImmLane4, "v:i", 4, ClassVector, 0, "one lane"},
	OpI32x4ReplaceLane:          {"i32x4.replace_lane", ImmLane4, "vi:v", 4, ClassVector, 0, "the vector with one lane replaced"},
	OpI64x2ExtractLane:          {"i64x2.extract_lane", ImmLane2, "v:I", 4, ClassVector, 0, "one lane"},
	OpI64x2ReplaceLane:          {"i64x2.replace_lane", ImmLane2, "vI:v", 4, ClassVector, 0, "the vector with one lane replaced"},
	OpF32x4ExtractLane:          {"f32x4.extract_lane", ImmLane4, "v:f", 4, ClassVector, 0, "one lane"},
	OpF32x4ReplaceLane:          {"f32x4.replace_lane", ImmLane4, "vf:v", 4, ClassVector, 0, "the vector with one lane replaced"},
	OpF64x2ExtractLane:          {"f64x2.extract_lane", ImmLane2, "v:F", 4, ClassVector, 0, "one lane"},
	OpF64x2ReplaceLane:          {"f64x2.replace_lane", ImmLane2, "vF:v", 4, ClassVector, 0, "the vector with one lane replaced"},
	OpI8x16Eq:                   {"i8x16.eq", ImmNone, "vv:v", 8, ClassVector, 0, "lanes of ones where equal"},
	OpI8x16Ne:                   {"i8x16.ne", ImmNone, "vv:v", 8, ClassVector, 0, "lanes of ones where not equal"},
	OpI8x16LtS:                  {"i8x16.lt_s", ImmNone, "vv:v", 8, ClassVector, 0, "lanes of ones where less, signed"},
	OpI8x16LtU:                  {"i8x16.lt_u", ImmNone, "vv:v", 8, ClassVector, 0, "lanes of ones where less, unsigned"},
	OpI8x16GtS:                  {"i8x16.gt_s", ImmNone, "vv:v", 8, ClassVector, 0, "lanes of ones where greater, signed"},
	OpI8x16GtU:                  {"i8x16.gt_u", ImmNone, "vv:v", 8, ClassVector, 0, "lanes of ones where greater, unsigned"},
	OpI8x16LeS:                  {"i8x16.le_s", ImmNone, "vv:v", 8, ClassVector, 0, "lanes of ones where less or equal, signed"},
	OpI8x16LeU:                  {"i8x16.le_u", ImmNone, "vv:v", 8, ClassVector, 0, "lanes of ones where less or equal, unsigned"},
	OpI8x16GeS:                  {"i8x16.ge_s", ImmNone, "vv:v", 8, ClassVector, 0, "lanes of ones where greater or equal, signed"},
	OpI8x16GeU:                  {"i8x16.ge_u", ImmNone, "vv:v", 8, ClassVector, 0, "lanes of ones where greater or equal, unsigned"},
	OpI16x8Eq:                   {"i16x8.eq", ImmNone, "vv:v", 6, ClassVector, 0, "lanes of ones where equal"},
	OpI16x8Ne:                   {"i16x8.ne", ImmNone, "vv:v", 6, ClassVector, 0, "lanes of ones where not equal"},
	OpI16x8LtS:                  {"i16x8.lt_s", ImmNone, "vv:v", 6, ClassVector, 0, "lanes of ones where less, signed"},
	OpI16x8LtU:                  {"i16x8.lt_u", ImmNone, "vv:v", 6, ClassVector, 0, "lanes of ones where less, unsigned"},
	OpI16x8GtS:                  {"i16x8.gt_s", ImmNone, "vv:v", 6, ClassVector, 0, "lanes of ones where greater, signed"},
	OpI16x8GtU:                  {"i16x8.gt_u", ImmNone, "vv:v", 6, ClassVector, 0, "lanes of ones where greater, unsigned"},
	OpI16x8LeS:                  {"i16x8.le_s", ImmNone, "vv:v", 6, ClassVector, 0, "lanes of ones where less or equal, signed"},
	OpI16x8LeU:                  {"i16x8.le_u", ImmNone, "vv:v", 6, ClassVector, 0, "lanes of ones where less or equal, unsigned"},
	OpI16x8GeS:                  {"i16x8.ge_s", ImmNone, "vv:v", 6, ClassVector, 0, "lanes of ones where greater or equal, signed"},
	OpI16x8GeU:                  {"i16x8.ge_u", ImmNone, "vv:v", 6, ClassVector, 0, "lanes of ones where greater or equal, unsigned"},
	OpI32x4Eq:                   {"i32x4.eq", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where equal"},
	OpI32x4Ne:                   {"i32x4.ne", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where not equal"},
	OpI32x4LtS:                  {"i32x4.lt_s", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where less, signed"},
	OpI32x4LtU:                  {"i32x4.lt_u", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where less, unsigned"},
	OpI32x4GtS:                  {"i32x4.gt_s", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where greater, signed"},
	OpI32x4GtU:                  {"i32x4.gt_u", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where greater, unsigned"},
	OpI32x4LeS:                  {"i32x4.le_s", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where less or equal, signed"},
	OpI32x4LeU:                  {"i32x4.le_u", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where less or equal, unsigned"},
	OpI32x4GeS:                  {"i32x4.ge_s", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where greater or equal, signed"},
	OpI32x4GeU:                  {"i32x4.ge_u", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where greater or equal, unsigned"},
	OpF32x4Eq:                   {"f32x4.eq", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where equal"},
	OpF32x4Ne:                   {"f32x4.ne", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where not equal"},
	OpF32x4Lt:                   {"f32x4.lt", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where less"},
	OpF32x4Gt:                   {"f32x4.gt", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where greater"},
	OpF32x4Le:                   {"f32x4.le", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where less or equal"},
	OpF32x4Ge:                   {"f32x4.ge", ImmNone, "vv:v", 4, ClassVector, 0, "lanes of ones where greater or equal"},
	OpF64x2Eq:                   {"f64x2.eq", ImmNone, "vv:v", 3, ClassVector, 0, "lanes of ones where equal"},
	OpF64x2Ne:                   {"f64x2.ne", ImmNone, "vv:v", 3, ClassVector, 0, "lanes of ones where not equal"},
	OpF64x2Lt:                   {"f64x2.lt", ImmNone, "vv:v", 3, ClassVector, 0, "lanes of ones where less"},
	OpF64x2Gt:                   {"f64x2.gt", ImmNone, "vv:v", 3, ClassVector, 0, "lanes of ones where greater"},
	OpF64x2Le:                   {"f64x2.le", ImmNone, "vv:v", 3, ClassVector, 0, "lanes of ones where less or equal"},
	OpF64x2Ge:                   {"f64x2.ge", ImmNone, "vv:v", 3, ClassVector, 0, "lanes of ones where greater or equal"},
	OpV128Not:                   {"v128.not", ImmNone, "v:v", 4, ClassVector, 0, "bitwise not"},
	OpV128And:                   {"v128.and", ImmNone, "vv:v", 2, ClassVector, 0, "bitwise and"},
	OpV128Andnot:                {"v128.andnot", ImmNone, "vv:v", 4, ClassVector, 0, "the first and not the second"},
	OpV128Or:                    {"v128.or", ImmNone, "vv:v", 2, ClassVector, 0, "bitwise or"},
	OpV128Xor:                   {"v128.xor", ImmNone, "vv:v", 2, ClassVector, 0, "bitwise exclusive or"},
	OpV128Bitselect:             {"v128.bitselect", ImmNone, "vvv:v", 2, ClassVector, 0, "bits of the first where the third has ones, else of the second"},
	OpV128AnyTrue:               {"v128.any_true", ImmNone, "v:i", 4, ClassVector, 0, "1 if any bit is set, else 0"},
	OpV128Load8Lane:             {"v128.load8_lane", ImmMemLane8, "iv:v", 3, ClassLoad, 0, "loads 8 bits into one lane"},
	OpV128Load16Lane:            {"v128.load16_lane", ImmMemLane16, "iv:v", 3, ClassLoad, 0, "loads 16 bits into one lane"},
	OpV128Load32Lane:            {"v128.load32_lane", ImmMemLane32, "iv:v", 3, ClassLoad, 0, "loads 32 bits into one lane"},
	OpV128Load64Lane:            {"v128.load64_lane", ImmMemLane64, "iv:v", 3, ClassLoad, 0, "loads 64 bits into one lane"},
	OpV128Store8Lane:            {"v128.store8_lane", ImmMemLane8, "iv:", 3, ClassStore, 0, "stores one lane of 8 bits"},
	OpV128Store16Lane:           {"v128.store16_lane", ImmMemLane16, "iv:", 3, ClassStore, 0, "stores one lane of 16 bits"},
	OpV128Store32Lane:           {"v128.store32_lane", ImmMemLane32, "iv:", 3, ClassStore, 0, "stores one lane of 32 bits"},
	OpV128Store64Lane:           {"v128.store64_lane", ImmMemLane64, "iv:", 3, ClassStore, 0, "stores one lane of 64 bits"},
	OpV128Load32Zero:            {"v128.load32_zero", ImmMem32, "i:v", 10, ClassLoad, 0, "loads 32 bits into the first lane, zeros elsewhere"},
	OpV128Load64Zero:            {"v128.load64_zero", ImmMem64, "i:v", 10, ClassLoad, 0, "loads 64 bits into the first lane, zeros elsewhere"},
	OpF32x4DemoteF64x2Zero:      {"f32x4.demote_f64x2_zero", ImmNone, "v:v", 5, ClassVector, 0, "two doubles to single precision, zeros in the upper lanes"},
	OpF64x2PromoteLowF32x4:      {"f64x2.promote_low_f32x4", ImmNone, "v:v", 5, ClassVector, 0, "the two lower singles to double precision"},
	OpI8x16Abs:                  {"i8x16.abs", ImmNone, "v:v", 8, ClassVector, 0, "absolute value of each lane"},
	OpI8x16Neg:                  {"i8x16.neg", ImmNone, "v:v", 8, ClassVector, 0, "negates each lane"},
	OpI8x16Popcnt:               {"i8x16.popcnt", ImmNone, "v:v", 8, ClassVector, 0, "counts one bits of each lane"},
	OpI8x16AllTrue:              {"i8x16.all_true", ImmNone, "v:i", 3, ClassVector, 0, "1 if no lane is zero, else 0"},
	OpI8x16Bitmask:              {"i8x16.bitmask", ImmNone, "v:i", 6, ClassVector, 0, "the sign bits of the lanes as an integer"},
	OpI8x16NarrowI16x8S:         {"i8x16.narrow_i16x8_s", ImmNone, "vv:v", 10, ClassVector, 0, "lanes of both operands to signed bytes, clamped"},
	OpI8x16NarrowI16x8U:         {"i8x16.narrow_i16x8_u", ImmNone, "vv:v", 10, ClassVector, 0, "lanes of both operands to unsigned bytes, clamped"},
	OpF32x4Ceil:                 {"f32x4.ceil", ImmNone, "v:v", 10, ClassVector, 0, "rounds each lane up"},
	OpF32x4Floor:                {"f32x4.floor", ImmNone, "v:v", 10, ClassVector, 0, "rounds each lane down"},
	OpF32x4Trunc:                {"f32x4.trunc", ImmNone, "v:v", 10, ClassVector, 0, "rounds each lane towards zero"},
	OpF32x4Nearest:              {"f32x4.nearest", ImmNone, "v:v", 10, ClassVector, 0, "rounds each lane to the nearest integer, ties to even"},
	OpI8x16Shl:                  {"i8x16.shl", ImmNone, "vi:v", 8, ClassVector, 0, "shifts each lane left, count modulo 8"},
	OpI8x16ShrS:                 {"i8x16.shr_s", ImmNone, "vi:v", 8, ClassVector, 0, "shifts each lane right and keeps its sign, count modulo 8"},
	OpI8x16ShrU:                 {"i8x16.shr_u", ImmNone, "vi:v", 8, ClassVector, 0, "shifts each lane right with zeros, count modulo 8"},
	OpI8x16Add:                  {"i8x16.add", ImmNone, "vv:v", 8, ClassVector, 0, "sum of lanes"},
	OpI8x16AddSatS:              {"i8x16.add_sat_s", ImmNone, "vv:v", 10, ClassVector, 0, "sum of lanes, signed, clamped"},
	OpI8x16AddSatU:              {"i8x16.add_sat_u", ImmNone, "vv:v", 10, ClassVector, 0, "sum of lanes, unsigned, clamped"},
	OpI8x16Sub:                  {"i8x16.sub", ImmNone, "vv:v", 8, ClassVector, 0, "difference of lanes"},
	OpI8x16SubSatS:              {"i8x16.sub_sat_s", ImmNone, "vv:v", 10, ClassVector, 0, "difference of lanes, signed, clamped"},
	OpI8x16SubSatU:              {"i8x16.sub_sat_u", ImmNone, "vv:v", 10, ClassVector, 0, "difference of lanes, unsigned, clamped"},
	OpF64x2Ceil:                 {"f64x2.ceil", ImmNone, "v:v", 6, ClassVector, 0, "rounds each lane up"},
	OpF64x2Floor:                {"f64x2.floor", ImmNone, "v:v", 6, ClassVector, 0, "rounds each lane down"},
	OpI8x16MinS:                 {"i8x16.min_s", ImmNone, "vv:v", 8, ClassVector, 0, "the smaller of lanes, signed"},
	OpI8x16MinU:                 {"i8x16.min_u", ImmNone, "vv:v", 8, ClassVector, 0, "the smaller of lanes, unsigned"},
	OpI8x16MaxS:                 {"i8x16.max_s", ImmNone, "vv:v", 8, ClassVector, 0, "the larger of lanes, signed"},
	OpI8x16MaxU:                 {"i8x16.max_u", ImmNone, "vv:v", 8, ClassVector, 0, "the larger of lanes, unsigned"},
	OpF64x2Trunc:                {"f64x2.trunc", ImmNone, "v:v", 6, ClassVector, 0, "rounds each lane towards zero"},
	OpI8x16AvgrU:                {"i8x16.avgr_u", ImmNone, "vv:v", 8, ClassVector, 0, "average of unsigned lanes, rounded up"},
	OpI16x8ExtaddPairwiseI8x16S: {"i16x8.extadd_pairwise_i8x16_s", ImmNone, "v:v", 8, ClassVector, 0, "sums of neighbouring signed lanes in wider ones"},
	OpI16x8ExtaddPairwiseI8x16U: {"i16x8.extadd_pairwise_i8x16_u", ImmNone, "v:v", 8, ClassVector, 0, "sums of neighbouring unsigned lanes in wider ones"},
	OpI32x4ExtaddPairwiseI16x8S: {"i32x4.extadd_pairwise_i16x8_s", ImmNone, "v:v", 6, ClassVector, 0, "sums of neighbouring signed lanes in wider ones"},
	OpI32x4ExtaddPairwiseI16x8U: {"i32x4.extadd_pairwise_i16x8_u", ImmNone, "v:v", 6, ClassVector, 0, "sums of neighbouring unsigned lanes in wider ones"},
	OpI16x8Abs:                  {"i16x8.abs", ImmNone, "v:v", 6, ClassVector, 0, "absolute value of each lane"},
	OpI16x8Neg:                  {"i16x8.neg", ImmNone, "v:v", 6, ClassVector, 0, "negates each lane"},
	OpI16x8Q15mulrSatS:          {"i16x8.q15mulr_sat_s", ImmNone, "vv:v", 9, ClassVector, 0, "rounded product of Q15 fixed-point lanes, clamped"},
	OpI16x8AllTrue:              {"i16x8.all_true", ImmNone, "v:i", 3, ClassVector, 0, "1 if no lane is zero, else 0"},
	OpI16x8Bitmask:              {"i16x8.bitmask", ImmNone, "v:i", 5, ClassVector, 0, "the sign bits of the lanes as an integer"},
	OpI16x8NarrowI32x4S:         {"i16x8.narrow_i32x4_s", ImmNone, "vv:v", 8, ClassVector, 0, "lanes of both operands to signed 16 bits, clamped"},
	OpI16x8NarrowI32x4U:         {"i16x8.narrow_i32x4_u", ImmNone, "vv:v", 8, ClassVector, 0, "lanes of both operands to unsigned 16 bits, clamped"},
	OpI16x8ExtendLowI8x16S:      {"i16x8.extend_low_i8x16_s", ImmNone, "v:v", 5, ClassVector, 0, "the lower lanes widened, signed"},
	OpI16x8ExtendHighI8x16S:     {"i16x8.extend_high_i8x16_s", ImmNone, "v:v", 5, ClassVector, 0, "the upper lanes widened, signed"},
	OpI16x8ExtendLowI8x16U:      {"i16x8.extend_low_i8x16_u", ImmNone, "v:v", 5, ClassVector, 0, "the lower lanes widened, unsigned"},
	OpI16x8ExtendHighI8x16U:     {"i16x8.extend_high_i8x16_u", ImmNone, "v:v", 5, ClassVector, 0, "the upper lanes widened, unsigned"},
	OpI16x8Shl:                  {"i16x8.shl", ImmNone, "vi:v", 6, ClassVector, 0, "shifts each lane left, count modulo 16"},
	OpI16x8ShrS:                 {"i16x8.shr_s", ImmNone, "vi:v", 6, ClassVector, 0, "shifts each lane right and keeps its sign, count modulo 16"},
	OpI16x8ShrU:                 {"i16x8.shr_u", ImmNone, "vi:v", 6, ClassVector, 0, "shifts each lane right with zeros, count modulo 16"},
	OpI16x8Add:                  {"i16x8.add", ImmNone, "vv:v", 6, ClassVector, 0, "sum of lanes"},
	OpI16x8AddSatS:              {"i16x8.add_sat_s", ImmNone, "vv:v", 8, ClassVector, 0, "sum of lanes, signed, clamped"},
	OpI16x8AddSatU:              {"i16x8.add_sat_u", ImmNone, "vv:v", 8, ClassVector, 0, "sum of lanes, unsigned, clamped"},
	OpI16x8Sub:                  {"i16x8.sub", ImmNone, "vv:v", 6, ClassVector, 0, "difference of lanes"},
	OpI16x8SubSatS:              {"i16x8.sub_sat_s", ImmNone, "vv:v", 8, ClassVector, 0, "difference of lanes, signed, clamped"},
	OpI16x8SubSatU:              {"i16x8.sub_sat_u", ImmNone, "vv:v", 8, ClassVector, 0, "difference of lanes, unsigned, clamped"},
	OpF64x2Nearest:              {"f64x2.nearest", ImmNone, "v:v", 6, ClassVector, 0, "rounds each lane to the nearest integer, ties to even"},
	OpI16x8Mul:                  {"i16x8.mul", ImmNone, "vv:v", 6, ClassVector, 0, "product of lanes"},
	OpI16x8MinS:                 {"i16x8.min_s", ImmNone, "vv:v", 6, ClassVector, 0, "the smaller of lanes, signed"},
	OpI16x8MinU:                 {"i16x8.min_u", ImmNone, "vv:v", 6, ClassVector, 0, "the smaller of lanes, unsigned"},
	OpI16x8MaxS:                 {"i16x8.max_s", ImmNone, "vv:v", 6, ClassVector, 0, "the larger of lanes, signed"},
	OpI16x8MaxU:                 {"i16x8.max_u", ImmNone, "vv:v", 6, ClassVector, 0, "the larger of lanes, unsigned"},
	OpI16x8AvgrU:                {"i16x8.avgr_u", ImmNone, "vv:v", 6, ClassVector, 0, "average of unsigned lanes, rounded up"},
	OpI16x8ExtmulLowI8x16S:      {"i16x8.extmul_low_i8x16_s", ImmNone, "vv:v", 6, ClassVector, 0, "product of the lower lanes in wider ones, signed"},
	OpI16x8ExtmulHighI8x16S:     {"i16x8.extmul_high_i8x16_s", ImmNone, "vv:v", 6, ClassVector, 0, "product of the upper lanes in wider ones, signed"},
	OpI16x8ExtmulLowI8x16U:      {"i16x8.extmul_low_i8x16_u", ImmNone, "vv:v", 6, ClassVector, 0, "product of the lower lanes in wider ones, unsigned"},
	OpI16x8ExtmulHighI8x16U:     {"i16x8.extmul_high_i8x16_u", ImmNone, "vv:v", 6, ClassVector, 0, "product of the upper lanes in wider ones, unsigned"},
	OpI32x4Abs:                  {"i32x4.abs", ImmNone, "v:v", 4, ClassVector, 0, "absolute value of each lane"},
	OpI32x4Neg:                  {"i32x4.neg", ImmNone, "v:v", 4, ClassVector, 0, "negates each lane"},
	OpI32x4AllTrue:              {"i32x4.all_true", ImmNone, "v:i", 3, ClassVector, 0, "1 if no lane is zero, else 0"},
	OpI32x4Bitmask:              {"i32x4.bitmask", ImmNone, "v:i", 4, ClassVector, 0, "the sign bits of the lanes as an integer"},
	OpI32x4ExtendLowI16x8S:      {"i32x4.extend_low_i16x8_s", ImmNone, "v:v", 4, ClassVector, 0, "the lower lanes widened, signed"},
	OpI32x4ExtendHighI16x8S:     {"i32x4.extend_high_i16x8_s", ImmNone, "v:v", 4, ClassVector, 0, "the upper lanes widened, signed"},
	OpI32x4ExtendLowI16x8U:      {"i32x4.extend_low_i16x8_u", ImmNone, "v:v", 4, ClassVector, 0, "the lower lanes widened, unsigned"},
	OpI32x4ExtendHighI16x8U:     {"i32x4.extend_high_i16x8_u", ImmNone, "v:v", 4, ClassVector, 0, "the upper lanes widened, unsigned"},
	OpI32x4Shl:                  {"i32x4.shl", ImmNone, "vi:v", 4, ClassVector, 0, "shifts each lane left, count modulo 32"},
	OpI32x4ShrS:                 {"i32x4.shr_s", ImmNone, "vi:v", 4, ClassVector, 0, "shifts each lane right and keeps its sign, count modulo 32"},
	OpI32x4ShrU:                 {"i32x4.shr_u", ImmNone, "vi:v", 4, ClassVector, 0, "shifts each lane right with zeros, count modulo 32"},
	OpI32x4Add:                  {"i32x4.add", ImmNone, "vv:v", 4, ClassVector, 0, "sum of lanes"},
	OpI32x4Sub:                  {"i32x4.sub", ImmNone, "vv:v", 4, ClassVector, 0, "difference of lanes"},
	OpI32x4Mul:                  {"i32x4.mul", ImmNone, "vv:v", 4, ClassVector, 0, "product of lanes"},
	OpI32x4MinS:                 {"i32x4.min_s", ImmNone, "vv:v", 4, ClassVector, 0, "the smaller of lanes, signed"},
	OpI32x4MinU:                 {"i32x4.min_u", ImmNone, "vv:v", 4, ClassVector, 0, "the smaller of lanes, unsigned"},
	OpI32x4MaxS:                 {"i32x4.max_s", ImmNone, "vv:v", 4, ClassVector, 0, "the larger of lanes, signed"},
	OpI32x4MaxU:                 {"i32x4.max_u", ImmNone, "vv:v", 4, ClassVector, 0, "the larger of lanes, unsigned"},
	OpI32x4DotI16x8S:            {"i32x4.dot_i16x8_s", ImmNone, "vv:v", 6, ClassVector, 0, "products of signed lanes, neighbours summed"},
	OpI32x4ExtmulLowI16x8S:      {"i32x4.extmul_low_i16x8_s", ImmNone, "vv:v", 5, ClassVector, 0, "product of the lower lanes in wider ones, signed"},
	OpI32x4ExtmulHighI16x8S:     {"i32x4.extmul_high_i16x8_s", ImmNone, "vv:v", 5, ClassVector, 0, "product of the upper lanes in wider ones, signed"},
	OpI32x4ExtmulLowI16x8U:      {"i32x4.extmul_low_i16x8_u", ImmNone, "vv:v", 5, ClassVector, 0, "product of the lower lanes in wider ones, unsigned"},
	OpI32x4ExtmulHighI16x8U:     {"i32x4.extmul_high_i16x8_u", ImmNone, "vv:v", 5, ClassVector, 0, "product of the upper lanes in wider ones, unsigned"},
	OpI64x2Abs:                  {"i64x2.abs", ImmNone, "v:v", 4, ClassVector, 0, "absolute value of each lane"},
	OpI64x2Neg:                  {"i64x2.neg", ImmNone, "v:v", 4, ClassVector, 0, "negates each lane"},
	OpI64x2AllTrue:              {"i64x2.all_true", ImmNone, "v:i", 4, ClassVector, 0, "1 if no lane is zero, else 0"},
	OpI64x2Bitmask:              {"i64x2.bitmask", ImmNone, "v:i", 3, ClassVector, 0, "the sign bits of the lanes as an integer"},
	OpI64x2ExtendLowI32x4S:      {"i64x2.extend_low_i32x4_s", ImmNone, "v:v", 4, ClassVector, 0, "the lower lanes widened, signed"},
	OpI64x2ExtendHighI32x4S:     {"i64x2.extend_high_i32x4_s", ImmNone, "v:v", 4, ClassVector, 0, "the upper lanes widened, signed"},
	OpI64x2ExtendLowI32x4U:      {"i64x2.extend_low_i32x4_u", ImmNone, "v:v", 4, ClassVector, 0, "the lower lanes widened, unsigned"},
	OpI64x2ExtendHighI32x4U:     {"i64x2.extend_high_i32x4_u", ImmNone, "v:v", 4, ClassVector, 0, "the upper lanes widened, unsigned"},
	OpI64x2Shl:                  {"i64x2.shl", ImmNone, "vi:v", 3, ClassVector, 0, "shifts each lane left, count modulo 64"},
	OpI64x2ShrS:                 {"i64x2.shr_s", ImmNone, "vi:v", 3, ClassVector, 0, "shifts each lane right and keeps its sign, count modulo 64"},
	OpI64x2ShrU:                 {"i64x2.shr_u", ImmNone, "vi:v", 3, ClassVector, 0, "shifts each lane right with zeros, count modulo 64"},
	OpI64x2Add:                  {"i64x2.add", ImmNone, "vv:v", 3, ClassVector, 0, "sum of lanes"},
	OpI64x2Sub:                  {"i64x2.sub", ImmNone, "vv:v", 3, ClassVector, 0, "difference of lanes"},
	OpI64x2Mul:                  {"i64x2.mul", ImmNone, "vv:v", 3, ClassVector, 0, "product of lanes"},
	OpI64x2Eq:                   {"i64x2.eq", ImmNone, "vv:v", 3, ClassVector, 0, "lanes of ones where equal"},
	OpI64x2Ne:                   {"i64x2.ne", ImmNone, "vv:v", 3, ClassVector, 0, "lanes of ones where not equal"},
	OpI64x2LtS:                  {"i64x2.lt_s", ImmNone, "vv:v", 3, ClassVector, 0, "lanes of ones where less, signed"},
	OpI64x2GtS:                  {"i64x2.gt_s", ImmNone, "vv:v", 3, ClassVector, 0, "lanes of ones where greater, signed"},
	OpI64x2LeS:                  {"i64x2.le_s", ImmNone, "vv:v", 3, ClassVector, 0, "lanes of ones where less or equal, signed"},
	OpI64x2GeS:                  {"i64x2.ge_s", ImmNone, "vv:v", 3, ClassVector, 0, "lanes of ones where greater or equal, signed"},
	OpI64x2ExtmulLowI32x4S:      {"i64x2.extmul_low_i32x4_s", ImmNone, "vv:v", 4, ClassVector, 0, "product of the lower lanes in wider ones, signed"},
	OpI64x2ExtmulHighI32x4S:     {"i64x2.extmul_high_i32x4_s", ImmNone, "vv:v", 4, ClassVector, 0, "product of the upper lanes in wider ones, signed"},
	OpI64x2ExtmulLowI32x4U:      {"i64x2.extmul_low_i32x4_u", ImmNone, "vv:v", 4, ClassVector, 0, "product of the lower lanes in wider ones, unsigned"},
	OpI64x2ExtmulHighI32x4U:     {"i64x2.extmul_high_i32x4_u", ImmNone, "vv:v", 4, ClassVector, 0, "product of the upper lanes in wider ones, unsigned"},
	OpF32x4Abs:                  {"f32x4.abs", ImmNone, "v:v", 4, ClassVector, 0, "clears the sign bit of each lane"},
	OpF32x4Neg:                  {"f32x4.neg", ImmNone, "v:v", 4, ClassVector, 0, "flips the sign bit of each lane"},
	OpF32x4Sqrt:                 {"f32x4.sqrt", ImmNone, "v:v", 36, ClassVector, 0, "square root of each lane"},
	OpF32x4Add:                  {"f32x4.add", ImmNone, "vv:v", 8, ClassVector, 0, "sum of lanes"},
	OpF32x4Sub:                  {"f32x4.sub", ImmNone, "vv:v", 8, ClassVector, 0, "difference of lanes"},
	OpF32x4Mul:                  {"f32x4.mul", ImmNone, "vv:v", 8, ClassVector, 0, "product of lanes"},
	OpF32x4Div:                  {"f32x4.div", ImmNone, "vv:v", 20, ClassVector, 0, "quotient of lanes"},
	OpF32x4Min:                  {"f32x4.min", ImmNone, "vv:v", 12, ClassVector, 0, "the smaller of lanes; NaN if either is"},
	OpF32x4Max:                  {"f32x4.max", ImmNone, "vv:v", 12, ClassVector, 0, "the larger of lanes; NaN if either is"},
	OpF32x4Pmin:                 {"f32x4.pmin", ImmNone, "vv:v", 8, ClassVector, 0, "the second where it is less than the first, else the first"},
	OpF32x4Pmax:                 {"f32x4.pmax", ImmNone, "vv:v", 8, ClassVector, 0, "the second where the first is less than it, else the first"},
	OpF64x2Abs:                  {"f64x2.abs", ImmNone, "v:v", 4, ClassVector, 0, "clears the sign bit of each lane"},
	OpF64x2Neg:                  {"f64x2.neg", ImmNone, "v:v", 4, ClassVector, 0, "flips the sign bit of each lane"},
	OpF64x2Sqrt:                 {"f64x2.sqrt", ImmNone, "v:v", 18, ClassVector, 0, "square root of each lane"},
	OpF64x2Add:                  {"f64x2.add", ImmNone, "vv:v", 4, ClassVector, 0, "sum of lanes"},
	OpF64x2Sub:                  {"f64x2.sub", ImmNone, "vv:v", 4, ClassVector, 0, "difference of lanes"},
	OpF64x2Mul:                  {"f64x2.mul", ImmNone, "vv:v", 4, ClassVector, 0, "product of lanes"},
	OpF64x2Div:                  {"f64x2.div", ImmNone, "vv:v", 10, ClassVector, 0, "quotient of lanes"},
	OpF64x2Min:                  {"f64x2.min", ImmNone, "vv:v", 6, ClassVector, 0, "the smaller of lanes; NaN if either is"},
	OpF64x2Max:                  {"f64x2.max", ImmNone, "vv:v", 6, ClassVector, 0, "the larger of lanes; NaN if either is"},
	OpF64x2Pmin:                 {"f64x2.pmin", ImmNone, "vv:v", 4, ClassVector, 0, "the second where it is less than the first, else the first"},
	OpF64x2Pmax:                 {"f64x2.pmax", ImmNone, "vv:v", 4, ClassVector, 0, "the second where the first is less than it, else the first"},
	OpI32x4TruncSatF32x4S:       {"i32x4.trunc_sat_f32x4_s", ImmNone, "v:v", 20, ClassVector, 0, "lanes to signed integers, clamped; NaN gives 0"},
	OpI32x4TruncSatF32x4U:       {"i32x4.trunc_sat_f32x4_u", ImmNone, "v:v", 20, ClassVector, 0, "lanes to unsigned integers, clamped; NaN gives 0"},
	OpF32x4ConvertI32x4S:        {"f32x4.convert_i32x4_s", ImmNone, "v:v", 6, ClassVector, 0, "the nearest floats of signed lanes"},
	OpF32x4ConvertI32x4U:        {"f32x4.convert_i32x4_u", ImmNone, "v:v", 6, ClassVector, 0, "the nearest floats of unsigned lanes"},
	OpI32x4TruncSatF64x2SZero:   {"i32x4.trunc_sat_f64x2_s_zero", ImmNone, "v:v", 20, ClassVector, 0, "two lanes to signed integers, clamped, zeros in the upper lanes; NaN gives 0"},
	OpI32x4TruncSatF64x2UZero:   {"i32x4.trunc_sat_f64x2_u_zero", ImmNone, "v:v", 20, ClassVector, 0, "two lanes to unsigned integers, clamped, zeros in the upper lanes; NaN gives 0"},
	OpF64x2ConvertLowI32x4S:     {"f64x2.convert_low_i32x4_s", ImmNone, "v:v", 4, ClassVector, 0, "the floats of the two lower signed lanes"},
	OpF64x2ConvertLowI32x4U:     {"f64x2.convert_low_i32x4_u", ImmNone, "v:v", 4, ClassVector, 0, "the floats of the two lower unsigned lanes"},
}
