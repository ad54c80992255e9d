package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
	"github.com/kitwork/kwnode/vm/wasi"
	"github.com/kitwork/kwnode/zone/machine"
)

// errBroken: the capsule can't be run from what was delivered, whoever tries. It ends failed.
var errBroken = errors.New("the capsule's state does not fit its code")

// segment is one attempt at one segment.
type segment struct {
	warrant  *machine.Warrant
	manifest *capsule.Manifest
	eff      *effects
	store    *vm.Store
	host     *hostabi.Host
	base     *vm.Base
	turn     *turn
	// start is what the store had used before the segment, meter what earlier attempts at it had used when they were
	// saved: both are part of the store's sum.
	start uint64
}

// parts are the contents that a segment needs, by what they are for.
type parts struct {
	code    *vm.Module
	base    baseSource
	state   []byte
	journal *machine.Journal // of a checkpoint that had read or held back something
}

// load makes the store that the warrant describes.
func load(w *machine.Warrant, m *capsule.Manifest, p parts, eff *effects, cfg vm.Config) (*segment, error) {
	s := &segment{warrant: w, manifest: m, eff: eff, host: hostabi.New(eff)}
	cfg.Limits = vm.Limits{MemoryPages: m.Limits.MemoryPages, TableElems: m.Limits.TableElems, Depth: m.Limits.Depth}
	cfg.Seed = m.Seed
	eff.used = func() uint64 { return s.used() }
	var err error
	if p.state == nil {
		err = s.fresh(p.code, cfg)
	} else {
		err = s.thaw(p, cfg)
	}
	if err != nil {
		s.close()
		if errors.Is(err, vm.ErrBudget) || errors.Is(err, errFetch) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	return s, nil
}

func (s *segment) resolver() vm.Resolver { return vm.Resolvers{s.host, wasi.New(s.host)} }

func (s *segment) fresh(code *vm.Module, cfg vm.Config) error {
	s.store = vm.NewStore(cfg)
	inst, err := s.store.Instantiate(code, s.resolver())
	if err != nil {
		return err
	}
	if inst.Export(initializer) != nil {
		return s.store.Start(inst, initializer)
	}
	return nil
}

// enter begins the entry of a program that has been initialised. Until then its random numbers come from the manifest's
// seed, so that every start of it leads to one state.
func (s *segment) enter() error {
	s.host.Flush(wasi.Levels)
	s.host.State.Started = true
	s.host.State.Input = s.manifest.Input
	return s.store.Start(s.store.Instances()[0], s.manifest.Entry)
}

// initializer is the export that a reactor is initialised by.
const initializer = "_initialize"

func (s *segment) thaw(p parts, cfg vm.Config) error {
	src := vm.Sources{
		Host: s.resolver(),
		Module: func(hash [32]byte) (*vm.Module, error) {
			if hash != p.code.Hash() {
				return nil, fmt.Errorf("the state is of other code, %x", hash)
			}
			return p.code, nil
		},
	}
	src.Base = func(hash [32]byte) (*vm.Base, error) {
		var err error
		s.base, err = p.base(hash, cfg, src)
		return s.base, err
	}
	store, host, err := vm.Thaw(p.state, cfg, src)
	if err != nil {
		return err
	}
	s.store = store
	// Until here the program's log belongs to whoever ran it.
	if err := s.host.Restore(host); err != nil {
		return err
	}
	s.start = store.Gas() - min(s.warrant.Meter, store.Gas())
	return nil
}

func (s *segment) close() {
	if s.store != nil {
		s.store.Close()
	}
}

// used is the segment's meter.
func (s *segment) used() uint64 { return s.store.Gas() - s.start }

// answerPending gives the program what it was stopped for: the end of a sleep, the answer of another zone, or the effect
// that its client couldn't carry out.
func (s *segment) answerPending() error {
	p := s.host.State.Pending
	if p == nil {
		return nil
	}
	switch p.Op {
	case hostabi.OpSleep:
		if s.warrant.Check.State.IsZero() && s.warrant.Segment.Segment > 0 {
			return s.host.Answer(s.store, hostabi.Reply{N: p.N})
		}
	case hostabi.OpUntil:
		if now := s.eff.clock * 1_000_000; now >= p.N {
			return s.host.Answer(s.store, hostabi.Reply{N: 0})
		}
	case hostabi.OpGoto:
		if s.warrant.Resume < 0 {
			return s.host.Answer(s.store, hostabi.Reply{Err: hostabi.Errno(s.warrant.Resume)})
		}
	}
	err := s.host.Perform(s.store)
	if errors.Is(err, vm.ErrPending) {
		return errAgain
	}
	return err
}

// errAgain: the pending call still ends the segment.
var errAgain = errors.New("the call is still pending")

// outcome is how an attempt came to a boundary.
type outcome struct {
	end    machine.End
	code   uint32
	output []byte
	due    uint64 // zone ms
	target capsule.ZoneID
}

// sliceGas is how much runs between two looks at whether a checkpoint is due: some tens of milliseconds.
const sliceGas = 20_000_000

// run executes to the next boundary. between is called between slices; its error ends the attempt.
func (s *segment) run(ctx context.Context, between func() error) (outcome, error) {
	defer s.turn.end()
	for answered := false; ; {
		if !s.turn.held {
			if err := s.turn.begin(ctx); err != nil {
				return outcome{}, err
			}
		}
		if !answered {
			if err := s.answerPending(); errors.Is(err, errAgain) {
				return s.waiting()
			} else if err != nil {
				return outcome{}, s.cause(err)
			}
			answered = true
		}
		left := s.warrant.Units - min(s.used(), s.warrant.Units)
		stop, err := s.store.Run(ctx, min(left, sliceGas))
		if err != nil {
			return outcome{}, s.cause(err)
		}
		switch stop.Reason {
		case vm.Interrupted:
			return outcome{}, context.Cause(ctx)
		case vm.OutOfGas:
			if left = s.warrant.Units - min(s.used(), s.warrant.Units); stop.Need > left {
				return outcome{end: machine.EndDry}, nil
			}
			s.turn.end()
			if err := between(); err != nil {
				return outcome{}, err
			}
		case vm.Waiting:
			return s.waiting()
		case vm.Done:
			if s.host.State.Started {
				return s.ended(stop), s.eff.broken
			}
			if err := s.enter(); err != nil {
				return outcome{}, fmt.Errorf("%w: %w", errBroken, err)
			}
		default:
			return s.ended(stop), s.eff.broken
		}
	}
}

// cause prefers what broke the effects to the trap that it ended in.
func (s *segment) cause(err error) error {
	if s.eff.broken != nil {
		return s.eff.broken
	}
	return err
}

// waiting is the boundary at a call that the zone must answer.
func (s *segment) waiting() (outcome, error) {
	p := s.host.State.Pending
	if p == nil {
		return outcome{}, fmt.Errorf("%w: it waits for a call that the host knows nothing of", errBroken)
	}
	s.host.Flush(wasi.Levels)
	switch p.Op {
	case hostabi.OpSleep:
		return outcome{end: machine.EndSleep, due: s.eff.clock + (p.N+999_999)/1_000_000}, nil
	case hostabi.OpUntil:
		return outcome{end: machine.EndSleep, due: (p.N + 999_999) / 1_000_000}, nil
	case hostabi.OpGoto:
		if id, ok := s.eff.here(string(p.Key)); ok {
			return outcome{end: machine.EndGoto, target: id}, nil
		}
	}
	return outcome{}, fmt.Errorf("%w: %v can't end a segment", errBroken, p.Op)
}

// ended interprets a stop that nothing follows. What the program's runtime said on standard error before it gave up is part
// of the message: like the trace it follows from the program and what it read, whoever runs it.
func (s *segment) ended(stop vm.Stop) outcome {
	state := &s.host.State
	said := string(state.ErrTail())
	s.host.Flush(wasi.Levels)
	fail := func(code uint32, text string) outcome {
		return outcome{end: machine.EndFail, code: code, output: clip(text)}
	}
	switch {
	case state.End != nil && state.End.Fail:
		return fail(state.End.Code, state.End.Msg)
	case state.End != nil && state.End.Code != 0:
		return fail(state.End.Code, lastWords(fmt.Sprintf("it exited with status %d", state.End.Code), said))
	case state.End == nil && stop.Reason == vm.Trapped:
		return outcome{end: machine.EndTrap, code: uint32(stop.Trap.Code), output: clip(lastWords(stop.Trap.Error(), said) + "\n" + vm.TraceString(stop.Trap.Trace))}
	case len(stop.Results) == 1 && stop.Results[0].I32() != 0:
		return fail(uint32(stop.Results[0].I32()), lastWords(fmt.Sprintf("its entry returned %d", stop.Results[0].I32()), said))
	case len(state.Output) > machine.MaxOutput:
		return fail(0, fmt.Sprintf("its result has %d bytes, at most %d; keep the data in the zone and return its key", len(state.Output), machine.MaxOutput))
	}
	return outcome{end: machine.EndDone, output: append([]byte{}, state.Output...)}
}

// lastWords adds what a program said on standard error to what stopped it.
func lastWords(reason, said string) string {
	if said = strings.TrimRight(strings.ToValidUTF8(said, "\uFFFD"), "\n"); said == "" {
		return reason
	}
	return reason + "; its last words:\n" + said
}

func clip(text string) []byte { return []byte(text[:min(len(text), machine.MaxOutput)]) }

// save freezes the program where it stands.
func (s *segment) save() (machine.Saved, []byte, error) {
	host := s.host.State.Marshal()
	state, err := s.store.Freeze(vm.FreezeOptions{Base: s.base, Host: host})
	if err != nil {
		return machine.Saved{}, nil, err
	}
	hash, err := s.store.StateHash(host)
	if err != nil {
		return machine.Saved{}, nil, err
	}
	saved := machine.Saved{State: capsule.RawCID(state), StateHash: hash, Size: uint64(len(state)), Inline: []byte{}}
	if len(state) <= machine.MaxInline {
		saved.Inline = state
	}
	return saved, state, nil
}

const (
	// checkpointEvery is how much of an attempt's work may be lost with its worker. It counts while the segment runs, not
	// while it waits for its turn: a worker with more to do must not save more for it.
	checkpointEvery = 200 * time.Millisecond
	// checkpointShare bounds the part of the time that goes into checkpoints: one in so many. Where they are dear, because
	// the state is large or the zone is busy, they come more rarely.
	checkpointShare = 20
)
