package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/testnet/demo"
)

// sizes of the data that a capsule carries.
var sizes = []struct {
	name  string
	bytes int
}{{"small", 1}, {"1 MB", 1 << 20}}

// collect makes journeys one after the other and returns their single hops, with the processor time of all nodes for one.
func collect(ctx context.Context, n *net, bytes, journeys int) ([]hop, time.Duration, error) {
	if _, err := n.journey(ctx, bytes, 2); err != nil {
		return nil, 0, err
	}
	var l logs
	if _, err := l.read(n); err != nil { // what was before
		return nil, 0, err
	}
	ids := map[capsule.ID]bool{}
	var used time.Duration
	for range journeys {
		p, err := n.prepare(ctx, bytes, hops)
		if err != nil {
			return nil, 0, err
		}
		before := n.cpu()
		id, err := n.travel(ctx, p, bytes)
		if err != nil {
			return nil, 0, err
		}
		used += n.cpu() - before
		ids[id] = true
	}
	all, err := l.read(n)
	if err != nil {
		return nil, 0, err
	}
	out := hopsOf(all, ids)
	if want := journeys * hops; len(out) < want {
		return nil, 0, fmt.Errorf("%d hops of %d are in the logs", len(out), want)
	}
	return out, used / time.Duration(len(out)), nil
}

func pauseRows(ctx context.Context, o *options, n *net) (rows []row, err error) {
	for _, s := range sizes {
		all, each, err := collect(ctx, n, s.bytes, o.journeys)
		if err != nil {
			return rows, err
		}
		p := pausesOf(all)
		p50, p99 := quantile(p, .5), quantile(p, .99)
		r := row{
			Name: "pause", What: fmt.Sprintf("pause with a state of %s, p50 / p99 of %d", s.name, len(p)), Target: "–",
			Measured: fmt.Sprintf("%.1f / %.1f ms; processor time of all six nodes for each %.0f ms", p50, p99, ms(each)), Met: true, Pauses: p,
			Figures: map[string]float64{"bytes": float64(s.bytes), "p50_ms": p50, "p99_ms": p99, "most_ms": p[len(p)-1], "cpu_ms": ms(each)},
		}
		if s.bytes > 1 {
			r.Target, r.Met = "≤ 50 / ≤ 150 ms", p50 <= 50 && p99 <= 150
		}
		rows = append(rows, r, steps("pause", s.name, all))
	}
	return rows, nil
}

// steps says where the time of a hop goes.
func steps(name, size string, all []hop) row {
	r := row{Name: name, What: "  of it, medians (" + size + ")", Target: "–", Met: true, Figures: map[string]float64{}}
	var text []string
	for i, m := range medians(all) {
		what := stages[i+1]
		text = append(text, fmt.Sprintf("%s +%.1f", what, m))
		r.Figures[strings.ReplaceAll(what, " ", "_")+"_ms"] = m
	}
	r.Measured = strings.Join(text, ", ")
	return r
}

// delays of the long lines, one way: how much longer a pause is with each millisecond tells how often it waits for a line.
var delays = []time.Duration{0, 20 * time.Millisecond, 40 * time.Millisecond}

const mostTrips = 5

func tripRows(ctx context.Context, o *options, n *net) (rows []row, err error) {
	defer func() { err = errors.Join(err, n.Delay(0)) }()
	for _, s := range sizes {
		var xs, ys []float64
		var all []hop
		for _, d := range delays {
			if err := n.Delay(d); err != nil {
				return rows, err
			}
			if all, _, err = collect(ctx, n, s.bytes, max(1, o.journeys/4)); err != nil {
				return rows, err
			}
			xs, ys = append(xs, 2*ms(d)), append(ys, quantile(pausesOf(all), .5))
		}
		last := len(delays) - 1
		trips, line := (ys[last]-ys[0])/xs[last], slope(xs, ys)
		p := pausesOf(all)
		rows = append(rows, row{
			Name: "trips", What: fmt.Sprintf("the same over %s one way (%s): round trips", delays[last], s.name), Target: fmt.Sprintf("≤ %d", mostTrips),
			Measured: fmt.Sprintf("%.1f (by a line through %d delays %.1f); p50 / p99 %.0f / %.0f ms", trips, len(delays), line, quantile(p, .5), quantile(p, .99)),
			Met:      trips <= mostTrips, Pauses: p,
			Figures: map[string]float64{"bytes": float64(s.bytes), "round_trips": trips, "slope": line, "p50_ms": quantile(p, .5), "p99_ms": quantile(p, .99)},
		}, steps("trips", s.name, all))
	}
	return rows, nil
}

