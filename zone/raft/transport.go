// Package raft runs consensus on a zone's log: hashicorp/raft over streams that somebody else opens, with a peer gate, the
// nudge that makes followers apply at once, and reads that are linearizable. It must never know what an entry means, what
// a certificate is, or how a peer is reached.
package raft

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	hraft "github.com/hashicorp/raft"

	"github.com/kitwork/kwnode/capsule"
)

// Transport opens and accepts streams whose other end is authenticated to be the peer's key.
type Transport interface {
	Dial(ctx context.Context, peer capsule.Key, proto string) (net.Conn, error)
	// Listen serves a protocol until the Listener is closed. Streams of peers that accept refuses are reset unread.
	Listen(proto string, accept func(peer capsule.Key) bool) (Listener, error)
}

// Listener yields accepted streams.
type Listener interface {
	Accept() (net.Conn, capsule.Key, error)
	Close() error
}

// keyAddr is a voter's key as network address: consensus knows its peers by nothing else.
type keyAddr string

func (keyAddr) Network() string  { return "kitwork" }
func (a keyAddr) String() string { return string(a) }

func serverID(k capsule.Key) hraft.ServerID        { return hraft.ServerID(k.String()) }
func serverAddr(k capsule.Key) hraft.ServerAddress { return hraft.ServerAddress(k.String()) }

// streamLayer is hashicorp/raft's view of a Transport, for one protocol of one zone.
type streamLayer struct {
	self  capsule.Key
	proto string
	t     Transport
	l     Listener
	allow func(capsule.Key) bool

	mu    sync.Mutex // guards conns
	conns map[*gatedConn]capsule.Key
}

func newStreamLayer(self capsule.Key, proto string, t Transport, allow func(capsule.Key) bool) (*streamLayer, error) {
	l, err := t.Listen(proto, allow)
	if err != nil {
		return nil, err
	}
	return &streamLayer{self: self, proto: proto, t: t, l: l, allow: allow, conns: map[*gatedConn]capsule.Key{}}, nil
}

// Accept waits for the next stream of a peer in the committed configuration.
func (s *streamLayer) Accept() (net.Conn, error) {
	for {
		c, peer, err := s.l.Accept()
		if err != nil {
			return nil, err
		}
		// Asked again: the configuration may have changed since the transport asked.
		if !s.allow(peer) {
			c.Close()
			continue
		}
		g := &gatedConn{Conn: c, s: s}
		s.mu.Lock()
		s.conns[g] = peer
		s.mu.Unlock()
		return g, nil
	}
}

// regate closes the streams of peers that are no longer allowed.
func (s *streamLayer) regate() {
	var out []*gatedConn
	s.mu.Lock()
	for c, peer := range s.conns {
		if !s.allow(peer) {
			out = append(out, c)
		}
	}
	s.mu.Unlock()
	for _, c := range out {
		c.Close()
	}
}

func (s *streamLayer) Close() error   { return s.l.Close() }
func (s *streamLayer) Addr() net.Addr { return keyAddr(s.self.String()) }

