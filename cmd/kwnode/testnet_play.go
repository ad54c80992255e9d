package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/testnet/proc"
)

// maxScript bounds a script with its files.
const maxScript = 1 << 20

func newTestnetPlayCmd() *cobra.Command {
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "play FILE...",
		Short: "Play scripts that start a network, break it and look what comes of it",
		Long: `Plays scripts line by line, each with a network of its own, and stops at the first line that does
not come out as it should. A line is

  # TEXT                  a comment, shown as it is
  net ARGS                kwnode testnet up ARGS, until the script ends
  kwnode ARGS             this program; ! before it wants it to fail
  until REGEXP kwnode ..  the same again and again, until what it prints matches
  stdout REGEXP           what the last command printed matches; ! wants it not to
  stderr REGEXP           the same of its errors

$NAME is a variable of the environment, $WORK a folder of the script's own, with the files that stand
behind it in the txtar format, $OUT what the last command printed. 'Quotes' keep words together.
The scripts in testnet/scripts run in the root of the repository, since they use its examples.`,
		Example: `  kwnode testnet play testnet/scripts/kill-worker.txtar`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			for _, name := range args {
				text, err := readInput(cmd, name, maxScript)
				if err != nil {
					return err
				}
				ctx, cancel := context.WithTimeoutCause(cmd.Context(), limit, fmt.Errorf("%s took longer than %s; see --timeout", name, limit))
				err = proc.Play(ctx, name, text, proc.PlayOptions{Binary: self, Out: cmd.OutOrStdout()})
				if cause := context.Cause(ctx); err != nil && cause != nil {
					err = fmt.Errorf("%w: %w", err, cause)
				}
				cancel()
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&limit, "timeout", 5*time.Minute, "give up a script that takes longer")
	return cmd
}
