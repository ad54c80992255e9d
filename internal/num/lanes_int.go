package num

// Vector operations on integer lanes and on the bits as a whole. Each reads all of its operands before it writes, so
// that the destination may be an operand's place. An operation with a scalar operand or result touches only the first
// word of it.

// Bits.

func v128Not(d, a, _, _ *V128)    { d[0], d[1] = ^a[0], ^a[1] }
func v128And(d, a, b, _ *V128)    { d[0], d[1] = a[0]&b[0], a[1]&b[1] }
func v128Andnot(d, a, b, _ *V128) { d[0], d[1] = a[0]&^b[0], a[1]&^b[1] }
func v128Or(d, a, b, _ *V128)     { d[0], d[1] = a[0]|b[0], a[1]|b[1] }
func v128Xor(d, a, b, _ *V128)    { d[0], d[1] = a[0]^b[0], a[1]^b[1] }

// v128Bitselect takes a's bits where c has ones, b's elsewhere.
func v128Bitselect(d, a, b, c *V128) {
	d[0], d[1] = pick(c[0], a[0], b[0]), pick(c[1], a[1], b[1])
}

func v128AnyTrue(d, a, _, _ *V128) { d[0] = bit(a[0]|a[1] != 0) }

// i8x16.

func i8x16Splat(d, a, _, _ *V128) {
	x := a[0] & full8 * low8
	d[0], d[1] = x, x
}

func i8x16Eq(d, a, b, _ *V128)  { d[0], d[1] = eq8(a[0], b[0]), eq8(a[1], b[1]) }
func i8x16Ne(d, a, b, _ *V128)  { d[0], d[1] = ne8(a[0], b[0]), ne8(a[1], b[1]) }
func i8x16LtS(d, a, b, _ *V128) { d[0], d[1] = ltS8(a[0], b[0]), ltS8(a[1], b[1]) }
func i8x16LtU(d, a, b, _ *V128) { d[0], d[1] = ltU8(a[0], b[0]), ltU8(a[1], b[1]) }
func i8x16GtS(d, a, b, _ *V128) { d[0], d[1] = ltS8(b[0], a[0]), ltS8(b[1], a[1]) }
func i8x16GtU(d, a, b, _ *V128) { d[0], d[1] = ltU8(b[0], a[0]), ltU8(b[1], a[1]) }
func i8x16LeS(d, a, b, _ *V128) { d[0], d[1] = ^ltS8(b[0], a[0]), ^ltS8(b[1], a[1]) }
func i8x16LeU(d, a, b, _ *V128) { d[0], d[1] = ^ltU8(b[0], a[0]), ^ltU8(b[1], a[1]) }
func i8x16GeS(d, a, b, _ *V128) { d[0], d[1] = ^ltS8(a[0], b[0]), ^ltS8(a[1], b[1]) }
func i8x16GeU(d, a, b, _ *V128) { d[0], d[1] = ^ltU8(a[0], b[0]), ^ltU8(a[1], b[1]) }

