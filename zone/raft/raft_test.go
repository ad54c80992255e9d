package raft_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/zone/internal/memnet"
	"github.com/kitwork/kwnode/zone/raft"
	"github.com/kitwork/kwnode/zone/store"
)

// journal is a state machine that remembers its entries, in a snapshot stream of the store's format.
type journal struct {
	mu      sync.Mutex
	db      *store.Store
	entries []string
	gate    atomic.Pointer[chan struct{}] // if set, Apply waits until it is closed
}

func (j *journal) Applied() uint64 { return j.db.Applied().Index }

func (j *journal) Apply(index uint64, entry []byte) (any, error) {
	if string(entry) == "poison" {
		return nil, errors.New("poisoned")
	}
	if g := j.gate.Load(); g != nil {
		<-*g
	}
	b, err := j.db.Begin()
	if err != nil {
		return nil, err
	}
	b.Set(binary.BigEndian.AppendUint64(nil, index), entry)
	if err := b.Commit(store.Applied{Index: index}); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, string(entry))
	return len(j.entries), nil
}

func (j *journal) list() []string {
	v, err := j.db.View()
	if err != nil {
		return nil
	}
	defer v.Close()
	var out []string
	v.Scan(nil, nil, func(_, val []byte) bool { out = append(out, string(val)); return true })
	return out
}

type view struct{ v *store.View }

func (s view) Persist(_ context.Context, w io.Writer) error { return s.v.WriteSnapshot(w, nil) }
func (s view) Release()                                     { s.v.Close() }

func (j *journal) Snapshot() (raft.Snapshot, error) {
	v, err := j.db.View()
	return view{v}, err
}

func (j *journal) Restore(r io.Reader) error {
	return j.db.Restore(r, func(store.Applied, []byte) error { return nil },
		func(*store.View) ([32]byte, error) { return [32]byte{}, nil })
}

type voter struct {
	key  capsule.Key
	j    *journal
	log  *store.Log
	node *raft.Node
	fail chan error
}

type zone struct {
	t      *testing.T
	net    *memnet.Network
	dir    string
	fs     map[capsule.Key]*vfs.MemFS
	keys   []capsule.Key
	voters map[capsule.Key]*voter
	timing raft.Timing
	around func(write func() error) error // each write of a log, if set
	// confirm answers for a voter, if set.
	confirm func(context.Context, capsule.Key) (uint64, error)
}

func newZone(t *testing.T, n int, change ...func(*zone)) *zone {
	z := &zone{t: t, net: memnet.New(func(_, _ capsule.Key) time.Duration { return time.Millisecond }),
		dir: t.TempDir(), fs: map[capsule.Key]*vfs.MemFS{}, voters: map[capsule.Key]*voter{}}
	for _, fn := range change {
		fn(z)
	}
	for i := range n {
		z.keys = append(z.keys, capsule.Key{byte(i + 1)})
	}
	for _, k := range z.keys {
		z.start(k, z.keys, nil)
	}
	return z
}

func (z *zone) start(k capsule.Key, bootstrap, contacts []capsule.Key) *voter {
	z.t.Helper()
	if z.fs[k] == nil {
		z.fs[k] = vfs.NewMem()
	}
	db, err := store.Open("state", store.Options{FS: z.fs[k]})
	if err != nil {
		z.t.Fatal(err)
	}
	snaps, err := store.OpenSnapshots("snaps", z.fs[k])
	if err != nil {
		z.t.Fatal(err)
	}
	v := &voter{key: k, j: &journal{db: db}, fail: make(chan error, 1)}
	var last uint64
	if l, _ := snaps.List(); len(l) > 0 {
		last = l[0].Index
	}
	v.log, err = store.OpenLog(filepath.Join(z.dir, fmt.Sprintf("%x", k[:2])), store.LogOptions{
		NoSync: true, Around: z.around, Applied: v.j.Applied, SnapshotIndex: last, Fatal: func(err error) { v.node.Fail(err) },
	})
	if err != nil {
		z.t.Fatal(err)
	}
	if bootstrap != nil {
		if err := raft.Bootstrap(bootstrap, v.log, snaps); err != nil {
			z.t.Fatal(err)
		}
	}
	v.node, err = raft.Open(raft.Config{
		Self: k, Protocol: "/test/raft", Transport: z.net.Host(k), Machine: v.j, Log: v.log, Snapshots: snaps,
		Contacts: contacts, Confirm: z.confirm, Timing: z.timing, Failed: func(err error) { v.fail <- err },
	})
	if err != nil {
		z.t.Fatal(err)
	}
	z.voters[k] = v
	return v
}

