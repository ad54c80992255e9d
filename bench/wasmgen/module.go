// Package wasmgen makes random valid WebAssembly modules from a seed, whose behaviour the specification
// fixes to the bit; it must not know which engines will run them.
//
// Every loop and every call takes a unit of fuel from a global, so that each export ends. NaNs are made
// canonical wherever the specification leaves their bits open.
package wasmgen

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/kitwork/kwnode/vm/wasm"
)

// Module is a generated module and what a caller has to know of it.
type Module struct {
	Wasm  []byte
	Calls []Call // exported functions, in the order of their names
}

// Call is an exported function whose parameters and results are numbers.
type Call struct {
	Name string
	Type wasm.FuncType
}

// The exports that every module has besides its Calls: its memory, and functions without parameters that
// return the values of all globals and the shape of the tables.
const (
	ExportMemory  = "memory"
	ExportGlobals = "globals"
	ExportTables  = "tables"
)

// fuel is what a call of an export may take: a unit for every loop iteration and function entry.
const fuel = 200

const minElems, maxElems = 12, 24

// gen holds what the functions of a module share.
type gen struct {
	rng     *rand.Rand
	open    bool // NaNs are seen as they are
	types   []wasm.FuncType
	funcs   []uint32 // type index of each function
	bodies  int      // the functions made at random come first, the exported ones after them
	leaves  []int    // those of them that are small
	globals []wasm.ValType
	tables  []wasm.ValType
	pages   int // of memory at the start, mostly 1
	datas   int
	elems   []wasm.ValType
	slots   []uint32 // functions in table 0 at the start
}

var numTypes = []wasm.ValType{wasm.I32, wasm.I64, wasm.F32, wasm.F64}

// Generate makes the module of a seed. What a program sees of a NaN that arithmetic made is the canonical one, so that
// engines can be compared that make others.
func Generate(seed uint64) *Module { return generate(seed, false) }

// GenerateOpen makes one that sees NaNs as the engine makes them, and in which more values are vectors: places where a
// compiler may leave a NaN as the processor made it, and must not.
func GenerateOpen(seed uint64) *Module { return generate(seed, true) }

func generate(seed uint64, open bool) *Module {
	g := &gen{rng: rand.New(rand.NewPCG(seed, 0x6b77)), open: open}
	g.pages = 1
	if g.chance(4) {
		g.pages = 6 // room for bulk operations that an engine divides
	}
	g.globals = []wasm.ValType{wasm.I32} // global 0 is the fuel
	for range 3 + g.rng.IntN(8) {
		g.globals = append(g.globals, g.anyType())
	}
	g.tables = []wasm.ValType{wasm.FuncRef, wasm.ExternRef, wasm.FuncRef}[:1+g.rng.IntN(3)]
	g.datas = 1 + g.rng.IntN(4)
	for range 1 + g.rng.IntN(3) {
		g.elems = append(g.elems, []wasm.ValType{wasm.FuncRef, wasm.FuncRef, wasm.ExternRef}[g.rng.IntN(3)])
	}
	for range 4 + g.rng.IntN(8) {
		g.types = append(g.types, g.anyFuncType())
	}
	g.types = append(g.types, wasm.FuncType{}, wasm.FuncType{Params: []wasm.ValType{wasm.I32}, Results: []wasm.ValType{wasm.I32}})
	g.bodies = 2 + g.rng.IntN(8)
	for i := range g.bodies {
		if g.chance(30) {
			g.leaves = append(g.leaves, i)
			g.funcs = append(g.funcs, g.leafType())
		} else {
			g.funcs = append(g.funcs, uint32(g.rng.IntN(len(g.types))))
		}
	}
	for range minElems {
		g.slots = append(g.slots, uint32(g.rng.IntN(g.bodies)))
	}
	return g.module()
}

func (g *gen) chance(percent int) bool { return g.rng.IntN(100) < percent }

func pick[T any](g *gen, from []T) T { return from[g.rng.IntN(len(from))] }

// anyType is mostly a number, at times a vector or a reference.
func (g *gen) anyType() wasm.ValType {
	if g.open && g.chance(30) {
		return wasm.V128
	}
	switch n := g.rng.IntN(20); {
	case n < 16:
		return numTypes[n%4]
	case n < 18:
		return wasm.V128
	case n == 18:
		return wasm.FuncRef
	}
	return wasm.ExternRef
}

func (g *gen) anyFuncType() wasm.FuncType {
	var t wasm.FuncType
	for range g.rng.IntN(5) {
		t.Params = append(t.Params, g.anyType())
	}
	for range g.rng.IntN(4) {
		t.Results = append(t.Results, g.anyType())
	}
	return t
}

