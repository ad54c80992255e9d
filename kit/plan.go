package kit

import (
	"reflect"
	"sync"
)

// A plan is what the codec needs to know of a type, worked out once. Invariant: a plan that plans holds is complete and
// free of unsupported types, so encoding and decoding check values only.
type plan struct {
	t      reflect.Type
	kind   reflect.Kind
	size   uintptr
	key    *plan   // of a map
	elem   *plan   // of a map, slice, array or pointer
	fields []field // of a struct
	n      int     // length of an array
}

type field struct {
	name string
	off  uintptr
	plan *plan
}

// maxDepth bounds nesting, of types and of values: recursion through pointers ends here and not in the stack.
const maxDepth = 100

var plans struct {
	sync.Mutex
	m map[reflect.Type]*plan
}

// TypeError names a type that the codec refuses, and where in the outer type it stands.
type TypeError struct {
	Path   string
	Reason string
}

func (e *TypeError) Error() string { return "cannot encode " + e.Path + ": " + e.Reason }

// Encodable reports, as a [*TypeError], why values of t can't be a capsule's input, result or stored value; nil if they
// can. The SDK asks before it compiles anything.
func Encodable(t reflect.Type) error {
	_, err := planOf(t)
	return err
}

func planOf(t reflect.Type) (*plan, error) {
	plans.Lock()
	defer plans.Unlock()
	if p := plans.m[t]; p != nil {
		return p, nil
	}
	fresh := map[reflect.Type]*plan{}
	p, err := build(fresh, t, t.String(), 0)
	if err != nil {
		return nil, err
	}
	if plans.m == nil {
		plans.m = map[reflect.Type]*plan{}
	}
	for t, p := range fresh {
		plans.m[t] = p
	}
	return p, nil
}

func build(fresh map[reflect.Type]*plan, t reflect.Type, path string, depth int) (p *plan, err error) {
	if p := plans.m[t]; p != nil {
		return p, nil
	}
	if p := fresh[t]; p != nil {
		return p, nil
	}
	if depth > maxDepth {
		return nil, &TypeError{path, "nested too deeply"}
	}
	p = &plan{t: t, kind: t.Kind(), size: t.Size()}
	fresh[t] = p
	switch p.kind {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
	case reflect.Slice, reflect.Pointer:
		p.elem, err = build(fresh, t.Elem(), path, depth+1)
	case reflect.Array:
		if p.n = t.Len(); p.n == 0 {
			return nil, &TypeError{path, "an array of length 0 holds nothing"}
		}
		p.elem, err = build(fresh, t.Elem(), path, depth+1)
	case reflect.Map:
		if p.key, err = build(fresh, t.Key(), path+" key", depth+1); err != nil {
			return nil, err
		}
		if !ordered(p.key) {
			return nil, &TypeError{path + " key", "keys may be built of integers, booleans and strings only"}
		}
		p.elem, err = build(fresh, t.Elem(), path, depth+1)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			at := path + "." + f.Name
			if f.PkgPath != "" {
				return nil, &TypeError{at, "the field is not exported; export it, or use a type without it"}
			}
			fp, err := build(fresh, f.Type, at, depth+1)
			if err != nil {
				return nil, err
			}
			p.fields = append(p.fields, field{f.Name, f.Offset, fp})
		}
	default:
		return nil, &TypeError{path, t.String() + " has no value outside the program that made it"}
	}
	return p, err
}

// ordered tells whether a type may be a map's key: its values have one encoding each, equal only when they are equal.
func ordered(p *plan) bool {
	switch p.kind {
	case reflect.Float32, reflect.Float64, reflect.Pointer, reflect.Slice, reflect.Map:
		return false
	case reflect.Array:
		return ordered(p.elem)
	case reflect.Struct:
		for _, f := range p.fields {
			if !ordered(f.plan) {
				return false
			}
		}
	}
	return true
}
