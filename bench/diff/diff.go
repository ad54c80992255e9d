// Package diff runs one module on two engines and compares all that a program can tell them apart by:
// results, traps, globals, tables and memory. It must know nothing of how either engine works.
package diff

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"

	"github.com/kitwork/kwnode/bench/wasmgen"
)

// Engine instantiates modules.
type Engine interface {
	// Instantiate also runs the start function. A trap there is the first result, an error is anything else.
	Instantiate(ctx context.Context, wasm []byte) (inst Instance, trap string, err error)
}

// Instance is an instance in one engine.
type Instance interface {
	// Call calls an export. Arguments and results are numbers as bits, i32 and f32 in the lower half. A trap
	// is named in the words of the specification's tests.
	Call(ctx context.Context, name string, args []uint64) (results []uint64, trap string, err error)
	Memory() []byte
	// Gas is what the calls so far took, start function included: what the instance was charged, or what the
	// instrumented module counted.
	Gas() uint64
	Close()
}

// Stater is an Instance that can show more of its state, for engines that must agree in all of it.
type Stater interface{ State() (string, error) }

// Step is what one call came to.
type Step struct {
	Call    string
	Args    []uint64
	Results []uint64
	Trap    string
	Memory  [32]byte // hash of the memory afterwards
	Gas     uint64   // taken so far
	State   string   // of a Stater
}

func (s Step) String() string {
	return fmt.Sprintf("%s(%#x) = %#x trap %q memory %x gas %d %s", s.Call, s.Args, s.Results, s.Trap, s.Memory[:4], s.Gas, s.State)
}

// Trace instantiates b, which is m or m instrumented, and calls its exports with random arguments made from
// seed, two rounds of them.
func Trace(ctx context.Context, e Engine, b []byte, m *wasmgen.Module, seed uint64) ([]Step, error) {
	inst, trap, err := e.Instantiate(ctx, b)
	if err != nil {
		return nil, err
	}
	if trap != "" {
		return []Step{{Call: "start", Trap: trap}}, nil
	}
	defer inst.Close()
	rng := rand.New(rand.NewPCG(seed, 1))
	var steps []Step
	call := func(name string, args []uint64) error {
		results, trap, err := inst.Call(ctx, name, args)
		if err != nil {
			return fmt.Errorf("%s(%#x): %w", name, args, err)
		}
		step := Step{Call: name, Args: args, Results: results, Trap: trap, Memory: sha256.Sum256(inst.Memory()), Gas: inst.Gas()}
		if s, ok := inst.(Stater); ok {
			step.State, err = s.State()
		}
		steps = append(steps, step)
		return err
	}
	for range 2 {
		for _, c := range m.Calls {
			args := make([]uint64, len(c.Type.Params))
			for i, t := range c.Type.Params {
				args[i] = wasmgen.Argument(rng, t)
			}
			if err := call(c.Name, args); err != nil {
				return nil, err
			}
		}
		for _, name := range []string{wasmgen.ExportGlobals, wasmgen.ExportTables} {
			if err := call(name, nil); err != nil {
				return nil, err
			}
		}
	}
	return steps, nil
}

// Compare says where two traces differ, "" if nowhere. Traps are compared as far as both engines tell them
// apart: one that only says "invalid table access" may mean any of the traps of tables.
func Compare(ours, theirs []Step) string {
	for i := range min(len(ours), len(theirs)) {
		a, b := ours[i], theirs[i]
		if a.Call != b.Call || fmt.Sprint(a.Results) != fmt.Sprint(b.Results) || a.Memory != b.Memory || a.Gas != b.Gas || a.State != b.State || coarse(a.Trap) != coarse(b.Trap) {
			return fmt.Sprintf("step %d:\n  ours   %v\n  theirs %v", i, a, b)
		}
	}
	if len(ours) != len(theirs) {
		return fmt.Sprintf("%d steps and %d steps", len(ours), len(theirs))
	}
	return ""
}

func coarse(trap string) string {
	switch trap {
	case "out of bounds table access", "undefined element", "uninitialized element":
		return "invalid table access"
	}
	return trap
}
