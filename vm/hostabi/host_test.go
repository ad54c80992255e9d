package hostabi

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/internal/wasmtest"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// later answers ErrPending where its function says so, and is Memory otherwise.
type later struct {
	*Memory
	wait  bool
	noLog bool
}

func (l *later) pending() error {
	if l.wait {
		return vm.ErrPending
	}
	return nil
}

func (l *later) Get(s uint32, k []byte) ([]byte, error) {
	if l.wait {
		return nil, vm.ErrPending
	}
	return l.Memory.Get(s, k)
}

func (l *later) Goto(z string) error { return errors.Join(l.pending(), l.Memory.Goto(z)) }
func (l *later) Sleep(uint64) error  { return l.pending() }

func (l *later) Now() (uint64, error) { return 77, l.pending() }

func (l *later) Log(level uint8, msg string) bool {
	return !l.noLog && l.Memory.Log(level, msg)
}

// rig is a program that forwards every import, one call at a time.
type rig struct {
	t     *testing.T
	eff   *later
	host  *Host
	store *vm.Store
	inst  *vm.Instance
	mem   []byte
	stop  vm.Stop
	logs  []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, eff: &later{Memory: NewMemory("home", [32]byte{3})}}
	r.eff.LogTo = func(level uint8, msg string) { r.logs = append(r.logs, msg) }
	r.host = New(r.eff)
	var fs []wasmtest.Func
	for _, c := range calls {
		fs = append(fs, wasmtest.Func{Module: c.module, Name: c.name, Type: wasm.FuncType{Params: c.params, Results: c.results}})
	}
	m, err := vm.Decode(wasmtest.Forwarder(1, 0, fs...))
	if err != nil {
		t.Fatal(err)
	}
	r.store = vm.NewStore(vm.Config{})
	t.Cleanup(r.store.Close)
	if r.inst, err = r.store.Instantiate(m, r.host); err != nil {
		t.Fatal(err)
	}
	r.mem = r.inst.Memory().Bytes()
	return r
}

// put places bytes and answers pointer and length as arguments.
func (r *rig) put(at uint32, s string) [2]uint32 {
	copy(r.mem[at:], s)
	return [2]uint32{at, uint32(len(s))}
}

// run makes a call with i32 arguments (a uint64 is an i64) and answers the first result.
func (r *rig) run(name string, args ...any) int64 {
	r.t.Helper()
	var vs []vm.Value
	for _, a := range args {
		switch a := a.(type) {
		case int:
			vs = append(vs, vm.I32(int32(a)))
		case uint32:
			vs = append(vs, vm.I32(int32(a)))
		case [2]uint32:
			vs = append(vs, vm.I32(int32(a[0])), vm.I32(int32(a[1])))
		case uint64:
			vs = append(vs, vm.I64(int64(a)))
		}
	}
	if err := r.store.Start(r.inst, name, vs...); err != nil {
		r.t.Fatal(err)
	}
	return r.resume()
}

func (r *rig) resume() int64 {
	r.t.Helper()
	var err error
	if r.stop, err = r.store.Run(context.Background(), 1<<40); err != nil {
		r.t.Fatal(err)
	}
	if r.stop.Reason != vm.Done || len(r.stop.Results) == 0 {
		return 0
	}
	if v := r.stop.Results[0]; v.Type == wasm.I64 {
		return v.I64()
	}
	return int64(r.stop.Results[0].I32())
}

func (r *rig) want(what string, got, want int64) {
	r.t.Helper()
	if r.stop.Reason != vm.Done {
		r.t.Fatalf("%s: stopped for reason %d, %v", what, r.stop.Reason, r.stop.Trap)
	}
	if got != want {
		r.t.Fatalf("%s: %d, want %d", what, got, want)
	}
}

