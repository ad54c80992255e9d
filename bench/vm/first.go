package main

import (
	"context"
	"fmt"
	"time"

	"github.com/kitwork/kwnode/bench/programs"
)

// firstRow takes a program that was never seen before to its first result. The compiler's own goroutine isn't in the
// CPU time of the tier auto, but in the time that passes, which is the last column.
func firstRow(ctx context.Context, o *options) error {
	for _, source := range [][]byte{tinySource, helloSource} {
		if err := firstResult(ctx, o, source); err != nil {
			return err
		}
	}
	return nil
}

func firstResult(ctx context.Context, o *options, source []byte) error {
	wasm, err := programs.BuildGo(source)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "program of %d bytes\n", len(wasm))
	systems := append(append(ours()[:1], auto()...), wazeros()...)
	best, passed := make([]time.Duration, len(systems)), make([]time.Duration, len(systems))
	for range o.rounds {
		for i, s := range systems {
			from, start := cpuTime(), time.Now()
			g, err := s.load(ctx, wasm)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if _, err := g.call(ctx, "_start"); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			took, wall := cpuTime()-from, time.Since(start)
			g.close()
			if best[i] == 0 || took < best[i] {
				best[i] = took
			}
			if passed[i] == 0 || wall < passed[i] {
				passed[i] = wall
			}
		}
	}
	for i, s := range systems {
		fmt.Fprintf(o.out, "%-14s %8.1f ms   1/%.1f   %8.1f ms passed\n", s.name, best[i].Seconds()*1e3, best[i].Seconds()/best[0].Seconds(), passed[i].Seconds()*1e3)
	}
	return nil
}
