package raft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	hraft "github.com/hashicorp/raft"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/store"
)

// Errors that callers branch on.
var (
	// ErrNotLeader says that another voter orders entries now. What was proposed was not appended.
	ErrNotLeader = errors.New("this voter does not lead the zone")
	// ErrUnknown says that an entry may or may not have been committed. It is safe to propose again what carries an
	// idempotency key.
	ErrUnknown = errors.New("outcome of the proposal is unknown: repeat it")
	// ErrStopped says that the voter was closed or stopped itself; Node.Err has the reason.
	ErrStopped = errors.New("voter is stopped")
	// ErrNoQuorum says that the voters have been without a leader for so long that asking again will not help: too few of
	// them are up, or reach each other. Nothing was appended.
	ErrNoQuorum = errors.New("the zone has lost its quorum")
)

// StateMachine is what the log drives. Its methods are called from one goroutine, except the Snapshot's.
type StateMachine interface {
	// Applied returns the last entry that the durable state reflects, at the start.
	Applied() uint64
	// Apply applies one entry above Applied. An error means that the replica must not go on.
	Apply(index uint64, entry []byte) (any, error)
	Snapshot() (Snapshot, error)
	// Restore replaces the state. An error leaves the old one.
	Restore(io.Reader) error
}

// Snapshot is a state pinned for writing, which goes on while entries are applied.
type Snapshot interface {
	Persist(ctx context.Context, w io.Writer) error
	Release()
}

// Config describes one voter of one zone.
type Config struct {
	Self      capsule.Key
	Protocol  string // stream protocol ID of this zone's consensus
	Transport Transport
	Machine   StateMachine
	Log       *store.Log
	Snapshots *store.Snapshots
	Contacts  []capsule.Key // members to accept before this voter has seen a configuration: how a new member learns the zone
	// Confirm asks a voter for its Term. Without it a read costs a log entry.
	Confirm func(ctx context.Context, voter capsule.Key) (uint64, error)
	Timing  Timing
	Logger  *slog.Logger
	// Failed is called once, on its own goroutine, when the voter stops itself.
	Failed func(error)
}

// Timing are consensus's clocks. The zero value suits a zone whose voters are up to 150 ms apart.
type Timing struct {
	Heartbeat     time.Duration // a follower that heard nothing that long asks for an election; default 1 s
	Commit        time.Duration // an idle leader repeats the commit index; default 750 ms, long because of the nudge
	RPC           time.Duration // one exchange between voters; default 10 s
	SnapshotEvery time.Duration // default 2 min
	SnapshotAfter uint64        // entries; default 8192
	TrailingLogs  uint64        // entries kept behind a snapshot; default 32768
}

func (t *Timing) fill() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&t.Heartbeat, time.Second)
	def(&t.Commit, 750*time.Millisecond)
	def(&t.RPC, 10*time.Second)
	def(&t.SnapshotEvery, 2*time.Minute)
	if t.SnapshotAfter == 0 {
		t.SnapshotAfter = 8192
	}
	if t.TrailingLogs == 0 {
		t.TrailingLogs = 32768
	}
}

// Node is one voter's consensus.
type Node struct {
	cfg    Config
	log    *store.Log
	layer  *streamLayer
	trans  *hraft.NetworkTransport
	steady *steadyTransport // trans as hashicorp/raft has it
	raft   *hraft.Raft
	ctx    context.Context // ends with the node; hashicorp/raft's callbacks carry none
	cancel context.CancelFunc
	wg     sync.WaitGroup

	peers     atomic.Pointer[map[capsule.Key]bool] // members by the committed configuration; true for voters
	learning  sync.Mutex                           // held while peers changes; guards peersFrom
	peersFrom uint64                               // the entry that peers came from

	mu      sync.Mutex // guards what follows
	seen    uint64     // last entry given to the state machine
	waiters map[chan struct{}]uint64
	nudges  map[capsule.Key]*nudge
	lead    leadership
	err     error

	open     int           // proposals whose outcome is awaited
	closing  bool          // no further proposal starts
	drained  chan struct{} // closed when closing and open is 0
	verifier verifier
	leaderCh chan struct{} // signalled when leadership changes
	lost     atomic.Int64  // when this voter stopped knowing a leader, in ns since 1970; 0 while it knows one
}

