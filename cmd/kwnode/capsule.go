package main

import "github.com/spf13/cobra"

func newCapsuleCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "capsule",
		Short: "Build capsules, hand them to a zone, follow and inspect them",
		Long: `Commands that talk to a node take --node MULTIADDR (or $KITWORK_NODE) and --identity FILE
(or $KITWORK_KEY), trust the zones in your book (kwnode zone trust) and attach the grants in
$KITWORK_GRANTS.`,
		Example: `  kwnode capsule run ./examples/counter Count --input '{"Name":"visits","By":1}' --keys 'kv/counter/*'
  kwnode capsule inspect transfer.capsule`,
	}
	asGroup(cmd)
	cmd.AddCommand(newCapsuleInspectCmd(), newCapsuleBuildCmd(), newCapsuleEstimateCmd(), newCapsuleSubmitCmd(), newCapsuleRunCmd(),
		newCapsuleWatchCmd(), newCapsuleResultCmd(), newCapsuleCancelCmd(), newCapsuleTopUpCmd(), newCapsuleListCmd())
	return cmd
}