func TestStoreCalls(t *testing.T) {
	r := newRig(t)
	k, k2 := r.put(0, "acct/a"), r.put(16, "acct/b")
	r.want("get absent", r.run("get", 0, k, 1000, 100), -1)
	r.want("put", r.run("put", 0, k, r.put(32, "hello")), 0)
	r.want("put", r.run("put", 0, k2, r.put(32, "")), 0)
	r.want("get", r.run("get", 0, k, 1000, 5), 5)
	if string(r.mem[1000:1006]) != "hello\x00" {
		t.Fatalf("got %q", r.mem[1000:1006])
	}
	clear(r.mem[1000:1010])
	r.want("get with too little room", r.run("get", 0, k, 1000, 4), 5)
	if r.mem[1000] != 0 {
		t.Fatal("an answer that doesn't fit was written")
	}
	r.want("another store", r.run("get", 1, k, 1000, 5), -1)
	r.want("no such store", r.run("get", 1<<20, k, 1000, 5), -2)
	r.want("empty key", r.run("put", 0, 0, 0, 0, 0), -3)
	r.want("long key", r.run("get", 0, 0, MaxKey+1, 0, 0), -4)
	r.want("long value", r.run("put", 0, k, 0, MaxValue+1), -4)

	want := "\x06\x00\x00\x00\x05\x00\x00\x00acct/ahello" + "\x06\x00\x00\x00\x00\x00\x00\x00acct/b"
	prefix := r.put(64, "acct/")
	r.want("scan", r.run("scan", 0, prefix, 0, 0, 1000, 500), int64(len(want)))
	if got := string(r.mem[1000 : 1000+len(want)]); got != want {
		t.Fatalf("scan: %q", got)
	}
	r.want("scan, room for one", r.run("scan", 0, prefix, 0, 0, 1000, 20), 19)
	r.want("scan, room for none", r.run("scan", 0, prefix, 0, 0, 1000, 3), 19)
	r.want("scan behind the first", r.run("scan", 0, prefix, k, 1000, 500), 14)
	r.want("scan behind the last", r.run("scan", 0, prefix, k2, 1000, 500), 0)
	r.want("delete", r.run("delete", 0, k), 0)
	r.want("get deleted", r.run("get", 0, k, 1000, 100), -1)
}

func TestFlowCalls(t *testing.T) {
	r := newRig(t)
	r.host.State.Input = []byte("input")
	r.eff.GasLeft = func() uint64 { return 1 << 40 }
	var events []string
	r.eff.EmitTo = func(topic string, data []byte) { events = append(events, topic+"="+string(data)) }

	r.want("input", r.run("input", 1000, 100), 5)
	if string(r.mem[1000:1005]) != "input" {
		t.Fatalf("%q", r.mem[1000:1005])
	}
	r.run("output", r.put(0, "result"))
	r.mem[0] = 'X'
	if string(r.host.State.Output) != "result" {
		t.Fatalf("output %q", r.host.State.Output)
	}
	r.want("zone", r.run("zone", 1000, 100), 4)
	r.want("gas", r.run("gas"), 1<<40)
	r.want("now", r.run("now"), 77)
	r.want("random", r.run("fill", 2000, 64), 64)
	if bytes.Equal(r.mem[2000:2064], make([]byte, 64)) {
		t.Fatal("no random bytes")
	}
	r.want("emit", r.run("emit", r.put(0, "topic"), r.put(16, "data")), 0)
	r.want("emit to nothing", r.run("emit", 0, 0, 0, 0), -3)
	r.want("goto", r.run("goto", r.put(0, "eu")), 0)
	if z, _ := r.eff.Zone(); z != "eu" || len(events) != 1 || events[0] != "topic=data" {
		t.Fatalf("zone %q, events %q", z, events)
	}
	r.want("goto, not text", r.run("goto", r.put(0, "\xff")), -3)
	before := r.store.Clock()
	r.want("sleep", r.run("sleep", uint64(5e9)), 0)
	if d := r.store.Clock() - before; d < 5e9 || d > 5e9+1e6 {
		t.Fatalf("the clock went %d", d)
	}
	r.want("long sleep", r.run("sleep", uint64(MaxSleep+1)), -4)
	for range 20 {
		r.want("very long sleep", r.run("sleep", uint64(MaxSleep)), 0)
	}
	if c := r.store.Clock(); c < lastClock {
		t.Fatalf("the clock overflowed to %d", c)
	}
	r.run("write", 1, r.put(0, "line\xff"))
	r.run("write", 1, 0, MaxLog+100)
	if len(r.logs) != 2 || r.logs[0] != "line\uFFFD" || len(r.logs[1]) > MaxLog {
		t.Fatalf("logged %q", r.logs)
	}
	if r.run("fail", 17, r.put(0, "no funds")); r.stop.Reason != vm.Trapped || !errors.Is(r.stop.Trap, ErrExit) {
		t.Fatalf("%+v", r.stop)
	}
	if e := r.host.State.End; e == nil || *e != (End{true, 17, "no funds"}) {
		t.Fatalf("%+v", e)
	}
}

