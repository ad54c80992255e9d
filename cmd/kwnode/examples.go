package main

import "github.com/spf13/cobra"

// examples are the help texts' examples of the short commands, which stand better together than apart. A command that
// is not listed has its own.
var examples = map[string]string{
	"kwnode capsule cancel":    "  kwnode capsule cancel bafyrei... --node $KITWORK_NODE --identity author.key",
	"kwnode capsule list":      "  kwnode capsule list --node $KITWORK_NODE --identity author.key\n  kwnode capsule list --limbo --json",
	"kwnode capsule result":    "  kwnode capsule result bafyrei... --node $KITWORK_NODE",
	"kwnode capsule submit":    "  kwnode capsule submit count.capsule --node $KITWORK_NODE --identity author.key",
	"kwnode capsule topup":     "  kwnode capsule topup bafyrei... 5000000 --node $KITWORK_NODE --identity author.key",
	"kwnode capsule watch":     "  kwnode capsule watch bafyrei... --node $KITWORK_NODE",
	"kwnode inspect":           "  kwnode inspect node /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo...",
	"kwnode inspect capsules":  "  kwnode inspect capsules /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo... --identity operator.key",
	"kwnode inspect dht":       "  kwnode inspect dht /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo... --identity operator.key",
	"kwnode inspect node":      "  kwnode inspect node /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo...",
	"kwnode inspect peers":     "  kwnode inspect peers /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo... --identity operator.key",
	"kwnode inspect streams":   "  kwnode inspect streams /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo... --identity operator.key",
	"kwnode inspect topics":    "  kwnode inspect topics /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo... --identity operator.key --json",
	"kwnode inspect zones":     "  kwnode inspect zones /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo... --json",
	"kwnode receipt":           "  kwnode receipt verify journey.receipt",
	"kwnode testnet":           "  kwnode testnet up --voters 3 --workers 2",
	"kwnode testnet down":      "  kwnode testnet down",
	"kwnode testnet env":       "  kwnode testnet env > net.env && . ./net.env",
	"kwnode testnet heal":      "  kwnode testnet heal",
	"kwnode testnet kill":      "  kwnode testnet kill leader",
	"kwnode testnet logs":      "  kwnode testnet logs home-worker-0",
	"kwnode testnet partition": "  kwnode testnet partition home-voter-0 home-worker-0",
	"kwnode testnet pause":     "  kwnode testnet pause home-voter-1",
	"kwnode testnet restart":   "  kwnode testnet restart home-voter-2",
	"kwnode testnet resume":    "  kwnode testnet resume home-voter-1",
	"kwnode testnet start":     "  kwnode testnet start home-voter-0",
	"kwnode testnet status":    "  kwnode testnet status --json",
	"kwnode testnet stop":      "  kwnode testnet stop home-worker-0",
	"kwnode zone":              "  kwnode zone status --node $KITWORK_NODE",
	"kwnode zone accounts":     "  kwnode zone accounts --node $KITWORK_NODE --identity root.key",
	"kwnode zone delete":       "  kwnode zone delete orders/17 --node $KITWORK_NODE --identity owner.key",
	"kwnode zone drain":        "  kwnode zone drain --node $KITWORK_NODE --identity operator.key",
	"kwnode zone get":          "  kwnode zone get orders/17 --node $KITWORK_NODE --identity owner.key",
	"kwnode zone ledger":       "  kwnode zone ledger --node $KITWORK_NODE --identity root.key",
	"kwnode zone remove":       "  kwnode zone remove ed25519:... --root root.key --node $KITWORK_NODE",
	"kwnode zone status":       "  kwnode zone status --node $KITWORK_NODE --json",
	"kwnode zone transfer":     "  kwnode zone transfer --node $KITWORK_NODE --identity operator.key",
	"kwnode zone workers":      "  kwnode zone workers --node $KITWORK_NODE --identity operator.key",
}

// addExamples gives cmd and the commands below it the examples of the table.
func addExamples(cmd *cobra.Command) {
	if e, ok := examples[cmd.CommandPath()]; ok {
		cmd.Example = e
	}
	for _, c := range cmd.Commands() {
		addExamples(c)
	}
}
