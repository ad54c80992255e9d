package sdk

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
	"github.com/kitwork/kwnode/vm/wasi"
)

// DefaultAhead is how much of a program's pure part runs on the client, in units of gas: a tenth of a second or so.
// What takes longer is work for the zone.
const DefaultAhead = 20_000_000

// PrepareOptions adjust Prepare; the zero value serves.
type PrepareOptions struct {
	Limits capsule.Limits // zero fields get defaults
	Ahead  int64          // gas of the run ahead, after initialisation; 0 is DefaultAhead, below 0 runs nothing
}

// Prepared is a program with an input, run as far as nobody's data is needed.
type Prepared struct {
	Program *Program
	Input   []byte
	Limits  capsule.Limits

	// State is the continuation, nil for a fresh start. Base is the image after initialisation that it differs from,
	// the same for all capsules of the program and the same limits.
	State     []byte
	StateHash capsule.Hash
	Base      []byte
	BaseCID   capsule.CID

	Done uint64 // gas of what ran here and will not run again
	Cut  string // what it stopped at: a host call, "the end" or "the budget"
}

// Prepare runs a program with its input up to the first host call that has an effect or reads what only a zone knows, and
// captures it there. What is pure, from the language runtime's start to the function's own computations, is done here and
// once; a failure in it is a [*GuestError] now, not a bill later.
func Prepare(ctx context.Context, p *Program, input []byte, o PrepareOptions) (*Prepared, error) {
	if len(input) > hostabi.MaxValue {
		return nil, fmt.Errorf("%s: an input of %d bytes, at most %d; keep the data in the zone and pass its key", p.Name, len(input), hostabi.MaxValue)
	}
	pr := &Prepared{Program: p, Input: input, Limits: fillLimits(o.Limits), Cut: "nothing"}
	if o.Ahead < 0 {
		return pr, nil
	}
	if o.Ahead == 0 {
		o.Ahead = DefaultAhead
	}
	st, err := p.started(ctx, pr.Limits)
	if err != nil || st == nil {
		return pr, err
	}
	g, err := st.enter(ahead{}, input)
	if err != nil {
		return nil, err
	}
	defer func() { g.store.Close() }()
	stop, err := g.run(ctx, uint64(o.Ahead))
	if err != nil {
		return nil, err
	}
	switch stop.Reason {
	case vm.Waiting:
		pr.Cut = g.host.State.Pending.Op.String()
	case vm.OutOfGas:
		pr.Cut = "the budget"
	default:
		if e := g.end(stop); e.failed != nil {
			return nil, e.failed
		}
		// A zone certifies only what it ran, so it gets the program before the entry.
		pr.Cut = "the end"
		g.store.Close()
		if g, err = st.enter(ahead{}, input); err != nil {
			return nil, err
		}
	}
	return pr, pr.capture(g, st)
}

// capture freezes a guest. What it logged so far travels with it.
func (p *Prepared) capture(g *guest, st *started) error {
	host := g.host.State.Marshal()
	state, err := g.store.Freeze(vm.FreezeOptions{Base: st.base, Host: host})
	if err != nil {
		return fmt.Errorf("%s: capture: %w", p.Program.Name, err)
	}
	hash, err := g.store.StateHash(host)
	if err != nil {
		return fmt.Errorf("%s: capture: %w", p.Program.Name, err)
	}
	p.State, p.StateHash, p.Done = state, hash, g.store.Gas()
	if st.base != nil {
		p.Base, p.BaseCID = st.base.Bytes(), capsule.RawCID(st.base.Bytes())
	}
	return nil
}

// started is a program after its initialisation, made once for all its inputs under the same limits.
type started struct {
	prog   *Program
	limits capsule.Limits
	base   *vm.Base       // nil if there is nothing to initialise
	log    []hostabi.Line // of the initialisation
}

// startedCache holds the few variants of a program that a client uses.
type startedCache struct {
	mu sync.Mutex
	m  map[capsule.Limits]*started
}

// maxStarted bounds the images that a program keeps, a few megabytes each.
const maxStarted = 4

