package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/kitwork/kwnode/bench/programs"
)

// kernel is one program with a size.
type kernel struct {
	language, name string
	wasm           []byte
	args           []int32 // of its export run; the last is the size
	reactor        bool    // has _initialize
}

func allKernels(o *options) ([]kernel, error) {
	from, err := programs.All()
	if err != nil {
		return nil, err
	}
	var all []kernel
	for _, p := range from {
		all = append(all, kernel{p.Language, p.Name, p.Wasm, p.Scaled(o.scale), p.Language == "go"})
	}
	return all, nil
}

// time runs a kernel in every system, interleaved, and returns the fastest round of each.
func (k *kernel) time(ctx context.Context, systems []system, rounds int) ([]time.Duration, error) {
	guests := make([]guest, len(systems))
	best := make([]time.Duration, len(systems))
	warm := append([]int32(nil), k.args...)
	warm[len(warm)-1] = max(1, warm[len(warm)-1]/20)
	for i, s := range systems {
		g, err := s.load(ctx, k.wasm)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		defer g.close()
		guests[i] = g
		if k.reactor {
			if _, err := g.call(ctx, "_initialize"); err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
		}
		if _, err := g.call(ctx, "run", warm...); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	for range rounds {
		var want int64
		for i, g := range guests {
			from := cpuTime()
			got, err := g.call(ctx, "run", k.args...)
			took := cpuTime() - from
			if err != nil {
				return nil, fmt.Errorf("%s: %w", systems[i].name, err)
			}
			if i == 0 {
				want = got
			}
			if got != want {
				return nil, fmt.Errorf("%s: checksum %d, %s says %d", systems[i].name, got, systems[0].name, want)
			}
			if best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	return best, nil
}

func kernelRow(ctx context.Context, o *options) error {
	all, err := allKernels(o)
	if err != nil {
		return err
	}
	return compare(ctx, o, all, append(wazeros()[:1], ours()[0]))
}

// compare prints how many times as fast as the first system the others are.
func compare(ctx context.Context, o *options, all []kernel, systems []system) error {
	fmt.Fprintf(o.out, "%-6s %-10s %14s ms", "", "", systems[0].name)
	for _, s := range systems[1:] {
		fmt.Fprintf(o.out, " %14s", s.name)
	}
	fmt.Fprintln(o.out)
	sums := map[string][]float64{}
	counts := map[string]int{}
	for _, k := range all {
		best, err := k.time(ctx, systems, o.rounds)
		if err != nil {
			return fmt.Errorf("%s %s: %w", k.language, k.name, err)
		}
		fmt.Fprintf(o.out, "%-6s %-10s %17.1f", k.language, k.name, best[0].Seconds()*1e3)
		for _, group := range []string{k.language, "all"} {
			if sums[group] == nil {
				sums[group] = make([]float64, len(systems))
			}
			counts[group]++
		}
		for i := 1; i < len(systems); i++ {
			ratio := best[0].Seconds() / best[i].Seconds()
			sums[k.language][i] += math.Log(ratio)
			sums["all"][i] += math.Log(ratio)
			fmt.Fprintf(o.out, " %14.2f", ratio)
		}
		fmt.Fprintln(o.out)
	}
	for _, group := range []string{"c", "rust", "go", "all"} {
		if counts[group] > 0 {
			printGeomean(o.out, group, sums[group], counts[group])
		}
	}
	return nil
}

func printGeomean(w io.Writer, group string, sums []float64, n int) {
	fmt.Fprintf(w, "%-6s %-10s %17s", group, "geomean", "1")
	for _, s := range sums[1:] {
		fmt.Fprintf(w, " %14.2f", math.Exp(s/float64(n)))
	}
	fmt.Fprintln(w)
}
