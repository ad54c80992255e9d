package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/kitwork/kwnode/bench/kernels"
)

// timesRow prints the interpreter's nanoseconds for each C kernel, for gasRow to read.
func timesRow(ctx context.Context, o *options) error {
	for _, k := range kernels.All() {
		one := kernel{name: k.Name, wasm: k.Wasm, args: []int32{max(1, int32(float64(k.Size)*o.scale))}}
		best, err := one.time(ctx, ours()[:1], o.rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", k.Name, err)
		}
		fmt.Fprintf(o.out, "%s %d\n", k.Name, best[0])
	}
	return nil
}

// gasRow builds this command once as it is and once with the tag kwunmetered, which takes charges and polls out of the
// interpreter's loop, and runs both in turns.
func gasRow(ctx context.Context, o *options) error {
	dir, err := os.MkdirTemp("", "nogas")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var bins [2]string
	for i, tags := range []string{"", "kwunmetered"} {
		bins[i] = filepath.Join(dir, fmt.Sprint("vm", i))
		cmd := exec.CommandContext(ctx, "go", "build", "-tags", tags, "-o", bins[i], "github.com/kitwork/kwnode/bench/vm")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
	}
	best := [2]map[string]time.Duration{{}, {}}
	var names []string
	for round := range o.rounds {
		for i, bin := range bins {
			out, err := exec.CommandContext(ctx, bin, "-row", "^times$", "-rounds", "2", "-scale", fmt.Sprint(o.scale)).Output()
			if err != nil {
				return err
			}
			lines := bufio.NewScanner(bytes.NewReader(out))
			for lines.Scan() {
				var name string
				var ns time.Duration
				if n, _ := fmt.Sscan(lines.Text(), &name, &ns); n != 2 {
					continue
				}
				if old, ok := best[i][name]; !ok || ns < old {
					best[i][name] = ns
				}
				if i == 0 && round == 0 {
					names = append(names, name)
				}
			}
		}
	}
	sum := 0.0
	for _, name := range names {
		ratio := float64(best[0][name]) / float64(best[1][name])
		sum += math.Log(ratio)
		fmt.Fprintf(o.out, "%-12s %8.1f ms with gas, %8.1f ms without: %+.1f %%\n", name, best[0][name].Seconds()*1e3, best[1][name].Seconds()*1e3, 100*(ratio-1))
	}
	fmt.Fprintf(o.out, "geomean %+.1f %% (target 10)\n", 100*(math.Exp(sum/float64(len(names)))-1))
	return nil
}
