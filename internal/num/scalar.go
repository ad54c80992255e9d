// Package num is WebAssembly arithmetic as pure functions over bits: scalar operations whose result or trap Go's own
// operators don't give, and every vector operation of core 2.0; it must never know of frames, memory, gas or modules.
//
// The interpreter calls it, and the compiler's results are checked against it, so it alone decides what a NaN looks
// like: wherever the specification lets an implementation choose among NaNs, the result is the positive canonical
// one, which is what makes a run the same on every processor.
//
// Floats travel as bits (uint32, uint64). A product is written float64(x*y): Go may otherwise fuse it with an
// addition it is inlined next to, on processors that have the instruction, and the result would differ there.
package num

import (
	"math"
	"math/bits"
)

// The positive canonical NaNs.
const (
	NaN32 uint32 = 0x7fc00000
	NaN64 uint64 = 0x7ff8000000000000
)

// Trap says why a scalar operation has no result.
type Trap uint8

const (
	OK                Trap = iota
	IntegerOverflow        // quotient or truncated float outside the result's range
	InvalidConversion      // truncation of a NaN
)

func (t Trap) String() string {
	switch t {
	case OK:
		return "ok"
	case IntegerOverflow:
		return "integer overflow"
	case InvalidConversion:
		return "invalid conversion to integer"
	}
	return "unknown"
}

// F32 and F64 turn bits into Go's floats; Bits32 and Bits64 turn a result into bits, any NaN into the canonical one.
func F32(b uint32) float32 { return math.Float32frombits(b) }
func F64(b uint64) float64 { return math.Float64frombits(b) }

func Bits32(f float32) uint32 {
	if f != f {
		return NaN32
	}
	return math.Float32bits(f)
}

func Bits64(f float64) uint64 {
	if f != f {
		return NaN64
	}
	return math.Float64bits(f)
}

func F32Add(a, b uint32) uint32 { return Bits32(F32(a) + F32(b)) }
func F32Sub(a, b uint32) uint32 { return Bits32(F32(a) - F32(b)) }
func F32Mul(a, b uint32) uint32 { return Bits32(float32(F32(a) * F32(b))) }
func F32Div(a, b uint32) uint32 { return Bits32(F32(a) / F32(b)) }
func F64Add(a, b uint64) uint64 { return Bits64(F64(a) + F64(b)) }
func F64Sub(a, b uint64) uint64 { return Bits64(F64(a) - F64(b)) }
func F64Mul(a, b uint64) uint64 { return Bits64(float64(F64(a) * F64(b))) }
func F64Div(a, b uint64) uint64 { return Bits64(F64(a) / F64(b)) }

// Go's min and max are WebAssembly's: a NaN wins, and -0 is less than +0.
func F32Min(a, b uint32) uint32 { return Bits32(min(F32(a), F32(b))) }
func F32Max(a, b uint32) uint32 { return Bits32(max(F32(a), F32(b))) }
func F64Min(a, b uint64) uint64 { return Bits64(min(F64(a), F64(b))) }
func F64Max(a, b uint64) uint64 { return Bits64(max(F64(a), F64(b))) }

// The single-precision forms go through float64: it holds every float32, and rounding a float32's integral part or
// its double-precision square root back is exact or correctly rounded.
func F32Ceil(a uint32) uint32    { return Bits32(float32(math.Ceil(float64(F32(a))))) }
func F32Floor(a uint32) uint32   { return Bits32(float32(math.Floor(float64(F32(a))))) }
func F32Trunc(a uint32) uint32   { return Bits32(float32(math.Trunc(float64(F32(a))))) }
func F32Nearest(a uint32) uint32 { return Bits32(float32(math.RoundToEven(float64(F32(a))))) }
func F32Sqrt(a uint32) uint32    { return Bits32(float32(math.Sqrt(float64(F32(a))))) }
func F64Ceil(a uint64) uint64    { return Bits64(math.Ceil(F64(a))) }
func F64Floor(a uint64) uint64   { return Bits64(math.Floor(F64(a))) }
func F64Trunc(a uint64) uint64   { return Bits64(math.Trunc(F64(a))) }
func F64Nearest(a uint64) uint64 { return Bits64(math.RoundToEven(F64(a))) }
func F64Sqrt(a uint64) uint64    { return Bits64(math.Sqrt(F64(a))) }