// typeIndex returns the index of a type and adds it if it is new.
func (g *gen) typeIndex(t wasm.FuncType) uint32 {
	for i := range g.types {
		if g.types[i].Equal(&t) {
			return uint32(i)
		}
	}
	g.types = append(g.types, t)
	return uint32(len(g.types) - 1)
}

func (g *gen) module() *Module {
	out := &Module{}
	var bodies, exports []byte
	for i := range g.bodies {
		if slices.Contains(g.leaves, i) {
			bodies = appendSized(bodies, g.leafBody(g.types[g.funcs[i]]))
		} else {
			bodies = appendSized(bodies, g.randomBody(uint32(i)))
		}
	}
	export := func(name string, t wasm.FuncType, body []byte) {
		exports = append(appendSized(exports, []byte(name)), byte(wasm.ExternFunc))
		exports = uleb(exports, uint64(len(g.funcs)))
		g.funcs = append(g.funcs, g.typeIndex(t))
		bodies = appendSized(bodies, body)
	}
	for i := range g.bodies {
		t, body := g.entry(uint32(i))
		call := Call{Name: "f" + string(rune('a'+i)), Type: t}
		export(call.Name, t, body)
		out.Calls = append(out.Calls, call)
	}
	t, body := g.globalsFunc()
	export(ExportGlobals, t, body)
	t, body = g.tablesFunc()
	export(ExportTables, t, body)
	exports = append(appendSized(exports, []byte(ExportMemory)), byte(wasm.ExternMem), 0)

	b := []byte("\x00asm\x01\x00\x00\x00")
	var types, funcs []byte
	for _, t := range g.types {
		types = appendFuncType(types, t)
	}
	for _, t := range g.funcs {
		funcs = uleb(funcs, uint64(t))
	}
	b = section(b, 1, len(g.types), types)
	b = section(b, 3, len(g.funcs), funcs)
	b = g.tableSection(b)
	b = section(b, 5, 1, []byte{1, byte(g.pages), byte(g.pages + 2)})
	b = g.globalSection(b)
	b = section(b, 7, g.bodies+3, exports)
	if start := g.startFunc(); start >= 0 {
		b = appendSized(append(b, 8), uleb(nil, uint64(start)))
	}
	b = g.elemSection(b)
	b = appendSized(append(b, 12), uleb(nil, uint64(g.datas)))
	b = section(b, 10, len(g.funcs), bodies)
	out.Wasm = g.dataSection(b)
	return out
}

func (g *gen) tableSection(b []byte) []byte {
	var tables []byte
	for _, t := range g.tables {
		tables = append(tables, byte(t), 1, minElems, maxElems)
	}
	return section(b, 4, len(g.tables), tables)
}

func (g *gen) globalSection(b []byte) []byte {
	var globals []byte
	for i, t := range g.globals {
		globals = append(globals, byte(t), 1)
		if i == 0 {
			globals = sleb(append(globals, byte(wasm.OpI32Const)), fuel)
		} else {
			globals = g.constant(globals, t)
		}
		globals = append(globals, byte(wasm.OpEnd))
	}
	return section(b, 6, len(g.globals), globals)
}

// startFunc picks a function that may start the module, or -1.
func (g *gen) startFunc() int {
	if !g.chance(25) {
		return -1
	}
	for i := range g.bodies {
		if t := &g.types[g.funcs[i]]; len(t.Params)+len(t.Results) == 0 {
			return i
		}
	}
	return -1
}

// elemSection fills table 0, and has the passive segments behind that.
func (g *gen) elemSection(b []byte) []byte {
	elems := append([]byte{0, byte(wasm.OpI32Const), 0, byte(wasm.OpEnd)}, uleb(nil, uint64(len(g.slots)))...)
	for _, f := range g.slots {
		elems = uleb(elems, uint64(f))
	}
	// Declares every function for ref.func.
	elems = uleb(append(elems, 3, 0), uint64(g.bodies))
	for f := range g.bodies {
		elems = uleb(elems, uint64(f))
	}
	for _, t := range g.elems {
		n := g.rng.IntN(8)
		if t == wasm.ExternRef {
			n = 0 // wazero 1.12 takes such a segment for empty, so only an empty one has an oracle
		}
		elems = uleb(append(elems, 5, byte(t)), uint64(n))
		for range n {
			if t == wasm.FuncRef && g.chance(80) {
				elems = uleb(append(elems, byte(wasm.OpRefFunc)), uint64(g.rng.IntN(g.bodies)))
			} else {
				elems = append(elems, byte(wasm.OpRefNull), byte(t))
			}
			elems = append(elems, byte(wasm.OpEnd))
		}
	}
	return section(b, 9, 2+len(g.elems), elems)
}

// firstElem is the index of the first passive segment.
const firstElem = 2

