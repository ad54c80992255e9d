package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/find"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet"
)

// gateways starts nodes without a zone, each of which knows boot alone.
func gateways(dir string, n int, boot string) (all []*node.Node, err error) {
	for i := range n {
		id, err := capsule.NewIdentity(rand.Reader)
		if err != nil {
			return all, err
		}
		cfg := node.Config{Identity: id, Dir: filepath.Join(dir, fmt.Sprint("gateway-", i)), Listen: []string{loopback}, Interp: true}
		if boot != "" {
			cfg.Peers = []string{boot}
		}
		g, err := node.Start(cfg)
		if err != nil {
			return all, err
		}
		all = append(all, g)
	}
	return all, nil
}

// benchFind is the time from nothing to a zone's voters, for a client that knows one node that is no part of the zone.
func benchFind(nodes, rounds int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "kwnode-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	boot, err := gateways(filepath.Join(dir, "boot"), 1, "")
	for _, g := range boot {
		defer g.Close()
	}
	if err != nil {
		return err
	}
	z, err := testnet.Up(ctx, testnet.Options{Bootstrap: boot[0].Addrs()[0], Interp: true})
	if err != nil {
		return err
	}
	defer z.Close()
	const zoneNodes = 4 // three voters and a worker
	rest, err := gateways(dir, nodes-zoneNodes-1, boot[0].Addrs()[0])
	for _, g := range rest {
		defer g.Close()
	}
	if err != nil {
		return err
	}
	// The tables fill while nodes meet; a net that runs has done that long ago.
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(100 * time.Millisecond) {
		if s := rest[len(rest)-1].Finder().Snapshot(); len(s.Table) >= 20 {
			break
		}
	}
	book := sdk.NewBook()
	if err := book.Trust("home", z.Zone); err != nil {
		return err
	}
	var first, again, alone, dialled, cpu []time.Duration
	failed := 0
	for i := range rounds {
		g := rest[i%len(rest)]
		busy := cpuTime()
		dial, took, err := findOnce(ctx, g.Addrs()[0], book, z.Zone)
		if err != nil {
			return err
		}
		cpu, dialled = append(cpu, cpuTime()-busy), append(dialled, dial)
		if i < len(rest) {
			first = append(first, took)
		} else {
			again = append(again, took)
		}
		took, err = findAlone(ctx, g.Addrs()[0], z.Zone, z.Voters[0].Key())
		if err != nil {
			failed++ // a net of processes that are all in this one is slow when the machine is busy
			continue
		}
		alone = append(alone, took)
	}
	if len(alone) == 0 {
		return fmt.Errorf("no search by the DHT alone found anybody")
	}
	fmt.Printf("zone found from cold by a client that knows one node, %d nodes, p50\n", nodes)
	fmt.Printf("  through a node that has not heard of the zone   %v of %d   want ≤ 50 ms\n", median(first), len(first))
	if len(again) > 0 {
		fmt.Printf("  through a node that was asked before            %v of %d\n", median(again), len(again))
	}
	fmt.Printf("  of it, host and connection %v; processor time of all 60 nodes and the client %v\n", median(dialled), median(cpu))
	fmt.Printf("  by the DHT alone, one provider checked by ping  %v of %d, %d found nobody\n", median(alone), len(alone), failed)
	return nil
}

func findOnce(ctx context.Context, addr string, book *sdk.Book, zone capsule.ZoneID) (dial, all time.Duration, err error) {
	start := time.Now()
	c, err := sdk.Dial(ctx, addr, sdk.WithBook(book))
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	dial = time.Since(start)
	if _, err := c.Locate(ctx, zone); err != nil {
		return 0, 0, err
	}
	return dial, time.Since(start), nil
}

// findAlone does without anybody's help.
func findAlone(ctx context.Context, addr string, zone capsule.ZoneID, voter capsule.Key) (time.Duration, error) {
	id, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	h, err := p2p.New(p2p.Config{Identity: id})
	if err != nil {
		return 0, err
	}
	defer h.Close()
	f, err := find.New(h, find.Config{Mode: find.Client, Bootstrap: []string{addr}, Check: func(ctx context.Context, _ capsule.ZoneID, k capsule.Key) error {
		_, err := h.Ping(ctx, k)
		if err == nil && k == h.Key() {
			err = fmt.Errorf("that is ourselves")
		}
		return err
	}})
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if _, err := f.Find(ctx, zone, 1); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}