func (z *zone) stop(k capsule.Key) {
	v := z.voters[k]
	delete(z.voters, k)
	z.net.Kill(k)
	v.node.Close()
	v.log.Close()
	v.j.db.Close()
}

func (z *zone) close() {
	for k := range z.voters {
		z.stop(k)
	}
}

func (z *zone) leader() *voter {
	z.t.Helper()
	for range 600 {
		for _, v := range z.voters {
			if _, ok := v.node.Leading(); ok {
				return v
			}
		}
		time.Sleep(50 * time.Millisecond) // virtual
	}
	z.t.Fatal("no leader within 30 s")
	return nil
}

func (z *zone) propose(v *voter, s string) uint64 {
	z.t.Helper()
	_, i, err := v.node.Propose([]byte(s))
	if err != nil {
		z.t.Fatalf("propose %q: %v", s, err)
	}
	return i
}

func TestFollowersApplyAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		z := newZone(t, 3)
		defer z.close()
		l := z.leader()
		time.Sleep(3 * time.Second)
		i := z.propose(l, "a")
		start := time.Now()
		for _, v := range z.voters {
			if err := v.node.WaitApplied(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}
		// Without the nudge this takes up to the commit timeout of 750 ms and its jitter.
		if d := time.Since(start); d > 20*time.Millisecond {
			t.Fatalf("followers applied %v after the leader", d)
		}
	})
}

