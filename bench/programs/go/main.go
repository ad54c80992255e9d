//go:build wasip1

// A reactor of kernels in ordinary Go: run(kernel, size) gives a checksum. They live on what the C kernels don't have:
// a garbage collector, maps, interfaces, reflection and goroutines.
package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

func main() {}

// kernels are in the order in which the host knows them.
var kernels = []func(n int) int64{doc, maps, sorting, tree, text, pipeline}

//go:wasmexport run
func run(kernel, n int32) int64 { return kernels[kernel](int(n)) }

type order struct {
	ID    int               `json:"id"`
	Name  string            `json:"name"`
	Price float64           `json:"price"`
	Tags  []string          `json:"tags"`
	Attrs map[string]string `json:"attrs"`
}

// doc marshals and unmarshals JSON.
func doc(n int) int64 {
	var sum int64
	for i := range n {
		in := order{ID: i, Name: "order " + strconv.Itoa(i), Price: float64(i) / 8, Tags: []string{"a", "b<c>", "d"},
			Attrs: map[string]string{"zone": "eu", "state": "open"}}
		b, err := json.Marshal(in)
		if err != nil {
			panic(err)
		}
		var out order
		if err := json.Unmarshal(b, &out); err != nil {
			panic(err)
		}
		sum += int64(len(b)) + int64(out.ID) + int64(len(out.Attrs))
	}
	return sum
}

// maps counts in maps with keys of integers and of strings.
func maps(n int) int64 {
	ints, words := map[uint32]int{}, map[string]int{}
	x := uint32(1)
	for range n * 1000 {
		x = x*1664525 + 1013904223
		ints[x>>20]++
		if x&7 == 0 {
			words[strconv.Itoa(int(x>>22))]++
		}
	}
	var sum int64
	for k, v := range ints {
		sum += int64(k) * int64(v)
	}
	for k, v := range words {
		sum += int64(len(k)) * int64(v)
	}
	return sum
}

type byKey []struct{ key, val uint32 }

func (s byKey) Len() int           { return len(s) }
func (s byKey) Less(i, j int) bool { return s[i].key < s[j].key }
func (s byKey) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// sorting sorts through an interface and through generics.
func sorting(n int) int64 {
	x := uint32(7)
	var sum int64
	for range n {
		s := make(byKey, 4000)
		t := make([]string, 1000)
		for i := range s {
			x = x*1664525 + 1013904223
			s[i].key, s[i].val = x, uint32(i)
		}
		for i := range t {
			x = x*1664525 + 1013904223
			t[i] = strconv.FormatUint(uint64(x), 36)
		}
		sort.Sort(s)
		slices.Sort(t)
		sum += int64(s[17].val) + int64(len(t[3]))
	}
	return sum
}

type node struct{ left, right *node }

func grow(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{grow(depth - 1), grow(depth - 1)}
}

func (t *node) count() int64 {
	if t.left == nil {
		return 1
	}
	return 1 + t.left.count() + t.right.count()
}

// tree allocates binary trees, for the garbage collector.
func tree(n int) int64 {
	keep := grow(12)
	var sum int64
	for range n {
		sum += grow(10).count()
	}
	return sum + keep.count()
}

var pattern = regexp.MustCompile(`([a-z]+)@([a-z]+)\.(org|net)`)

// text splits, joins, replaces and matches strings.
func text(n int) int64 {
	var sum int64
	line := strings.Repeat("ann@example.org, bob at home; carol@host.net ", 20)
	for range n {
		for _, m := range pattern.FindAllStringSubmatch(line, -1) {
			sum += int64(len(m[1]))
		}
		sum += int64(len(strings.Join(strings.Fields(line), "-"))) + int64(strings.Count(strings.ToUpper(line), "O"))
	}
	return sum
}

// pipeline passes numbers through goroutines.
func pipeline(n int) int64 {
	in := make(chan int)
	out := in
	for range 8 {
		next := make(chan int, 4)
		go func(from chan int) {
			for v := range from {
				next <- v*3 + 1
			}
			close(next)
		}(out)
		out = next
	}
	go func() {
		for i := range n * 10 {
			in <- i
		}
		close(in)
	}()
	var sum int64
	for v := range out {
		sum += int64(v)
	}
	return sum
}
