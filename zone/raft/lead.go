package raft

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	hraft "github.com/hashicorp/raft"

	"github.com/kitwork/kwnode/capsule"
)

// applyTimeout bounds how long an entry waits to be appended, not how long it takes to commit.
const applyTimeout = 5 * time.Second

// watchLeadership makes this voter's leadership usable: a new leader first applies what earlier terms committed.
func (n *Node) watchLeadership(notify <-chan bool) {
	defer n.wg.Done()
	for {
		select {
		case <-n.ctx.Done():
			n.setLead(leadership{})
			return
		case is := <-notify:
			if !is {
				n.setLead(leadership{})
				continue
			}
			term := n.raft.CurrentTerm()
			n.setLead(leadership{term: term})
			if n.settle(term) {
				n.setLead(leadership{term: term, ready: true})
			}
		}
	}
}

// settle waits until everything of earlier terms is applied, and reports whether this voter still leads the term then. A
// leader refuses the barrier while it tries to hand leadership over; if that fails, it leads on and is asked again.
func (n *Node) settle(term uint64) bool {
	const again = 20 * time.Millisecond
	for {
		err := n.during(func() error { return n.raft.Barrier(0).Error() })
		if n.raft.State() != hraft.Leader || n.raft.CurrentTerm() != term {
			return false
		}
		if err == nil {
			return true
		}
		if !n.pause(again) {
			return false
		}
	}
}

func (n *Node) setLead(l leadership) {
	n.mu.Lock()
	n.lead = l
	n.mu.Unlock()
	select {
	case n.leaderCh <- struct{}{}:
	default:
	}
}

// LeaderChanges is signalled after Leading may have changed. It has one reader.
func (n *Node) LeaderChanges() <-chan struct{} { return n.leaderCh }

// Leading returns the term that this voter leads and is ready to serve.
func (n *Node) Leading() (term uint64, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lead.term, n.lead.ready
}

// Leader returns the leader as this voter knows it.
func (n *Node) Leader() (capsule.Key, bool) {
	_, id := n.raft.LeaderWithID()
	k, err := capsule.ParseKey(string(id))
	return k, err == nil
}

// leaderSeen follows whether this voter knows a leader. As a filter it is called where the change happens, and lets nothing
// through.
func (n *Node) leaderSeen(o *hraft.Observation) bool {
	if l, ok := o.Data.(hraft.LeaderObservation); ok {
		if l.LeaderID != "" {
			n.lost.Store(0)
		} else {
			n.lost.CompareAndSwap(0, time.Now().UnixNano())
		}
	}
	return false
}

// patience is how many heartbeats voters may be without a leader before that is no election any more.
const patience = 5

// Quorumless returns an ErrNoQuorum once this voter has known no leader for longer than elections take.
func (n *Node) Quorumless() error {
	at := n.lost.Load()
	if at == 0 {
		return nil
	}
	d := time.Since(time.Unix(0, at))
	if d < patience*n.cfg.Timing.Heartbeat {
		return nil
	}
	return fmt.Errorf("%w: no leader for %s", ErrNoQuorum, d.Round(100*time.Millisecond))
}

// Silent returns those of some voters that have answered none of this leader's heartbeats for longer than elections take.
// On others it is empty.
func (n *Node) Silent(voters []capsule.Key) (silent []capsule.Key) {
	term, ok := n.Leading()
	if !ok {
		return nil
	}
	for _, k := range voters {
		if at, ok := n.steady.silentSince(serverAddr(k), term); ok && time.Since(at) >= patience*n.cfg.Timing.Heartbeat {
			silent = append(silent, k)
		}
	}
	return silent
}

// Propose appends an entry and waits until it is applied here. It returns the state machine's answer and the entry's index.
func (n *Node) Propose(entry []byte) (any, uint64, error) {
	if !n.begin() {
		return nil, 0, ErrStopped
	}
	term := n.raft.CurrentTerm()
	f := n.raft.Apply(entry, applyTimeout)
	err := f.Error()
	if last := n.end(); last && err == nil {
		n.nudge(term, f.Index())
	}
	if err != nil {
		return nil, 0, n.proposeError(err)
	}
	if err, ok := f.Response().(error); ok {
		return nil, f.Index(), fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return f.Response(), f.Index(), nil
}

// during runs a request to Raft so that a shutdown waits for its answer.
func (n *Node) during(fn func() error) error {
	if !n.begin() {
		return ErrStopped
	}
	defer n.end()
	return fn()
}

func (n *Node) begin() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing {
		return false
	}
	n.open++
	return true
}

// end reports whether no other proposal is open.
func (n *Node) end() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open--
	if n.open == 0 && n.closing {
		close(n.drained)
		return false
	}
	return n.open == 0
}

