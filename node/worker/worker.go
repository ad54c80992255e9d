// Package worker runs capsules for a zone: it takes leases, executes their segments and commits what they did. It must
// never run anything without a certificate, believe a voter beyond it, or know more of the zone's data than it reads
// under a lease.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/attest"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// Net is how a worker reaches its zone. Connections lead to the key that was asked for.
type Net interface {
	Open(ctx context.Context, k capsule.Key, proto string) (net.Conn, error)
	// Fetch returns content, verified, from a cache or one of the holders.
	Fetch(ctx context.Context, id capsule.CID, most int64, holders ...capsule.Key) ([]byte, error)
	// Lend offers content to whoever asks for it, and waits for no disk: it is the voters that have to keep it. Keep
	// protects it from eviction until Release.
	Lend(codec capsule.Codec, b []byte) (capsule.CID, error)
	Keep(id capsule.CID, owner string)
	Release(id capsule.CID, owner string)
}

// Config describes a worker of one zone.
type Config struct {
	Identity *capsule.Identity // of the worker alone: never a voter's
	Tracker  *cert.Tracker     // the zone; the worker owns it
	Chain    capsule.Chain     // the right to work, empty where the zone lets anybody
	Slots    uint32            // segments at a time
	Pages    uint32            // memory of all of them, 64 KiB each
	Net      Net
	Cache    *Cache // of programs, to share; nil: the worker's own
	// Voters says whom to try, as known now.
	Voters   func() []capsule.Key
	Compiler vm.Compiler // nil interprets
	Budget   vm.Budget
	Logger   *slog.Logger
}

// Worker serves one zone until it is closed.
type Worker struct {
	cfg  Config
	zone capsule.ZoneID

	mu       sync.Mutex // guards what follows, and cfg.Tracker
	sequence uint64     // of the last command
	voter    capsule.Key
	leases   map[capsule.ID]*lease
	drops    []*giving // leases to give back with the next renewal
	began    uint64    // sequence of the first registration; orders guards it
	known    bool      // the zone has answered it
	alive    bool      // the zone is to hear from this worker, whatever it holds
	drain    bool
	done     uint64        // segments that were committed
	period   time.Duration // between renewals, a quarter of the zone's lease

	placing chan struct{} // a token for each placement whose content is on its way
	orders  sync.Mutex    // held while a numbered command is on its way: the zone takes them in order
	renewal chan struct{} // a renewal is wanted at once
	notes   chan api.Note // to tell the voters
	pool    api.Pool
	turns   chan struct{} // see turn

	ctx    context.Context // ends with the worker
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// lease is a segment that runs here.
type lease struct {
	number uint64
	cancel context.CancelCauseFunc
	yield  atomic.Bool // it is wanted back
	used   uint64      // units, once the attempt is over
}

// giving is a lease that goes back to the zone.
type giving struct {
	ref  machine.LeaseRef
	done chan struct{} // closed when the zone has it
}

// errLost: the lease is over. What the segment did is void.
var errLost = errors.New("the lease is over")

// Start begins to work.
func Start(cfg Config) *Worker {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Cache == nil {
		cfg.Cache = NewCache()
	}
	w := &Worker{cfg: cfg, zone: cfg.Tracker.Zone(), leases: map[capsule.ID]*lease{}, renewal: make(chan struct{}, 1),
		placing: make(chan struct{}, attest.AtOnce), notes: make(chan api.Note, noteRoom),
		pool: api.Pool{Open: cfg.Net.Open}, turns: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.wg.Go(w.serve)
	w.wg.Go(w.renew)
	w.wg.Go(w.tell)
	return w
}

// Close stops at once. The zone gives the leases to others when they run out.
func (w *Worker) Close() {
	w.cancel()
	w.wg.Wait()
	w.pool.Close()
}

// Drain takes no more work, saves what runs and gives it back, and returns when nothing is left or ctx ends.
func (w *Worker) Drain(ctx context.Context) error {
	w.mu.Lock()
	w.drain = true
	for _, l := range w.leases {
		l.yield.Store(true)
	}
	w.mu.Unlock()
	if err := w.register(ctx); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		w.mu.Lock()
		left := len(w.leases)
		w.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("drain: %d segments still run: %w", left, ctx.Err())
		case <-t.C:
		}
	}
}

// Status is what a worker does.
type Status struct {
	Zone     capsule.ZoneID
	Running  []capsule.ID
	Segments uint64 // committed since the start
	Voter    capsule.Key
	Draining bool
}

// Status tells what the worker does now.
func (w *Worker) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := Status{Zone: w.zone, Segments: w.done, Voter: w.voter, Draining: w.drain}
	for id := range w.leases {
		s.Running = append(s.Running, id)
	}
	return s
}