// leadership is this voter's own view. Invariant: ready implies that all entries of earlier terms are applied here.
type leadership struct {
	term  uint64
	ready bool
}

// Bootstrap writes the first configuration of a new zone. Every founding voter writes the same. It returns without effect
// if the voter already has a history.
func Bootstrap(voters []capsule.Key, log *store.Log, snaps *store.Snapshots) error {
	has, err := hraft.HasExistingState(log, log, snaps)
	if err != nil {
		return err
	}
	if has {
		// Killed between the two writes below it has a term and nothing else; only a founder's log can look so.
		last, err := log.LastIndex()
		list, lerr := snaps.List()
		if err := errors.Join(err, lerr); err != nil || last > 0 || len(list) > 0 {
			return err
		}
	}
	var conf hraft.Configuration
	for _, v := range voters {
		conf.Servers = append(conf.Servers, hraft.Server{Suffrage: hraft.Voter, ID: serverID(v), Address: serverAddr(v)})
	}
	// The term and the configuration as BootstrapCluster writes them, which wants a transport for nothing.
	if err := log.SetUint64([]byte("CurrentTerm"), 1); err != nil {
		return err
	}
	e := &hraft.Log{Index: 1, Term: 1, Type: hraft.LogConfiguration, Data: hraft.EncodeConfiguration(conf)}
	return log.StoreLog(e)
}

