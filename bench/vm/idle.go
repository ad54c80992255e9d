package main

import (
	"bytes"
	"context"
	"fmt"

	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kitwork/kwnode/vm"
)

// status reads a size from what Linux tells of this process.
func status(key string) (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("this row wants Linux: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc/self/status", key)
}

func resident() (int64, error) {
	runtime.GC()
	return status("VmRSS")
}

// oneKB is a module of 1,024 bytes with a memory of a page and a loop.
func oneKB() []byte {
	b := []byte("\x00asm\x01\x00\x00\x00" +
		"\x01\x04\x01\x60\x00\x00" +
		"\x03\x02\x01\x00" +
		"\x05\x03\x01\x00\x01" +
		"\x07\x08\x01\x04spin\x00\x00" +
		"\x0a\x09\x01\x07\x00\x03\x40\x0c\x00\x0b\x0b")
	pad := 1024 - len(b) - 3
	b = append(b, 0, byte(pad&0x7f)|0x80, byte(pad>>7))
	return append(b, append([]byte("\x01x"), bytes.Repeat([]byte{0}, pad-2)...)...)
}

// idleRow suspends many instances in the middle of a loop, with a page of memory written.
func idleRow(ctx context.Context, o *options) error {
	m, first, err := load(oneKB())
	if err != nil {
		return err
	}
	first.Close()
	const n = 10_000
	stores := make([]*vm.Store, 0, n)
	defer func() {
		for _, s := range stores {
			s.Close()
		}
	}()
	heap := func() int64 {
		runtime.GC()
		var ms runtime.MemStats
		runtime.ReadMemStats(&ms)
		return int64(ms.HeapAlloc)
	}
	h0 := heap()
	r0, err := resident()
	if err != nil {
		return err
	}
	p0, err := status("VmPTE")
	if err != nil {
		return err
	}
	for range n {
		s := vm.NewStore(vm.Config{})
		stores = append(stores, s)
		inst, err := s.Instantiate(m, nil)
		if err != nil {
			return err
		}
		if err := s.Start(inst, "spin"); err != nil {
			return err
		}
		if stop, err := s.Run(ctx, 1000); err != nil || stop.Reason != vm.OutOfGas {
			return fmt.Errorf("stopped: %v %w", stop.Reason, err)
		}
		inst.Memory().Bytes()[0] = 1
	}
	h1 := heap()
	r1, err := resident()
	if err != nil {
		return err
	}
	p1, err := status("VmPTE")
	if err != nil {
		return err
	}
	each := func(a, b int64) float64 { return float64(b-a) / n / 1024 }
	fmt.Fprintf(o.out, "each, KiB: heap %.2f, resident (heap included) %.2f, page tables %.2f; together %.2f (target 16)\n",
		each(h0, h1), each(r0, r1), each(p0, p1), max(each(h0, h1), each(r0, r1))+each(p0, p1))
	return nil
}

// spinner is a plain Go loop, which the scheduler can stop anywhere: what the machine itself does to a pause.
type spinner struct{}

func (spinner) close() {}

func (spinner) call(ctx context.Context, _ string, _ ...int32) (int64, error) {
	for ctx.Err() == nil {
	}
	return 0, ctx.Err()
}

// pauseRow runs 8 loops without an end, collects garbage meanwhile, and reads how long the runtime stopped the world for each collection.
func pauseRow(ctx context.Context, o *options) error {
	control := system{"plain Go", func(context.Context, []byte) (guest, error) { return spinner{}, nil }}
	for _, s := range append(ours(), control) {
		ctx, cancel := context.WithCancel(ctx)
		var done sync.WaitGroup
		for range 8 {
			g, err := s.load(ctx, oneKB())
			if err != nil {
				cancel()
				return err
			}
			done.Go(func() {
				defer g.close()
				_, _ = g.call(ctx, "spin") // ends by cancelling
			})
		}
		var stats debug.GCStats
		debug.ReadGCStats(&stats)
		before := stats.NumGC
		for range 5 * o.rounds {
			time.Sleep(time.Millisecond)
			runtime.GC()
		}
		debug.ReadGCStats(&stats)
		stopped := stats.Pause[:min(int(stats.NumGC-before), len(stats.Pause))] // the newest first
		slices.Sort(stopped)
		from := time.Now()
		cancel()
		done.Wait()
		fmt.Fprintf(o.out, "%-14s the world stood still for %.2f ms at worst, %.2f in the median of %d collections; all 8 stopped %.1f ms after cancelling (%d CPUs)\n",
			s.name, stopped[len(stopped)-1].Seconds()*1e3, stopped[len(stopped)/2].Seconds()*1e3, len(stopped), time.Since(from).Seconds()*1e3, runtime.GOMAXPROCS(0))
	}
	return nil
}