// TestRangesOutsideTheMemory: whatever is to be read or written outside of it traps, also where the host would only
// have written later, and an oversized output ends the program.
func TestRangesOutsideTheMemory(t *testing.T) {
	for _, c := range []struct {
		name string
		args []any
		code vm.TrapCode
	}{
		{"get", []any{0, 65530, 7, 0, 0}, vm.TrapMemory},
		{"get", []any{0, 0, 1, 65530, 7}, vm.TrapMemory},
		{"get", []any{0, 0, 1, 0, 1 << 31}, vm.TrapMemory},
		{"put", []any{0, 0, 1, 65000, 1000}, vm.TrapMemory},
		{"delete", []any{0, 1 << 31, 1}, vm.TrapMemory},
		{"scan", []any{0, 0, 1, 1 << 31, 1, 0, 0}, vm.TrapMemory},
		{"input", []any{65536, 1}, vm.TrapMemory},
		{"output", []any{65536, 1}, vm.TrapMemory},
		{"output", []any{0, MaxValue + 1}, vm.TrapHost},
		{"fail", []any{0, 65536, 1}, vm.TrapMemory},
		{"goto", []any{65536, 1}, vm.TrapMemory},
		{"zone", []any{65536, 1}, vm.TrapMemory},
		{"fill", []any{1, 65536}, vm.TrapMemory},
		{"emit", []any{65536, 1, 0, 0}, vm.TrapMemory},
		{"write", []any{0, 65536, 1}, vm.TrapMemory},
	} {
		r := newRig(t)
		r.run(c.name, c.args...)
		if r.stop.Reason != vm.Trapped || r.stop.Trap.Code != c.code {
			t.Errorf("%s%v: %+v", c.name, c.args, r.stop)
		}
	}
}

// TestGasIsChargedBeforehand: with a unit too few nothing happens, and the call costs the same with what it needs.
func TestGasIsChargedBeforehand(t *testing.T) {
	r := newRig(t)
	k, v := r.put(0, "key"), r.put(16, strings.Repeat("v", 1000))
	if err := r.store.Start(r.inst, "put", vm.I32(0), vm.I32(int32(k[0])), vm.I32(3), vm.I32(int32(v[0])), vm.I32(1000)); err != nil {
		t.Fatal(err)
	}
	stop, err := r.store.Run(context.Background(), 1000)
	if err != nil || stop.Reason != vm.OutOfGas || stop.Need != gasWrite+1003 {
		t.Fatalf("%+v, %v", stop, err)
	}
	if _, err := r.eff.Memory.Get(0, []byte("key")); err != ErrNotFound {
		t.Fatal("an unpaid call worked")
	}
	before := r.store.Gas()
	if stop, err = r.store.Run(context.Background(), stop.Need-1); err != nil || stop.Used != 0 {
		t.Fatalf("%+v, %v", stop, err)
	}
	r.want("put", r.resume(), 0)
	if used := r.store.Gas() - before; used < gasWrite+1003 || used > gasWrite+1003+100 {
		t.Fatalf("put of 1,003 bytes took %d", used)
	}
}

