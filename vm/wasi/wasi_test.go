package wasi

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/kitwork/kwnode/internal/wasmtest"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
	"github.com/kitwork/kwnode/vm/wasm"
)

// effects is Memory whose sleeps and clock may have to wait.
type effects struct {
	*hostabi.Memory
	wait  bool
	slept []uint64
}

func (e *effects) Sleep(ns uint64) error {
	if e.wait {
		return vm.ErrPending
	}
	e.slept = append(e.slept, ns)
	return nil
}

func (e *effects) Now() (uint64, error) {
	if e.wait {
		return 0, vm.ErrPending
	}
	return 1_700_000_000_000_000_000, nil
}

// rig is a program that forwards every function of WASI, one call at a time.
type rig struct {
	t        testing.TB
	eff      *effects
	host     *hostabi.Host
	sys      *System
	store    *vm.Store
	inst     *vm.Instance
	mem      []byte
	stop     vm.Stop
	out, err bytes.Buffer
}

func newRig(t testing.TB) *rig { return newRepeatingRig(t, 0) }

func newRepeatingRig(t testing.TB, repeat int) *rig {
	t.Helper()
	r := &rig{t: t, eff: &effects{Memory: hostabi.NewMemory("", [32]byte{1})}}
	r.host = hostabi.New(r.eff)
	r.sys = New(r.host)
	r.sys.Stdout, r.sys.Stderr = &r.out, &r.err
	var fs []wasmtest.Func
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		f := functions[name]
		typ := wasm.FuncType{Params: params(f.params), Results: []wasm.ValType{wasm.I32}}
		if f.noResult {
			typ.Results = nil
		}
		fs = append(fs, wasmtest.Func{Module: Module, Name: name, Type: typ})
	}
	m, err := vm.Decode(wasmtest.Forwarder(1+repeat, repeat, fs...))
	if err != nil {
		t.Fatal(err)
	}
	r.store = vm.NewStore(vm.Config{Clock: 1000, Seed: [32]byte{5}})
	t.Cleanup(r.store.Close)
	if r.inst, err = r.store.Instantiate(m, r.sys); err != nil {
		t.Fatal(err)
	}
	r.mem = r.inst.Memory().Bytes()
	return r
}

// run calls a function; arguments are widened as its type says.
func (r *rig) run(name string, args ...int64) Errno {
	r.t.Helper()
	var vs []vm.Value
	for i, a := range args {
		if functions[name].params[i] == 'I' {
			vs = append(vs, vm.I64(a))
		} else {
			vs = append(vs, vm.I32(int32(a)))
		}
	}
	if err := r.store.Start(r.inst, name, vs...); err != nil {
		r.t.Fatal(err)
	}
	return r.resume()
}

func (r *rig) resume() Errno {
	r.t.Helper()
	var err error
	if r.stop, err = r.store.Run(context.Background(), 1<<40); err != nil {
		r.t.Fatal(err)
	}
	if r.stop.Reason != vm.Done || len(r.stop.Results) != 1 {
		return 0xffff
	}
	return Errno(r.stop.Results[0].I32())
}

func (r *rig) ok(name string, args ...int64) {
	r.t.Helper()
	if e := r.run(name, args...); e != ok {
		r.t.Fatalf("%s: errno %d, %+v", name, e, r.stop)
	}
}

func (r *rig) u32(at int) uint32 { return binary.LittleEndian.Uint32(r.mem[at:]) }
func (r *rig) u64(at int) uint64 { return binary.LittleEndian.Uint64(r.mem[at:]) }
func (r *rig) set32(at int, vs ...uint32) {
	for i, v := range vs {
		binary.LittleEndian.PutUint32(r.mem[at+4*i:], v)
	}
}

