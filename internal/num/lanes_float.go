package num

// Vector operations on floating-point lanes: the scalar ones applied to each, so they canonicalise alike.

func lo(x uint64) uint32 { return uint32(x) }
func hi(x uint64) uint32 { return uint32(x >> 32) }

func pair(l, h uint32) uint64 { return uint64(l) | uint64(h)<<32 }

func mask32(c bool) uint32 { return uint32(fill64(c)) }

// f32x4.

func f32x4Eq(d, a, b, _ *V128) {
	d[0], d[1] = f32Eq2(a[0], b[0]), f32Eq2(a[1], b[1])
}

func f32Eq2(x, y uint64) uint64 {
	return pair(mask32(F32(lo(x)) == F32(lo(y))), mask32(F32(hi(x)) == F32(hi(y))))
}

func f32x4Ne(d, a, b, _ *V128) {
	d[0], d[1] = f32Ne2(a[0], b[0]), f32Ne2(a[1], b[1])
}

func f32Ne2(x, y uint64) uint64 {
	return pair(mask32(F32(lo(x)) != F32(lo(y))), mask32(F32(hi(x)) != F32(hi(y))))
}

func f32x4Lt(d, a, b, _ *V128) {
	d[0], d[1] = f32Lt2(a[0], b[0]), f32Lt2(a[1], b[1])
}

func f32Lt2(x, y uint64) uint64 {
	return pair(mask32(F32(lo(x)) < F32(lo(y))), mask32(F32(hi(x)) < F32(hi(y))))
}

func f32x4Gt(d, a, b, _ *V128) {
	d[0], d[1] = f32Gt2(a[0], b[0]), f32Gt2(a[1], b[1])
}

func f32Gt2(x, y uint64) uint64 {
	return pair(mask32(F32(lo(x)) > F32(lo(y))), mask32(F32(hi(x)) > F32(hi(y))))
}

func f32x4Le(d, a, b, _ *V128) {
	d[0], d[1] = f32Le2(a[0], b[0]), f32Le2(a[1], b[1])
}

func f32Le2(x, y uint64) uint64 {
	return pair(mask32(F32(lo(x)) <= F32(lo(y))), mask32(F32(hi(x)) <= F32(hi(y))))
}

func f32x4Ge(d, a, b, _ *V128) {
	d[0], d[1] = f32Ge2(a[0], b[0]), f32Ge2(a[1], b[1])
}

func f32Ge2(x, y uint64) uint64 {
	return pair(mask32(F32(lo(x)) >= F32(lo(y))), mask32(F32(hi(x)) >= F32(hi(y))))
}

func f32x4Abs(d, a, _, _ *V128) { d[0], d[1] = a[0]&^top32, a[1]&^top32 }
func f32x4Neg(d, a, _, _ *V128) { d[0], d[1] = a[0]^top32, a[1]^top32 }

func f32x4Ceil(d, a, _, _ *V128) {
	d[0], d[1] = pair(F32Ceil(lo(a[0])), F32Ceil(hi(a[0]))), pair(F32Ceil(lo(a[1])), F32Ceil(hi(a[1])))
}

func f32x4Floor(d, a, _, _ *V128) {
	d[0], d[1] = pair(F32Floor(lo(a[0])), F32Floor(hi(a[0]))), pair(F32Floor(lo(a[1])), F32Floor(hi(a[1])))
}

func f32x4Trunc(d, a, _, _ *V128) {
	d[0], d[1] = pair(F32Trunc(lo(a[0])), F32Trunc(hi(a[0]))), pair(F32Trunc(lo(a[1])), F32Trunc(hi(a[1])))
}

func f32x4Nearest(d, a, _, _ *V128) {
	d[0], d[1] = pair(F32Nearest(lo(a[0])), F32Nearest(hi(a[0]))), pair(F32Nearest(lo(a[1])), F32Nearest(hi(a[1])))
}

func f32x4Sqrt(d, a, _, _ *V128) {
	d[0], d[1] = pair(F32Sqrt(lo(a[0])), F32Sqrt(hi(a[0]))), pair(F32Sqrt(lo(a[1])), F32Sqrt(hi(a[1])))
}

