package vm

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// region is reserved address space. Nothing but touched pages takes memory, and bounds are checked in software, so all
// of it is mapped readable and writable from the start: growing is no system call.
type region struct{ b []byte }

func mapPrivate(size uint64) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("%w: reserving %d bytes: %v", ErrBudget, size, err)
	}
	return b, nil
}

func (r *region) reserve(capacity, size uint64) (err error) {
	if capacity > 0 {
		r.b, err = mapPrivate(capacity)
	}
	return err
}

func (r *region) base() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(r.b)) }

// commit makes bytes from..to usable; they are, and they are zero.
func (r *region) commit(from, to uint64) error { return nil }

// mapImage replaces the first bytes by a private copy-on-write view of the image.
func (r *region) mapImage(img *image) error {
	if len(img.view) == 0 {
		return nil
	}
	_, _, e := unix.Syscall6(unix.SYS_MMAP, uintptr(r.base()), uintptr(len(img.view)), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE, uintptr(img.fd), 0)
	if e != 0 {
		return fmt.Errorf("%w: mapping an image: %v", ErrBudget, e)
	}
	runtime.KeepAlive(img)
	return nil
}

func (r *region) free() {
	if r.b != nil {
		_ = unix.Munmap(r.b)
		r.b = nil
	}
}

// discard gives the pages of a region back to the system; they read as zeros then.
func (r *region) discard() { _ = unix.Madvise(r.b, unix.MADV_DONTNEED) }

// image is an immutable piece of memory that regions can be mapped from without copying.
type image struct {
	fd   int
	view []byte // read-only
	sums pageSums
}

// newImage makes an image of size bytes, a multiple of 4 KiB, that fill writes once.
func newImage(size int, fill func(dst []byte) error) (*image, error) {
	img := &image{fd: -1}
	if size == 0 {
		return img, nil
	}
	fd, err := unix.MemfdCreate("image", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("%w: creating an image: %v", ErrBudget, err)
	}
	fail := func(err error) (*image, error) {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%w: creating an image: %v", ErrBudget, err)
	}
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return fail(err)
	}
	b, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fail(err)
	}
	err = fill(b)
	if err == nil {
		err = unix.Mprotect(b, unix.PROT_READ)
	}
	if err != nil {
		_ = unix.Munmap(b)
		return fail(err)
	}
	img.fd, img.view = fd, b
	runtime.AddCleanup(img, func(r imageRest) { r.free() }, imageRest{fd, b})
	return img, nil
}

// populate asks for the pages of b at once, which takes less time than a fault for each, and says if there is no memory
// for them: a fault could only end the process. Where the system can't be asked, they come when they are touched.
func populate(b []byte) error {
	sys := uintptr(os.Getpagesize())
	p := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	from := p &^ (sys - 1)
	_, _, e := unix.Syscall(unix.SYS_MADVISE, from, p+uintptr(len(b))-from, unix.MADV_POPULATE_WRITE)
	if e == unix.ENOMEM || e == unix.EFAULT {
		return e
	}
	return nil
}

type imageRest struct {
	fd   int
	view []byte
}

func (r imageRest) free() {
	_ = unix.Munmap(r.view)
	_ = unix.Close(r.fd)
}

// pagemap tells which pages of the process were written. It is nil where the system doesn't let us read it.
var pagemap = sync.OnceValue(func() *os.File {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return nil
	}
	return f
})

// Bits of a pagemap entry (Linux, Documentation/admin-guide/mm/pagemap.rst).
const (
	pmPresent = 1 << 63
	pmSwapped = 1 << 62
	pmFile    = 1 << 61 // a page of the image that was only read
)

// touched appends the parts of b behind from that were written since they were mapped. A page that is neither present
// nor swapped out, or is still the image's, wasn't.
func touched(b []byte, from int, out []span) []span {
	all := func(at int) []span {
		if at < len(b) {
			out = append(out, span{at, len(b)})
		}
		return out
	}
	f, sys := pagemap(), os.Getpagesize()
	if f == nil || from >= len(b) || sys%deltaPage != 0 || from%sys != 0 || len(b)%sys != 0 {
		return all(from)
	}
	var buf [4096]byte
	base := int64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) / int64(sys) * 8
	for at := from; at < len(b); {
		n := min(len(buf), (len(b)-at)/sys*8)
		if _, err := f.ReadAt(buf[:n], base+int64(at/sys)*8); err != nil {
			return all(at)
		}
		for i := 0; i < n; i += 8 {
			e := binary.LittleEndian.Uint64(buf[i:])
			if e&pmSwapped != 0 || e&(pmPresent|pmFile) == pmPresent {
				if k := len(out); k > 0 && out[k-1].to == at {
					out[k-1].to += sys
				} else {
					out = append(out, span{at, at + sys})
				}
			}
			at += sys
		}
	}
	return out
}
