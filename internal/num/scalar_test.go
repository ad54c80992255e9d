package num

import (
	"math"
	"math/big"
	"testing"
)

// f64s and f32s: zeros, ones, halves, subnormals, bounds of the integer types and their neighbours, infinities, NaNs
// (quiet and signalling, both signs).
var f64s = func() []uint64 {
	v := []uint64{NaN64, NaN64 | 1<<63, 0x7ff0000000000001, 0xfff4000000000000, 1, 1 << 63, 0x000fffffffffffff}
	for _, f := range []float64{0, 0.1, 0.5, 1, 1.5, 2, 2.5, 3.5, 4.5, math.Pi, 1e10, 1e300, 1e-300, math.Inf(1), math.MaxFloat64,
		0x1p31, 0x1p32, 0x1p63, 0x1p64, 0x1p52, 0x1p53, 0x1p23, 0x1p24, 0x1p52 + 0.5, 2147483647.5, 2147483648.9, 4294967295.5} {
		for _, g := range []float64{f, math.Nextafter(f, 0), math.Nextafter(f, math.Inf(1)), f + 1, f - 1} {
			v = append(v, math.Float64bits(g), math.Float64bits(-g))
		}
	}
	return v
}()

var f32s = func() []uint32 {
	v := []uint32{NaN32, NaN32 | 1<<31, 0x7f800001, 0xffa00000, 1, 1 << 31, 0x007fffff}
	for _, b := range f64s {
		f := float32(F64(b))
		if f == f {
			v = append(v, math.Float32bits(f), math.Float32bits(math.Nextafter32(f, 0)))
		}
	}
	return v
}()

// refAdd computes exactly and rounds once; what big.Float can't express (infinities, NaN, the signs of zeros)
// is spelt out.
func refAdd(a, b float64) float64 {
	if math.IsNaN(a) || math.IsNaN(b) || math.IsInf(a, 0) || math.IsInf(b, 0) {
		return a + b
	}
	if a == 0 && b == 0 {
		if math.Signbit(a) && math.Signbit(b) {
			return math.Copysign(0, -1)
		}
		return 0
	}
	f, _ := new(big.Float).SetPrec(3000).Add(big.NewFloat(a), big.NewFloat(b)).Float64()
	return f
}

func TestArithmeticIsCanonical(t *testing.T) {
	for _, a := range f64s {
		for _, b := range f64s {
			x, y := F64(a), F64(b)
			for name, c := range map[string][2]uint64{
				"add": {F64Add(a, b), canon(refAdd(x, y))},
				"sub": {F64Sub(a, b), canon(refAdd(x, -y))},
				"mul": {F64Mul(a, b), canon(x * y)},
				"div": {F64Div(a, b), canon(x / y)},
				"min": {F64Min(a, b), canon(math.Min(x, y))},
				"max": {F64Max(a, b), canon(math.Max(x, y))},
			} {
				// math.Min and Max let an infinity win over a NaN; WebAssembly lets the NaN.
				if (x != x || y != y) && c[1] != NaN64 {
					c[1] = NaN64
				}
				if c[0] != c[1] {
					t.Errorf("f64.%s(%x, %x) = %x, want %x", name, a, b, c[0], c[1])
				}
			}
		}
	}
	for _, a := range f32s {
		for _, b := range f32s {
			x, y := float64(F32(a)), float64(F32(b))
			for name, c := range map[string][2]uint32{
				// A double has more than twice a single's digits and two, so that rounding twice rounds as once.
				"add": {F32Add(a, b), canon32(x + y)},
				"sub": {F32Sub(a, b), canon32(x - y)},
				"mul": {F32Mul(a, b), canon32(x * y)},
				"div": {F32Div(a, b), canon32(x / y)},
				"min": {F32Min(a, b), canon32(math.Min(x, y))},
				"max": {F32Max(a, b), canon32(math.Max(x, y))},
			} {
				if x != x || y != y {
					c[1] = NaN32
				}
				if c[0] != c[1] {
					t.Errorf("f32.%s(%x, %x) = %x, want %x", name, a, b, c[0], c[1])
				}
			}
		}
	}
}

