package engine

import (
	"context"
	"fmt"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
)

// Ours returns the tiers of this project, gas on.
func Ours() []Engine {
	all := []Engine{kwnode{name: "kwnode-interp", tier: vm.TierInterp}}
	if c, err := jit.New(jit.DefaultMemory); err == nil {
		all = append(all, kwnode{"kwnode-auto", vm.TierAuto, c}, kwnode{"kwnode-jit", vm.TierJIT, c})
	}
	return all
}

type kwnode struct {
	name     string
	tier     vm.Tier
	compiler vm.Compiler
}

func (e kwnode) Name() string { return e.name }

func (e kwnode) Load(_ context.Context, wasm []byte) (Program, error) {
	m, err := vm.Decode(wasm)
	if err != nil {
		return nil, err
	}
	s := vm.NewStore(vm.Config{Compiler: e.compiler, Tier: e.tier})
	inst, err := s.Instantiate(m, nil)
	if err != nil {
		return nil, err
	}
	return &kwnodeProgram{s, inst}, nil
}

type kwnodeProgram struct {
	store *vm.Store
	inst  *vm.Instance
}

func (p *kwnodeProgram) Run(ctx context.Context, n int32) (int64, error) {
	if err := p.store.Start(p.inst, "run", vm.I32(n)); err != nil {
		return 0, err
	}
	stop, err := p.store.Run(ctx, 1<<60)
	if err != nil {
		return 0, err
	}
	if stop.Reason != vm.Done {
		return 0, fmt.Errorf("stopped: %v", stop.Trap)
	}
	return stop.Results[0].I64(), nil
}

func (p *kwnodeProgram) Close() error { p.store.Close(); return nil }