// abs, neg and copysign are operations on the sign bit: a NaN's payload passes through.
func F32Copysign(a, b uint32) uint32 { return a&^(1<<31) | b&(1<<31) }
func F64Abs(a uint64) uint64         { return a &^ (1 << 63) }
func F64Neg(a uint64) uint64         { return a ^ 1<<63 }
func F64Copysign(a, b uint64) uint64 { return a&^(1<<63) | b&(1<<63) }

// The pseudo-minimum and -maximum return one of their operands, bits kept.
func f32Pmin(a, b uint32) uint32 {
	if F32(b) < F32(a) {
		return b
	}
	return a
}

func f32Pmax(a, b uint32) uint32 {
	if F32(a) < F32(b) {
		return b
	}
	return a
}

func f64Pmin(a, b uint64) uint64 {
	if F64(b) < F64(a) {
		return b
	}
	return a
}

func f64Pmax(a, b uint64) uint64 {
	if F64(a) < F64(b) {
		return b
	}
	return a
}

func F32Demote(a uint64) uint32  { return Bits32(float32(F64(a))) }
func F64Promote(a uint32) uint64 { return Bits64(float64(F32(a))) }

func F32ConvertI32S(a uint32) uint32 { return math.Float32bits(float32(int32(a))) }
func F32ConvertI32U(a uint32) uint32 { return math.Float32bits(float32(a)) }
func F32ConvertI64U(a uint64) uint32 { return math.Float32bits(float32(a)) }
func F64ConvertI32S(a uint32) uint64 { return math.Float64bits(float64(int32(a))) }
func F64ConvertI32U(a uint32) uint64 { return math.Float64bits(float64(a)) }
func F64ConvertI64U(a uint64) uint64 { return math.Float64bits(float64(a)) }

// The truncations take a float64; a float32 operand is widened by the caller, which is exact (a NaN stays one).
// Each bound is the nearest float64 outside the range, so that the comparison itself is exact: below -2³¹ lies
// -2³¹-1, below -2⁶³ there is no float64 closer than 2048 away, and below 0 any fraction above -1 truncates to 0.

func I32TruncS(f float64) (uint32, Trap) {
	if f > -0x1p31-1 && f < 0x1p31 {
		return uint32(int32(f)), OK
	}
	return 0, truncTrap(f)
}

func I32TruncU(f float64) (uint32, Trap) {
	if f > -1 && f < 0x1p32 {
		return uint32(int64(f)), OK
	}
	return 0, truncTrap(f)
}

func I64TruncS(f float64) (uint64, Trap) {
	if f >= -0x1p63 && f < 0x1p63 {
		return uint64(int64(f)), OK
	}
	return 0, truncTrap(f)
}

func I64TruncU(f float64) (uint64, Trap) {
	if f > -1 && f < 0x1p64 {
		return truncU64(f), OK
	}
	return 0, truncTrap(f)
}

// truncU64 is the conversion for -1 < f < 2⁶⁴. Go leaves what uint64(f) gives for a negative f with no magnitude to
// the processor's taste only outside the range; the split keeps within what int64 holds on all of them.
func truncU64(f float64) uint64 {
	if f < 0x1p63 {
		return uint64(int64(f))
	}
	return uint64(int64(f-0x1p63)) | 1<<63
}

func truncTrap(f float64) Trap {
	if f != f {
		return InvalidConversion
	}
	return IntegerOverflow
}

// The saturating truncations: a NaN gives 0, what is out of range the nearest bound.

func I32TruncSatS(f float64) uint32 {
	switch {
	case f != f:
		return 0
	case f <= math.MinInt32:
		return 1 << 31
	case f >= math.MaxInt32:
		return math.MaxInt32
	}
	return uint32(int32(f))
}

func I32TruncSatU(f float64) uint32 {
	switch {
	case !(f > 0): // NaN too
		return 0
	case f >= math.MaxUint32:
		return math.MaxUint32
	}
	return uint32(int64(f))
}

func I64TruncSatS(f float64) uint64 {
	switch {
	case f != f:
		return 0
	case f < -0x1p63:
		return 1 << 63
	case f >= 0x1p63:
		return math.MaxInt64
	}
	return uint64(int64(f))
}

func I64TruncSatU(f float64) uint64 {
	switch {
	case !(f > 0): // NaN too
		return 0
	case f >= 0x1p64:
		return math.MaxUint64
	}
	return truncU64(f)
}

func I32Popcnt(a uint32) uint32 { return uint32(bits.OnesCount32(a)) }
func I64Popcnt(a uint64) uint64 { return uint64(bits.OnesCount64(a)) }
