package engine

import (
	"context"
	"fmt"
	"io"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
	"github.com/kitwork/kwnode/vm/wasi"
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

func (e kwnode) Load(ctx context.Context, wasm []byte) (Program, error) {
	m, err := vm.Decode(wasm)
	if err != nil {
		return nil, err
	}
	p := &kwnodeProgram{store: vm.NewStore(vm.Config{Compiler: e.compiler, Tier: e.tier})}
	mem := hostabi.NewMemory("local", [32]byte{})
	mem.Time = func() uint64 { return uint64(p.store.Clock()) }
	mem.GasLeft = func() uint64 { return 1 << 60 }
	host := hostabi.New(mem)
	sys := wasi.New(host)
	sys.Stdout, sys.Stderr = io.Discard, io.Discard
	if p.inst, err = p.store.Instantiate(m, vm.Resolvers{host, sys}); err != nil {
		p.store.Close()
		return nil, err
	}
	if p.inst.Export("_initialize") != nil {
		if _, err := p.call(ctx, "_initialize"); err != nil {
			p.store.Close()
			return nil, err
		}
	}
	return p, nil
}

type kwnodeProgram struct {
	store *vm.Store
	inst  *vm.Instance
}

func (p *kwnodeProgram) Run(ctx context.Context, args ...int32) (int64, error) {
	out, err := p.call(ctx, "run", args...)
	if err != nil {
		return 0, err
	}
	return out[0].I64(), nil
}

func (p *kwnodeProgram) call(ctx context.Context, export string, args ...int32) ([]vm.Value, error) {
	values := make([]vm.Value, len(args))
	for i, a := range args {
		values[i] = vm.I32(a)
	}
	if err := p.store.Start(p.inst, export, values...); err != nil {
		return nil, err
	}
	stop, err := p.store.Run(ctx, 1<<60)
	if err != nil {
		return nil, err
	}
	if stop.Reason != vm.Done {
		return nil, fmt.Errorf("stopped: %v", stop.Trap)
	}
	return stop.Results, nil
}

func (p *kwnodeProgram) Close() error { p.store.Close(); return nil }
