// Package native holds machine code that this process has made and runs it on
// a stack of its own. It knows bytes and addresses; it must never know what
// the code computes.
//
// Code that runs here must come back within about a millisecond: a goroutine
// inside it can't be preempted, so Go's garbage collector waits for it.
package native

import "errors"

// ErrNoMemory: the bound on code memory is reached, or the system gives none.
var ErrNoMemory = errors.New("native: no memory for code")
