package voter

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/machine"
)

// Bounds of what a voter holds for the zone to decide. It is memory only: who handed a capsule in does so again.
const (
	maxPending      = 4096
	maxPendingBytes = 32 << 20
	maxAttempts     = 16 // at a time
	maxPulls        = 8  // at a time
	pullTime        = 20 * time.Second
)

const (
	pendingEvery = 250 * time.Millisecond
	// tellMost bounds of how many capsules the other voters are told in one round. Mostly a proposal is quicker, and tells
	// them too: whoever leads has it then, and all who follow a moment later. What a round leaves out is told by comparing.
	tellMost = 128
	// othersFirst is how long a capsule that was gossiped is left to the voter that took it in, and stagger how much longer
	// each next voter waits: all of them hold it, one is to propose it.
	othersFirst = time.Second
	stagger     = 500 * time.Millisecond
	againFirst  = 500 * time.Millisecond
	againMost   = 10 * time.Second
	// compareEvery is how often a voter asks another for what it has missed.
	compareEvery = 5 * time.Second
	compareTime  = 5 * time.Second
	// missedAfter is how long a capsule is held before another voter is told that it has missed it: most are on their way.
	missedAfter = time.Second
)

// pending are the capsules that this voter has and the zone has not decided.
type pending struct {
	mu      sync.Mutex // guards what follows
	m       map[capsule.ID]*holding
	bytes   int
	fetches chan struct{} // holds a token for each that is under way
}

// holding is one of them. pending.mu guards its fields.
type holding struct {
	c     *capsule.Capsule
	state []byte        // that c begins with, if it came along and is small; nil once others may fetch it
	from  []capsule.Key // who may have its content
	since time.Time
	due   time.Time // of the next attempt
	tries int
	busy  bool
	told  bool // the other voters know of it
}

func newPending() *pending {
	return &pending{m: map[capsule.ID]*holding{}, fetches: make(chan struct{}, maxPulls)}
}

// add returns the new holding, or nil if it is held already or there is no room.
func (h *pending) add(c *capsule.Capsule, state []byte, due time.Time, busy bool, from ...capsule.Key) *holding {
	x := &holding{c: c, state: state, from: from, since: time.Now(), due: due, busy: busy, told: len(from) > 0}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.m[c.ID()] != nil || len(h.m) >= maxPending || h.bytes+x.size() > maxPendingBytes {
		return nil
	}
	h.m[c.ID()] = x
	h.bytes += x.size()
	return x
}

func (x *holding) size() int { return len(x.c.Bytes()) + len(x.state) }

// stateOf returns the small state that is held for a capsule, or nil.
func (h *pending) stateOf(id capsule.ID) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x := h.m[id]; x != nil {
		return x.state
	}
	return nil
}

// lent notes that a state is where others may fetch it.
func (h *pending) lent(id capsule.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x := h.m[id]; x != nil {
		h.bytes -= len(x.state)
		x.state = nil
	}
}

func (h *pending) has(id capsule.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.m[id] != nil
}

