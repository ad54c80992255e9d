package vm_test

import (
	"fmt"
	"testing"

	"github.com/kitwork/kwnode/internal/spectest"
	"github.com/kitwork/kwnode/vm"
)

// TestSpec runs the specification's tests.
func TestSpec(t *testing.T) {
	fmt.Println("spectest:", spectest.Straight(t, vm.Config{Limits: spectest.Limits}))
}

// TestSpecFrozen runs the suite once more, frozen and thawed on the way.
func TestSpecFrozen(t *testing.T) {
	r, freezes := spectest.Frozen(t, vm.Config{Limits: spectest.Limits})
	fmt.Printf("spectest-frozen: %v, %d freezes\n", r, freezes)
}
