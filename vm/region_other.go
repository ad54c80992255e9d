//go:build !linux

package vm

import "unsafe"

// region is memory of the Go heap, for systems without a copy-on-write mapping that we use: images are copied, growth
// moves.
type region struct{ b []byte }

func mapPrivate(size uint64) ([]byte, error) { return make([]byte, size), nil }

func (r *region) reserve(capacity, size uint64) error {
	r.b = make([]byte, size)
	return nil
}

func (r *region) base() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(r.b)) }

// commit makes bytes from..to usable; they are zero.
func (r *region) commit(from, to uint64) error {
	if uint64(cap(r.b)) < to {
		b := make([]byte, to, to+to/4)
		copy(b, r.b)
		r.b = b
	}
	r.b = r.b[:to]
	return nil
}

func (r *region) mapImage(img *image) error {
	copy(r.b, img.view)
	return nil
}

func (r *region) free() { r.b = nil }

func (r *region) discard() {}

// image is an immutable piece of memory that regions begin with.
type image struct {
	view []byte
	sums pageSums
}

func newImage(size int, fill func(dst []byte) error) (*image, error) {
	img := &image{view: make([]byte, size)}
	if err := fill(img.view); err != nil {
		return nil, err
	}
	return img, nil
}

func populate([]byte) error { return nil }

// touched appends the parts of b behind from that were written since they were mapped: all, for nobody knows better.
func touched(b []byte, from int, out []span) []span {
	if from < len(b) {
		out = append(out, span{from, len(b)})
	}
	return out
}
