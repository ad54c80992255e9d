package vm

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"
)

// call runs one export to its end.
func call(t testing.TB, s *Store, export string, args ...Value) (Stop, error) {
	t.Helper()
	if err := s.Start(s.Instances()[len(s.Instances())-1], export, args...); err != nil {
		t.Fatal(err)
	}
	return s.Run(context.Background(), 1<<32)
}

func hostile(t testing.TB, c Config) *Store {
	t.Helper()
	s := NewStore(c)
	t.Cleanup(s.Close)
	if _, err := s.Instantiate(load(t, "hostile"), nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGrowthEndsAtTheLimit(t *testing.T) {
	s := hostile(t, Config{Limits: Limits{MemoryPages: 300}})
	stop, err := call(t, s, "grow")
	if err != nil || stop.Reason != Done || stop.Results[0].I32() != 300 {
		t.Fatalf("%+v, %v", stop, err)
	}
}

func TestRecursionEndsAtTheLimit(t *testing.T) {
	for _, c := range []struct {
		l    Limits
		want int32
	}{
		{Limits{Depth: 1000, Slots: 1 << 20}, 1000},
		{Limits{Depth: 1 << 20, Slots: 1000}, 0},
	} {
		var first int32
		for i := range 2 {
			s := hostile(t, Config{Limits: c.l})
			stop, err := call(t, s, "recurse", I64(1), I64(2), I64(3))
			if err != nil || stop.Reason != Trapped || stop.Trap.Code != TrapStack {
				t.Fatalf("%+v, %v", stop, err)
			}
			depth := s.Instances()[0].Export("depth").(*Global).Value().I32()
			if i == 0 {
				first = depth
			}
			if depth != first || c.want != 0 && depth != c.want || depth < 50 || stop.Trap.Depth != int(depth) || len(stop.Trap.Trace) != 64 {
				t.Errorf("%+v: depth %d, trap says %d, %d frames of trace", c.l, depth, stop.Trap.Depth, len(stop.Trap.Trace))
			}
		}
	}
}

func TestAddressesDontWrap(t *testing.T) {
	s := hostile(t, Config{})
	for _, c := range []struct {
		export string
		args   []Value
		trap   TrapCode
	}{
		{"far_load", []Value{I32(-1)}, TrapMemory},
		{"far_load", []Value{I32(1)}, TrapMemory}, // 2^32: wraps to 0 in 32 bits
		{"far_store", []Value{I32(8)}, TrapMemory},
		{"far_store", []Value{I32(-8)}, TrapMemory},
		{"edge", []Value{I32(0)}, TrapNone},
		{"edge", []Value{I32(1)}, TrapMemory},
		{"fill", []Value{I32(65536)}, TrapNone},
		{"fill", []Value{I32(65537)}, TrapMemory},
		{"fill", []Value{I32(-1)}, TrapMemory},
		{"move", []Value{I32(0), I32(1), I32(65535)}, TrapNone},
		{"move", []Value{I32(1), I32(0), I32(65536)}, TrapMemory},
		{"move", []Value{I32(65536), I32(0), I32(0)}, TrapNone},
		{"move", []Value{I32(65537), I32(0), I32(0)}, TrapMemory},
		{"trap_in", []Value{I32(1), I32(0)}, TrapDivideByZero},
		{"trap_in", []Value{I32(-1 << 31), I32(-1)}, TrapOverflow},
	} {
		stop, err := call(t, s, c.export, c.args...)
		got := TrapNone
		if stop.Trap != nil {
			got = stop.Trap.Code
		}
		if err != nil || got != c.trap {
			t.Errorf("%s%v: %v, want %v (%v)", c.export, c.args, got, c.trap, err)
		}
	}
}

// TestTraceOffset checks that the trace of a trap in the middle of a block names the instruction.
func TestTraceOffset(t *testing.T) {
	s := hostile(t, Config{})
	stop, _ := call(t, s, "trap_in", I32(1), I32(0))
	f := stop.Trap.Trace[0]
	if b := s.Instances()[0].Module().Wasm().Bytes; b[f.Offset] != 0x6d || f.Name != "trap_in" { // i32.div_s
		t.Errorf("%v is opcode %#x", f, b[f.Offset])
	}
}

// TestGasIsExact runs with one unit less than a program needs, again and again.
func TestGasIsExact(t *testing.T) {
	s := hostile(t, Config{})
	if _, err := call(t, s, "count", I32(100)); err != nil {
		t.Fatal(err)
	}
	before := s.Gas()
	stop, _ := call(t, s, "count", I32(100))
	if stop.Used != s.Gas()-before {
		t.Errorf("used %d, account %d", stop.Used, s.Gas()-before)
	}
	if err := s.Start(s.Instances()[0], "count", I32(100)); err != nil {
		t.Fatal(err)
	}
	short, err := s.Run(context.Background(), stop.Used-1)
	if err != nil || short.Reason != OutOfGas || short.Used >= stop.Used {
		t.Fatalf("%+v, %v", short, err)
	}
	again, err := s.Run(context.Background(), short.Need-1)
	if err != nil || again.Reason != OutOfGas || again.Used != 0 || again.Need != short.Need {
		t.Fatalf("%+v, %v", again, err)
	}
	rest, err := s.Run(context.Background(), 1<<20)
	if err != nil || rest.Reason != Done || rest.Used+short.Used != stop.Used {
		t.Fatalf("%+v after %+v, want %d in all (%v)", rest, short, stop.Used, err)
	}
}

func TestInterrupt(t *testing.T) {
	s := hostile(t, Config{})
	if err := s.Start(s.Instances()[0], "spin"); err != nil {
		t.Fatal(err)
	}
	s.Interrupt()
	if stop, err := s.Run(context.Background(), 1<<40); err != nil || stop.Reason != Interrupted || stop.Used != 0 {
		t.Fatalf("%+v, %v", stop, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(time.Millisecond, cancel)
	if stop, err := s.Run(ctx, 1<<40); err != nil || stop.Reason != Interrupted {
		t.Fatalf("%+v, %v", stop, err)
	}
	time.AfterFunc(time.Millisecond, s.Interrupt)
	if stop, err := s.Run(context.Background(), 1<<40); err != nil || stop.Reason != Interrupted {
		t.Fatalf("%+v, %v", stop, err)
	}
	if tr := s.StackTrace(); len(tr) != 1 || tr[0].Name != "spin" {
		t.Errorf("trace %v", tr)
	}
}

// purse is a budget.
type purse struct{ left, taken int64 }

var errPurse = errors.New("purse is empty")

func (p *purse) Take(n int64) error {
	if n > p.left {
		return errPurse
	}
	p.left -= n
	p.taken += n
	return nil
}

func (p *purse) Give(n int64) {
	p.left += n
	p.taken -= n
}

// TestBudget lets every request for memory fail once. The program must not see it, and all must come back.
func TestBudget(t *testing.T) {
	m := load(t, "hostile")
	limits := Limits{MemoryPages: 40, Slots: 1000}
	for left := int64(0); ; left += 20_000 {
		p := &purse{left: left}
		s := NewStore(Config{Limits: limits, Budget: p})
		_, err := s.Instantiate(m, nil)
		if err == nil {
			if err = s.Start(s.Instances()[0], "grow"); err != nil {
				t.Fatal(err)
			}
			var stop Stop
			stop, err = s.Run(context.Background(), 1<<30)
			if err == nil && (stop.Reason != Done || stop.Results[0].I32() != 40) {
				t.Fatalf("with %d bytes: %+v", left, stop)
			}
			if err != nil {
				p.left += 1 << 30 // more is there now: the program goes on where it was
				if stop, again := s.Run(context.Background(), 1<<30); again != nil || stop.Results[0].I32() != 40 {
					t.Fatalf("with %d bytes, then more: %+v, %v", left, stop, again)
				}
			}
		}
		s.Close()
		if p.taken != 0 {
			t.Fatalf("with %d bytes: %d weren't given back", left, p.taken)
		}
		if err == nil {
			return
		}
		if !errors.Is(err, ErrBudget) || !errors.Is(err, errPurse) {
			t.Fatal(err)
		}
	}
}

func TestHostCalls(t *testing.T) {
	m := load(t, "host")
	s := NewStore(Config{})
	defer s.Close()
	if _, err := s.Instantiate(m, nil); err == nil {
		t.Fatal("linked without a host")
	}
	if _, err := s.Instantiate(m, testHost); err != nil {
		t.Fatal(err)
	}
	inst := s.Instances()[0]
	stop, err := call(t, s, "sum", I32(8))
	if err != nil || stop.Results[0].I64() != 36 {
		t.Fatalf("%+v, %v", stop, err)
	}
	if big, _ := call(t, s, "sum", I32(16)); big.Used != stop.Used+80 {
		t.Errorf("16 bytes cost %d, 8 bytes %d", big.Used, stop.Used)
	}
	if stop, _ := call(t, s, "sum", I32(1<<20)); stop.Trap == nil || stop.Trap.Code != TrapMemory {
		t.Errorf("%+v", stop)
	}
	if stop, _ := call(t, s, "fail"); stop.Trap == nil || !errors.Is(stop.Trap, errFail) {
		t.Errorf("%+v", stop)
	}
	// Too little gas for a host call: the program stands before it and goes on when it gets more.
	if err := s.Start(inst, "sum", I32(100)); err != nil {
		t.Fatal(err)
	}
	if stop, _ := s.Run(context.Background(), 500); stop.Reason != OutOfGas || stop.Need != 1000 {
		t.Errorf("%+v", stop)
	}
	if stop, _ := s.Run(context.Background(), 2000); stop.Reason != Done || stop.Results[0].I64() != 36 {
		t.Errorf("%+v", stop)
	}
	// A pending call may be answered only as it asked.
	if stop, _ := call(t, s, "ask", I32(4)); stop.Reason != Waiting {
		t.Fatalf("%+v", stop)
	}
	if _, err := s.Run(context.Background(), 1); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	for _, w := range []Write{{60, []byte{1}}, {64, make([]byte, 5)}, {68, []byte{1}}} {
		if s.Resume([]Value{I32(0)}, w) == nil {
			t.Errorf("%d bytes at %d were accepted", len(w.Data), w.Dst)
		}
	}
	if s.Resume([]Value{I64(0)}) == nil || s.Resume(nil) == nil {
		t.Error("results of the wrong type were accepted")
	}
	if err := s.Resume([]Value{I32(4)}, Write{64, []byte{9}}); err != nil {
		t.Fatal(err)
	}
	if stop, _ := s.Run(context.Background(), 1000); stop.Reason != Done || stop.Results[0].I32() != 1013 {
		t.Errorf("%+v", stop)
	}
}

// TestEndlessLoopsDontStopTheWorld reports how long the collector waits for programs that never end, and asserts that
// they can be stopped.
func TestEndlessLoopsDontStopTheWorld(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range 8 {
		s := hostile(t, Config{})
		if err := s.Start(s.Instances()[0], "spin"); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if stop, err := s.Run(ctx, 1<<60); err != nil || stop.Reason != Interrupted {
				t.Errorf("%+v, %v", stop, err)
			}
		})
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&after)
	cancel()
	wg.Wait()
	worst := uint64(0)
	for i := before.NumGC; i < after.NumGC; i++ {
		worst = max(worst, after.PauseNs[i%256])
	}
	t.Logf("worst pause of %d collections with 8 endless loops: %v", after.NumGC-before.NumGC, time.Duration(worst))
}
