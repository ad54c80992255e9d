// Package memnet is a network in memory for tests of a zone: streams with latency that can be cut, in one or both
// directions, and nodes that vanish. It must never know what travels on a stream. It keeps to the time of the goroutines
// that use it, so that it works in virtual time.
package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/raft"
)

var (
	errUnreachable = errors.New("memnet: peer is unreachable")
	errReset       = errors.New("memnet: stream was reset")
)

// Network connects nodes. It is safe for concurrent use.
type Network struct {
	mu      sync.Mutex // guards all below
	latency func(from, to capsule.Key) time.Duration
	cut     map[[2]capsule.Key]bool
	listen  map[capsule.Key]map[string]*listener
	conns   map[*conn]bool
}

// New returns a network. latency is asked for each write; nil means none.
func New(latency func(from, to capsule.Key) time.Duration) *Network {
	if latency == nil {
		latency = func(_, _ capsule.Key) time.Duration { return 0 }
	}
	return &Network{latency: latency, cut: map[[2]capsule.Key]bool{}, listen: map[capsule.Key]map[string]*listener{}, conns: map[*conn]bool{}}
}

// Host returns one node's end of the network.
func (n *Network) Host(k capsule.Key) raft.Transport { return &host{n: n, key: k} }

// Cut stops everything from one node to another. Streams that exist stay silent; they do not recover.
func (n *Network) Cut(from, to capsule.Key) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]capsule.Key{from, to}] = true
	for c := range n.conns {
		if c.local == from && c.remote == to {
			c.stall()
		}
	}
}

// Heal undoes all cuts. Streams that were cut are reset.
func (n *Network) Heal() {
	n.mu.Lock()
	clear(n.cut)
	var dead []*conn
	for c := range n.conns {
		if c.stalled {
			dead = append(dead, c)
		}
	}
	n.mu.Unlock()
	for _, c := range dead {
		c.reset()
	}
}

// Kill resets all streams of a node and forgets what it listens to.
func (n *Network) Kill(k capsule.Key) {
	n.mu.Lock()
	var dead []*conn
	for c := range n.conns {
		if c.local == k || c.remote == k {
			dead = append(dead, c)
		}
	}
	ls := n.listen[k]
	delete(n.listen, k)
	n.mu.Unlock()
	for _, l := range ls {
		l.shut()
	}
	for _, c := range dead {
		c.reset()
	}
}

type host struct {
	n   *Network
	key capsule.Key
}

func (h *host) Listen(proto string, accept func(capsule.Key) bool) (raft.Listener, error) {
	l := &listener{h: h, proto: proto, accept: accept, ch: make(chan *conn, 64), done: make(chan struct{})}
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	m := h.n.listen[h.key]
	if m == nil {
		m = map[string]*listener{}
		h.n.listen[h.key] = m
	}
	if m[proto] != nil {
		return nil, errors.New("memnet: protocol is served already: " + proto)
	}
	m[proto] = l
	return l, nil
}

func (h *host) Dial(ctx context.Context, peer capsule.Key, proto string) (net.Conn, error) {
	h.n.mu.Lock()
	blocked := h.n.cut[[2]capsule.Key{h.key, peer}] || h.n.cut[[2]capsule.Key{peer, h.key}]
	l := h.n.listen[peer][proto]
	if blocked {
		h.n.mu.Unlock()
		<-ctx.Done() // nobody answers
		return nil, ctx.Err()
	}
	if l == nil || !l.accept(h.key) {
		h.n.mu.Unlock()
		return nil, errUnreachable
	}
	a, b := h.n.pair(h.key, peer)
	h.n.mu.Unlock()
	select {
	case l.ch <- b:
		select {
		case <-l.done: // shut in between: nobody takes it from the queue
		default:
			return a, nil
		}
	case <-l.done:
	case <-ctx.Done():
	}
	a.reset()
	return nil, errUnreachable
}

type listener struct {
	h      *host
	proto  string
	accept func(capsule.Key) bool
	ch     chan *conn
	once   sync.Once
	done   chan struct{}
}

func (l *listener) Accept() (net.Conn, capsule.Key, error) {
	select {
	case c := <-l.ch:
		return c, c.remote, nil
	case <-l.done:
		return nil, capsule.Key{}, net.ErrClosed
	}
}

func (l *listener) shut() {
	l.once.Do(func() { close(l.done) })
	for {
		select {
		case c := <-l.ch:
			c.reset()
		default:
			return
		}
	}
}

func (l *listener) Close() error {
	l.h.n.mu.Lock()
	if m := l.h.n.listen[l.h.key]; m[l.proto] == l {
		delete(m, l.proto)
	}
	l.h.n.mu.Unlock()
	l.shut()
	return nil
}