// TestPending: a call whose answer isn't there becomes part of the state, and one answers it later, from Effects that
// can or by hand.
func TestPending(t *testing.T) {
	r := newRig(t)
	must[int](t)(0, r.eff.Put(0, []byte("key"), []byte("value")))
	r.eff.wait = true
	k := r.put(0, "key")
	r.run("get", 0, k, 1000, 10)
	p := r.host.State.Pending
	if r.stop.Reason != vm.Waiting || p == nil || p.Op != OpGet || string(p.Key) != "key" {
		t.Fatalf("%+v, %+v", r.stop, p)
	}
	r.mem[0] = 'X' // the request doesn't depend on the memory any more
	if err := r.host.Perform(r.store); !errors.Is(err, vm.ErrPending) {
		t.Fatal(err)
	}

	// A continuation's state goes through bytes, into another host.
	other := New(&later{Memory: r.eff.Memory})
	if err := other.Restore(r.host.State.Marshal()); err != nil {
		t.Fatal(err)
	}
	if err := other.Perform(r.store); err != nil {
		t.Fatal(err)
	}
	r.want("get", r.resume(), 5)
	if string(r.mem[1000:1005]) != "value" {
		t.Fatalf("%q", r.mem[1000:1005])
	}
	if other.State.Pending != nil {
		t.Fatal("still pending")
	}
	if err := other.Perform(r.store); err != ErrNotPending {
		t.Fatal(err)
	}

	r.host.State.Pending = nil
	r.run("goto", r.put(0, "eu"))
	if err := r.host.Answer(r.store, Reply{Err: ErrUnreachable}); err != nil {
		t.Fatal(err)
	}
	r.want("refused goto", r.resume(), -6)

	before := r.store.Clock()
	r.run("sleep", uint64(1e9))
	if err := r.host.Answer(r.store, Reply{}); err != nil {
		t.Fatal(err)
	}
	r.want("sleep", r.resume(), 0)
	if d := r.store.Clock() - before; d < 1e9 {
		t.Fatalf("the clock went %d", d)
	}

	r.run("now")
	if err := r.host.Answer(r.store, Reply{N: 99}); err != nil {
		t.Fatal(err)
	}
	r.want("now", r.resume(), 99)
}

// TestHostilePending: an answer can't be written where the call declared no room, and an answer to nothing is an error.
func TestHostilePending(t *testing.T) {
	r := newRig(t)
	must[int](t)(0, r.eff.Put(0, []byte("key"), []byte("value")))
	r.eff.wait = true
	r.run("get", 0, r.put(0, "key"), 1000, 10)
	r.host.State.Pending.Dst = 50
	r.eff.wait = false
	if err := r.host.Perform(r.store); err == nil {
		t.Fatal("wrote outside of the declared range")
	}
	if r.host.State.Pending == nil || !bytes.Equal(r.mem[50:55], make([]byte, 5)) {
		t.Fatal("something changed")
	}
	r.host.State.Pending.Dst, r.host.State.Pending.Shape = 1000, ShapeNumber
	if err := r.host.Perform(r.store); err == nil {
		t.Fatal("answered with a result of another type")
	}
	r.host.State.Pending.Op = OpScan
	r.host.State.Pending.Cap = 1 << 31
	r.host.State.Pending.Shape = ShapePoll
	r.host.State.Pending.Fixed = make([]byte, PollEvent)
	if err := r.host.Perform(r.store); err == nil {
		t.Fatal("wrote events that the call has no room for")
	}
	if err := New(r.eff).Answer(r.store, Reply{}); err != ErrNotPending {
		t.Fatal(err)
	}
}

