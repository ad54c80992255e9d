package diff

import (
	"context"
	"fmt"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Ours is this project's interpreter. Gas is how much each Run is given, if that isn't 0.
type Ours struct{ Gas uint64 }

// enough gas for anything that a generated module does.
const enough = 1 << 40

// Instantiate implements Engine.
func (e Ours) Instantiate(ctx context.Context, b []byte) (Instance, string, error) {
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
	o := &ours{s: s, inst: inst, portion: e.Gas, types: map[string]*wasm.FuncType{}}
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

	portion uint64 // gas for each Run, 0 for enough
	used    uint64
}

func (o *ours) run(ctx context.Context) ([]uint64, string, error) {
	gas := o.portion
	if gas == 0 {
		gas = enough
	}
	for {
		stop, err := o.s.Run(ctx, gas)
		if err != nil {
			return nil, "", err
		}
		o.used += stop.Used
		switch {
		case stop.Reason == vm.Done:
			var results []uint64
			for _, v := range stop.Results {
				results = append(results, v.Lo)
			}
			return results, "", nil
		case stop.Reason == vm.Trapped:
			return nil, stop.Trap.Code.String(), nil
		case stop.Reason == vm.OutOfGas && o.portion > 0:
			gas = max(o.portion, stop.Need)
		default:
			return nil, "", fmt.Errorf("run stopped for reason %d", stop.Reason)
		}
	}
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

func (o *ours) Gas() uint64 { return o.used }

func (o *ours) Close() { o.s.Close() }
