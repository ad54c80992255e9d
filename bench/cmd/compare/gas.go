package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
)

// gasRow builds this command once as it is and once with the tag kwunmetered, which leaves charges and polls out of
// compiled code, and runs both in turns.
func gasRow(ctx context.Context, o *options) error {
	dir, err := os.MkdirTemp("", "nogas")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var bins [2]string
	for i, tags := range []string{"", "kwunmetered"} {
		bins[i] = filepath.Join(dir, fmt.Sprint("compare", i))
		cmd := exec.CommandContext(ctx, "go", "build", "-tags", tags, "-o", bins[i], "github.com/kitwork/kwnode/bench/cmd/compare")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
	}
	best := [2]map[string]int64{{}, {}}
	var names []string
	for round := range o.rounds {
		for i, bin := range bins {
			fmt.Fprintf(o.progress, "round %d, gas %v\n", round+1, i == 0)
			cmd := exec.CommandContext(ctx, bin, "-row", "speed", "-json", "-engines", "^kwnode-jit$", "-rounds", "2",
				"-programs", o.programs.String(), "-scale", fmt.Sprint(o.scale))
			out, err := cmd.Output()
			if err != nil {
				return err
			}
			var rep report
			if err := json.Unmarshal(out, &rep); err != nil {
				return err
			}
			for _, r := range rep.Rows {
				name := r.Language + "/" + r.Program
				if round == 0 && i == 0 {
					names = append(names, name)
				}
				if ns := r.Ns["kwnode-jit"]; best[i][name] == 0 || ns < best[i][name] {
					best[i][name] = ns
				}
			}
		}
	}
	sum, worst := 0.0, math.Inf(-1)
	fmt.Fprintln(o.out)
	for _, name := range names {
		ratio := float64(best[0][name]) / float64(best[1][name])
		sum += math.Log(ratio)
		worst = max(worst, ratio)
		fmt.Fprintf(o.out, "%-16s %8.1f ms with gas, %8.1f ms without: %+.1f %%\n", name, float64(best[0][name])/1e6, float64(best[1][name])/1e6, 100*(ratio-1))
	}
	fmt.Fprintf(o.out, "gas and poll cost %+.1f %% in the geomean (target 10), %+.1f %% at worst (target 20)\n", 100*(math.Exp(sum/float64(len(names)))-1), 100*(worst-1))
	return nil
}
