package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// grant is a lease that was verified.
type grant struct {
	warrant  machine.Warrant
	manifest *capsule.Manifest
	holders  []capsule.Key
	lease    uint64 // ms that were left of it when it was sent
}

// verify checks everything that a voter sent against the zone's certificates.
func (w *Worker) verify(m *api.Work) (*grant, error) {
	var g api.LeaseGrant
	if err := capsule.Unmarshal(m.Grant, &g); err != nil {
		return nil, err
	}
	if g.Zone != w.zone {
		return nil, fmt.Errorf("a grant of zone %s", g.Zone)
	}
	if err := w.certified(&g, m.Lease.Capsule); err != nil {
		return nil, err
	}
	out := &grant{}
	if err := capsule.Unmarshal(g.Segment, &out.warrant); err != nil {
		return nil, err
	}
	var body machine.LeaseBody
	if err := capsule.Unmarshal(g.Body, &body); err != nil {
		return nil, err
	}
	x := &out.warrant
	if x.Segment.Capsule != m.Lease.Capsule || x.Segment.Lease != m.Lease.Number || x.Worker != w.cfg.Identity.Key() ||
		x.Fresh != body.Fresh || x.Start.State != body.State || x.Start.StateHash != body.StateHash ||
		x.Seed != body.Seed || x.Clock != body.Clock || x.Resume != body.Resume {
		return nil, errors.New("the segment is not the one that the warrant certifies")
	}
	c, err := capsule.Decode(x.Envelope)
	if err != nil {
		return nil, err
	}
	if c.ID() != x.Segment.Capsule {
		return nil, errors.New("the envelope is another capsule's")
	}
	out.manifest, out.lease = c.Manifest(), x.Expires-min(g.Now, x.Expires)
	for _, p := range g.Holders {
		out.holders = append(out.holders, p.Key)
	}
	return out, nil
}

// certified checks a grant's certificates, learning the epochs on the way.
func (w *Worker) certified(g *api.LeaseGrant, id capsule.ID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, b := range g.Epochs {
		var s cert.SignedAdmin
		if err := capsule.Unmarshal(b, &s); err != nil {
			return fmt.Errorf("epoch %d on the way: %w", i, err)
		}
		if err := w.cfg.Tracker.Follow(&s); err != nil && !errors.Is(err, cert.ErrEpoch) {
			return fmt.Errorf("epoch %d on the way: %w", i, err)
		}
	}
	_, err := g.Check(id, w.cfg.Tracker)
	return err
}

// take begins a segment that was granted.
func (w *Worker) take(m *api.Work) error {
	g, err := w.verify(m)
	if err != nil {
		return err
	}
	id := g.warrant.Segment.Capsule
	ctx, cancel := context.WithCancelCause(w.ctx)
	l := &lease{number: g.warrant.Segment.Lease, cancel: cancel}
	w.mu.Lock()
	l.yield.Store(w.drain)
	if old := w.leases[id]; old != nil {
		if old.number >= l.number {
			w.mu.Unlock()
			cancel(nil)
			return nil // told twice
		}
		old.cancel(errLost)
	}
	w.leases[id] = l
	w.period = max(minPeriod, time.Duration(g.lease)*time.Millisecond/4)
	w.mu.Unlock()
	w.wg.Go(func() {
		defer cancel(nil)
		err := w.run(ctx, g, l)
		if err != nil && errors.Is(context.Cause(ctx), errCancelled) {
			err = w.commitEnd(w.ctx, g, outcome{end: machine.EndCancel}, l.used)
		}
		if errors.Is(err, errYield) {
			w.giveBack(ctx, machine.LeaseRef{Capsule: id, Number: l.number})
		}
		w.mu.Lock()
		if w.leases[id] == l {
			delete(w.leases, id)
		}
		if err == nil {
			w.done++
		} else {
			w.alive = true // one that lost a lease gets no other until it is heard of
		}
		w.mu.Unlock()
		if err != nil && !errors.Is(err, errLost) && !errors.Is(err, errYield) && w.ctx.Err() == nil {
			w.cfg.Logger.Warn("segment given up", "zone", w.zone, "capsule", id, "segment", g.warrant.Segment.Segment, "err", err)
			w.giveUp(g, err)
		}
	})
	return nil
}

