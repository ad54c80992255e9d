package vm

import (
	"context"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// live makes a store with n bytes of its memory written, half of them text-like, a quarter small numbers, a quarter noise.
func live(b testing.TB, n int) (*Store, *Module) {
	m := load(b, "hostile")
	s := NewStore(Config{Limits: Limits{MemoryPages: 64}})
	b.Cleanup(s.Close)
	if _, err := s.Instantiate(m, nil); err != nil {
		b.Fatal(err)
	}
	if _, err := call(b, s, "grow"); err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	mem := s.Instances()[0].Memory().Bytes()[:n]
	words := strings.Fields("zone grant lease frame slot page memory gas of the a to key value 17 42 1999")
	for i := 0; i < n; {
		switch {
		case i < n/2:
			i += copy(mem[i:], words[r.IntN(len(words))]+" ")
		case i < n*3/4:
			mem[i] = byte(r.IntN(4))
			i += 4
		default:
			mem[i] = byte(r.Uint32())
			i++
		}
	}
	return s, m
}

func BenchmarkFreeze1MB(b *testing.B) {
	s, _ := live(b, 1<<20)
	var size int
	for b.Loop() {
		c, err := s.Freeze(FreezeOptions{})
		if err != nil {
			b.Fatal(err)
		}
		size = len(c)
	}
	b.ReportMetric(float64(size), "bytes")
}

func BenchmarkThaw1MB(b *testing.B) {
	s, m := live(b, 1<<20)
	c, err := s.Freeze(FreezeOptions{})
	if err != nil {
		b.Fatal(err)
	}
	src := sourcesOf(m)
	for b.Loop() {
		t, _, err := Thaw(c, Config{}, src)
		if err != nil {
			b.Fatal(err)
		}
		t.Close()
	}
}

func BenchmarkCheckpointRestore1MB(b *testing.B) {
	s, m := live(b, 1<<20)
	src := sourcesOf(m)
	for b.Loop() {
		c, err := s.Checkpoint(nil, nil)
		if err != nil {
			b.Fatal(err)
		}
		t, _, err := c.Restore(Config{}, src)
		if err != nil {
			b.Fatal(err)
		}
		t.Close()
	}
}

func BenchmarkStateHash1MB(b *testing.B) {
	s, _ := live(b, 1<<20)
	for b.Loop() {
		if _, err := s.StateHash(nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStartFromBase starts a store from a base of 3 MB, pages untouched.
func BenchmarkStartFromBase(b *testing.B) {
	s, m := live(b, 3<<20)
	base, err := s.NewBase()
	if err != nil {
		b.Fatal(err)
	}
	src := sourcesOf(m)
	b.ReportAllocs()
	for b.Loop() {
		t, err := base.NewStore(Config{}, src)
		if err != nil {
			b.Fatal(err)
		}
		t.Close()
	}
}

func BenchmarkInstantiate(b *testing.B) {
	m := load(b, "many")
	b.ReportAllocs()
	for b.Loop() {
		s := NewStore(Config{})
		if _, err := s.Instantiate(m, nil); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

func BenchmarkCalls(b *testing.B) {
	m := loadGuest(b, "c/bare.wasm")
	s := NewStore(Config{})
	defer s.Close()
	if _, err := s.Instantiate(m, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := call(b, s, "fib", I32(20)); err != nil {
			b.Fatal(err)
		}
	}
}

// TestIdleInstances reports what an instance of a small module costs while it waits, and that this stays below 16 KiB.
func TestIdleInstances(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	const n = 3000
	status := func(key string) int {
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, key+":"); ok {
				v, _ := strconv.Atoi(strings.Fields(rest)[0])
				return v << 10
			}
		}
		t.Fatal(key)
		return 0
	}
	m := load(t, "hostile")
	stores := make([]*Store, 0, n)
	measure := func() (heap, rss, tables int) {
		runtime.GC()
		var ms runtime.MemStats
		runtime.ReadMemStats(&ms)
		return int(ms.HeapAlloc), status("VmRSS"), status("VmPTE")
	}
	h0, r0, p0 := measure()
	for range n {
		s := NewStore(Config{})
		if _, err := s.Instantiate(m, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(s.Instances()[0], "count", I32(1000)); err != nil {
			t.Fatal(err)
		}
		if stop, err := s.Run(context.Background(), 100); err != nil || stop.Reason != OutOfGas {
			t.Fatal(stop, err)
		}
		s.Instances()[0].Memory().Bytes()[0] = 1
		stores = append(stores, s)
	}
	h1, r1, p1 := measure()
	for _, s := range stores {
		s.Close()
	}
	each := (max(h1-h0, r1-r0) + p1 - p0) / n
	t.Logf("each of %d: heap %d, resident %d, page tables %d bytes", n, (h1-h0)/n, (r1-r0)/n, (p1-p0)/n)
	if each > 16<<10 {
		t.Errorf("an idle instance costs %d bytes", each)
	}
}
