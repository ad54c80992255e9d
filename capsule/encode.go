package capsule

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"unsafe"

	"github.com/fxamacker/cbor/v2"
)

// An encoder writes the values of one type as the library would, from a plan that is made once. A manifest takes a tenth of
// the time that the library's reflection takes, which was 8 % of a voter's. What the plan does not know is left to the
// library, and TestEncodersAgree compares the two.
type encoder struct {
	op     encodeOp
	size   uintptr // of an element, in memory
	n      int     // elements of an array
	fields []encodedField
	elem   *encoder
}

type encodedField struct {
	at  uintptr
	enc *encoder
}

type encodeOp uint8

const (
	encodeBool encodeOp = iota
	encodeUint
	encodeInt
	encodeText
	encodeBytes   // []byte
	encodeOctets  // [n]byte
	encodeSlice   // of anything else
	encodeArray   // of anything else
	encodePointer // null or what it points to
	encodeStruct
	encodeLink
	encodeRaw
)

// encoders has an *encoder for a reflect.Type, nil if the library has to do it.
var encoders sync.Map

var (
	linkType = reflect.TypeFor[CID]()
	rawType  = reflect.TypeFor[RawItem]()
	byLib    = []reflect.Type{reflect.TypeFor[cbor.Marshaler](), reflect.TypeFor[encoding.BinaryMarshaler]()}
)

func encoderOf(t reflect.Type) *encoder {
	if e, ok := encoders.Load(t); ok {
		return e.(*encoder)
	}
	e := newEncoder(t, map[reflect.Type]bool{})
	encoders.Store(t, e)
	return e
}

// newEncoder returns nil for a type that isn't made of what it knows. inside are the types around it: one that contains
// itself is left to the library.
func newEncoder(t reflect.Type, inside map[reflect.Type]bool) *encoder {
	switch t {
	case linkType:
		return &encoder{op: encodeLink, size: t.Size()}
	case rawType:
		return &encoder{op: encodeRaw, size: t.Size()}
	}
	for _, i := range byLib {
		if t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(i) {
			return nil
		}
	}
	if inside[t] {
		return nil
	}
	inside[t] = true
	defer delete(inside, t)
	e := &encoder{size: t.Size()}
	switch t.Kind() {
	case reflect.Bool:
		e.op = encodeBool
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.op = encodeUint
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.op = encodeInt
	case reflect.String:
		e.op = encodeText
	case reflect.Struct:
		e.op = encodeStruct
		if !e.addFields(t, 0, inside, map[string]bool{}) {
			return nil
		}
	case reflect.Pointer, reflect.Slice, reflect.Array:
		e.elem = newEncoder(t.Elem(), inside)
		if e.elem == nil {
			return nil
		}
		octets := t.Elem().Kind() == reflect.Uint8
		switch {
		case t.Kind() == reflect.Pointer:
			e.op = encodePointer
		case t.Kind() == reflect.Slice && octets:
			e.op = encodeBytes
		case t.Kind() == reflect.Slice:
			e.op = encodeSlice
		case octets:
			e.op, e.n = encodeOctets, t.Len()
		default:
			e.op, e.n = encodeArray, t.Len()
		}
	default:
		return nil
	}
	return e
}

// addFields reports whether it knows every field of a struct that stands at an offset. An embedded struct's fields stand
// among those around it; two of one name are the library's to judge.
func (e *encoder) addFields(t reflect.Type, at uintptr, inside map[reflect.Type]bool, names map[string]bool) bool {
	array := false
	for i := range t.NumField() {
		f := t.Field(i)
		tag, name := f.Tag.Get("cbor"), f.Name
		if n, _, _ := strings.Cut(f.Tag.Get("json"), ","); n != "" {
			name = n // which the library goes by
		}
		switch {
		case f.Name == "_":
			array = array || tag == ",toarray"
			continue
		case tag != "" || names[name] || name == "-" || f.Anonymous && name != f.Name:
			return false
		case f.Anonymous:
			if f.Type.Kind() != reflect.Struct || !e.addFields(f.Type, at+f.Offset, inside, names) {
				return false
			}
			continue
		case !f.IsExported():
			continue
		}
		names[name] = true
		enc := newEncoder(f.Type, inside)
		if enc == nil {
			return false
		}
		e.fields = append(e.fields, encodedField{at + f.Offset, enc})
	}
	return array
}

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

// append appends the encoding of the value at p, which is of e's type.
func (e *encoder) append(b []byte, p unsafe.Pointer) ([]byte, error) {
	switch e.op {
	case encodeBool:
		if *(*bool)(p) {
			return append(b, cborTrue), nil
		}
		return append(b, cborFalse), nil
	case encodeUint:
		return appendHead(b, majorUint, readUint(p, e.size)), nil
	case encodeInt:
		v := readInt(p, e.size)
		if v < 0 {
			return appendHead(b, majorNegInt, uint64(^v)), nil
		}
		return appendHead(b, majorUint, uint64(v)), nil
	case encodeText:
		s := *(*string)(p)
		return append(appendHead(b, majorText, uint64(len(s))), s...), nil
	case encodeBytes:
		s := *(*[]byte)(p)
		return append(appendHead(b, majorBytes, uint64(len(s))), s...), nil
	case encodeOctets:
		return append(appendHead(b, majorBytes, uint64(e.n)), unsafe.Slice((*byte)(p), e.n)...), nil
	case encodeSlice:
		s := *(*[]struct{})(p) // its length; the elements' type is e.elem's
		return e.elem.appendAll(appendHead(b, majorArray, uint64(len(s))), unsafe.Pointer(unsafe.SliceData(s)), len(s))
	case encodeArray:
		return e.elem.appendAll(appendHead(b, majorArray, uint64(e.n)), p, e.n)
	case encodePointer:
		q := *(*unsafe.Pointer)(p)
		if q == nil {
			return append(b, cborNull), nil
		}
		return e.elem.append(b, q)
	case encodeLink:
		return (*CID)(p).append(b)
	case encodeRaw:
		raw := *(*RawItem)(p)
		if fail := scan(raw); fail != nil {
			return nil, fail
		}
		return append(b, raw...), nil
	}
	b = appendHead(b, majorArray, uint64(len(e.fields)))
	for i := range e.fields {
		var err error
		if b, err = e.fields[i].enc.append(b, unsafe.Add(p, e.fields[i].at)); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (e *encoder) appendAll(b []byte, p unsafe.Pointer, n int) ([]byte, error) {
	for i := range n {
		var err error
		if b, err = e.append(b, unsafe.Add(p, uintptr(i)*e.size)); err != nil {
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
	e := encoderOf(t)
	if e == nil {
		return encMode.Marshal(v)
	}
	if !rv.CanAddr() {
		c := reflect.New(t)
		c.Elem().Set(rv)
		rv = c.Elem()
	}
	buf := scratch.Get().(*[]byte)
	b, err := e.append((*buf)[:0], rv.Addr().UnsafePointer())
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
