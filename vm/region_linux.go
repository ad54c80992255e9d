package vm

import (
	"fmt"
	"runtime"
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
}

// newImage makes an image of size bytes, a multiple of 4 KiB, that fill writes once.
func newImage(size int, fill func(dst []byte)) (*image, error) {
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
	fill(b)
	if err := unix.Mprotect(b, unix.PROT_READ); err != nil {
		_ = unix.Munmap(b)
		return fail(err)
	}
	img.fd, img.view = fd, b
	runtime.AddCleanup(img, func(r imageRest) { r.free() }, imageRest{fd, b})
	return img, nil
}

type imageRest struct {
	fd   int
	view []byte
}

func (r imageRest) free() {
	_ = unix.Munmap(r.view)
	_ = unix.Close(r.fd)
}
