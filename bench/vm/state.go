package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/kitwork/kwnode/bench/programs"
	"github.com/kitwork/kwnode/vm"
)

// bigModule is (module (memory (export "m") 64) (func (export "spin") (loop br 0)) (func (export "add") (param i32)
// (result i32) local.get 0)), with a custom section that makes it as large as a small program.
var bigModule = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x09\x02\x60\x00\x00\x60\x01\x7f\x01\x7f" +
	"\x03\x03\x02\x00\x01" +
	"\x05\x03\x01\x00\x40" +
	"\x07\x12\x03\x01m\x02\x00\x04spin\x00\x00\x03add\x00\x01" +
	"\x0a\x0e\x02\x07\x00\x03\x40\x0c\x00\x0b\x0b\x04\x00\x20\x00\x0b")

// fill writes n bytes into a memory: half like text, a quarter small numbers, a quarter noise.
func fill(mem []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("zone grant lease frame slot page memory gas of the a to key value 17 42 1999")
	n := len(mem)
	for i := 0; i < n; {
		switch {
		case i < n/2:
			i += copy(mem[i:], words[r.IntN(len(words))]+" ")
		case i < n*3/4:
			mem[i] = byte(r.IntN(4))
			i += 4
		default:
			mem[i] = byte(r.Uint32())
			i++
		}
	}
}

func load(wasm []byte) (*vm.Module, *vm.Store, error) {
	m, err := vm.Decode(wasm)
	if err != nil {
		return nil, nil, err
	}
	s := vm.NewStore(vm.Config{})
	_, err = s.Instantiate(m, nil)
	return m, s, err
}

func sourcesOf(m *vm.Module, b *vm.Base) vm.Sources {
	return vm.Sources{Module: func([32]byte) (*vm.Module, error) { return m, nil }, Base: func(h [32]byte) (*vm.Base, error) {
		if b == nil || b.Hash() != h {
			return nil, errors.New("no such base")
		}
		return b, nil
	}}
}

// fastest is the least CPU time of n runs of f.
func fastest(n int, f func() error) (time.Duration, error) {
	best := time.Duration(1 << 62)
	for range n {
		from := cpuTime()
		if err := f(); err != nil {
			return 0, err
		}
		best = min(best, cpuTime()-from)
	}
	return best, nil
}

func baseRow(_ context.Context, o *options) error {
	m, s, err := load(bigModule)
	if err != nil {
		return err
	}
	defer s.Close()
	fill(s.Instances()[0].Memory().Bytes()[:3<<20])
	b, err := s.NewBase()
	if err != nil {
		return err
	}
	src := sourcesOf(m, b)
	const batch = 50 // what one costs, averaged, to be above the clock's grain
	start, err := fastest(20*o.rounds, func() error {
		for range batch {
			t, err := b.NewStore(vm.Config{}, src)
			if err != nil {
				return err
			}
			t.Close()
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "start and close   %8.1f µs (target 50)\n", start.Seconds()*1e6/batch)
	var stores []*vm.Store
	from, err := resident()
	if err != nil {
		return err
	}
	for range 1000 {
		t, err := b.NewStore(vm.Config{}, src)
		if err != nil {
			return err
		}
		stores = append(stores, t)
	}
	to, err := resident()
	for _, t := range stores {
		t.Close()
	}
	fmt.Fprintf(o.out, "resident for each %8.1f KiB: no copy\n", float64(to-from)/1000/1024)
	return err
}

func stateRow(_ context.Context, o *options) error {
	m, s, err := load(bigModule)
	if err != nil {
		return err
	}
	defer s.Close()
	fill(s.Instances()[0].Memory().Bytes()[:1<<20])
	src := sourcesOf(m, nil)
	var c *vm.Checkpoint
	var b []byte
	reopen := func(t *vm.Store, _ []byte, err error) error {
		if err == nil {
			t.Close()
		}
		return err
	}
	for _, step := range []struct {
		name   string
		target float64
		f      func() error
	}{
		{"checkpoint", 2, func() error { c, err = s.Checkpoint(nil, nil); return err }},
		{"restore", 2, func() error { return reopen(c.Restore(vm.Config{}, src)) }},
		{"checkpoint and restore", 2, func() error {
			if c, err = s.Checkpoint(nil, nil); err != nil {
				return err
			}
			return reopen(c.Restore(vm.Config{}, src))
		}},
		{"freeze", 15, func() error { b, err = s.Freeze(vm.FreezeOptions{}); return err }},
		{"thaw", 5, func() error { return reopen(vm.Thaw(b, vm.Config{}, src)) }},
		{"state hash", 0, func() error { _, err := s.StateHash(nil); return err }},
	} {
		took, err := fastest(10*o.rounds, step.f)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Fprintf(o.out, "%-24s %8.2f ms", step.name, took.Seconds()*1e3)
		if step.target > 0 {
			fmt.Fprintf(o.out, " (target %g)", step.target)
		}
		fmt.Fprintln(o.out)
	}
	fmt.Fprintf(o.out, "%-24s %8d bytes\n", "continuation", len(b))
	return nil
}

// smallRow freezes a Go reactor between two calls.
func smallRow(ctx context.Context, o *options) error {
	wasm, err := programs.BuildGo(smallSource, "-buildmode=c-shared")
	if err != nil {
		return err
	}
	g, err := loadOurs(wasm, vm.Config{})
	if err != nil {
		return err
	}
	defer g.close()
	if _, err := g.call(ctx, "_initialize"); err != nil {
		return err
	}
	base, err := g.store.NewBase()
	if err != nil {
		return err
	}
	if _, err := g.call(ctx, "add", 5); err != nil {
		return err
	}
	whole, err := g.store.Freeze(vm.FreezeOptions{})
	if err != nil {
		return err
	}
	delta, err := g.store.Freeze(vm.FreezeOptions{Base: base})
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "module %d bytes\nwhole         %6d bytes (target 15360)\nagainst base  %6d bytes (target 1024)\n", len(wasm), len(whole), len(delta))
	return nil
}