func TestLeaderLossAndReads(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		z := newZone(t, 3)
		defer z.close()
		l := z.leader()
		z.propose(l, "a")
		for _, k := range z.keys {
			if k != l.key {
				z.net.Cut(l.key, k)
				z.net.Cut(k, l.key)
			}
		}
		// The deposed leader must not serve reads, even before it knows.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if _, err := l.node.ReadIndex(ctx); err == nil {
			t.Fatal("a leader without its quorum answered a read")
		}
		cancel()
		old := l.key
		var next *voter
		for next == nil {
			for _, v := range z.voters {
				if _, ok := v.node.Leading(); ok && v.key != old {
					next = v
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
		i := z.propose(next, "b")
		if ri, err := next.node.ReadIndex(t.Context()); err != nil || ri < i {
			t.Fatalf("read index %d after entry %d: %v", ri, i, err)
		}
		z.net.Heal()
		if err := z.voters[old].node.WaitApplied(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(z.voters[old].j.list()); got != "[a b]" {
			t.Fatal(got)
		}
	})
}

func TestSnapshotCatchesUpAndMembership(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		z := newZone(t, 3)
		defer z.close()
		z.timing = raft.Timing{TrailingLogs: 1}
		l := z.leader()
		var lag capsule.Key
		for _, k := range z.keys {
			if k != l.key {
				lag = k
			}
		}
		z.stop(lag)
		// The leader runs with the default of trailing entries: restart it with few, so that it must send a snapshot.
		for i := range 10 {
			z.propose(l, fmt.Sprint(i))
		}
		for _, k := range z.keys {
			if k != lag {
				z.stop(k)
				z.start(k, nil, nil)
			}
		}
		l = z.leader()
		i := z.propose(l, "x")
		if err := l.node.Snapshot(); err != nil {
			t.Fatal(err)
		}
		v := z.start(lag, nil, nil)
		if err := v.node.WaitApplied(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(v.j.list()); got != "[0 1 2 3 4 5 6 7 8 9 x]" {
			t.Fatal(got)
		}
		// A fourth member learns the log before it votes; then the leader itself is removed.
		k := capsule.Key{4}
		n := z.start(k, nil, z.keys)
		if err := l.node.AddLearner(k); err != nil {
			t.Fatal(err)
		}
		if err := n.node.WaitApplied(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		if n.node.Members()[k] {
			t.Fatal("a learner counts as voter")
		}
		if err := l.node.AddVoter(k); err != nil {
			t.Fatal(err)
		}
		if err := l.node.Transfer(l.key); err != nil {
			t.Fatalf("a transfer to the leader itself: %v", err)
		}
		if err := l.node.Transfer(k); err != nil {
			t.Fatal(err)
		}
		gone := l.key
		time.Sleep(2 * time.Second)
		if l = z.leader(); l.key != k {
			t.Fatalf("leader is %v after the transfer", l.key)
		}
		if err := l.node.Remove(gone); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for _, v := range z.voters {
			if v.key != gone && v.node.Member(gone) {
				t.Errorf("%v still accepts the removed member", v.key)
			}
		}
		z.propose(l, "y")
	})
}

// TestWhoAppliesSlowlyStoresSlowly: what a follower holds in memory for its state machine has a bound in bytes, and the
// others go on meanwhile.
func TestWhoAppliesSlowlyStoresSlowly(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		z := newZone(t, 3)
		defer z.close()
		l := z.leader()
		var slow *voter
		for _, v := range z.voters {
			if v != l {
				slow = v
			}
		}
		before := z.propose(l, "x")
		if err := slow.node.WaitApplied(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		gate := make(chan struct{})
		open := sync.OnceFunc(func() { close(gate) })
		defer open() // before the zone closes
		slow.j.gate.Store(&gate)
		entry := strings.Repeat("x", 128<<10) // so that a request fits what memnet has on the way
		var last uint64
		for i := 0; i*len(entry) < 2*raft.MostBehind(len(entry)); i++ {
			last = z.propose(l, entry)
		}
		time.Sleep(5 * time.Second) // virtual: whatever was on its way has come
		stored, err := slow.log.LastIndex()
		if err != nil {
			t.Fatal(err)
		}
		if n := int(stored-before) * len(entry); n > raft.MostBehind(len(entry)) {
			t.Errorf("%d bytes wait in memory, at most %d are allowed", n, raft.MostBehind(len(entry)))
		} else if n == 0 {
			t.Error("nothing is stored ahead of what is applied")
		}
		if _, ok := l.node.Leading(); !ok {
			t.Error("the leader lost its office because a follower is slow")
		}
		open()
		if err := slow.node.WaitApplied(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		if got, want := len(slow.j.list()), len(l.j.list()); got != want {
			t.Errorf("%d entries applied, %d by the leader", got, want)
		}
	})
}

func TestStrangersAreRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		z := newZone(t, 3)
		defer z.close()
		l := z.leader()
		if c, err := z.net.Host(capsule.Key{99}).Dial(t.Context(), l.key, "/test/raft"); err == nil {
			c.Close()
			t.Fatal("a stranger got a stream")
		}
	})
}

// An entry that a replica can't apply stops it for good, and the rest is not applied.
func TestReplicaStopsOnApplyError(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		z := newZone(t, 1)
		defer z.close()
		l := z.leader()
		z.propose(l, "a")
		if _, _, err := l.node.Propose([]byte("poison")); !errors.Is(err, raft.ErrStopped) {
			t.Fatalf("poison: %v", err)
		}
		if err := <-l.fail; err == nil || l.node.Err() == nil {
			t.Fatal("the replica goes on")
		}
		if _, _, err := l.node.Propose([]byte("b")); err == nil {
			t.Fatal("a stopped replica took an entry")
		}
		if got := fmt.Sprint(l.j.list()); got != "[a]" {
			t.Fatal(got)
		}
	})
}

// A leader asks for the newest election before it answers a read: voters that know a newer one make it refuse.
func TestReadAsksForTheTerm(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		z := newZone(t, 3)
		defer z.close()
		var ahead atomic.Uint64
		var nodes sync.Map
		z.confirm = func(_ context.Context, k capsule.Key) (uint64, error) {
			n, ok := nodes.Load(k)
			if !ok {
				return 0, errors.New("not up")
			}
			return n.(*raft.Node).Term() + ahead.Load(), nil
		}
		for _, k := range z.keys {
			z.stop(k)
			nodes.Store(k, z.start(k, nil, nil).node)
		}
		l := z.leader()
		i := z.propose(l, "a")
		if got, err := l.node.ReadIndex(t.Context()); err != nil || got < i {
			t.Fatalf("read index %d after %d: %v", got, i, err)
		}
		ahead.Store(1)
		if _, err := l.node.ReadIndex(t.Context()); !errors.Is(err, raft.ErrNotLeader) {
			t.Fatalf("read while all others have elected again: %v", err)
		}
	})
}