// claim reports whether the caller is to propose c now: nobody else does. Without room for it, it is not held meanwhile.
func (h *pending) claim(c *capsule.Capsule, state []byte) bool {
	if h.add(c, state, time.Now(), true) != nil {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.m[c.ID()]
	if x == nil {
		return true
	}
	if x.state == nil && h.bytes+len(state) <= maxPendingBytes {
		x.state = state
		h.bytes += len(state)
	}
	mine := !x.busy
	x.busy = true
	return mine
}

// drop lets go of a capsule, and returns what was held.
func (h *pending) drop(id capsule.ID) *holding {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.m[id]
	if x != nil {
		delete(h.m, id)
		h.bytes -= x.size()
	}
	return x
}

// later has an attempt made again.
func (h *pending) later(id capsule.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x := h.m[id]; x != nil {
		x.busy = false
		x.due = time.Now().Add(min(againFirst<<min(x.tries, 10), againMost))
		x.tries++
	}
}

// take returns what is due, marked as busy, at most n.
func (h *pending) take(n int) []*holding {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []*holding
	for _, x := range h.m {
		if len(out) < n && !x.busy && !now.Before(x.due) {
			x.busy = true
			out = append(out, x)
		}
	}
	return out
}

// untold returns what the other voters are to be told of, at most n, marked as told.
func (h *pending) untold(n int) []*capsule.Capsule {
	old := time.Now().Add(-api.TellAfter)
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []*capsule.Capsule
	for _, x := range h.m {
		if len(out) < n && !x.told && x.since.Before(old) {
			x.told = true
			out = append(out, x.c)
		}
	}
	return out
}

// Decided is told that the zone has decided about a capsule's admission. It does not block.
func (s *Server) Decided(id capsule.ID) {
	if x := s.pending.drop(id); x != nil {
		s.Reconsider(x.c.Manifest())
	}
}

// Held is how many capsules wait here for the zone to decide.
func (s *Server) Held() int {
	s.pending.mu.Lock()
	defer s.pending.mu.Unlock()
	return len(s.pending.m)
}

// Holds reports whether a capsule is held here with all its content.
func (s *Server) Holds(id capsule.ID) bool {
	s.pending.mu.Lock()
	x := s.pending.m[id]
	s.pending.mu.Unlock()
	if x == nil {
		return false
	}
	return len(s.missing(x.c, nil)) == 0
}

// Expect judges a gossiped capsule by what the zone knows: nobody passes on what nobody can pay. It is asked for every
// message and takes microseconds.
func (s *Server) Expect(c *capsule.Capsule) error {
	v, err := s.cfg.Zone.Query()
	if err != nil {
		return err
	}
	defer v.Close()
	payer, err := v.Account(c.Manifest().Payer)
	if err != nil {
		return err
	}
	if payer.Available == 0 {
		return errors.New("the payer has no credits")
	}
	return nil
}

// Gossiped takes a verified capsule that was not handed in here. The voter that took it in is to propose it; if the zone
// has not decided it a little later, this one does.
func (s *Server) Gossiped(from capsule.Key, c *capsule.Capsule) {
	if c.Manifest().Home != s.id {
		return
	}
	if _, err := s.row(c.ID()); err == nil {
		return
	}
	wait := othersFirst
	if v, err := s.cfg.Zone.Query(); err == nil {
		if set, err := v.Voters(); err == nil && len(set.Keys) > 0 {
			id := c.ID()
			n := len(set.Keys)
			wait += stagger * time.Duration((max(set.Position(s.cfg.Identity.Key()), 0)+int(id[0]))%n)
		}
		v.Close()
	}
	x := s.pending.add(c, nil, time.Now().Add(wait), false, from)
	if x == nil {
		return
	}
	s.Reserve(c.Manifest())
	select {
	case s.pending.fetches <- struct{}{}:
	default:
		return // it is fetched when it is proposed
	}
	s.wg.Go(func() {
		defer func() { <-s.pending.fetches }()
		if err := s.fetch(x); err != nil {
			s.cfg.Logger.Debug("content of a gossiped capsule not fetched yet", "capsule", c.ID(), "err", err)
		}
	})
}

// fetch gets what a capsule consists of, while whoever has it is there.
func (s *Server) fetch(x *holding) error {
	ctx, cancel := context.WithTimeout(s.ctx, pullTime)
	defer cancel()
	for _, id := range s.missing(x.c, nil) {
		holders := append([]capsule.Key{}, x.from...)
		for _, k := range s.others() {
			if len(x.from) == 0 || k != x.from[0] {
				holders = append(holders, k)
			}
		}
		if _, err := s.cfg.Contents.Fetch(ctx, id, api.MaxContent, holders...); err != nil {
			return err
		}
	}
	return nil
}

// tend tells the other voters of what the zone takes long to decide, proposes what is held and due, and compares notes,
// until the server closes.
func (s *Server) tend() {
	t := time.NewTicker(pendingEvery)
	defer t.Stop()
	compared, next := time.Now(), 0
	attempts := make(chan struct{}, maxAttempts)
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
		if s.cfg.Publish != nil {
			for _, c := range s.pending.untold(tellMost) {
				s.lend(c)
				s.cfg.Publish(c)
			}
		}
		for _, x := range s.pending.take(maxAttempts - len(attempts)) {
			attempts <- struct{}{}
			s.wg.Go(func() {
				defer func() { <-attempts }()
				s.attempt(x)
			})
		}
		if time.Since(compared) < compareEvery {
			continue
		}
		compared = time.Now()
		if all := s.others(); len(all) > 0 && s.cfg.Open != nil {
			next++
			first := next % len(all)
			s.wg.Go(func() { s.compareAny(append(all[first:len(all):len(all)], all[:first]...)) })
		}
	}
}

// lend puts the state of a capsule that others are told of where they can fetch it. It waits for no disk: what is held here
// is memory all the same.
func (s *Server) lend(c *capsule.Capsule) {
	state := s.pending.stateOf(c.ID())
	if state == nil {
		return
	}
	if _, err := s.cfg.Contents.Lend(c.Manifest().State.Codec, state); err != nil {
		s.cfg.Logger.Debug("state not lent", "capsule", c.ID(), "err", err)
		return
	}
	s.pending.lent(c.ID())
}

