package sdk

import (
	"context"
	"fmt"

	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/sdk/build"
)

// Translator turns JSON into the input of a Go function, and its result into JSON. The function's types do the work, in a
// module of their own that runs here like a capsule: what a stranger's package does with JSON stays inside.
type Translator struct{ prog *Program }

// NewTranslator builds the translator of a function that is named as for [BuildPackage].
func NewTranslator(ctx context.Context, pattern, function string, o build.Options) (*Translator, error) {
	src, err := build.Find(ctx, pattern, function, o.Go)
	if err != nil {
		return nil, err
	}
	r, err := build.Translator(ctx, src, o)
	if err != nil {
		return nil, err
	}
	p, err := FromWasm(r.Func, r.Code, build.Entry)
	if err != nil {
		return nil, err
	}
	return &Translator{p}, nil
}

// translation is the type of the same shape in the module that package build generates.
type translation struct {
	Result bool
	Bytes  []byte
}

// Input translates JSON with exactly the fields of the function's input, at most kit.MaxResult bytes once encoded.
func (t *Translator) Input(ctx context.Context, text []byte) ([]byte, error) {
	return t.run(ctx, translation{false, text})
}

// Result translates what the function returned into JSON.
func (t *Translator) Result(ctx context.Context, output []byte) ([]byte, error) {
	return t.run(ctx, translation{true, output})
}

func (t *Translator) run(ctx context.Context, in translation) ([]byte, error) {
	input, err := kit.Marshal(in)
	if err != nil {
		return nil, err
	}
	pr, err := Prepare(ctx, t.prog, input, PrepareOptions{Ahead: -1})
	if err != nil {
		return nil, err
	}
	trial, err := pr.Try(ctx, Sample{})
	if err != nil {
		return nil, err
	}
	if trial.Failed != nil {
		return nil, fmt.Errorf("translate: %s", trial.Failed.Reason)
	}
	return kit.Unmarshal[[]byte](trial.Output)
}
