package wasm

import "strings"

// ValType is the type of a value, numbered as the binary format numbers it.
type ValType byte

// The value types of core 2.0.
const (
	I32       ValType = 0x7f
	I64       ValType = 0x7e
	F32       ValType = 0x7d
	F64       ValType = 0x7c
	V128      ValType = 0x7b
	FuncRef   ValType = 0x70
	ExternRef ValType = 0x6f
)

// Slots is the number of 64-bit frame slots that a value of the type takes: two for a v128, else one.
func (t ValType) Slots() int {
	if t == V128 {
		return 2
	}
	return 1
}

// IsRef reports whether t is funcref or externref.
func (t ValType) IsRef() bool { return t == FuncRef || t == ExternRef }

// IsNum reports whether t is one of the four scalar number types.
func (t ValType) IsNum() bool { return t >= F64 && t <= I32 }

func (t ValType) valid() bool { return t >= V128 && t <= I32 || t.IsRef() }

func (t ValType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	}
	return "unknown"
}

// FuncType is a function's or a block's type.
type FuncType struct {
	Params, Results []ValType
}

// Equal reports whether both types are the same; WebAssembly compares function types by structure.
func (t *FuncType) Equal(u *FuncType) bool {
	return string(asBytes(t.Params)) == string(asBytes(u.Params)) && string(asBytes(t.Results)) == string(asBytes(u.Results))
}

func (t FuncType) String() string {
	var b strings.Builder
	writeTypes(&b, t.Params)
	b.WriteString(" -> ")
	writeTypes(&b, t.Results)
	return b.String()
}

func writeTypes(b *strings.Builder, ts []ValType) {
	b.WriteByte('(')
	for i, t := range ts {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.String())
	}
	b.WriteByte(')')
}

// SlotsOf is the number of frame slots of a list of values.
func SlotsOf(ts []ValType) int {
	n := len(ts)
	for _, t := range ts {
		if t == V128 {
			n++
		}
	}
	return n
}

// ExternKind says what an import or an export is.
type ExternKind byte

// The kinds of imports and exports.
const (
	ExternFunc ExternKind = iota
	ExternTable
	ExternMem
	ExternGlobal
)

func (k ExternKind) String() string {
	switch k {
	case ExternFunc:
		return "func"
	case ExternTable:
		return "table"
	case ExternMem:
		return "memory"
	case ExternGlobal:
		return "global"
	}
	return "unknown"
}

// Limits is the size range of a table (in elements) or of a memory (in pages of 64 KiB).
// Invariant: Max is meaningful only if HasMax, and then Min <= Max.
type Limits struct {
	Min, Max uint32
	HasMax   bool
}

// TableType is the type of a table.
type TableType struct {
	Elem ValType
	Limits
}

// MemType is the type of a memory.
type MemType struct {
	Limits
}

// GlobalType is the type of a global.
type GlobalType struct {
	Type    ValType
	Mutable bool
}

// BlockType is the type of a block, loop or if, as the format encodes it: BlockEmpty, a negative
// number for a single result, or a type index. Module.BlockType resolves it.
type BlockType int32

// BlockEmpty is the block type without parameters and results.
const BlockEmpty BlockType = -64
