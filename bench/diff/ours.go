package diff

import (
	"context"
	"fmt"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Ours is this project's interpreter.
type Ours struct{}

// enough gas for anything that a generated module does.
const enough = 1 << 40

// Instantiate implements Engine.
func (Ours) Instantiate(ctx context.Context, b []byte) (Instance, string, error) {
	m, err := vm.Decode(b)
	if err != nil {
		return nil, "", err
	}
	s := vm.NewStore(vm.Config{})
	inst, err := s.Instantiate(m, nil)
	if err != nil {
		s.Close()
		return nil, "", err
	}
	o := &ours{s: s, inst: inst, types: map[string]*wasm.FuncType{}}
	for _, ex := range m.Exports() {
		o.types[ex.Name] = ex.Func
	}
	_, trap, err := o.run(ctx)
	return o, trap, err
}

type ours struct {
	s     *vm.Store
	inst  *vm.Instance
	types map[string]*wasm.FuncType
}

func (o *ours) run(ctx context.Context) ([]uint64, string, error) {
	stop, err := o.s.Run(ctx, enough)
	if err != nil {
		return nil, "", err
	}
	switch stop.Reason {
	case vm.Done:
		var results []uint64
		for _, v := range stop.Results {
			results = append(results, v.Lo)
		}
		return results, "", nil
	case vm.Trapped:
		return nil, stop.Trap.Code.String(), nil
	}
	return nil, "", fmt.Errorf("run stopped for reason %d", stop.Reason)
}

// Call implements Instance.
func (o *ours) Call(ctx context.Context, name string, args []uint64) ([]uint64, string, error) {
	values := make([]vm.Value, len(args))
	for i, x := range args {
		values[i] = vm.Value{Type: o.types[name].Params[i], Lo: x}
	}
	if err := o.s.Start(o.inst, name, values...); err != nil {
		return nil, "", err
	}
	return o.run(ctx)
}

func (o *ours) Memory() []byte { return o.inst.Memory().Bytes() }

func (o *ours) Close() { o.s.Close() }
