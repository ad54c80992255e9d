package jit_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

func read(t testing.TB, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Skipf("check the repository out whole: %v", err)
	}
	return b
}

// endless recurses for ever: (func (export "run") (param i32) (result i64) (local i64) (call 0 (local.get 0))).
var endless = []byte("\x00asm\x01\x00\x00\x00\x01\x06\x01\x60\x01\x7f\x01\x7e\x03\x02\x01\x00\x07\x07\x01\x03run\x00\x00\x0a\x0a\x01\x08\x01\x01\x7e\x20\x00\x10\x00\x0b")

// loop runs for ever: (func (export "run") (param i32) (result i64) (loop (br 0)) (unreachable)).
var loop = []byte("\x00asm\x01\x00\x00\x00\x01\x06\x01\x60\x01\x7f\x01\x7e\x03\x02\x01\x00\x07\x07\x01\x03run\x00\x00\x0a\x0a\x01\x08\x00\x03\x40\x0c\x00\x0b\x00\x0b")

// TestLimitsAreExact: recursion ends at the same call for the same gas in every tier, whichever limit is met, below,
// at and beyond what the native stack takes.
func TestLimitsAreExact(t *testing.T) {
	c := newCompiler(t)
	end := func(l vm.Limits, tier vm.Tier) string {
		m, err := vm.Decode(endless)
		if err != nil {
			t.Fatal(err)
		}
		s := vm.NewStore(vm.Config{Limits: l, Compiler: c, Tier: tier})
		defer s.Close()
		inst, err := s.Instantiate(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(inst, "run", vm.I32(1)); err != nil {
			t.Fatal(err)
		}
		stop, err := s.Run(context.Background(), 1<<40)
		if err != nil || stop.Trap == nil {
			t.Fatalf("stopped for %v: %v", stop.Reason, err)
		}
		return fmt.Sprint(stop.Trap.Code, " at depth ", stop.Trap.Depth, " gas ", s.Gas())
	}
	for _, l := range []vm.Limits{{Depth: 1}, {Depth: 2}, {Depth: 77}, {Depth: vm.NativeCalls - 1}, {Depth: vm.NativeCalls},
		{Depth: vm.NativeCalls + 1}, {Depth: 2*vm.NativeCalls + 3}, {Depth: 1 << 20, Slots: 8}, {Depth: 1 << 20, Slots: 999},
		{Depth: 1 << 20, Slots: 100_000}} {
		want := end(l, vm.TierInterp)
		for _, tier := range []vm.Tier{vm.TierJIT, vm.TierAuto} {
			if got := end(l, tier); got != want {
				t.Errorf("%+v: tier %d ends with %s, the interpreter with %s", l, tier, got, want)
			}
		}
	}
}

// TestManyAtOnce runs a thousand instances while a profiler sends signals and the collector runs without a pause: half of
// them compiled, half interpreted until the background has code for them all.
func TestManyAtOnce(t *testing.T) {
	c := newCompiler(t)
	wasm := read(t, "../bench/kernels/wasm/sha256.wasm")
	tiers := []vm.Tier{vm.TierJIT, vm.TierAuto}
	mods := make([]*vm.Module, len(tiers)) // code belongs to a module
	for i := range mods {
		var err error
		if mods[i], err = vm.Decode(wasm); err != nil {
			t.Fatal(err)
		}
	}
	want := run(t, wasm, vm.Config{}, "run", vm.I32(2))
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err == nil {
		defer pprof.StopCPUProfile()
	}
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	stores := make([]*vm.Store, 1000)
	for i := range stores {
		s := vm.NewStore(vm.Config{Compiler: c, Tier: tiers[i%2]})
		defer s.Close()
		inst, err := s.Instantiate(mods[i%2], nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(inst, "run", vm.I32(2)); err != nil {
			t.Fatal(err)
		}
		stores[i] = s
	}
	var wg sync.WaitGroup
	for part := range 8 {
		wg.Go(func() {
			for left := len(stores) / 8; left > 0; {
				for i := part; i < len(stores); i += 8 {
					if stores[i] == nil {
						continue
					}
					stop, err := stores[i].Run(context.Background(), 100_000)
					switch {
					case err != nil:
						t.Error(err)
						return
					case stop.Reason == vm.Done:
						if got := stop.Results[0].String() + " "; got != want.results {
							t.Errorf("instance %d: %s, want %s", i, got, want.results)
						}
						stores[i] = nil
						left--
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestNeverWritableAndExecutable looks at the process's mappings once code is there.
func TestNeverWritableAndExecutable(t *testing.T) {
	c := newCompiler(t)
	run(t, read(t, "../bench/kernels/wasm/matrix.wasm"), vm.Config{Compiler: c, Tier: vm.TierJIT}, "run", vm.I32(2))
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip("this system has no /proc/self/maps to look at")
	}
	for line := range strings.Lines(string(maps)) {
		if f := strings.Fields(line); len(f) > 1 && strings.Contains(f[1], "w") && strings.Contains(f[1], "x") {
			t.Errorf("writable and executable: %s", line)
		}
	}
	runtime.KeepAlive(c)
}

// TestCodeIsBoundedAndGoesWithItsModule: what doesn't fit stays interpreted with the same results, and memory comes
// back when modules are dropped.
func TestCodeIsBoundedAndGoesWithItsModule(t *testing.T) {
	newCompiler(t)
	c, err := jit.New(5 * os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	wasm := read(t, "../vm/testdata/guests/c/bare.wasm")
	want := run(t, wasm, vm.Config{}, "sort", vm.I32(60))
	for range 3 {
		if got := run(t, wasm, vm.Config{Compiler: c, Tier: vm.TierJIT}, "sort", vm.I32(60)); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
	if held := c.Stats().CodeBytes; held > 5*os.Getpagesize() {
		t.Errorf("%d bytes of code in 5 pages", held)
	}
	stub := os.Getpagesize() // stays
	for deadline := time.Now().Add(20 * time.Second); c.Stats().CodeBytes > stub; runtime.Gosched() {
		runtime.GC()
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes of code are held by nobody", c.Stats().CodeBytes)
		}
	}
}

// TestHotCodeIsCompiled: a program that only the background compiles ends as it would interpreted, and was compiled.
func TestHotCodeIsCompiled(t *testing.T) {
	c := newCompiler(t)
	for _, k := range []string{"indirect", "sort", "fib"} {
		wasm := read(t, "../bench/kernels/wasm/"+k+".wasm")
		before := c.Stats().Functions
		want := run(t, wasm, vm.Config{}, "run", vm.I32(20))
		if got := run(t, wasm, vm.Config{Compiler: c}, "run", vm.I32(20)); got != want {
			t.Errorf("%s: got %+v, want %+v", k, got, want)
		}
		t.Logf("%s: %d functions were compiled", k, c.Stats().Functions-before)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if c.Stats().Functions == 0 {
		t.Error("nothing was compiled")
	}
}

// TestManyShortCallsAreCompiled: no call lasts as long as a slice, but there are many, in one store or in a new one each;
// what they reach four functions deep gets compiled.
func TestManyShortCallsAreCompiled(t *testing.T) {
	through := func(next uint64) fn {
		return fn{params: types(1, wasm.I32), results: types(1, wasm.I32), body: asm{}.get(0).op(wasm.OpCall, next)}
	}
	loop := asm{}.block(wasm.OpLoop).get(1).get(0).op(wasm.OpI32Add).set(1).get(0).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, 0).op(wasm.OpBrIf, 0).op(wasm.OpEnd).get(1)
	b := module(through(1), through(2), through(3), fn{params: types(1, wasm.I32), results: types(1, wasm.I32), locals: types(1, wasm.I32), body: loop})
	for _, each := range []bool{false, true} {
		c := newCompiler(t)
		m, err := vm.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		var s *vm.Store
		calls := 0
		for ; c.Stats().Functions < 4; calls++ {
			if s == nil || each {
				s = vm.NewStore(vm.Config{Compiler: c})
				if _, err := s.Instantiate(m, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Start(s.Instances()[0], "f0", vm.I32(100)); err != nil {
				t.Fatal(err)
			}
			stop, err := s.Run(t.Context(), 1<<30)
			if err != nil || stop.Reason != vm.Done || stop.Results[0].I32() != 5050 {
				t.Fatalf("%+v %v", stop, err)
			}
			if each {
				s.Close()
			}
			if calls == 200_000 {
				t.Fatalf("after %d calls, each in a new store: %v, %d of 4 functions were compiled", calls, each, c.Stats().Functions)
			}
		}
		t.Logf("each in a new store: %v: all were compiled after %d calls", each, calls)
	}
}

// TestStopTheWorld reports how long the collector waits for eight endless compiled loops.
func TestStopTheWorld(t *testing.T) {
	c := newCompiler(t)
	m, err := vm.Decode(loop)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		s := vm.NewStore(vm.Config{Compiler: c, Tier: vm.TierJIT})
		inst, err := s.Instantiate(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(inst, "run", vm.I32(1)); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer s.Close()
			if stop, err := s.Run(ctx, 1<<60); err != nil || stop.Reason != vm.Interrupted {
				t.Errorf("an endless loop ended: %+v %v", stop, err)
			}
		})
	}
	before := stopping()
	for range 50 {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats) // stops the world
	}
	after := stopping()
	cancel()
	wg.Wait()
	worst := 0.0
	for i, n := range after.Counts {
		if n > before.Counts[i] {
			worst = after.Buckets[i+1]
		}
	}
	t.Logf("the world stopped within %v at worst", time.Duration(worst*float64(time.Second)))
}

// stopping is how long stops of the world took to begin.
func stopping() *metrics.Float64Histogram {
	s := []metrics.Sample{{Name: "/sched/pauses/stopping/other:seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64Histogram()
}
