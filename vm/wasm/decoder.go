package wasm

import (
	"fmt"
	"unicode/utf8"
	"unsafe"
)

// decoder is the state of one Decode. After the first error (err != nil) every method returns at once
// with a zero value, so that callers check only where they loop.
type decoder struct {
	b        []byte
	pos, end int // end is that of the section
	err      *Error
	m        *Module

	defined  uint32 // functions the function section announced
	declared []bool // functions that ref.func may name
	stack    []ValType
}

func (d *decoder) fail(kind ErrorKind, off int, format string, args ...any) {
	if d.err != nil {
		return
	}
	rule := format
	if len(args) > 0 {
		rule = fmt.Sprintf(format, args...)
	}
	d.err = &Error{Kind: kind, Offset: uint32(off), Func: -1, Rule: rule}
}

func (d *decoder) malformed(off int, rule string) { d.fail(Malformed, off, "%s", rule) }

func (d *decoder) invalid(off int, format string, args ...any) { d.fail(Invalid, off, format, args...) }

func (d *decoder) byte() byte {
	if d.err != nil {
		return 0
	}
	if d.pos >= d.end {
		d.malformed(d.pos, "unexpected end of section or function")
		return 0
	}
	x := d.b[d.pos]
	d.pos++
	return x
}

func (d *decoder) u32() uint32 {
	if d.err != nil {
		return 0
	}
	x, next := readU32(d.b[:d.end], d.pos)
	if next < 0 {
		d.malformed(d.pos, lebRule(next))
		return 0
	}
	d.pos = next
	return x
}

func (d *decoder) signed(bits uint) {
	if d.err != nil {
		return
	}
	_, next := readSigned(d.b[:d.end], d.pos, bits)
	if next < 0 {
		d.malformed(d.pos, lebRule(next))
		return
	}
	d.pos = next
}

func (d *decoder) skip(n int) {
	if d.err != nil {
		return
	}
	if n > d.end-d.pos {
		d.malformed(d.pos, "unexpected end of section or function")
		return
	}
	d.pos += n
}

// vector reads a length and refuses one that the section's remaining bytes cannot hold.
func (d *decoder) vector(minBytes int) int {
	at := d.pos
	n := int(d.u32())
	if d.err == nil && n > (d.end-d.pos)/minBytes {
		d.malformed(at, "length out of bounds")
		return 0
	}
	return n
}

// entries reads the count of a section whose index space has already entries from imports.
func (d *decoder) entries(what string, imported, minBytes int) int {
	at := d.pos
	n := d.vector(minBytes)
	if d.err == nil && n+imported > MaxEntries {
		d.fail(Limit, at, "%d %s, the most are %d", n+imported, what, MaxEntries)
		return 0
	}
	return n
}

func (d *decoder) name() string {
	n := d.vector(1)
	if d.err != nil || n == 0 {
		return ""
	}
	s := d.b[d.pos : d.pos+n]
	if !utf8.Valid(s) {
		d.malformed(d.pos, "malformed UTF-8 encoding")
		return ""
	}
	d.pos += n
	return unsafe.String(&s[0], n) // invariant: Module.Bytes never changes
}