func TestArguments(t *testing.T) {
	r := newRig(t)
	if err := SetArgs(&r.host.State, []string{"prog", "", "x y"}, []string{"A=1", "B="}); err != nil {
		t.Fatal(err)
	}
	r.ok("args_sizes_get", 0, 4)
	if r.u32(0) != 3 || r.u32(4) != 10 {
		t.Fatalf("%d strings, %d bytes", r.u32(0), r.u32(4))
	}
	r.ok("args_get", 100, 200)
	if got := string(r.mem[200:210]); got != "prog\x00\x00x y\x00" {
		t.Fatalf("%q", got)
	}
	if r.u32(100) != 200 || r.u32(104) != 205 || r.u32(108) != 206 {
		t.Fatalf("pointers %d %d %d", r.u32(100), r.u32(104), r.u32(108))
	}
	r.ok("environ_sizes_get", 0, 4)
	r.ok("environ_get", 100, 200)
	if r.u32(0) != 2 || string(r.mem[200:207]) != "A=1\x00B=\x00" {
		t.Fatalf("%q", r.mem[200:207])
	}
	if e := r.run("args_get", 65535, 200); e != eFault {
		t.Fatal(e)
	}
	for _, bad := range [][2][]string{{{"a\x00"}, nil}, {nil, {"novalue"}}, {nil, {"=x"}}, {{string(make([]byte, hostabi.MaxArgBytes))}, nil}, {make([]string, hostabi.MaxArgs+1), nil}} {
		if err := SetArgs(&hostabi.State{}, bad[0], bad[1]); !errors.Is(err, ErrArgs) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

func TestClocksAndRandom(t *testing.T) {
	r := newRig(t)
	r.ok("clock_time_get", clockRealtime, 0, 8)
	if r.u64(8) != 1_700_000_000_000_000_000 {
		t.Fatal(r.u64(8))
	}
	r.ok("clock_time_get", clockMonotonic, 0, 8)
	a := r.u64(8)
	r.ok("clock_time_get", clockMonotonic, 0, 8)
	if b := r.u64(8); a < 1000 || b <= a || b > a+10000 {
		t.Fatalf("from %d to %d", a, b)
	}
	r.ok("clock_res_get", 3, 8)
	for _, e := range []Errno{r.run("clock_time_get", 4, 0, 8), r.run("clock_res_get", 4, 8)} {
		if e != eInval {
			t.Fatal(e)
		}
	}
	for _, id := range []int64{clockRealtime, clockMonotonic} {
		if e := r.run("clock_time_get", id, 0, 65530); e != eFault {
			t.Fatal(e)
		}
	}

	r.ok("random_get", 100, 16)
	seeded := bytes.Clone(r.mem[100:116])
	other := newRig(t)
	other.ok("random_get", 100, 16)
	if !bytes.Equal(seeded, other.mem[100:116]) || bytes.Equal(seeded, make([]byte, 16)) {
		t.Fatal("random numbers of initialisation don't follow the seed")
	}
	other.host.State.Started = true
	other.ok("random_get", 100, 16)
	r.ok("random_get", 100, 16)
	if bytes.Equal(r.mem[100:116], other.mem[100:116]) {
		t.Fatal("the zone isn't asked after initialisation")
	}
	if e := r.run("random_get", 65530, 16); e != eFault {
		t.Fatal(e)
	}
	if e := r.run("random_get", 0, maxRandom+1); e != eInval {
		t.Fatal(e)
	}
}

// TestClockOfTheZoneMayWait: clock 0 is a request like any other.
func TestClockOfTheZoneMayWait(t *testing.T) {
	r := newRig(t)
	r.eff.wait = true
	r.run("clock_time_get", clockRealtime, 0, 8)
	if r.stop.Reason != vm.Waiting || r.host.State.Pending.Op != hostabi.OpNow {
		t.Fatalf("%+v", r.stop)
	}
	if err := r.host.Answer(r.store, hostabi.Reply{N: 42}); err != nil {
		t.Fatal(err)
	}
	if e := r.resume(); e != ok || r.u64(8) != 42 {
		t.Fatal(e, r.u64(8))
	}
}

func TestStreams(t *testing.T) {
	r := newRig(t)
	copy(r.mem[1000:], "hello, world")
	r.set32(0, 1000, 5, 1005, 7, 0, 0)
	r.ok("fd_write", stdout, 0, 3, 64)
	r.ok("fd_write", stderr, 8, 1, 68)
	if r.out.String() != "hello, world" || r.err.String() != ", world" || r.u32(64) != 12 || r.u32(68) != 7 {
		t.Fatalf("%q, %q", r.out.String(), r.err.String())
	}
	r.set32(0, 1000, 3000, 1000, 3000)
	r.out.Reset()
	r.ok("fd_write", stdout, 0, 2, 64)
	if r.u32(64) != maxWrite || r.out.Len() != maxWrite {
		t.Fatalf("wrote %d", r.u32(64))
	}
	r.out.Reset()
	r.set32(0, 1000, 5, 65530, 7)
	for _, c := range []struct {
		want Errno
		args []int64
	}{
		{eBadF, []int64{stdin, 0, 1, 64}}, {eBadF, []int64{3, 0, 1, 64}}, {eFault, []int64{stdout, 0, 2, 64}},
		{eFault, []int64{stdout, 65530, 1, 64}}, {eFault, []int64{stdout, 0, 1, 65533}}, {eInval, []int64{stdout, 0, maxVecs + 1, 64}},
	} {
		if e := r.run("fd_write", c.args...); e != c.want || r.out.Len() > 0 {
			t.Errorf("fd_write%v: %d, wrote %q", c.args, e, r.out.String())
		}
	}
	r.ok("fd_read", stdin, 0, 1, 64)
	if r.u32(64) != 0 {
		t.Fatal("standard input isn't at its end")
	}
	if e := r.run("fd_read", stdout, 0, 1, 64); e != eBadF {
		t.Fatal(e)
	}
	for fd := range int64(3) {
		r.ok("fd_fdstat_get", fd, 100)
		r.ok("fd_filestat_get", fd, 200)
		if r.mem[100] != 2 || r.mem[216] != 2 {
			t.Fatal("no character device")
		}
		if e := r.run("fd_seek", fd, 0, 0, 64); e != eSPipe {
			t.Fatal(e)
		}
	}
	for _, e := range []Errno{r.run("fd_fdstat_get", 3, 100), r.run("fd_prestat_get", 3, 100), r.run("fd_close", 3), r.run("fd_filestat_get", 3, 0),
		r.run("path_open", 3, 0, 0, 0, 0, 0, 0, 0, 0)} {
		if e != eBadF {
			t.Fatal(e)
		}
	}

	r.sys.Stdout, r.sys.Stderr = nil, nil
	var logs []string
	r.eff.LogTo = func(level uint8, msg string) { logs = append(logs, string('0'+rune(level))+msg) }
	copy(r.mem[1000:], "line\n")
	r.set32(0, 1000, 5)
	r.ok("fd_write", stdout, 0, 1, 64)
	r.ok("fd_write", stderr, 0, 1, 64)
	if !slices.Equal(logs, []string{"1line", "3line"}) {
		t.Fatalf("%q", logs)
	}
	r.sys.Stdout = full{}
	if e := r.run("fd_write", stdout, 0, 1, 64); e != eNoSpc {
		t.Fatal(e)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestExit(t *testing.T) {
	r := newRig(t)
	r.run("proc_exit", 7)
	if r.stop.Reason != vm.Trapped || !errors.Is(r.stop.Trap, hostabi.ErrExit) {
		t.Fatalf("%+v", r.stop)
	}
	if e := r.host.State.End; e == nil || *e != (hostabi.End{Code: 7}) {
		t.Fatalf("%+v", e)
	}
}

// sub places a subscription.
func (r *rig) sub(i int, user uint64, tag byte, id uint32, timeout uint64, flags uint16) {
	b := r.mem[i*subscription : (i+1)*subscription]
	clear(b)
	binary.LittleEndian.PutUint64(b, user)
	b[8] = tag
	binary.LittleEndian.PutUint32(b[16:], id)
	binary.LittleEndian.PutUint64(b[24:], timeout)
	binary.LittleEndian.PutUint16(b[40:], flags)
}

const (
	pollOut   = 4096
	pollCount = 8192
)

type fired struct {
	user uint64
	err  Errno
	tag  byte
}

// TestPrices writes the schedule down: a changed figure is a new meter version.
func TestPrices(t *testing.T) {
	prices := map[string][2]uint64{ // with every argument 0, and 2³²-1; 200 if not here
		"args_get": {8392, 8392}, "environ_get": {8392, 8392}, "fd_write": {1224, 1224 + 8*1025}, "fd_read": {200, 200 + 8*1025},
		"random_get": {1000, 1000 + 4*262_145}, "poll_oneoff": {1000, 1000 + 64*1025},
	}
	for name, f := range functions {
		want, listed := prices[name]
		if !listed {
			want = [2]uint64{200, 200}
		}
		for i, v := range []int32{0, -1} {
			args := make([]vm.Value, len(f.params))
			for j := range args {
				args[j] = vm.I32(v)
			}
			if got := f.gas(args); got != want[i] {
				t.Errorf("%s with %d: %d units, want %d", name, v, got, want[i])
			}
		}
	}
}

func (r *rig) events() (es []fired) {
	for i := range int(r.u32(pollCount)) {
		b := r.mem[pollOut+i*event:]
		es = append(es, fired{binary.LittleEndian.Uint64(b), Errno(binary.LittleEndian.Uint16(b[8:])), b[10]})
	}
	return es
}

func TestPoll(t *testing.T) {
	type s struct {
		tag     byte
		id      uint32
		timeout uint64
		flags   uint16
	}
	const wall = 1_700_000_000_000_000_000
	for name, c := range map[string]struct {
		subs  []s
		fired []fired
		slept []uint64
	}{
		"sleep":               {[]s{{0, 1, ShortSleep, 0}}, []fired{{0, ok, 0}}, []uint64{ShortSleep}},
		"a short sleep":       {[]s{{0, 1, ShortSleep - 1, 0}}, []fired{{0, ok, 0}}, nil},
		"the first of three":  {[]s{{0, 1, ShortSleep + 9, 0}, {0, 1, ShortSleep + 5, 0}, {0, 0, ShortSleep + 5, 0}}, []fired{{1, ok, 0}, {2, ok, 0}}, []uint64{ShortSleep + 5}},
		"no time":             {[]s{{0, 1, 0, 0}, {0, 1, 10, 0}}, []fired{{0, ok, 0}}, nil},
		"past":                {[]s{{0, 1, 5, flagAbs}}, []fired{{0, ok, 0}}, nil},
		"output is ready":     {[]s{{0, 1, 5000, 0}, {2, 1, 0, 0}}, []fired{{1, ok, 2}}, nil},
		"input is at its end": {[]s{{1, 0, 0, 0}}, []fired{{0, ok, 1}}, nil},
		"no such file":        {[]s{{1, 3, 0, 0}, {2, 0, 0, 0}}, []fired{{0, eBadF, 1}, {1, eBadF, 2}}, nil},
		"no such clock":       {[]s{{0, 9, 5000, 0}}, []fired{{0, eInval, 0}}, nil},
		"until":               {[]s{{0, 0, wall + 700, flagAbs}}, []fired{{0, ok, 0}}, []uint64{700}},
		"until the past":      {[]s{{0, 0, wall - 700, flagAbs}}, []fired{{0, ok, 0}}, nil},
		"until, among others": {[]s{{0, 0, wall + 700, flagAbs}, {0, 1, 5000, 0}}, []fired{{0, eNotSup, 0}}, nil},
	} {
		r := newRig(t)
		for i, s := range c.subs {
			r.sub(i, uint64(i), s.tag, s.id, s.timeout, s.flags)
		}
		before := r.store.Clock()
		r.ok("poll_oneoff", 0, pollOut, int64(len(c.subs)), pollCount)
		if got := r.events(); !slices.Equal(got, c.fired) {
			t.Errorf("%s: events %v, want %v", name, got, c.fired)
		}
		if !slices.Equal(r.eff.slept, c.slept) {
			t.Errorf("%s: slept %v, want %v", name, r.eff.slept, c.slept)
		}
		moved := uint64(r.store.Clock() - before)
		if len(c.slept) > 0 && moved < c.slept[0] || name == "a short sleep" && moved < ShortSleep-1 {
			t.Errorf("%s: the clock stood", name)
		}
	}
	r := newRig(t)
	r.sub(0, 0, tagRead, stdin, 0, 0)
	if r.ok("poll_oneoff", 0, pollOut, 1, pollCount); r.mem[pollOut+24] != flagHangup {
		t.Error("nothing says that input is at its end")
	}
	r.sub(0, 0, 9, 0, 0, 0)
	for want, e := range map[Errno]Errno{
		eInval: first(r.run("poll_oneoff", 0, pollOut, 1, pollCount), r.run("poll_oneoff", 0, pollOut, 0, pollCount),
			r.run("poll_oneoff", 0, pollOut, hostabi.MaxPoll+1, pollCount)),
		eFault: r.run("poll_oneoff", 65530, pollOut, 1, pollCount),
	} {
		if e != want {
			t.Errorf("errno %d, want %d", e, want)
		}
	}
}

// TestDurableSleep: the sleep is pending, moves to another host as bytes, and ends there with its events.
func TestDurableSleep(t *testing.T) {
	for _, flags := range []uint16{0, flagAbs} {
		r := newRig(t)
		r.eff.wait = true
		r.sub(0, 77, tagClock, clockRealtime, 5e9+1.7e18*uint64(flags), flags)
		r.run("poll_oneoff", 0, pollOut, 1, pollCount)
		if r.stop.Reason != vm.Waiting {
			t.Fatalf("%+v", r.stop)
		}
		other := hostabi.New(&effects{Memory: r.eff.Memory})
		if err := other.Restore(r.host.State.Marshal()); err != nil {
			t.Fatal(err)
		}
		before := r.store.Clock()
		if err := other.Perform(r.store); err != nil {
			t.Fatal(err)
		}
		if e := r.resume(); e != ok || !slices.Equal(r.events(), []fired{{77, ok, 0}}) {
			t.Fatalf("errno %d, events %v", e, r.events())
		}
		if d := r.store.Clock() - before; d < 5e9 {
			t.Fatalf("the clock went %d", d)
		}
	}
}

// TestEveryFunctionSurvivesAnything: no argument makes a call fail otherwise than by an errno.
func TestEveryFunctionSurvivesAnything(t *testing.T) {
	r := newRig(t)
	values := []int64{0, 1, 2, 3, 64, 65535, 65536, 1 << 31, -1}
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		f := functions[name]
		if f.noResult {
			continue
		}
		for round := range 60 {
			args := make([]int64, len(f.params))
			for i := range args {
				args[i] = values[(round*(i+3)+round/9*(i+1)*5)%len(values)]
			}
			r.run(name, args...)
			if r.stop.Reason != vm.Done {
				t.Fatalf("%s%v: %+v", name, args, r.stop)
			}
		}
	}
}