// nudge makes followers learn at once that an entry is committed when no later entry will tell them: otherwise they
// learn it after the commit timeout, and the certificate waits. It is the message that Raft's leader sends then, an append
// without entries, only earlier; a leader of an older term is ignored as always. (An empty entry serves too, but costs the
// leader and then each follower an fsync before the commit index arrives.)
func (n *Node) nudge(term, index uint64) {
	for k := range n.Members() {
		if k == n.cfg.Self {
			continue
		}
		n.mu.Lock()
		p := n.nudges[k]
		if p == nil {
			p = &nudge{}
			n.nudges[k] = p
		}
		p.term, p.index = term, max(p.index, index)
		start := !p.running && !n.closing
		if start {
			p.running = true
			n.wg.Add(1)
		}
		n.mu.Unlock()
		if start {
			go n.tell(k, p)
		}
	}
}

// nudge is what one follower is to be told. The node's mutex guards it.
type nudge struct {
	term, index uint64
	running     bool
}

// tell sends a follower the newest commit index until it has it. One that lacks the entry still is asked again, as often
// as it may take an append to arrive; after that it learns from Raft itself.
func (n *Node) tell(k capsule.Key, p *nudge) {
	defer n.wg.Done()
	const first, last = 2 * time.Millisecond, 64 * time.Millisecond
	wait := first
	sent := uint64(0)
	for {
		n.mu.Lock()
		term, index := p.term, p.index
		if index == sent || n.closing {
			p.running = false
			n.mu.Unlock()
			return
		}
		n.mu.Unlock()
		addr := n.trans.EncodePeer(serverID(n.cfg.Self), serverAddr(n.cfg.Self))
		req := &hraft.AppendEntriesRequest{
			RPCHeader: hraft.RPCHeader{ProtocolVersion: hraft.ProtocolVersionMax, ID: []byte(serverID(n.cfg.Self)), Addr: addr},
			Term:      term, PrevLogEntry: index, PrevLogTerm: term, LeaderCommitIndex: index,
		}
		var resp hraft.AppendEntriesResponse
		err := n.trans.AppendEntries(serverID(k), serverAddr(k), req, &resp)
		if err == nil && !resp.Success && resp.Term <= term && wait <= last && n.pause(wait) {
			wait *= 2
			continue
		}
		sent, wait = index, first
	}
}

// pause waits, and reports whether the node still runs.
func (n *Node) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-n.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (n *Node) proposeError(err error) error {
	switch {
	case errors.Is(err, hraft.ErrNotLeader), errors.Is(err, hraft.ErrLeadershipTransferInProgress), errors.Is(err, hraft.ErrEnqueueTimeout):
		return ErrNotLeader
	case errors.Is(err, hraft.ErrRaftShutdown):
		return fmt.Errorf("%w: %w", ErrUnknown, ErrStopped)
	}
	// Lost leadership, a failed disk, or whatever else: the entry may still be in some voter's log.
	return fmt.Errorf("%w (%v)", ErrUnknown, err)
}

// verifier lets many reads share one round of heartbeats: each read joins the round that starts after it came.
type verifier struct {
	mu      sync.Mutex
	running bool
	closed  bool
	next    []chan error
}

// VerifyLeader returns nil if this voter was the leader at some time after the call.
func (n *Node) VerifyLeader(ctx context.Context) error {
	ch := make(chan error, 1)
	v := &n.verifier
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return ErrStopped
	}
	v.next = append(v.next, ch)
	if !v.running {
		v.running = true
		n.wg.Add(1)
		go n.verifyRounds()
	}
	v.mu.Unlock()
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-n.ctx.Done():
		return ErrStopped
	}
}

func (n *Node) verifyRounds() {
	defer n.wg.Done()
	v := &n.verifier
	for {
		v.mu.Lock()
		batch := v.next
		v.next = nil
		if len(batch) == 0 {
			v.running = false
			v.mu.Unlock()
			return
		}
		v.mu.Unlock()
		err := n.confirm()
		for _, ch := range batch {
			ch <- err
		}
	}
}

