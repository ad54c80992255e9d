// Package mover carries capsules between zones: whoever leads a zone brings what its log has released to the zones that
// are to take it, and their answers back into the log. It must never decide anything: it holds no state that a
// successor would miss, and everything that it brings is certified by others.
package mover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// Contents is where code and states are kept by hash.
type Contents interface {
	Has(id capsule.CID) bool
	Fetch(ctx context.Context, id capsule.CID, most int64, holders ...capsule.Key) ([]byte, error)
	// Borrow is Fetch that waits for no disk.
	Borrow(ctx context.Context, id capsule.CID, most int64, holders ...capsule.Key) ([]byte, error)
}

// Voter is the voter beside the mover.
type Voter interface {
	// Reserve keeps the content of a capsule that is about to come in, Reconsider lets go of it if it did not.
	Reserve(m *capsule.Manifest)
	Reconsider(m *capsule.Manifest)
	// Fits checks a continuation against the code that its capsule names, which it gets from holders.
	Fits(ctx context.Context, envelope, state []byte, holders []capsule.Key) error
	// Vouch gets the words of the zone's voters for facts, who fetch content from holders, as commands for its log.
	Vouch(ctx context.Context, facts []machine.Attest, envelope []byte, holders []api.Peer) ([][]byte, error)
}

// Config joins a mover to a voter of its zone.
type Config struct {
	Zone     *zone.Zone
	Contents Contents
	Voter    Voter
	Peers    func(keys []capsule.Key) []api.Peer // where keys can be reached, as known here
	// Voters names voters of a zone elsewhere, best first.
	Voters func(z capsule.ZoneID) []capsule.Key
	Open   func(ctx context.Context, k capsule.Key, proto string) (net.Conn, error)
	Logger *slog.Logger
}