const (
	callTimeout = 10 * time.Second
	retryLow    = 50 * time.Millisecond
	retryHigh   = 2 * time.Second
)

// serve keeps a line to one voter at a time.
func (w *Worker) serve() {
	wait := retryLow
	for next := 0; w.ctx.Err() == nil; next++ {
		voters := w.cfg.Voters()
		if len(voters) > 0 {
			k := voters[next%len(voters)]
			began := time.Now()
			err := w.line(k)
			if w.ctx.Err() != nil {
				return
			}
			w.cfg.Logger.Debug("line to the zone ended", "zone", w.zone, "voter", k, "err", err)
			if time.Since(began) > retryHigh {
				wait = retryLow
			}
		}
		select {
		case <-w.ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, retryHigh)
	}
}

// line registers and takes what one voter sends.
func (w *Worker) line(k capsule.Key) error {
	w.mu.Lock()
	w.voter = k
	w.mu.Unlock()
	if err := w.register(w.ctx); err != nil {
		return err
	}
	s, err := w.cfg.Net.Open(w.ctx, k, api.ProtoWork)
	if err != nil {
		return err
	}
	defer s.Close()
	stop := context.AfterFunc(w.ctx, func() { _ = s.SetDeadline(time.Now()) })
	defer stop()
	req := &api.WorkRequest{V: api.Version, Zone: w.zone}
	w.mu.Lock()
	for id, l := range w.leases {
		req.Holds = append(req.Holds, api.LeaseRef{Capsule: id, Number: l.number})
	}
	w.mu.Unlock()
	if err := api.Write(s, req); err != nil {
		return err
	}
	for {
		m, err := api.Receive[api.Work](s, api.MaxWork)
		if err != nil {
			return err
		}
		if m.Stop || m.Yield || m.Cancel {
			w.stop(m)
			continue
		}
		if err := w.take(m); err != nil {
			w.cfg.Logger.Warn("lease refused", "zone", w.zone, "capsule", m.Lease.Capsule, "err", err)
		}
	}
}

// next is the sequence number of the worker's next command: the time, so that it grows across restarts.
func (w *Worker) next() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sequence = max(w.sequence+1, uint64(time.Now().UnixMilli()))
	return w.sequence
}

func (w *Worker) scope() machine.Scope {
	w.mu.Lock()
	defer w.mu.Unlock()
	return machine.NewScope(w.zone, w.cfg.Tracker.Newest().Generation)
}

// register tells the zone what the worker offers. Until the zone answers that it has begun, that is one command however
// often it is sent: a second beginning would cost the worker the leases that it was given meanwhile.
func (w *Worker) register(ctx context.Context) error {
	w.orders.Lock()
	defer w.orders.Unlock()
	w.mu.Lock()
	drain, known := w.drain, w.known
	w.mu.Unlock()
	if !known {
		if w.began == 0 {
			w.began = w.next()
		}
		if err := w.offer(ctx, w.began, false, true); err != nil {
			return err
		}
		w.mu.Lock()
		w.known = true
		w.mu.Unlock()
		if !drain {
			return nil
		}
	}
	return w.offer(ctx, w.next(), drain, false)
}

// offer is one registration. The caller holds orders.
func (w *Worker) offer(ctx context.Context, sequence uint64, drain, began bool) error {
	cmd, err := machine.NewRegister(w.cfg.Identity, &machine.Register{
		Scope: w.scope(), Sequence: sequence, Slots: w.cfg.Slots, Pages: w.cfg.Pages, Drain: drain, Began: began, Chain: w.cfg.Chain,
	})
	if err != nil {
		return err
	}
	if _, err = w.command(ctx, cmd); err != nil {
		return fmt.Errorf("register with zone %s: %w", w.zone, err)
	}
	return nil
}

// command hands a voter a command, with the attestations that it needs, and waits for its outcome.
func (w *Worker) command(ctx context.Context, cmd []byte, first ...[]byte) (*api.CommandReply, error) {
	return ask[api.CommandReply](ctx, w, api.ProtoCommand, w.request(cmd, first), api.MaxMessage)
}

// leaderTime is how long the voter that is said to lead may take before others are asked.
const leaderTime = 2 * time.Second

// work is command for those of segments, which are many: it asks the leader first, as far as is known, to whom any other
// voter would only pass them on. What keeps leases alive does not wait for a leader that may be gone.
func (w *Worker) work(ctx context.Context, cmd []byte, first ...[]byte) (*api.CommandReply, error) {
	if voters := w.cfg.Voters(); len(voters) > 0 {
		short, cancel := context.WithTimeout(ctx, leaderTime)
		reply, err := api.AskPool[api.CommandReply](short, &w.pool, voters[0], api.ProtoCommand, w.request(cmd, first), api.MaxMessage)
		cancel()
		if answered(err) || ctx.Err() != nil {
			return reply, err
		}
	}
	return w.command(ctx, cmd, first...)
}