// confirm returns nil if no other voter had been elected when it began. hashicorp/raft's VerifyLeader is not used: it
// counts an answer that was on its way already when it was asked, so that a leader that was paused for longer than an
// election serves stale reads when it wakes up.
func (n *Node) confirm() error {
	term, ok := n.Leading()
	if !ok {
		return ErrNotLeader
	}
	if n.cfg.Confirm == nil {
		if n.during(func() error { return n.raft.Barrier(applyTimeout).Error() }) != nil {
			return ErrNotLeader
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(n.ctx, 2*n.cfg.Timing.Heartbeat)
	defer cancel()
	voters, need := 0, 0
	answers := make(chan bool, len(n.Members()))
	for k, voter := range n.Members() {
		if !voter {
			continue
		}
		voters++
		if k == n.cfg.Self {
			need--
			continue
		}
		n.wg.Add(1)
		go func() {
			defer n.wg.Done()
			// A voter whose term is still ours has elected nobody since, and a majority of such leaves no room for another.
			t, err := n.cfg.Confirm(ctx, k)
			answers <- err == nil && t == term
		}()
	}
	need += voters/2 + 1
	for waiting := voters - 1; need > 0; waiting-- {
		if waiting < need {
			return ErrNotLeader
		}
		if <-answers {
			need--
		}
	}
	if n.raft.CurrentTerm() != term {
		return ErrNotLeader
	}
	return nil
}

// Term returns the newest election that this voter knows of: the answer to another voter's Confirm.
func (n *Node) Term() uint64 { return n.raft.CurrentTerm() }

// ReadIndex returns an entry such that a state which reflects it also reflects everything that was committed, anywhere,
// before the call. Only the leader can tell.
func (n *Node) ReadIndex(ctx context.Context) (uint64, error) {
	term, ok := n.Leading()
	if !ok {
		return 0, ErrNotLeader
	}
	commit := n.raft.CommitIndex()
	if err := n.VerifyLeader(ctx); err != nil {
		return 0, err
	}
	if now, ok := n.Leading(); !ok || now != term {
		return 0, ErrNotLeader
	}
	return n.lastVisible(commit)
}

// lastVisible returns the newest entry up to index that the state machine gets to see; Raft keeps its own to itself.
func (n *Node) lastVisible(index uint64) (uint64, error) {
	var e hraft.Log
	for ; index > 0; index-- {
		n.mu.Lock()
		seen := n.seen
		n.mu.Unlock()
		if index <= seen {
			return index, nil
		}
		if err := n.log.GetLog(index, &e); err != nil {
			return 0, fmt.Errorf("read index: %w", err)
		}
		if e.Type == hraft.LogCommand && len(e.Data) > 0 {
			return index, nil
		}
	}
	return 0, nil
}

// TermOf returns the term of an applied entry.
func (n *Node) TermOf(index uint64) (uint64, error) {
	var e hraft.Log
	err := n.log.GetLog(index, &e)
	if err == nil {
		return e.Term, nil
	}
	// A voter that got its state as a snapshot has no entries up to there.
	list, lerr := n.cfg.Snapshots.List()
	for _, m := range list {
		if m.Index == index {
			return m.Term, nil
		}
	}
	return 0, fmt.Errorf("term of entry %d: %w", index, errors.Join(err, lerr))
}

// Status is what an operator sees.
type Status struct {
	Term, Commit, Seen, LastLog uint64
	State                       string
	LastContact                 time.Time // with the leader; zero on the leader
}

// Status returns the voter's position.
func (n *Node) Status() Status {
	n.mu.Lock()
	seen := n.seen
	n.mu.Unlock()
	return Status{
		Term: n.raft.CurrentTerm(), Commit: n.raft.CommitIndex(), Seen: seen, LastLog: n.raft.LastIndex(),
		State: n.raft.State().String(), LastContact: n.raft.LastContact(),
	}
}

// memberTimeout bounds a change of membership.
const memberTimeout = 10 * time.Second

// AddLearner makes the peer receive the log without a vote.
func (n *Node) AddLearner(k capsule.Key) error {
	return n.change(func() hraft.IndexFuture { return n.raft.AddNonvoter(serverID(k), serverAddr(k), 0, memberTimeout) })
}

// AddVoter gives the peer a vote.
func (n *Node) AddVoter(k capsule.Key) error {
	return n.change(func() hraft.IndexFuture { return n.raft.AddVoter(serverID(k), serverAddr(k), 0, memberTimeout) })
}

// Remove takes the peer out of the configuration.
func (n *Node) Remove(k capsule.Key) error {
	return n.change(func() hraft.IndexFuture { return n.raft.RemoveServer(serverID(k), 0, memberTimeout) })
}

func (n *Node) change(start func() hraft.IndexFuture) error {
	return n.during(func() error {
		term := n.raft.CurrentTerm()
		f := start()
		if err := f.Error(); err != nil {
			return n.proposeError(err)
		}
		n.nudge(term, f.Index())
		return nil
	})
}

// transferTries is how often a leader tries to hand leadership over. Each try may take one election: on a busy machine the
// other voter may get its turn too late, and this one leads on.
const transferTries = 3

// Transfer hands leadership to the peer, or to the most advanced other voter if it is zero. A leader that is to hand it
// to itself has done so.
func (n *Node) Transfer(k capsule.Key) error {
	return n.during(func() error {
		if k == n.cfg.Self {
			return nil
		}
		term := n.raft.CurrentTerm()
		n.steady.relent(term)
		for try := 1; ; try++ {
			var f hraft.Future
			if k.IsZero() {
				f = n.raft.LeadershipTransfer()
			} else {
				f = n.raft.LeadershipTransferToServer(serverID(k), serverAddr(k))
			}
			err := f.Error()
			if err == nil {
				return nil
			}
			if try == transferTries || n.raft.State() != hraft.Leader || n.raft.CurrentTerm() != term {
				return fmt.Errorf("transfer leadership: %w", err)
			}
		}
	})
}

// Snapshot takes a snapshot now.
func (n *Node) Snapshot() error {
	return n.during(func() error {
		if err := n.raft.Snapshot().Error(); err != nil && !errors.Is(err, hraft.ErrNothingNewToSnapshot) {
			return fmt.Errorf("snapshot: %w", err)
		}
		return nil
	})
}
