package jit

import (
	"os"
	"testing"

	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// BenchmarkCompile reports bytes of WebAssembly a second, of every function of a real program.
func BenchmarkCompile(b *testing.B) {
	src, err := os.ReadFile("../vm/testdata/guests/rust/std.wasm")
	if err != nil {
		b.Skipf("check the repository out whole: %v", err)
	}
	m, err := wasm.Decode(src, 0)
	if err != nil {
		b.Fatal(err)
	}
	lay := vm.NativeLayout()
	var funcs []*code.Func
	size := 0
	for i := range m.Code {
		f, err := code.Lower(m, m.NumImportedFuncs+uint32(i), func(t uint32) uint64 { return uint64(t) })
		if err != nil {
			b.Fatal(err)
		}
		funcs = append(funcs, f)
		size += int(m.Code[i].End - m.Code[i].Off)
	}
	b.SetBytes(int64(size))
	made := 0
	for b.Loop() {
		made = 0
		for _, f := range funcs {
			out, err := compile(&lay, m, f, nil)
			if err != nil {
				b.Fatal(err)
			}
			made += len(out.code)
		}
	}
	b.ReportMetric(float64(made)/float64(size), "B/B")
}
