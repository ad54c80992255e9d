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
		Long: `Starts three zones of three nodes each as processes of this machine, on loopback alone. Each is an
organisation with rows of its own, parts of the import graph of kwnode and of Go's standard library.
A Go function asks by which imports one package depends on another: each lookup depends on the last,
and it is frozen in its loop and goes on wherever the next row is. A worker and a leader are killed
on the way. Then the same lookups are made by remote calls, and by code that is shipped without its
state, over the same links without delay and with 40 ms each way.

The exit status is 0 only if every check holds. Nothing stays behind.`,
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
	fl.BoolVar(&o.JSON, "json", false, "print one JSON object with every figure at the end and nothing else")
	fl.Uint64Var(&o.Seed, "seed", 1, "decides the question")
	fl.StringVar(&o.Keep, "keep", "", "`folder` to keep the network in, and up, until Ctrl-C")
	fl.DurationVar(&o.Delay, "link-delay", 40*time.Millisecond, "one-way delay between organisations in the second half of the comparison")
	fl.IntVar(&o.Runs, "runs", 3, "how often to run each way of the comparison; 0 leaves it out")
	return c
}

func newEvacuateCmd() *cobra.Command {
	var o demo.Options
	var capsules int
	c := &cobra.Command{
		Use:   "evacuate",
		Short: "Drain and restart every node of a zone under running computations",
		Long: `Starts a zone of three nodes, each a voter and a worker, and gives it computations that look at all
of its rows. While they run every node is drained and restarted in turn. None may be lost, and result and
gas of each have to be those of one that nobody disturbed. The zone's lease is 15 s instead of 0.8: 200
computations at once on a small machine delay renewals, and each lease that runs out moves one more.`,
		Example: "  kwnode demo evacuate\n  kwnode demo evacuate --capsules 20 --json",
		Args:    wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if capsules < 1 || capsules > 1000 {
				return usageError(cmd, "want 1 to 1000 computations")
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
	c.Flags().BoolVar(&o.JSON, "json", false, "print one JSON object at the end and nothing else")
	c.Flags().IntVar(&capsules, "capsules", 200, "how many computations")
	return c
}