func canon(f float64) uint64 {
	if math.IsNaN(f) {
		return 0x7ff8000000000000
	}
	return math.Float64bits(f)
}

func canon32(f float64) uint32 {
	if math.IsNaN(f) {
		return 0x7fc00000
	}
	return math.Float32bits(float32(f))
}

// nearest by the definition: the integer at most half away, the even one of two.
func refNearest(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) || math.Abs(f) >= 0x1p52 {
		return f
	}
	l := math.Floor(f)
	r := l
	if d := f - l; d > 0.5 || d == 0.5 && math.Mod(l, 2) != 0 {
		r = l + 1
	}
	return math.Copysign(r, f)
}

func TestRounding(t *testing.T) {
	for _, a := range f64s {
		f := F64(a)
		for name, c := range map[string][2]uint64{
			"nearest": {F64Nearest(a), canon(refNearest(f))},
			"ceil":    {F64Ceil(a), canon(-math.Floor(-f))},
			"trunc":   {F64Trunc(a), canon(math.Copysign(math.Floor(math.Abs(f)), f))},
			"floor":   {F64Floor(a), canon(-math.Ceil(-f))},
			"sqrt":    {F64Sqrt(a), canon(math.Sqrt(f))},
			"abs":     {F64Abs(a), a & math.MaxInt64},
			"neg":     {F64Neg(a), a ^ 1<<63},
		} {
			if c[0] != c[1] {
				t.Errorf("f64.%s(%x) = %x, want %x", name, a, c[0], c[1])
			}
		}
	}
	for _, a := range f32s {
		f := float64(F32(a))
		for name, c := range map[string][2]uint32{
			"nearest": {F32Nearest(a), canon32(refNearest(f))},
			"ceil":    {F32Ceil(a), canon32(math.Ceil(f))},
			"floor":   {F32Floor(a), canon32(math.Floor(f))},
			"trunc":   {F32Trunc(a), canon32(math.Trunc(f))},
			"promote": {F32Demote(F64Promote(a)), canon32(f)},
			"sign":    {F32Copysign(a, 1<<31), a | 1<<31},
		} {
			if c[0] != c[1] {
				t.Errorf("f32.%s(%x) = %x, want %x", name, a, c[0], c[1])
			}
		}
	}
	if got := F32Sqrt(math.Float32bits(2)); got != 0x3fb504f3 {
		t.Errorf("f32.sqrt(2) = %x", got)
	}
}

// TestTruncation compares with exact integers.
func TestTruncation(t *testing.T) {
	type conv struct {
		name      string
		low, high string
		trap      func(float64) (uint64, Trap)
		sat       func(float64) uint64
	}
	w := func(f func(float64) (uint32, Trap)) func(float64) (uint64, Trap) {
		return func(x float64) (uint64, Trap) { v, t := f(x); return uint64(v), t }
	}
	ws := func(f func(float64) uint32) func(float64) uint64 {
		return func(x float64) uint64 { return uint64(f(x)) }
	}
	for _, c := range []conv{
		{"i32_s", "-2147483648", "2147483647", w(I32TruncS), ws(I32TruncSatS)},
		{"i32_u", "0", "4294967295", w(I32TruncU), ws(I32TruncSatU)},
		{"i64_s", "-9223372036854775808", "9223372036854775807", I64TruncS, I64TruncSatS},
		{"i64_u", "0", "18446744073709551615", I64TruncU, I64TruncSatU},
	} {
		low, _ := new(big.Int).SetString(c.low, 10)
		high, _ := new(big.Int).SetString(c.high, 10)
		mask := new(big.Int).SetUint64(math.MaxUint64)
		if c.name[:3] == "i32" {
			mask.SetUint64(math.MaxUint32)
		}
		bitsOf := func(i *big.Int) uint64 { return new(big.Int).And(i, mask).Uint64() }
		for _, b := range f64s {
			f := F64(b)
			var want, wantSat uint64
			trap := OK
			switch {
			case math.IsNaN(f):
				trap = InvalidConversion
			case math.IsInf(f, 0):
				trap, wantSat = IntegerOverflow, bitsOf(high)
				if f < 0 {
					wantSat = bitsOf(low)
				}
			default:
				i, _ := big.NewFloat(f).Int(nil)
				switch {
				case i.Cmp(low) < 0:
					trap, wantSat = IntegerOverflow, bitsOf(low)
				case i.Cmp(high) > 0:
					trap, wantSat = IntegerOverflow, bitsOf(high)
				default:
					want = bitsOf(i)
					wantSat = want
				}
			}
			if got, gotTrap := c.trap(f); got != want || gotTrap != trap {
				t.Errorf("trunc %s(%v) = %x, %v; want %x, %v", c.name, f, got, gotTrap, want, trap)
			}
			if got := c.sat(f); got != wantSat {
				t.Errorf("trunc_sat %s(%v) = %x, want %x", c.name, f, got, wantSat)
			}
		}
	}
}