// initialiseGas bounds the initialisation of a program: a hundred times what the Go runtime and a few packages take.
const initialiseGas = 200_000_000

// started initialises the program, or answers nil if that needs a zone: then nothing can run ahead.
func (p *Program) started(ctx context.Context, l capsule.Limits) (*started, error) {
	p.ready.mu.Lock()
	defer p.ready.mu.Unlock()
	if st, ok := p.ready.m[l]; ok {
		return st, nil
	}
	st := &started{prog: p, limits: l}
	if w := p.mod.Wasm(); w.Start >= 0 || p.hasInitializer() {
		g, err := p.begin(ahead{}, l)
		if err != nil {
			return nil, err
		}
		defer g.store.Close()
		stop, err := g.run(ctx, initialiseGas)
		if err != nil {
			return nil, err
		}
		switch stop.Reason {
		case vm.Done:
			if st.base, err = g.store.NewBase(); err != nil {
				return nil, fmt.Errorf("%s: capture its initial state: %w", p.Name, err)
			}
			g.host.Flush(wasi.Levels)
			st.log = g.host.State.Log
		case vm.Waiting:
			st = nil
		case vm.OutOfGas:
			return nil, fmt.Errorf("%s: its initialisation takes more than %d units of gas; do that work in the function, where it can be interrupted",
				p.Name, uint64(initialiseGas))
		default:
			e := g.end(stop)
			if e.failed == nil {
				e.failed = &GuestError{Func: p.Name, Reason: "its initialisation ended the program"}
			}
			return nil, e.failed
		}
	}
	if p.ready.m == nil || len(p.ready.m) >= maxStarted {
		p.ready.m = map[capsule.Limits]*started{}
	}
	p.ready.m[l] = st
	return st, nil
}

// enter makes a guest that stands before its entry.
func (st *started) enter(eff hostabi.Effects, input []byte) (*guest, error) {
	p := st.prog
	if st.base == nil {
		g, err := p.begin(eff, st.limits)
		if err == nil {
			err = g.enter(input)
		}
		return g, err
	}
	g := &guest{prog: p, host: hostabi.New(eff)}
	var err error
	if g.store, err = st.base.NewStore(vm.Config{Limits: vmLimits(st.limits)}, p.sources(nil, g.resolver())); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	g.inst = g.store.Instances()[0]
	g.host.State.Log = slices.Clone(st.log)
	return g, g.enter(input)
}

// sources are what continuations of the program name.
func (p *Program) sources(base *vm.Base, host vm.Resolver) vm.Sources {
	return vm.Sources{
		Host: host,
		Module: func(hash [32]byte) (*vm.Module, error) {
			if hash != p.mod.Hash() {
				return nil, fmt.Errorf("the state is of other code, %x", hash)
			}
			return p.mod, nil
		},
		Base: func(hash [32]byte) (*vm.Base, error) {
			if base == nil || hash != base.Hash() {
				return nil, fmt.Errorf("the state is told against an unknown base, %x", hash)
			}
			return base, nil
		},
	}
}

// resume makes a guest that goes on from where the capsule was prepared, with the effects given.
func (p *Prepared) resume(ctx context.Context, eff hostabi.Effects) (*guest, error) {
	st, err := p.Program.started(ctx, p.Limits)
	if err != nil {
		return nil, err
	}
	if st == nil {
		return nil, fmt.Errorf("%s: its initialisation asks for what only a zone knows, so it can't be tried here", p.Program.Name)
	}
	if p.State == nil {
		return st.enter(eff, p.Input)
	}
	g := &guest{prog: p.Program, host: hostabi.New(eff)}
	var host []byte
	if g.store, host, err = vm.Thaw(p.State, vm.Config{Limits: vmLimits(p.Limits)}, p.Program.sources(st.base, g.resolver())); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Program.Name, err)
	}
	if err := g.host.Restore(host); err != nil {
		g.store.Close()
		return nil, fmt.Errorf("%s: %w", p.Program.Name, err)
	}
	return g, nil
}
