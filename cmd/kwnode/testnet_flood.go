package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/testnet/proc"
)

func newTestnetFloodCmd() *cobra.Command {
	var dir string
	var d time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "flood NODE",
		Short: "Gossip forged capsules to a voter and see what becomes of them",
		Long: `Sends capsules whose signature is wrong, as fast as the node takes them, under a new key whenever it
is cut off. Then it asks every voter of the zone what it has seen of them: they die where they came in.`,
		Example: "  kwnode testnet flood home-voter-0 --for 2s",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sent, keys, seen, err := proc.Flood(cmd.Context(), dir, args[0], d)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), seen)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "sent %d forged capsules under %d keys\n\n", sent, keys)
			tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(tw, "NODE\tREJECTED\tDROPPED UNREAD\tSENDERS CUT OFF")
			for _, f := range seen {
				fmt.Fprintf(tw, "%s\t%d\t%d\t%d\n", f.Node, f.Rejected, f.Dropped, f.Cut)
			}
			return tw.Flush()
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().DurationVar(&d, "for", 2*time.Second, "how long")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of a table")
	return cmd
}
