// Package programs lists what the benchmarks run: kernels in C, and programs in Rust and Go that live on a standard
// library, WASI and, in Go, a garbage collector. It must not know which engines run them.
package programs

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/kitwork/kwnode/bench/kernels"
)

//go:embed rust/*.wasm
var rust embed.FS

//go:embed go/main.go
var goSource []byte

// Program is a module whose export "run" takes Args, of which the last is a size, and returns a checksum. One that
// exports "_initialize" wants that called first.
type Program struct {
	Language, Name string
	Wasm           []byte
	Args           []int32 // sizes take a compiler some tens of milliseconds
}

// Scaled is the arguments with another size, at least 1.
func (p *Program) Scaled(by float64) []int32 {
	args := append([]int32(nil), p.Args...)
	n := &args[len(args)-1]
	*n = max(1, int32(float64(*n)*by))
	return args
}

var rustSizes = map[string]int32{"json": 40, "maps": 200, "queens": 60, "shapes": 1500, "sort": 30}

// goPrograms are those of go/main.go, in its order.
var goPrograms = []struct {
	name string
	size int32
}{{"json", 300}, {"maps", 150}, {"sort", 6}, {"tree", 60}, {"text", 40}, {"pipeline", 200}}

// All returns every program. It builds the ones in Go.
func All() ([]Program, error) {
	var all []Program
	for _, k := range kernels.All() {
		all = append(all, Program{"c", k.Name, k.Wasm, []int32{k.Size}})
	}
	files, err := rust.ReadDir("rust")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		b, err := rust.ReadFile(path.Join("rust", f.Name()))
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(f.Name(), ".wasm")
		all = append(all, Program{"rust", name, b, []int32{rustSizes[name]}})
	}
	b, err := BuildGo(goSource, "-buildmode=c-shared")
	if err != nil {
		return nil, err
	}
	for i, p := range goPrograms {
		all = append(all, Program{"go", p.name, b, []int32{int32(i), p.size}})
	}
	return all, nil
}

// BuildGo compiles a Go program for WASI with the toolchain at hand: 2 MB and more are not worth committing.
func BuildGo(source []byte, args ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file, out := filepath.Join(dir, "main.go"), filepath.Join(dir, "main.wasm")
	if err := os.WriteFile(file, source, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", out}, args...), file)...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, text)
	}
	return os.ReadFile(out)
}