func f32x4Add(d, a, b, _ *V128) {
	d[0], d[1] = pair(F32Add(lo(a[0]), lo(b[0])), F32Add(hi(a[0]), hi(b[0]))), pair(F32Add(lo(a[1]), lo(b[1])), F32Add(hi(a[1]), hi(b[1])))
}

func f32x4Sub(d, a, b, _ *V128) {
	d[0], d[1] = pair(F32Sub(lo(a[0]), lo(b[0])), F32Sub(hi(a[0]), hi(b[0]))), pair(F32Sub(lo(a[1]), lo(b[1])), F32Sub(hi(a[1]), hi(b[1])))
}

func f32x4Mul(d, a, b, _ *V128) {
	d[0], d[1] = pair(F32Mul(lo(a[0]), lo(b[0])), F32Mul(hi(a[0]), hi(b[0]))), pair(F32Mul(lo(a[1]), lo(b[1])), F32Mul(hi(a[1]), hi(b[1])))
}

func f32x4Div(d, a, b, _ *V128) {
	d[0], d[1] = pair(F32Div(lo(a[0]), lo(b[0])), F32Div(hi(a[0]), hi(b[0]))), pair(F32Div(lo(a[1]), lo(b[1])), F32Div(hi(a[1]), hi(b[1])))
}

func f32x4Min(d, a, b, _ *V128) {
	d[0], d[1] = pair(F32Min(lo(a[0]), lo(b[0])), F32Min(hi(a[0]), hi(b[0]))), pair(F32Min(lo(a[1]), lo(b[1])), F32Min(hi(a[1]), hi(b[1])))
}

func f32x4Max(d, a, b, _ *V128) {
	d[0], d[1] = pair(F32Max(lo(a[0]), lo(b[0])), F32Max(hi(a[0]), hi(b[0]))), pair(F32Max(lo(a[1]), lo(b[1])), F32Max(hi(a[1]), hi(b[1])))
}

func f32x4Pmin(d, a, b, _ *V128) {
	d[0], d[1] = pair(f32Pmin(lo(a[0]), lo(b[0])), f32Pmin(hi(a[0]), hi(b[0]))), pair(f32Pmin(lo(a[1]), lo(b[1])), f32Pmin(hi(a[1]), hi(b[1])))
}

func f32x4Pmax(d, a, b, _ *V128) {
	d[0], d[1] = pair(f32Pmax(lo(a[0]), lo(b[0])), f32Pmax(hi(a[0]), hi(b[0]))), pair(f32Pmax(lo(a[1]), lo(b[1])), f32Pmax(hi(a[1]), hi(b[1])))
}

func f32x4ConvertI32x4S(d, a, _, _ *V128) {
	d[0], d[1] = pair(F32ConvertI32S(lo(a[0])), F32ConvertI32S(hi(a[0]))), pair(F32ConvertI32S(lo(a[1])), F32ConvertI32S(hi(a[1])))
}

func f32x4ConvertI32x4U(d, a, _, _ *V128) {
	d[0], d[1] = pair(F32ConvertI32U(lo(a[0])), F32ConvertI32U(hi(a[0]))), pair(F32ConvertI32U(lo(a[1])), F32ConvertI32U(hi(a[1])))
}

func i32x4TruncSatF32x4S(d, a, _, _ *V128) {
	d[0], d[1] = pair(I32TruncSatS(float64(F32(lo(a[0])))), I32TruncSatS(float64(F32(hi(a[0]))))), pair(I32TruncSatS(float64(F32(lo(a[1])))), I32TruncSatS(float64(F32(hi(a[1])))))
}

func i32x4TruncSatF32x4U(d, a, _, _ *V128) {
	d[0], d[1] = pair(I32TruncSatU(float64(F32(lo(a[0])))), I32TruncSatU(float64(F32(hi(a[0]))))), pair(I32TruncSatU(float64(F32(lo(a[1])))), I32TruncSatU(float64(F32(hi(a[1])))))
}

// f64x2.

func f64x2Eq(d, a, b, _ *V128) {
	d[0], d[1] = fill64(F64(a[0]) == F64(b[0])), fill64(F64(a[1]) == F64(b[1]))
}

func f64x2Ne(d, a, b, _ *V128) {
	d[0], d[1] = fill64(F64(a[0]) != F64(b[0])), fill64(F64(a[1]) != F64(b[1]))
}

