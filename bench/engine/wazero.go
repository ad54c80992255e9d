package engine

import (
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
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
	m, err := r.Instantiate(ctx, wasm)
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

func (p *wazeroProgram) Run(ctx context.Context, n int32) (int64, error) {
	out, err := p.run.Call(ctx, api.EncodeI32(n))
	if err != nil {
		return 0, err
	}
	return int64(out[0]), nil
}

func (p *wazeroProgram) Close() error { return p.runtime.Close(context.Background()) }
