package main

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/testnet/demo"
)

// demoTimeout bounds a demonstration on a slow machine that has to build the standard library for WebAssembly first.
const demoTimeout = 10 * time.Minute

// isTerminal reports whether lines can be drawn over.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	i, err := f.Stat()
	return err == nil && i.Mode()&os.ModeCharDevice != 0
}

func newDemoCmd() *cobra.Command {
	var o demo.Options
	c := &cobra.Command{
		Use:   "demo",
		Short: "See logic travel through three organisations on this machine, and lose nodes on the way",
		Long: `Starts three zones of three nodes each as processes on this machine, on loopback only. Each zone is an
organisation with rows of its own: a part of the import graph of kwnode and of Go's standard library. A Go
function asks through which imports one package depends on another. Each lookup depends on the last, so
the function is frozen in its loop and continues where the next row is. A worker and a leader are killed on
the way. Then the same lookups are made by remote calls, and by code that is shipped without its state,
over the same links without delay and with --link-delay each way.

The exit status is 0 only if every check holds. It takes about a minute, and nothing stays behind.`,
		Example: "  kwnode demo\n  kwnode demo --seed 7 --json\n  kwnode demo --keep demo-data",
		Args:    wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), demoTimeout)
			defer cancel()
			o.Binary, o.Out, o.Live = self, cmd.OutOrStdout(), isTerminal(cmd.OutOrStdout())
			return demo.Run(ctx, o)
		},
	}
	c.AddCommand(newEvacuateCmd())
	fl := c.Flags()
	fl.BoolVar(&o.JSON, "json", false, "print one JSON object with every figure at the end, and nothing else")
	fl.Uint64Var(&o.Seed, "seed", 1, "seed that picks the question")
	fl.StringVar(&o.Keep, "keep", "", "`folder` for the network, which then stays up until Ctrl-C")
	fl.DurationVar(&o.Delay, "link-delay", 40*time.Millisecond, "one-way delay between organisations in the second half of the comparison, such as 40ms")
	fl.IntVar(&o.Runs, "runs", 3, "most `runs` of each way in the comparison; 0 leaves it out")
	return c
}

func newEvacuateCmd() *cobra.Command {
	var o demo.Options
	var capsules int
	c := &cobra.Command{
		Use:   "evacuate",
		Short: "Drain and restart every node of a zone under running computations",
		Long: `Starts a zone of three nodes, each a voter and a worker, and gives it computations that read all of its
rows. While they run, every node is drained and restarted in turn. None may be lost, and the result and gas
of each must equal those of an undisturbed run. The zone's lease is 15 s here instead of 0.8 s: with 200
computations on a small machine renewals are late, and each lease that runs out would move one more.`,
		Example: "  kwnode demo evacuate\n  kwnode demo evacuate --capsules 20 --json",
		Args:    wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if capsules < 1 || capsules > 1000 {
				return usageError(cmd, "--capsules is %d, want 1 to 1000", capsules)
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), demoTimeout)
			defer cancel()
			o.Binary, o.Out, o.Live = self, cmd.OutOrStdout(), isTerminal(cmd.OutOrStdout())
			return demo.Evacuate(ctx, o, capsules)
		},
	}
	c.Flags().BoolVar(&o.JSON, "json", false, "print one JSON object at the end, and nothing else")
	c.Flags().IntVar(&capsules, "capsules", 200, "number of computations, 1 to 1000")
	return c
}
