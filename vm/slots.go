package vm

import "unsafe"

// The accessors of instructions and slots, for the interpreter's loop. Each must stay below the inliner's budget for a
// big function (20): a call in the loop costs more than most instructions.
//
// Invariant: the machines that we run on are little-endian and allow unaligned access (amd64, arm64), so linear memory
// and slots are read as they lie.

func opAt(pc unsafe.Pointer) uint16  { return *(*uint16)(pc) }
func aAt(pc unsafe.Pointer) uint16   { return *(*uint16)(unsafe.Add(pc, 2)) }
func bAt(pc unsafe.Pointer) uint16   { return *(*uint16)(unsafe.Add(pc, 4)) }
func cAt(pc unsafe.Pointer) uint16   { return *(*uint16)(unsafe.Add(pc, 6)) }
func immAt(pc unsafe.Pointer) uint32 { return *(*uint32)(unsafe.Add(pc, 4)) }

// word reads 64 bits at a byte offset.
func word(p unsafe.Pointer, off uintptr) uint64 { return *(*uint64)(unsafe.Add(p, off)) }

func slot(fp unsafe.Pointer, i uint16) uint64 { return *(*uint64)(unsafe.Add(fp, uintptr(i)*8)) }

func setSlot(fp unsafe.Pointer, i uint16, v uint64) { *(*uint64)(unsafe.Add(fp, uintptr(i)*8)) = v }

func u32(fp unsafe.Pointer, i uint16) uint32 { return *(*uint32)(unsafe.Add(fp, uintptr(i)*8)) }
func i32(fp unsafe.Pointer, i uint16) int32  { return *(*int32)(unsafe.Add(fp, uintptr(i)*8)) }
func i64(fp unsafe.Pointer, i uint16) int64  { return *(*int64)(unsafe.Add(fp, uintptr(i)*8)) }

func f32(fp unsafe.Pointer, i uint16) float32 { return *(*float32)(unsafe.Add(fp, uintptr(i)*8)) }
func f64(fp unsafe.Pointer, i uint16) float64 { return *(*float64)(unsafe.Add(fp, uintptr(i)*8)) }

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// slotsAt views n slots.
func slotsAt(p unsafe.Pointer, n int) []uint64 {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*uint64)(p), n)
}

func vec(fp unsafe.Pointer, i uint16) *[2]uint64 {
	return (*[2]uint64)(unsafe.Add(fp, uintptr(i)*8))
}

// f32At reads a lane of a vector.
func f32At(fp unsafe.Pointer, i uint16, off uintptr) float32 {
	return *(*float32)(unsafe.Add(fp, uintptr(i)*8+off))
}
