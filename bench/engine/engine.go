// Package engine lets every WebAssembly engine run the same kernel the same way, so that their times can be compared in one
// process; it must never know what a kernel computes.
package engine

import "context"

// Engine makes programs out of modules.
type Engine interface {
	Name() string
	// Load compiles a module, or prepares it as the engine does, instantiates
	// it with WASI's imports and calls _initialize if it has that.
	Load(ctx context.Context, wasm []byte) (Program, error)
}

// Program is an instance whose export "run" takes numbers, of which the last
// is a size, and returns a checksum. One goroutine uses it.
type Program interface {
	Run(ctx context.Context, args ...int32) (int64, error)
	Close() error
}