func f64x2Lt(d, a, b, _ *V128) {
	d[0], d[1] = fill64(F64(a[0]) < F64(b[0])), fill64(F64(a[1]) < F64(b[1]))
}

func f64x2Gt(d, a, b, _ *V128) {
	d[0], d[1] = fill64(F64(a[0]) > F64(b[0])), fill64(F64(a[1]) > F64(b[1]))
}

func f64x2Le(d, a, b, _ *V128) {
	d[0], d[1] = fill64(F64(a[0]) <= F64(b[0])), fill64(F64(a[1]) <= F64(b[1]))
}

func f64x2Ge(d, a, b, _ *V128) {
	d[0], d[1] = fill64(F64(a[0]) >= F64(b[0])), fill64(F64(a[1]) >= F64(b[1]))
}

func f64x2Abs(d, a, _, _ *V128)     { d[0], d[1] = F64Abs(a[0]), F64Abs(a[1]) }
func f64x2Neg(d, a, _, _ *V128)     { d[0], d[1] = F64Neg(a[0]), F64Neg(a[1]) }
func f64x2Ceil(d, a, _, _ *V128)    { d[0], d[1] = F64Ceil(a[0]), F64Ceil(a[1]) }
func f64x2Floor(d, a, _, _ *V128)   { d[0], d[1] = F64Floor(a[0]), F64Floor(a[1]) }
func f64x2Trunc(d, a, _, _ *V128)   { d[0], d[1] = F64Trunc(a[0]), F64Trunc(a[1]) }
func f64x2Nearest(d, a, _, _ *V128) { d[0], d[1] = F64Nearest(a[0]), F64Nearest(a[1]) }
func f64x2Sqrt(d, a, _, _ *V128)    { d[0], d[1] = F64Sqrt(a[0]), F64Sqrt(a[1]) }
func f64x2Add(d, a, b, _ *V128)     { d[0], d[1] = F64Add(a[0], b[0]), F64Add(a[1], b[1]) }
func f64x2Sub(d, a, b, _ *V128)     { d[0], d[1] = F64Sub(a[0], b[0]), F64Sub(a[1], b[1]) }
func f64x2Mul(d, a, b, _ *V128)     { d[0], d[1] = F64Mul(a[0], b[0]), F64Mul(a[1], b[1]) }
func f64x2Div(d, a, b, _ *V128)     { d[0], d[1] = F64Div(a[0], b[0]), F64Div(a[1], b[1]) }
func f64x2Min(d, a, b, _ *V128)     { d[0], d[1] = F64Min(a[0], b[0]), F64Min(a[1], b[1]) }
func f64x2Max(d, a, b, _ *V128)     { d[0], d[1] = F64Max(a[0], b[0]), F64Max(a[1], b[1]) }
func f64x2Pmin(d, a, b, _ *V128)    { d[0], d[1] = f64Pmin(a[0], b[0]), f64Pmin(a[1], b[1]) }
func f64x2Pmax(d, a, b, _ *V128)    { d[0], d[1] = f64Pmax(a[0], b[0]), f64Pmax(a[1], b[1]) }

// Between the widths; what has no counterpart in the narrower vector's upper half is zero there.

func f32x4DemoteF64x2Zero(d, a, _, _ *V128) { d[0], d[1] = pair(F32Demote(a[0]), F32Demote(a[1])), 0 }

func f64x2PromoteLowF32x4(d, a, _, _ *V128) {
	d[0], d[1] = F64Promote(lo(a[0])), F64Promote(hi(a[0]))
}

func i32x4TruncSatF64x2SZero(d, a, _, _ *V128) {
	d[0], d[1] = pair(I32TruncSatS(F64(a[0])), I32TruncSatS(F64(a[1]))), 0
}

func i32x4TruncSatF64x2UZero(d, a, _, _ *V128) {
	d[0], d[1] = pair(I32TruncSatU(F64(a[0])), I32TruncSatU(F64(a[1]))), 0
}

func f64x2ConvertLowI32x4S(d, a, _, _ *V128) {
	d[0], d[1] = F64ConvertI32S(lo(a[0])), F64ConvertI32S(hi(a[0]))
}

func f64x2ConvertLowI32x4U(d, a, _, _ *V128) {
	d[0], d[1] = F64ConvertI32U(lo(a[0])), F64ConvertI32U(hi(a[0]))
}
