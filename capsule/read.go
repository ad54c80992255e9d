package capsule

import (
	"fmt"
	"reflect"
	"unsafe"
)

// sliceHeader is a slice as it stands in memory.
type sliceHeader struct {
	data     unsafe.Pointer
	len, cap int
}

// reader reads canonical bytes, which scan has passed, into values. It accepts just what append would have written for
// the value that results, and everything that it returns is a copy.
type reader struct {
	b   []byte
	off int
}

func (r *reader) fail(p *plan) error {
	return &EncodingError{Offset: r.off, Reason: fmt.Sprintf("the value does not fit %s", p.typ)}
}

// read reads an item into the value that stands at an address, which is of the plan's type.
func (r *reader) read(p *plan, at unsafe.Pointer) error {
	first := r.b[r.off]
	switch p.op {
	case opLink:
		return r.link(p, (*CID)(at))
	case opRaw:
		end, fail := scanItem(r.b, r.off)
		if fail != nil {
			return fail
		}
		*(*RawItem)(at) = append(RawItem(nil), r.b[r.off:end]...)
		r.off = end
		return nil
	case opBool:
		if first != cborFalse && first != cborTrue {
			return r.fail(p)
		}
		*(*bool)(at) = first == cborTrue
		r.off++
		return nil
	case opPointer:
		if first == cborNull {
			*(*unsafe.Pointer)(at) = nil
			r.off++
			return nil
		}
		q := reflect.New(p.typ.Elem()).UnsafePointer()
		*(*unsafe.Pointer)(at) = q
		return r.read(p.elem, q)
	}
	major, arg, next := readHead(r.b, r.off)
	switch {
	case p.op == opUint && major == majorUint:
		if p.size < 8 && arg>>(8*p.size) != 0 {
			return r.fail(p)
		}
		writeInt(at, p.size, arg)
	case p.op == opInt && (major == majorUint || major == majorNegInt):
		if arg>>(8*p.size-1) != 0 {
			return r.fail(p)
		}
		if major == majorNegInt {
			arg = ^arg
		}
		writeInt(at, p.size, arg)
	case p.op == opText && major == majorText:
		*(*string)(at) = string(r.b[next : next+int(arg)])
		next += int(arg)
	case p.op == opBytes && major == majorBytes:
		*(*[]byte)(at) = append(make([]byte, 0, arg), r.b[next:next+int(arg)]...)
		next += int(arg)
	case p.op == opOctets && major == majorBytes && arg == uint64(p.n):
		copy(unsafe.Slice((*byte)(at), p.n), r.b[next:])
		next += p.n
	case p.op == opStruct && major == majorArray && arg == uint64(len(p.fields)):
		r.off = next
		for i := range p.fields {
			if err := r.read(p.fields[i].plan, unsafe.Add(at, p.fields[i].at)); err != nil {
				return err
			}
		}
		return nil
	case p.op == opArray && major == majorArray && arg == uint64(p.n):
		r.off = next
		return r.readAll(p.elem, at, p.n)
	case p.op == opSlice && major == majorArray:
		// Memory follows the input's size: there is none for elements that cannot all be there.
		if arg > maxElements || arg > uint64((len(r.b)-next)/p.elem.least) {
			return r.fail(p)
		}
		n := int(arg)
		data := reflect.MakeSlice(p.typ, n, n).UnsafePointer()
		*(*sliceHeader)(at) = sliceHeader{data, n, n}
		r.off = next
		return r.readAll(p.elem, data, n)
	default:
		return r.fail(p)
	}
	r.off = next
	return nil
}

func (r *reader) readAll(p *plan, at unsafe.Pointer, n int) error {
	for i := range n {
		if err := r.read(p, unsafe.Add(at, uintptr(i)*p.size)); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) link(p *plan, at *CID) error {
	if r.b[r.off] == cborNull {
		*at = CID{}
		r.off++
		return nil
	}
	if checkLink(r.b[r.off:]) != "" {
		return r.fail(p)
	}
	*at = linkAt(r.b[r.off:])
	r.off += linkSize
	return nil
}

// writeInt stores the low bytes of v.
func writeInt(at unsafe.Pointer, size uintptr, v uint64) {
	switch size {
	case 1:
		*(*uint8)(at) = uint8(v)
	case 2:
		*(*uint16)(at) = uint16(v)
	case 4:
		*(*uint32)(at) = uint32(v)
	default:
		*(*uint64)(at) = v
	}
}
