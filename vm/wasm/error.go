package wasm

import "fmt"

// ErrorKind says which promise a module broke.
type ErrorKind uint8

// The kinds of errors.
const (
	Malformed ErrorKind = iota // the bytes are not the binary format
	Invalid                    // well formed, but a validation rule is broken
	Limit                      // beyond a limit of this implementation, see the Max constants
)

func (k ErrorKind) String() string {
	return [...]string{"malformed", "invalid", "beyond a limit"}[k]
}

// Error is why Decode refused a module.
type Error struct {
	Kind   ErrorKind
	Offset uint32 // byte of the module where it was found
	Func   int    // function index, -1 outside of code
	Rule   string // the broken rule, in the words of the specification's tests where those have words for it
}

func (e *Error) Error() string {
	if e.Func < 0 {
		return fmt.Sprintf("wasm: %s module: %s at byte 0x%x", e.Kind, e.Rule, e.Offset)
	}
	return fmt.Sprintf("wasm: %s module: %s in function %d at byte 0x%x", e.Kind, e.Rule, e.Func, e.Offset)
}
