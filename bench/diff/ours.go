package diff

import (
	"context"
	"fmt"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Ours is this project's interpreter.
type Ours struct {
	Gas     uint64 // how much each Run is given; 0 is enough for a whole call
	Freezes int    // how often, when that is used up, the program is frozen and goes on in a new store
}

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
	o := &ours{m: m, s: s, inst: inst, portion: e.Gas, freezes: e.Freezes, types: map[string]*wasm.FuncType{}}
	for _, ex := range m.Exports() {
		o.types[ex.Name] = ex.Func
	}
	_, trap, err := o.run(ctx)
	return o, trap, err
}

type ours struct {
	m     *vm.Module
	s     *vm.Store
	inst  *vm.Instance
	types map[string]*wasm.FuncType

	portion uint64 // gas for each Run, 0 for enough
	used    uint64
	freezes int // still to come
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
			if err := o.freeze(); err != nil {
				return nil, "", err
			}
		default:
			return nil, "", fmt.Errorf("run stopped for reason %d", stop.Reason)
		}
	}
}

// freeze moves the program to another store by way of bytes.
func (o *ours) freeze() error {
	if o.freezes == 0 {
		return nil
	}
	o.freezes--
	before, err := o.s.StateHash(nil)
	if err != nil {
		return err
	}
	b, err := o.s.Freeze(vm.FreezeOptions{})
	if err != nil {
		return err
	}
	o.s.Close()
	o.s, _, err = vm.Thaw(b, vm.Config{}, vm.Sources{Module: func([32]byte) (*vm.Module, error) { return o.m, nil }})
	if err != nil {
		return err
	}
	o.inst = o.s.Instances()[0]
	after, err := o.s.StateHash(nil)
	if err == nil && after != before {
		err = fmt.Errorf("state %x before freezing, %x after thawing", before, after)
	}
	return err
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
