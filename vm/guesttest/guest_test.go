// Package guesttest runs programs that ordinary toolchains built, and freezes them on the way; it must never know more of
// them than what they print. The programs and the script that builds them are in vm/testdata/guests.
package guesttest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
	"github.com/kitwork/kwnode/vm/wasi"
)

const guests = "../testdata/guests"

// guest is a program and what to do with it.
type guest struct {
	name   string
	file   string // below guests; "" for one that Go builds
	source string // its folder, below guests; a reactor if there are calls
	calls  []call // none: _start
	args   []string
	want   string
}

type call struct {
	name string
	args []vm.Value
}

func i32(name string, args ...int32) call {
	c := call{name: name}
	for _, a := range args {
		c.args = append(c.args, vm.I32(a))
	}
	return c
}

var list = []guest{
	{name: "c-bare", file: "c/bare.wasm", calls: []call{i32("sort", 60), i32("fib", 9), i32("chain", 40), i32("matrix", 8), i32("deep", 300), i32("bulk", 2)},
		want: "[i64:"},
	{name: "c-bare-long", file: "c/bare.wasm", calls: []call{i32("sort", 512), i32("fib", 18), i32("matrix", 32), i32("deep", 5000)}, want: "[i64:"},
	{name: "c-libc", file: "c/libc.wasm", args: []string{"3", "x"},
		want: "and=1 brown=1 dog=2 fox=1 jumps=1 lazy=1 over=1 quick=1 sleeps=1 the=3 \n"},
	{name: "c-capsule", file: "c/capsule.wasm", calls: []call{i32("run")}, want: "[i32:5] eu 000000<8"},
	{name: "rust-nostd", file: "rust/nostd.wasm", calls: []call{i32("collatz", 12),
		{"modpow", []vm.Value{vm.I64(3), vm.I64(40)}}, i32("floats", 30), i32("index", 4), i32("index", 9)}, want: "trap unreachable"},
	{name: "rust-std", file: "rust/std.wasm", args: []string{"9"}, want: `{"a": 3, "is": 2, "rose": 3}`},
	{name: "rust-std-panic", file: "rust/std.wasm", args: []string{"panic"}, want: "panicked at 'on request'"},
	{name: "go", source: "./go", args: []string{"x"}, want: "deep: "},
	{name: "go-reactor", source: "./goreactor", calls: []call{i32("_initialize"), {"add", []vm.Value{vm.I64(5)}}, {"add", []vm.Value{vm.I64(37)}}, i32("wait", 1500), i32("report")},
		want: "[] [i64:5] [i64:42] [i32:1500] [i32:2] total 42 seen map[2:1 5:1]"},
	{name: "go-panic", source: "./go", args: []string{"panic"}, want: "panic: on request"},
}

// plan says where to freeze: at each step-th safepoint, in windows of so many freezes that begin at so many places
// spread over the run.
type plan struct {
	step    int
	windows int
	count   int // of freezes in a window
}

// most is how often a run is frozen at most; where there would be more, it is sampled in windows. A Go program passes a
// million safepoints before it ends, and is frozen a few hundred times a second.
var most = flag.Int("freezes", 8000, "most freezes of one run; what would take more is sampled")

// outcome is what must not depend on freezing.
type outcome struct {
	results string
	gas     uint64
	hash    [32]byte
}

// machine is one run. Invariant: host and store belong together; a thaw replaces both.
type machine struct {
	t        *testing.T
	mod      *vm.Module
	cfg      vm.Config
	mem      *hostabi.Memory
	away     *elsewhere // over mem, for a program that has to go to its effects; else nil
	host     *hostabi.Host
	store    *vm.Store
	out      bytes.Buffer
	steps    int // safepoints passed
	freezes  int
	largest  int
	freezeAt func(step int) bool // nil: run without looking at safepoints
	// portion is gas after which the program is frozen and goes on as next says; nil: only freezeAt decides.
	portion func() uint64
	next    func() vm.Config
}

// config is what every run begins with.
var config = vm.Config{Seed: [32]byte{1, 2, 3}, Clock: 1_000_000_000}

