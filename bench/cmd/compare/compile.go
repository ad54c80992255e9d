package main

import (
	"context"
	"fmt"
	"time"

	"github.com/kitwork/kwnode/bench/programs"
	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm/wasm"
)

// compileRow compiles every function of the largest programs.
func compileRow(_ context.Context, o *options) error {
	all, err := programs.All()
	if err != nil {
		return err
	}
	fmt.Fprintln(o.out)
	seen := map[*byte]bool{}
	for _, p := range all {
		if p.Language == "c" || seen[&p.Wasm[0]] || !o.programs.MatchString(p.Language+"/"+p.Name) {
			continue
		}
		seen[&p.Wasm[0]] = true
		if err := compileAll(o, &p); err != nil {
			return fmt.Errorf("%s/%s: %w", p.Language, p.Name, err)
		}
	}
	return nil
}

func compileAll(o *options, p *programs.Program) error {
	m, err := wasm.Decode(p.Wasm, 0)
	if err != nil {
		return err
	}
	var lowering, compiling time.Duration
	var stats jit.Stats
	var size, unchecked int
	for range o.rounds {
		c, err := jit.New(512 << 20)
		if err != nil {
			return err
		}
		size, unchecked = 0, 0
		c.Observe(func(e jit.Event) { size, unchecked = size+e.CodeBytes, unchecked+e.Unchecked })
		funcs := make([]*code.Func, len(m.FuncTypes))
		n := c.Module(m, func(fn uint32) *code.Func { return funcs[fn] })
		from := cpuTime()
		for i := range m.Code {
			fn := m.NumImportedFuncs + uint32(i)
			if funcs[fn], err = code.Lower(m, fn, func(t uint32) uint64 { return uint64(t) }); err != nil {
				return err
			}
		}
		lowered := cpuTime() - from
		from = cpuTime()
		for _, f := range funcs[m.NumImportedFuncs:] {
			if err := n.Compile(f); err != nil {
				return err
			}
		}
		compiled := cpuTime() - from
		stats = c.Stats()
		if compiling == 0 || compiled < compiling {
			lowering, compiling = lowered, compiled
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	mb := float64(stats.SourceBytes) / 1e6
	fmt.Fprintf(o.out, "%-4s %7d bytes of code compile at %.1f MB/s (target 3); with lowering, which the interpreter needs too, %.1f MB/s; to %d bytes, with %d loops of which there is a copy without bounds checks\n",
		p.Language, stats.SourceBytes, mb/compiling.Seconds(), mb/(compiling+lowering).Seconds(), size, unchecked)
	return nil
}
