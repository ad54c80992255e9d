package hostabi

import "github.com/kitwork/kwnode/vm"

// What a call costs, in units of the VM's meter and part of its version: changing a figure is a new meter version. A
// call is charged from its arguments before it works, for what it may have to touch at most: an answer by the capacity
// that the program offers for it, and bytes by what the limits let through, since more is refused unread.
//
// A unit is about a nanosecond of the interpreter's. Measured on a shared 2-core machine, crossing the boundary takes
// 250 ns of it, and a random byte 4 ns; what a store takes is what reading one key or writing it to a log takes, on
// one replica.
const (
	gasCall   = 200    // crossing the boundary, and what needs no more than that
	gasRead   = 2_000  // a read of the store
	gasWrite  = 4_000  // a write of the store, an event
	gasRandom = 1_000  // asking for fresh randomness
	gasMove   = 10_000 // freezing, certifying and shipping the program
	gasSleep  = 1_000  // parking it

	perCopy   = 8 // bytes copied for a unit
	perLog    = 4 // bytes logged for a unit
	perWrite  = 1 // bytes written, or scanned, for a unit
	forRandom = 4 // units for a random byte
)

// size is an argument as the charge sees it: beyond the limit nothing is read, so nothing more is charged.
func size(v vm.Value, most uint32) uint64 { return uint64(min(v.U32(), most+1)) }

func flat(units uint64) func([]vm.Value) uint64 {
	return func([]vm.Value) uint64 { return units }
}
