package amd64

// ALU is one of the eight operations that share their encodings.
type ALU uint8

const (
	ADD ALU = iota
	OR
	ADC
	SBB
	AND
	SUB
	XOR
	CMP
)

// ALURR is op dst, src. Width is 4 or 8.
func ALURR(b []byte, op ALU, w Width, dst, src Reg) []byte {
	return legacy(b, 0, map0, byte(op)<<3|1, w == 8, uint8(src), r(uint8(dst)), false)
}

// ALURM is op dst, [m].
func ALURM(b []byte, op ALU, w Width, dst Reg, m Mem) []byte {
	return legacy(b, 0, map0, byte(op)<<3|3, w == 8, uint8(dst), mem(m), false)
}

// ALUMR is op [m], src.
func ALUMR(b []byte, op ALU, w Width, m Mem, src Reg) []byte {
	return legacy(b, 0, map0, byte(op)<<3|1, w == 8, uint8(src), mem(m), false)
}

// ALURI is op dst, imm, sign-extended.
func ALURI(b []byte, op ALU, w Width, dst Reg, imm int32) []byte {
	return aluImm(b, op, w, r(uint8(dst)), imm)
}

// ALUMI is op [m], imm, sign-extended.
func ALUMI(b []byte, op ALU, w Width, m Mem, imm int32) []byte {
	return aluImm(b, op, w, mem(m), imm)
}

func aluImm(b []byte, op ALU, w Width, rm operand, imm int32) []byte {
	if imm == int32(int8(imm)) {
		return append(legacy(b, 0, map0, 0x83, w == 8, uint8(op), rm, false), byte(imm))
	}
	return imm32(legacy(b, 0, map0, 0x81, w == 8, uint8(op), rm, false), imm)
}

// TESTRR is TEST a, b.
func TESTRR(b []byte, w Width, x, y Reg) []byte {
	return legacy(b, 0, map0, 0x85, w == 8, uint8(y), r(uint8(x)), false)
}

// TESTRI is TEST a, imm.
func TESTRI(b []byte, w Width, x Reg, imm int32) []byte {
	return imm32(legacy(b, 0, map0, 0xF7, w == 8, 0, r(uint8(x)), false), imm)
}

// MOVRR is MOV dst, src.
func MOVRR(b []byte, w Width, dst, src Reg) []byte {
	return legacy(b, 0, map0, 0x89, w == 8, uint8(src), r(uint8(dst)), false)
}

// MOVRM loads 4 or 8 bytes.
func MOVRM(b []byte, w Width, dst Reg, m Mem) []byte {
	return legacy(b, 0, map0, 0x8B, w == 8, uint8(dst), mem(m), false)
}

// MOVMR stores 1, 2, 4 or 8 bytes.
func MOVMR(b []byte, w Width, m Mem, src Reg) []byte {
	switch w {
	case 1:
		return legacy(b, 0, map0, 0x88, false, uint8(src), mem(m), src >= RSP)
	case 2:
		return legacy(b, 0x66, map0, 0x89, false, uint8(src), mem(m), false)
	}
	return legacy(b, 0, map0, 0x89, w == 8, uint8(src), mem(m), false)
}

// MOVMI stores an immediate of 1, 2, 4 or (sign-extended) 8 bytes.
func MOVMI(b []byte, w Width, m Mem, imm int32) []byte {
	switch w {
	case 1:
		return append(legacy(b, 0, map0, 0xC6, false, 0, mem(m), false), byte(imm))
	case 2:
		return append(legacy(b, 0x66, map0, 0xC7, false, 0, mem(m), false), byte(imm), byte(imm>>8))
	}
	return imm32(legacy(b, 0, map0, 0xC7, w == 8, 0, mem(m), false), imm)
}

// MOVRI loads a constant with the shortest form that leaves the flags alone.
func MOVRI(b []byte, dst Reg, v uint64) []byte {
	switch {
	case v>>32 == 0:
		if hi(uint8(dst)) != 0 {
			b = append(b, 0x41)
		}
		return imm32(append(b, 0xB8|byte(dst)&7), int32(v))
	case int64(v) == int64(int32(v)):
		return imm32(legacy(b, 0, map0, 0xC7, true, 0, r(uint8(dst)), false), int32(v))
	}
	return imm64(append(b, 0x48|hi(uint8(dst)), 0xB8|byte(dst)&7), v)
}

