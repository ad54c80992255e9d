package jit_test

import (
	"fmt"
	"testing"

	"github.com/kitwork/kwnode/internal/spectest"
	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
)

// refused prints the functions that stayed interpreted, and fails if there are any: register code has no operation
// that compiled code couldn't do or leave to the machine.
func refused(t testing.TB, c *jit.Compiler) {
	n := 0
	c.Observe(func(e jit.Event) {
		if e.Err != nil {
			n++
			t.Errorf("stays interpreted: function %d %s: %v", e.Function, e.Name, e.Err)
		}
	})
	t.Cleanup(func() {
		t.Logf("%d functions stayed interpreted, %d were compiled", n, c.Stats().Functions)
	})
}

// TestSpec runs the specification's tests compiled.
func TestSpec(t *testing.T) {
	c := newCompiler(t)
	refused(t, c)
	fmt.Println("spectest:", spectest.Straight(t, vm.Config{Limits: spectest.Limits, Compiler: c, Tier: vm.TierJIT}))
}

// TestSpecFrozen runs the suite once more. Whatever is frozen in one tier is thawed in the other.
func TestSpecFrozen(t *testing.T) {
	c := newCompiler(t)
	refused(t, c)
	cfg := vm.Config{Limits: spectest.Limits, Compiler: c, Tier: vm.TierJIT}
	other := cfg
	other.Tier = vm.TierInterp
	r, freezes := spectest.Frozen(t, cfg, other)
	fmt.Printf("spectest-frozen: %v, %d freezes\n", r, freezes)
}