// attempt proposes a capsule unless the zone has decided it.
func (s *Server) attempt(x *holding) {
	id := x.c.ID()
	if _, err := s.row(id); err == nil || uint64(time.Now().UnixMilli()) > x.c.Manifest().Expires {
		s.pending.drop(id)
		s.Reconsider(x.c.Manifest())
		return
	}
	if err := s.fetch(x); err != nil {
		s.cfg.Logger.Debug("capsule waits for its content", "capsule", id, "err", err)
		s.pending.later(id)
		return
	}
	s.propose(x.c, nil)
}

// compareAny asks the first of the voters that answers.
func (s *Server) compareAny(voters []capsule.Key) {
	for _, k := range voters {
		err := s.compare(k)
		if err == nil || s.ctx.Err() != nil {
			return
		}
		s.cfg.Logger.Debug("not compared with another voter", "voter", k, "err", err)
	}
}

// compare asks another voter for what it holds and this one does not.
func (s *Server) compare(k capsule.Key) error {
	ctx, cancel := context.WithTimeout(s.ctx, compareTime)
	defer cancel()
	req := &api.PendingRequest{V: api.Version, Zone: s.id, Have: []capsule.ID{}}
	s.pending.mu.Lock()
	for id := range s.pending.m {
		if len(req.Have) < api.MaxPending {
			req.Have = append(req.Have, id)
		}
	}
	s.pending.mu.Unlock()
	conn, err := s.cfg.Open(ctx, k, api.ProtoPending)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(compareTime))
	reply, err := api.Ask[api.PendingReply](conn, req, api.MaxMessage)
	if err != nil {
		return err
	}
	now := uint64(time.Now().UnixMilli())
	for _, b := range reply.Envelopes {
		p, err := capsule.Peek(b, now)
		if err != nil {
			return err
		}
		if _, err := s.row(p.ID); err == nil || s.pending.has(p.ID) {
			continue // decided meanwhile
		}
		c, err := capsule.Verify(b, now, s.cfg.Verified)
		if err != nil {
			return err
		}
		s.Gossiped(k, c)
	}
	return nil
}

// Compare serves one api.PendingRequest of another voter.
func (s *Server) Compare(peer capsule.Key, req *api.PendingRequest, w io.Writer) error {
	if err := req.Check(); err != nil {
		return api.Refuse(w, refusal(err))
	}
	if err := s.mine(req.V, req.Zone); err != nil {
		return api.Refuse(w, refusal(err))
	}
	voter := false
	for _, k := range s.others() {
		voter = voter || k == peer
	}
	if !voter {
		return api.Refuse(w, &api.Refusal{Code: api.CodeNotVoter, Detail: peer.String() + " is no voter of the zone"})
	}
	has := map[capsule.ID]bool{}
	for _, id := range req.Have {
		has[id] = true
	}
	reply, size := &api.PendingReply{V: api.Version, Envelopes: [][]byte{}}, 0
	var told []*capsule.Capsule
	old := time.Now().Add(-missedAfter)
	s.pending.mu.Lock()
	for id, x := range s.pending.m {
		if n := len(x.c.Bytes()) + 8; !has[id] && x.since.Before(old) && size+n <= api.MaxPendingBytes {
			reply.Envelopes = append(reply.Envelopes, x.c.Bytes())
			told = append(told, x.c)
			size += n
		}
	}
	s.pending.mu.Unlock()
	for _, c := range told {
		s.lend(c)
	}
	return api.Accept(w, reply)
}

// propose brings a capsule, with its state if it is at hand, into the log. Whoever waits for its result learns of a refusal
// by watching.
func (s *Server) propose(c *capsule.Capsule, state []byte) {
	id := c.ID()
	ctx, cancel := context.WithTimeout(s.ctx, proposeTimeout)
	defer cancel()
	cmds, err := s.admission(ctx, c, state)
	var out *zone.Outcome
	if err == nil {
		out, err = s.cfg.Zone.Propose(ctx, cmds...)
	}
	if err == nil && out.Result.Refusal != nil && out.Result.Refusal.Code == machine.CodeBlob {
		err = out.Result.Refusal // the words of the voters were out of date when it came to the log
	}
	if err != nil {
		s.cfg.Logger.Warn("capsule not admitted yet", "capsule", id, "err", err)
		s.pending.later(id)
		return
	}
	s.pending.drop(id)
	s.Reconsider(c.Manifest())
	if out.Result.Refusal != nil {
		s.watch.refused(id, out.Result.Refusal)
		s.cfg.Logger.Info("capsule refused", "capsule", id, "reason", out.Result.Refusal)
	}
}