// LEA is LEA dst, [m].
func LEA(b []byte, w Width, dst Reg, m Mem) []byte {
	return legacy(b, 0, map0, 0x8D, w == 8, uint8(dst), mem(m), false)
}

// LEARIP is LEA dst, [RIP + rel]: an address rel bytes past its own end.
func LEARIP(b []byte, dst Reg, rel int32) []byte {
	return imm32(append(b, 0x48|hi(uint8(dst))<<2, 0x8D, 5|byte(dst)&7<<3), rel)
}

// ExtendRR widens a value of from bytes to w bytes; a 4-byte destination clears
// the upper half.
func ExtendRR(b []byte, signed bool, from, w Width, dst, src Reg) []byte {
	return extend(b, signed, from, w, dst, r(uint8(src)), from == 1 && src >= RSP)
}

// ExtendRM is ExtendRR with the source in memory.
func ExtendRM(b []byte, signed bool, from, w Width, dst Reg, m Mem) []byte {
	return extend(b, signed, from, w, dst, mem(m), false)
}

func extend(b []byte, signed bool, from, w Width, dst Reg, rm operand, byteRegs bool) []byte {
	op := byte(0xB6) // MOVZX
	if signed {
		op = 0xBE // MOVSX
	}
	switch {
	case from == 2:
		op++
	case from == 4 && signed:
		return legacy(b, 0, map0, 0x63, true, uint8(dst), rm, false) // MOVSXD
	case from == 4:
		return legacy(b, 0, map0, 0x8B, false, uint8(dst), rm, false)
	}
	return legacy(b, 0, map0F, op, signed && w == 8, uint8(dst), rm, byteRegs)
}

// IMULRR is IMUL dst, src.
func IMULRR(b []byte, w Width, dst, src Reg) []byte {
	return legacy(b, 0, map0F, 0xAF, w == 8, uint8(dst), r(uint8(src)), false)
}

// IMULRM is IMUL dst, [m].
func IMULRM(b []byte, w Width, dst Reg, m Mem) []byte {
	return legacy(b, 0, map0F, 0xAF, w == 8, uint8(dst), mem(m), false)
}

// IMULRI is IMUL dst, src, imm.
func IMULRI(b []byte, w Width, dst, src Reg, imm int32) []byte {
	if imm == int32(int8(imm)) {
		return append(legacy(b, 0, map0, 0x6B, w == 8, uint8(dst), r(uint8(src)), false), byte(imm))
	}
	return imm32(legacy(b, 0, map0, 0x69, w == 8, uint8(dst), r(uint8(src)), false), imm)
}

// Unary is an operation of opcode F7 with one operand.
type Unary uint8

const (
	NOT  Unary = 2
	NEG  Unary = 3
	MUL  Unary = 4 // RDX:RAX = RAX * x
	IMUL Unary = 5
	DIV  Unary = 6 // RAX, RDX = RDX:RAX / x, rest
	IDIV Unary = 7
)

// UnaryR is op x.
func UnaryR(b []byte, op Unary, w Width, x Reg) []byte {
	return legacy(b, 0, map0, 0xF7, w == 8, uint8(op), r(uint8(x)), false)
}

// CQO is CDQ or CQO: it extends the sign of RAX into RDX.
func CQO(b []byte, w Width) []byte {
	if w == 8 {
		b = append(b, 0x48)
	}
	return append(b, 0x99)
}

// Shift is a shift or rotation.
type Shift uint8

const (
	ROL Shift = 0
	ROR Shift = 1
	SHL Shift = 4
	SHR Shift = 5
	SAR Shift = 7
)

// ShiftRCL is op dst, CL.
func ShiftRCL(b []byte, op Shift, w Width, dst Reg) []byte {
	return legacy(b, 0, map0, 0xD3, w == 8, uint8(op), r(uint8(dst)), false)
}

// ShiftRI is op dst, imm.
func ShiftRI(b []byte, op Shift, w Width, dst Reg, imm uint8) []byte {
	return append(legacy(b, 0, map0, 0xC1, w == 8, uint8(op), r(uint8(dst)), false), imm)
}

// ShiftX is SHLX, SHRX or SARX dst, src, count: three operands, no flags, any
// count register. It needs BMI2.
func ShiftX(b []byte, op Shift, w Width, dst, src, count Reg) []byte {
	pp := [...]byte{SHL: 0x66, SHR: 0xF2, SAR: 0xF3}[op]
	return vex(b, pp, map0F38, 0xF7, w == 8, uint8(dst), uint8(count), r(uint8(src)))
}

