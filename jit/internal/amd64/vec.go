package amd64

// Vec is a VEX-encoded 128-bit operation: mandatory prefix, opcode map, opcode
// and W bit in one value, so that a caller holds an operation as a constant.
// All of them need AVX.
type Vec uint32

func vop(pp byte, m int, op byte, w int) Vec {
	return Vec(uint32(pp)<<16 | uint32(m)<<12 | uint32(w)<<8 | uint32(op))
}

func (v Vec) pp() byte { return byte(v >> 16) }
func (v Vec) m() int   { return int(v >> 12 & 15) }
func (v Vec) w() bool  { return v>>8&1 != 0 }

// VecRRR is op dst, src1, src2.
func VecRRR(b []byte, v Vec, dst, src1, src2 Xmm) []byte {
	return vex(b, v.pp(), v.m(), byte(v), v.w(), uint8(dst), uint8(src1), r(uint8(src2)))
}

// VecRRM is op dst, src1, [m].
func VecRRM(b []byte, v Vec, dst, src1 Xmm, m Mem) []byte {
	return vex(b, v.pp(), v.m(), byte(v), v.w(), uint8(dst), uint8(src1), mem(m))
}

// VecRRRI is op dst, src1, src2, imm.
func VecRRRI(b []byte, v Vec, dst, src1, src2 Xmm, imm uint8) []byte {
	return append(VecRRR(b, v, dst, src1, src2), imm)
}

// VecRR is op dst, src, for operations with one source.
func VecRR(b []byte, v Vec, dst, src Xmm) []byte {
	return vex(b, v.pp(), v.m(), byte(v), v.w(), uint8(dst), 0, r(uint8(src)))
}

// VecRRI is op dst, src, imm, for operations with one source.
func VecRRI(b []byte, v Vec, dst, src Xmm, imm uint8) []byte {
	return append(VecRR(b, v, dst, src), imm)
}

// VecRM is op dst, [m]: a load, or an operation with one source.
func VecRM(b []byte, v Vec, dst Xmm, m Mem) []byte {
	return vex(b, v.pp(), v.m(), byte(v), v.w(), uint8(dst), 0, mem(m))
}

// VecMR is op [m], src: a store.
func VecMR(b []byte, v Vec, m Mem, src Xmm) []byte {
	return vex(b, v.pp(), v.m(), byte(v), v.w(), uint8(src), 0, mem(m))
}

// VecRG is op dst, src with a general purpose source; w8 reads all 64 bits.
// VMOVD and VMOVQ take it.
func VecRG(b []byte, v Vec, w Width, dst Xmm, src Reg) []byte {
	return vex(b, v.pp(), v.m(), byte(v), w == 8, uint8(dst), 0, r(uint8(src)))
}

// VecRRG is op dst, src1, src2 with a general purpose second source: the
// conversions from integers.
func VecRRG(b []byte, v Vec, w Width, dst, src1 Xmm, src2 Reg) []byte {
	return vex(b, v.pp(), v.m(), byte(v), w == 8, uint8(dst), uint8(src1), r(uint8(src2)))
}

// VecRRGI is op dst, src1, src2, imm with a general purpose second source:
// VPINSR.
func VecRRGI(b []byte, v Vec, dst, src1 Xmm, src2 Reg, imm uint8) []byte {
	return append(vex(b, v.pp(), v.m(), byte(v), v.w(), uint8(dst), uint8(src1), r(uint8(src2))), imm)
}

// VecGR is op dst, src with a general purpose destination in the reg field:
// conversions to integers, VPMOVMSKB and VMOVMSKPS.
func VecGR(b []byte, v Vec, w Width, dst Reg, src Xmm) []byte {
	return vex(b, v.pp(), v.m(), byte(v), w == 8, uint8(dst), 0, r(uint8(src)))
}

// VecG2 is op dst, src with a general purpose destination in the rm field:
// VMOVD and VMOVQ out of a vector register.
func VecG2(b []byte, v Vec, w Width, dst Reg, src Xmm) []byte {
	return vex(b, v.pp(), v.m(), byte(v), w == 8, uint8(src), 0, r(uint8(dst)))
}

// VecG2I is op dst, src, imm with a general purpose destination in the rm
// field: VPEXTR.
func VecG2I(b []byte, v Vec, dst Reg, src Xmm, imm uint8) []byte {
	return append(vex(b, v.pp(), v.m(), byte(v), v.w(), uint8(src), 0, r(uint8(dst))), imm)
}

// VecShift is a vector shift by an immediate: op dst, src, imm.
func VecShift(b []byte, s VecShiftOp, dst, src Xmm, imm uint8) []byte {
	return append(vex(b, 0x66, map0F, byte(s), false, uint8(s>>8), uint8(dst), r(uint8(src))), imm)
}

