//go:build !amd64 || !(linux || darwin || freebsd)

package native

import (
	"fmt"
	"runtime"
	"unsafe"
)

var errUnsupported = fmt.Errorf("native: no compiled tier on %s/%s; use the interpreter", runtime.GOOS, runtime.GOARCH)

// Supported reports whether this machine can run compiled code.
func Supported() bool { return false }

// Memory would hold code.
type Memory struct{}

// NewMemory fails: this platform has no compiled tier.
func NewMemory(int) (*Memory, error) { return nil, errUnsupported }

// Close does nothing.
func (*Memory) Close() error { return nil }

// Used is zero.
func (*Memory) Used() int { return 0 }

// Load fails.
func (*Memory) Load([]byte) (*Code, error) { return nil, errUnsupported }

// Code would be executable.
type Code struct{}

// Addr is zero.
func (*Code) Addr() uintptr { return 0 }

// Size is zero.
func (*Code) Size() int { return 0 }

// Free does nothing.
func (*Code) Free() {}

// Stack would be where code runs.
type Stack struct{}

// NewStack fails.
func NewStack(int) (*Stack, error) { return nil, errUnsupported }

// Size is zero.
func (*Stack) Size() int { return 0 }

// Top is zero.
func (*Stack) Top() uintptr { return 0 }

// Close does nothing.
func (*Stack) Close() error { return nil }

// Run can't be reached: there is no Code to run.
func (*Stack) Run(uintptr, unsafe.Pointer) { panic("native: unsupported platform") }
