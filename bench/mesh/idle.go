package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/find"
	"github.com/kitwork/kwnode/p2p/mesh"
)

// idleNode is a node in a process of its own until its input ends.
func idleNode() error {
	dir, err := os.MkdirTemp("", "kwnode-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	id, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		return err
	}
	n, err := node.Start(node.Config{Identity: id, Dir: dir, Listen: []string{loopback}, Topics: []capsule.ZoneID{zoneID}})
	if err != nil {
		return err
	}
	defer n.Close()
	fmt.Println(n.Addrs()[0])
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// peer is what is connected to the idle node: gossip and directory, as any node has them.
func startPeer(addr string) (stop func(), err error) {
	id, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		return nil, err
	}
	h, err := p2p.New(p2p.Config{Identity: id, Listen: []string{loopback}})
	if err != nil {
		return nil, err
	}
	m, err := mesh.New(h, mesh.Config{})
	if err == nil {
		_, err = m.Join(zoneID, mesh.TopicConfig{})
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	f, err := find.New(h, find.Config{Mode: find.Server, Bootstrap: []string{addr}, MinPeers: 1,
		Check: func(ctx context.Context, _ capsule.ZoneID, k capsule.Key) error { _, err := h.Ping(ctx, k); return err }})
	if err != nil {
		h.Close()
		return nil, err
	}
	return func() { f.Close(); m.Close(); h.Close() }, nil
}

// usage is a process's processor time and resident memory.
func usage(pid int) (cpu time.Duration, rss int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 22 {
		return 0, 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	user, err := strconv.ParseInt(f[11], 10, 64)
	if err != nil {
		return 0, 0, err
	}
	sys, err := strconv.ParseInt(f[12], 10, 64)
	if err != nil {
		return 0, 0, err
	}
	pages, err := strconv.ParseInt(f[21], 10, 64)
	const hz = 100 // USER_HZ of every Linux
	return time.Duration(user+sys) * time.Second / hz, pages * int64(os.Getpagesize()), err
}

// benchIdle watches a node that has peers and nothing to do.
func benchIdle(peers int, watch time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "-idle-node")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Wait()
	defer stdin.Close()
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return err
	}
	_, empty, err := usage(cmd.Process.Pid)
	if err != nil {
		return err
	}
	for range peers {
		stop, err := startPeer(strings.TrimSpace(addr))
		if err != nil {
			return err
		}
		defer stop()
	}
	time.Sleep(20 * time.Second) // the meshes form and the tables fill
	before, _, err := usage(cmd.Process.Pid)
	if err != nil {
		return err
	}
	start := time.Now()
	time.Sleep(watch)
	after, rss, err := usage(cmd.Process.Pid)
	if err != nil {
		return err
	}
	fmt.Printf("idle node with %d connected peers, watched for %v\n", peers, watch)
	fmt.Printf("  %.2f %% of a core   want ≤ 2\n  %.0f MB resident, %.0f without a peer   want ≤ 80\n",
		100*(after-before).Seconds()/time.Since(start).Seconds(), float64(rss)/1e6, float64(empty)/1e6)
	return nil
}
