// Package kernels holds small programs of our own, one hot loop each, as WebAssembly; it must never know which engine runs
// them. Each exports run(i32) -> i64: a size to a checksum.
package kernels

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed wasm/*.wasm c/*.c c/*.h
var files embed.FS

// Kernel is one program.
type Kernel struct {
	Name string
	Wasm []byte
	// Size makes one run take some tens of milliseconds in a compiled engine.
	Size int32
}

// sizes are where a size of 1000 would be far off.
var sizes = map[string]int32{
	"bulk": 60000, "chase": 3000, "matrix": 60, "sieve": 200, "sort": 10, "nbody": 3000, "sha256": 600, "crc": 600,
	"indirect": 10000, "simd": 3000, "mandel": 1500, "floatloop": 3000, "intloop": 6000, "bigswitch": 4000,
}

// All returns every kernel in the order of their names.
func All() []Kernel {
	names, err := fs.Glob(files, "wasm/*.wasm")
	if err != nil {
		panic(err) // the pattern is constant
	}
	var out []Kernel
	for _, path := range names {
		wasm, err := files.ReadFile(path)
		if err != nil {
			panic(err) // the file is embedded
		}
		name := strings.TrimSuffix(strings.TrimPrefix(path, "wasm/"), ".wasm")
		size := sizes[name]
		if size == 0 {
			size = 1000
		}
		out = append(out, Kernel{name, wasm, size})
	}
	return out
}

// Source returns the C text of a kernel, with its header, or false for one
// that wasn't written in C.
func Source(name string) (source, header []byte, ok bool) {
	source, err := files.ReadFile("c/" + name + ".c")
	if err != nil {
		return nil, nil, false
	}
	header, err = files.ReadFile("c/kernel.h")
	return source, header, err == nil
}
