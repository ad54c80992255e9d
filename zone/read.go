package zone

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
	"github.com/kitwork/kwnode/zone/store"
)

// View is the state at one entry. Close it soon.
type View struct {
	machine.View
	v *store.View
}

// Index returns the entry that the view reflects.
func (v *View) Index() uint64 { return v.v.Applied().Index }

// Close releases the rows.
func (v *View) Close() error { return v.v.Close() }

// Query returns the state as this voter has it now, which may be behind the zone's.
func (z *Zone) Query() (*View, error) {
	v, err := z.db.View()
	if err != nil {
		return nil, err
	}
	return &View{View: machine.NewView(v), v: v}, nil
}

// Time returns the zone's time by the last entry applied here.
func (z *Zone) Time() (uint64, error) {
	z.ticks.mu.Lock()
	now := z.ticks.time
	z.ticks.mu.Unlock()
	if now != 0 {
		return now, nil
	}
	// Nothing was applied since the start: the zone is not founded, or its state came as a whole.
	v, err := z.Query()
	if err != nil {
		return 0, err
	}
	defer v.Close()
	head, err := v.Head()
	return head.Time, err
}

// Voters returns the voters of the newest epoch known here.
func (z *Zone) Voters() cert.VoterSet { return z.sets.newest() }

// Read returns a state that reflects everything whose outcome anybody learned before the call.
func (z *Zone) Read(ctx context.Context) (*View, error) {
	i, err := z.readIndex(ctx)
	if err != nil {
		return nil, err
	}
	if err := z.node.WaitApplied(ctx, i); err != nil {
		return nil, err
	}
	return z.Query()
}

func (z *Zone) readIndex(ctx context.Context) (uint64, error) {
	for {
		i, err := z.readIndexOnce(ctx)
		if err == nil || z.ctx.Err() != nil || errors.Is(err, raft.ErrNoQuorum) {
			return i, err
		}
		t := time.NewTimer(retryEvery)
		select {
		case <-ctx.Done():
			t.Stop()
			return 0, fmt.Errorf("read: %w: %w", err, ctx.Err())
		case <-t.C:
		}
	}
}

func (z *Zone) readIndexOnce(ctx context.Context) (uint64, error) {
	if _, ok := z.node.Leading(); ok {
		return z.node.ReadIndex(ctx)
	}
	leader, ok := z.node.Leader()
	if !ok || leader == z.self {
		if err := z.noQuorum(); err != nil {
			return 0, err
		}
		return 0, raft.ErrNotLeader
	}
	b, err := z.calls.call(ctx, leader, callReadIndex, []byte{})
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, errors.New("answer is no index")
	}
	return binary.BigEndian.Uint64(b), nil
}

