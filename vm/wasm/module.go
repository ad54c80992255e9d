// Package wasm reads, validates and prints the WebAssembly binary format and holds the table of all
// opcodes; it must never know how code is run, where a module came from, or what an import means.
package wasm

import (
	"iter"
	"sync"
)

// The limits of the format that go beyond the specification's own. Decode answers with an Error of
// kind Limit when a module exceeds one.
const (
	MaxModuleBytes = 64 << 20
	MaxLocals      = 50_000  // parameters and locals of a function
	MaxFrameSlots  = 65_535  // 64-bit slots of parameters, locals and operands of a function
	MaxArity       = 1_000   // parameters, or results, of a function or block type
	MaxEntries     = 100_000 // entries of each section: types, imports, functions, globals, exports, segments, ...
	MaxNesting     = 65_535  // blocks open at the same time, the function's own included
	MaxPages       = 65_536  // pages of a memory; this one is the specification's
)

// PageSize is the size of a memory page in bytes.
const PageSize = 64 << 10

// Module is a decoded and validated module. It is immutable as far as anybody can see, and may be shared by any number of
// goroutines. All offsets in it count from the start of Bytes.
//
// The index spaces (functions, tables, memories, globals) hold the imported entries first.
type Module struct {
	Bytes    []byte   // the whole module, not copied: the caller must not change it
	Features Features // what Decode accepted beyond core 2.0

	Types     []FuncType
	Imports   []Import
	FuncTypes []uint32 // type index of every function
	Tables    []TableType
	Mems      []MemType
	Globals   []Global
	Exports   []Export // in the module's order
	Start     int32    // index of the start function, -1 if there is none
	Elems     []Elem
	Datas     []Data
	Code      []Body // defined functions only: function NumImportedFuncs+i has Code[i]

	NumImportedFuncs, NumImportedTables, NumImportedMems, NumImportedGlobals uint32

	dataCount    uint32
	hasDataCount bool
	slotTypes    []FuncType // Types slot by slot, a v128 twice; Types itself if there are none
	names        nameIndex
	hashed       sync.Once
	hash         [32]byte
}

// Import is one import. Index is its place in its own index space; for a function that is also the
// index into FuncTypes.
type Import struct {
	Module, Name string
	Kind         ExternKind
	Index        uint32
}

// Export is one export; Index counts in the index space of Kind.
type Export struct {
	Name  string
	Kind  ExternKind
	Index uint32

	nameOff uint32 // where Name stands in Bytes
}

// Global is a global's type and, where the module defines it, its initial value.
type Global struct {
	GlobalType
	Init ConstExpr // empty (Off == End) for an imported global
}

// ConstExpr is a validated constant expression, Bytes[Off:End] with its final end opcode.
type ConstExpr struct {
	Off, End uint32
}

// SegMode says when a data or element segment is applied.
type SegMode byte

// The modes of segments.
const (
	SegActive SegMode = iota // copied at instantiation
	SegPassive
	SegDeclared // element segments only: makes its functions available to ref.func
)

// Elem is an element segment; Module.ElemItems reads its items from Bytes.
type Elem struct {
	Offset ConstExpr // active segments only
	Table  uint32
	Count  uint32
	items  uint32 // offset of the first item
	exprs  bool   // items are constant expressions, not function indices
	Type   ValType
	Mode   SegMode
}

// Data is a data segment: Bytes[Off:Off+Len]. It is kept small since a module may have 100,000.
type Data struct {
	Off, Len uint32
	Addr     uint32 // where it goes, if Fixed
	expr     uint32 // where the expression of an active segment's offset begins
	Mem      uint32
	Mode     SegMode
	Fixed    bool // it is active and its offset an i32.const
}

// DataOffset is where an active data segment goes.
func (m *Module) DataOffset(s *Data) ConstExpr {
	r := newReader(m, s.expr, s.Off)
	var in Instr
	for r.Next(&in) && in.Op != OpEnd {
	}
	return ConstExpr{Off: s.expr, End: in.Next}
}

// Body is the code of a defined function: Bytes[Off:End] is its expression with the final end opcode.
type Body struct {
	Off, End  uint32
	localsOff uint32 // offset of the local declarations, which end at Off
	NumLocals uint32 // declared locals; parameters are not among them

	LocalSlots uint32 // frame slots of parameters and locals
	FrameSlots uint32 // LocalSlots and the most slots that operands ever take; at most MaxFrameSlots
}

// LocalGroup is a run of N declared locals of one type.
type LocalGroup struct {
	N    uint32
	Type ValType
}

// Func returns the type of function fn and, unless it is imported, its code.
func (m *Module) Func(fn uint32) (*FuncType, *Body) {
	t := &m.Types[m.FuncTypes[fn]]
	if fn < m.NumImportedFuncs {
		return t, nil
	}
	return t, &m.Code[fn-m.NumImportedFuncs]
}

// LocalGroups iterates over the declared locals of a body in groups, as the module has them.
func (m *Module) LocalGroups(body *Body) iter.Seq[LocalGroup] {
	return func(yield func(LocalGroup) bool) {
		c := cursor{b: m.Bytes, pos: int(body.localsOff)}
		for n := c.fastU32(); n > 0; n-- {
			g := LocalGroup{N: c.fastU32()}
			g.Type = ValType(c.b[c.pos])
			c.pos++
			if !yield(g) {
				return
			}
		}
	}
}

// AppendLocals appends the types of a function's parameters and then of its locals, one by one.
func (m *Module) AppendLocals(dst []ValType, fn uint32) []ValType {
	t, body := m.Func(fn)
	dst = append(dst, t.Params...)
	if body == nil {
		return dst
	}
	for g := range m.LocalGroups(body) {
		for range g.N {
			dst = append(dst, g.Type)
		}
	}
	return dst
}

// BlockType resolves the type of a block.
func (m *Module) BlockType(bt BlockType) (params, results []ValType) {
	switch {
	case bt >= 0:
		t := &m.Types[bt]
		return t.Params, t.Results
	case bt == BlockEmpty:
		return nil, nil
	}
	t := ValType(bt & 0x7f)
	return nil, singleTypes[t : t+1]
}

// singleTypes[t] is t itself, so that a one-element list of any type is a slice of it.
var singleTypes = func() (a [128]ValType) {
	for i := range a {
		a[i] = ValType(i)
	}
	return a
}()