func i8x16Abs(d, a, _, _ *V128)     { d[0], d[1] = abs8(a[0]), abs8(a[1]) }
func i8x16Neg(d, a, _, _ *V128)     { d[0], d[1] = sub8(0, a[0]), sub8(0, a[1]) }
func i8x16Popcnt(d, a, _, _ *V128)  { d[0], d[1] = popcnt8(a[0]), popcnt8(a[1]) }
func i8x16AllTrue(d, a, _, _ *V128) { d[0] = bit(neTop8(a[0], 0)&neTop8(a[1], 0) == top8) }
func i8x16Bitmask(d, a, _, _ *V128) { d[0] = bitmask8(a[0]) | bitmask8(a[1])<<8 }
func i8x16Shl(d, a, b, _ *V128)     { n := uint(b[0] & 7); d[0], d[1] = shl8(a[0], n), shl8(a[1], n) }
func i8x16ShrS(d, a, b, _ *V128)    { n := uint(b[0] & 7); d[0], d[1] = shrS8(a[0], n), shrS8(a[1], n) }
func i8x16ShrU(d, a, b, _ *V128)    { n := uint(b[0] & 7); d[0], d[1] = shrU8(a[0], n), shrU8(a[1], n) }
func i8x16Add(d, a, b, _ *V128)     { d[0], d[1] = add8(a[0], b[0]), add8(a[1], b[1]) }
func i8x16AddSatS(d, a, b, _ *V128) { d[0], d[1] = addSatS8(a[0], b[0]), addSatS8(a[1], b[1]) }
func i8x16AddSatU(d, a, b, _ *V128) { d[0], d[1] = addSatU8(a[0], b[0]), addSatU8(a[1], b[1]) }
func i8x16Sub(d, a, b, _ *V128)     { d[0], d[1] = sub8(a[0], b[0]), sub8(a[1], b[1]) }
func i8x16SubSatS(d, a, b, _ *V128) { d[0], d[1] = subSatS8(a[0], b[0]), subSatS8(a[1], b[1]) }
func i8x16SubSatU(d, a, b, _ *V128) { d[0], d[1] = subSatU8(a[0], b[0]), subSatU8(a[1], b[1]) }
func i8x16MinS(d, a, b, _ *V128)    { d[0], d[1] = minS8(a[0], b[0]), minS8(a[1], b[1]) }
func i8x16MinU(d, a, b, _ *V128)    { d[0], d[1] = minU8(a[0], b[0]), minU8(a[1], b[1]) }
func i8x16MaxS(d, a, b, _ *V128)    { d[0], d[1] = maxS8(a[0], b[0]), maxS8(a[1], b[1]) }
func i8x16MaxU(d, a, b, _ *V128)    { d[0], d[1] = maxU8(a[0], b[0]), maxU8(a[1], b[1]) }
func i8x16AvgrU(d, a, b, _ *V128)   { d[0], d[1] = avgr8(a[0], b[0]), avgr8(a[1], b[1]) }

func i8x16NarrowI16x8S(d, a, b, _ *V128) {
	d[0], d[1] = narrowS16(a[0])|narrowS16(a[1])<<32, narrowS16(b[0])|narrowS16(b[1])<<32
}

func i8x16NarrowI16x8U(d, a, b, _ *V128) {
	d[0], d[1] = narrowU16(a[0])|narrowU16(a[1])<<32, narrowU16(b[0])|narrowU16(b[1])<<32
}

// i16x8.

func i16x8Splat(d, a, _, _ *V128) {
	x := a[0] & full16 * low16
	d[0], d[1] = x, x
}

func i16x8Eq(d, a, b, _ *V128)  { d[0], d[1] = eq16(a[0], b[0]), eq16(a[1], b[1]) }
func i16x8Ne(d, a, b, _ *V128)  { d[0], d[1] = ne16(a[0], b[0]), ne16(a[1], b[1]) }
func i16x8LtS(d, a, b, _ *V128) { d[0], d[1] = ltS16(a[0], b[0]), ltS16(a[1], b[1]) }
func i16x8LtU(d, a, b, _ *V128) { d[0], d[1] = ltU16(a[0], b[0]), ltU16(a[1], b[1]) }
func i16x8GtS(d, a, b, _ *V128) { d[0], d[1] = ltS16(b[0], a[0]), ltS16(b[1], a[1]) }
func i16x8GtU(d, a, b, _ *V128) { d[0], d[1] = ltU16(b[0], a[0]), ltU16(b[1], a[1]) }
func i16x8LeS(d, a, b, _ *V128) { d[0], d[1] = ^ltS16(b[0], a[0]), ^ltS16(b[1], a[1]) }
func i16x8LeU(d, a, b, _ *V128) { d[0], d[1] = ^ltU16(b[0], a[0]), ^ltU16(b[1], a[1]) }
func i16x8GeS(d, a, b, _ *V128) { d[0], d[1] = ^ltS16(a[0], b[0]), ^ltS16(a[1], b[1]) }
func i16x8GeU(d, a, b, _ *V128) { d[0], d[1] = ^ltU16(a[0], b[0]), ^ltU16(a[1], b[1]) }

