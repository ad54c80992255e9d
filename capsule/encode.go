package capsule

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"sync"
	"unsafe"
)

const (
	cborFalse = 0xf4
	cborTrue  = 0xf5
)

// appendHead appends the start of an item of a major type whose number is n, in the shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// append appends the encoding of the value that stands at an address, which is of the plan's type.
func (p *plan) append(b []byte, at unsafe.Pointer) ([]byte, error) {
	switch p.op {
	case opBool:
		if *(*bool)(at) {
			return append(b, cborTrue), nil
		}
		return append(b, cborFalse), nil
	case opUint:
		return appendHead(b, majorUint, readUint(at, p.size)), nil
	case opInt:
		v := readInt(at, p.size)
		if v < 0 {
			return appendHead(b, majorNegInt, uint64(^v)), nil
		}
		return appendHead(b, majorUint, uint64(v)), nil
	case opText:
		s := *(*string)(at)
		return append(appendHead(b, majorText, uint64(len(s))), s...), nil
	case opBytes:
		s := *(*[]byte)(at)
		return append(appendHead(b, majorBytes, uint64(len(s))), s...), nil
	case opOctets:
		return append(appendHead(b, majorBytes, uint64(p.n)), unsafe.Slice((*byte)(at), p.n)...), nil
	case opSlice:
		s := *(*[]struct{})(at) // its length; the elements' type is p.elem's
		return p.elem.appendAll(appendHead(b, majorArray, uint64(len(s))), unsafe.Pointer(unsafe.SliceData(s)), len(s))
	case opArray:
		return p.elem.appendAll(appendHead(b, majorArray, uint64(p.n)), at, p.n)
	case opPointer:
		q := *(*unsafe.Pointer)(at)
		if q == nil {
			return append(b, cborNull), nil
		}
		return p.elem.append(b, q)
	case opLink:
		return (*CID)(at).append(b)
	case opRaw:
		raw := *(*RawItem)(at)
		if fail := scan(raw); fail != nil {
			return nil, fail
		}
		return append(b, raw...), nil
	}
	b = appendHead(b, majorArray, uint64(len(p.fields)))
	for i := range p.fields {
		var err error
		if b, err = p.fields[i].plan.append(b, unsafe.Add(at, p.fields[i].at)); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (p *plan) appendAll(b []byte, at unsafe.Pointer, n int) ([]byte, error) {
	for i := range n {
		var err error
		if b, err = p.append(b, unsafe.Add(at, uintptr(i)*p.size)); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func readUint(p unsafe.Pointer, size uintptr) uint64 {
	switch size {
	case 1:
		return uint64(*(*uint8)(p))
	case 2:
		return uint64(*(*uint16)(p))
	case 4:
		return uint64(*(*uint32)(p))
	}
	return *(*uint64)(p)
}

func readInt(p unsafe.Pointer, size uintptr) int64 {
	switch size {
	case 1:
		return int64(*(*int8)(p))
	case 2:
		return int64(*(*int16)(p))
	case 4:
		return int64(*(*int32)(p))
	}
	return *(*int64)(p)
}

// scratch is where encodings grow before they are copied to their size.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// maxScratch bounds what a buffer that is kept may hold.
const maxScratch = 1 << 20

// encode returns what the library's encMode.Marshal(v) would, and whether that is canonical is its caller's to check.
func encode(v any) ([]byte, error) {
	rv := reflect.ValueOf(v)
	if !rv.IsValid() {
		return encMode.Marshal(v)
	}
	t := rv.Type()
	if t.Kind() == reflect.Pointer && !rv.IsNil() {
		t, rv = t.Elem(), rv.Elem()
	}
	p := planOf(t)
	if p == nil {
		return encMode.Marshal(v)
	}
	if !rv.CanAddr() {
		c := reflect.New(t)
		c.Elem().Set(rv)
		rv = c.Elem()
	}
	buf := scratch.Get().(*[]byte)
	b, err := p.append((*buf)[:0], rv.Addr().UnsafePointer())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t, err)
	}
	out := append(make([]byte, 0, len(b)), b...)
	if cap(b) <= maxScratch {
		*buf = b
		scratch.Put(buf)
	}
	return out, nil
}
