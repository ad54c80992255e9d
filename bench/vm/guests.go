package main

import (
	"bytes"
	"context"
	_ "embed" // for the sources
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
	"github.com/kitwork/kwnode/vm/wasi"
)

//go:embed small/main.go
var smallSource []byte

//go:embed tiny/main.go
var tinySource []byte

//go:embed hello/main.go
var helloSource []byte

// guest is a loaded program under WASI. One goroutine uses it.
type guest interface {
	call(ctx context.Context, export string, args ...int32) (int64, error)
	close()
}

// system is an engine with WASI.
type system struct {
	name string
	load func(ctx context.Context, wasm []byte) (guest, error)
}

func ours() []system {
	all := []system{{"kwnode-interp", func(ctx context.Context, b []byte) (guest, error) { return loadOurs(b, vm.Config{Tier: vm.TierInterp}) }}}
	if c, err := jit.New(jit.DefaultMemory); err == nil {
		all = append(all, system{"kwnode-jit", func(ctx context.Context, b []byte) (guest, error) {
			return loadOurs(b, vm.Config{Tier: vm.TierJIT, Compiler: c})
		}})
	}
	return all
}

// auto is our machine as it is by default: it interprets, and compiles what gets hot.
func auto() []system {
	c, err := jit.New(jit.DefaultMemory)
	if err != nil {
		return nil
	}
	return []system{{"kwnode-auto", func(ctx context.Context, b []byte) (guest, error) { return loadOurs(b, vm.Config{Compiler: c}) }}}
}

func wazeros() []system {
	with := func(c func() wazero.RuntimeConfig) func(ctx context.Context, b []byte) (guest, error) {
		return func(ctx context.Context, b []byte) (guest, error) { return loadWazero(ctx, b, c()) }
	}
	return []system{{"wazero-interp", with(wazero.NewRuntimeConfigInterpreter)}, {"wazero-jit", with(wazero.NewRuntimeConfigCompiler)}}
}

// ourGuest is a program in our machine, gas on.
type ourGuest struct {
	mod   *vm.Module
	host  *hostabi.Host
	store *vm.Store
	out   bytes.Buffer
}

func (g *ourGuest) resolver() vm.Resolver {
	mem := hostabi.NewMemory("local", [32]byte{})
	mem.Time = func() uint64 { return uint64(g.store.Clock()) }
	mem.GasLeft = func() uint64 { return 1 << 60 }
	g.host = hostabi.New(mem)
	sys := wasi.New(g.host)
	sys.Stdout, sys.Stderr = &g.out, &g.out
	return vm.Resolvers{g.host, sys}
}

func loadOurs(wasm []byte, c vm.Config) (*ourGuest, error) {
	mod, err := vm.Decode(wasm)
	if err != nil {
		return nil, err
	}
	g := &ourGuest{mod: mod, store: vm.NewStore(c)}
	if _, err := g.store.Instantiate(mod, g.resolver()); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

// start queues a call.
func (g *ourGuest) start(export string, args ...int32) error {
	var vs []vm.Value
	for _, a := range args {
		vs = append(vs, vm.I32(a))
	}
	return g.store.Start(g.store.Instances()[0], export, vs...)
}

func (g *ourGuest) call(ctx context.Context, export string, args ...int32) (int64, error) {
	if err := g.start(export, args...); err != nil {
		return 0, err
	}
	stop, err := g.store.Run(ctx, 1<<60)
	switch {
	case err != nil:
		return 0, err
	case stop.Reason == vm.Trapped && g.host.State.End != nil && g.host.State.End.Code == 0:
		return 0, nil // proc_exit(0)
	case stop.Reason != vm.Done:
		return 0, fmt.Errorf("stopped: %v %v", stop.Reason, stop.Trap)
	case len(stop.Results) == 0:
		return 0, nil
	}
	return stop.Results[0].I64(), nil
}

func (g *ourGuest) close() { g.store.Close() }

type wazeroGuest struct {
	runtime wazero.Runtime
	mod     api.Module
}

func loadWazero(ctx context.Context, wasm []byte, c wazero.RuntimeConfig) (guest, error) {
	r := wazero.NewRuntimeWithConfig(ctx, c)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	m, err := r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions().WithSysNanotime().WithSysWalltime())
	if err != nil {
		_ = r.Close(ctx)
		return nil, err
	}
	return &wazeroGuest{r, m}, nil
}

func (g *wazeroGuest) call(ctx context.Context, export string, args ...int32) (int64, error) {
	var vs []uint64
	for _, a := range args {
		vs = append(vs, api.EncodeI32(a))
	}
	out, err := g.mod.ExportedFunction(export).Call(ctx, vs...)
	if exit, ok := err.(interface{ ExitCode() uint32 }); ok && exit.ExitCode() == 0 {
		return 0, nil
	}
	if err != nil || len(out) == 0 {
		return 0, err
	}
	return int64(out[0]), nil
}

func (g *wazeroGuest) close() { _ = g.runtime.Close(context.Background()) }