func i16x8Abs(d, a, _, _ *V128)         { d[0], d[1] = abs16(a[0]), abs16(a[1]) }
func i16x8Neg(d, a, _, _ *V128)         { d[0], d[1] = sub16(0, a[0]), sub16(0, a[1]) }
func i16x8AllTrue(d, a, _, _ *V128)     { d[0] = bit(neTop16(a[0], 0)&neTop16(a[1], 0) == top16) }
func i16x8Bitmask(d, a, _, _ *V128)     { d[0] = bitmask16(a[0]) | bitmask16(a[1])<<4 }
func i16x8Shl(d, a, b, _ *V128)         { n := uint(b[0] & 15); d[0], d[1] = shl16(a[0], n), shl16(a[1], n) }
func i16x8ShrS(d, a, b, _ *V128)        { n := uint(b[0] & 15); d[0], d[1] = shrS16(a[0], n), shrS16(a[1], n) }
func i16x8ShrU(d, a, b, _ *V128)        { n := uint(b[0] & 15); d[0], d[1] = shrU16(a[0], n), shrU16(a[1], n) }
func i16x8Add(d, a, b, _ *V128)         { d[0], d[1] = add16(a[0], b[0]), add16(a[1], b[1]) }
func i16x8AddSatS(d, a, b, _ *V128)     { d[0], d[1] = addSatS16(a[0], b[0]), addSatS16(a[1], b[1]) }
func i16x8AddSatU(d, a, b, _ *V128)     { d[0], d[1] = addSatU16(a[0], b[0]), addSatU16(a[1], b[1]) }
func i16x8Sub(d, a, b, _ *V128)         { d[0], d[1] = sub16(a[0], b[0]), sub16(a[1], b[1]) }
func i16x8SubSatS(d, a, b, _ *V128)     { d[0], d[1] = subSatS16(a[0], b[0]), subSatS16(a[1], b[1]) }
func i16x8SubSatU(d, a, b, _ *V128)     { d[0], d[1] = subSatU16(a[0], b[0]), subSatU16(a[1], b[1]) }
func i16x8Mul(d, a, b, _ *V128)         { d[0], d[1] = mul16(a[0], b[0]), mul16(a[1], b[1]) }
func i16x8MinS(d, a, b, _ *V128)        { d[0], d[1] = minS16(a[0], b[0]), minS16(a[1], b[1]) }
func i16x8MinU(d, a, b, _ *V128)        { d[0], d[1] = minU16(a[0], b[0]), minU16(a[1], b[1]) }
func i16x8MaxS(d, a, b, _ *V128)        { d[0], d[1] = maxS16(a[0], b[0]), maxS16(a[1], b[1]) }
func i16x8MaxU(d, a, b, _ *V128)        { d[0], d[1] = maxU16(a[0], b[0]), maxU16(a[1], b[1]) }
func i16x8AvgrU(d, a, b, _ *V128)       { d[0], d[1] = avgr16(a[0], b[0]), avgr16(a[1], b[1]) }
func i16x8Q15mulrSatS(d, a, b, _ *V128) { d[0], d[1] = q15mulr16(a[0], b[0]), q15mulr16(a[1], b[1]) }

func i16x8NarrowI32x4S(d, a, b, _ *V128) {
	d[0], d[1] = narrowS32(a[0])|narrowS32(a[1])<<32, narrowS32(b[0])|narrowS32(b[1])<<32
}

func i16x8NarrowI32x4U(d, a, b, _ *V128) {
	d[0], d[1] = narrowU32(a[0])|narrowU32(a[1])<<32, narrowU32(b[0])|narrowU32(b[1])<<32
}

func i16x8ExtaddPairwiseI8x16S(d, a, _, _ *V128) { d[0], d[1] = pairwiseS8(a[0]), pairwiseS8(a[1]) }
func i16x8ExtaddPairwiseI8x16U(d, a, _, _ *V128) { d[0], d[1] = pairwiseU8(a[0]), pairwiseU8(a[1]) }
func i16x8ExtendLowI8x16S(d, a, _, _ *V128) {
	d[0], d[1] = extendS8(uint32(a[0])), extendS8(uint32(a[0]>>32))
}
func i16x8ExtendHighI8x16S(d, a, _, _ *V128) {
	d[0], d[1] = extendS8(uint32(a[1])), extendS8(uint32(a[1]>>32))
}
func i16x8ExtendLowI8x16U(d, a, _, _ *V128) {
	d[0], d[1] = spread8(uint32(a[0])), spread8(uint32(a[0]>>32))
}
func i16x8ExtendHighI8x16U(d, a, _, _ *V128) {
	d[0], d[1] = spread8(uint32(a[1])), spread8(uint32(a[1]>>32))
}

