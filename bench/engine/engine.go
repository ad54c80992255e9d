// Package engine lets every WebAssembly engine run the same kernel the same
// way, so that their times can be compared in one process.
package engine

import "context"

// Engine makes programs out of modules.
type Engine interface {
	Name() string
	// Load compiles a module, or prepares it as the engine does, and
	// instantiates it.
	Load(ctx context.Context, wasm []byte) (Program, error)
}

// Program is an instance whose export "run" takes a size and returns a
// checksum. One goroutine uses it.
type Program interface {
	Run(ctx context.Context, n int32) (int64, error)
	Close() error
}