// Open starts the voter. The log must have been opened with the state machine's Applied, and with a Fatal that
// leads to Fail.
func Open(cfg Config) (*Node, error) {
	cfg.Timing.fill()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{cfg: cfg, log: cfg.Log, waiters: map[chan struct{}]uint64{}, nudges: map[capsule.Key]*nudge{}, drained: make(chan struct{}), leaderCh: make(chan struct{}, 1)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.seen = cfg.Machine.Applied()
	n.lost.Store(time.Now().UnixNano())
	n.setPeers(nil, cfg.Contacts)
	if err := n.catchUp(); err != nil {
		n.cancel()
		return nil, err
	}
	var err error
	if n.layer, err = newStreamLayer(cfg.Self, cfg.Protocol, cfg.Transport, n.Member); err != nil {
		n.cancel()
		return nil, fmt.Errorf("listen for consensus: %w", err)
	}
	logger := newLogger(cfg.Logger)
	n.trans = hraft.NewNetworkTransportWithConfig(&hraft.NetworkTransportConfig{
		Logger: logger, Stream: n.layer, MaxPool: 3, Timeout: cfg.Timing.RPC, MsgpackUseNewTimeFormat: true,
		// No pipelining: when a follower refuses an entry (its disk is full, say) while the next one is being handed to the
		// pipeline, hashicorp/raft 1.8.0 waits for ever in netPipeline.AppendEntries, and the follower gets nothing more
		// until another voter leads. Batches fill while one is on the way, so that little is lost.
		MaxRPCsInFlight: 1,
	})
	notify := make(chan bool, 16)
	c := hraft.DefaultConfig()
	c.LocalID = serverID(cfg.Self)
	c.Logger = logger
	c.HeartbeatTimeout, c.ElectionTimeout = cfg.Timing.Heartbeat, cfg.Timing.Heartbeat
	c.LeaderLeaseTimeout = cfg.Timing.Heartbeat / 2
	c.CommitTimeout = cfg.Timing.Commit
	c.SnapshotInterval, c.SnapshotThreshold = cfg.Timing.SnapshotEvery, cfg.Timing.SnapshotAfter
	c.TrailingLogs = cfg.Timing.TrailingLogs
	// A buffered channel would take proposals that a stopped Raft never answers; batches are made above, with more at once.
	c.BatchApplyCh = false
	c.NoSnapshotRestoreOnStart = true // the state is durable by itself; catchUp covers the rest
	c.NoLegacyTelemetry = true
	c.NotifyCh = notify
	c.MaxAppendEntries = appendAtOnce
	paced := &pacedLog{Log: cfg.Log, n: n}
	steady := &steadyTransport{NetworkTransport: n.trans, n: n, silent: map[hraft.ServerAddress]silence{}}
	n.steady = steady
	if n.raft, err = hraft.NewRaft(c, &fsm{n}, paced, cfg.Log, cfg.Snapshots, steady); err != nil {
		n.cancel()
		n.trans.Close()
		return nil, fmt.Errorf("start consensus: %w", err)
	}
	paced.raft.Store(n.raft)
	steady.raft.Store(n.raft)
	cfg.Log.Serve()
	n.raft.RegisterObserver(hraft.NewObserver(nil, false, n.leaderSeen))
	if _, ok := n.Leader(); ok {
		n.lost.Store(0)
	}
	if f := n.raft.GetConfiguration(); f.Error() == nil && len(f.Configuration().Servers) > 0 {
		n.learn(f.Index(), f.Configuration().Servers)
	}
	n.wg.Add(1)
	go n.watchLeadership(notify)
	return n, nil
}

// catchUp restores the newest snapshot when the state is older: a crash came between receiving and restoring it, or took
// the newest of the state with it.
func (n *Node) catchUp() error {
	list, err := n.cfg.Snapshots.List()
	if err != nil || len(list) == 0 {
		return err
	}
	first, err := n.log.FirstIndex()
	if err != nil {
		return err
	}
	// The log serves the state from applied+1 if it starts no later and has no gap there; a gap lies below the snapshot.
	applied := n.cfg.Machine.Applied()
	if applied >= list[0].Index {
		return nil
	}
	if first != 0 && applied+1 >= first && n.contiguous(applied+1, list[0].Index) {
		return n.replay(applied+1, list[0].Index)
	}
	_, r, err := n.cfg.Snapshots.Open(list[0].ID)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := n.cfg.Machine.Restore(r); err != nil {
		return fmt.Errorf("restore snapshot at entry %d: %w", list[0].Index, err)
	}
	n.seen = list[0].Index
	return nil
}

func (n *Node) contiguous(from, to uint64) bool {
	var e hraft.Log
	for i := from; i <= to; i++ {
		if n.log.GetLog(i, &e) != nil {
			return false
		}
	}
	return true
}

// replay applies entries that a snapshot proves to be committed, but which the state lost; hashicorp/raft starts behind
// the snapshot.
func (n *Node) replay(from, to uint64) error {
	var e hraft.Log
	for i := from; i <= to; i++ {
		if err := n.log.GetLog(i, &e); err != nil {
			return err
		}
		if e.Type == hraft.LogCommand && len(e.Data) > 0 {
			if _, err := n.cfg.Machine.Apply(i, e.Data); err != nil {
				return err
			}
		}
	}
	n.seen = to
	return nil
}

// Close stops the voter and waits for its goroutines. The log stays open.
func (n *Node) Close() error {
	n.drain()
	n.cancel()
	// No round of VerifyLeader starts from here on.
	n.verifier.mu.Lock()
	n.verifier.closed = true
	n.verifier.mu.Unlock()
	n.log.Abandon()
	err := n.raft.Shutdown().Error()
	n.trans.Close()
	n.trans.CloseStreams()
	n.wg.Wait()
	return err
}

// drain waits until no proposal is open: Raft leaves those unanswered that are between its goroutines when it is shut
// down. A leader that lost its quorum answers when its lease ends.
func (n *Node) drain() {
	n.mu.Lock()
	if !n.closing {
		n.closing = true
		if n.open == 0 {
			close(n.drained)
		}
	}
	n.mu.Unlock()
	t := time.NewTimer(2*n.cfg.Timing.Heartbeat + applyTimeout)
	defer t.Stop()
	select {
	case <-n.drained:
	case <-t.C:
	}
}

// Fail stops the voter for good: it keeps its data as evidence and takes no further part.
func (n *Node) Fail(err error) {
	n.mu.Lock()
	first := n.err == nil
	if first {
		n.err = err
	}
	n.mu.Unlock()
	if !first {
		return
	}
	go func() {
		n.drain()
		n.cancel()
		n.log.Abandon()
		n.raft.Shutdown()
		if n.cfg.Failed != nil {
			n.cfg.Failed(err)
		}
	}()
}

// Err returns why the voter stopped itself, or nil.
func (n *Node) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Done is closed when the voter stops.
func (n *Node) Done() <-chan struct{} { return n.ctx.Done() }

// learn takes a configuration unless a later one is known: a restarted voter is told of old ones again.
func (n *Node) learn(index uint64, servers []hraft.Server) {
	n.learning.Lock()
	defer n.learning.Unlock()
	if index >= n.peersFrom {
		n.peersFrom = index
		n.setPeers(servers, nil)
	}
}

func (n *Node) setPeers(servers []hraft.Server, more []capsule.Key) {
	m := map[capsule.Key]bool{}
	for _, s := range servers {
		if k, err := capsule.ParseKey(string(s.ID)); err == nil {
			m[k] = s.Suffrage == hraft.Voter
		}
	}
	for _, k := range more {
		m[k] = true
	}
	n.peers.Store(&m)
	if n.layer != nil {
		n.layer.regate()
	}
}

// Member reports whether the committed configuration has the peer, as voter or as member that waits to become one.
func (n *Node) Member(k capsule.Key) bool {
	_, ok := (*n.peers.Load())[k]
	return ok
}

// Members returns the committed configuration: true for voters.
func (n *Node) Members() map[capsule.Key]bool { return maps.Clone(*n.peers.Load()) }

// fsm is hashicorp/raft's view of the state machine.
type fsm struct{ n *Node }

// Apply returns the state machine's answer, or an error if the replica stopped.
func (f *fsm) Apply(l *hraft.Log) any {
	n := f.n
	if err := n.Err(); err != nil {
		return err
	}
	var out any
	if len(l.Data) > 0 && l.Index > n.cfg.Machine.Applied() {
		var err error
		if out, err = n.cfg.Machine.Apply(l.Index, l.Data); err != nil {
			err = fmt.Errorf("apply entry %d: %w", l.Index, err)
			n.Fail(err)
			return err
		}
	}
	n.advance(l.Index)
	return out
}

// StoreConfiguration learns a committed membership.
func (f *fsm) StoreConfiguration(index uint64, c hraft.Configuration) {
	f.n.learn(index, c.Servers)
	f.n.advance(index)
}

func (f *fsm) Snapshot() (hraft.FSMSnapshot, error) {
	if err := f.n.Err(); err != nil {
		return nil, err
	}
	s, err := f.n.cfg.Machine.Snapshot()
	if err != nil {
		return nil, err
	}
	return &fsmSnapshot{n: f.n, s: s}, nil
}

func (f *fsm) Restore(r io.ReadCloser) error {
	if err := f.n.cfg.Machine.Restore(r); err != nil {
		// Raft would go on with a log that does not reach down to this state.
		f.n.Fail(err)
		return err
	}
	f.n.advance(f.n.cfg.Machine.Applied())
	return nil
}

type fsmSnapshot struct {
	n *Node
	s Snapshot
}

func (s *fsmSnapshot) Persist(sink hraft.SnapshotSink) error {
	if err := s.s.Persist(s.n.ctx, sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (s *fsmSnapshot) Release() { s.s.Release() }

// advance records that the state machine has seen the entry, and wakes who waits for it.
func (n *Node) advance(index uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if index <= n.seen {
		return
	}
	n.seen = index
	for ch, want := range n.waiters {
		if want <= index {
			close(ch)
			delete(n.waiters, ch)
		}
	}
}

// WaitApplied returns when the state machine has seen the entry.
func (n *Node) WaitApplied(ctx context.Context, index uint64) error {
	n.mu.Lock()
	if n.seen >= index {
		n.mu.Unlock()
		return nil
	}
	ch := make(chan struct{})
	n.waiters[ch] = index
	n.mu.Unlock()
	var err error
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-n.ctx.Done():
		err = ErrStopped
	}
	n.mu.Lock()
	delete(n.waiters, ch)
	n.mu.Unlock()
	return err
}
