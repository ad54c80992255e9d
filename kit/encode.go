package kit

import (
	"math"
	"reflect"
	"slices"
)

// The encoding, for whoever reads a value from another language:
//
//	bool                1 byte, 0 or 1
//	uint*               base-128 varint, least significant group first, shortest form
//	int*                the same of (v << 1) ^ (v >> 63)
//	float32, float64    4, 8 bytes little-endian; any NaN is 7fc00000, 7ff8000000000000
//	string, []byte      varint length, bytes
//	slice               varint length, elements
//	array               elements
//	map                 varint length, then key and value in byte order of the encoded keys, no key twice
//	struct              varint number of fields, fields in order of declaration
//	pointer             0, or 1 and the value
//
// Types are not written down: both sides know them. A struct that was written with fewer fields than the reader's type
// has leaves the rest zero, so a type may grow at its end. Equal values of one type have equal encodings.

// Marshal encodes v. It fails with a [*TypeError] on a type that has no encoding, and on pointers in a circle.
func Marshal[T any](v T) ([]byte, error) {
	p, err := planOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	return p.append(nil, reflect.ValueOf(&v).Elem(), 0)
}

func (p *plan) append(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, &TypeError{p.t.String(), "values nested too deeply, or in a circle"}
	}
	switch p.kind {
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1), nil
		}
		return append(b, 0), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i := v.Int()
		return appendUvarint(b, uint64(i)<<1^uint64(i>>63)), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return appendUvarint(b, v.Uint()), nil
	case reflect.Float32:
		return appendLE(b, uint64(bits32(float32(v.Float()))), 4), nil
	case reflect.Float64:
		return appendLE(b, bits64(v.Float()), 8), nil
	case reflect.String:
		return append(appendUvarint(b, uint64(v.Len())), v.String()...), nil
	case reflect.Slice:
		b = appendUvarint(b, uint64(v.Len()))
		if p.elem.kind == reflect.Uint8 {
			return append(b, v.Bytes()...), nil
		}
		return p.appendElems(b, v, v.Len(), depth)
	case reflect.Array:
		return p.appendElems(b, v, p.n, depth)
	case reflect.Map:
		return p.appendMap(b, v, depth)
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, 0), nil
		}
		return p.elem.append(append(b, 1), v.Elem(), depth+1)
	}
	b = appendUvarint(b, uint64(len(p.fields)))
	for i := range p.fields {
		var err error
		if b, err = p.fields[i].plan.append(b, v.Field(i), depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (p *plan) appendElems(b []byte, v reflect.Value, n, depth int) ([]byte, error) {
	for i := range n {
		var err error
		if b, err = p.elem.append(b, v.Index(i), depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (p *plan) appendMap(b []byte, v reflect.Value, depth int) ([]byte, error) {
	type pair struct{ key, val string }
	pairs := make([]pair, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		k, err := p.key.append(nil, it.Key(), depth+1)
		if err != nil {
			return nil, err
		}
		e, err := p.elem.append(nil, it.Value(), depth+1)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{string(k), string(e)})
	}
	slices.SortFunc(pairs, func(x, y pair) int {
		if x.key < y.key {
			return -1
		}
		return 1
	})
	b = appendUvarint(b, uint64(len(pairs)))
	for _, kv := range pairs {
		b = append(append(b, kv.key...), kv.val...)
	}
	return b, nil
}

func appendUvarint(b []byte, u uint64) []byte {
	for u >= 0x80 {
		b = append(b, byte(u)|0x80)
		u >>= 7
	}
	return append(b, byte(u))
}

func appendLE(b []byte, u uint64, n int) []byte {
	for range n {
		b = append(b, byte(u))
		u >>= 8
	}
	return b
}

const (
	nan32 = 0x7fc00000
	nan64 = 0x7ff8000000000000
)

func bits32(f float32) uint32 {
	if f != f {
		return nan32
	}
	return math.Float32bits(f)
}

func bits64(f float64) uint64 {
	if f != f {
		return nan64
	}
	return math.Float64bits(f)
}
