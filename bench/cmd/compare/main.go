// Command compare runs every kernel in every engine, interleaved in one
// process, and prints CPU time as ratios.
//
//	go run ./cmd/compare                      all kernels, all engines
//	go run ./cmd/compare -kernels 'fib|sort'  some of them
//	go run ./cmd/compare -json                for a program to read
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kitwork/kwnode/bench/engine"
	"github.com/kitwork/kwnode/bench/kernels"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// row is the fastest of each engine's rounds on one kernel, in nanoseconds of
// CPU time.
type row struct {
	Kernel string           `json:"kernel"`
	Size   int32            `json:"size"`
	Ns     map[string]int64 `json:"ns"`
}

type report struct {
	Platform string             `json:"platform"`
	Rounds   int                `json:"rounds"`
	Rows     []row              `json:"rows"`
	Base     string             `json:"base"`
	Geomean  map[string]float64 `json:"geomean_speed_over_base"`
}

func run(args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	only := flags.String("kernels", ".", "regular expression of the kernels to run")
	which := flags.String("engines", ".", "regular expression of the engines to run")
	base := flags.String("base", "wazero-interp", "the engine that ratios are taken against")
	rounds := flags.Int("rounds", 3, "interleaved rounds; the fastest counts")
	scale := flags.Float64("scale", 1, "multiplies every kernel's size")
	asJSON := flags.Bool("json", false, "print one JSON object")
	if err := flags.Parse(args); err != nil {
		return err
	}
	kernelRE, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	engineRE, err := regexp.Compile(*which)
	if err != nil {
		return err
	}
	var engines []engine.Engine
	for _, e := range append(engine.Ours(), engine.Rivals()...) {
		if engineRE.MatchString(e.Name()) {
			engines = append(engines, e)
		}
	}
	native, stop := newNative(engineRE.MatchString("native"))
	defer stop()
	rep := report{Platform: runtime.GOOS + "/" + runtime.GOARCH, Rounds: *rounds, Base: *base}
	for _, k := range kernels.All() {
		if !kernelRE.MatchString(k.Name) {
			continue
		}
		k.Size = max(1, int32(float64(k.Size)**scale))
		fmt.Fprintf(progress, "%s\n", k.Name)
		r, err := measure(k, engines, native, *rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", k.Name, err)
		}
		rep.Rows = append(rep.Rows, r)
	}
	rep.Geomean = geomeans(rep.Rows, *base)
	if *asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(rep)
	}
	print(out, rep)
	return nil
}

func measure(k kernels.Kernel, engines []engine.Engine, native *native, rounds int) (row, error) {
	ctx := context.Background()
	r := row{Kernel: k.Name, Size: k.Size, Ns: map[string]int64{}}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	programs := make([]engine.Program, len(engines))
	for i, e := range engines {
		p, err := e.Load(ctx, k.Wasm)
		if err != nil {
			return r, fmt.Errorf("%s: %w", e.Name(), err)
		}
		defer p.Close()
		programs[i] = p
		// Once before the clock runs: tables, caches and tiers settle.
		if _, err := p.Run(ctx, max(1, k.Size/20)); err != nil {
			return r, fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	var want *int64
	check := func(name string, got int64) error {
		if want == nil {
			want = &got
		}
		if got != *want {
			return fmt.Errorf("%s: checksum %d, others say %d", name, got, *want)
		}
		return nil
	}
	for range rounds {
		for i, p := range programs {
			start := cpuTime()
			// Instances keep their memory from run to run, so results of later
			// rounds may differ from the first; they agree between engines.
			got, err := p.Run(ctx, k.Size)
			took := cpuTime() - start
			if err == nil {
				err = check(engines[i].Name(), got)
			}
			if err != nil {
				return r, err
			}
			keep(r.Ns, engines[i].Name(), took)
		}
		want = nil
		took, ok, err := native.run(k)
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

func geomeans(rows []row, base string) map[string]float64 {
	sum, count := map[string]float64{}, map[string]int{}
	for _, r := range rows {
		for name, ns := range r.Ns {
			if b := r.Ns[base]; b > 0 && ns > 0 {
				sum[name] += math.Log(float64(b) / float64(ns))
				count[name]++
			}
		}
	}
	out := map[string]float64{}
	for name := range sum {
		out[name] = math.Round(1000*math.Exp(sum[name]/float64(count[name]))) / 1000
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
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(rep.Geomean[a], rep.Geomean[b]) })
	fmt.Fprintf(out, "%s, speed as a multiple of %s (its column: ms of CPU time), fastest of %d rounds\n\n", rep.Platform, rep.Base, rep.Rounds)
	fmt.Fprintf(out, "%-12s", "kernel")
	for _, n := range names {
		fmt.Fprintf(out, " %14s", n)
	}
	fmt.Fprintln(out)
	for _, r := range rep.Rows {
		fmt.Fprintf(out, "%-12s", r.Kernel)
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
	fmt.Fprintf(out, "%s\n%-12s", strings.Repeat("-", 12+15*len(names)), "geomean")
	for _, n := range names {
		fmt.Fprintf(out, " %14.2f", rep.Geomean[n])
	}
	fmt.Fprintln(out)
}