// giveUp returns a lease that this worker can't serve, so that another needn't wait for it to run out.
func (w *Worker) giveUp(g *grant, cause error) {
	s := g.warrant.Segment
	w.note(api.LeaseRef{Capsule: s.Capsule, Number: s.Lease}, api.WatchEvent{Kind: api.EventRetry, Segment: s.Segment, Text: cause.Error()})
	w.giveBack(w.ctx, machine.LeaseRef{Capsule: s.Capsule, Number: s.Lease})
}

// errYield: the segment was saved, and somebody else is to continue it.
var errYield = errors.New("the lease is wanted back")

// run executes a segment and commits it.
func (w *Worker) run(ctx context.Context, g *grant, l *lease) error {
	if l.yield.Load() {
		return errYield
	}
	p, err := w.parts(ctx, g)
	if errors.Is(err, errBroken) {
		return w.commitEnd(ctx, g, outcome{end: machine.EndTrap, output: clip(err.Error())}, 0)
	} else if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	t := &turn{all: w.turns}
	seg, err := load(&g.warrant, g.manifest, p, w.effects(ctx, g, t), vm.Config{Compiler: w.cfg.Compiler, Budget: w.cfg.Budget})
	if errors.Is(err, errBroken) {
		return w.commitEnd(ctx, g, outcome{end: machine.EndTrap, output: clip(err.Error())}, 0)
	} else if err != nil {
		return err
	}
	defer func() {
		l.used = min(seg.used(), g.warrant.Units)
		seg.close()
	}()
	seg.eff.resume(p.journal)
	seg.turn = t
	last, pause := time.Duration(0), checkpointEvery
	trace := w.cfg.Logger.With("capsule", g.warrant.Segment.Capsule, "hop", g.warrant.Segment.Hop, "segment", g.warrant.Segment.Segment)
	trace.Debug("segment begins")
	out, err := seg.run(ctx, func() error {
		yield := l.yield.Load()
		if !yield && t.ran-last < pause {
			return nil
		}
		began := time.Now()
		err := w.checkpoint(ctx, seg)
		last = t.ran
		pause = max(checkpointEvery, checkpointShare*time.Since(began))
		if err != nil {
			w.cfg.Logger.Debug("checkpoint not kept", "capsule", seg.warrant.Segment.Capsule, "err", err)
		} else if yield {
			return errYield
		}
		return nil
	})
	trace.Debug("segment stops", "end", out.end)
	if errors.Is(err, errBroken) {
		return w.commitEnd(ctx, g, outcome{end: machine.EndTrap, output: clip(err.Error())}, min(seg.used(), g.warrant.Units))
	} else if errors.Is(err, errJournal) {
		// The reads that don't hold are a conflict: the zone drops the checkpoint and begins the segment anew.
		out = outcome{end: machine.EndTrap, output: clip(err.Error())}
	} else if err != nil {
		return err
	}
	return w.commit(ctx, seg, out)
}

func (w *Worker) effects(ctx context.Context, g *grant, t *turn) *effects {
	s := g.warrant.Segment
	e := &effects{
		data: &remote{ctx: ctx, w: w, turn: t, lease: api.LeaseRef{Capsule: s.Capsule, Number: s.Lease}, index: g.warrant.Index},
		self: w.zone, here: g.manifest.Stop, clock: g.warrant.Clock, seed: g.warrant.Seed, units: g.warrant.Units,
		reads: map[string]read{}, writes: map[string]machine.Write{},
		note: func(ev api.WatchEvent) {
			ev.Segment = s.Segment
			w.note(api.LeaseRef{Capsule: s.Capsule, Number: s.Lease}, ev)
		},
	}
	for _, n := range g.manifest.Needs {
		if n.Zone == w.zone {
			e.caps = append(e.caps, capsule.Cap{Resource: n.Resource, Ability: n.Ability})
		}
	}
	for _, stop := range g.manifest.Itinerary {
		if stop.Zone == w.zone {
			e.zone = stop.Name
		}
	}
	return e
}

