package vm

import (
	"fmt"
	"strings"
)

// TrapCode says why a program ended. The numbers are part of the continuation format and never change.
type TrapCode uint8

// Trap codes. The text of each is the one of the specification's test suite.
const (
	TrapNone           TrapCode = iota
	TrapUnreachable             // unreachable was executed
	TrapMemory                  // out of bounds memory access
	TrapTable                   // out of bounds table access
	TrapUndefined               // call_indirect beyond the table's end: undefined element
	TrapUninitialized           // call_indirect of a null entry: uninitialized element
	TrapSignature               // indirect call type mismatch
	TrapDivideByZero            // integer divide by zero
	TrapOverflow                // integer overflow, of a division or a conversion
	TrapInvalidConvert          // invalid conversion to integer, of a NaN
	TrapStack                   // call stack exhausted: Limits.Depth or Limits.Slots
	TrapHost                    // a host function ended the program; Trap.Err has its error
)

var trapText = [...]string{
	TrapNone:           "none",
	TrapUnreachable:    "unreachable",
	TrapMemory:         "out of bounds memory access",
	TrapTable:          "out of bounds table access",
	TrapUndefined:      "undefined element",
	TrapUninitialized:  "uninitialized element",
	TrapSignature:      "indirect call type mismatch",
	TrapDivideByZero:   "integer divide by zero",
	TrapOverflow:       "integer overflow",
	TrapInvalidConvert: "invalid conversion to integer",
	TrapStack:          "call stack exhausted",
	TrapHost:           "host function failed",
}

// String is the code's text.
func (c TrapCode) String() string {
	if int(c) < len(trapText) {
		return trapText[c]
	}
	return fmt.Sprintf("trap %d", uint8(c))
}

// Trap is the end of a program. The block in which it happened stays charged.
type Trap struct {
	Code  TrapCode
	Err   error   // of the host function, for TrapHost
	Trace []Frame // innermost first, at most 64 frames
	Depth int     // calls that were active, the traced ones included
}

func (t *Trap) Error() string {
	if t.Err != nil {
		return fmt.Sprintf("%v: %v", t.Code, t.Err)
	}
	return t.Code.String()
}

func (t *Trap) Unwrap() error { return t.Err }

// Frame is one active call, in the program's own coordinates.
type Frame struct {
	Instance int    // number of the instance in the store, HostInstance for a host function
	Func     uint32 // index in the instance's function index space
	Offset   uint32 // byte offset in the module of the instruction that is next or was called from; 0 for a host function
	Name     string // from the name section or an export, "" when there is none
}

// String prints the frame as a line of a stack trace.
func (f Frame) String() string {
	name := f.Name
	if name == "" {
		name = fmt.Sprintf("func[%d]", f.Func)
	}
	if f.Instance == HostInstance {
		return name + " (host)"
	}
	return fmt.Sprintf("%s (%d:%d+%#x)", name, f.Instance, f.Func, f.Offset)
}

// TraceString prints frames one to a line.
func TraceString(frames []Frame) string {
	var b strings.Builder
	for _, f := range frames {
		b.WriteString("  at ")
		b.WriteString(f.String())
		b.WriteByte('\n')
	}
	return b.String()
}
