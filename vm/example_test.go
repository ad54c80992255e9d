package vm_test

import (
	"context"
	"fmt"
	"os"

	"github.com/kitwork/kwnode/vm"
)

// A program from a file to its result.
func Example() {
	m := must(vm.Decode(must(os.ReadFile("testdata/guests/c/bare.wasm"))))
	s := vm.NewStore(vm.Config{})
	defer s.Close()
	inst := must(s.Instantiate(m, nil))
	if err := s.Start(inst, "fib", vm.I32(15)); err != nil {
		panic(err)
	}
	stop := must(s.Run(context.Background(), 1_000_000))
	fmt.Println(stop.Reason == vm.Done, stop.Results)
	// Output: true [i32:610]
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A little gas at a time: between two runs a program can be frozen, or left for another.
func ExampleStore() {
	code, err := os.ReadFile("testdata/guests/c/bare.wasm")
	if err != nil {
		panic(err)
	}
	m, err := vm.Decode(code)
	if err != nil {
		panic(err)
	}
	s := vm.NewStore(vm.Config{Limits: vm.Limits{MemoryPages: 64}})
	defer s.Close()
	inst, err := s.Instantiate(m, nil)
	if err != nil {
		panic(err)
	}
	if err := s.Start(inst, "fib", vm.I32(15)); err != nil {
		panic(err)
	}
	for {
		stop, err := s.Run(context.Background(), 5000)
		if err != nil {
			panic(err)
		}
		if stop.Reason != vm.OutOfGas {
			fmt.Println(stop.Results)
			return
		}
	}
	// Output: [i32:610]
}
