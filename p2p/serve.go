package p2p

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/internal/raw"
	"github.com/kitwork/kwnode/p2p/quota"
)

// StreamLimits bounds one protocol's inbound streams. They are applied in this order, before the handler sees a byte:
// who may (Accept), how often (Rate), how many (PerPeer, Streams), how much memory, how long. A zero field takes its
// default; a stream over a limit is reset and counted.
type StreamLimits struct {
	Accept  func(peer capsule.Key) bool // nil admits every peer
	Rate    float64                     // new streams a second from one peer; default 20, negative is no limit
	Burst   int                         // streams at once before Rate counts; default 40
	PerPeer int                         // open at once from one peer, each worth up to 256 KiB of unread bytes; default 8
	Streams int                         // open at once from all; default 256. Twice that for peers with less than their share
	Memory  int                         // bytes reserved while the handler runs; default none
	Timeout time.Duration               // deadline of stream and context; default none
}

func (l StreamLimits) withDefaults() StreamLimits {
	if l.Rate == 0 {
		l.Rate = 20
	}
	if l.Burst == 0 {
		l.Burst = 40
	}
	if l.PerPeer == 0 {
		l.PerPeer = 8
	}
	if l.Streams == 0 {
		l.Streams = 256
	}
	return l
}

// Handler serves one inbound stream. ctx ends with the protocol's timeout and when the host closes. The stream is
// closed when the handler returns.
type Handler func(ctx context.Context, peer capsule.Key, s *Stream)

// maxBuckets is how many peers' rates one protocol remembers, twice over (see quota.Table). A bucket is about 100 bytes.
const maxBuckets = 2048

// service is one protocol that this host serves or dials.
type service struct {
	id      string
	lim     StreamLimits
	rate    *quota.Table[capsule.Key]
	counts  protoCounts
	mu      sync.Mutex // owns the fields below
	open    int
	perPeer map[capsule.Key]int // Invariant: values are positive and sum to open
}

// protoCounts are the running totals of one protocol.
type protoCounts struct {
	in, denied, limited, busy, memory atomic.Uint64
}

func newService(id string, lim StreamLimits) *service {
	lim = lim.withDefaults()
	return &service{id: id, lim: lim, rate: quota.New[capsule.Key](maxBuckets, lim.Rate, lim.Burst), perPeer: make(map[capsule.Key]int)}
}

// enter counts a stream of peer in, or returns the code to reset it with.
func (v *service) enter(peer capsule.Key) (network.StreamErrorCode, bool) {
	if v.lim.Accept != nil && !v.lim.Accept(peer) {
		v.counts.denied.Add(1)
		return network.StreamGated, false
	}
	if !v.rate.Allow(peer, 1) {
		v.counts.limited.Add(1)
		return network.StreamRateLimited, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	// A few peers that take all they may must not shut out the others: the second half is for who has less than an
	// equal share. Two, because the stream before may be counted until its handler has returned.
	most, have := v.lim.Streams, v.perPeer[peer]
	if have < max(2, v.lim.Streams/(len(v.perPeer)+1)) {
		most *= 2
	}
	if v.open >= most || have >= v.lim.PerPeer {
		v.counts.busy.Add(1)
		return network.StreamResourceLimitExceeded, false
	}
	v.open++
	v.perPeer[peer]++
	v.counts.in.Add(1)
	return 0, true
}

func (v *service) leave(peer capsule.Key) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open--
	if v.perPeer[peer]--; v.perPeer[peer] == 0 {
		delete(v.perPeer, peer)
	}
}

// Handle serves the protocol id with fn, each stream in its own goroutine.
func (h *Host) Handle(id string, lim StreamLimits, fn Handler) error {
	return h.serve(newService(id, lim), func(v *service, s *Stream) {
		ctx, cancel := h.handlerContext(v.lim.Timeout)
		defer cancel()
		defer s.Close()
		fn(ctx, s.peer, s)
	})
}

// Unhandle stops serving id. Streams that are open stay open.
func (h *Host) Unhandle(id string) {
	h.mu.Lock()
	delete(h.services, id)
	h.mu.Unlock()
	h.inner.RemoveStreamHandler(protocol.ID(id))
}

