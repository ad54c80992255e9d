package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/kitwork/kwnode/zone/raft"
)

// idleRow watches a process of its own, in which nothing but three voters run, as somebody with top would.
func idleRow(ctx context.Context, o *options) ([]line, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := subdir(o, "idle")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, "-child-idle", "-dir", dir, "-idle", o.idle.String(), "-procs", strconv.Itoa(o.procs))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("the watched process: %w", err)
	}
	f := strings.Fields(string(out))
	if len(f) != 4 {
		return nil, fmt.Errorf("the watched process said %q", out)
	}
	return []line{
		{fmt.Sprintf("idle zone of 3 voters in one process, CPU over %s", o.idle), "≤ 3 % of a core", f[0] + " % of a core"},
		{"its memory", "≤ 40 MB", fmt.Sprintf("%s MB resident, of it %s MB its own and the rest pages of the program's file; %s MB heap", f[1], f[2], f[3])},
	}, nil
}

// idleChild prints the CPU time in percent of a core; resident memory, what of it is no file's, and the heap in MB.
func idleChild(o *options, out io.Writer) error {
	ctx := context.Background()
	b, err := newBed(ctx, o.dir, raft.Timing{})
	if err != nil {
		return err
	}
	defer b.close()
	for range 10 {
		cmd, _, err := b.seal()
		if err != nil {
			return err
		}
		if _, err := propose(ctx, b.zones[0], cmd); err != nil {
			return err
		}
	}
	time.Sleep(3 * time.Second) // the work of the start is over
	cpu, start := processTime(), time.Now()
	time.Sleep(o.idle)
	share := 100 * (processTime() - cpu).Seconds() / time.Since(start).Seconds()
	debug.FreeOSMemory()
	rss, err := resident("VmRSS:")
	if err != nil {
		return err
	}
	own, err := resident("RssAnon:")
	if err != nil {
		return err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	_, err = fmt.Fprintf(out, "%.1f %d %d %d\n", share, rss>>20, own>>20, m.HeapAlloc>>20)
	return err
}

// resident reads a row of the process's status, in bytes.
func resident(row string) (int64, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), row); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/self/status has no %s", row)
}
