package diff

import (
	"context"
	"fmt"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Ours is this project's engine.
type Ours struct {
	Gas     uint64 // how much each Run is given; 0 is enough for a whole call
	Freezes int    // how often, when that is used up, the program is frozen and goes on in a new store
	// Configs are what the first store and those that go on are made with, in turn. None: the interpreter.
	Configs []vm.Config
	// State records the state hash and a trap's stack trace after each call.
	State bool
}

func (e Ours) config(n int) vm.Config {
	if len(e.Configs) == 0 {
		return vm.Config{}
	}
	return e.Configs[n%len(e.Configs)]
}

// enough gas for anything that a generated module does.
const enough = 1 << 40

// Instantiate implements Engine.
func (e Ours) Instantiate(ctx context.Context, b []byte) (Instance, string, error) {
	m, err := vm.Decode(b)
	if err != nil {
		return nil, "", err
	}
	s := vm.NewStore(e.config(0))
	inst, err := s.Instantiate(m, nil)
	if err != nil {
		s.Close()
		return nil, "", err
	}
	o := &ours{e: e, m: m, s: s, inst: inst, types: map[string]*wasm.FuncType{}}
	for _, ex := range m.Exports() {
		o.types[ex.Name] = ex.Func
	}
	_, trap, err := o.run(ctx)
	return o, trap, err
}

type ours struct {
	e     Ours
	m     *vm.Module
	s     *vm.Store
	inst  *vm.Instance
	types map[string]*wasm.FuncType

	used  uint64
	froze int
	trace string // of the last trap
}

func (o *ours) run(ctx context.Context) ([]uint64, string, error) {
	gas := o.e.Gas
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
			o.trace = fmt.Sprint(stop.Trap.Depth, " frames\n", vm.TraceString(stop.Trap.Trace))
			return nil, stop.Trap.Code.String(), nil
		case stop.Reason == vm.OutOfGas && o.e.Gas > 0:
			gas = max(o.e.Gas, stop.Need)
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
	if o.froze == o.e.Freezes {
		return nil
	}
	o.froze++
	before, err := o.s.StateHash(nil)
	if err != nil {
		return err
	}
	b, err := o.s.Freeze(vm.FreezeOptions{})
	if err != nil {
		return err
	}
	o.s.Close()
	o.s, _, err = vm.Thaw(b, o.e.config(o.froze), vm.Sources{Module: func([32]byte) (*vm.Module, error) { return o.m, nil }})
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

// State implements Stater.
func (o *ours) State() (string, error) {
	if !o.e.State {
		return "", nil
	}
	h, err := o.s.StateHash(nil)
	return fmt.Sprintf("state %x, trap at %s", h, o.trace), err
}

func (o *ours) Memory() []byte { return o.inst.Memory().Bytes() }

func (o *ours) Gas() uint64 { return o.used }

func (o *ours) Close() { o.s.Close() }
