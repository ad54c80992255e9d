//go:build wasip1

package kit

import "unsafe"

// The half of package reflect that makes values pulls in its method machinery: a small capsule had 2.25 MB with it and
// has 2.08 MB without. The runtime functions below do the same work; the Go runtime promises their signatures to linkname
// users (go.dev/issue/67401). A Go release that drops one fails the link, never silently.

//go:linkname unsafeNew reflect.unsafe_New
func unsafeNew(t unsafe.Pointer) unsafe.Pointer

//go:linkname unsafeNewArray reflect.unsafe_NewArray
func unsafeNewArray(elem unsafe.Pointer, n int) unsafe.Pointer

//go:linkname makemap runtime.makemap
func makemap(mapType unsafe.Pointer, hint int, m unsafe.Pointer) unsafe.Pointer

//go:linkname mapassign runtime.mapassign
func mapassign(mapType, m, key unsafe.Pointer) unsafe.Pointer

//go:linkname typedmemmove runtime.typedmemmove
func typedmemmove(t, dst, src unsafe.Pointer)

// typePointer is the *abi.Type behind a reflect.Type: the data word of the interface value.
func typePointer(p *plan) unsafe.Pointer {
	return (*[2]unsafe.Pointer)(unsafe.Pointer(&p.t))[1]
}

func (p *plan) alloc() unsafe.Pointer           { return unsafeNew(typePointer(p)) }
func (p *plan) allocElems(n int) unsafe.Pointer { return unsafeNewArray(typePointer(p.elem), n) }
func (p *plan) allocMap(n int) unsafe.Pointer   { return makemap(typePointer(p), n, nil) }

func (p *plan) setEntry(m, key, elem unsafe.Pointer) {
	typedmemmove(typePointer(p.elem), mapassign(typePointer(p), m, key), elem)
}
