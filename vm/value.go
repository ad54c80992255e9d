package vm

import (
	"fmt"
	"math"

	"github.com/kitwork/kwnode/vm/wasm"
)

// Value is one typed WebAssembly value as it crosses the host's boundary.
//
// Lo holds the bits of an i32 or f32 (upper half zero), i64 or f64, and lanes 0..7 bytes of a v128, whose upper half is
// Hi. A reference has Hi = 1, or 0 when it is null; Lo is the handle of an externref, and instance<<32|function of a
// funcref, with instance = HostInstance for a host function.
type Value struct {
	Type   wasm.ValType
	Lo, Hi uint64
}

// HostInstance stands where an instance's number would in a reference to a host function.
const HostInstance = 1<<31 - 1

// I32 makes an i32 value.
func I32(v int32) Value { return Value{Type: wasm.I32, Lo: uint64(uint32(v))} }

// I64 makes an i64 value.
func I64(v int64) Value { return Value{Type: wasm.I64, Lo: uint64(v)} }

// F32 makes an f32 value.
func F32(v float32) Value { return Value{Type: wasm.F32, Lo: uint64(math.Float32bits(v))} }

// F64 makes an f64 value.
func F64(v float64) Value { return Value{Type: wasm.F64, Lo: math.Float64bits(v)} }

// V128 makes a vector from its low and high 64 bits; lane 0 is in the low bits of lo.
func V128(lo, hi uint64) Value { return Value{Type: wasm.V128, Lo: lo, Hi: hi} }

// ExternRef makes a reference that is opaque to the program. The handle 2⁶⁴−1 isn't representable.
func ExternRef(handle uint64) Value { return Value{Type: wasm.ExternRef, Lo: handle, Hi: 1} }

// NullRef makes the null of a reference type.
func NullRef(t wasm.ValType) Value { return Value{Type: t} }

// I32 returns the value as a signed 32-bit number.
func (v Value) I32() int32 { return int32(uint32(v.Lo)) }

// U32 returns the value as an unsigned 32-bit number, which is what addresses and lengths are.
func (v Value) U32() uint32 { return uint32(v.Lo) }

// I64 returns the value as a signed 64-bit number.
func (v Value) I64() int64 { return int64(v.Lo) }

// F32 returns the value as a single-precision number.
func (v Value) F32() float32 { return math.Float32frombits(uint32(v.Lo)) }

// F64 returns the value as a double-precision number.
func (v Value) F64() float64 { return math.Float64frombits(v.Lo) }

// IsNull reports whether the value is a null reference.
func (v Value) IsNull() bool { return isRef(v.Type) && v.Hi == 0 }

// String prints the type and the value, for people.
func (v Value) String() string {
	switch v.Type {
	case wasm.I32:
		return fmt.Sprintf("i32:%d", v.I32())
	case wasm.I64:
		return fmt.Sprintf("i64:%d", v.I64())
	case wasm.F32:
		return fmt.Sprintf("f32:%v", v.F32())
	case wasm.F64:
		return fmt.Sprintf("f64:%v", v.F64())
	case wasm.V128:
		return fmt.Sprintf("v128:%016x%016x", v.Hi, v.Lo)
	}
	if v.Hi == 0 {
		return v.Type.String() + ":null"
	}
	if v.Type == wasm.FuncRef {
		return fmt.Sprintf("funcref:%d.%d", v.Lo>>32, uint32(v.Lo))
	}
	return fmt.Sprintf("externref:%d", v.Lo)
}

func isRef(t wasm.ValType) bool { return t == wasm.FuncRef || t == wasm.ExternRef }

// A reference in a slot, table or global is one word: 0 for null, otherwise a funcref is (instance+1)<<32 | function and
// an externref is its handle + 1. Null is 0 in both, so fresh memory is a table of nulls.

func (v Value) slots() (lo, hi uint64, err error) {
	switch v.Type {
	case wasm.I32, wasm.F32:
		return uint64(uint32(v.Lo)), 0, nil
	case wasm.I64, wasm.F64:
		return v.Lo, 0, nil
	case wasm.V128:
		return v.Lo, v.Hi, nil
	case wasm.FuncRef:
		if v.Hi == 0 {
			return 0, 0, nil
		}
		return v.Lo + 1<<32, 0, nil
	case wasm.ExternRef:
		if v.Hi == 0 {
			return 0, 0, nil
		}
		if v.Lo == math.MaxUint64 {
			return 0, 0, fmt.Errorf("externref handle 2^64-1 isn't representable, use a smaller one")
		}
		return v.Lo + 1, 0, nil
	}
	return 0, 0, fmt.Errorf("value has no WebAssembly type (%#x)", byte(v.Type))
}

func valueOf(t wasm.ValType, lo, hi uint64) Value {
	switch t {
	case wasm.I32, wasm.F32:
		return Value{Type: t, Lo: uint64(uint32(lo))}
	case wasm.V128:
		return Value{Type: t, Lo: lo, Hi: hi}
	case wasm.FuncRef:
		if lo == 0 {
			return Value{Type: t}
		}
		return Value{Type: t, Lo: lo - 1<<32, Hi: 1}
	case wasm.ExternRef:
		if lo == 0 {
			return Value{Type: t}
		}
		return Value{Type: t, Lo: lo - 1, Hi: 1}
	}
	return Value{Type: t, Lo: lo}
}