// conn is one end of a stream. What it writes is queued at the other end with the time of its arrival.
type conn struct {
	n             *Network
	local, remote capsule.Key
	peer          *conn
	stalled       bool // guarded by n.mu

	mu        sync.Mutex // guards all below
	queue     []chunk
	last      time.Time // arrival of the newest chunk: streams keep their order
	eof       bool      // the other end closed
	err       error
	wake      chan struct{} // replaced at each change that a reader may wait for
	deadlines [2]time.Time  // read, write
}

type chunk struct {
	at time.Time
	b  []byte
}

// maxQueue is how much may be on the way in one direction before a writer waits.
const maxQueue = 4 << 20

func (n *Network) pair(from, to capsule.Key) (a, b *conn) {
	a = &conn{n: n, local: from, remote: to, wake: make(chan struct{})}
	b = &conn{n: n, local: to, remote: from, wake: make(chan struct{}), peer: a}
	a.peer = b
	n.conns[a], n.conns[b] = true, true
	return a, b
}

func (c *conn) stall() { c.stalled = true }

func (c *conn) change(f func()) {
	c.mu.Lock()
	f()
	close(c.wake)
	c.wake = make(chan struct{})
	c.mu.Unlock()
}

func (c *conn) reset() {
	c.n.mu.Lock()
	delete(c.n.conns, c)
	delete(c.n.conns, c.peer)
	c.n.mu.Unlock()
	for _, e := range []*conn{c, c.peer} {
		e.change(func() {
			if e.err == nil {
				e.err = errReset
			}
		})
	}
}

func (c *conn) Read(p []byte) (int, error) {
	for {
		c.mu.Lock()
		now := time.Now()
		var wait time.Duration = -1
		switch {
		case c.err != nil:
			c.mu.Unlock()
			return 0, c.err
		case !c.deadlines[0].IsZero() && !now.Before(c.deadlines[0]):
			c.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(c.queue) > 0 && !c.queue[0].at.After(now):
			n := copy(p, c.queue[0].b)
			if c.queue[0].b = c.queue[0].b[n:]; len(c.queue[0].b) == 0 {
				c.queue = c.queue[1:]
			}
			c.mu.Unlock()
			return n, nil
		case len(c.queue) > 0:
			wait = c.queue[0].at.Sub(now)
		case c.eof:
			c.mu.Unlock()
			return 0, io.EOF
		}
		if d := c.deadlines[0]; !d.IsZero() && (wait < 0 || d.Sub(now) < wait) {
			wait = d.Sub(now)
		}
		wake := c.wake
		c.mu.Unlock()
		pause(wake, wait)
	}
}

func pause(wake <-chan struct{}, d time.Duration) {
	if d < 0 {
		<-wake
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-wake:
	case <-t.C:
	}
}

func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	err, d := c.err, c.deadlines[1]
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if !d.IsZero() && !time.Now().Before(d) {
		return 0, os.ErrDeadlineExceeded
	}
	c.n.mu.Lock()
	stalled := c.stalled
	late := c.n.latency(c.local, c.remote)
	c.n.mu.Unlock()
	if stalled {
		return len(p), nil // on the wire, and gone
	}
	full := false
	c.peer.change(func() {
		at := time.Now().Add(late)
		if at.Before(c.peer.last) {
			at = c.peer.last
		}
		c.peer.last = at
		c.peer.queue = append(c.peer.queue, chunk{at: at, b: append([]byte(nil), p...)})
		size := 0
		for _, q := range c.peer.queue {
			size += len(q.b)
		}
		full = size > maxQueue
	})
	if full {
		c.reset()
		return 0, errReset
	}
	return len(p), nil
}

// Close ends the stream: the other side reads what is on the way, then the end.
func (c *conn) Close() error {
	c.n.mu.Lock()
	delete(c.n.conns, c)
	stalled := c.stalled
	c.n.mu.Unlock()
	c.change(func() {
		if c.err == nil {
			c.err = net.ErrClosed
		}
	})
	if !stalled {
		c.peer.change(func() { c.peer.eof = true })
	}
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return addr(c.local) }
func (c *conn) RemoteAddr() net.Addr { return addr(c.remote) }

func (c *conn) SetDeadline(t time.Time) error {
	c.change(func() { c.deadlines = [2]time.Time{t, t} })
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.change(func() { c.deadlines[0] = t })
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.change(func() { c.deadlines[1] = t })
	return nil
}

type addr capsule.Key

func (addr) Network() string  { return "memnet" }
func (a addr) String() string { return capsule.Key(a).String() }