// LZCNT, TZCNT and POPCNT count bits; the first two need BMI1 and LZCNT.
func LZCNT(b []byte, w Width, dst, src Reg) []byte { return bitCount(b, 0xBD, w, dst, src) }

// TZCNT counts trailing zeros.
func TZCNT(b []byte, w Width, dst, src Reg) []byte { return bitCount(b, 0xBC, w, dst, src) }

// POPCNT counts ones.
func POPCNT(b []byte, w Width, dst, src Reg) []byte { return bitCount(b, 0xB8, w, dst, src) }

func bitCount(b []byte, op byte, w Width, dst, src Reg) []byte {
	return legacy(b, 0xF3, map0F, op, w == 8, uint8(dst), r(uint8(src)), false)
}

// SETcc sets the low byte of dst.
func SETcc(b []byte, c Cond, dst Reg) []byte {
	return legacy(b, 0, map0F, 0x90|byte(c), false, 0, r(uint8(dst)), dst >= RSP)
}

// CMOVcc is CMOVcc dst, src.
func CMOVcc(b []byte, c Cond, w Width, dst, src Reg) []byte {
	return legacy(b, 0, map0F, 0x40|byte(c), w == 8, uint8(dst), r(uint8(src)), false)
}

// JMP jumps rel bytes past its own end; always the 5-byte form, so that it can
// be patched.
func JMP(b []byte, rel int32) []byte { return imm32(append(b, 0xE9), rel) }

// Jcc jumps rel bytes past its own end if c holds; always the 6-byte form.
func Jcc(b []byte, c Cond, rel int32) []byte { return imm32(append(b, 0x0F, 0x80|byte(c)), rel) }

// CALL calls rel bytes past its own end.
func CALL(b []byte, rel int32) []byte { return imm32(append(b, 0xE8), rel) }

// JMPR jumps to the address in x, JMPM to the address in memory.
func JMPR(b []byte, x Reg) []byte { return legacy(b, 0, map0, 0xFF, false, 4, r(uint8(x)), false) }

// JMPM jumps to the address at m.
func JMPM(b []byte, m Mem) []byte { return legacy(b, 0, map0, 0xFF, false, 4, mem(m), false) }

// CALLM calls the address at m.
func CALLM(b []byte, m Mem) []byte { return legacy(b, 0, map0, 0xFF, false, 2, mem(m), false) }

// RET returns.
func RET(b []byte) []byte { return append(b, 0xC3) }

// UD2 is the undefined instruction: executing it is a bug of the compiler.
func UD2(b []byte) []byte { return append(b, 0x0F, 0x0B) }

// NOP does nothing, in n bytes.
func NOP(b []byte, n int) []byte {
	for ; n > len(nops); n -= len(nops) {
		b = append(b, nops[len(nops)-1]...)
	}
	if n == 0 {
		return b
	}
	return append(b, nops[n-1]...)
}

var nops = [...][]byte{{0x90}, {0x66, 0x90}, {0x0F, 0x1F, 0}, {0x0F, 0x1F, 0x40, 0}, {0x0F, 0x1F, 0x44, 0, 0}, {0x66, 0x0F, 0x1F, 0x44, 0, 0},
	{0x0F, 0x1F, 0x80, 0, 0, 0, 0}, {0x0F, 0x1F, 0x84, 0, 0, 0, 0, 0}, {0x66, 0x0F, 0x1F, 0x84, 0, 0, 0, 0, 0}}

// REPMOVSB copies RCX bytes from RSI to RDI, upwards.
func REPMOVSB(b []byte) []byte { return append(b, 0xF3, 0xA4) }

// REPSTOSB stores AL in RCX bytes from RDI.
func REPSTOSB(b []byte) []byte { return append(b, 0xF3, 0xAA) }

// PUSH pushes x.
func PUSH(b []byte, x Reg) []byte {
	if hi(uint8(x)) != 0 {
		b = append(b, 0x41)
	}
	return append(b, 0x50|byte(x)&7)
}

// POP pops into x.
func POP(b []byte, x Reg) []byte {
	if hi(uint8(x)) != 0 {
		b = append(b, 0x41)
	}
	return append(b, 0x58|byte(x)&7)
}
