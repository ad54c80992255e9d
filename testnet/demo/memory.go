package demo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// maxMemory is what a demonstration may hold at a time, its own process included.
const maxMemory = 2 << 30

// memoryEvery is how often it is looked.
const memoryEvery = 250 * time.Millisecond

// watchMemory follows what this process and all nodes hold in memory together, until ctx ends, and returns the most.
func (d *demo) watchMemory(ctx context.Context) (most uint64) {
	t := time.NewTicker(memoryEvery)
	defer t.Stop()
	for {
		sum := resident(os.Getpid())
		for _, n := range d.net.State().Nodes {
			if n.PID != 0 {
				sum += resident(n.PID)
			}
		}
		most = max(most, sum)
		select {
		case <-ctx.Done():
			return most
		case <-t.C:
		}
	}
}

// resident is a process's memory in bytes, pages that it shares with others counted in proportion; 0 where the system
// doesn't tell, or the process is gone.
func resident(pid int) uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) > 1 && string(f[0]) == "Pss:" {
			kib, _ := strconv.ParseUint(string(f[1]), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// remember starts to watch the memory; the function that it returns ends that, and notes and checks the most.
func (d *demo) remember(ctx context.Context) (check func()) {
	ctx, cancel := context.WithCancel(ctx)
	peak := make(chan uint64, 1)
	go func() { peak <- d.watchMemory(ctx) }()
	return func() {
		cancel()
		if d.rep.Memory = <-peak; d.rep.Memory > 0 {
			d.check(fmt.Sprintf("all processes together held at most %s of memory, of %s", size(d.rep.Memory), size(maxMemory)), d.rep.Memory <= maxMemory)
		}
	}
}
