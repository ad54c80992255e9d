package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kitwork/kwnode/bench/engine"
	"github.com/kitwork/kwnode/bench/programs"
)

// row is the fastest of each engine's rounds on one program, in nanoseconds of
// CPU time.
type row struct {
	Language string           `json:"language"`
	Program  string           `json:"program"`
	Size     int32            `json:"size"`
	Ns       map[string]int64 `json:"ns"`
}

type report struct {
	Platform string                        `json:"platform"`
	Rounds   int                           `json:"rounds"`
	Rows     []row                         `json:"rows"`
	Base     string                        `json:"base"`
	Geomean  map[string]map[string]float64 `json:"geomean_speed_over_base"` // by language, and "all"
}

// speedRow runs every program in every engine, interleaved in one process.
func speedRow(ctx context.Context, o *options) error {
	var engines []engine.Engine
	for _, e := range append(engine.Ours(), engine.Rivals()...) {
		if o.engines.MatchString(e.Name()) {
			engines = append(engines, e)
		}
	}
	native, stop := newNative(o.engines.MatchString("native"))
	defer stop()
	rep := report{Platform: runtime.GOOS + "/" + runtime.GOARCH, Rounds: o.rounds, Base: o.base}
	all, err := programs.All()
	if err != nil {
		return err
	}
	for _, p := range all {
		name := p.Language + "/" + p.Name
		if !o.programs.MatchString(name) {
			continue
		}
		fmt.Fprintln(o.progress, name)
		p.Args = p.Scaled(o.scale)
		r, err := measure(ctx, &p, engines, native, o.rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		rep.Rows = append(rep.Rows, r)
	}
	if len(rep.Rows) == 0 {
		return fmt.Errorf("no program matches %q", o.programs)
	}
	rep.Geomean = geomeans(rep.Rows, o.base)
	if o.asJSON {
		return encode(o.out, rep)
	}
	print(o.out, rep)
	return nil
}

func measure(ctx context.Context, p *programs.Program, engines []engine.Engine, native *native, rounds int) (row, error) {
	r := row{Language: p.Language, Program: p.Name, Size: p.Args[len(p.Args)-1], Ns: map[string]int64{}}
	loaded := make([]engine.Program, len(engines))
	for i, e := range engines {
		l, err := e.Load(ctx, p.Wasm)
		if err != nil {
			return r, fmt.Errorf("%s: %w", e.Name(), err)
		}
		defer l.Close()
		loaded[i] = l
		// Once before the clock runs: tables, caches and tiers settle.
		if _, err := l.Run(ctx, p.Scaled(1.0/20)...); err != nil {
			return r, fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	for range rounds {
		var want *int64
		for i, l := range loaded {
			start := cpuTime()
			// Instances keep their memory from run to run, so results of later
			// rounds may differ from the first; they agree between engines.
			got, err := l.Run(ctx, p.Args...)
			took := cpuTime() - start
			if err != nil {
				return r, fmt.Errorf("%s: %w", engines[i].Name(), err)
			}
			if want == nil {
				want = &got
			}
			if got != *want {
				return r, fmt.Errorf("%s: checksum %d, others say %d", engines[i].Name(), got, *want)
			}
			keep(r.Ns, engines[i].Name(), took)
		}
		took, ok, err := native.run(p)
		if err != nil {
			return r, err
		}
		if ok {
			keep(r.Ns, "native", took)
		}
	}
	return r, nil
}

func keep(ns map[string]int64, name string, took time.Duration) {
	if old, ok := ns[name]; !ok || int64(took) < old {
		ns[name] = int64(took)
	}
}

func geomeans(rows []row, base string) map[string]map[string]float64 {
	type sum struct {
		log float64
		n   int
	}
	sums := map[string]map[string]sum{}
	for _, r := range rows {
		for name, ns := range r.Ns {
			b := r.Ns[base]
			if b == 0 || ns == 0 {
				continue
			}
			for _, group := range []string{r.Language, "all"} {
				if sums[group] == nil {
					sums[group] = map[string]sum{}
				}
				s := sums[group][name]
				sums[group][name] = sum{s.log + math.Log(float64(b)/float64(ns)), s.n + 1}
			}
		}
	}
	out := map[string]map[string]float64{}
	for group, by := range sums {
		out[group] = map[string]float64{}
		for name, s := range by {
			out[group][name] = math.Round(1000*math.Exp(s.log/float64(s.n))) / 1000
		}
	}
	return out
}

func print(out io.Writer, rep report) {
	seen := map[string]bool{}
	var names []string
	for _, r := range rep.Rows {
		for name := range r.Ns {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	all := rep.Geomean["all"]
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(all[a], all[b]), cmp.Compare(a, b)) })
	fmt.Fprintf(out, "%s, speed as a multiple of %s (its column: ms of CPU time), fastest of %d rounds\n\n", rep.Platform, rep.Base, rep.Rounds)
	fmt.Fprintf(out, "%-16s", "program")
	for _, n := range names {
		fmt.Fprintf(out, " %14s", n)
	}
	fmt.Fprintln(out)
	for _, r := range rep.Rows {
		fmt.Fprintf(out, "%-16s", r.Language+"/"+r.Program)
		for _, n := range names {
			switch ns, b := r.Ns[n], r.Ns[rep.Base]; {
			case ns == 0:
				fmt.Fprintf(out, " %14s", "-")
			case n == rep.Base || b == 0:
				fmt.Fprintf(out, " %14.1f", float64(ns)/1e6)
			default:
				fmt.Fprintf(out, " %14.2f", float64(b)/float64(ns))
			}
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out, strings.Repeat("-", 16+15*len(names)))
	for _, group := range []string{"c", "rust", "go", "all"} {
		if rep.Geomean[group] == nil {
			continue
		}
		fmt.Fprintf(out, "%-16s", "geomean "+group)
		for _, n := range names {
			if g, ok := rep.Geomean[group][n]; ok {
				fmt.Fprintf(out, " %14.2f", g)
			} else {
				fmt.Fprintf(out, " %14s", "-")
			}
		}
		fmt.Fprintln(out)
	}
	printNative(out, rep)
}

// printNative compares our tiers with native code directly, over the programs that have a native form.
func printNative(out io.Writer, rep report) {
	by := geomeans(rep.Rows, "native")["c"]
	for _, tier := range []string{"kwnode-jit", "kwnode-interp"} {
		if g, ok := by[tier]; ok && g > 0 {
			fmt.Fprintf(out, "%s takes %.2f times as long as native C (gcc -O2), geomean\n", tier, 1/g)
		}
	}
}
