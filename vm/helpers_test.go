package vm

import (
	"context"
	"embed"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/kitwork/kwnode/vm/wasm"
)

//go:embed testdata/wat/*.wasm
var assembled embed.FS

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests, 0 for a new one")

// random returns a source whose seed is printed if the test fails.
func random(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with -seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}

func load(t testing.TB, name string) *Module {
	t.Helper()
	b, err := assembled.ReadFile("testdata/wat/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func loadGuest(t testing.TB, path string) *Module {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "guests", path))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sourcesOf knows modules and the host of host.wat.
func sourcesOf(mods ...*Module) Sources {
	return Sources{Host: testHost, Module: func(h [32]byte) (*Module, error) {
		for _, m := range mods {
			if m.Hash() == h {
				return m, nil
			}
		}
		return nil, fmt.Errorf("no module %x", h[:4])
	}}
}

// testHost is the environment of host.wat.
var testHost = Imports{
	{"env", "ask"}: &HostFunc{
		Type: wasm.FuncType{Params: []wasm.ValType{wasm.I32, wasm.I32}, Results: []wasm.ValType{wasm.I32}},
		Gas:  func([]Value) uint64 { return 500 },
		Fn: func(h *HostCall) error {
			if err := h.CheckWrite(h.Args[0].U32(), h.Args[1].U32()); err != nil {
				return err
			}
			return ErrPending
		},
	},
	{"env", "sum"}: &HostFunc{
		Type: wasm.FuncType{Params: []wasm.ValType{wasm.I32, wasm.I32}, Results: []wasm.ValType{wasm.I64}},
		Gas:  func(args []Value) uint64 { return uint64(args[1].U32()) * 10 },
		Fn: func(h *HostCall) error {
			b, err := h.Read(h.Args[0].U32(), h.Args[1].U32())
			if err != nil {
				return err
			}
			var s int64
			for _, x := range b {
				s += int64(x)
			}
			h.Results[0] = I64(s)
			return nil
		},
	},
	{"env", "fail"}: &HostFunc{Fn: func(*HostCall) error { return errFail }},
}

var errFail = fmt.Errorf("failed on request")

// program is something to run: exports called one after the other in one store.
type program struct {
	name string
	mods []*Module // instantiated in order; a later one imports from earlier ones as "a"
	call string    // export of the last module
	args []Value
}

func programs(t testing.TB) []program {
	bare := loadGuest(t, "c/bare.wasm")
	return []program{
		{"many", []*Module{load(t, "many")}, "run", []Value{I32(25), ExternRef(77)}},
		{"count", []*Module{load(t, "hostile")}, "count", []Value{I32(3000)}},
		{"recurse", []*Module{load(t, "hostile")}, "recurse", []Value{I64(1), I64(2), I64(3)}},
		{"divide", []*Module{load(t, "hostile")}, "trap_in", []Value{I32(7), I32(0)}},
		{"shared", []*Module{load(t, "hostile"), load(t, "shared")}, "run", []Value{I32(500)}},
		{"host", []*Module{load(t, "host")}, "ask", []Value{I32(8)}},
		{"host indirect", []*Module{load(t, "host")}, "ask_indirect", []Value{I32(8)}},
		{"host direct", []*Module{load(t, "host")}, "ask_directly", []Value{I32(64), I32(8)}},
		{"sum", []*Module{load(t, "host")}, "sum", []Value{I32(8)}},
		{"sort", []*Module{bare}, "sort", []Value{I32(90)}},
		{"fib", []*Module{bare}, "fib", []Value{I32(11)}},
		{"chain", []*Module{bare}, "chain", []Value{I32(50)}},
		{"matrix", []*Module{bare}, "matrix", []Value{I32(8)}},
		{"deep", []*Module{bare}, "deep", []Value{I32(300)}},
		{"bulk", []*Module{bare}, "bulk", []Value{I32(2)}},
	}
}

var testConfig = Config{Limits: Limits{MemoryPages: 64, Depth: 400, Slots: 1 << 15}, Clock: 1_000_000, Seed: [32]byte{1, 2, 3}}

// boot makes the store and queues the call.
func (p *program) boot(t testing.TB) *Store {
	t.Helper()
	s := NewStore(testConfig)
	var r Resolvers
	r = append(r, testHost)
	var inst *Instance
	for _, m := range p.mods {
		var err error
		if inst, err = s.Instantiate(m, r); err != nil {
			t.Fatal(err)
		}
		r = append(r, inst.Exports("a"))
	}
	if err := s.Start(inst, p.call, p.args...); err != nil {
		t.Fatal(err)
	}
	return s
}

// outcome is everything that must not depend on how a program was run.
type outcome struct {
	results string
	trap    string
	gas     uint64
	clock   int64
	hash    [32]byte
}

func finish(t testing.TB, s *Store, stop Stop) outcome {
	t.Helper()
	o := outcome{gas: s.Gas(), clock: s.Clock(), results: fmt.Sprint(stop.Results)}
	if stop.Trap != nil {
		o.trap = fmt.Sprintf("%v depth %d\n%s", stop.Trap, stop.Trap.Depth, TraceString(stop.Trap.Trace))
	}
	var err error
	if o.hash, err = s.StateHash([]byte("host")); err != nil {
		t.Fatal(err)
	}
	return o
}

// answer resumes a pending call with what depends on its arguments alone.
func answer(t testing.TB, s *Store) {
	t.Helper()
	p, ok := s.Pending()
	if !ok || p.Module != "env" || p.Name != "ask" || len(p.Writes) != 1 {
		t.Fatalf("pending call %+v, %v", p, ok)
	}
	n := p.Args[1].U32()
	if err := s.Resume([]Value{I32(int32(n))}, Write{Dst: p.Args[0].U32(), Data: binary.LittleEndian.AppendUint64(nil, 0x2a)[:n]}); err != nil {
		t.Fatal(err)
	}
}

// straight runs without stops of our own.
func (p *program) straight(t testing.TB) outcome {
	t.Helper()
	s := p.boot(t)
	defer s.Close()
	for {
		stop, err := s.Run(context.Background(), 1<<40)
		if err != nil {
			t.Fatal(err)
		}
		if stop.Reason == Waiting {
			answer(t, s)
			continue
		}
		if stop.Reason != Done && stop.Reason != Trapped {
			t.Fatalf("%s: stopped for %d", p.name, stop.Reason)
		}
		return finish(t, s, stop)
	}
}
