//go:build amd64 && (linux || darwin || freebsd)

package native

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"unsafe"

	asm "github.com/kitwork/kwnode/jit/internal/amd64"
)

func newMemory(t *testing.T, most int) *Memory {
	t.Helper()
	m, err := NewMemory(most)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func newStack(t *testing.T) *Stack {
	t.Helper()
	s, err := NewStack(64 << 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// countDown loops *ctx times, adds each count to ctx[1] and clobbers every
// register that Go cares about.
func countDown() []byte {
	var b []byte
	b = asm.MOVRM(b, 8, asm.RCX, asm.Mem{Base: asm.RAX})
	b = asm.MOVRI(b, asm.RDX, 0)
	loop := len(b)
	b = asm.ALURR(b, asm.ADD, 8, asm.RDX, asm.RCX)
	b = asm.ALURI(b, asm.SUB, 8, asm.RCX, 1)
	b = asm.Jcc(b, asm.NE, int32(loop-len(b)-6))
	b = asm.MOVMR(b, 8, asm.Mem{Base: asm.RAX, Disp: 8}, asm.RDX)
	for r := asm.RCX; r <= asm.R15; r++ {
		if r != asm.RSP {
			b = asm.MOVRI(b, r, 0xdeadbeefdeadbeef)
		}
	}
	return asm.RET(b)
}

func TestRun(t *testing.T) {
	m, s := newMemory(t, 1<<20), newStack(t)
	c, err := m.Load(countDown())
	if err != nil {
		t.Fatal(err)
	}
	ctx := [2]uint64{1000}
	s.Run(c.Addr(), unsafe.Pointer(&ctx))
	if ctx[1] != 500500 {
		t.Errorf("sum %d, want 500500", ctx[1])
	}
}

// Code is interrupted by everything that the runtime sends signals for: the
// profiler, preemption for garbage collection, other goroutines.
func TestRunUnderSignals(t *testing.T) {
	m := newMemory(t, 1<<20)
	c, err := m.Load(countDown())
	if err != nil {
		t.Fatal(err)
	}
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err != nil {
		t.Skipf("the profiler is in use, stop it to run this test: %v", err)
	}
	defer pprof.StopCPUProfile()
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	var wg sync.WaitGroup
	for range 4 {
		s := newStack(t)
		wg.Go(func() {
			for range 300 {
				ctx := [2]uint64{200_000}
				s.Run(c.Addr(), unsafe.Pointer(&ctx))
				if ctx[1] != 200_000*200_001/2 {
					t.Errorf("sum %d", ctx[1])
				}
				garbage := make([][]byte, 10)
				for i := range garbage {
					garbage[i] = make([]byte, 10_000)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			runtime.GC()
		}
	}
}

func TestNeverWritableAndExecutable(t *testing.T) {
	m := newMemory(t, 1<<20)
	c, err := m.Load(countDown())
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip("this system has no /proc/self/maps to look at")
	}
	for line := range strings.Lines(string(maps)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.Contains(fields[1], "w") && strings.Contains(fields[1], "x") {
			t.Errorf("writable and executable: %s", line)
		}
	}
	c.Free()
}

func TestMemoryIsBoundedAndReused(t *testing.T) {
	page := os.Getpagesize()
	m := newMemory(t, 4*page)
	var all []*Code
	for {
		c, err := m.Load([]byte{0xC3})
		if errors.Is(err, ErrNoMemory) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if len(all) != 4 || m.Used() != 4*page {
		t.Fatalf("%d pieces and %d bytes of code fit into 4 pages", len(all), m.Used())
	}
	for _, i := range []int{2, 0, 1} {
		all[i].Free()
		all[i].Free() // a second time must change nothing
	}
	if m.Used() != page {
		t.Errorf("%d bytes used after freeing 3 of 4 pages", m.Used())
	}
	if _, err := m.Load(make([]byte, 3*page)); err != nil {
		t.Errorf("freed neighbours did not join: %v", err)
	}
}
