//go:build !wasip1

package kit

import (
	"reflect"
	"unsafe"
)

func (p *plan) alloc() unsafe.Pointer { return reflect.New(p.t).UnsafePointer() }

func (p *plan) allocElems(n int) unsafe.Pointer {
	return reflect.MakeSlice(p.t, n, n).UnsafePointer()
}

func (p *plan) allocMap(n int) unsafe.Pointer { return reflect.MakeMapWithSize(p.t, n).UnsafePointer() }

func (p *plan) setEntry(m, key, elem unsafe.Pointer) {
	reflect.NewAt(p.t, unsafe.Pointer(&m)).Elem().
		SetMapIndex(reflect.NewAt(p.key.t, key).Elem(), reflect.NewAt(p.elem.t, elem).Elem())
}
