package num

// V128 is a vector: lane 0 in the lowest bits of the first word, as in memory.
type V128 = [2]uint64

// VectorFunc is one vector operation over places that may be one another's: all operands are read before the result is
// written. A scalar (a shift count, a splat's operand, the result of any_true, all_true or bitmask) is the first word
// of its place; the second is neither read nor written. Operands the operation doesn't have may be nil.
type VectorFunc = func(dst, a, b, c *V128)

// Vector performs the operation whose number behind the 0xFD prefix is op, which is any
// of core 2.0 but plain load, store, const and those with a lane immediate (ExtractLane, ReplaceLane).
//
// The loads that widen, repeat or zero-extend take in a the bytes they loaded, zero-extended; i8x16.shuffle takes its
// immediate lane numbers in c.
func Vector(op uint16, dst, a, b, c *V128) { vectors[op](dst, a, b, c) }

var vectors = [256]VectorFunc{
	1:   i16x8ExtendLowI8x16S,      // v128.load8x8_s
	2:   i16x8ExtendLowI8x16U,      // v128.load8x8_u
	3:   i32x4ExtendLowI16x8S,      // v128.load16x4_s
	4:   i32x4ExtendLowI16x8U,      // v128.load16x4_u
	5:   i64x2ExtendLowI32x4S,      // v128.load32x2_s
	6:   i64x2ExtendLowI32x4U,      // v128.load32x2_u
	7:   i8x16Splat,                // v128.load8_splat
	8:   i16x8Splat,                // v128.load16_splat
	9:   i32x4Splat,                // v128.load32_splat
	10:  i64x2Splat,                // v128.load64_splat
	13:  i8x16Shuffle,              // i8x16.shuffle
	14:  i8x16Swizzle,              // i8x16.swizzle
	15:  i8x16Splat,                // i8x16.splat
	16:  i16x8Splat,                // i16x8.splat
	17:  i32x4Splat,                // i32x4.splat
	18:  i64x2Splat,                // i64x2.splat
	19:  i32x4Splat,                // f32x4.splat
	20:  i64x2Splat,                // f64x2.splat
	35:  i8x16Eq,                   // i8x16.eq
	36:  i8x16Ne,                   // i8x16.ne
	37:  i8x16LtS,                  // i8x16.lt_s
	38:  i8x16LtU,                  // i8x16.lt_u
	39:  i8x16GtS,                  // i8x16.gt_s
	40:  i8x16GtU,                  // i8x16.gt_u
	41:  i8x16LeS,                  // i8x16.le_s
	42:  i8x16LeU,                  // i8x16.le_u
	43:  i8x16GeS,                  // i8x16.ge_s
	44:  i8x16GeU,                  // i8x16.ge_u
	45:  i16x8Eq,                   // i16x8.eq
	46:  i16x8Ne,                   // i16x8.ne
	47:  i16x8LtS,                  // i16x8.lt_s
	48:  i16x8LtU,                  // i16x8.lt_u
	49:  i16x8GtS,                  // i16x8.gt_s
	50:  i16x8GtU,                  // i16x8.gt_u
	51:  i16x8LeS,                  // i16x8.le_s
	52:  i16x8LeU,                  // i16x8.le_u
	53:  i16x8GeS,                  // i16x8.ge_s
	54:  i16x8GeU,                  // i16x8.ge_u
	55:  i32x4Eq,                   // i32x4.eq
	56:  i32x4Ne,                   // i32x4.ne
	57:  i32x4LtS,                  // i32x4.lt_s
	58:  i32x4LtU,                  // i32x4.lt_u
	59:  i32x4GtS,                  // i32x4.gt_s
	60:  i32x4GtU,                  // i32x4.gt_u
	61:  i32x4LeS,                  // i32x4.le_s
	62:  i32x4LeU,                  // i32x4.le_u
	63:  i32x4GeS,                  // i32x4.ge_s
	64:  i32x4GeU,                  // i32x4.ge_u
	65:  f32x4Eq,                   // f32x4.eq
	66:  f32x4Ne,                   // f32x4.ne
	67:  f32x4Lt,                   // f32x4.lt
	68:  f32x4Gt,                   // f32x4.gt
	69:  f32x4Le,                   // f32x4.le
	70:  f32x4Ge,                   // f32x4.ge
	71:  f64x2Eq,                   // f64x2.eq
	72:  f64x2Ne,                   // f64x2.ne
	73:  f64x2Lt,                   // f64x2.lt
	74:  f64x2Gt,                   // f64x2.gt
	75:  f64x2Le,                   // f64x2.le
	76:  f64x2Ge,                   // f64x2.ge
	77:  v128Not,                   // v128.not
	78:  v128And,                   // v128.and
	79:  v128Andnot,                // v128.andnot
	80:  v128Or,                    // v128.or
	81:  v128Xor,                   // v128.xor
	82:  v128Bitselect,             // v128.bitselect
	83:  v128AnyTrue,               // v128.any_true
	92:  v128Zero,                  // v128.load32_zero
	93:  v128Zero,                  // v128.load64_zero
	94:  f32x4DemoteF64x2Zero,      // f32x4.demote_f64x2_zero
	95:  f64x2PromoteLowF32x4,      // f64x2.promote_low_f32x4
	96:  i8x16Abs,                  // i8x16.abs
	97:  i8x16Neg,                  // i8x16.neg
	98:  i8x16Popcnt,               // i8x16.popcnt
	99:  i8x16AllTrue,              // i8x16.all_true
	100: i8x16Bitmask,              // i8x16.bitmask
	101: i8x16NarrowI16x8S,         // i8x16.narrow_i16x8_s
	102: i8x16NarrowI16x8U,         // i8x16.narrow_i16x8_u
	103: f32x4Ceil,                 // f32x4.ceil
	104: f32x4Floor,                // f32x4.floor
	105: f32x4Trunc,                // f32x4.trunc
	106: f32x4Nearest,              // f32x4.nearest
	107: i8x16Shl,                  // i8x16.shl
	108: i8x16ShrS,                 // i8x16.shr_s
	109: i8x16ShrU,                 // i8x16.shr_u
	110: i8x16Add,                  // i8x16.add
	111: i8x16AddSatS,              // i8x16.add_sat_s
	112: i8x16AddSatU,              // i8x16.add_sat_u
	113: i8x16Sub,                  // i8x16.sub
	114: i8x16SubSatS,              // i8x16.sub_sat_s
	115: i8x16SubSatU,              // i8x16.sub_sat_u
	116: f64x2Ceil,                 // f64x2.ceil
	117: f64x2Floor,                // f64x2.floor
	118: i8x16MinS,                 // i8x16.min_s
	119: i8x16MinU,                 // i8x16.min_u
	120: i8x16MaxS,                 // i8x16.max_s
	121: i8x16MaxU,                 // i8x16.max_u
	122: f64x2Trunc,                // f64x2.trunc
	123: i8x16AvgrU,                // i8x16.avgr_u
	124: i16x8ExtaddPairwiseI8x16S, // i16x8.extadd_pairwise_i8x16_s
	125: i16x8ExtaddPairwiseI8x16U, // i16x8.extadd_pairwise_i8x16_u
	126: i32x4ExtaddPairwiseI16x8S, // i32x4.extadd_pairwise_i16x8_s
	127: i32x4ExtaddPairwiseI16x8U, // i32x4.extadd_pairwise_i16x8_u
	128: i16x8Abs,                  // i16x8.abs
	129: i16x8Neg,                  // i16x8.neg
	130: i16x8Q15mulrSatS,          // i16x8.q15mulr_sat_s
	131: i16x8AllTrue,              // i16x8.all_true
	132: i16x8Bitmask,              // i16x8.bitmask
	133: i16x8NarrowI32x4S,         // i16x8.narrow_i32x4_s
	134: i16x8NarrowI32x4U,         // i16x8.narrow_i32x4_u
	135: i16x8ExtendLowI8x16S,      // i16x8.extend_low_i8x16_s
	136: i16x8ExtendHighI8x16S,     // i16x8.extend_high_i8x16_s
	137: i16x8ExtendLowI8x16U,      // i16x8.extend_low_i8x16_u
	138: i16x8ExtendHighI8x16U,     // i16x8.extend_high_i8x16_u
	139: i16x8Shl,                  // i16x8.shl
	140: i16x8ShrS,                 // i16x8.shr_s
	141: i16x8ShrU,                 // i16x8.shr_u
	142: i16x8Add,                  // i16x8.add
	143: i16x8AddSatS,              // i16x8.add_sat_s
	144: i16x8AddSatU,              // i16x8.add_sat_u
	145: i16x8Sub,                  // i16x8.sub
	146: i16x8SubSatS,              // i16x8.sub_sat_s
	147: i16x8SubSatU,              // i16x8.sub_sat_u
	148: f64x2Nearest,              // f64x2.nearest
	149: i16x8Mul,                  // i16x8.mul
	150: i16x8MinS,                 // i16x8.min_s
	151: i16x8MinU,                 // i16x8.min_u
	152: i16x8MaxS,                 // i16x8.max_s
	153: i16x8MaxU,                 // i16x8.max_u
	155: i16x8AvgrU,                // i16x8.avgr_u
	156: i16x8ExtmulLowI8x16S,      // i16x8.extmul_low_i8x16_s
	157: i16x8ExtmulHighI8x16S,     // i16x8.extmul_high_i8x16_s
	158: i16x8ExtmulLowI8x16U,      // i16x8.extmul_low_i8x16_u
	159: i16x8ExtmulHighI8x16U,     // i16x8.extmul_high_i8x16_u
	160: i32x4Abs,                  // i32x4.abs
	161: i32x4Neg,                  // i32x4.neg
	163: i32x4AllTrue,              // i32x4.all_true
	164: i32x4Bitmask,              // i32x4.bitmask
	167: i32x4ExtendLowI16x8S,      // i32x4.extend_low_i16x8_s
	168: i32x4ExtendHighI16x8S,     // i32x4.extend_high_i16x8_s
	169: i32x4ExtendLowI16x8U,      // i32x4.extend_low_i16x8_u
	170: i32x4ExtendHighI16x8U,     // i32x4.extend_high_i16x8_u
	171: i32x4Shl,                  // i32x4.shl
	172: i32x4ShrS,                 // i32x4.shr_s
	173: i32x4ShrU,                 // i32x4.shr_u
	174: i32x4Add,                  // i32x4.add
	177: i32x4Sub,                  // i32x4.sub
	181: i32x4Mul,                  // i32x4.mul
	182: i32x4MinS,                 // i32x4.min_s
	183: i32x4MinU,                 // i32x4.min_u
	184: i32x4MaxS,                 // i32x4.max_s
	185: i32x4MaxU,                 // i32x4.max_u
	186: i32x4DotI16x8S,            // i32x4.dot_i16x8_s
	188: i32x4ExtmulLowI16x8S,      // i32x4.extmul_low_i16x8_s
	189: i32x4ExtmulHighI16x8S,     // i32x4.extmul_high_i16x8_s
	190: i32x4ExtmulLowI16x8U,      // i32x4.extmul_low_i16x8_u
	191: i32x4ExtmulHighI16x8U,     // i32x4.extmul_high_i16x8_u
	192: i64x2Abs,                  // i64x2.abs
	193: i64x2Neg,                  // i64x2.neg
	195: i64x2AllTrue,              // i64x2.all_true
	196: i64x2Bitmask,              // i64x2.bitmask
	199: i64x2ExtendLowI32x4S,      // i64x2.extend_low_i32x4_s
	200: i64x2ExtendHighI32x4S,     // i64x2.extend_high_i32x4_s
	201: i64x2ExtendLowI32x4U,      // i64x2.extend_low_i32x4_u
	202: i64x2ExtendHighI32x4U,     // i64x2.extend_high_i32x4_u
	203: i64x2Shl,                  // i64x2.shl
	204: i64x2ShrS,                 // i64x2.shr_s
	205: i64x2ShrU,                 // i64x2.shr_u
	206: i64x2Add,                  // i64x2.add
	209: i64x2Sub,                  // i64x2.sub
	213: i64x2Mul,                  // i64x2.mul
	214: i64x2Eq,                   // i64x2.eq
	215: i64x2Ne,                   // i64x2.ne
	216: i64x2LtS,                  // i64x2.lt_s
	217: i64x2GtS,                  // i64x2.gt_s
	218: i64x2LeS,                  // i64x2.le_s
	219: i64x2GeS,                  // i64x2.ge_s
	220: i64x2ExtmulLowI32x4S,      // i64x2.extmul_low_i32x4_s
	221: i64x2ExtmulHighI32x4S,     // i64x2.extmul_high_i32x4_s
	222: i64x2ExtmulLowI32x4U,      // i64x2.extmul_low_i32x4_u
	223: i64x2ExtmulHighI32x4U,     // i64x2.extmul_high_i32x4_u
	224: f32x4Abs,                  // f32x4.abs
	225: f32x4Neg,                  // f32x4.neg
	227: f32x4Sqrt,                 // f32x4.sqrt
	228: f32x4Add,                  // f32x4.add
	229: f32x4Sub,                  // f32x4.sub
	230: f32x4Mul,                  // f32x4.mul
	231: f32x4Div,                  // f32x4.div
	232: f32x4Min,                  // f32x4.min
	233: f32x4Max,                  // f32x4.max
	234: f32x4Pmin,                 // f32x4.pmin
	235: f32x4Pmax,                 // f32x4.pmax
	236: f64x2Abs,                  // f64x2.abs
	237: f64x2Neg,                  // f64x2.neg
	239: f64x2Sqrt,                 // f64x2.sqrt
	240: f64x2Add,                  // f64x2.add
	241: f64x2Sub,                  // f64x2.sub
	242: f64x2Mul,                  // f64x2.mul
	243: f64x2Div,                  // f64x2.div
	244: f64x2Min,                  // f64x2.min
	245: f64x2Max,                  // f64x2.max
	246: f64x2Pmin,                 // f64x2.pmin
	247: f64x2Pmax,                 // f64x2.pmax
	248: i32x4TruncSatF32x4S,       // i32x4.trunc_sat_f32x4_s
	249: i32x4TruncSatF32x4U,       // i32x4.trunc_sat_f32x4_u
	250: f32x4ConvertI32x4S,        // f32x4.convert_i32x4_s
	251: f32x4ConvertI32x4U,        // f32x4.convert_i32x4_u
	252: i32x4TruncSatF64x2SZero,   // i32x4.trunc_sat_f64x2_s_zero
	253: i32x4TruncSatF64x2UZero,   // i32x4.trunc_sat_f64x2_u_zero
	254: f64x2ConvertLowI32x4S,     // f64x2.convert_low_i32x4_s
	255: f64x2ConvertLowI32x4U,     // f64x2.convert_low_i32x4_u
}