// serve admits streams of v and hands them to take, which owns them.
func (h *Host) serve(v *service, take func(*service, *Stream)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing {
		return ErrClosed
	}
	if _, dup := h.services[v.id]; dup {
		return fmt.Errorf("p2p: protocol %s is already served by this host", v.id)
	}
	h.services[v.id] = v
	h.inner.SetStreamHandler(protocol.ID(v.id), func(ns network.Stream) {
		if s := h.admit(v, ns); s != nil {
			defer h.running.Done()
			take(v, s)
		}
	})
	return nil
}

// admit applies v's limits. It returns nil after resetting a stream that breaks one. With a stream it has also counted
// the handler in h.running.
func (h *Host) admit(v *service, ns network.Stream) *Stream {
	peer, ok := raw.Key(ns.Conn().RemotePeer())
	if !ok {
		ns.Reset()
		return nil
	}
	if code, ok := v.enter(peer); !ok {
		ns.ResetWithError(code)
		return nil
	}
	p := ns.Conn().RemotePeer()
	h.waste.served(p)
	s := &Stream{
		s: ns, peer: peer, self: h.key, proto: v.id, sent: h.line.count(v.id, peer), release: func() { v.leave(peer) },
		fault: func() { h.waste.charge(p, wasteFault) },
	}
	if v.lim.Memory > 0 {
		if err := ns.Scope().ReserveMemory(v.lim.Memory, network.ReservationPriorityHigh); err != nil {
			v.counts.memory.Add(1)
			s.free()
			ns.ResetWithError(network.StreamResourceLimitExceeded)
			return nil
		}
	}
	if v.lim.Timeout > 0 {
		if err := ns.SetDeadline(time.Now().Add(v.lim.Timeout)); err != nil {
			s.Reset()
			return nil
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing {
		s.Reset()
		return nil
	}
	h.running.Add(1)
	return s
}

// backlog is how many accepted streams wait for Accept; more are reset.
const backlog = 64

// Listener hands out the inbound streams of one protocol. It is a net.Listener; its streams live until closed.
type Listener struct {
	h       *Host
	id      string
	streams chan *Stream

	mu     sync.Mutex // owns closed, and orders it against sends on streams
	closed bool
	done   chan struct{}
}

// Listen serves the protocol id with a listener that admits only the peers that accept approves. accept is asked for
// every stream, so that a peer that lost its place gets no new one.
func (h *Host) Listen(id string, accept func(peer capsule.Key) bool) (*Listener, error) {
	if accept == nil {
		return nil, errors.New("p2p: listen: accept is nil: say who may connect")
	}
	l := &Listener{h: h, id: id, streams: make(chan *Stream, backlog), done: make(chan struct{})}
	v := newService(id, StreamLimits{Accept: accept, Rate: 50, Burst: 100, PerPeer: 32})
	if err := h.serve(v, l.offer); err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.listeners[l] = struct{}{}
	h.mu.Unlock()
	return l, nil
}

func (l *Listener) offer(v *service, s *Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		s.Reset()
		return
	}
	select {
	case l.streams <- s:
	default:
		v.counts.busy.Add(1)
		s.Reset()
	}
}

// Accept is AcceptStream for those who want a net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	s, err := l.AcceptStream()
	if err != nil {
		return nil, err
	}
	return s, nil
}

// AcceptStream waits for the next stream. After Close it returns net.ErrClosed.
func (l *Listener) AcceptStream() (*Stream, error) {
	select {
	case s := <-l.streams:
		return s, nil
	case <-l.done:
		return nil, fmt.Errorf("p2p: listener of %s: %w", l.id, net.ErrClosed)
	}
}

// Close stops the protocol and resets the streams that nobody accepted. Accepted streams stay open.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.h.Unhandle(l.id)
	l.h.mu.Lock()
	delete(l.h.listeners, l)
	l.h.mu.Unlock()
	close(l.done)
	for {
		select {
		case s := <-l.streams:
			s.Reset()
		default:
			return nil
		}
	}
}

// Addr is the host's key.
func (l *Listener) Addr() net.Addr { return Addr(l.h.key) }

var _ net.Listener = (*Listener)(nil)
