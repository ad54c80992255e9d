package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

func newZoneDrainCmd() *cobra.Command {
	var t target
	var undo bool
	cmd := &cobra.Command{
		Use:   "drain [WORKER]",
		Short: "Move what a worker runs to others, and give it no more",
		Long: `With WORKER, a key that kwnode zone workers prints: the zone's roots take the worker out of service.
It saves each capsule that it runs in the middle of its loop and gives it back; other workers go on from
there. The command returns when the worker holds nothing, and "--undo" gives it work again.

Without WORKER: asks the node at --node, as its operator, to do so with all its workers, for as long as it
runs: --identity is a key that it was started with as --operator. A node that is stopped
does the same by itself.`,
		Example: `  kwnode zone drain ed25519:5d0c... --root root.key
  kwnode zone drain ed25519:5d0c... --undo --root root.key
  kwnode zone drain --node /ip4/192.0.2.7/tcp/7401/p2p/12D3KooW... --identity operator.key`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if undo {
					return usageError(cmd, "which worker is to work again? Name its key")
				}
				return t.drainNode(cmd)
			}
			k, err := publicKey(args[0])
			if err != nil {
				return err
			}
			return t.drainWorker(cmd, k, undo)
		},
	}
	t.rootFlag(cmd)
	cmd.Flags().BoolVar(&undo, "undo", false, "give the worker work again")
	return cmd
}

// drainNode has a node drain its own workers.
func (t *target) drainNode(cmd *cobra.Command) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), t.timeout)
	defer cancel()
	c, err := t.dial(ctx, cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Ask(ctx, c.Node(), &admin.Request{Op: admin.OpDrain}, new(admin.Done)); err != nil {
		return judged(err)
	}
	return t.done(cmd, 0, "drained")
}

// drainEvery is how often the command looks how much a worker still holds.
const drainEvery = 100 * time.Millisecond

// drainWorker closes a worker and waits until it holds nothing, or opens it again.
func (t *target) drainWorker(cmd *cobra.Command, k capsule.Key, undo bool) error {
	return t.run(cmd, func(ctx context.Context, c *admin.Client, z *admin.Zone) error {
		index, err := t.order(ctx, c, z, cert.OpWorker, &machine.SetWorker{Worker: k, Drain: !undo})
		if err != nil {
			return err
		}
		if undo {
			return t.done(cmd, index, "the worker may work again")
		}
		// What workers hold is shown to roots; who asked until here may be anybody.
		ids, err := t.rootKeys(c)
		if err != nil {
			return err
		}
		root, err := admin.Dial(ctx, t.node, ids[0])
		if err != nil {
			return err
		}
		defer root.Close()
		last := uint32(0)
		for tick := time.NewTicker(drainEvery); ; {
			held, err := workerHolds(ctx, root, z, k)
			if err != nil {
				tick.Stop()
				return judged(err)
			}
			if held == 0 {
				tick.Stop()
				return t.done(cmd, index, "drained: the worker holds nothing and gets nothing")
			}
			if held != last && !t.asJSON {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d capsules still run there\n", held)
			}
			last = held
			select {
			case <-ctx.Done():
				tick.Stop()
				return fmt.Errorf("the worker gets nothing new and still holds %d capsules: %w; what it doesn't give back it loses with its leases", held, context.Cause(ctx))
			case <-tick.C:
			}
		}
	})
}

// workerHolds returns how many capsules a worker runs, by the zone's books.
func workerHolds(ctx context.Context, c *admin.Client, z *admin.Zone, k capsule.Key) (uint32, error) {
	before := k // the listing begins behind a key
	for i := len(before) - 1; i >= 0; i-- {
		before[i]--
		if before[i] != 0xff {
			break
		}
	}
	var l []admin.WorkerInfo
	if err := c.AskZone(ctx, z, &admin.Request{Op: admin.OpWorkers, After: before[:], Rows: 1}, &l); err != nil {
		return 0, err
	}
	if len(l) == 0 || l[0].Key != k {
		return 0, nil
	}
	return l[0].Used, nil
}
