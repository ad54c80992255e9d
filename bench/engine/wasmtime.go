//go:build cgo

package engine

import (
	"context"
	"fmt"

	wt "github.com/bytecodealliance/wasmtime-go/v39"
)

type wasmtimeEngine struct {
	name string
	fuel bool
}

// WasmtimeFuel is Wasmtime with its gas: the nearest rival in what it
// promises.
func WasmtimeFuel() Engine { return wasmtimeEngine{"wasmtime-fuel", true} }

// Wasmtime is Wasmtime without metering, as a bound on what is possible.
func Wasmtime() Engine { return wasmtimeEngine{"wasmtime", false} }

func init() { more = []func() Engine{WasmtimeFuel, Wasmtime} }

func (e wasmtimeEngine) Name() string { return e.name }

func (e wasmtimeEngine) Load(_ context.Context, wasm []byte) (Program, error) {
	config := wt.NewConfig()
	config.SetConsumeFuel(e.fuel)
	engine := wt.NewEngineWithConfig(config)
	module, err := wt.NewModule(engine, wasm)
	if err != nil {
		return nil, err
	}
	store := wt.NewStore(engine)
	if e.fuel {
		if err := store.SetFuel(1 << 62); err != nil {
			return nil, err
		}
	}
	store.SetWasi(wt.NewWasiConfig())
	linker := wt.NewLinker(engine)
	if err := linker.DefineWasi(); err != nil {
		return nil, err
	}
	instance, err := linker.Instantiate(store, module)
	if err != nil {
		return nil, err
	}
	if init := instance.GetFunc(store, "_initialize"); init != nil {
		if _, err := init.Call(store); err != nil {
			return nil, err
		}
	}
	run := instance.GetFunc(store, "run")
	if run == nil {
		return nil, fmt.Errorf("module exports no function run")
	}
	return &wasmtimeProgram{store, run}, nil
}

type wasmtimeProgram struct {
	store *wt.Store
	run   *wt.Func
}

func (p *wasmtimeProgram) Run(_ context.Context, args ...int32) (int64, error) {
	values := make([]any, len(args))
	for i, a := range args {
		values[i] = a
	}
	out, err := p.run.Call(p.store, values...)
	if err != nil {
		return 0, err
	}
	return out.(int64), nil
}

func (p *wasmtimeProgram) Close() error { p.store.Close(); return nil }
