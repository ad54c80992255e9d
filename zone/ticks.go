package zone

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

const (
	// tickTolerance is how far a tick may be from a voter's own clock for it to sign, in milliseconds.
	tickTolerance = 500
	// tickAge is how old the zone's time may be before a batch, in milliseconds.
	tickAge = 250
	// tickWait bounds how long a batch waits for the voters' signatures of its tick.
	tickWait = 300 * time.Millisecond
	// handOverAfter is the number of ticks in a row that failed after which the leader suspects its own clock.
	handOverAfter = 3
)

// ticks keeps the zone's time moving while there is a reason: commands, or a deadline in the state.
type ticks struct {
	z    *Zone
	wake chan struct{}
	one  chan struct{} // holds a token while a tick is being signed: batches do not ask twice

	mu       sync.Mutex // guards what follows
	scope    machine.Scope
	epoch    uint64
	time     uint64 // the zone's, by the last entry applied
	deadline uint64
	failing  error // why the last tick was not signed by enough voters
	failures int   // in a row
}

// applied follows the state.
func (t *ticks) applied(o *machine.Outcome) {
	t.mu.Lock()
	t.scope, t.epoch, t.time, t.deadline = machine.NewScope(o.Zone, o.Generation), o.Epoch, o.Time, o.Deadline
	t.mu.Unlock()
	t.signal()
}

func (t *ticks) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// due returns a tick to put before a batch, or nil if the time is fresh or too few voters agree on it: commands then go on
// under the old time.
func (t *ticks) due(ctx context.Context) []byte {
	t.one <- struct{}{} // never longer than tickWait
	defer func() { <-t.one }()
	now := t.z.cfg.Now()
	t.mu.Lock()
	fresh := t.scope.V == 0 || now < t.time+tickAge && now+tickTolerance >= t.time
	t.mu.Unlock()
	if fresh {
		return nil
	}
	cmd, err := t.sign(ctx, now)
	t.note(err)
	return cmd
}

// note remembers whether ticks succeed. A leader whose own clock is astray hands over: with a quorum of good clocks the
// zone's time must not stand still.
func (t *ticks) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failing = err
	if err == nil {
		t.failures = 0
		return
	}
	if t.failures++; t.failures < handOverAfter {
		return
	}
	t.failures = 0
	t.z.duties.background(func() {
		if err := t.z.node.Transfer(capsule.Key{}); err != nil {
			t.z.log.Debug("clock astray, leadership not handed over", "err", err)
		}
	})
}

// sign collects a quorum's signatures of a time.
func (t *ticks) sign(ctx context.Context, at uint64) ([]byte, error) {
	t.mu.Lock()
	if at <= t.time {
		defer t.mu.Unlock()
		return nil, fmt.Errorf("this voter's clock is %d ms behind the zone's time", t.time-at)
	}
	tick := machine.Tick{Scope: t.scope, Epoch: t.epoch, At: at}
	t.mu.Unlock()
	payload, err := capsule.Marshal(&tick)
	if err != nil {
		return nil, err
	}
	set := t.z.sets.set(tick.Generation, tick.Epoch)
	if set == nil {
		return nil, fmt.Errorf("the voters of epoch %d are not known here", tick.Epoch)
	}
	sigs, err := t.z.gather(ctx, set, callTick, payload, tickWait)
	if err != nil {
		return nil, fmt.Errorf("the zone's time stands still: %w", err)
	}
	return machine.NewQuorum(machine.KindTick, payload, sigs)
}

