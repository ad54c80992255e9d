// Package amd64 turns one instruction and its operands into the bytes of the
// AMD64 architecture. Every function is pure: it appends to the slice it is
// given and knows nothing of labels, registers in use, or what the code is
// for.
//
// Names are the manual's. A form is named by the order of its operands as the
// manual writes them, destination first: RR is register, register; RM is
// register, memory; MR is memory, register; RI and MI end in an immediate.
package amd64

// Reg is a general purpose register.
type Reg uint8

const (
	RAX Reg = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
)

// Xmm is a vector register.
type Xmm uint8

// NoBase as a Mem's base leaves it out; there must be an index.
const NoBase Reg = 0xFF

// Mem is the operand [Base + Index*Scale + Disp]. Scale is 0 when there is no
// index, else 1, 2, 4 or 8; RSP can't be an index.
type Mem struct {
	Base  Reg
	Index Reg
	Scale uint8
	Disp  int32
}

// Width is an operand size in bytes: 1, 2, 4 or 8.
type Width uint8

// Cond is a condition code, as in the low four bits of Jcc, SETcc and CMOVcc.
type Cond uint8

const (
	O Cond = iota
	NO
	B  // unsigned <
	AE // unsigned >=
	E
	NE
	BE // unsigned <=
	A  // unsigned >
	S
	NS
	P
	NP
	L  // signed <
	GE // signed >=
	LE // signed <=
	G  // signed >
)

// Not is the opposite condition.
func (c Cond) Not() Cond { return c ^ 1 }

// Opcode maps.
const (
	map0    = iota // one-byte opcodes
	map0F          // 0F
	map0F38        // 0F 38
	map0F3A        // 0F 3A
)

// operand is what a ModRM byte's rm field and its tail can name.
type operand struct {
	mem bool
	reg uint8
	m   Mem
}

func r(n uint8) operand { return operand{reg: n} }
func mem(m Mem) operand { return operand{mem: true, m: m} }
func hi(n uint8) byte   { return n >> 3 & 1 }
func (o operand) b() byte {
	switch {
	case o.mem && o.m.Base == NoBase:
		return 0
	case o.mem:
		return hi(uint8(o.m.Base))
	}
	return hi(o.reg)
}

func (o operand) x() byte {
	if o.mem && o.m.Scale != 0 {
		return hi(uint8(o.m.Index))
	}
	return 0
}

// modrm appends the ModRM byte, the SIB byte and the displacement.
func modrm(b []byte, reg uint8, o operand) []byte {
	reg = reg & 7 << 3
	if !o.mem {
		return append(b, 0xC0|reg|o.reg&7)
	}
	base := uint8(o.m.Base) & 7
	d := o.m.Disp
	mod := byte(0x80)
	switch {
	case o.m.Base == NoBase: // base 101 with mod 00
		base, mod = 5, 0
	case d == 0 && base != 5: // base 101 with mod 00 means no base
		mod = 0
	case d == int32(int8(d)):
		mod = 0x40
	}
	if o.m.Scale == 0 && base != 4 {
		b = append(b, mod|reg|base)
	} else {
		sib := byte(0x20) | base // index 100: none
		switch o.m.Scale {
		case 1, 2, 4, 8:
			if o.m.Index == RSP {
				panic("amd64: RSP as index")
			}
			sib = uint8(o.m.Index)&7<<3 | base
			for s := o.m.Scale; s > 1; s >>= 1 {
				sib += 0x40
			}
		}
		b = append(b, mod|reg|4, sib)
	}
	switch {
	case mod == 0x40:
		b = append(b, byte(d))
	case mod == 0x80, o.m.Base == NoBase:
		b = imm32(b, d)
	}
	return b
}

func imm32(b []byte, v int32) []byte {
	return append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
}

func imm64(b []byte, v uint64) []byte {
	return imm32(imm32(b, int32(v)), int32(v>>32))
}

// legacy appends an instruction with legacy prefixes: pp is 0, 66, F3 or F2.
// byteRegs forces a REX prefix where a byte operand is SPL, BPL, SIL or DIL.
func legacy(b []byte, pp byte, m int, op byte, w bool, reg uint8, rm operand, byteRegs bool) []byte {
	if pp != 0 {
		b = append(b, pp)
	}
	rex := hi(reg)<<2 | rm.x()<<1 | rm.b()
	if w {
		rex |= 8
	}
	if rex != 0 || byteRegs {
		b = append(b, 0x40|rex)
	}
	switch m {
	case map0F:
		b = append(b, 0x0F)
	case map0F38:
		b = append(b, 0x0F, 0x38)
	case map0F3A:
		b = append(b, 0x0F, 0x3A)
	}
	return modrm(append(b, op), reg, rm)
}

// vex appends a VEX-encoded 128-bit (L=0) instruction.
func vex(b []byte, pp byte, m int, op byte, w bool, reg, vvvv uint8, rm operand) []byte {
	var p byte
	switch pp {
	case 0x66:
		p = 1
	case 0xF3:
		p = 2
	case 0xF2:
		p = 3
	}
	last := (^vvvv&15)<<3 | p
	if m == map0F && !w && rm.x() == 0 && rm.b() == 0 {
		b = append(b, 0xC5, (hi(reg)^1)<<7|last)
	} else {
		if w {
			last |= 0x80
		}
		b = append(b, 0xC4, (hi(reg)^1)<<7|(rm.x()^1)<<6|(rm.b()^1)<<5|byte(m), last)
	}
	return modrm(append(b, op), reg, rm)
}