func i16x8ExtmulLowI8x16S(d, a, b, _ *V128) {
	d[0], d[1] = extmulS8(uint32(a[0]), uint32(b[0])), extmulS8(uint32(a[0]>>32), uint32(b[0]>>32))
}

func i16x8ExtmulHighI8x16S(d, a, b, _ *V128) {
	d[0], d[1] = extmulS8(uint32(a[1]), uint32(b[1])), extmulS8(uint32(a[1]>>32), uint32(b[1]>>32))
}

func i16x8ExtmulLowI8x16U(d, a, b, _ *V128) {
	d[0], d[1] = extmulU8(uint32(a[0]), uint32(b[0])), extmulU8(uint32(a[0]>>32), uint32(b[0]>>32))
}

func i16x8ExtmulHighI8x16U(d, a, b, _ *V128) {
	d[0], d[1] = extmulU8(uint32(a[1]), uint32(b[1])), extmulU8(uint32(a[1]>>32), uint32(b[1]>>32))
}

// i32x4.

func i32x4Splat(d, a, _, _ *V128) {
	x := a[0] & full32 * low32
	d[0], d[1] = x, x
}

func i32x4Eq(d, a, b, _ *V128)  { d[0], d[1] = eq32(a[0], b[0]), eq32(a[1], b[1]) }
func i32x4Ne(d, a, b, _ *V128)  { d[0], d[1] = ^eq32(a[0], b[0]), ^eq32(a[1], b[1]) }
func i32x4LtS(d, a, b, _ *V128) { d[0], d[1] = ltS32(a[0], b[0]), ltS32(a[1], b[1]) }
func i32x4LtU(d, a, b, _ *V128) { d[0], d[1] = ltU32(a[0], b[0]), ltU32(a[1], b[1]) }
func i32x4GtS(d, a, b, _ *V128) { d[0], d[1] = ltS32(b[0], a[0]), ltS32(b[1], a[1]) }
func i32x4GtU(d, a, b, _ *V128) { d[0], d[1] = ltU32(b[0], a[0]), ltU32(b[1], a[1]) }
func i32x4LeS(d, a, b, _ *V128) { d[0], d[1] = ^ltS32(b[0], a[0]), ^ltS32(b[1], a[1]) }
func i32x4LeU(d, a, b, _ *V128) { d[0], d[1] = ^ltU32(b[0], a[0]), ^ltU32(b[1], a[1]) }
func i32x4GeS(d, a, b, _ *V128) { d[0], d[1] = ^ltS32(a[0], b[0]), ^ltS32(a[1], b[1]) }
func i32x4GeU(d, a, b, _ *V128) { d[0], d[1] = ^ltU32(a[0], b[0]), ^ltU32(a[1], b[1]) }