// gather asks all voters for their signature of a payload and returns as soon as a quorum has signed.
func (z *Zone) gather(ctx context.Context, set *cert.VoterSet, kind callKind, payload []byte, wait time.Duration) ([]cert.IndexSig, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	type answer struct {
		sig cert.IndexSig
		err error
	}
	answers := make(chan answer, len(set.Keys))
	for pos, k := range set.Keys {
		z.wg.Add(1)
		go func() {
			defer z.wg.Done()
			b, err := z.askSig(ctx, k, kind, payload)
			a := answer{err: err}
			if err == nil && len(b) == len(a.sig.Sig) {
				a.sig = cert.IndexSig{Pos: uint8(pos), Sig: capsule.Sig(b)}
				if !capsule.VerifySig(k, kind.sigKind(), payload, a.sig.Sig) {
					a.err = fmt.Errorf("voter %s sent an invalid signature", k)
				}
			} else if err == nil {
				a.err = fmt.Errorf("voter %s sent no signature", k)
			}
			answers <- a
		}()
	}
	var sigs []cert.IndexSig
	var why error
	for range set.Keys {
		a := <-answers
		if a.err != nil {
			why = a.err
			continue
		}
		sigs = append(sigs, a.sig)
		if len(sigs) == set.Quorum() {
			slices.SortFunc(sigs, func(a, b cert.IndexSig) int { return int(a.Pos) - int(b.Pos) })
			return sigs, nil
		}
	}
	return nil, fmt.Errorf("%d of %d voters signed, want %d: %w", len(sigs), len(set.Keys), set.Quorum(), why)
}

func (k callKind) sigKind() capsule.Kind {
	switch k {
	case callEpoch:
		return cert.KindEpoch
	case callDescriptor:
		return cert.KindDescriptor
	}
	return machine.KindTick.SigKind()
}

func (z *Zone) askSig(ctx context.Context, k capsule.Key, kind callKind, payload []byte) ([]byte, error) {
	if k == z.self {
		return z.serve(ctx, k, kind, payload)
	}
	return z.calls.call(ctx, k, kind, payload)
}

// signTick signs another voter's idea of the time if it is near this voter's.
func (z *Zone) signTick(payload []byte) ([]byte, error) {
	var t machine.Tick
	if err := capsule.Unmarshal(payload, &t); err != nil {
		return nil, err
	}
	now := z.cfg.Now()
	switch {
	case t.Zone != z.id:
		return nil, fmt.Errorf("the tick is of zone %s", t.Zone)
	case t.At > now+tickTolerance || t.At+tickTolerance < now:
		return nil, fmt.Errorf("the tick to %d is %d ms from this voter's clock", t.At, int64(t.At-now))
	}
	s := z.cfg.Identity.Sign(machine.KindTick.SigKind(), payload)
	return s[:], nil
}

// run proposes a tick when the state's earliest deadline is due and this voter leads.
func (t *ticks) run() {
	defer t.z.wg.Done()
	for {
		t.mu.Lock()
		deadline := t.deadline
		t.mu.Unlock()
		var due <-chan time.Time
		var timer *time.Timer
		if _, lead := t.z.node.Leading(); lead && deadline != 0 {
			wait := time.Duration(0)
			if now := t.z.cfg.Now(); deadline > now {
				wait = time.Duration(min(deadline-now, 3_600_000)) * time.Millisecond
			}
			timer = time.NewTimer(wait)
			due = timer.C
		}
		select {
		case <-t.z.ctx.Done():
		case <-t.wake:
		case <-due:
			t.fire(deadline)
		}
		if timer != nil {
			timer.Stop()
		}
		if t.z.ctx.Err() != nil {
			return
		}
	}
}

// fire moves the time to a deadline. When it fails the next attempt waits: the voters' clocks are apart or too few are up.
func (t *ticks) fire(deadline uint64) {
	now := t.z.cfg.Now()
	if now < deadline {
		return
	}
	t.mu.Lock()
	moved := t.deadline != deadline
	t.mu.Unlock()
	if moved {
		return
	}
	cmd, err := t.sign(t.z.ctx, now)
	if err == nil {
		_, err = t.z.proposer.propose(t.z.ctx, cmd)
	}
	t.note(err)
	if err != nil {
		t.z.pause(tickAge * time.Millisecond)
	}
}
