package jit_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"unsafe"

	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// watcher is a compiler that never has code, and remembers what it was asked.
type watcher struct {
	requests [][2]uint32 // a function, and the hot one because of which it was requested
	lookups  int
}

func (w *watcher) Module(*wasm.Module, func(uint32) *code.Func) vm.NativeModule { return w }
func (w *watcher) Stack() (vm.NativeStack, error)                               { return nil, errors.ErrUnsupported }
func (w *watcher) Return(vm.NativeStack)                                        {}
func (w *watcher) Compile(*code.Func) error                                     { return errors.ErrUnsupported }
func (w *watcher) Request(f *code.Func, hot uint32) (asked bool) {
	asked = !slices.ContainsFunc(w.requests, func(r [2]uint32) bool { return r[0] == f.Index })
	w.requests = append(w.requests, [2]uint32{f.Index, hot})
	return asked
}
func (w *watcher) Entries() unsafe.Pointer { return nil }
func (w *watcher) Lookup(uint32, uint32) (enter, target uintptr, ok bool) {
	w.lookups++
	return 0, 0, false
}

const tick = 1 << 16 // of gas

// spin counts its parameter down in a loop.
func spin() fn {
	body := asm{}.block(wasm.OpLoop).get(0).i32(1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, 0).op(wasm.OpBrIf, 0).op(wasm.OpEnd)
	return fn{params: types(1, wasm.I32), body: body}
}