// maxState bounds a module, a base or a continuation.
const maxState = 32 << 20

// parts fetches code, base and state.
func (w *Worker) parts(ctx context.Context, g *grant) (parts, error) {
	var p parts
	var err error
	fetch := func(id capsule.CID) ([]byte, error) { return w.cfg.Net.Fetch(ctx, id, maxState, g.holders...) }
	if p.code, err = w.cfg.Cache.module(g.manifest.Code, fetch); err != nil {
		return p, err
	}
	at := g.warrant.Start
	if !g.warrant.Check.State.IsZero() {
		at = g.warrant.Check
		if p.journal, err = w.journalOf(ctx, g); err != nil {
			return p, err
		}
	}
	state := at.State
	if state.IsZero() {
		if state = g.manifest.State; state.IsZero() {
			return p, nil
		}
	}
	if p.state = g.warrant.Inline; !at.Inline || len(p.state) == 0 {
		if p.state, err = fetch(state); err != nil { // verified there, a megabyte is not hashed again here
			return p, err
		}
	} else if capsule.RawCID(p.state) != state {
		return p, fmt.Errorf("%w: the continuation has another hash", errBroken)
	}
	if state.Codec != capsule.Raw {
		return p, fmt.Errorf("%w: the continuation has another hash", errBroken)
	}
	p.base = w.cfg.Cache.baseOf(g.manifest, fetch)
	return p, nil
}