func TestLogWaitsForATaker(t *testing.T) {
	r := newRig(t)
	r.eff.noLog = true
	for range MaxLogLines + 3 {
		r.run("write", 2, r.put(0, "ahead"))
	}
	if len(r.host.State.Log) != MaxLogLines || r.host.State.Dropped != 3 {
		t.Fatalf("%d kept, %d dropped", len(r.host.State.Log), r.host.State.Dropped)
	}
	b := r.host.State.Marshal()
	if len(b) > MaxState {
		t.Fatal(len(b))
	}
	r.eff.noLog = false
	if err := r.host.Restore(b); err != nil {
		t.Fatal(err)
	}
	if len(r.logs) != MaxLogLines+1 || r.logs[0] != "ahead" || r.logs[MaxLogLines] != "3 messages were dropped" || r.host.State.Dropped != 0 {
		t.Fatalf("%d delivered", len(r.logs))
	}
}

type broken struct{ *Memory }

func (broken) Get(uint32, []byte) ([]byte, error) { return nil, errors.New("disk on fire") }
func (broken) Now() (uint64, error)               { return 0, ErrUnsupported }

// TestBrokenHost: an error that is no refusal ends the program, as does a refusal where the ABI has no room for one.
func TestBrokenHost(t *testing.T) {
	for _, name := range []string{"get", "now"} {
		r := newRig(t)
		r.host.eff = broken{r.eff.Memory}
		if name == "get" {
			r.run(name, 0, r.put(0, "k"), 0, 0)
		} else {
			r.run(name)
		}
		if r.stop.Reason != vm.Trapped || r.stop.Trap.Code != vm.TrapHost {
			t.Errorf("%s: %+v", name, r.stop)
		}
	}
}

// TestLargestState: what the limits allow together is within the bound of the whole.
func TestLargestState(t *testing.T) {
	args := make([]string, MaxArgs)
	for i := range args {
		args[i] = strings.Repeat("a", MaxArgBytes/MaxArgs-1)
	}
	s := fullState()
	s.Input, s.Output, s.Args, s.Env = make([]byte, MaxValue), make([]byte, MaxValue), args, args
	s.End.Msg = strings.Repeat("m", MaxLog)
	s.Log = nil
	for range MaxLogLines {
		s.Log = append(s.Log, Line{1, strings.Repeat("l", MaxLog)})
	}
	s.Pending.Key, s.Pending.Val, s.Pending.Fixed = make([]byte, MaxKey), make([]byte, MaxValue), make([]byte, MaxPoll*PollEvent)
	b := s.Marshal()
	t.Log(len(b))
	if _, err := UnmarshalState(b); err != nil {
		t.Fatal(err)
	}
}

// TestPrices writes the schedule down: a changed figure is a new meter version.
func TestPrices(t *testing.T) {
	prices := map[string][2]uint64{ // with every argument 0, and 2³²-1
		"get": {2_000, 2_000 + (257+262_145)/8}, "put": {4_000, 4_000 + 257 + 262_145}, "delete": {4_000, 4_000 + 257},
		"scan": {2_000, 2_000 + 2*257/8 + 262_145}, "input": {200, 200 + 262_145/8}, "output": {200, 200 + 262_145/8},
		"fail": {200, 200 + 4_097/8}, "goto": {10_000, 10_000}, "sleep": {1_000, 1_000}, "zone": {200, 200}, "gas": {200, 200},
		"now": {200, 200}, "fill": {1_000, 1_000 + 4*262_145}, "emit": {4_000, 4_000 + 257 + 65_537}, "write": {200, 200 + 4_097/4},
	}
	for _, c := range calls {
		for i, v := range []int32{0, -1} {
			args := make([]vm.Value, len(c.params))
			for j := range args {
				args[j] = vm.I32(v)
			}
			if got := c.gas(args); got != prices[c.name][i] {
				t.Errorf("%s with %d: %d units, want %d", c.name, v, got, prices[c.name][i])
			}
		}
	}
	if len(prices) != len(calls) || len(Imports()) != len(calls) {
		t.Errorf("%d prices for %d calls", len(prices), len(calls))
	}
}