// Certificate returns the certificate of an outcome. One that was lost is collected from the other voters, or the outcome
// is restated.
func (z *Zone) Certificate(ctx context.Context, s cert.Slot) (*cert.Certificate, error) {
	const (
		own      = 50 * time.Millisecond // in which votes mostly come by themselves
		patience = 500 * time.Millisecond
	)
	for restated := false; ; {
		i, ok, err := z.certs.slot(s)
		if err != nil {
			return nil, err
		}
		if ok {
			wait := func(d time.Duration) (*cert.Quorate, error) {
				wctx, cancel := context.WithTimeout(ctx, d)
				defer cancel()
				return z.certs.wait(wctx, i)
			}
			q, err := wait(own)
			if err != nil && ctx.Err() == nil {
				z.voting.ask([]uint64{i})
				q, err = wait(patience)
			}
			if err == nil {
				c, err := z.certs.certificate(s, q)
				if err == nil || !errors.Is(err, ErrNoCertificate) {
					return c, err
				}
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		if restated {
			// The restatement itself was not certified in time: too few voters are up, or it took longer than patience.
			if !z.pause(retryEvery) {
				return nil, raft.ErrStopped
			}
			restated = false
			continue
		}
		out, err := z.restate(ctx, s)
		if err != nil {
			return nil, err
		}
		if out.Result.Refusal != nil {
			return nil, out.Result.Refusal
		}
		for _, c := range out.Certificates {
			if c.Decision.Slot == s {
				return c, nil
			}
		}
		restated = true
	}
}

func (z *Zone) restate(ctx context.Context, s cert.Slot) (*Outcome, error) {
	cmd, err := machine.NewRestate(s)
	if err != nil {
		return nil, err
	}
	return z.Propose(ctx, cmd)
}

// hub tells local subscribers what the state machine asks for.
type hub struct {
	mu      sync.Mutex // guards what follows
	workers map[capsule.Key]map[*Subscription]bool
	moves   map[capsule.ID]*move
}

func newHub() *hub {
	return &hub{workers: map[capsule.Key]map[*Subscription]bool{}, moves: map[capsule.ID]*move{}}
}

// Subscription is a worker's stream of duties.
type Subscription struct {
	// C yields deliveries and stops. It is closed when the voter stops, or when the worker reads too slowly: subscribe again.
	C      <-chan machine.Effect
	c      chan machine.Effect
	h      *hub
	worker capsule.Key
}

// subscriptionBuffer is how many duties may wait for a worker.
const subscriptionBuffer = 256

// Subscribe returns what a worker must know: first the leases that it holds already, then changes as they are applied here.
func (z *Zone) Subscribe(worker capsule.Key) (*Subscription, error) {
	s := &Subscription{c: make(chan machine.Effect, subscriptionBuffer), h: z.hub, worker: worker}
	s.C = s.c
	// First the subscription, then the state: a lease in between is told twice, never not at all.
	z.hub.add(s)
	v, err := z.Query()
	if err != nil {
		s.Close()
		return nil, err
	}
	defer v.Close()
	w, err := v.Worker(worker)
	if err != nil && !errors.Is(err, machine.ErrNotFound) {
		s.Close()
		return nil, err
	}
	err = v.Held(worker, func(id capsule.ID) {
		c, err := v.Capsule(id)
		if err != nil {
			return
		}
		e := machine.Effect{Kind: machine.EffectDeliver, Worker: worker, Capsule: id, Lease: c.Lease.Number}
		z.hub.send(s, e)
		if w.Closed {
			e.Kind = machine.EffectYield
			z.hub.send(s, e)
		}
	})
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the subscription.
func (s *Subscription) Close() { s.h.remove(s) }

func (h *hub) add(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.workers[s.worker]
	if m == nil {
		m = map[*Subscription]bool{}
		h.workers[s.worker] = m
	}
	m[s] = true
}

func (h *hub) remove(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.removeLocked(s)
}

func (h *hub) removeLocked(s *Subscription) {
	m := h.workers[s.worker]
	if !m[s] {
		return
	}
	delete(m, s)
	if len(m) == 0 {
		delete(h.workers, s.worker)
	}
	close(s.c)
}

func (h *hub) send(s *Subscription, e machine.Effect) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sendLocked(s, e)
}

func (h *hub) sendLocked(s *Subscription, e machine.Effect) {
	if !h.workers[s.worker][s] {
		return
	}
	select {
	case s.c <- e:
	default:
		h.removeLocked(s)
	}
}

// publish distributes an entry's effects. It does not wait.
func (h *hub) publish(o *machine.Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range o.Effects {
		switch e.Kind {
		case machine.EffectDeliver, machine.EffectStop, machine.EffectYield:
			for s := range h.workers[e.Worker] {
				h.sendLocked(s, e)
			}
		case machine.EffectEnded:
			h.moveLocked(e.Capsule)
		}
	}
	for i := range o.Decisions {
		if s := &o.Decisions[i].Slot; s.Phase == cert.PhasePause {
			h.moveLocked(s.Capsule)
		}
	}
}

// moveLocked wakes whoever waits for the capsule.
func (h *hub) moveLocked(id capsule.ID) {
	if w := h.moves[id]; w != nil {
		close(w.c)
		delete(h.moves, id)
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.workers {
		for s := range m {
			close(s.c)
		}
	}
	clear(h.workers)
}

// Result is the certified end of a capsule.
type Result struct {
	Output      machine.Output
	Certificate *cert.Certificate
	Body        []byte // what the decision is the hash of
}

// Await returns a capsule's end as soon as it is certified.
func (z *Zone) Await(ctx context.Context, id capsule.ID) (*Result, error) {
	for {
		if r, err := z.awaitEnd(ctx, id); !errors.Is(err, errRunning) {
			return r, err
		}
	}
}

// awaitEnd looks for the end. If there is none it returns errRunning once something has happened that may be it.
func (z *Zone) awaitEnd(ctx context.Context, id capsule.ID) (*Result, error) {
	// An end between the look and the wait must not be missed.
	moved, leave := z.Moved(id)
	defer leave()
	out, end, err := z.end(id)
	if err == nil {
		c, err := z.Certificate(ctx, cert.Slot{Capsule: id, Hop: end.Hop, Segment: end.Segment, Phase: end.Phase})
		if err != nil {
			return nil, err
		}
		return &Result{Output: out, Certificate: c, Body: end.Body}, nil
	}
	if !errors.Is(err, errRunning) {
		return nil, err
	}
	select {
	case <-moved:
		return nil, errRunning
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-z.ctx.Done():
		return nil, raft.ErrStopped
	}
}

// move is what everybody who waits for one capsule's next end or suspension shares.
type move struct {
	c       chan struct{}
	waiters int
}

// Moved returns a channel that is closed when the next end or suspension of the capsule is applied, and a function to call
// when it is no longer waited for.
func (z *Zone) Moved(id capsule.ID) (<-chan struct{}, func()) { return z.hub.moved(id) }

// moved keeps nothing of those who have gone: anybody may ask for any ID.
func (h *hub) moved(id capsule.ID) (<-chan struct{}, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.moves[id]
	if w == nil {
		w = &move{c: make(chan struct{})}
		h.moves[id] = w
	}
	w.waiters++
	return w.c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if w.waiters--; w.waiters == 0 && h.moves[id] == w {
			delete(h.moves, id)
		}
	}
}

var errRunning = errors.New("the capsule has not ended")

// end returns a capsule's end as this voter has it.
func (z *Zone) end(id capsule.ID) (out machine.Output, end machine.SlotRow, err error) {
	v, err := z.Query()
	if err != nil {
		return out, end, err
	}
	defer v.Close()
	c, err := v.Capsule(id)
	if errors.Is(err, machine.ErrNotFound) || err == nil && !c.Status.Ended() {
		return out, end, errRunning
	}
	if err != nil {
		return out, end, err
	}
	if out, err = v.Output(id); err != nil {
		return out, end, err
	}
	slots, err := v.Slots(id)
	if err != nil {
		return out, end, err
	}
	for i := len(slots) - 1; i >= 0; i-- {
		s := &slots[i]
		switch s.Verdict {
		case cert.Finished, cert.Failed, cert.Cancelled, cert.Expired, cert.Refused, cert.Closed, cert.Abandoned:
			return out, *s, nil
		}
	}
	return out, end, fmt.Errorf("capsule %s is %s without an outcome: %w", id, out.Status, ErrNoCertificate)
}

// Warrant returns what a worker needs for a capsule that it leases, with the certificate that says so.
func (z *Zone) Warrant(ctx context.Context, id capsule.ID) (*machine.Warrant, *cert.Certificate, error) {
	v, err := z.Query()
	if err != nil {
		return nil, nil, err
	}
	w, err := v.Warrant(id)
	v.Close()
	if err != nil {
		return nil, nil, err
	}
	c, err := z.Certificate(ctx, cert.Slot{Capsule: id, Hop: w.Segment.Hop, Segment: w.Segment.Segment, Phase: cert.PhaseLease})
	return w, c, err
}
