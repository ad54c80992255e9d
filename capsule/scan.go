package capsule

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// maxNesting bounds how deep arrays stand inside each other. A batch entry that carries capsules with
// their chains needs 8.
const maxNesting = 16

// EncodingError says where bytes stop being canonical, and why.
type EncodingError struct {
	Offset int // of the first byte that is wrong
	Reason string
}

func (e *EncodingError) Error() string {
	return fmt.Sprintf("not canonical CBOR at byte %d: %s", e.Offset, e.Reason)
}

// CBOR major types, in the top three bits of an item's first byte.
const (
	majorUint   = 0
	majorNegInt = 1
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	majorTag    = 6
	majorSimple = 7
)

// readHead reads the first byte of the item at off and the argument behind it, and returns the offset
// behind both; -1 if the head is torn, of no definite length or not in its shortest form, which
// headReason then puts into words.
func readHead(b []byte, off int) (major byte, arg uint64, next int) {
	if off >= len(b) {
		return 0, 0, -1
	}
	major, info := b[off]>>5, b[off]&0x1f
	b = b[off+1:]
	// Each size has a smallest argument that needs it: 24, 2^8, 2^16, 2^32.
	switch {
	case info < 24:
		return major, uint64(info), off + 1
	case info == 24 && len(b) >= 1 && b[0] >= 24:
		return major, uint64(b[0]), off + 2
	case info == 25 && len(b) >= 2 && b[0] != 0:
		return major, uint64(binary.BigEndian.Uint16(b)), off + 3
	case info == 26 && len(b) >= 4 && (b[0]|b[1]) != 0:
		return major, uint64(binary.BigEndian.Uint32(b)), off + 5
	case info == 27 && len(b) >= 8 && (b[0]|b[1]|b[2]|b[3]) != 0:
		return major, binary.BigEndian.Uint64(b), off + 9
	}
	return major, 0, -1
}

func headReason(b []byte, off int) string {
	if off >= len(b) {
		return "the input ends where an item should start"
	}
	info := b[off] & 0x1f
	switch {
	case info == 31:
		return "indefinite length"
	case info > 27:
		return "reserved additional information"
	case b[off]>>5 == majorSimple:
		return checkSimple(b[off], majorSimple)
	case len(b)-off-1 < 1<<(info-24):
		return "the input ends inside an item's head"
	}
	return "a number or length is not in its shortest form"
}

// scanItem walks the item at off; see scanItems.
func scanItem(b []byte, off int) (end int, fail *EncodingError) { return scanItems(b, off, 1) }

// scanItems walks n > 0 items from off on without allocating and returns the offset behind them. It
// accepts exactly the CBOR that Marshal can write: integers, byte strings, UTF-8 text, arrays, null,
// booleans and links.
func scanItems(b []byte, off, n int) (end int, fail *EncodingError) {
	var left [1 + maxNesting]uint64 // items still to come: of the n, then in each open array
	left[0] = uint64(n)
	depth := 0
	for {
		at := off
		// The two shortest heads here, the rest in a call: Peek spends half of its time in this loop.
		var major byte
		var arg uint64
		var next int
		if at < len(b) && b[at]&0x1f < 24 {
			major, arg, next = b[at]>>5, uint64(b[at]&0x1f), at+1
		} else if at+1 < len(b) && b[at]&0x1f == 24 && b[at+1] >= 24 {
			major, arg, next = b[at]>>5, uint64(b[at+1]), at+2
		} else {
			major, arg, next = readHead(b, at)
		}
		if next < 0 {
			return 0, &EncodingError{Offset: at, Reason: headReason(b, at)}
		}
		off = next
		switch major {
		case majorUint, majorNegInt:
		case majorBytes, majorText:
			if arg > uint64(len(b)-off) {
				return 0, &EncodingError{Offset: at, Reason: "a string is longer than the input"}
			}
			if major == majorText && !utf8.Valid(b[off:off+int(arg)]) {
				return 0, &EncodingError{Offset: at, Reason: "text is not UTF-8"}
			}
			off += int(arg)
		case majorArray:
			if arg > uint64(len(b)-off) { // each element takes at least one byte
				return 0, &EncodingError{Offset: at, Reason: "an array is longer than the input"}
			}
			if arg > 0 {
				if depth == maxNesting {
					return 0, &EncodingError{Offset: at, Reason: "arrays are nested too deep"}
				}
				depth++
				left[depth] = arg
				continue
			}
		case majorTag:
			reason := "a tag other than 42 (link)"
			if arg == 42 {
				reason = checkLink(b[at:])
			}
			if reason != "" {
				return 0, &EncodingError{Offset: at, Reason: reason}
			}
			off = at + linkSize
		default:
			if reason := checkSimple(b[at], major); reason != "" {
				return 0, &EncodingError{Offset: at, Reason: reason}
			}
		}
		left[depth]--
		for left[depth] == 0 {
			if depth == 0 {
				return off, nil
			}
			depth--
			left[depth]--
		}
	}
}

func checkSimple(first, major byte) string {
	if major == majorMap {
		return "a map; structures are arrays in field order"
	}
	switch first {
	case 0xf4, 0xf5, cborNull:
		return ""
	case 0xf9, 0xfa, 0xfb:
		return "a floating-point number"
	}
	return "a simple value other than false, true and null"
}

// scan checks that b is exactly one canonical item.
func scan(b []byte) *EncodingError {
	end, fail := scanItem(b, 0)
	if fail == nil && end != len(b) {
		fail = &EncodingError{Offset: end, Reason: "bytes after the end of the item"}
	}
	return fail
}
