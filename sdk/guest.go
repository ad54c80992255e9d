package sdk

import (
	"context"
	"fmt"
	"strings"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
	"github.com/kitwork/kwnode/vm/wasi"
)

// guest is a program in a store of its own, with its host.
type guest struct {
	prog  *Program
	store *vm.Store
	host  *hostabi.Host
	inst  *vm.Instance
	lacks string // what it called of WASI that no capsule has, and what to do instead
}

// initializer is the export that a reactor is initialised by: the language runtime's start and the packages' own.
const initializer = "_initialize"

// seed is what the random numbers of a program's initialisation come from. It is the program's own, so that every capsule
// of the program shares the state after it.
func (p *Program) seed() capsule.Hash {
	return capsule.Sum(append([]byte("kitwork/initialisation/v1\x00"), p.CID.Digest[:]...))
}

func vmLimits(l capsule.Limits) vm.Limits {
	return vm.Limits{MemoryPages: l.MemoryPages, TableElems: l.TableElems, Depth: l.Depth}
}

// begin instantiates the program and queues its initialiser.
func (p *Program) begin(eff hostabi.Effects, l capsule.Limits) (*guest, error) {
	host := hostabi.New(eff)
	g := &guest{prog: p, host: host, store: vm.NewStore(vm.Config{Limits: vmLimits(l), Seed: p.seed()})}
	var err error
	if g.inst, err = g.store.Instantiate(p.mod, g.resolver()); err == nil && p.hasInitializer() {
		err = g.store.Start(g.inst, initializer)
	}
	if err != nil {
		g.store.Close()
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return g, nil
}

func (g *guest) resolver() vm.Resolver { return vm.Resolvers{g.host, noting{wasi.New(g.host), g}} }

// noting is WASI that remembers a call of what no capsule has: the program is told that there is no such file, which says
// little to its author.
type noting struct {
	vm.Resolver
	g *guest
}

// Resolve implements vm.Resolver.
func (n noting) Resolve(module, name string) vm.Extern {
	e := n.Resolver.Resolve(module, name)
	f, ok := e.(*vm.HostFunc)
	instead := ""
	switch {
	case strings.HasPrefix(name, "path_"):
		instead = "a capsule has no files; pass the content as input, or keep it in the zone's data"
	case strings.HasPrefix(name, "sock_"):
		instead = "a capsule has no network; do that in the client, and pass the outcome as input"
	}
	if !ok || instead == "" {
		return e
	}
	noted := *f
	noted.Fn = func(h *vm.HostCall) error {
		n.g.lacks = "it called WASI's " + name + ": " + instead
		return f.Fn(h)
	}
	return &noted
}

// enter ends the initialisation and queues the entry with its input.
func (g *guest) enter(input []byte) error {
	g.host.State.Started = true
	g.host.State.Input = input
	return g.store.Start(g.inst, g.prog.Entry)
}

// run runs until something stops the program, with the gas given at most.
func (g *guest) run(ctx context.Context, gas uint64) (vm.Stop, error) {
	stop, err := g.store.Run(ctx, gas)
	if err != nil {
		return stop, fmt.Errorf("%s: %w", g.prog.Name, err)
	}
	if stop.Reason == vm.Interrupted {
		return stop, fmt.Errorf("%s: %w", g.prog.Name, context.Cause(ctx))
	}
	return stop, nil
}

// ending is how a guest came to its end. failed is nil if it has a result.
type ending struct {
	output []byte
	failed *GuestError
}

// end interprets a stop that nothing follows: Done, or Trapped.
func (g *guest) end(stop vm.Stop) ending {
	state := &g.host.State
	g.host.Flush(wasi.Levels)
	e := &GuestError{Func: g.prog.Name, Log: state.Log, Lacks: g.lacks}
	switch {
	case state.End != nil && state.End.Fail:
		e.Code, e.Reason = state.End.Code, state.End.Msg
		return ending{failed: e}
	case state.End != nil:
		e.Reason = fmt.Sprintf("it exited with status %d", state.End.Code)
		return ending{failed: e}
	case stop.Reason == vm.Trapped:
		e.Reason, e.Trace = stop.Trap.Error(), vm.TraceString(stop.Trap.Trace)
		return ending{failed: e}
	case len(stop.Results) == 1 && stop.Results[0].I32() != 0:
		e.Reason = fmt.Sprintf("its entry returned %d", stop.Results[0].I32())
		return ending{failed: e}
	}
	return ending{output: state.Output}
}

// GuestError says that a capsule's code failed here, before or instead of being submitted.
type GuestError struct {
	Func   string
	Code   uint32 // of kit.Fail, or 0 for a trap, an exit or a return value
	Reason string
	Trace  string // of a trap
	Lacks  string // what it called last of WASI that no capsule has, and what to do instead
	Log    []hostabi.Line
}

func (e *GuestError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s failed: %s", e.Func, e.Reason)
	if e.Code != 0 {
		fmt.Fprintf(&b, " (code %d)", e.Code)
	}
	if e.Lacks != "" {
		b.WriteString("; " + e.Lacks)
	}
	if e.Trace != "" {
		b.WriteString("\n" + strings.TrimRight(e.Trace, "\n"))
	}
	for _, l := range e.Log {
		if l.Level >= wasi.LevelErr {
			b.WriteString("\n" + plain(l.Msg))
		}
	}
	return b.String()
}

// ahead is Effects that carry nothing out: a program runs under it up to the first call that only a zone can answer.
type ahead struct{}

func (ahead) Get(uint32, []byte) ([]byte, error)                      { return nil, vm.ErrPending }
func (ahead) Put(uint32, []byte, []byte) error                        { return vm.ErrPending }
func (ahead) Delete(uint32, []byte) error                             { return vm.ErrPending }
func (ahead) Scan(uint32, []byte, []byte, int) ([]hostabi.Row, error) { return nil, vm.ErrPending }
func (ahead) Emit(string, []byte) error                               { return vm.ErrPending }
func (ahead) Log(uint8, string) bool                                  { return false }
func (ahead) Now() (uint64, error)                                    { return 0, vm.ErrPending }
func (ahead) Random([]byte) error                                     { return vm.ErrPending }
func (ahead) Goto(string) error                                       { return vm.ErrPending }
func (ahead) Sleep(uint64) error                                      { return vm.ErrPending }
func (ahead) Zone() (string, error)                                   { return "", vm.ErrPending }
func (ahead) Gas() (uint64, error)                                    { return 0, vm.ErrPending }