// VecShiftOp holds an opcode and the digit of its ModRM byte.
type VecShiftOp uint16

const (
	VPSRLWI  VecShiftOp = 2<<8 | 0x71
	VPSRAWI  VecShiftOp = 4<<8 | 0x71
	VPSLLWI  VecShiftOp = 6<<8 | 0x71
	VPSRLDI  VecShiftOp = 2<<8 | 0x72
	VPSRADI  VecShiftOp = 4<<8 | 0x72
	VPSLLDI  VecShiftOp = 6<<8 | 0x72
	VPSRLQI  VecShiftOp = 2<<8 | 0x73
	VPSRLDQI VecShiftOp = 3<<8 | 0x73 // bytes
	VPSLLQI  VecShiftOp = 6<<8 | 0x73
	VPSLLDQI VecShiftOp = 7<<8 | 0x73 // bytes
)

// Operations, by the manual's names. The comment after a group names the
// functions that take it.
var (
	// VecRRR, VecRRM.
	VADDSS  = vop(0xF3, map0F, 0x58, 0)
	VADDSD  = vop(0xF2, map0F, 0x58, 0)
	VADDPS  = vop(0, map0F, 0x58, 0)
	VADDPD  = vop(0x66, map0F, 0x58, 0)
	VSUBSS  = vop(0xF3, map0F, 0x5C, 0)
	VSUBSD  = vop(0xF2, map0F, 0x5C, 0)
	VSUBPS  = vop(0, map0F, 0x5C, 0)
	VSUBPD  = vop(0x66, map0F, 0x5C, 0)
	VMULSS  = vop(0xF3, map0F, 0x59, 0)
	VMULSD  = vop(0xF2, map0F, 0x59, 0)
	VMULPS  = vop(0, map0F, 0x59, 0)
	VMULPD  = vop(0x66, map0F, 0x59, 0)
	VDIVSS  = vop(0xF3, map0F, 0x5E, 0)
	VDIVSD  = vop(0xF2, map0F, 0x5E, 0)
	VDIVPS  = vop(0, map0F, 0x5E, 0)
	VDIVPD  = vop(0x66, map0F, 0x5E, 0)
	VMINSS  = vop(0xF3, map0F, 0x5D, 0)
	VMINSD  = vop(0xF2, map0F, 0x5D, 0)
	VMINPS  = vop(0, map0F, 0x5D, 0)
	VMINPD  = vop(0x66, map0F, 0x5D, 0)
	VMAXSS  = vop(0xF3, map0F, 0x5F, 0)
	VMAXSD  = vop(0xF2, map0F, 0x5F, 0)
	VMAXPS  = vop(0, map0F, 0x5F, 0)
	VMAXPD  = vop(0x66, map0F, 0x5F, 0)
	VSQRTSS = vop(0xF3, map0F, 0x51, 0) // src1 supplies the upper lanes
	VSQRTSD = vop(0xF2, map0F, 0x51, 0)
	VANDPS  = vop(0, map0F, 0x54, 0)
	VANDNPS = vop(0, map0F, 0x55, 0)
	VORPS   = vop(0, map0F, 0x56, 0)
	VXORPS  = vop(0, map0F, 0x57, 0)

	VCVTSS2SD = vop(0xF3, map0F, 0x5A, 0)
	VCVTSD2SS = vop(0xF2, map0F, 0x5A, 0)

	VUNPCKLPS  = vop(0, map0F, 0x14, 0)
	VUNPCKLPD  = vop(0x66, map0F, 0x14, 0)
	VPUNPCKLBW = vop(0x66, map0F, 0x60, 0)
	VPUNPCKLWD = vop(0x66, map0F, 0x61, 0)
	VPUNPCKLDQ = vop(0x66, map0F, 0x62, 0)
	VPUNPCKHBW = vop(0x66, map0F, 0x68, 0)
	VPUNPCKHWD = vop(0x66, map0F, 0x69, 0)
	VPUNPCKHDQ = vop(0x66, map0F, 0x6A, 0)

	VPUNPCKLQDQ = vop(0x66, map0F, 0x6C, 0)
	VPUNPCKHQDQ = vop(0x66, map0F, 0x6D, 0)

	VPACKSSWB  = vop(0x66, map0F, 0x63, 0)
	VPACKUSWB  = vop(0x66, map0F, 0x67, 0)
	VPACKSSDW  = vop(0x66, map0F, 0x6B, 0)
	VPACKUSDW  = vop(0x66, map0F38, 0x2B, 0)
	VPCMPGTB   = vop(0x66, map0F, 0x64, 0)
	VPCMPGTW   = vop(0x66, map0F, 0x65, 0)
	VPCMPGTD   = vop(0x66, map0F, 0x66, 0)
	VPCMPGTQ   = vop(0x66, map0F38, 0x37, 0)
	VPCMPEQB   = vop(0x66, map0F, 0x74, 0)
	VPCMPEQW   = vop(0x66, map0F, 0x75, 0)
	VPCMPEQD   = vop(0x66, map0F, 0x76, 0)
	VPCMPEQQ   = vop(0x66, map0F38, 0x29, 0)
	VPADDB     = vop(0x66, map0F, 0xFC, 0)
	VPADDW     = vop(0x66, map0F, 0xFD, 0)
	VPADDD     = vop(0x66, map0F, 0xFE, 0)
	VPADDQ     = vop(0x66, map0F, 0xD4, 0)
	VPADDSB    = vop(0x66, map0F, 0xEC, 0)
	VPADDSW    = vop(0x66, map0F, 0xED, 0)
	VPADDUSB   = vop(0x66, map0F, 0xDC, 0)
	VPADDUSW   = vop(0x66, map0F, 0xDD, 0)
	VPSUBB     = vop(0x66, map0F, 0xF8, 0)
	VPSUBW     = vop(0x66, map0F, 0xF9, 0)
	VPSUBD     = vop(0x66, map0F, 0xFA, 0)
	VPSUBQ     = vop(0x66, map0F, 0xFB, 0)
	VPSUBSB    = vop(0x66, map0F, 0xE8, 0)
	VPSUBSW    = vop(0x66, map0F, 0xE9, 0)
	VPSUBUSB   = vop(0x66, map0F, 0xD8, 0)
	VPSUBUSW   = vop(0x66, map0F, 0xD9, 0)
	VPMULLW    = vop(0x66, map0F, 0xD5, 0)
	VPMULLD    = vop(0x66, map0F38, 0x40, 0)
	VPMULUDQ   = vop(0x66, map0F, 0xF4, 0)
	VPMULDQ    = vop(0x66, map0F38, 0x28, 0)
	VPMULHRSW  = vop(0x66, map0F38, 0x0B, 0)
	VPMADDWD   = vop(0x66, map0F, 0xF5, 0)
	VPMADDUBSW = vop(0x66, map0F38, 0x04, 0)
	VPAVGB     = vop(0x66, map0F, 0xE0, 0)
	VPAVGW     = vop(0x66, map0F, 0xE3, 0)
	VPMINSB    = vop(0x66, map0F38, 0x38, 0)
	VPMINSW    = vop(0x66, map0F, 0xEA, 0)
	VPMINSD    = vop(0x66, map0F38, 0x39, 0)
	VPMINUB    = vop(0x66, map0F, 0xDA, 0)
	VPMINUW    = vop(0x66, map0F38, 0x3A, 0)
	VPMINUD    = vop(0x66, map0F38, 0x3B, 0)
	VPMAXSB    = vop(0x66, map0F38, 0x3C, 0)
	VPMAXSW    = vop(0x66, map0F, 0xEE, 0)
	VPMAXSD    = vop(0x66, map0F38, 0x3D, 0)
	VPMAXUB    = vop(0x66, map0F, 0xDE, 0)
	VPMAXUW    = vop(0x66, map0F38, 0x3E, 0)
	VPMAXUD    = vop(0x66, map0F38, 0x3F, 0)
	VPAND      = vop(0x66, map0F, 0xDB, 0)
	VPANDN     = vop(0x66, map0F, 0xDF, 0)
	VPOR       = vop(0x66, map0F, 0xEB, 0)
	VPXOR      = vop(0x66, map0F, 0xEF, 0)
	VPSHUFB    = vop(0x66, map0F38, 0x00, 0)
	VPSRLW     = vop(0x66, map0F, 0xD1, 0) // count in src2's low 64 bits
	VPSRLD     = vop(0x66, map0F, 0xD2, 0)
	VPSRLQ     = vop(0x66, map0F, 0xD3, 0)
	VPSRAW     = vop(0x66, map0F, 0xE1, 0)
	VPSRAD     = vop(0x66, map0F, 0xE2, 0)
	VPSLLW     = vop(0x66, map0F, 0xF1, 0)
	VPSLLD     = vop(0x66, map0F, 0xF2, 0)
	VPSLLQ     = vop(0x66, map0F, 0xF3, 0)

	// VecRRRI.
	VCMPPS   = vop(0, map0F, 0xC2, 0)
	VCMPPD   = vop(0x66, map0F, 0xC2, 0)
	VCMPSS   = vop(0xF3, map0F, 0xC2, 0)
	VCMPSD   = vop(0xF2, map0F, 0xC2, 0)
	VROUNDSS = vop(0x66, map0F3A, 0x0A, 0)
	VROUNDSD = vop(0x66, map0F3A, 0x0B, 0)
	VPALIGNR = vop(0x66, map0F3A, 0x0F, 0)
	VSHUFPS  = vop(0, map0F, 0xC6, 0)
	VPBLENDW = vop(0x66, map0F3A, 0x0E, 0)

	// VecRR, VecRM.
	VSQRTPS    = vop(0, map0F, 0x51, 0)
	VSQRTPD    = vop(0x66, map0F, 0x51, 0)
	VUCOMISS   = vop(0, map0F, 0x2E, 0)
	VUCOMISD   = vop(0x66, map0F, 0x2E, 0)
	VMOVAPS    = vop(0, map0F, 0x28, 0)
	VMOVUPS    = vop(0, map0F, 0x10, 0)
	VMOVSS     = vop(0xF3, map0F, 0x10, 0) // VecRM only
	VMOVSD     = vop(0xF2, map0F, 0x10, 0) // VecRM only
	VMOVDDUP   = vop(0xF2, map0F, 0x12, 0)
	VPABSB     = vop(0x66, map0F38, 0x1C, 0)
	VPABSW     = vop(0x66, map0F38, 0x1D, 0)
	VPABSD     = vop(0x66, map0F38, 0x1E, 0)
	VPMOVSXBW  = vop(0x66, map0F38, 0x20, 0)
	VPMOVSXWD  = vop(0x66, map0F38, 0x23, 0)
	VPMOVSXDQ  = vop(0x66, map0F38, 0x25, 0)
	VPMOVZXBW  = vop(0x66, map0F38, 0x30, 0)
	VPMOVZXWD  = vop(0x66, map0F38, 0x33, 0)
	VPMOVZXDQ  = vop(0x66, map0F38, 0x35, 0)
	VPTEST     = vop(0x66, map0F38, 0x17, 0)
	VCVTDQ2PS  = vop(0, map0F, 0x5B, 0)
	VCVTTPS2DQ = vop(0xF3, map0F, 0x5B, 0)
	VCVTDQ2PD  = vop(0xF3, map0F, 0xE6, 0)
	VCVTTPD2DQ = vop(0x66, map0F, 0xE6, 0)
	VCVTPS2PD  = vop(0, map0F, 0x5A, 0)
	VCVTPD2PS  = vop(0x66, map0F, 0x5A, 0)

	// VecRRI.
	VPSHUFD  = vop(0x66, map0F, 0x70, 0)
	VPSHUFLW = vop(0xF2, map0F, 0x70, 0)
	VROUNDPS = vop(0x66, map0F3A, 0x08, 0)
	VROUNDPD = vop(0x66, map0F3A, 0x09, 0)

	// VecMR.
	VMOVUPSst = vop(0, map0F, 0x11, 0)
	VMOVSSst  = vop(0xF3, map0F, 0x11, 0)
	VMOVSDst  = vop(0xF2, map0F, 0x11, 0)

	// VecRG.
	VMOVD = vop(0x66, map0F, 0x6E, 0)

	// VecG2.
	VMOVDst = vop(0x66, map0F, 0x7E, 0)

	// VecRRG.
	VCVTSI2SS = vop(0xF3, map0F, 0x2A, 0)
	VCVTSI2SD = vop(0xF2, map0F, 0x2A, 0)

	// VecGR.
	VCVTTSS2SI = vop(0xF3, map0F, 0x2C, 0)
	VCVTTSD2SI = vop(0xF2, map0F, 0x2C, 0)
	VPMOVMSKB  = vop(0x66, map0F, 0xD7, 0)
	VMOVMSKPS  = vop(0, map0F, 0x50, 0)
	VMOVMSKPD  = vop(0x66, map0F, 0x50, 0)

	// VecRRGI.
	VPINSRB = vop(0x66, map0F3A, 0x20, 0)
	VPINSRW = vop(0x66, map0F, 0xC4, 0)
	VPINSRD = vop(0x66, map0F3A, 0x22, 0)
	VPINSRQ = vop(0x66, map0F3A, 0x22, 1)

	// VecG2I. VPEXTRW in this form is SSE4.1's, which zero-extends like the
	// others.
	VPEXTRB = vop(0x66, map0F3A, 0x14, 0)
	VPEXTRW = vop(0x66, map0F3A, 0x15, 0)
	VPEXTRD = vop(0x66, map0F3A, 0x16, 0)
	VPEXTRQ = vop(0x66, map0F3A, 0x16, 1)
)