func newMachine(t *testing.T, mod *vm.Module, cfg vm.Config, args []string, away bool) *machine {
	m := &machine{t: t, mod: mod, cfg: cfg}
	m.mem = hostabi.NewMemory("us", m.cfg.Seed)
	m.mem.Time = func() uint64 { return uint64(m.store.Clock()) }
	m.mem.GasLeft = func() uint64 { return 1 << 50 }
	if away {
		m.away = &elsewhere{m.mem, true}
	}
	r := m.resolver()
	if err := wasi.SetArgs(&m.host.State, append([]string{"guest"}, args...), []string{"LANG=C"}); err != nil {
		t.Fatal(err)
	}
	m.store = vm.NewStore(m.cfg)
	if _, err := m.store.Instantiate(mod, r); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *machine) resolver() vm.Resolver {
	m.host = hostabi.New(m.mem)
	if m.away != nil {
		m.host = hostabi.New(m.away)
	}
	sys := wasi.New(m.host)
	sys.Stdout, sys.Stderr = &m.out, &m.out
	return vm.Resolvers{m.host, sys}
}

// run drives the store to the end of what is queued, a safepoint at a time if the plan wants to know them.
func (m *machine) run() vm.Stop {
	m.t.Helper()
	gas := uint64(1 << 50)
	switch {
	case m.portion != nil:
		gas = m.portion()
	case m.freezeAt != nil:
		gas = 0
	}
	for {
		stop, err := m.store.Run(context.Background(), gas)
		if err != nil {
			m.t.Fatal(err)
		}
		if stop.Reason == vm.Waiting {
			m.carryOut()
			continue
		}
		if stop.Reason != vm.OutOfGas {
			return stop
		}
		gas = stop.Need
		if m.portion != nil {
			m.cfg = m.next()
			m.refreeze()
			gas = max(gas, m.portion())
			continue
		}
		if m.freezeAt(m.steps) {
			m.refreeze()
		}
		m.steps++
	}
}

// carryOut takes a program that waits for an effect to where it can be had.
func (m *machine) carryOut() {
	m.t.Helper()
	m.refreeze()
	m.away.wait = false
	if err := m.host.Perform(m.store); err != nil {
		m.t.Fatal(err)
	}
	m.away.wait = true
}

func (m *machine) refreeze() {
	m.t.Helper()
	b, err := m.store.Freeze(vm.FreezeOptions{Host: m.host.State.Marshal()})
	if err != nil {
		m.t.Fatalf("freeze at safepoint %d: %v", m.steps, err)
	}
	m.store.Close()
	m.freezes++
	m.largest = max(m.largest, len(b))
	store, host, err := vm.Thaw(b, m.cfg, vm.Sources{Module: func([32]byte) (*vm.Module, error) { return m.mod, nil }, Host: m.resolver()})
	if err == nil {
		err = m.host.Restore(host)
	}
	if err != nil {
		m.t.Fatalf("thaw at safepoint %d: %v", m.steps, err)
	}
	m.store = store
}

// play runs a guest from its start to its end.
func play(t *testing.T, mod *vm.Module, g *guest, freezeAt func(int) bool) (outcome, *machine) {
	t.Helper()
	m := newMachine(t, mod, config, g.args, false)
	m.freezeAt = freezeAt
	return m.play(g), m
}

// playAway is play where every effect is elsewhere.
func playAway(t *testing.T, mod *vm.Module, g *guest) (outcome, *machine) {
	t.Helper()
	m := newMachine(t, mod, config, g.args, true)
	return m.play(g), m
}

