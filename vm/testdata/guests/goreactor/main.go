// Program reactor is Go that is called from outside again and again, with a state that lives from call to call and a
// goroutine that waits in between.
package main

import (
	"fmt"
	"sync"
	"time"
)

var (
	mu    sync.Mutex
	total int64
	seen  = map[int64]int{}
	jobs  = make(chan int64)
	done  = make(chan int64)
)

func init() {
	go func() {
		for n := range jobs {
			mu.Lock()
			total += n
			seen[n%7]++
			mu.Unlock()
			done <- total
		}
	}()
}

//go:wasmexport add
func add(n int64) int64 {
	jobs <- n
	return <-done
}

//go:wasmexport wait
func wait(ms int32) int32 {
	start := time.Now()
	time.Sleep(time.Duration(ms) * time.Millisecond)
	return int32(time.Since(start) / time.Millisecond)
}

//go:wasmexport report
func report() int32 {
	mu.Lock()
	defer mu.Unlock()
	fmt.Println("total", total, "seen", seen)
	return int32(len(seen))
}

func main() {}
