package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kitwork/kwnode/bench/vm/opgen"
	"github.com/kitwork/kwnode/vm"
)

// opcodeRow runs a loop of each opcode, fed as cheaply as the gas schedule allows, and of some sequences that try to get
// more time for their gas than any single opcode does. What a slice of vm.SliceGas units takes at worst follows.
func opcodeRow(ctx context.Context, o *options) error {
	type figure struct {
		name string
		ns   [2]float64 // a unit, in each system
		each float64    // ns for one execution, interpreted, operands included
	}
	systems := ours()
	var all []figure
	for _, c := range opgen.Cases() {
		f := figure{name: c.Name}
		for i, s := range systems {
			ns, gas, err := perUnit(ctx, s, &c, o.rounds)
			if err != nil {
				return fmt.Errorf("%s in %s: %w", c.Name, s.name, err)
			}
			f.ns[i] = ns / gas
			if i == 0 {
				f.each = ns / c.Count
			}
		}
		all = append(all, f)
	}
	slices.SortStableFunc(all, func(a, b figure) int { return cmp.Compare(b.ns[0], a.ns[0]) })
	fmt.Fprintf(o.out, "%-28s %10s", "", "ns each")
	for _, s := range systems {
		fmt.Fprintf(o.out, " %16s", s.name)
	}
	fmt.Fprintln(o.out, "   (ns per unit)")
	for _, f := range all {
		fmt.Fprintf(o.out, "%-28s %10.2f", f.name, f.each)
		for i := range systems {
			fmt.Fprintf(o.out, " %16.2f", f.ns[i])
		}
		fmt.Fprintln(o.out)
	}
	for i, s := range systems {
		slices.SortFunc(all, func(a, b figure) int { return cmp.Compare(b.ns[i], a.ns[i]) })
		slice := func(f figure) float64 { return f.ns[i] * vm.SliceGas / 1e6 }
		worst, middle, best := all[0], all[len(all)/2], all[len(all)-1]
		fmt.Fprintf(o.out, "%s: worst %.2f (%s), median %.2f, best %.2f (%s) ns a unit; a slice of %d units takes %.2f, %.2f, %.2f ms\n",
			s.name, worst.ns[i], worst.name, middle.ns[i], best.ns[i], best.name, vm.SliceGas, slice(worst), slice(middle), slice(best))
	}
	return nil
}

// perUnit runs a case for a few milliseconds, and returns the time and the gas of one round of its loop.
func perUnit(ctx context.Context, s system, c *opgen.Case, rounds int) (ns, gas float64, err error) {
	g, err := s.load(ctx, c.Wasm)
	if err != nil {
		return 0, 0, err
	}
	defer g.close()
	own := g.(*ourGuest)
	n := int32(1)
	if _, err := g.call(ctx, "run", n); err != nil {
		return 0, 0, err
	}
	best := time.Duration(1 << 62)
	for done := 0; done < rounds; {
		before := own.store.Gas()
		from := cpuTime()
		if _, err := g.call(ctx, "run", n); err != nil {
			return 0, 0, err
		}
		took := cpuTime() - from
		if took < 2*time.Millisecond && n < 1<<28 {
			n *= 2
			continue
		}
		best = min(best, took)
		gas = float64(own.store.Gas()-before) / float64(n)
		done++
	}
	return float64(best) / float64(n), gas, nil
}
