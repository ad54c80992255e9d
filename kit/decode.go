package kit

import (
	"math"
	"reflect"
	"strconv"
	"unsafe"
)

// DecodeError says at which byte an encoded value does not fit the type it is read as.
type DecodeError struct {
	Offset int
	Reason string
}

func (e *DecodeError) Error() string { return "byte " + strconv.Itoa(e.Offset) + ": " + e.Reason }

// Unmarshal decodes b, all of it, as a T. It accepts what [Marshal] can produce and nothing else: a value has one
// encoding. The memory it takes is bounded by a small multiple of len(b).
func Unmarshal[T any](b []byte) (T, error) {
	var v T
	if err := decode(b, &v); err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

func decode[T any](b []byte, v *T) error {
	p, err := planOf(reflect.TypeFor[T]())
	if err != nil {
		return err
	}
	d := decoder{b: b, budget: 1<<16 + 256*len(b)}
	d.value(p, unsafe.Pointer(v), 0)
	if d.err == nil && d.off != len(b) {
		d.fail("more bytes than the value has")
	}
	if d.err != nil {
		return d.err
	}
	return nil
}

// A decoder walks a type and its bytes together, and writes through pointers: the settable half of package reflect would
// add 210 KB to a module. Invariant: every pointer handed to value points at memory of the plan's type. After an error
// off is len(b) and everything read is zero.
type decoder struct {
	b      []byte
	off    int
	budget int // bytes that may still be allocated: an element of one byte may stand for a struct of a thousand
	err    *DecodeError
}

func (d *decoder) fail(reason string) {
	if d.err == nil {
		d.err = &DecodeError{d.off, reason}
		d.off = len(d.b)
	}
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)-d.off) {
		d.fail("ends in the middle of a value")
		return nil
	}
	d.off += int(n)
	return d.b[d.off-int(n) : d.off]
}

func (d *decoder) alloc(n int, size uintptr) bool {
	if size > 0 && n > d.budget/int(size) {
		d.fail("stands for more memory than its length allows")
		return false
	}
	d.budget -= n * int(size)
	return true
}

func (d *decoder) uvarint() uint64 {
	var u uint64
	for i := 0; ; i++ {
		c := d.take(1)
		if c == nil {
			return 0
		}
		if i == 9 && c[0] > 1 {
			d.fail("integer above 64 bits")
			return 0
		}
		u |= uint64(c[0]&0x7f) << (7 * i)
		if c[0] < 0x80 {
			if c[0] == 0 && i > 0 {
				d.fail("integer not in its shortest form")
			}
			return u
		}
	}
}

// count reads a length. Every element takes a byte at least, so a length above what is left is a lie.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)-d.off) {
		d.fail("length beyond the end")
		return 0
	}
	return int(n)
}

func (d *decoder) value(p *plan, at unsafe.Pointer, depth int) {
	if depth > maxDepth {
		d.fail("nested too deeply")
		return
	}
	switch p.kind {
	case reflect.Bool:
		c := d.take(1)
		if c == nil {
			return
		}
		if c[0] > 1 {
			d.fail("a boolean is 0 or 1")
			return
		}
		*(*bool)(at) = c[0] == 1
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		u := d.uvarint()
		i := int64(u>>1) ^ -int64(u&1)
		if shift := 64 - 8*p.size; i<<shift>>shift != i {
			d.fail("integer out of range")
			return
		}
		storeInt(at, p.size, uint64(i))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u := d.uvarint()
		if shift := 64 - 8*p.size; u<<shift>>shift != u {
			d.fail("integer out of range")
			return
		}
		storeInt(at, p.size, u)
	case reflect.Float32:
		if c := d.take(4); c != nil {
			f := math.Float32frombits(le32(c))
			if f != f && le32(c) != nan32 {
				d.fail("a NaN has one form")
			}
			*(*float32)(at) = f
		}
	case reflect.Float64:
		if c := d.take(8); c != nil {
			u := uint64(le32(c)) | uint64(le32(c[4:]))<<32
			f := math.Float64frombits(u)
			if f != f && u != nan64 {
				d.fail("a NaN has one form")
			}
			*(*float64)(at) = f
		}
	case reflect.String:
		if n := d.count(); d.alloc(n, 1) {
			*(*string)(at) = string(d.take(uint64(n)))
		}
	case reflect.Slice:
		d.slice(p, at, depth)
	case reflect.Array:
		for i := range p.n {
			d.value(p.elem, unsafe.Add(at, uintptr(i)*p.elem.size), depth+1)
		}
	case reflect.Map:
		d.mapping(p, at, depth)
	case reflect.Pointer:
		d.pointer(p, at, depth)
	case reflect.Struct:
		d.structure(p, at, depth)
	}
}

func storeInt(at unsafe.Pointer, size uintptr, u uint64) {
	switch size {
	case 1:
		*(*uint8)(at) = uint8(u)
	case 2:
		*(*uint16)(at) = uint16(u)
	case 4:
		*(*uint32)(at) = uint32(u)
	case 8:
		*(*uint64)(at) = u
	}
}

func (d *decoder) slice(p *plan, at unsafe.Pointer, depth int) {
	n := d.count()
	if n == 0 || !d.alloc(n, p.elem.size) {
		return
	}
	data := p.allocElems(n)
	if p.elem.kind == reflect.Uint8 {
		copy(unsafe.Slice((*byte)(data), n), d.take(uint64(n)))
	} else {
		for i := 0; i < n && d.err == nil; i++ {
			d.value(p.elem, unsafe.Add(data, uintptr(i)*p.elem.size), depth+1)
		}
	}
	*(*sliceHeader)(at) = sliceHeader{data, n, n}
}

type sliceHeader struct {
	data     unsafe.Pointer
	len, cap int
}

// entryOverhead is what a map is taken to need for an entry beside key and value.
const entryOverhead = 16

func (d *decoder) mapping(p *plan, at unsafe.Pointer, depth int) {
	n := d.count()
	if !d.alloc(n, p.key.size+p.elem.size+entryOverhead) {
		return
	}
	m := p.allocMap(n)
	last := ""
	for i := 0; i < n && d.err == nil; i++ {
		start := d.off
		key, elem := p.key.alloc(), p.elem.alloc()
		d.value(p.key, key, depth+1)
		if d.err != nil {
			return
		}
		if k := string(d.b[start:d.off]); i > 0 && k <= last {
			d.off = start
			d.fail("keys of a map out of order")
			return
		} else {
			last = k
		}
		d.value(p.elem, elem, depth+1)
		p.setEntry(m, key, elem)
	}
	*(*unsafe.Pointer)(at) = m
}

func (d *decoder) pointer(p *plan, at unsafe.Pointer, depth int) {
	c := d.take(1)
	if c == nil || c[0] == 0 {
		return
	}
	if c[0] != 1 {
		d.fail("a pointer is 0 or 1")
		return
	}
	if !d.alloc(1, p.elem.size) {
		return
	}
	v := p.elem.alloc()
	d.value(p.elem, v, depth+1)
	*(*unsafe.Pointer)(at) = v
}

func (d *decoder) structure(p *plan, at unsafe.Pointer, depth int) {
	n := d.uvarint()
	if n > uint64(len(p.fields)) {
		d.fail(strconv.FormatUint(n, 10) + " fields where " + p.t.String() + " has " + strconv.Itoa(len(p.fields)) +
			": written by a newer version of the type")
		return
	}
	for i := range p.fields[:n] {
		d.value(p.fields[i].plan, unsafe.Add(at, p.fields[i].off), depth+1)
	}
}