func (m *machine) play(g *guest) outcome {
	t := m.t
	t.Helper()
	defer func() { m.store.Close() }()
	var text strings.Builder
	calls := g.calls
	if len(calls) == 0 {
		calls = []call{{name: "_start"}}
	}
	for _, c := range calls {
		if err := m.store.Start(m.store.Instances()[0], c.name, c.args...); err != nil {
			t.Fatal(err)
		}
		stop := m.run()
		if stop.Reason == vm.Done {
			fmt.Fprint(&text, stop.Results, " ")
			continue
		}
		if e := m.host.State.End; errors.Is(stop.Trap, hostabi.ErrExit) {
			fmt.Fprintf(&text, "exit %+v", *e)
		} else {
			fmt.Fprintf(&text, "trap %v\n%s", stop.Trap, vm.TraceString(stop.Trap.Trace))
		}
		break
	}
	m.mem.Commit()
	text.Write(m.host.State.Output)
	text.Write(m.out.Bytes())
	hash, err := m.store.StateHash(m.host.State.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	return outcome{text.String(), m.store.Gas(), hash}
}

func load(t *testing.T, g *guest) *vm.Module {
	t.Helper()
	var b []byte
	var err error
	if g.file == "" {
		b = buildGo(t, g.source, len(g.calls) > 0)
	} else if b, err = os.ReadFile(filepath.Join(guests, g.file)); err != nil {
		t.Fatal(err)
	}
	mod, err := vm.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return mod
}

var goGuests = map[string][]byte{} // by source

// buildGo builds a Go guest with the installed toolchain, once.
func buildGo(t *testing.T, source string, reactor bool) []byte {
	t.Helper()
	if b := goGuests[source]; b != nil {
		return b
	}
	out := filepath.Join(t.TempDir(), "guest.wasm")
	args := []string{"build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", out}
	if reactor {
		args = append(args, "-buildmode=c-shared")
	}
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Dir, cmd.Env = filepath.Join(guests, source), append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	goGuests[source] = b
	return b
}

// TestGuests runs each guest as it is, then stepped without freezing, then frozen and thawed at many of its safepoints:
// what it prints and returns, its gas and its final state are the same.
func TestGuests(t *testing.T) {
	for i := range list {
		g := &list[i]
		t.Run(g.name, func(t *testing.T) {
			mod := load(t, g)
			want, _ := play(t, mod, g, nil)
			if !strings.Contains(want.results, g.want) {
				t.Fatalf("%q isn't in what it gave:\n%s", g.want, want.results)
			}
			stepped, m := play(t, mod, g, func(int) bool { return false })
			compare(t, "stepped", stepped, want)
			total := m.steps
			for _, step := range []int{1, 97, 5003} {
				p := plan{step: step, windows: 1, count: total}
				if total/step > *most {
					p = plan{step: step, windows: 12, count: 20}
				}
				got, m := play(t, mod, g, p.freezeAt(total))
				compare(t, fmt.Sprintf("frozen at every %d", step), got, want)
				t.Logf("every %d: %d safepoints, %d freezes, at most %d bytes", step, m.steps, m.freezes, m.largest)
				if m.steps != total {
					t.Errorf("%d safepoints, %d without freezing", m.steps, total)
				}
			}
		})
	}
}

// freezeAt spreads the plan's windows over a run of so many safepoints.
func (p plan) freezeAt(total int) func(int) bool {
	spread := max(total/p.windows, 1)
	return func(step int) bool {
		in := step % spread
		return in%p.step == 0 && in/p.step < p.count
	}
}

func compare(t *testing.T, what string, got, want outcome) {
	t.Helper()
	if got.results != want.results {
		t.Errorf("%s: gave\n%s\nwant\n%s", what, got.results, want.results)
	}
	if got.gas != want.gas {
		t.Errorf("%s: gas %d, want %d", what, got.gas, want.gas)
	}
	if got.hash != want.hash {
		t.Errorf("%s: state hash %x, want %x", what, got.hash, want.hash)
	}
}

// TestSmallContinuation: a Go program between two calls travels in few bytes, and in fewer where its base is known.
func TestSmallContinuation(t *testing.T) {
	m := newMachine(t, load(t, &guest{source: "./gosmall", calls: []call{i32("_initialize")}}), config, nil, false)
	defer func() { m.store.Close() }()
	do := func(name string, args ...vm.Value) {
		t.Helper()
		if err := m.store.Start(m.store.Instances()[0], name, args...); err != nil {
			t.Fatal(err)
		}
		if stop := m.run(); stop.Reason != vm.Done {
			t.Fatal(stop)
		}
	}
	do("_initialize")
	base, err := m.store.NewBase()
	if err != nil {
		t.Fatal(err)
	}
	do("add", vm.I64(5))
	whole, err := m.store.Freeze(vm.FreezeOptions{Host: m.host.State.Marshal()})
	if err != nil {
		t.Fatal(err)
	}
	delta, err := m.store.Freeze(vm.FreezeOptions{Base: base, Host: m.host.State.Marshal()})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d against the base", len(whole), len(delta))
	if len(whole) > 15<<10 || len(delta) > 1<<10 {
		t.Errorf("%d bytes, at most %d wanted; %d against the base, at most %d", len(whole), 15<<10, len(delta), 1<<10)
	}
}