func TestIntegerToFloat(t *testing.T) {
	r := newRand(t)
	for i := range 20000 {
		x := r.Uint64() >> r.IntN(64)
		if i < len(edges) {
			x = edges[i]
		}
		u := new(big.Float).SetUint64(x)
		u64, _ := u.Float64()
		u32, _ := u.Float32()
		if F64(F64ConvertI64U(x)) != u64 || F32(F32ConvertI64U(x)) != u32 {
			t.Fatalf("convert i64 %x", x)
		}
		s := new(big.Float).SetInt64(int64(int32(x)))
		u = new(big.Float).SetUint64(uint64(uint32(x)))
		s64, _ := s.Float64()
		u64, _ = u.Float64()
		s32, _ := s.Float32()
		u32, _ = u.Float32()
		y := uint32(x)
		if F64(F64ConvertI32S(y)) != s64 || F64(F64ConvertI32U(y)) != u64 || F32(F32ConvertI32S(y)) != s32 || F32(F32ConvertI32U(y)) != u32 {
			t.Fatalf("convert i32 %x", y)
		}
	}
}

// TestFloatLanes applies the scalar operations, tested above, lane by lane.
func TestFloatLanes(t *testing.T) {
	r := newRand(t)
	ops32 := map[uint16]func(a, b uint32) uint32{
		228: F32Add, 229: F32Sub, 230: F32Mul, 231: F32Div, 232: F32Min, 233: F32Max,
		234: func(a, b uint32) uint32 {
			if F32(b) < F32(a) {
				return b
			}
			return a
		},
		235: func(a, b uint32) uint32 {
			if F32(a) < F32(b) {
				return b
			}
			return a
		},
		65:  func(a, b uint32) uint32 { return uint32(fill64(F32(a) == F32(b))) },
		66:  func(a, b uint32) uint32 { return uint32(fill64(F32(a) != F32(b))) },
		67:  func(a, b uint32) uint32 { return uint32(fill64(F32(a) < F32(b))) },
		68:  func(a, b uint32) uint32 { return uint32(fill64(F32(a) > F32(b))) },
		69:  func(a, b uint32) uint32 { return uint32(fill64(F32(a) <= F32(b))) },
		70:  func(a, b uint32) uint32 { return uint32(fill64(F32(a) >= F32(b))) },
		103: func(a, _ uint32) uint32 { return F32Ceil(a) }, 104: func(a, _ uint32) uint32 { return F32Floor(a) },
		105: func(a, _ uint32) uint32 { return F32Trunc(a) }, 106: func(a, _ uint32) uint32 { return F32Nearest(a) },
		227: func(a, _ uint32) uint32 { return F32Sqrt(a) }, 224: func(a, _ uint32) uint32 { return a &^ (1 << 31) },
		225: func(a, _ uint32) uint32 { return a ^ 1<<31 },
		248: func(a, _ uint32) uint32 { return I32TruncSatS(float64(F32(a))) },
		249: func(a, _ uint32) uint32 { return I32TruncSatU(float64(F32(a))) },
		250: func(a, _ uint32) uint32 { return F32ConvertI32S(a) }, 251: func(a, _ uint32) uint32 { return F32ConvertI32U(a) },
	}
	ops64 := map[uint16]func(a, b uint64) uint64{
		240: F64Add, 241: F64Sub, 242: F64Mul, 243: F64Div, 244: F64Min, 245: F64Max,
		246: func(a, b uint64) uint64 {
			if F64(b) < F64(a) {
				return b
			}
			return a
		},
		247: func(a, b uint64) uint64 {
			if F64(a) < F64(b) {
				return b
			}
			return a
		},
		71:  func(a, b uint64) uint64 { return fill64(F64(a) == F64(b)) },
		72:  func(a, b uint64) uint64 { return fill64(F64(a) != F64(b)) },
		73:  func(a, b uint64) uint64 { return fill64(F64(a) < F64(b)) },
		74:  func(a, b uint64) uint64 { return fill64(F64(a) > F64(b)) },
		75:  func(a, b uint64) uint64 { return fill64(F64(a) <= F64(b)) },
		76:  func(a, b uint64) uint64 { return fill64(F64(a) >= F64(b)) },
		116: func(a, _ uint64) uint64 { return F64Ceil(a) }, 117: func(a, _ uint64) uint64 { return F64Floor(a) },
		122: func(a, _ uint64) uint64 { return F64Trunc(a) }, 148: func(a, _ uint64) uint64 { return F64Nearest(a) },
		239: func(a, _ uint64) uint64 { return F64Sqrt(a) }, 236: func(a, _ uint64) uint64 { return F64Abs(a) },
		237: func(a, _ uint64) uint64 { return F64Neg(a) },
	}
	for range 2000 {
		var a, b, c, d V128
		for i := range 4 {
			set(&a, 32, i, uint64(f32s[r.IntN(len(f32s))]))
			set(&b, 32, i, uint64(f32s[r.IntN(len(f32s))]))
		}
		for i := range 2 {
			c[i], d[i] = f64s[r.IntN(len(f64s))], f64s[r.IntN(len(f64s))]
		}
		for op, f := range ops32 {
			var want V128
			for i := range 4 {
				set(&want, 32, i, uint64(f(uint32(get(a, 32, i)), uint32(get(b, 32, i)))))
			}
			check(t, "f32x4", op, want, a, b, V128{})
		}
		for op, f := range ops64 {
			check(t, "f64x2", op, V128{f(c[0], d[0]), f(c[1], d[1])}, c, d, V128{})
		}
		p := func(x, y uint32) V128 { return V128{uint64(x) | uint64(y)<<32} }
		check(t, "demote", 94, p(F32Demote(c[0]), F32Demote(c[1])), c, d, V128{})
		check(t, "trunc_sat_f64x2_s", 252, p(I32TruncSatS(F64(c[0])), I32TruncSatS(F64(c[1]))), c, d, V128{})
		check(t, "trunc_sat_f64x2_u", 253, p(I32TruncSatU(F64(c[0])), I32TruncSatU(F64(c[1]))), c, d, V128{})
		x, y := uint32(a[0]), uint32(a[0]>>32)
		check(t, "promote", 95, V128{F64Promote(x), F64Promote(y)}, a, b, V128{})
		check(t, "convert_low_s", 254, V128{F64ConvertI32S(x), F64ConvertI32S(y)}, a, b, V128{})
		check(t, "convert_low_u", 255, V128{F64ConvertI32U(x), F64ConvertI32U(y)}, a, b, V128{})
	}
}