func i32x4Abs(d, a, _, _ *V128) { d[0], d[1] = abs32(a[0]), abs32(a[1]) }
func i32x4Neg(d, a, _, _ *V128) { d[0], d[1] = sub32(0, a[0]), sub32(0, a[1]) }
func i32x4AllTrue(d, a, _, _ *V128) {
	d[0] = bit(uint32(a[0]) != 0 && a[0]>>32 != 0 && uint32(a[1]) != 0 && a[1]>>32 != 0)
}
func i32x4Bitmask(d, a, _, _ *V128)              { d[0] = bitmask32(a[0]) | bitmask32(a[1])<<2 }
func i32x4Shl(d, a, b, _ *V128)                  { n := uint(b[0] & 31); d[0], d[1] = shl32(a[0], n), shl32(a[1], n) }
func i32x4ShrS(d, a, b, _ *V128)                 { n := uint(b[0] & 31); d[0], d[1] = shrS32(a[0], n), shrS32(a[1], n) }
func i32x4ShrU(d, a, b, _ *V128)                 { n := uint(b[0] & 31); d[0], d[1] = shrU32(a[0], n), shrU32(a[1], n) }
func i32x4Add(d, a, b, _ *V128)                  { d[0], d[1] = add32(a[0], b[0]), add32(a[1], b[1]) }
func i32x4Sub(d, a, b, _ *V128)                  { d[0], d[1] = sub32(a[0], b[0]), sub32(a[1], b[1]) }
func i32x4Mul(d, a, b, _ *V128)                  { d[0], d[1] = mul32(a[0], b[0]), mul32(a[1], b[1]) }
func i32x4MinS(d, a, b, _ *V128)                 { d[0], d[1] = minS32(a[0], b[0]), minS32(a[1], b[1]) }
func i32x4MinU(d, a, b, _ *V128)                 { d[0], d[1] = minU32(a[0], b[0]), minU32(a[1], b[1]) }
func i32x4MaxS(d, a, b, _ *V128)                 { d[0], d[1] = maxS32(a[0], b[0]), maxS32(a[1], b[1]) }
func i32x4MaxU(d, a, b, _ *V128)                 { d[0], d[1] = maxU32(a[0], b[0]), maxU32(a[1], b[1]) }
func i32x4DotI16x8S(d, a, b, _ *V128)            { d[0], d[1] = dot16(a[0], b[0]), dot16(a[1], b[1]) }
func i32x4ExtaddPairwiseI16x8S(d, a, _, _ *V128) { d[0], d[1] = pairwiseS16(a[0]), pairwiseS16(a[1]) }
func i32x4ExtaddPairwiseI16x8U(d, a, _, _ *V128) { d[0], d[1] = pairwiseU16(a[0]), pairwiseU16(a[1]) }
func i32x4ExtendLowI16x8S(d, a, _, _ *V128) {
	d[0], d[1] = extendS16(uint32(a[0])), extendS16(uint32(a[0]>>32))
}
func i32x4ExtendHighI16x8S(d, a, _, _ *V128) {
	d[0], d[1] = extendS16(uint32(a[1])), extendS16(uint32(a[1]>>32))
}
func i32x4ExtendLowI16x8U(d, a, _, _ *V128) {
	d[0], d[1] = spread16(uint32(a[0])), spread16(uint32(a[0]>>32))
}
func i32x4ExtendHighI16x8U(d, a, _, _ *V128) {
	d[0], d[1] = spread16(uint32(a[1])), spread16(uint32(a[1]>>32))
}

func i32x4ExtmulLowI16x8S(d, a, b, _ *V128) {
	d[0], d[1] = extmulS16(uint32(a[0]), uint32(b[0])), extmulS16(uint32(a[0]>>32), uint32(b[0]>>32))
}

func i32x4ExtmulHighI16x8S(d, a, b, _ *V128) {
	d[0], d[1] = extmulS16(uint32(a[1]), uint32(b[1])), extmulS16(uint32(a[1]>>32), uint32(b[1]>>32))
}

func i32x4ExtmulLowI16x8U(d, a, b, _ *V128) {
	d[0], d[1] = extmulU16(uint32(a[0]), uint32(b[0])), extmulU16(uint32(a[0]>>32), uint32(b[0]>>32))
}

func i32x4ExtmulHighI16x8U(d, a, b, _ *V128) {
	d[0], d[1] = extmulU16(uint32(a[1]), uint32(b[1])), extmulU16(uint32(a[1]>>32), uint32(b[1]>>32))
}

// i64x2.

func i64x2Splat(d, a, _, _ *V128) { d[0], d[1] = a[0], a[0] }

func i64x2Eq(d, a, b, _ *V128) { d[0], d[1] = fill64(a[0] == b[0]), fill64(a[1] == b[1]) }
func i64x2Ne(d, a, b, _ *V128) { d[0], d[1] = fill64(a[0] != b[0]), fill64(a[1] != b[1]) }
func i64x2LtS(d, a, b, _ *V128) {
	d[0], d[1] = fill64(int64(a[0]) < int64(b[0])), fill64(int64(a[1]) < int64(b[1]))
}
func i64x2GtS(d, a, b, _ *V128) {
	d[0], d[1] = fill64(int64(a[0]) > int64(b[0])), fill64(int64(a[1]) > int64(b[1]))
}
func i64x2LeS(d, a, b, _ *V128) {
	d[0], d[1] = fill64(int64(a[0]) <= int64(b[0])), fill64(int64(a[1]) <= int64(b[1]))
}
func i64x2GeS(d, a, b, _ *V128) {
	d[0], d[1] = fill64(int64(a[0]) >= int64(b[0])), fill64(int64(a[1]) >= int64(b[1]))
}