// watched begins a call of f0 that w watches.
func watched(t *testing.T, w *watcher, b []byte, host vm.Resolver, args ...vm.Value) *vm.Store {
	t.Helper()
	m, err := vm.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	s := vm.NewStore(vm.Config{Compiler: w})
	t.Cleanup(s.Close)
	inst, err := s.Instantiate(m, host)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(inst, "f0", args...); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestWhatIsHot: f0 calls f1, which loops. At the end of the first tick f1 is hot, and with it f0, which may loop over its
// calls; f2, which is called when f1 has returned and is small, isn't.
func TestWhatIsHot(t *testing.T) {
	w := &watcher{}
	call := asm{}.get(0).op(wasm.OpCall, 1).get(0).op(wasm.OpCall, 2)
	s := watched(t, w, module(fn{params: types(1, wasm.I32), body: call}, spin(), fn{params: types(1, wasm.I32)}), nil, vm.I32(1<<20))
	if _, err := s.Run(t.Context(), tick/2); err != nil {
		t.Fatal(err)
	}
	if len(w.requests) > 0 {
		t.Errorf("before the end of a tick %v were requested", w.requests)
	}
	if _, err := s.Run(t.Context(), tick); err != nil {
		t.Fatal(err)
	}
	if want := [][2]uint32{{1, 1}, {1, 1}, {0, 1}}; !slices.Equal(w.requests, want) {
		t.Errorf("after a tick %v were requested, want %v", w.requests, want)
	}
}

// TestCalleesAreLookedThroughOnce: a function that gets no code, however often a tick ends in it, asks for those that it
// calls the first time alone. There may be a million, and what that takes nobody pays for.
func TestCalleesAreLookedThroughOnce(t *testing.T) {
	w := &watcher{}
	body := append(asm{}.get(0).op(wasm.OpCall, 1), spin().body...)
	s := watched(t, w, module(fn{params: types(1, wasm.I32), body: body}, fn{params: types(1, wasm.I32)}), nil, vm.I32(1<<20))
	for range 5 {
		if _, err := s.Run(t.Context(), tick); err != nil {
			t.Fatal(err)
		}
	}
	count := map[[2]uint32]int{}
	for _, r := range w.requests {
		count[r]++
	}
	if count[[2]uint32{0, 0}] < 4 || count[[2]uint32{1, 0}] != 1 {
		t.Errorf("in five ticks these were requested so often, each with the hot one: %v", count)
	}
}

// TestStartsAreHot: a function that is over before a tick is, and is called again and again in stores of its own.
func TestStartsAreHot(t *testing.T) {
	w := &watcher{}
	m, err := vm.Decode(module(spin()))
	if err != nil {
		t.Fatal(err)
	}
	for calls := 1; calls <= 3; calls++ {
		s := vm.NewStore(vm.Config{Compiler: w})
		inst, err := s.Instantiate(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(inst, "f0", vm.I32(10)); err != nil {
			t.Fatal(err)
		}
		if stop, err := s.Run(t.Context(), tick); err != nil || stop.Reason != vm.Done {
			t.Fatal(stop, err)
		}
		s.Close()
		if hot := len(w.requests) > 0; hot != (calls == 3) {
			t.Errorf("after %d calls %v were requested", calls, w.requests)
		}
	}
}

// TestTicksGoOn: short calls are ticks together. The first call of a function begins the tick again, so a program that
// has only started compiles little.
func TestTicksGoOn(t *testing.T) {
	w := &watcher{}
	s := watched(t, w, module(spin(), spin()), nil, vm.I32(8_000))
	run := func() {
		if stop, err := s.Run(t.Context(), 1<<40); err != nil || stop.Reason != vm.Done {
			t.Fatal(stop, err)
		}
	}
	run()
	once := s.Gas()
	if once < tick/2 || once >= tick {
		t.Fatalf("a call takes %d units, want more than half a tick and less than one", once)
	}
	if err := s.Start(s.Instances()[0], "f1", vm.I32(8_000)); err != nil {
		t.Fatal(err)
	}
	run()
	if len(w.requests) > 0 {
		t.Errorf("after the first call of each function %v were requested", w.requests)
	}
	if err := s.Start(s.Instances()[0], "f0", vm.I32(8_000)); err != nil {
		t.Fatal(err)
	}
	run()
	if want := [][2]uint32{{0, 0}, {0, 0}}; !slices.Equal(w.requests, want) && !slices.Equal(w.requests, want[:1]) {
		t.Errorf("with the second call of f0 a tick ends in it, and %v were requested", w.requests)
	}
}

// TestTicksEndInSlices: in the middle of a slice the interpreter looks whether there is code by now, and only gas decides
// where a run stops: with each amount around the ends of ticks and slices the store is where it is without a compiler.
func TestTicksEndInSlices(t *testing.T) {
	w := &watcher{}
	s := watched(t, w, module(spin()), nil, vm.I32(1<<30))
	if _, err := s.Run(t.Context(), vm.SliceGas); err != nil {
		t.Fatal(err)
	}
	if ticks := vm.SliceGas / tick; w.lookups < ticks {
		t.Errorf("code was looked for %d times in a slice of %d ticks", w.lookups, ticks)
	}
	// f0 does what costs more than a tick in one step: f2 is a block of 100,000 instructions, and a table grows.
	grow := asm{}.get(0).op(wasm.OpCall, 1).op(wasm.OpCall, 2).get(0).op(wasm.OpCall, 1)
	grow = grow.op(wasm.OpRefNull, 0x70).i32(100_000).op(wasm.OpTableGrow, 0).op(wasm.OpDrop)
	b := module(fn{params: types(1, wasm.I32), body: grow}, spin(), fn{body: bytes.Repeat(asm{}.i32(0).op(wasm.OpDrop), 50_000)})
	m, err := vm.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	end := func(cfg vm.Config, portion uint64) (stops []vm.Stop) {
		s := vm.NewStore(cfg)
		defer s.Close()
		inst, err := s.Instantiate(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(inst, "f0", vm.I32(60_000)); err != nil {
			t.Fatal(err)
		}
		for range 10_000 {
			stop, err := s.Run(t.Context(), portion)
			if err != nil || stop.Trap != nil {
				t.Fatal(stop, err)
			}
			stops = append(stops, stop)
			if stop.Reason == vm.Done {
				return stops
			}
			if stop.Need > portion {
				if stop, err = s.Run(t.Context(), stop.Need); err != nil || stop.Trap != nil {
					t.Fatal(stop, err)
				}
				stops = append(stops, stop)
			}
		}
		t.Fatalf("%d units a run: no end", portion)
		return nil
	}
	same := func(a, b vm.Stop) bool { return a.Reason == b.Reason && a.Used == b.Used && a.Need == b.Need }
	portions := []uint64{999, tick - 1, tick, tick + 1, 3*tick + 7, vm.SliceGas - 1, vm.SliceGas, vm.SliceGas + 1, 1 << 40}
	for _, portion := range portions {
		if want, got := end(vm.Config{}, portion), end(vm.Config{Compiler: &watcher{}}, portion); !slices.EqualFunc(got, want, same) {
			t.Errorf("%d units a run: stops %v, want %v", portion, got, want)
		}
	}
}

// TestEventsSayWhatIsHot: the compiler reports because of which function it compiled another.
func TestEventsSayWhatIsHot(t *testing.T) {
	c := newCompiler(t)
	hot := map[uint32]uint32{}
	c.Observe(func(e jit.Event) { hot[e.Function] = e.Hot })
	m, err := vm.Decode(module(fn{params: types(1, wasm.I32), body: asm{}.get(0).op(wasm.OpCall, 1)}, spin()))
	if err != nil {
		t.Fatal(err)
	}
	s := vm.NewStore(vm.Config{Compiler: c})
	defer s.Close()
	inst, err := s.Instantiate(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	for c.Stats().Functions < 2 {
		if err := s.Start(inst, "f0", vm.I32(1<<17)); err != nil {
			t.Fatal(err)
		}
		if stop, err := s.Run(t.Context(), 1<<40); err != nil || stop.Reason != vm.Done {
			t.Fatal(stop, err)
		}
	}
	if err := c.Close(); err != nil { // no event comes after that
		t.Fatal(err)
	}
	if len(hot) != 2 || hot[0] != 1 || hot[1] != 1 {
		t.Errorf("function: what was hot: %v, want f1 for both", hot)
	}
}
