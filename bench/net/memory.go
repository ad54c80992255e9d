package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// memory is what a process has resident, in KiB. Anonymous pages are its own; those of files, nearly all of the program
// itself, are shared by the nodes of a machine, and go when the system needs the room.
type memory struct{ anon, file, pss int64 }

// resident is each node's memory, where the system tells.
func (b *bench) resident() map[string]memory {
	out := map[string]memory{}
	for _, s := range b.net.State().Nodes {
		status := kibibytes(fmt.Sprintf("/proc/%d/status", s.PID))
		if status == nil {
			continue
		}
		out[s.Name] = memory{anon: status["RssAnon:"], file: status["RssFile:"] + status["RssShmem:"]}
	}
	return out
}

// kibibytes reads a file of lines with a name, a number and a unit.
func kibibytes(file string) map[string]int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	out := map[string]int64{}
	for l := range strings.Lines(string(text)) {
		if f := strings.Fields(l); len(f) == 3 && f[2] == "kB" {
			out[f[0]], _ = strconv.ParseInt(f[1], 10, 64)
		}
	}
	return out
}

// idleAfter is how long the nodes are left alone: a node gives back what it doesn't use when it has had nothing to do for
// some seconds.
const idleAfter = 15 * time.Second

func (b *bench) idle(ctx context.Context) error {
	for _, when := range []struct {
		text string
		wait time.Duration
	}{{"just after a capsule", 0}, {"idle", idleAfter}} {
		select {
		case <-time.After(when.wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		now := b.resident()
		for _, s := range b.net.State().Nodes {
			if m, ok := now[s.Name]; ok {
				m.pss = kibibytes(fmt.Sprintf("/proc/%d/smaps_rollup", s.PID))["Pss:"]
				target := "≤ 60 MB"
				if when.wait == 0 {
					target = "–"
				}
				b.row(when.text+", resident: "+s.Name, target, "%.1f MB: %.1f anonymous, %.1f of files; %.1f if what processes share is divided among them",
					mib(m.anon+m.file), mib(m.anon), mib(m.file), mib(m.pss))
			}
		}
	}
	return nil
}

func mib(kib int64) float64 { return float64(kib) / 1024 }

// look is one node's anonymous memory at a time of the soak.
type look struct {
	at  time.Duration
	mib float64
}

// flatness is what a soak says of one node.
type flatness struct {
	early, late float64 // largest from a tenth to the half of the soak, and in its second half, in MiB
	slope       float64 // least squares over the second half, in MiB a minute
}

// flatWithin is by how much the second half may exceed what was before.
const flatWithin = 1.05

func (f flatness) flat() bool { return f.late <= flatWithin*f.early }

func flatnessOf(looks []look, took time.Duration) (f flatness) {
	var n, sx, sy, sxx, sxy float64
	for _, l := range looks {
		switch {
		case l.at < took/10: // the nodes begin with empty caches
		case l.at < took/2:
			f.early = max(f.early, l.mib)
		default:
			f.late = max(f.late, l.mib)
			x := l.at.Minutes()
			n, sx, sy, sxx, sxy = n+1, sx+x, sy+l.mib, sxx+x*x, sxy+x*l.mib
		}
	}
	if d := n*sxx - sx*sx; d > 0 {
		f.slope = (n*sxy - sx*sy) / d
	}
	return f
}

const (
	lookEvery = time.Second // peaks last seconds
	minSoak   = 30 * time.Second
)

// soaked prints the largest and the last anonymous memory of each minute, or of each tenth of a shorter soak.
func (b *bench) soaked(ctx context.Context) error {
	if b.soak < minSoak {
		return fmt.Errorf("a soak of %s says nothing about memory; want %s or more", b.soak, minSoak)
	}
	part := min(time.Minute, b.soak/10)
	seen := map[string][]look{}
	var order []string
	for _, s := range b.net.State().Nodes {
		order = append(order, s.Name)
	}
	progress := tabwriter.NewWriter(os.Stderr, 14, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(progress, "MB, most / last\tcapsules\t%s\t\n", strings.Join(order, "\t"))
	most := map[string]int64{}
	next := part
	all, took, err := b.pressed(ctx, b.soak, lookEvery, func(at time.Duration, done uint64) {
		now := b.resident()
		for name, m := range now {
			seen[name] = append(seen[name], look{at: at, mib: mib(m.anon)})
			most[name] = max(most[name], m.anon)
		}
		if at < next {
			return
		}
		fmt.Fprintf(progress, "%s\t%d\t", next, done)
		for _, name := range order {
			fmt.Fprintf(progress, "%.0f / %.0f\t", mib(most[name]), mib(now[name].anon))
		}
		fmt.Fprintln(progress)
		progress.Flush()
		next += part
		clear(most)
	})
	if err != nil {
		return err
	}
	for _, name := range order {
		f := flatnessOf(seen[name], took)
		verdict := "flat"
		if !f.flat() {
			verdict = "NOT FLAT"
		}
		b.row(fmt.Sprintf("anonymous memory over %s and %d capsules: %s", took.Round(time.Second), len(all), name),
			fmt.Sprintf("2nd half ≤ %.2f × before", flatWithin), "%s: at most %.0f MB, then %.0f (%.2f ×), %+.2f MB a minute", verdict, f.early, f.late, f.late/f.early, f.slope)
	}
	return nil
}