func (g *gen) dataSection(b []byte) []byte {
	var datas []byte
	for i := range g.datas {
		content := make([]byte, g.rng.IntN(200))
		if g.pages > 1 {
			content = make([]byte, 20_000)
		}
		for j := range content {
			content[j] = byte(g.rng.Uint32())
		}
		if i%2 == 0 {
			datas = append(datas, 1)
		} else {
			datas = append(sleb(append(datas, 0, byte(wasm.OpI32Const)), int64(g.rng.IntN(g.pages<<16-len(content)))), byte(wasm.OpEnd))
		}
		datas = appendSized(datas, content)
	}
	return section(b, 11, g.datas, datas)
}

// Bit patterns at which operations change their behaviour.
var (
	interesting = []uint64{
		0, 1, 2, 7, 31, 32, 33, 63, 64, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32,
		1<<53 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 1, 1<<64 - 2, 0x8000800080008000, 0x7fff7fff7fff7fff, 0x807f80ff0100fe01,
	}
	// 0 to 3 in halves, 1 and 2^23 or 2^52 and neighbours, ends of integer ranges, infinities, NaNs, subnormals, ends of the range
	interesting32 = []uint64{
		0, 0x3f000000, 0x3f800000, 0x3fc00000, 0x40000000, 0x40200000, 0x40400000, 0x3f7fffff, 0x3f800001, 0x4affffff, 0x4b000000, 0x4b000001,
		0x4effffff, 0x4f000000, 0x4f7fffff, 0x4f800000, 0x5effffff, 0x5f000000, 0x5f800000, 0x7f800000, 0x7fc00000, 0x7fa00001, 0x7fffffff,
		1, 0x007fffff, 0x00800000, 0x7f7fffff,
	}
	interesting64 = []uint64{
		0, 0x3fe0000000000000, 0x3ff0000000000000, 0x3ff8000000000000, 0x4000000000000000, 0x4004000000000000, 0x4008000000000000,
		0x3fefffffffffffff, 0x3ff0000000000001, 0x432fffffffffffff, 0x4330000000000000, 0x4330000000000001,
		0x41dfffffffc00000, 0x41e0000000000000, 0x41e0000000200000, 0x41efffffffe00000, 0x41f0000000000000, 0x43dfffffffffffff, 0x43e0000000000000,
		0x43f0000000000000, 0x7ff0000000000000, 0x7ff8000000000000, 0x7ff4000000000001, 1, 0x000fffffffffffff, 0x0010000000000000,
		0x36a0000000000000, 0x380fffffe0000000, 0x47efffffe0000000, 0x47efffffefffffff, 0x47effffff0000000, 0x3ff0000010000000, 0x7fefffffffffffff,
	}
)

func (g *gen) bits(t wasm.ValType) uint64 {
	switch n := g.rng.IntN(8); {
	case n < 2:
		return g.rng.Uint64()
	case n < 3:
		return uint64(g.rng.IntN(100)) - 20
	case t == wasm.F32 && n < 7:
		return pick(g, interesting32) | uint64(g.rng.IntN(2))<<31
	case t == wasm.F64 && n < 7:
		return pick(g, interesting64) | uint64(g.rng.IntN(2))<<63
	case t == wasm.V128 && n < 5:
		return g.bits(wasm.F32)&(1<<32-1) | g.bits(wasm.F32)<<32
	case t == wasm.V128 && n < 7:
		return g.bits(wasm.F64)
	}
	return pick(g, interesting)
}

// constant appends an instruction that pushes a constant.
func (g *gen) constant(b []byte, t wasm.ValType) []byte {
	x := g.bits(t)
	switch t {
	case wasm.I32:
		return sleb(append(b, byte(wasm.OpI32Const)), int64(int32(x)))
	case wasm.I64:
		return sleb(append(b, byte(wasm.OpI64Const)), int64(x))
	case wasm.F32:
		return binary.LittleEndian.AppendUint32(append(b, byte(wasm.OpF32Const)), uint32(x))
	case wasm.F64:
		return binary.LittleEndian.AppendUint64(append(b, byte(wasm.OpF64Const)), x)
	case wasm.V128:
		b = binary.LittleEndian.AppendUint64(appendOp(b, wasm.OpV128Const), x)
		return binary.LittleEndian.AppendUint64(b, g.bits(t))
	}
	return append(b, byte(wasm.OpRefNull), byte(t))
}

// Argument makes an argument of a number type, as bits.
func Argument(rng *rand.Rand, t wasm.ValType) uint64 {
	x := (&gen{rng: rng}).bits(t)
	if t == wasm.I32 || t == wasm.F32 {
		return x & (1<<32 - 1)
	}
	return x
}
