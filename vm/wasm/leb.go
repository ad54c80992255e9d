package wasm

// Checked reading of LEB128 numbers. The functions return the position behind the number, or one of
// the negative values below.
const (
	lebEnd      = -1 // the bytes end inside the number
	lebTooLong  = -2 // more bytes than the type may take
	lebTooLarge = -3 // bits set beyond the type's width
)

// lebRule is the rule that a negative position stands for.
func lebRule(pos int) string {
	switch pos {
	case lebTooLong:
		return "integer representation too long"
	case lebTooLarge:
		return "integer too large"
	}
	return "unexpected end of section or function"
}

func readU32(b []byte, pos int) (uint32, int) {
	var x uint32
	for shift := 0; ; shift += 7 {
		if pos >= len(b) {
			return 0, lebEnd
		}
		y := b[pos]
		pos++
		if shift == 28 && y > 0x0f {
			if y >= 0x80 {
				return 0, lebTooLong
			}
			return 0, lebTooLarge
		}
		x |= uint32(y&0x7f) << shift
		if y < 0x80 {
			return x, pos
		}
	}
}

// readSigned reads a signed number of 32, 33 or 64 bits.
func readSigned(b []byte, pos int, bits uint) (int64, int) {
	var x uint64
	for shift := uint(0); ; shift += 7 {
		if pos >= len(b) {
			return 0, lebEnd
		}
		y := b[pos]
		pos++
		if shift+7 >= bits { // the last byte: what exceeds the width must repeat the sign
			if y >= 0x80 {
				return 0, lebTooLong
			}
			spare := int8(y<<1) >> (bits - shift) // sign bit and all above it, sign extended
			if spare != 0 && spare != -1 {
				return 0, lebTooLarge
			}
		}
		x |= uint64(y&0x7f) << shift
		if y < 0x80 {
			if y&0x40 != 0 && shift+7 < 64 {
				x |= ^uint64(0) << (shift + 7)
			}
			return int64(x), pos
		}
	}
}