func (w *Worker) request(cmd []byte, first [][]byte) *api.CommandRequest {
	return &api.CommandRequest{V: api.Version, Zone: w.zone, Command: cmd, First: append([][]byte{}, first...)}
}

// answered tells an answer, a refusal included, from what another voter may do better.
func answered(err error) bool {
	var refused *api.Refusal
	return err == nil || errors.As(err, &refused) && refused.Code != api.CodeUnavailable && refused.Code != api.CodeBusy
}

// ask makes one request of the voter that the worker has, or of another if that can't be reached.
func ask[T any](ctx context.Context, w *Worker, proto string, request any, most int) (*T, error) {
	w.mu.Lock()
	first := w.voter
	w.mu.Unlock()
	var last error
	for _, k := range append([]capsule.Key{first}, w.cfg.Voters()...) {
		if k.IsZero() || last != nil && k == first {
			continue
		}
		reply, err := askOne[T](ctx, w, k, proto, request, most)
		if answered(err) {
			return reply, err
		}
		if last = err; ctx.Err() != nil {
			break
		}
	}
	if last == nil {
		last = errors.New("no voter of the zone is known")
	}
	return nil, last
}

func askOne[T any](ctx context.Context, w *Worker, k capsule.Key, proto string, request any, most int) (*T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return api.AskPool[T](ctx, &w.pool, k, proto, request, most)
}

// minPeriod bounds how often leases are renewed, whatever a zone asks for.
const minPeriod = 100 * time.Millisecond

// renew keeps the leases alive, and gives back those that others are to continue.
func (w *Worker) renew() {
	for {
		w.mu.Lock()
		period := max(minPeriod, w.period)
		w.mu.Unlock()
		select {
		case <-w.ctx.Done():
			return
		case <-time.After(period):
		case <-w.renewal:
		}
		if err := w.renewOnce(); err != nil && w.ctx.Err() == nil {
			w.cfg.Logger.Warn("leases not renewed", "zone", w.zone, "err", err)
		}
	}
}

func (w *Worker) renewOnce() error {
	w.orders.Lock()
	defer w.orders.Unlock()
	r := &machine.Renew{Scope: w.scope(), Sequence: w.next()}
	w.mu.Lock()
	drops := w.drops
	w.drops = nil
	going := map[machine.LeaseRef]bool{}
	for _, d := range drops {
		going[d.ref] = true
		r.Drop = append(r.Drop, d.ref)
	}
	for id, l := range w.leases {
		if ref := (machine.LeaseRef{Capsule: id, Number: l.number}); !going[ref] {
			r.Keep = append(r.Keep, ref)
		}
	}
	alive := w.alive
	w.alive = false
	w.mu.Unlock()
	if len(r.Keep)+len(r.Drop) == 0 && !alive {
		return nil
	}
	cmd, err := machine.NewRenew(w.cfg.Identity, r)
	if err == nil {
		_, err = w.command(w.ctx, cmd)
	}
	if err != nil {
		w.mu.Lock()
		w.alive = true
		w.drops = append(w.drops, drops...) // with the next renewal
		w.mu.Unlock()
		return fmt.Errorf("%d kept, %d given back: %w", len(r.Keep), len(r.Drop), err)
	}
	for _, d := range drops {
		close(d.done)
	}
	return nil
}

// giveBack returns a lease, and waits until the zone has it or ctx ends.
func (w *Worker) giveBack(ctx context.Context, ref machine.LeaseRef) {
	d := &giving{ref: ref, done: make(chan struct{})}
	w.mu.Lock()
	w.drops = append(w.drops, d)
	w.mu.Unlock()
	select {
	case w.renewal <- struct{}{}:
	default:
	}
	select {
	case <-d.done:
	case <-ctx.Done():
	}
}

// errCancelled: the capsule's author wants no more of it.
var errCancelled = errors.New("its author cancelled it")

// stop ends a lease: at once, because it is lost or the capsule cancelled, or at the next slice's end with its progress saved.
func (w *Worker) stop(m *api.Work) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.Stop {
		// The zone may take this worker for silent: a lease can run out before it gets here. It gives no other until it hears
		// from the worker, which would have nothing to say.
		w.alive = true
	}
	l := w.leases[m.Lease.Capsule]
	switch {
	case l == nil || l.number > m.Lease.Number:
	case m.Cancel:
		l.cancel(errCancelled)
	case m.Yield:
		l.yield.Store(true)
	default:
		l.cancel(errLost)
	}
}
