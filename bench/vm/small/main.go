//go:build wasip1

// A reactor that keeps a little state between calls, as a small capsule does.
package main

func main() {}

var (
	total int64
	seen  = map[int32]int{}
)

//go:wasmexport add
func add(n int32) int64 {
	total += int64(n)
	seen[n]++
	return total
}
