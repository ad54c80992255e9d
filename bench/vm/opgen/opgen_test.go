package opgen

import (
	"context"
	"testing"

	"github.com/kitwork/kwnode/vm"
)

// TestCases: each module is valid, and a round of it ends.
func TestCases(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Cases() {
		if seen[c.Name] {
			t.Errorf("%s occurs twice", c.Name)
		}
		seen[c.Name] = true
		m, err := vm.Decode(c.Wasm)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		s := vm.NewStore(vm.Config{})
		inst, err := s.Instantiate(m, nil)
		if err == nil {
			err = s.Start(inst, "run", vm.I32(1))
		}
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
		} else if stop, err := s.Run(context.Background(), 1<<30); err != nil || stop.Reason != vm.Done {
			t.Errorf("%s: stopped %v %v %v", c.Name, stop.Reason, stop.Trap, err)
		}
		s.Close()
	}
	if len(seen) < 400 {
		t.Errorf("only %d cases", len(seen))
	}
}