// v128Zero is a load of 32 or 64 bits into the lowest lane.
func v128Zero(d, a, _, _ *V128) { d[0], d[1] = a[0], 0 }

// laneShape is how an operation with a lane immediate sees its vector: the lane's width as log₂ of bytes, and whether
// an extracted lane is sign-extended (to 32 bits; wider ones fill their type).
type laneShape struct {
	log    uint8
	signed bool
}

var lanes = [256]laneShape{
	21: {0, true}, 22: {log: 0}, 23: {log: 0}, // i8x16 extract_s, extract_u, replace
	24: {1, true}, 25: {log: 1}, 26: {log: 1}, // i16x8
	27: {log: 2}, 28: {log: 2}, 29: {log: 3}, 30: {log: 3}, // i32x4, i64x2: extract, replace
	31: {log: 2}, 32: {log: 2}, 33: {log: 3}, 34: {log: 3}, // f32x4, f64x2
	84: {log: 0}, 85: {log: 1}, 86: {log: 2}, 87: {log: 3}, // v128.load8_lane … load64_lane: replace
	88: {log: 0}, 89: {log: 1}, 90: {log: 2}, 91: {log: 3}, // v128.store8_lane … store64_lane: extract
}

// ExtractLane is extract_lane and the reading half of store_lane, op being the number behind the 0xFD prefix. A float
// lane comes as bits; i8 and i16 lanes come extended to 32 bits.
func ExtractLane(op uint16, lane uint8, a *V128) uint64 {
	s := lanes[op]
	at := uint64(lane) << s.log
	x := a[at>>3&1] >> (at & 7 * 8)
	switch s.log {
	case 0:
		if s.signed {
			return uint64(uint32(int8(x)))
		}
		return x & full8
	case 1:
		if s.signed {
			return uint64(uint32(int16(x)))
		}
		return x & full16
	case 2:
		return x & full32
	}
	return x
}

// ReplaceLane is replace_lane and the writing half of load_lane: dst becomes a with v in the lane.
func ReplaceLane(op uint16, lane uint8, dst, a *V128, v uint64) {
	at := uint64(lane) << lanes[op].log
	full := ^uint64(0) >> (64 - 8<<lanes[op].log)
	r := *a
	w, s := &r[at>>3&1], at&7*8
	*w = *w&^(full<<s) | v&full<<s
	*dst = r
}
