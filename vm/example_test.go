package vm_test

import (
	"context"
	"fmt"
	"os"

	"github.com/kitwork/kwnode/vm"
)

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
		stop, err := s.Run(context.Background(), 5000) // a little gas at a time
		if err != nil {
			panic(err)
		}
		if stop.Reason == vm.Done {
			fmt.Println(stop.Results)
			return
		}
	}
	// Output: [i32:610]
}
