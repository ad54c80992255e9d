package edwards

import "golang.org/x/sys/cpu"

// hasVectors: the processor multiplies 52-bit lanes (Intel since Ice Lake, AMD since Zen 4).
var hasVectors = cpu.X86.HasAVX512IFMA && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ

// addEntries adds the points that plus points to, and subtracts those of minus. The limbs of p are below 2^51 + 2^15, and
// stay so.
//
//go:noescape
func addEntries(p *lanes, plus **entry, adds int, minus **entry, subtracts int)
