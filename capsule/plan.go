package capsule

import (
	"encoding"
	"reflect"
	"strings"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// A plan is how the values of one type are written and read: as the library would, but worked out once. A manifest takes a
// tenth of the time that the library's reflection takes, which was a tenth of a voter's. What a plan cannot say is left to
// the library, and TestEncodersAgree and FuzzReadersAgree compare the two.
type plan struct {
	op     planOp
	typ    reflect.Type
	size   uintptr // of a value in memory
	least  int     // bytes that an encoding takes, or fewer
	n      int     // elements of an array
	fields []plannedField
	elem   *plan
}

type plannedField struct {
	at   uintptr
	plan *plan
}

type planOp uint8

const (
	opBool planOp = iota
	opUint
	opInt
	opText
	opBytes   // []byte
	opOctets  // [n]byte
	opSlice   // of anything else
	opArray   // of anything else
	opPointer // null or what it points to
	opStruct
	opLink
	opRaw
)

// plans has a *plan for a reflect.Type, nil if the library has to do it.
var plans sync.Map

var (
	linkType = reflect.TypeFor[CID]()
	rawType  = reflect.TypeFor[RawItem]()
	byLib    = []reflect.Type{
		reflect.TypeFor[cbor.Marshaler](), reflect.TypeFor[encoding.BinaryMarshaler](),
		reflect.TypeFor[cbor.Unmarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler](),
	}
)

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := newPlan(t, map[reflect.Type]bool{})
	plans.Store(t, p)
	return p
}

// newPlan returns nil for a type that isn't made of what it knows. inside are the types around it: one that contains
// itself is left to the library.
func newPlan(t reflect.Type, inside map[reflect.Type]bool) *plan {
	switch t {
	case linkType:
		return &plan{op: opLink, typ: t, size: t.Size(), least: 1}
	case rawType:
		return &plan{op: opRaw, typ: t, size: t.Size(), least: 1}
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
	p := &plan{typ: t, size: t.Size(), least: 1}
	switch t.Kind() {
	case reflect.Bool:
		p.op = opBool
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		p.op = opUint
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.op = opInt
	case reflect.String:
		p.op = opText
	case reflect.Struct:
		p.op = opStruct
		if !p.addFields(t, 0, inside, map[string]bool{}) {
			return nil
		}
	case reflect.Pointer, reflect.Slice, reflect.Array:
		p.elem = newPlan(t.Elem(), inside)
		if p.elem == nil {
			return nil
		}
		octets := t.Elem().Kind() == reflect.Uint8
		switch {
		case t.Kind() == reflect.Pointer:
			p.op = opPointer
		case t.Kind() == reflect.Slice && octets:
			p.op = opBytes
		case t.Kind() == reflect.Slice:
			p.op = opSlice
		case octets:
			p.op, p.n = opOctets, t.Len()
			p.least += p.n
		default:
			p.op, p.n = opArray, t.Len()
			p.least += p.n * p.elem.least
		}
	default:
		return nil
	}
	return p
}

// addFields reports whether it knows every field of a struct that stands at an offset. An embedded struct's fields stand
// among those around it; two of one name are the library's to judge.
func (p *plan) addFields(t reflect.Type, at uintptr, inside map[reflect.Type]bool, names map[string]bool) bool {
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
			if f.Type.Kind() != reflect.Struct || !p.addFields(f.Type, at+f.Offset, inside, names) {
				return false
			}
			continue
		case !f.IsExported():
			continue
		}
		names[name] = true
		field := newPlan(f.Type, inside)
		if field == nil {
			return false
		}
		p.fields = append(p.fields, plannedField{at + f.Offset, field})
		p.least += field.least
	}
	return array
}
