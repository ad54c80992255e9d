package jit_test

import (
	"context"
	"testing"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
)

func newCompiler(t testing.TB) *jit.Compiler {
	t.Helper()
	if !jit.Supported() {
		t.Skip("this machine has no compiled tier: it needs amd64 with AVX and BMI2, on Linux, macOS or FreeBSD")
	}
	c, err := jit.New(jit.DefaultMemory)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type outcome struct {
	results string
	trap    string
	gas     uint64
}

func run(t testing.TB, wasm []byte, cfg vm.Config, export string, args ...vm.Value) outcome {
	t.Helper()
	m, err := vm.Decode(wasm)
	if err != nil {
		t.Fatal(err)
	}
	s := vm.NewStore(cfg)
	defer s.Close()
	inst, err := s.Instantiate(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(inst, export, args...); err != nil {
		t.Fatal(err)
	}
	stop, err := s.Run(context.Background(), 1<<60)
	if err != nil {
		t.Fatal(err)
	}
	var o outcome
	for _, v := range stop.Results {
		o.results += v.String() + " "
	}
	if stop.Trap != nil {
		o.trap = stop.Trap.Error()
	}
	o.gas = s.Gas()
	return o
}