// journalOf returns the journal of the warrant's checkpoint, nil if it has none.
func (w *Worker) journalOf(ctx context.Context, g *grant) (*machine.Journal, error) {
	at, b := &g.warrant.Check, g.warrant.Entries
	if at.Journal.IsZero() {
		return nil, nil
	}
	if !at.Entries {
		var err error
		if b, err = w.cfg.Net.Fetch(ctx, at.Journal, machine.MaxJournal, g.holders...); err != nil {
			return nil, err
		}
	}
	if capsule.RawCID(b) != at.Journal {
		return nil, fmt.Errorf("%w: the journal has another hash", errBroken)
	}
	j, err := machine.ParseJournal(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	return j, nil
}

// commit ends the segment in the zone.
func (w *Worker) commit(ctx context.Context, seg *segment, out outcome) error {
	c := &machine.Commit{
		Scope: w.scope(), Segment: seg.warrant.Segment, Gas: min(seg.used(), seg.warrant.Units),
		End: out.end, Due: out.due, Target: out.target, Code: out.code, Output: out.output,
		Saved: machine.Saved{Inline: []byte{}},
	}
	switch out.end {
	case machine.EndFail, machine.EndTrap, machine.EndDry:
		// The reads still have to hold for a failure to be true; its writes are dropped.
		j := seg.eff.journal()
		c.Reads, c.Scans = j.Reads, j.Scans
	default:
		j := seg.eff.journal()
		c.Reads, c.Scans, c.Writes, c.Events = j.Reads, j.Scans, j.Writes, j.Events
	}
	placed := &placement{}
	switch out.end {
	case machine.EndDone, machine.EndFail, machine.EndTrap:
	default:
		// One that ran dry pauses in the middle of a segment: what it holds back waits with it.
		var err error
		c.Saved, placed, err = w.keep(ctx, seg, out.end == machine.EndDry, out.target)
		defer placed.release()
		if err != nil {
			return err
		}
	}
	return w.send(ctx, c, placed)
}

// commitEnd ends a capsule that could not be loaded or went on in no way.
func (w *Worker) commitEnd(ctx context.Context, g *grant, out outcome, gas uint64) error {
	return w.send(ctx, &machine.Commit{
		Scope: w.scope(), Segment: g.warrant.Segment, Gas: gas, End: out.end, Code: out.code, Output: out.output,
		Saved: machine.Saved{Inline: []byte{}},
	}, &placement{})
}

// send repeats a commit until its outcome is known. The lease fences it, so it counts once.
func (w *Worker) send(ctx context.Context, c *machine.Commit, placed *placement) error {
	cmd, err := machine.NewCommit(w.cfg.Identity, c)
	if err != nil {
		return err
	}
	for wait := retryLow; ; wait = min(2*wait, retryHigh) {
		_, err := w.work(ctx, cmd, placed.words...)
		var refused *api.Refusal
		if err == nil || errors.As(err, &refused) {
			if refused != nil && refused.Code == string(machine.CodeLease) {
				return errLost
			}
			if refused == nil || refused.Code != api.CodeUnavailable && refused.Code != api.CodeBusy {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// checkpoint saves a segment that runs long, with what it has read and holds back.
func (w *Worker) checkpoint(ctx context.Context, seg *segment) error {
	saved, placed, err := w.keep(ctx, seg, true, capsule.ZoneID{})
	defer placed.release()
	if err != nil {
		return err
	}
	cmd, err := machine.NewCheckpoint(w.cfg.Identity, &machine.Checkpoint{
		Scope: w.scope(), Segment: seg.warrant.Segment, Gas: min(seg.used(), seg.warrant.Units), Saved: saved,
	})
	if err == nil {
		_, err = w.work(ctx, cmd, placed.words...)
	}
	s := seg.warrant.Segment
	w.note(api.LeaseRef{Capsule: s.Capsule, Number: s.Lease}, api.WatchEvent{Kind: api.EventGas, Segment: s.Segment, N: seg.used()})
	return err
}

func isRefused(err error, code machine.Code) bool {
	var r *api.Refusal
	return errors.As(err, &r) && r.Code == string(code)
}

// keep freezes a segment, in its middle with its journal, so that the zone can find what is named: small parts go along,
// the others are placed with the voters. The placement is never nil.
func (w *Worker) keep(ctx context.Context, seg *segment, middle bool, target capsule.ZoneID) (machine.Saved, *placement, error) {
	saved, state, err := seg.save()
	if err != nil {
		return saved, &placement{}, fmt.Errorf("freeze: %w", err)
	}
	var large []content
	if len(saved.Inline) == 0 {
		large = append(large, content{saved.State, state})
	}
	if middle {
		journal, err := seg.eff.saved()
		if err != nil {
			return saved, &placement{}, err
		}
		if len(journal) > 0 {
			saved.Journal = capsule.RawCID(journal)
		}
		if len(journal) <= machine.MaxInline {
			saved.Entries = journal
		} else {
			large = append(large, content{saved.Journal, journal})
		}
	}
	placed, err := w.place(ctx, seg.warrant.Segment, target, large...)
	return saved, placed, err
}

// remote reads the zone's data under a lease.
type remote struct {
	ctx   context.Context
	w     *Worker
	turn  *turn // of the segment, which does not keep a processor while it waits
	lease api.LeaseRef
	index uint64
}

// ask reads from the zone while others have the processor.
func (r *remote) ask(req *api.ReadRequest) (*api.ReadReply, error) {
	r.turn.end()
	reply, err := ask[api.ReadReply](r.ctx, r.w, api.ProtoRead, req, api.MaxRead)
	if terr := r.turn.begin(r.ctx); err == nil {
		err = terr
	}
	return reply, err
}

func (r *remote) request() *api.ReadRequest {
	return &api.ReadRequest{V: api.Version, Zone: r.w.zone, Lease: r.lease, Index: r.index, After: []byte{}}
}

func (r *remote) Row(key []byte) (api.Row, error) {
	req := r.request()
	req.Key = key
	reply, err := r.ask(req)
	if err != nil {
		return api.Row{}, err
	}
	if len(reply.Rows) != 1 || string(reply.Rows[0].Key) != string(key) {
		return api.Row{}, fmt.Errorf("%w: a reply to another read", api.ErrMessage)
	}
	return reply.Rows[0], nil
}

func (r *remote) Rows(prefix, after []byte) ([]api.Row, bool, error) {
	req := r.request()
	req.Key, req.After, req.Scan, req.Rows = prefix, after, true, api.MaxRows
	reply, err := r.ask(req)
	if err != nil {
		return nil, false, err
	}
	return reply.Rows, reply.More, nil
}
