package capsule

import (
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

// readHead reads the first byte of the item at off and the argument behind it. The argument must be in
// its shortest form. reason is empty unless the head is wrong.
func readHead(b []byte, off int) (major byte, arg uint64, next int, reason string) {
	if off >= len(b) {
		return 0, 0, off, "the input ends where an item should start"
	}
	major, info := b[off]>>5, b[off]&0x1f
	off++
	switch {
	case info < 24:
		return major, uint64(info), off, ""
	case info > 27:
		if info == 31 {
			return major, 0, off, "indefinite length"
		}
		return major, 0, off, "reserved additional information"
	}
	size := 1 << (info - 24)
	if len(b)-off < size {
		return major, 0, off, "the input ends inside an item's head"
	}
	for _, c := range b[off : off+size] {
		arg = arg<<8 | uint64(c)
	}
	// The smallest argument that needs this many bytes: 24, 2^8, 2^16, 2^32.
	least := uint64(24)
	if size > 1 {
		least = 1 << (4 * size)
	}
	if arg < least && major != majorSimple {
		return major, arg, off, "a number or length is not in its shortest form"
	}
	return major, arg, off + size, ""
}

// scanItem walks the item at off without allocating and returns the offset behind it. It accepts exactly
// the CBOR that Marshal can write: integers, byte strings, UTF-8 text, arrays, null, booleans and links.
func scanItem(b []byte, off int) (end int, fail *EncodingError) {
	var left [maxNesting]uint64 // items still to come in each open array
	depth := 0
	for {
		at := off
		major, arg, next, reason := readHead(b, off)
		if reason != "" {
			return 0, &EncodingError{Offset: at, Reason: reason}
		}
		off = next
		rest := uint64(len(b) - off)
		switch major {
		case majorUint, majorNegInt:
		case majorBytes, majorText:
			if arg > rest {
				return 0, &EncodingError{Offset: at, Reason: "a string is longer than the input"}
			}
			if major == majorText && !utf8.Valid(b[off:off+int(arg)]) {
				return 0, &EncodingError{Offset: at, Reason: "text is not UTF-8"}
			}
			off += int(arg)
		case majorArray:
			if arg > rest { // each element takes at least one byte
				return 0, &EncodingError{Offset: at, Reason: "an array is longer than the input"}
			}
			if arg > 0 {
				if depth == maxNesting {
					return 0, &EncodingError{Offset: at, Reason: "arrays are nested too deep"}
				}
				left[depth] = arg
				depth++
				continue
			}
		case majorTag:
			if arg != 42 {
				return 0, &EncodingError{Offset: at, Reason: "a tag other than 42 (link)"}
			}
			if reason := checkLink(b[at:]); reason != "" {
				return 0, &EncodingError{Offset: at, Reason: reason}
			}
			off = at + linkSize
		default:
			if reason := checkSimple(b[at], major); reason != "" {
				return 0, &EncodingError{Offset: at, Reason: reason}
			}
		}
		for depth > 0 {
			left[depth-1]--
			if left[depth-1] > 0 {
				break
			}
			depth--
		}
		if depth == 0 {
			return off, nil
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