// slope of the line through the points that is nearest to them.
func slope(xs, ys []float64) float64 {
	var mx, my, a, b float64
	for i := range xs {
		mx, my = mx+xs[i]/float64(len(xs)), my+ys[i]/float64(len(ys))
	}
	for i := range xs {
		a, b = a+(xs[i]-mx)*(ys[i]-my), b+(xs[i]-mx)*(xs[i]-mx)
	}
	return a / b
}

const leastRate = 100 // a second

func rateRows(ctx context.Context, o *options, n *net) ([]row, error) {
	p, err := n.prepare(ctx, 1, 2*hops)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex // guards failed
	var failed error
	var wg sync.WaitGroup
	enough := make(chan struct{})
	for range o.capsules {
		wg.Go(func() {
			for {
				select {
				case <-enough:
					return
				default:
				}
				if _, err := n.travel(ctx, p, 1); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
					cancel()
					return
				}
			}
		})
	}
	wait := func(d time.Duration) {
		select {
		case <-time.After(d): // the time of the measurement, not a wait for anything
		case <-ctx.Done():
		}
	}
	wait(o.load / 5) // until it is steady
	if o.hold {
		for _, s := range n.State().Nodes {
			fmt.Fprintf(os.Stderr, "%s %d\n", s.Name, s.PID)
		}
	}
	var l logs
	if _, err := l.read(n); err != nil {
		return nil, err
	}
	began, before := time.Now(), n.cpu()
	wait(o.load)
	took, used := time.Since(began), n.cpu()-before
	all, err := l.read(n)
	close(enough)
	wg.Wait()
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	count := 0
	for _, x := range all {
		if x.What == begins && x.Hop > 0 {
			count++
		}
	}
	pauses := pausesOf(hopsOf(all, nil))
	if count == 0 || len(pauses) == 0 {
		return nil, errors.New("nothing moved")
	}
	rate, each := float64(count)/took.Seconds(), ms(used)/float64(count)
	return []row{
		{
			Name: "rate", What: fmt.Sprintf("handovers a second between two zones, %d capsules on their way", o.capsules), Target: fmt.Sprintf("≥ %d", leastRate),
			Measured: fmt.Sprintf("%.0f; a pause then p50 / p99 %.0f / %.0f ms", rate, quantile(pauses, .5), quantile(pauses, .99)), Met: rate >= leastRate,
			Figures: map[string]float64{"per_second": rate, "handovers": float64(count), "seconds": took.Seconds(), "p50_ms": quantile(pauses, .5), "p99_ms": quantile(pauses, .99)},
		},
		{
			Name: "rate", What: "processor time of all six nodes for a handover", Target: "–", Measured: fmt.Sprintf("%.2f ms", each), Met: true,
			Figures: map[string]float64{"cpu_ms": each, "cores": used.Seconds() / took.Seconds()},
		},
	}, nil
}

const mostWire = 64 << 10

// wireRows runs the demonstration and reads what its capsule weighs.
func wireRows(ctx context.Context, o *options, _ *net) ([]row, error) {
	dir, err := os.MkdirTemp("", "kwnode-bench-handover-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	bin, err := o.program(ctx, dir)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, bin, "demo", "--json", "--runs", "1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = os.Stderr
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("kwnode demo: %w", err)
	}
	var rep demo.Report
	if err := json.Unmarshal(b, &rep); err != nil {
		return nil, err
	}
	if rep.Compare == nil || len(rep.Compare.Hops) == 0 {
		return nil, errors.New("the demonstration reports no hops")
	}
	var sizes []float64
	for _, h := range rep.Compare.Hops {
		sizes = append(sizes, float64(h.Bytes))
	}
	most := slices.Max(sizes)
	var all float64
	for _, w := range rep.Compare.Ways {
		if w.Name == "the logic moves" {
			all = float64(w.Short.Bytes) / float64(len(sizes))
		}
	}
	return []row{{
		Name: "wire", What: fmt.Sprintf("state of the demo's capsule on the wire, a hop, the largest of %d", len(sizes)), Target: "≤ 64 KB",
		Measured: fmt.Sprintf("%.1f KB; with proofs, answers and the result %.1f KB", most/1024, all/1024), Met: most <= mostWire,
		Figures: map[string]float64{"most_bytes": most, "all_bytes": all},
	}}, nil
}
