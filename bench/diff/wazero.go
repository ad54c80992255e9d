package diff

import (
	"context"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/kitwork/kwnode/bench/wasmgen"
)

// Wazero is the oracle, its compiler or its interpreter.
type Wazero struct{ Compiler bool }

func (w Wazero) runtime(ctx context.Context) wazero.Runtime {
	config := wazero.NewRuntimeConfigInterpreter()
	if w.Compiler {
		config = wazero.NewRuntimeConfigCompiler()
	}
	return wazero.NewRuntimeWithConfig(ctx, config.WithCoreFeatures(api.CoreFeaturesV2))
}

// Validate returns wazero's opinion of a module.
func Validate(ctx context.Context, b []byte) error {
	r := Wazero{}.runtime(ctx)
	defer r.Close(ctx)
	_, err := r.CompileModule(ctx, b)
	return err
}

// Instantiate implements Engine.
func (w Wazero) Instantiate(ctx context.Context, b []byte) (Instance, string, error) {
	r := w.runtime(ctx)
	m, err := r.InstantiateWithConfig(ctx, b, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		r.Close(ctx)
		trap, err := trapOf(err)
		return nil, trap, err
	}
	return &wazeroInstance{r, m}, "", nil
}

type wazeroInstance struct {
	r wazero.Runtime
	m api.Module
}

// Call implements Instance.
func (w *wazeroInstance) Call(ctx context.Context, name string, args []uint64) ([]uint64, string, error) {
	f := w.m.ExportedFunction(name)
	results, err := f.Call(ctx, args...)
	if err != nil {
		trap, err := trapOf(err)
		return nil, trap, err
	}
	for i, t := range f.Definition().ResultTypes() {
		if t == api.ValueTypeI32 || t == api.ValueTypeF32 {
			results[i] &= 1<<32 - 1 // the compiler leaves the upper half as it was
		}
	}
	return results, "", nil
}

func (w *wazeroInstance) Memory() []byte {
	m := w.m.ExportedMemory(wasmgen.ExportMemory)
	b, _ := m.Read(0, m.Size())
	return b
}

func (w *wazeroInstance) Gas() uint64 {
	if g := w.m.ExportedGlobal(ExportGas); g != nil {
		return g.Get()
	}
	return 0
}

func (w *wazeroInstance) Close() { w.r.Close(context.Background()) }

// trapOf finds a trap in an error, which has it as text before a stack trace.
func trapOf(err error) (string, error) {
	_, text, ok := strings.Cut(err.Error(), "wasm error: ")
	if !ok {
		return "", err
	}
	text, _, _ = strings.Cut(text, "\n")
	return text, nil
}
