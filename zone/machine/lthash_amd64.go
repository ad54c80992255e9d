package machine

import "golang.org/x/sys/cpu"

// hasSumRow: the processor has AES.
var hasSumRow = cpu.X86.HasAES

// sumRow adds the row that a seed expands to, lane by lane, or subtracts it if negative has all bits set, and not none.
//
//go:noescape
func sumRow(lanes *[ltBytes / 8]uint64, seed *[32]byte, negative uint64)