// Dial opens a stream to the voter whose key is the address.
func (s *streamLayer) Dial(addr hraft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	peer, err := capsule.ParseKey(string(addr))
	if err != nil {
		return nil, err
	}
	if !s.allow(peer) {
		return nil, errors.New("not a member of the zone: " + string(addr))
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.t.Dial(ctx, peer, s.proto)
}

// gatedConn is an accepted stream that the layer can close when its peer is removed.
type gatedConn struct {
	net.Conn
	s *streamLayer
}

func (c *gatedConn) Close() error {
	c.s.mu.Lock()
	delete(c.s.conns, c)
	c.s.mu.Unlock()
	return c.Conn.Close()
}

// steadyTransport is hashicorp/raft's way to its peers, with another patience: after each failed append hashicorp/raft waits
// twice as long, up to 10 s, and nothing tells it that the follower is back. A zone that lacked just this voter's signature
// would decide nothing meanwhile, although the follower hears the leader's heartbeats. Here a failed append is tried again
// until it arrives, as often as heartbeats are.
type steadyTransport struct {
	*hraft.NetworkTransport
	n    *Node
	raft atomic.Pointer[hraft.Raft] // nil until it has started

	mu     sync.Mutex // guards what follows
	silent map[hraft.ServerAddress]silence
	lax    uint64 // in this term and before a failed append is hashicorp/raft's to try again
}

// relent leaves failed appends of a term to hashicorp/raft, which tries to hand leadership over: its goroutine that appends is
// asked to report how each append went, and while it doesn't, the leader takes no entries. When that is over is not told.
func (t *steadyTransport) relent(term uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lax = max(t.lax, term)
}

// silence is since when a peer has answered none of the heartbeats of a term.
type silence struct {
	term  uint64
	since time.Time
}

// heard notes what became of a heartbeat that was sent at a time.
func (t *steadyTransport) heard(peer hraft.ServerAddress, term uint64, sent time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		delete(t.silent, peer)
	} else if s, ok := t.silent[peer]; !ok || s.term < term {
		t.silent[peer] = silence{term, sent}
	}
}

// silentSince reports since when a peer has answered none of the term's heartbeats.
func (t *steadyTransport) silentSince(peer hraft.ServerAddress, term uint64) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.silent[peer]
	return s.since, ok && s.term == term
}

// AppendEntries implements hraft.Transport. What is tried again is the same append, as an append may arrive twice, with the
// commit index of now: the follower would learn of it a commit timeout later.
func (t *steadyTransport) AppendEntries(id hraft.ServerID, target hraft.ServerAddress, req *hraft.AppendEntriesRequest, resp *hraft.AppendEntriesResponse) error {
	if isHeartbeat(req) {
		sent := time.Now()
		err := t.NetworkTransport.AppendEntries(id, target, req, resp)
		t.heard(target, req.Term, sent, err)
		return err
	}
	req.LeaderCommitIndex = commitFor(req, req.LeaderCommitIndex)
	err := t.NetworkTransport.AppendEntries(id, target, req, resp)
	const first = 10 * time.Millisecond
	for wait := first; err != nil && t.n.pause(wait) && t.owed(target, req.Term); wait = min(2*wait, t.n.cfg.Timing.Heartbeat/2) {
		req.LeaderCommitIndex = commitFor(req, t.raft.Load().CommitIndex())
		err = t.NetworkTransport.AppendEntries(id, target, req, resp)
	}
	return err
}

// commitFor is what a follower may commit of all that is committed: nothing behind the append's last entry. A follower of
// hashicorp/raft commits whatever it has up to the index that it is told, and what it has behind the append may be of a
// leader that was deposed.
func commitFor(req *hraft.AppendEntriesRequest, committed uint64) uint64 {
	last := req.PrevLogEntry
	if n := len(req.Entries); n > 0 {
		last = req.Entries[n-1].Index
	}
	return min(committed, last)
}

// owed reports whether this voter still leads the term and has not tried to hand it over, and the peer is a member.
func (t *steadyTransport) owed(peer hraft.ServerAddress, term uint64) bool {
	t.mu.Lock()
	lax := t.lax
	t.mu.Unlock()
	if term <= lax {
		return false
	}
	r := t.raft.Load()
	k, err := capsule.ParseKey(string(peer))
	return err == nil && t.n.Member(k) && r != nil && r.State() == hraft.Leader && r.CurrentTerm() == term
}

// isHeartbeat knows heartbeats as hashicorp/raft does. They have a goroutine and a patience of their own.
func isHeartbeat(req *hraft.AppendEntriesRequest) bool {
	return req.PrevLogEntry == 0 && req.PrevLogTerm == 0 && len(req.Entries) == 0 && req.LeaderCommitIndex == 0
}