// A leader that lost its followers has entries of its own at its log's end. The next leader's first append to it, from before that
// one had decided anything, is tried again until it arrives, and must not make the old one believe its own entries.
func TestLateAppendCommitsNothingElse(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		z := newZone(t, 3, func(z *zone) {
			// A slow disk: the first append leaves before the leader has stored an entry of its term, and covers none.
			z.around = func(write func() error) error {
				time.Sleep(20 * time.Millisecond)
				return write()
			}
		})
		defer z.close()
		old := z.leader()
		z.propose(old, "a")
		time.Sleep(3 * time.Second)
		for _, k := range z.keys {
			if k != old.key {
				z.net.Cut(old.key, k)
				z.net.Cut(k, old.key)
			}
		}
		lost := make(chan error, 1)
		go func() {
			_, _, err := old.node.Propose([]byte("of nobody else"))
			lost <- err
		}()
		if err := <-lost; err == nil {
			t.Fatal("a leader committed alone")
		}
		var next *voter
		for next == nil {
			for _, v := range z.voters {
				if _, ok := v.node.Leading(); ok && v != old {
					next = v
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
		i := z.propose(next, "b")
		time.Sleep(15 * time.Second)
		z.net.Heal()
		for _, v := range z.voters {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := v.node.WaitApplied(ctx, i); err != nil {
				t.Errorf("%v, %v", err, v.node.Err())
			}
			cancel()
			if got := fmt.Sprint(v.j.list()); got != "[a b]" {
				t.Error(got)
			}
		}
	})
}

// A voter that was away gets what it missed about as soon as it hears the leader, however long it was away: a zone may have
// lacked just its signature.
func TestReturningVoterIsServedAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		z := newZone(t, 3)
		defer z.close()
		l := z.leader()
		away := z.keys[0]
		if away == l.key {
			away = z.keys[1]
		}
		for _, d := range []time.Duration{5 * time.Second, 30 * time.Second, 47 * time.Second, 10 * time.Minute} {
			z.stop(away)
			i := z.propose(l, "what it misses")
			time.Sleep(d)
			v := z.start(away, nil, z.keys)
			start := time.Now()
			if err := v.node.WaitApplied(t.Context(), i); err != nil {
				t.Fatal(err)
			}
			// Half a heartbeat until it is tried again, and what the exchange takes.
			if took := time.Since(start); took > 600*time.Millisecond {
				t.Errorf("away for %s, and without what it missed for %s more", d, took)
			}
		}
	})
}

// A voter that is asked to hand leadership over before it has begun to serve, to one that it cannot reach, leads on and
// must serve then: nobody else will be elected as long as its heartbeats arrive.
func TestLeaderSettlesAfterAFailedTransfer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		z := newZone(t, 3)
		defer z.close()
		l := z.leader()
		var away capsule.Key
		for _, k := range z.keys {
			if k != l.key {
				away = k
			}
		}
		z.net.Cut(l.key, away)
		z.net.Cut(away, l.key)
		z.propose(l, "what the other one lacks")
		handed := make(chan error, 1)
		go func() { handed <- l.node.Transfer(away) }()
		for {
			if _, _, err := l.node.Propose([]byte("x")); errors.Is(err, raft.ErrNotLeader) {
				break // the handing over has begun
			} else if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		term, _ := l.node.Leading()
		if !l.node.Settle(term) {
			t.Fatal("it leads, and will never serve")
		}
		if err := <-handed; err == nil {
			t.Fatal("leadership was handed to a voter that nobody reaches")
		}
		z.propose(l, "y")
		if l.node.Settle(term + 1) {
			t.Fatal("settled in a term that it does not lead")
		}
	})
}