// Mover serves one voter.
type Mover struct {
	cfg   Config
	lines *lines

	mu    sync.Mutex // guards tasks
	tasks map[key]*task
	wake  chan struct{} // a task is due at once

	ahead *ahead

	newsMu sync.Mutex // guards news; held for moments only, since the log's own goroutine takes it
	news   map[key]bool

	ctx    context.Context // ends with the mover
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// key names a hop in the outbox.
type key struct {
	id  capsule.ID
	hop uint32
}

// task is what is remembered about a hop while this voter leads.
type task struct {
	phase handover.Phase // that was dealt with last
	busy  bool
	done  bool      // nothing is left to tell in this phase
	next  time.Time // of the next attempt
	fails int
	try   int // which of the target's voters is next
	round uint64
}

const (
	lookEvery = 50 * time.Millisecond // for attempts that are due again
	// scanEvery is how often the whole outbox is read: after an election it holds what nobody was told of.
	scanEvery = 5 * time.Second
	// maxTasks bounds what is under way at a time; the rest waits in the outbox.
	maxTasks    = 256
	maxScan     = 65_536
	callTimeout = 20 * time.Second
	retryFirst  = 100 * time.Millisecond
	retryMost   = 10 * time.Second
)

// Start begins to carry.
func Start(cfg Config) *Mover {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Mover{cfg: cfg, lines: &lines{pool: api.Pool{Open: cfg.Open}}, tasks: map[key]*task{}, news: map[key]bool{}, wake: make(chan struct{}, 1), ahead: newAhead()}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.wg.Go(m.run)
	return m
}

// Close stops and waits for what is under way.
func (m *Mover) Close() {
	m.cancel()
	m.wg.Wait()
	m.lines.pool.Close()
}

func (m *Mover) run() {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	var scanned time.Time
	for round := uint64(1); ; round++ {
		select {
		case <-m.ctx.Done():
			return
		case <-t.C:
		case <-m.wake:
		case do := <-m.ahead.jobs:
			m.wg.Go(do)
			continue
		}
		if s := m.cfg.Zone.Status(); s.Leader != s.Self {
			scanned = time.Time{}
			continue
		}
		look := m.due
		if time.Since(scanned) >= scanEvery {
			look, scanned = m.scan, time.Now()
		}
		if err := look(round); err != nil && m.ctx.Err() == nil {
			m.cfg.Logger.Warn("outbox not read", "zone", m.cfg.Zone.ID(), "err", err)
		}
	}
}

// Changed tells of a hop that is on offer or was answered.
func (m *Mover) Changed(id capsule.ID, hop uint32) {
	m.newsMu.Lock()
	if len(m.news) < maxScan { // the scan finds the others
		m.news[key{id, hop}] = true
	}
	m.newsMu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// due starts the attempts of known hops whose time has come.
func (m *Mover) due(round uint64) error {
	m.newsMu.Lock()
	news := m.news
	m.news = map[key]bool{}
	m.newsMu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range news {
		if t := m.tasks[k]; t != nil {
			t.done, t.next = false, time.Time{}
		} else {
			m.tasks[k] = &task{}
		}
	}
	var keys []key
	now := time.Now()
	for k, t := range m.tasks {
		if !t.busy && !t.done && !now.Before(t.next) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	v, err := m.cfg.Zone.Query()
	if err != nil {
		return err
	}
	defer v.Close()
	busy := m.busy()
	for _, k := range keys {
		o, err := v.Offered(k.id, k.hop)
		if errors.Is(err, machine.ErrNotFound) {
			delete(m.tasks, k)
			continue
		}
		if err != nil {
			return err
		}
		m.start(k, o, round, &busy)
	}
	return nil
}

// scan reads the whole outbox, starts what is due, and forgets the tasks of hops that have left it.
func (m *Mover) scan(round uint64) error {
	v, err := m.cfg.Zone.Query()
	if err != nil {
		return err
	}
	defer v.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	busy := m.busy()
	err = v.Outbox(capsule.ID{}, 0, maxScan, func(id capsule.ID, hop uint32, o machine.OutRow) {
		m.start(key{id, hop}, o, round, &busy)
	})
	for k, t := range m.tasks {
		if t.round != round && !t.busy {
			delete(m.tasks, k)
		}
	}
	return err
}

func (m *Mover) busy() (n int) {
	for _, t := range m.tasks {
		if t.busy {
			n++
		}
	}
	return n
}

// start begins an attempt at a hop if one is due. Its caller holds m.mu.
func (m *Mover) start(k key, o machine.OutRow, round uint64, busy *int) {
	t := m.tasks[k]
	if t == nil {
		t = &task{}
		m.tasks[k] = t
	}
	now := time.Now()
	t.round = round
	if t.phase != o.Phase {
		t.phase, t.done, t.fails, t.next = o.Phase, false, 0, now
	}
	if t.busy || t.done || now.Before(t.next) || *busy >= maxTasks {
		return
	}
	*busy++
	t.busy = true
	m.wg.Go(func() { m.attempt(k, o, t) })
}

// attempt tells the target once.
func (m *Mover) attempt(k key, o machine.OutRow, t *task) {
	ctx, cancel := context.WithTimeout(m.ctx, callTimeout)
	defer cancel()
	voters := m.cfg.Voters(o.Target)
	err := errors.New("no voter of the zone is known")
	if len(voters) > 0 {
		err = m.tell(ctx, k, o, voters[t.try%len(voters)])
	}
	m.mu.Lock()
	defer func() {
		m.mu.Unlock()
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}()
	t.busy = false
	if err == nil {
		t.fails = 0
		// An answer brings its own change of the row; the target's word that it knows is the end of it.
		t.done = o.Phase == handover.Closed && t.phase == handover.Closed
		t.next = time.Now()
		if o.Phase != handover.Closed {
			t.next = t.next.Add(retryFirst)
		}
		return
	}
	m.cfg.Logger.Debug("handover not carried on", "capsule", k.id, "hop", k.hop, "to", o.Target, "phase", o.Phase, "err", err)
	t.try++
	t.next = time.Now().Add(min(retryMost, retryFirst<<min(t.fails, 10)))
	t.fails++
}

func (m *Mover) tell(ctx context.Context, k key, o machine.OutRow, voter capsule.Key) error {
	if o.Phase == handover.Closed {
		c, err := m.cfg.Zone.Certificate(ctx, cert.Slot{Capsule: k.id, Hop: k.hop, Phase: cert.PhaseClose})
		if err != nil {
			return err
		}
		_, err = m.call(ctx, voter, o.Target, api.HandoverClosed, &machine.Closed{Capsule: k.id, Hop: k.hop, Certificate: *c})
		return err
	}
	kind := api.HandoverOffer
	if o.Phase != handover.Offered {
		kind = api.HandoverCancel
	}
	t, err := m.transfer(ctx, k, &o)
	if err != nil {
		return err
	}
	m.trace("offer goes out", k, "phase", o.Phase)
	reply, err := m.call(ctx, voter, o.Target, kind, t)
	if isRefusal(err) && kind == api.HandoverCancel {
		// A zone that doesn't know this one can still say that it holds nothing of an offer whose time is over.
		offer, perr := handover.ParseOffer(o.Offer)
		if perr != nil {
			return perr
		}
		if again, eerr := m.call(ctx, voter, o.Target, api.HandoverExpired, offer); eerr == nil {
			reply, err = again, nil
		}
	}
	if err != nil {
		return err
	}
	return m.answer(ctx, k, o.Target, reply)
}

func isRefusal(err error) bool {
	var r *api.Refusal
	return errors.As(err, &r)
}

// trace tells an engineer where a hop stands.
func (m *Mover) trace(what string, k key, args ...any) {
	m.cfg.Logger.Debug(what, append([]any{"capsule", k.id, "hop", k.hop}, args...)...)
}

// call makes one request.
func (m *Mover) call(ctx context.Context, voter capsule.Key, z capsule.ZoneID, kind api.HandoverKind, body any) (*api.HandoverReply, error) {
	b, err := capsule.Marshal(body)
	if err != nil {
		return nil, err
	}
	req := &api.HandoverRequest{V: api.Version, Zone: z, Source: m.cfg.Zone.ID(), Kind: kind, Body: b}
	if req.Epochs, err = m.epochs(); err != nil {
		return nil, err
	}
	return m.lines.ask(ctx, voter, req)
}

// epochs are the acts that lead from this zone's genesis to its present voters.
func (m *Mover) epochs() ([][]byte, error) {
	v, err := m.cfg.Zone.Query()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	out := [][]byte{}
	var fail error
	err = v.Epochs(0, api.MaxEpochs, func(_ uint64, act cert.SignedAdmin) {
		b, err := capsule.Marshal(&act)
		fail = errors.Join(fail, err)
		out = append(out, b)
	})
	return out, errors.Join(err, fail)
}

// transfer assembles an offer with its proofs. What this zone decided itself stands in its log without certificates:
// they are asked for.
func (m *Mover) transfer(ctx context.Context, k key, o *machine.OutRow) (*handover.Transfer, error) {
	v, err := m.cfg.Zone.Query()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	t := &handover.Transfer{Offer: o.Offer, Inline: []byte{}}
	if t.Envelope, err = v.Envelope(k.id); err != nil {
		return nil, err
	}
	c, err := capsule.Decode(t.Envelope)
	if err != nil {
		return nil, err
	}
	if t.Inline, err = v.Continuation(k.id); errors.Is(err, machine.ErrNotFound) {
		t.Inline = []byte{}
	} else if err != nil {
		return nil, err
	}
	if t.Lineage, err = v.Lineage(k.id); err != nil {
		return nil, err
	}
	released, err := m.cfg.Zone.Certificate(ctx, handover.OutSlot(k.id, k.hop))
	if err != nil {
		return nil, err
	}
	t.Released = *released
	return t, Complete(ctx, m.cfg.Zone, k.id, c.Manifest().Home, &t.Lineage)
}

// Complete adds a zone's own certificates to a lineage that its log holds.
func Complete(ctx context.Context, z *zone.Zone, id capsule.ID, home capsule.ZoneID, l *handover.Lineage) error {
	fill := func(to *cert.Certificate, s cert.Slot) error {
		c, err := z.Certificate(ctx, s)
		if err != nil {
			return fmt.Errorf("certificate of %s: %w", s, err)
		}
		*to = *c
		return nil
	}
	if home == z.ID() {
		if err := fill(&l.Admitted, handover.InSlot(id, 0)); err != nil {
			return err
		}
	}
	for i := range l.Steps {
		s := &l.Steps[i]
		if s.Offer.Source == z.ID() {
			if err := fill(&s.Released, handover.OutSlot(id, s.Offer.Hop)); err != nil {
				return err
			}
		}
		if s.Offer.Target == z.ID() {
			if err := fill(&s.Answered, handover.InSlot(id, s.Offer.Hop)); err != nil {
				return err
			}
		}
	}
	return nil
}

// answer brings a reply into the log.
func (m *Mover) answer(ctx context.Context, k key, target capsule.ZoneID, r *api.HandoverReply) error {
	if err := m.follow(ctx, target, r.Epochs); err != nil {
		return err
	}
	c, err := cert.ParseCertificate(r.Certificate)
	if err != nil {
		return err
	}
	cmd, err := machine.NewAnswer(&machine.Answered{Capsule: k.id, Hop: k.hop, Answer: r.Answer, Certificate: *c})
	if err != nil {
		return err
	}
	return m.propose(ctx, cmd)
}

func (m *Mover) propose(ctx context.Context, cmd []byte) error {
	out, err := m.cfg.Zone.Propose(ctx, cmd)
	if err == nil && out.Result.Refusal != nil {
		err = out.Result.Refusal
	}
	return err
}

// follow brings the epochs of another zone into the log that it has not seen.
func (m *Mover) follow(ctx context.Context, z capsule.ZoneID, acts [][]byte) error {
	if len(acts) == 0 {
		return nil
	}
	v, err := m.cfg.Zone.Query()
	if err != nil {
		return err
	}
	p, err := v.Peer(z)
	v.Close()
	if errors.Is(err, machine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	t, err := cert.ParseTracker(p.Tracker)
	if err != nil {
		return err
	}
	for _, b := range acts[:min(len(acts), api.MaxEpochs)] {
		var s cert.SignedAdmin
		if err := capsule.Unmarshal(b, &s); err != nil {
			return err
		}
		before := t.Newest().Epoch
		if err := t.Follow(&s); err != nil {
			return err
		}
		if t.Newest().Epoch == before {
			continue
		}
		cmd, err := machine.NewPeerEpoch(&machine.PeerEpoch{Zone: z, Act: s})
		if err != nil {
			return err
		}
		if err := m.propose(ctx, cmd); err != nil {
			return err
		}
	}
	return nil
}
