package engine

import (
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

type wazeroEngine struct {
	name   string
	config wazero.RuntimeConfig
}

// WazeroInterpreter is wazero without its compiler. It does not meter.
func WazeroInterpreter() Engine {
	return wazeroEngine{"wazero-interp", wazero.NewRuntimeConfigInterpreter()}
}

// WazeroCompiler is wazero's SSA compiler. It does not meter and can't be
// interrupted.
func WazeroCompiler() Engine {
	return wazeroEngine{"wazero-jit", wazero.NewRuntimeConfigCompiler()}
}

func (e wazeroEngine) Name() string { return e.name }

func (e wazeroEngine) Load(ctx context.Context, wasm []byte) (Program, error) {
	r := wazero.NewRuntimeWithConfig(ctx, e.config)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	m, err := r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions("_initialize").WithSysNanotime().WithSysWalltime())
	if err != nil {
		_ = r.Close(ctx)
		return nil, err
	}
	return &wazeroProgram{r, m.ExportedFunction("run")}, nil
}

type wazeroProgram struct {
	runtime wazero.Runtime
	run     api.Function
}

func (p *wazeroProgram) Run(ctx context.Context, args ...int32) (int64, error) {
	values := make([]uint64, len(args))
	for i, a := range args {
		values[i] = api.EncodeI32(a)
	}
	out, err := p.run.Call(ctx, values...)
	if err != nil {
		return 0, err
	}
	return int64(out[0]), nil
}

func (p *wazeroProgram) Close() error { return p.runtime.Close(context.Background()) }
