// Program small keeps a little state between calls, as a small capsule does.
package main

var (
	total int64
	seen  = map[int64]int{}
)

//go:wasmexport add
func add(n int64) int64 {
	total += n
	seen[n]++
	return total
}

func main() {}