func i64x2Abs(d, a, _, _ *V128)     { d[0], d[1] = abs64(a[0]), abs64(a[1]) }
func i64x2Neg(d, a, _, _ *V128)     { d[0], d[1] = -a[0], -a[1] }
func i64x2AllTrue(d, a, _, _ *V128) { d[0] = bit(a[0] != 0 && a[1] != 0) }
func i64x2Bitmask(d, a, _, _ *V128) { d[0] = a[0]>>63 | a[1]>>63<<1 }
func i64x2Shl(d, a, b, _ *V128)     { n := b[0] & 63; d[0], d[1] = a[0]<<n, a[1]<<n }
func i64x2ShrS(d, a, b, _ *V128) {
	n := b[0] & 63
	d[0], d[1] = uint64(int64(a[0])>>n), uint64(int64(a[1])>>n)
}
func i64x2ShrU(d, a, b, _ *V128) { n := b[0] & 63; d[0], d[1] = a[0]>>n, a[1]>>n }
func i64x2Add(d, a, b, _ *V128)  { d[0], d[1] = a[0]+b[0], a[1]+b[1] }
func i64x2Sub(d, a, b, _ *V128)  { d[0], d[1] = a[0]-b[0], a[1]-b[1] }
func i64x2Mul(d, a, b, _ *V128)  { d[0], d[1] = a[0]*b[0], a[1]*b[1] }
func i64x2ExtendLowI32x4S(d, a, _, _ *V128) {
	d[0], d[1] = uint64(int32(a[0])), uint64(int64(a[0])>>32)
}
func i64x2ExtendHighI32x4S(d, a, _, _ *V128) {
	d[0], d[1] = uint64(int32(a[1])), uint64(int64(a[1])>>32)
}
func i64x2ExtendLowI32x4U(d, a, _, _ *V128)  { d[0], d[1] = a[0]&full32, a[0]>>32 }
func i64x2ExtendHighI32x4U(d, a, _, _ *V128) { d[0], d[1] = a[1]&full32, a[1]>>32 }

func i64x2ExtmulLowI32x4S(d, a, b, _ *V128) {
	d[0], d[1] = extmulS32(uint32(a[0]), uint32(b[0])), extmulS32(uint32(a[0]>>32), uint32(b[0]>>32))
}

func i64x2ExtmulHighI32x4S(d, a, b, _ *V128) {
	d[0], d[1] = extmulS32(uint32(a[1]), uint32(b[1])), extmulS32(uint32(a[1]>>32), uint32(b[1]>>32))
}

func i64x2ExtmulLowI32x4U(d, a, b, _ *V128) {
	d[0], d[1] = extmulU32(uint32(a[0]), uint32(b[0])), extmulU32(uint32(a[0]>>32), uint32(b[0]>>32))
}

func i64x2ExtmulHighI32x4U(d, a, b, _ *V128) {
	d[0], d[1] = extmulU32(uint32(a[1]), uint32(b[1])), extmulU32(uint32(a[1]>>32), uint32(b[1]>>32))
}

// Bytes by index. i8x16Shuffle has its sixteen immediate lane numbers in c; a number of 32 or more, which no valid
// module has, counts modulo 32.

func i8x16Shuffle(d, a, b, c *V128) {
	v := [4]uint64{a[0], a[1], b[0], b[1]}
	var r V128
	for k := range r {
		for i, s := c[k], 0; s < 64; i, s = i>>8, s+8 {
			r[k] |= v[i>>3&3] >> (i & 7 * 8) & full8 << s
		}
	}
	*d = r
}

// i8x16Swizzle gives 0 for an index of 16 or more.
func i8x16Swizzle(d, a, b, _ *V128) {
	v := *a
	var r V128
	for k := range r {
		for i, s := b[k], 0; s < 64; i, s = i>>8, s+8 {
			if i&0xf0 == 0 {
				r[k] |= v[i>>3&1] >> (i & 7 * 8) & full8 << s
			}
		}
	}
	*d = r
}
