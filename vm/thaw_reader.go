package vm

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/kitwork/kwnode/vm/wasm"
)

// bodyReader reads a body and checks it on the way. The first failure sticks.
type bodyReader struct {
	r    *bufio.Reader
	s    *Store
	src  Sources
	pos  int64
	err  error
	host []byte

	frames []thawedFrame
	types  *typeCache
}

func newBodyReader(r io.Reader, buffer int, s *Store, src Sources) *bodyReader {
	return &bodyReader{r: bufio.NewReaderSize(r, buffer), s: s, src: src, types: newTypeCache()}
}

func (r *bodyReader) fail(format string, args ...any) error {
	if r.err == nil {
		r.err = &ThawError{r.pos, fmt.Sprintf(format, args...)}
	}
	return r.err
}

func (r *bodyReader) io(err error) {
	if r.err == nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("cut off")
		}
		r.err = &ThawError{r.pos, err.Error()}
	}
}

func (r *bodyReader) uint() uint64 {
	if r.err != nil {
		return 0
	}
	var v uint64
	for shift := 0; ; shift += 7 {
		c, err := r.r.ReadByte()
		if err != nil {
			r.io(err)
			return 0
		}
		r.pos++
		if shift == 63 && c > 1 || c == 0 && shift > 0 {
			r.fail("a number that isn't in its shortest form")
			return 0
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
}

// below reads a number that must be less than or equal to most.
func (r *bodyReader) below(most uint64, what string) uint64 {
	v := r.uint()
	if v > most {
		r.fail("%s is %d, at most %d is possible", what, v, most)
		return 0
	}
	return v
}

func (r *bodyReader) raw(p []byte) {
	if r.err != nil {
		return
	}
	n, err := io.ReadFull(r.r, p)
	r.pos += int64(n)
	if err != nil {
		r.io(err)
	}
}

func (r *bodyReader) byte() byte {
	var b [1]byte
	r.raw(b[:])
	return b[0]
}

func (r *bodyReader) fixed64() uint64 {
	var b [8]byte
	r.raw(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

func (r *bodyReader) text(most uint64, what string) []byte {
	n := r.below(most, what)
	var out []byte
	for n > 0 && r.err == nil { // memory grows with what is there, not with what is claimed
		k := min(n, 64<<10)
		out = append(out, make([]byte, k)...)
		r.raw(out[len(out)-int(k):])
		n -= k
	}
	return out
}

// value reads a typed value as slots; a funcref must mean something in the store.
func (r *bodyReader) value(t wasm.ValType) (lo, hi uint64) {
	switch t {
	case wasm.I32, wasm.F32:
		var b [4]byte
		r.raw(b[:])
		return uint64(binary.LittleEndian.Uint32(b[:])), 0
	case wasm.V128:
		return r.fixed64(), r.fixed64()
	}
	lo = r.fixed64()
	if t == wasm.FuncRef && r.err == nil && !r.s.validRef(lo) {
		r.fail("a reference to no function")
		return 0, 0
	}
	return lo, 0
}

func (r *bodyReader) values(types []wasm.ValType, slots []uint64) {
	for _, t := range types {
		if r.err != nil {
			return
		}
		lo, hi := r.value(t)
		slots[0] = lo
		if t == wasm.V128 {
			slots[1] = hi
		}
		slots = slots[t.Slots():]
	}
}
