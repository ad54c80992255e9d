package main

import (
	"context"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/testnet"
)

// demoTimeout bounds a demonstration on a slow machine that has to build the standard library for WebAssembly first.
const demoTimeout = 10 * time.Minute

func newDemoCmd() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Found a zone on this machine, run Go functions in it, and take parts of it away",
		Long: `Starts three voters and a worker in this process, on loopback alone. Go functions are built for
WebAssembly, run ahead here up to their first effect, signed, admitted by consensus, continued by the
worker and certified. In the middle of a long computation the worker is taken away. At the end it says which promises were tried and whether they held; the exit status is 0 only if
all did. It needs the go command, keeps nothing, and uses no network.`,
		Example: "  kwnode demo\n  kwnode demo --json",
		Args:    wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, demoTimeout)
			defer cancel()
			return testnet.Demo(ctx, cmd.OutOrStdout(), asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object at the end and nothing else")
	return c
}
