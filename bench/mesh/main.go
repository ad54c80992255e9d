// Command mesh measures the open mesh beside the raw library and the raw signature check, taken in turn in one run. It
// must never measure on anything but loopback.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	nodes := flag.Int("nodes", 60, "nodes of the net in which a zone is found")
	rounds := flag.Int("rounds", 40, "of finding; gossip takes ten times as many")
	peers := flag.Int("peers", 100, "peers of the idle node")
	watch := flag.Duration("watch", 30*time.Second, "how long the idle node is watched")
	only := flag.String("only", "gateway,gossip,find,idle", "parts to run")
	child := flag.Bool("idle-node", false, "be the idle node")
	flag.Parse()
	if *child {
		exit(idleNode())
		return
	}
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"gateway", benchGateway},
		{"gossip", func() error { return benchGossip(10 * *rounds) }},
		{"find", func() error { return benchFind(*nodes, *rounds) }},
		{"idle", func() error { return benchIdle(*peers, *watch) }},
	} {
		if !slices.Contains(strings.Split(*only, ","), part.name) {
			continue
		}
		if err := part.run(); err != nil {
			exit(fmt.Errorf("%s: %w", part.name, err))
		}
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "mesh:", err)
		os.Exit(1)
	}
}

// median of what was taken; the slice is sorted.
func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2]
}
