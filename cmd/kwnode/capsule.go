package main

import "github.com/spf13/cobra"

func newCapsuleCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "capsule",
		Short:   "Look into capsules",
		Example: "  kwnode capsule inspect transfer.capsule",
	}
	asGroup(cmd)
	cmd.AddCommand(newCapsuleInspectCmd())
	return cmd
}
