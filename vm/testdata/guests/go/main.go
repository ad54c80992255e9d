// Program guest is standard Go under WASI: JSON, maps, goroutines, channels, timers, panics, deep recursion.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
)

type order struct {
	ID    int               `json:"id"`
	Items []string          `json:"items"`
	Tags  map[string]string `json:"tags,omitempty"`
	Total float64           `json:"total"`
}

func jsonRound() {
	in := `{"id":7,"items":["nut","bolt"],"tags":{"b":"2","a":"1"},"total":12.75}`
	var o order
	if err := json.Unmarshal([]byte(in), &o); err != nil {
		panic(err)
	}
	o.Items = append(o.Items, "washer")
	out, _ := json.Marshal(o)
	fmt.Println(string(out))
	err := json.Unmarshal([]byte(`{"id":"seven"}`), &o)
	fmt.Println("refused:", err)
}

// mapOrder prints what the seed decides: two runs with one seed agree.
func mapOrder() {
	m := map[string]int{}
	for i := range 20 {
		m[fmt.Sprint("k", i*i)] = i
	}
	var order []string
	for k := range m {
		order = append(order, k)
	}
	fmt.Println("order:", strings.Join(order, " "))
	sort.Strings(order)
	fmt.Println("sorted:", order[0], order[len(order)-1], len(order))
}

func pipeline() {
	var wg sync.WaitGroup
	jobs, results := make(chan int), make(chan int, 4)
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range jobs {
				results <- j * j
			}
		}()
	}
	go func() {
		for i := range 50 {
			jobs <- i
		}
		close(jobs)
		wg.Wait()
		close(results)
	}()
	sum := 0
	for r := range results {
		sum += r
	}
	fmt.Println("pipeline:", sum)
}

func timers() {
	start := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(95 * time.Millisecond)
	n := 0
	for done := false; !done; {
		select {
		case <-tick.C:
			n++
		case <-timeout:
			done = true
		}
	}
	time.Sleep(2 * time.Second)
	fmt.Println("ticks:", n, "slept about", time.Since(start).Round(100*time.Millisecond))
	// A busy wait ends because virtual time passes with work.
	for until := time.Now().Add(50 * time.Microsecond); time.Now().Before(until); {
	}
}

var errDeep = errors.New("deep enough")

func panics() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("recovered: %v", r)
		}
	}()
	var a []int
	return fmt.Errorf("no panic: %d", a[len(os.Args)+3])
}

func deep(n int, acc *[8]int) int {
	if n == 0 {
		return 0
	}
	local := *acc
	local[n%8] += n
	return deep(n-1, &local) + local[n%8]&1
}

func main() {
	jsonRound()
	if len(os.Args) > 1 && os.Args[1] == "panic" {
		panic("on request")
	}
	mapOrder()
	pipeline()
	timers()
	fmt.Println(panics())
	fmt.Println("deep:", deep(2000, &[8]int{}))
	if err := fmt.Errorf("wrapped: %w", errDeep); errors.Is(err, errDeep) {
		fmt.Println(err)
	}
	fmt.Fprintln(os.Stderr, "done")
	os.Exit(len(os.Args) - 1)
}
